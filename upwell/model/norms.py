"""Norms, chosen by data.

Sources: Ba et al. 2016 (LayerNorm, arXiv 1607.06450); Zhang and Sennrich 2019 (RMSNorm, arXiv 1910.07467).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Config

MANY = 128  # tokens from which on the passes over memory cost more than the calls

class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), times a weight (plus an offset) where there is one: (..., size) -> (..., size)."""

    def __init__(self, size: int, c: Config):
        super().__init__()
        self.eps, self.offset = c.norm_eps, c.norm_offset
        self.weight = nn.Parameter(torch.ones(size)) if c.norm_weight else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + self.offset if self.offset else self.weight
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            if torch.is_grad_enabled():
                return Scaled.apply(x, weight, self.eps)
            if x.numel() > MANY * x.shape[-1]:
                return scaled(x, weight, self.eps)[0]
            if x.numel() == x.shape[-1] and self.eps is not None:
                return balanced(x, weight, self.eps)
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)


def scaled(x: Tensor, weight: Tensor | None, eps: float | None) -> tuple[Tensor, Tensor]:
    """RMSNorm of x (..., size), and 1 / sqrt(mean(x^2) + eps) (..., 1), in half as many passes over memory as torch
    takes for it on a CPU."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    over = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    y = wide * over
    y = y if weight is None else y.mul_(weight)
    return y.to(x.dtype), over


def balanced(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The same of one token, (..., size), by half the calls: x and -x together have the mean 0, so their LayerNorm,
    which is one kernel, is their RMSNorm."""
    double = None if weight is None else torch.cat((weight, weight))
    return F.layer_norm(torch.cat((x, -x), -1), (2 * x.shape[-1],), double, None, eps)[..., : x.shape[-1]]


class Scaled(torch.autograd.Function):
    """`scaled` with its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, eps: float | None) -> Tensor:
        y, over = scaled(x, weight, eps)
        ctx.save_for_backward(x, weight, over)
        return y

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
