"""Optimizers: one for all, or Muon for the matrices inside the blocks and AdamW for everything else.

    optimizers = build(model, s)             # over what asks for gradients; groups by rate and decay
    set_rate(optimizers, factor, step, s)    # before each step
    tensors(model, optimizers)               # all that they remember, by parameter name: written, or copied into

What an optimizer remembers is there from the beginning, zeros, so that memory does not grow at the first step and a
resume copies into it. AdamW and SGD do what torch's do, number for number; torch's own load its compiler first, 1.3 s
of every start. Sources: Loshchilov and Hutter 2019, arXiv 1711.05101 (AdamW);
Shazeer and Stern 2018, arXiv 1804.04235 (Adafactor); Jordan et al. 2024, "Muon: an optimizer for the hidden layers of
neural networks"; Clark et al. 2020, arXiv 2003.10555 (rates that fall from layer to layer).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, SettingsError
from .parallel import local, together
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


class Optimizer(torch.optim.Optimizer):
    """torch's, whose groups are taken without the guard that loads torch's compiler."""

    add_param_group = torch.optim.Optimizer.add_param_group.__wrapped__

    def remember(self, *names: str, counts: bool = False) -> None:
        """Zeros under each name for each parameter, and a count of its steps."""
        for p in (p for group in self.param_groups for p in group["params"]):
            counter = {"step": torch.zeros((), device=p.device)} if counts else {}
            self.state[p] = counter | {name: torch.zeros_like(p) for name in names}

    def alike(self, group: dict) -> Iterator[tuple[list[Tensor], ...]]:
        """What of a group has a gradient, by device and kind of number: parameters, gradients, then what of each name
        is remembered: the parts that this process holds."""
        found = defaultdict(list)
        for p in group["params"]:
            if p.grad is not None:
                found[p.device, p.dtype].append((p, p.grad, *self.state[p].values()))
        for rows in found.values():
            yield tuple([local(x) for x in column] for column in zip(*rows, strict=True))


class SGD(Optimizer):
    """Against the gradient; with momentum, against what is left of the gradients before too."""

    def __init__(self, groups: list, s: Optim):
        super().__init__(groups, {"lr": s.rate, "weight_decay": s.weight_decay})
        self.momentum, self.nesterov = s.momentum, s.nesterov
        self.remember(*["momentum_buffer"] * bool(s.momentum))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for params, gradients, *moments in self.alike(group):
                if group["weight_decay"]:
                    gradients = torch._foreach_add(gradients, params, alpha=group["weight_decay"])
                if moments:
                    torch._foreach_mul_(moments[0], self.momentum)
                    torch._foreach_add_(moments[0], gradients)
                    further = torch._foreach_add(gradients, moments[0], alpha=self.momentum) if self.nesterov else None
                    gradients = further or moments[0]
                torch._foreach_add_(params, gradients, alpha=-group["lr"])


class AdamW(Optimizer):
    """The mean gradient over the root of its mean square; what weights lose is apart from both."""

    def __init__(self, groups: list, s: Optim):
        super().__init__(groups, {"lr": s.rate, "weight_decay": s.weight_decay})
        self.fixed = {"beta1": s.beta1, "beta2": s.beta2, "eps": 1e-10 if s.name == "muon" else 1e-8}
        self.remember("exp_avg", "exp_avg_sq", counts=True)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for params, gradients, steps, means, squares in self.alike(group):
                torch._foreach_add_(steps, 1)
                torch._fused_adamw_(params, gradients, means, squares, [], steps, lr=group["lr"], amsgrad=False,
                                    weight_decay=group["weight_decay"], maximize=False, **self.fixed)  # fmt: skip


class Muon(Optimizer):
    """Momentum whose update is made orthogonal: all its singular values become about 1.

    Matrices of one shape are stacked and orthogonalised together.
    """

    def __init__(self, groups: list, s: Optim):
        super().__init__(groups, {"lr": s.matrix_rate, "momentum": s.momentum, "weight_decay": s.weight_decay})
        self.remember("momentum")

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[tuple(p.shape)].append(p)
            for matrices in shapes.values():
                self.update(matrices, group["lr"], group["momentum"], group["weight_decay"])

    def update(self, matrices: list[nn.Parameter], rate: float, momentum: float, decay: float) -> None:
        """One step of matrices of one shape."""
        gradients, here = [local(p.grad) for p in matrices], [local(p) for p in matrices]
        moments = [local(self.state[p]["momentum"]) for p in matrices]
        torch._foreach_lerp_(moments, gradients, 1 - momentum)
        torch._foreach_lerp_(gradients, moments, momentum)
        update = together(torch.stack(gradients), matrices[0], orthogonal)  # float32: bfloat16 diverges in a round
        tall = max(1.0, matrices[0].shape[0] / matrices[0].shape[1]) ** 0.5
        if decay:
            torch._foreach_mul_(here, 1 - rate * decay)
        torch._foreach_add_(here, list(update.unbind()), alpha=-rate * tall)


class Adafactor(Optimizer):
    """Adam without momentum whose squares of a matrix are remembered as one row and one column of means.

    A step is `lr` times the length of its parameter (the root of its mean square, at least FLOOR), and no longer than
    that. torch's own lets lr fall as 1 / sqrt(step) beside any schedule; this one does not.
    """

    TINY, FLOOR, FORGETS = 1e-30, 1e-3, 0.8

    def __init__(self, groups: list, s: Optim):
        super().__init__(groups, {"lr": s.rate, "weight_decay": s.weight_decay})
        for p in (p for group in self.param_groups for p in group["params"]):
            wide = p.dim() >= 2
            sides = {"row": p.shape[:-1], "column": p.shape[:-2] + p.shape[-1:]} if wide else {"square": p.shape}
            self.state[p] = {"step": torch.zeros(())} | {name: p.new_zeros(shape) for name, shape in sides.items()}

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, group["lr"], group["weight_decay"])

    def update(self, p: nn.Parameter, rate: float, decay: float) -> None:
        """One step of one parameter."""
        state, gradient = self.state[p], p.grad
        state["step"] += 1
        new, square = state["step"].item() ** -self.FORGETS, gradient.square() + self.TINY
        if "row" in state:
            row, column = state["row"].lerp_(square.mean(-1), new), state["column"].lerp_(square.mean(-2), new)
            scale = (row / row.mean(-1, keepdim=True)).rsqrt_().unsqueeze(-1) * column.rsqrt().unsqueeze(-2)
        else:
            scale = state["square"].lerp_(square, new).rsqrt()
        change = scale.mul_(gradient)
        length, size = root_mean_square(change), root_mean_square(p)
        p.mul_(1 - rate * decay)
        p.sub_(change * (rate * size.clamp(min=self.FLOOR) / length.clamp(min=1.0)))


def root_mean_square(x: Tensor) -> Tensor:
    """The length of a number in x, 0-d."""
    return x.square().mean().sqrt()


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
    """The optimizers for what learns in a model. SettingsError where nothing does."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not learning:
        raise SettingsError("found a model in which nothing learns; expected a parameter that is not frozen")
    inner, rest = defaultdict(list), defaultdict(list)
    peaks = {"embed": s.embed_rate or s.rate, "head": s.head_rate or s.rate}
    for name, p in learning:
        share = s.layer_decay ** below(name, model)
        if s.name == "muon" and ".blocks." in name and p.ndim == 2:
            inner[s.matrix_rate * share * of_queries(name, model), s.weight_decay].append(p)
        else:
            peak = peaks.get(name.split(".")[0], s.rate)
            rest[peak * share, 0.0 if p.ndim < 2 or ".bias." in name else s.weight_decay].append(p)
    others = {"sgd": SGD, "adafactor": Adafactor}.get(s.name, AdamW)
    optimizers = [others(groups_of(rest), s)] if rest else []
    optimizers += [Muon(groups_of(inner), s)] if inner else []
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def of_queries(name: str, model: nn.Module) -> float:
    """What Muon's rate of a matrix is multiplied by where attention does not divide its scores by the root of the
    heads' size (T5): its queries are smaller by that from the first draw on, and at the full rate they soon are not,
    so that every query looks at one key alone and nothing is learnt from the others. AdamW's stays as it is, so that
    its steps are those of transformers."""
    undivided = model.config.attention_scale == 1.0
    return model.config.head_dim**-0.5 if undivided and name.endswith((".attn.q.weight", ".cross.q.weight")) else 1.0


