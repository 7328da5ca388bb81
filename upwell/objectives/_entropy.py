"""Cross-entropy of a model's output matrix without ever holding all logits: a piece of the tokens at a time.

Forward computes the gradients at once, so that each of the three matrix products is done once and a piece's logits are
still in the processor's cache. It knows no objective and no batch.
"""

import torch
from torch import Tensor

PIECE = 1 << 22  # logits held at once: 16 MB


def summed(hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None = None) -> Tensor:
    """hidden (..., D), weight (V, D), targets (...) -> the sum of -log p(target) in nats, float32; -100 asks nothing.

    Logits are hidden @ weight.T, bent by cap * tanh(logits / cap) where there is a cap. Under autocast the matrix
    products have its number format; everything else is float32.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    return Summed.apply(hidden.flatten(0, -2), weight, targets.flatten(), cap, dtype)


class Summed(torch.autograd.Function):
    """The sum, and its gradients to hidden and weight."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, dtype: torch.dtype) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            total, to_hidden, to_weight = pieces(hidden, weight, targets, cap, dtype)
        ctx.save_for_backward(to_hidden, to_weight)
        return total

    @staticmethod
    def backward(ctx, scale: Tensor):
        to_hidden, to_weight = ctx.saved_tensors
        return to_hidden * scale.to(to_hidden.dtype), to_weight * scale.to(to_weight.dtype), None, None, None


def pieces(hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, dtype: torch.dtype):
    """hidden (N, D), weight (V, D), targets (N,) -> (sum, its gradient to hidden, its gradient to weight)."""
    rows = max(1, PIECE // len(weight))
    narrow = weight.to(dtype)
    total = hidden.new_zeros((), dtype=torch.promote_types(hidden.dtype, torch.float32))
    to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight)
    for h, t, out in zip(hidden.split(rows), targets.split(rows), to_hidden.split(rows), strict=True):
        h = h.to(dtype)
        value, slope = piece((h @ narrow.T).to(total.dtype), t, cap)
        total += value
        slope = slope.to(dtype)
        out.copy_(slope @ narrow)
        if dtype == to_weight.dtype:
            to_weight.addmm_(slope.T, h)
        else:
            to_weight += (slope.T @ h).to(to_weight.dtype)
    return total, to_hidden, to_weight


def piece(z: Tensor, targets: Tensor, cap: float | None) -> tuple[Tensor, Tensor]:
    """Raw logits (n, V), overwritten, and targets (n,) -> (sum, its gradient to them)."""
    bent = z.div_(cap).tanh_() if cap else None
    logp = torch.log_softmax(bent * cap if cap else z, -1)
    asked = (targets != -100)[:, None]
    at = targets.clamp(min=0)[:, None]
    total = -(logp.gather(1, at) * asked).sum()
    slope = logp.exp_()
    slope.scatter_add_(1, at, torch.full_like(at, -1, dtype=slope.dtype))
    if not bool(asked.all()):
        slope *= asked
    return total, slope if bent is None else slope.mul_(bent.square_().neg_().add_(1))
