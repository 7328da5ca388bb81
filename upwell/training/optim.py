"""Optimizers: Muon for the matrices inside the blocks, AdamW for everything else, or AdamW for all.

Sources: Loshchilov and Hutter 2019, arXiv 1711.05101 (AdamW); Jordan et al. 2024, "Muon: an optimizer for the hidden
layers of neural networks".
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from .settings import Optim

# Each round maps a singular value s to a s + b s^3 + c s^5; the five together bring [0.001, 1] into 1 +- 0.15. They are
# the best odd polynomials for where the round before leaves s (Amsel et al. 2025, arXiv 2505.16932), each made safe
# against rounding by a factor of 1.01.
ROUNDS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
SAFETY = 1.01


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal: all its singular values become about 1.

    Matrices of one shape are stacked and orthogonalised together.
    """

    def __init__(self, matrices: list[nn.Parameter], s: Optim):
        super().__init__(matrices, {"lr": s.matrix_rate})
        self.s = s
        shapes = defaultdict(list)
        for p in matrices:
            shapes[tuple(p.shape)].append(p)
        self.stacks = list(shapes.values())
        self.moments = [torch.zeros(len(ps), *ps[0].shape, device=ps[0].device) for ps in self.stacks]

    @torch.no_grad()
    def step(self, closure=None):
        rate, s = self.param_groups[0]["lr"], self.s
        momentum = self.param_groups[0].get("momentum", s.momentum)
        for matrices, moment in zip(self.stacks, self.moments, strict=True):
            gradient = torch.stack([p.grad for p in matrices])
            moment.lerp_(gradient, 1 - momentum)
            update = orthogonal(gradient.lerp_(moment, momentum))  # in float32: bfloat16 diverges in the first round
            tall = max(1.0, matrices[0].shape[0] / matrices[0].shape[1]) ** 0.5
            if s.weight_decay:
                torch._foreach_mul_(matrices, 1 - rate * s.weight_decay)
            torch._foreach_add_(matrices, list(update.unbind()), alpha=-rate * tall)


def orthogonal(x: Tensor) -> Tensor:
    """The nearest matrices whose singular values are about 1: (N, m, n) -> (N, m, n)."""
    if x.shape[-2] < x.shape[-1]:
        return orthogonal(x.mT).mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * SAFETY + 1e-7)
    return in_gram_space(x) if x.shape[-2] > 2 * x.shape[-1] else plainly(x)


def plainly(x: Tensor) -> Tensor:
    """The rounds on the matrices themselves, (N, m, n)."""
    for a, b, c in ROUNDS:
        gram = x.mT @ x
        inner = torch.baddbmm(gram, gram, gram, beta=b / SAFETY**3, alpha=c / SAFETY**5)
        x = torch.baddbmm(x, x, inner, beta=a / SAFETY)
    return x


def in_gram_space(x: Tensor) -> Tensor:
    """The same for tall matrices: the rounds on their small Gram matrices; x is touched twice only."""
    gram, turn = x.mT @ x, None
    for number, (a, b, c) in enumerate(ROUNDS, start=1):
        inner = torch.baddbmm(gram, gram, gram, beta=b / SAFETY**3, alpha=c / SAFETY**5)
        inner.diagonal(dim1=-2, dim2=-1).add_(a / SAFETY)
        turn = inner if turn is None else turn @ inner
        if number < len(ROUNDS):
            gram = inner @ gram @ inner
    return x @ turn


def build(model: nn.Module, s: Optim) -> list[torch.optim.Optimizer]:
    """The optimizers for a model."""
    inner = [p for n, p in model.named_parameters() if ".blocks." in n and p.ndim == 2] if s.name == "muon" else []
    taken = {id(p) for p in inner}
    rest = [(n, p) for n, p in model.named_parameters() if id(p) not in taken]
    rates = {"embed": s.embed_rate or s.rate, "head": s.head_rate or s.rate}
    groups = defaultdict(list)
    for name, p in rest:
        groups[rates.get(name.split(".")[0], s.rate), s.weight_decay if p.ndim >= 2 else 0.0].append(p)
    groups = [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]
    adam = torch.optim.AdamW(groups, betas=(s.beta1, s.beta2), eps=1e-10 if s.name == "muon" else 1e-8, fused=True)
    optimizers = [adam] + ([Muon(inner, s)] if inner else [])
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float, step: int, s: Optim) -> None:
    """Every learning rate to `factor` times its peak, and Muon's momentum to what this step (from 0) asks for."""
    done = min(1.0, step / max(1, s.momentum_steps))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
            if isinstance(optimizer, Muon):
                group["momentum"] = s.momentum_start + (s.momentum - s.momentum_start) * done


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
            optimizers[0].state[p] = {k: left.pop(key).to(p.device) for k, key in keys.items()}
        for muon in optimizers[1:]:
            for matrices, moment in zip(muon.stacks, muon.moments, strict=True):
                moment.copy_(torch.stack([left.pop(f"muon.{names[id(p)]}") for p in matrices]))
    except KeyError as error:
        raise CheckpointError(f"state: {error.args[0]} is missing; it belongs to another model or optimizer") from None
    if left:
        raise CheckpointError(f"state: {sorted(left)[0]} is unknown; it belongs to another model or optimizer")
