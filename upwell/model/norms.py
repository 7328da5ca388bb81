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
        if torch.is_grad_enabled() and x.device.type == "cpu" and not torch.compiler.is_compiling():
            return Scaled.apply(x, weight, self.eps)
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)


class Scaled(torch.autograd.Function):
    """RMSNorm with its gradient, in half as many passes over memory as torch takes for it on a CPU."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, eps: float | None) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        eps = torch.finfo(x.dtype).eps if eps is None else eps
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        over = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, over)
        y = wide * over
        y = y if weight is None else y.mul_(weight)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, slope: Tensor):
        x, weight, over = ctx.saved_tensors
        straight = x * over
        slope = slope.to(straight.dtype)
        to_weight = None
        if weight is not None:
            if ctx.needs_input_grad[1]:
                to_weight = (slope * straight).flatten(0, -2).sum(0).to(weight.dtype)
            slope = slope * weight
        along = torch.linalg.vecdot(slope, straight).unsqueeze(-1).div_(x.shape[-1])
        to_x = torch.addcmul(slope, straight, along, value=-1).mul_(over)
        return to_x.to(x.dtype), to_weight, None


def norm(c: Config) -> nn.Module:
    """The norm over the width that a config asks for."""
    if c.norm == "layer":
        return nn.LayerNorm(c.width, eps=c.norm_eps, bias=c.norm_bias)
    return RMSNorm(c.width, c)
