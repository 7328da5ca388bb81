"""Optimizers: Muon for the matrices inside the blocks, AdamW for everything else, or AdamW for all.

Sources: Loshchilov and Hutter 2019, arXiv 1711.05101 (AdamW); Jordan et al. 2024, "Muon: an optimizer for the hidden
layers of neural networks".
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from .settings import Optim

# One Newton-Schulz step maps a singular value s to a s + b s^3 + c s^5; five of them bring (0, 1] near 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal: all its singular values become about 1.

    Matrices of one shape are stacked and orthogonalised together.
    """

    def __init__(self, matrices: list[nn.Parameter], s: Optim, dtype: torch.dtype):
        super().__init__(matrices, {"lr": s.matrix_rate})
        self.s, self.dtype = s, dtype
        shapes = defaultdict(list)
        for p in matrices:
            shapes[tuple(p.shape)].append(p)
        self.stacks = list(shapes.values())
        self.moments = [torch.zeros(len(ps), *ps[0].shape, device=ps[0].device) for ps in self.stacks]

    @torch.no_grad()
    def step(self, closure=None):
        rate, s = self.param_groups[0]["lr"], self.s
        for matrices, moment in zip(self.stacks, self.moments, strict=True):
            gradient = torch.stack([p.grad for p in matrices])
            moment.lerp_(gradient, 1 - s.momentum)
            update = orthogonal(gradient.lerp_(moment, s.momentum).to(self.dtype), s.rounds).to(moment.dtype)
            tall = max(1.0, matrices[0].shape[0] / matrices[0].shape[1]) ** 0.5
            for p, u in zip(matrices, update, strict=True):
                if s.weight_decay:
                    p.mul_(1 - rate * s.weight_decay)
                p.add_(u, alpha=-rate * tall)


def orthogonal(x: Tensor, rounds: int) -> Tensor:
    """The nearest matrices with singular values of about 1: (..., m, n) -> (..., m, n), by Newton-Schulz."""
    a, b, c = NEWTON_SCHULZ
    wide = x if x.shape[-2] <= x.shape[-1] else x.mT
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if x.shape[-2] <= x.shape[-1] else wide.mT


def build(model: nn.Module, s: Optim, dtype: torch.dtype = torch.float32) -> list[torch.optim.Optimizer]:
    """The optimizers for a model; dtype is what Muon's matrix products are computed in."""
    inner = [p for n, p in model.named_parameters() if ".blocks." in n and p.ndim == 2] if s.name == "muon" else []
    taken = {id(p) for p in inner}
    rest = [(n, p) for n, p in model.named_parameters() if id(p) not in taken]
    outer = [p for n, p in rest if n.split(".")[0] in ("embed", "head", "places")]
    matrices = [p for n, p in rest if p.ndim >= 2 and not any(p is q for q in outer)]
    vectors = [p for n, p in rest if p.ndim < 2]
    groups = [
        {"params": outer, "lr": s.embed_rate or s.rate, "weight_decay": s.weight_decay},
        {"params": matrices, "lr": s.rate, "weight_decay": s.weight_decay},
        {"params": vectors, "lr": s.rate, "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    adam = torch.optim.AdamW(groups, betas=(s.beta1, s.beta2), eps=1e-10 if s.name == "muon" else 1e-8, fused=True)
    optimizers = [adam] + ([Muon(inner, s, dtype)] if inner else [])
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Every learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimizers remember, by parameter name, for a file."""
    adam, names = optimizers[0], {id(p): n for n, p in model.named_parameters()}
    found = {f"adamw.{names[id(p)]}.{k}": v for p, state in adam.state.items() for k, v in state.items()}
    for muon in optimizers[1:]:
        for matrices, moment in zip(muon.stacks, muon.moments, strict=True):
            found |= {f"muon.{names[id(p)]}": m.clone() for p, m in zip(matrices, moment, strict=True)}
    return found


def restore(model: nn.Module, optimizers: list[torch.optim.Optimizer], found: dict[str, Tensor]) -> None:
    """The way back of `tensors`; every one must be there and none left over."""
    left, params = dict(found), dict(model.named_parameters())
    names = {id(p): n for n, p in params.items()}
    try:
        for p in (p for group in optimizers[0].param_groups for p in group["params"]):
            keys = {k: f"adamw.{names[id(p)]}.{k}" for k in ("step", "exp_avg", "exp_avg_sq")}
            optimizers[0].state[p] = {k: left.pop(key).to("cpu" if k == "step" and not p.is_cuda else p.device)
                                      for k, key in keys.items()}  # fmt: skip
        for muon in optimizers[1:]:
            for matrices, moment in zip(muon.stacks, muon.moments, strict=True):
                moment.copy_(torch.stack([left.pop(f"muon.{names[id(p)]}") for p in matrices]))
    except KeyError as error:
        raise CheckpointError(f"state: {error.args[0]} is missing; it belongs to another model or optimizer") from None
    if left:
        raise CheckpointError(f"state: {sorted(left)[0]} is unknown; it belongs to another model or optimizer")
