"""Norms, chosen by data.

Sources: Ba et al. 2016 (LayerNorm, arXiv 1607.06450); Zhang and Sennrich 2019 (RMSNorm, arXiv 1910.07467).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Config


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), times a weight (plus an offset) where there is one: (..., size) -> (..., size)."""

    def __init__(self, size: int, c: Config):
        super().__init__()
        self.eps, self.offset = c.norm_eps, c.norm_offset
        self.weight = nn.Parameter(torch.ones(size)) if c.norm_weight else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + self.offset if self.offset else self.weight
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)


def norm(c: Config) -> nn.Module:
    """The norm over the width that a config asks for."""
    if c.norm == "layer":
        return nn.LayerNorm(c.width, eps=c.norm_eps, bias=c.norm_bias)
    return RMSNorm(c.width, c)
