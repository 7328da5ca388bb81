"""Who sees whom: one rule for causal, bidirectional, padded, packed and windowed attention, cached or not."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Over(NamedTuple):
    """Queries that stand one behind the other without padding, texts (B) of at most T; keys of others in rows."""

    texts: int
    longest: int
    inside: Tensor
    """(N,): the place of each query in (B, T)."""
    mask: Tensor | None
    """Which keys each text sees, as `padded` gives it."""


ALIKE = 0.75  # texts that are shorter than this share of the longest one of a table have a table of their own


class Table(NamedTuple):
    """Texts of about one length, side by side."""

    texts: int
    longest: int
    mask: Tensor | None
    """What `Attention.attend` needs for them."""


class Apart(NamedTuple):
    """Texts that stand one behind the other without padding, in one row or several, each of which sees itself only.

    For attention they are laid into tables of (texts, longest) places, all tables one behind the other.
    """

    tables: tuple[Table, ...]
    inside: Tensor
    """(N,): the place of each token in the tables."""


def apart(lengths: Sequence[int], causal: bool, window: int | None, bias: Tensor | None, device) -> Apart:
    """lengths: tokens of each text, in order. window: as `visible`; bias (1, H, longest, longest): added to scores."""
    each = torch.tensor(lengths)
    order, tables, begins, size = each.argsort(descending=True, stable=True), [], torch.empty_like(each), 0
    ranked = each[order].tolist()
    first = 0
    while first < len(ranked):
        longest = ranked[first]
        last = first
        while last < len(ranked) and ranked[last] >= ALIKE * longest:
            last += 1
        begins[order[first:last]] = size + torch.arange(last - first) * longest
        tables.append(Table(last - first, longest, seen_in_table(ranked[first:last], causal, window, bias, device)))
        size, first = size + (last - first) * longest, last
    ends = each.cumsum(0)
    inside = torch.arange(int(ends[-1])) + (begins - (ends - each)).repeat_interleave(each)
    return Apart(tuple(tables), inside.to(device))


def seen_in_table(lengths: Sequence[int], causal: bool, window: int | None, bias: Tensor | None, device):
    """Who sees whom in a table of texts of these lengths, the longest one first; what is causal sees no padding."""
    n = lengths[0]
    place = torch.arange(n, device=device)
    narrow, padded = window is not None and n > window, lengths[-1] < n
    if not causal and padded:
        real = place < torch.tensor(lengths, device=device)[:, None]
        seen = visible(place, place, False, window, real) if narrow else real[:, None, None]
    else:
        seen = visible(place, place, causal, window) if narrow or causal and bias is not None else None
    return added(seen, None if bias is None else bias[..., :n, :n])


def runs(documents: Tensor) -> list[int]:
    """The lengths of the documents of packed rows (B, T), row by row."""
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    starts = begins.flatten().nonzero().flatten()
    return torch.diff(starts, append=starts.new_tensor([documents.numel()])).tolist()


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