def groups_of(found: Mapping[tuple[float, float], list[nn.Parameter]]) -> list[dict]:
    """(rate, decay) -> parameters, as torch's groups."""
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in found.items()]


def below(name: str, model: nn.Module) -> int:
    """How many layers stand above a parameter in its stack: 0 for the head, 1 for the last block."""
    side, _, rest = name.partition(".")
    if side == "embed":
        side = "encoder" if model.encoder is not None else "decoder"
    stack = getattr(model, side) if side in ("encoder", "decoder") else None
    if stack is None or rest.startswith("norm."):
        return 0
    place = int(rest.split(".")[1]) if rest.startswith("blocks.") else -1
    return len(stack.blocks) - place


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float, step: int, s: Optim) -> None:
    """Every learning rate to `factor` times its peak, and Muon's momentum to what this step (from 0) asks for."""
    done = min(1.0, step / max(1, s.momentum_steps))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
            if isinstance(optimizer, Muon):
                group["momentum"] = s.momentum_start + (s.momentum - s.momentum_start) * done


def tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimizers remember, by parameter name: the tensors themselves."""
    names, found = {id(p): n for n, p in model.named_parameters()}, {}
    for optimizer in optimizers:
        kind = type(optimizer).__name__.lower()
        for p, state in optimizer.state.items():
            found |= {f"{kind}.{names[id(p)]}.{key}": value for key, value in state.items()}
    return found


@torch.no_grad()
def restore(model: nn.Module, optimizers: list[torch.optim.Optimizer], found: Mapping[str, Tensor]) -> None:
    """Copy what `tensors` gave into the optimizers; every one must be there and none left over."""
    wanted = tensors(model, optimizers)
    fitting(wanted, found)
    for name, tensor in wanted.items():
        tensor.copy_(found[name])


def fitting(wanted: Mapping, found: Mapping) -> None:
    """CheckpointError where two sets of names differ."""
    for names, what in ((wanted.keys() - found.keys(), "missing"), (found.keys() - wanted.keys(), "unknown")):
        if names:
            raise CheckpointError(f"state: {min(names)} is {what}; it belongs to another model or optimizer")
