"""Who sees whom: one rule for causal, bidirectional, padded, packed and windowed attention, cached or not."""

from typing import NamedTuple

import torch
from torch import Tensor


class Apart(NamedTuple):
    """Texts that stand one behind the other in one row without padding, each of which sees itself only."""

    lengths: tuple[int, ...]
    """Tokens of each."""
    window: int | None
    """How far a token sees to each side."""
    bias: Tensor | None
    """Added to the scores of each text: (1, H, longest, longest)."""

    def mask(self, n: int, device) -> Tensor | None:
        """What `Attention.attend` needs for one text of n tokens."""
        place = torch.arange(n, device=device)
        seen = None if self.window is None or n <= self.window else visible(place, place, False, self.window)
        return added(seen, None if self.bias is None else self.bias[..., :n, :n])


def visible(
    queries: Tensor,
    keys: Tensor,
    causal: bool,
    window: int | None = None,
    real: Tensor | None = None,
    documents: Tensor | None = None,
) -> Tensor:
    """Places of queries (T,) or (B, T) and of keys (S,) or (B, S) -> (1 or B, 1, T, S), True where a query sees a key.

    window: a causal query sees so many tokens, itself included; else so many to each side. real (B, S): False where a
    key is padding. documents (B, T): tokens see only their own. A key at a place below 0 is not there. Every token
    sees itself, padding too, so that no row of softmax is empty.
    """
    distance = queries[..., :, None] - keys[..., None, :]
    seen = (keys >= 0)[..., None, :]
    if causal:
        seen = seen & (distance >= 0)
    if window is not None:
        seen = seen & ((distance < window) if causal else (distance.abs() <= window))
    seen = seen.expand(distance.shape)
    seen = seen[None] if seen.dim() == 2 else seen
    if real is not None:
        seen = seen & (real[:, None, :] | (distance == 0))
    if documents is not None:
        seen = seen & (documents[:, :, None] == documents[:, None, :])
    return seen[:, None]


class Flexible(NamedTuple):
    """A mask for FlexAttention, which skips the parts of the table of scores that nobody sees (Dong et al. 2024,
    arXiv 2412.05496). For GPUs: on a CPU it is slow and has no backward pass."""

    block_mask: object
    """torch's BlockMask."""


def flexible(causal: bool, window: int | None, real: Tensor | None, documents: Tensor) -> Flexible:
    """The rule of `visible` for packed rows without a cache, whose places are their columns: documents (B, T)."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        seen = documents[b, q] == documents[b, k]
        if causal:
            seen = seen & (q >= k)
        if window is not None:
            seen = seen & ((q - k < window) if causal else ((q - k).abs() <= window))
        return seen if real is None else seen & (real[b, k] | (q == k))

    B, T = documents.shape
    return Flexible(create_block_mask(sees, B, None, T, T, device=documents.device))


def padded(real: Tensor) -> Tensor | None:
    """(B, S) bool -> (B, 1, 1, S), or None where nothing is padding: which keys of a text another text may look at."""
    return None if real.all() else real[:, None, None]


def shared(documents: Tensor, others: Tensor) -> Tensor:
    """documents (B, T) and those of another text (B, S) -> (B, 1, T, S), True where both are the same."""
    return (documents[:, :, None] == others[:, None, :])[:, None]


def added(seen: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """A mask and a bias (1 or B, H, T, S) on the scores as one: -inf where a query does not see."""
    if bias is None or seen is None:
        return seen if bias is None else bias
    return torch.where(seen, bias, float("-inf"))
