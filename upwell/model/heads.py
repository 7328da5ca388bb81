"""What becomes of the last block's vectors before the output matrix: one vector a text or one a token."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SettingsError
from .blocks import ACTIVATIONS
from .config import Config, Head
from .norms import norm


class Top(nn.Module):
    """pool -> dense -> activation -> norm, each where the head has it: (B, T, D) -> (B, T, D), or (B, D) pooled."""

    def __init__(self, c: Config, head: Head):
        super().__init__()
        self.pool, self.unit, self.ends = head.pool, head.unit, sorted(c.ends)
        self.dense = nn.Linear(c.width, c.width, bias=head.dense_bias) if head.dense else nn.Identity()
        self.activation = ACTIVATIONS[head.activation] if head.activation else nn.Identity()
        self.norm = norm(c) if head.norm else nn.Identity()

    def forward(self, x: Tensor, ids: Tensor, real: Tensor | None) -> Tensor:
        """ids (B, T) and real (B, T), False where padding, say which token is the first, the last or the end."""
        if self.pool != "none":
            every = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
            x = self.pooled(x, ids, every if real is None else real)
        x = self.norm(self.activation(self.dense(x)))
        return F.normalize(x, dim=-1) if self.unit else x

    def pooled(self, x: Tensor, ids: Tensor, real: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)."""
        if self.pool == "mean":
            share = real[..., None].to(x.dtype)
            return (x * share).sum(1) / share.sum(1).clamp(min=1e-9)
        if self.pool == "max":
            return x.masked_fill(~real[..., None], float("-inf")).amax(1)
        return x[torch.arange(len(x), device=x.device), self.place(ids, real)]

    def place(self, ids: Tensor, real: Tensor) -> Tensor:
        """Which token stands for its text, (B,)."""
        T = real.shape[1]
        if self.pool == "first":
            return real.int().argmax(1)
        wanted = real if self.pool == "last" else real & torch.isin(ids, torch.tensor(self.ends, device=real.device))
        if not wanted.any(1).all():
            raise SettingsError(f"found a text without the end token {self.ends}; expected one, the head reads it")
        return T - 1 - wanted.flip(1).int().argmax(1)


def outputs(c: Config) -> int:
    """How many numbers the head gives for a token or a text; 0: the vectors themselves."""
    fixed = {"language": c.vocab, "masked": c.vocab, "pretrain": c.vocab, "span": 2, "embed": 0, "none": 0}
    return fixed[c.head.kind] if c.head.kind in fixed else len(c.head.labels)
