"""Cross-entropy of a model's output matrix without ever holding all logits: a piece of the tokens at a time.

Forward computes the gradients at once, so that each of the three matrix products is done once and a piece's logits are
still in the processor's cache. It knows no objective and no batch.
"""

import torch
from torch import Tensor

PIECE = 1 << 22  # logits held at once: 16 MB


def of_words(model, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The last block's vectors (..., D) of any places and their tokens (...) -> nats, summed, as the head gives them.

    For heads that give words ("language", "masked", "pretrain"): dense, norm and bias before and behind the output
    matrix, scale and cap included.
    """
    c = model.config
    plain = c.head.kind == "language"
    hidden = model.top(hidden, None, None)
    scaled = hidden * c.logit_scale if plain and c.logit_scale != 1.0 else hidden
    cap = c.logit_cap if plain else None
    return summed(scaled, model.output_weight, targets, cap, model.output_bias, smoothing)


def likeliest(model, hidden: Tensor) -> Tensor:
    """The last block's vectors (..., D) of any places -> the likeliest token of each (...), a piece at a time."""
    parts = hidden.flatten(0, -2).split(max(1, PIECE // model.config.vocab))
    found = [model.logits(model.top(part, None, None)).argmax(-1) for part in parts]
    return torch.cat(found).view(hidden.shape[:-1])


def summed(hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None = None, bias: Tensor | None = None,
           smoothing: float = 0.0) -> Tensor:  # fmt: skip
    """hidden (..., D), weight (V, D), targets (...) -> the sum of -log p(target) in nats, float32; -100 asks nothing.

    Logits are hidden @ weight.T + bias (V,), bent by cap * tanh(logits / cap) where there is a cap. With smoothing a
    target is so much of all tokens alike and the rest of itself. Under autocast the matrix products have its number
    format; everything else is float32, or float64 where hidden is.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    wanted = [torch.is_grad_enabled() and t is not None and t.requires_grad for t in (hidden, weight, bias)]
    return Summed.apply(hidden.flatten(0, -2), weight, bias, targets.flatten(), cap, smoothing, dtype, wanted)


class Summed(torch.autograd.Function):
    """The sum, and its gradients to hidden, weight and bias."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, cap: float | None,
                smoothing: float, dtype: torch.dtype, wanted: list[bool]) -> Tensor:  # fmt: skip
        with torch.autocast(hidden.device.type, enabled=False):
            total, *slopes = pieces(hidden, weight, bias, targets, cap, smoothing, dtype, wanted)
        ctx.save_for_backward(*slopes)
        return total

    @staticmethod
    def backward(ctx, scale: Tensor):
        return *(None if slope is None else times(slope, scale) for slope in ctx.saved_tensors), *[None] * 5


def times(slope: Tensor, scale: Tensor) -> Tensor:
    """slope * scale in the numbers of slope; a scale that float16 cannot hold may still give products that it can."""
    if slope.dtype == torch.float16:
        return (slope.float() * scale).to(slope.dtype)
    return slope * scale.to(slope.dtype)


def pieces(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, cap: float | None, smoothing: float,
           dtype: torch.dtype, wanted: list[bool]):  # fmt: skip
    """hidden (N, D), weight (V, D), bias (V,), targets (N,) -> (sum, its gradients to hidden, weight and bias).

    wanted: whether the first three need a gradient; None stands for one that is not needed. Places that ask nothing
    are not computed.
    """
    rows = max(1, PIECE // len(weight))
    asked = (targets != -100).nonzero().flatten()
    narrow = weight.to(dtype)
    total = hidden.new_zeros((), dtype=torch.promote_types(hidden.dtype, torch.float32))
    to_hidden = torch.zeros_like(hidden) if wanted[0] else None
    to_weight = torch.zeros_like(weight) if wanted[1] else None
    to_bias = torch.zeros_like(bias) if wanted[2] else None
    for part in asked.split(rows):
        h = hidden[part].to(dtype)
        z = (h @ narrow.T).to(total.dtype)
        value, slope = piece(z if bias is None else z.add_(bias), targets[part], cap, smoothing)
        total += value
        if to_bias is not None:
            to_bias += slope.sum(0)
        slope = slope.to(dtype)
        if to_hidden is not None:
            to_hidden[part] = (slope @ narrow).to(to_hidden.dtype)
        if to_weight is None:
            continue
        if dtype == to_weight.dtype:
            to_weight.addmm_(slope.T, h)
        else:
            to_weight += (slope.T @ h).to(to_weight.dtype)
    return total, to_hidden, to_weight, to_bias


def piece(z: Tensor, targets: Tensor, cap: float | None, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Raw logits (n, V), overwritten, and targets (n,) -> (sum, its gradient to them)."""
    bent = z.div_(cap).tanh_() if cap else None
    logp = torch.log_softmax(bent * cap if cap else z, -1)
    at, V = targets[:, None], z.shape[-1]
    total = -logp.gather(1, at).sum()
    if smoothing:
        total = (1 - smoothing) * total - smoothing / V * logp.sum()
    slope = logp.exp_()
    slope.scatter_add_(1, at, torch.full_like(at, -1, dtype=slope.dtype) * (1 - smoothing))
    if smoothing:
        slope -= smoothing / V
    return total, slope if bent is None else slope.mul_(bent.square_().neg_().add_(1))
