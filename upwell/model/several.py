"""Several adapters (LoRA) over one model, of which each row of a batch has one or none.

    thin = [read(model, folder) for folder in folders]      # the model stays as it is
    model = attach(model, thin)                             # in place
    model.choice.rows = tensor([0, 2, 1])                   # before it reads three rows: 0 is none, 2 the second

The model's own matrices are read once for all rows. What is written equals what the model with that adapter alone
writes, up to rounding. It knows no text; decoders only, whose rows stay apart on their way through the blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from . import lora
from .transformer import Transformer


class Thin(NamedTuple):
    """What an adapter adds to one matrix (N, K): b @ a."""

    a: Tensor
    """(rank, K)."""
    b: Tensor
    """(N, rank), the adapter's scale included."""


class Choice:
    """Which adapter each row has; the matrices of one model share it."""

    def __init__(self):
        self.rows: Tensor | None = None
        """(B,) int64, 0 for none; None: no row has any."""


class Chosen(nn.Module):
    """A matrix with several adapters: x (B, T, K) -> (B, T, N)."""

    def __init__(self, base: nn.Module, choice: Choice, down: Tensor, up: Tensor):
        super().__init__()
        self.base, self.choice = base, choice
        self.in_features, self.out_features = base.in_features, base.out_features
        self.register_buffer("down", down, persistent=False)  # (adapters + 1, K, rank), the first of zeros
        self.register_buffer("up", up, persistent=False)  # (adapters + 1, rank, N)

    def forward(self, x: Tensor) -> Tensor:
        y, rows = self.base(x), self.choice.rows
        if rows is None:
            return y
        return torch.baddbmm(y, torch.bmm(x, self.down[rows]), self.up[rows])


def read(model: Transformer, folder) -> dict[str, Thin]:
    """The adapters of a folder that PEFT or `lora.save` wrote, by the names of our matrices.

    CheckpointError for a folder that does not fit this model, or whose adapter is more than thin matrices.
    """
    if model.encoder is not None:
        raise CheckpointError(f"{folder}: adapters beside each other need a decoder, found {model.config.kind} with an "
                              "encoder; open the folder into which the adapter was merged")  # fmt: skip
    wrapped = lora.load(model.twin(), folder)
    if more := lora.whole(wrapped):
        raise CheckpointError(f"{folder}: the adapter also holds {more[0]} as a whole, which cannot stand beside the "
                              "model's own; open the folder into which it was merged")  # fmt: skip
    found = {name: Thin(part.a.detach(), part.b.detach() * part.scale) for name, part in lora.adapters(wrapped).items()}
    if apart := [name for name in found if ".experts." in name]:
        raise CheckpointError(f"{folder}: the adapter changes {apart[0]}, whose rows do not stay apart; open the "
                              "folder into which it was merged")  # fmt: skip
    return found


def attach(model: Transformer, several: Sequence[dict[str, Thin]]) -> Transformer:
    """Give a model these adapters, in place; the first has the number 1. It may be laid out (see `laid`)."""
    model.choice = Choice()
    placed: dict[str, list[tuple[int, int, Thin]]] = {}
    for number, thin in enumerate(several, start=1):
        for name, part in thin.items():
            where, first = place(model, name)
            placed.setdefault(where, []).append((number, first, part))
    for name, parts in placed.items():
        base = model.get_submodule(name)
        model.set_submodule(name, Chosen(base, model.choice, *stacked(base, parts, len(several), model)))
    return model


def place(model: Transformer, name: str) -> tuple[str, int]:
    """The matrix in which one of ours lies, and at which of its outputs it begins."""
    parent, _, leaf = name.rpartition(".")
    joint = getattr(model.get_submodule(parent), "joint", None)
    c = model.config
    if joint is None or leaf not in ("q", "k", "v", "gate", "up"):
        return name, 0
    queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
    begins = {"q": 0, "k": queries, "v": queries + keys, "gate": 0, "up": joint.out_features // 2}
    return f"{parent}.joint", begins[leaf]


def stacked(base: nn.Module, parts: list[tuple[int, int, Thin]], count: int, model: Transformer) -> tuple:
    """down (count + 1, K, rank) and up (count + 1, rank, N) of one matrix; what an adapter lacks is zero.

    Parts of a joint matrix lie beside each other in the rank of their adapter.
    """
    ranks = [0] * (count + 1)
    for number, _, thin in parts:
        ranks[number] += len(thin.a)
    sizes = dict(device=model.device, dtype=model.dtype)
    down = torch.zeros(count + 1, base.in_features, max(ranks), **sizes)
    up = torch.zeros(count + 1, max(ranks), base.out_features, **sizes)
    taken = [0] * (count + 1)
    for number, first, thin in parts:
        begin, end = taken[number], taken[number] + len(thin.a)
        down[number, :, begin:end] = thin.a.T
        up[number, begin:end, first : first + len(thin.b)] = thin.b.T
        taken[number] = end
    return down, up
