"""Smaller weights: the matrices of a model's blocks as int8 or int4, while everything that is computed stays float.

    small = quantize(model, Scheme(bits=4))     # a model over fewer bytes; the float one stays as it is

Weights are rounded to the nearest point of a grid; no text is looked at. The matrices themselves are in rounded.py,
their folders in compressed.py.

Source: clipping by squared error: Sung et al. 2015 and others since.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .config import Config
from .rounded import Int4, Int8, Int8Embedding
from .transformer import Transformer

FACTORS = (1.07, 1.0, 0.95, 0.9, 0.86, 0.82, 0.78, 0.74, 0.7)  # shares of a group's spread that grids are tried over


@dataclass(frozen=True)
class Scheme:
    """How weights are rounded."""

    bits: Literal[8, 4] = 8
    """8: one scale an output. 4: one scale and zero a group of inputs."""
    group: int = 32
    """int4: inputs of a group. A matrix whose inputs no group divides stays float."""
    symmetric: bool = True
    """int4: 0 stands in the middle of every grid. A zero for each group errs a third less, but transformers 5.23 opens
    such a folder only with quantization_config=CompressedTensorsConfig(dequantize=True)."""
    embedding: Literal["int8", "float"] = "int8"
    """The embedding and the output matrix: int8 by row, or as they are."""
    keep: bool = True
    """int4: a matrix whose groups already lie on 16 points (a dequantised Q4_1 file) keeps them, with no second
    rounding. Such a model cannot be saved in int4: the layout knows no zeros between the points."""


def round8(weight: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """A matrix (N, K) -> int8 (N, K) and the scale of each row (N,) in dtype, by default the matrix's."""
    wide = weight.float()
    scale = (wide.abs().amax(1) / 127).clamp(min=1e-30).to(dtype or weight.dtype)
    return (wide / scale[:, None].float()).round().clamp(-127, 127).to(torch.int8), scale


def round4(weight: Tensor, group: int, symmetric: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """A matrix (N, K) -> q (N, K) uint8 of 0..15, scales (N, K / group) in the matrix's type, zeros int8 of 0..15.

    Scales are numbers that bfloat16 holds. Of a few grids the one with the least squared error is taken.
    """
    blocks = weight.float().view(len(weight), -1, group)
    best = None
    for scale, zero in (centred if symmetric else shifted)(blocks.amin(-1), blocks.amax(-1)):
        found = on_grid(blocks, scale, zero)
        best = found if best is None else better(best, found)
    _, q, scale, zero = best
    return q.flatten(1), scale.to(weight.dtype), zero.to(torch.int8)


def points_of(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """The integers, steps and least values (N, K / group) of a matrix whose groups lie on 16 points each, exactly.

    None where they do not. Steps and least values are float16 numbers, as GGUF's Q4_1 has them.
    """
    blocks = weight.float().view(len(weight), -1, group)
    low, high = blocks.amin(-1), blocks.amax(-1)
    step, least = ((high - low) / 15).half().float(), low.half().float()
    q = ((blocks - least[..., None]) / step.clamp(min=1e-30)[..., None]).round().clamp(0, 15)
    if not torch.equal(q * step[..., None] + least[..., None], blocks):
        return None
    return q.to(torch.uint8).flatten(1), step.to(weight.dtype), least.to(weight.dtype)


def centred(low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Grids with their zero at 8 for blocks between low and high (N, G): scales and zeros."""
    largest = torch.maximum(-low, high)
    for factor in FACTORS:
        scale = (largest * (factor / 7.5)).clamp(min=1e-30).bfloat16().float()
        yield scale, torch.full_like(scale, 8.0)


def shifted(low: Tensor, high: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Grids with a zero of their own."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    for factor in FACTORS:
        scale = ((high - low) * (factor / 15)).clamp(min=1e-30).bfloat16().float()
        middle = (7.5 - (low + high) / 2 / scale).clamp(0, 15)
        yield scale, middle.floor()
        yield scale, middle.ceil()


def on_grid(blocks: Tensor, scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The squared error of each block (N, G, group) on a grid, its integers, and the grid (N, G) itself."""
    q = ((blocks / scale[..., None]).round() + zero[..., None]).clamp(0, 15)
    wrong = ((q - zero[..., None]) * scale[..., None] - blocks).square().sum(-1)
    return wrong, q.to(torch.uint8), scale, zero


def better(one: tuple, other: tuple) -> tuple:
    """For each group the one of two roundings that errs less."""
    less = other[0] < one[0]
    return tuple(torch.where(less[..., None] if a.dim() > less.dim() else less, b, a)
                 for a, b in zip(one, other, strict=True))  # fmt: skip


class Quantized(Transformer):
    """A Transformer with rounded matrices; it computes in the type of its norms and scales."""

    def output(self, x: Tensor) -> Tensor:
        """The output matrix alone: (..., D) -> (..., outputs)."""
        matrix = self.embed if self.head is None else self.head
        if isinstance(matrix, (nn.Linear, nn.Embedding)):
            return super().output(x)
        y = matrix.times(x.reshape(-1, x.shape[-1]), matrix.values, matrix.scale).view(*x.shape[:-1], -1)
        return y if self.output_bias is None else y + self.output_bias

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.held.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.held.dtype

    @property
    def held(self) -> Tensor:
        """A float tensor of the embedding."""
        return self.embed.scale if isinstance(self.embed, Int8Embedding) else self.embed.weight

    def twin(self) -> "Quantized":
        """A second model over the same weights, never compiled, not training."""
        shared = {id(t): t for t in self.state_dict(keep_vars=True).values()}
        return copy.deepcopy(self, shared).eval()


def quantize(model: Transformer, s: Scheme) -> Quantized:
    """A model over rounded weights; norms, biases and what is not rounded are shared with the float one."""
    small = empty(model.config)
    small.load_state_dict(model.state_dict(), assign=True)
    for name, part in matrices(small).items():
        if s.bits == 8:
            small.set_submodule(name, Int8(*round8(part.weight.detach()), part.bias))
        elif part.in_features % s.group == 0:
            kept = points_of(part.weight.detach(), s.group) if s.keep else None
            grid = kept or round4(part.weight.detach(), s.group, s.symmetric)
            small.set_submodule(name, Int4(*grid, part.bias))
    if s.embedding == "int8":
        round_embedding(small)
    return small.eval().requires_grad_(False)


def empty(config: Config) -> Quantized:
    """A model of a shape without memory for its weights."""
    with torch.device("meta"):
        return Quantized(config)


def matrices(model: Transformer) -> dict[str, nn.Linear]:
    """What is rounded: the matrices of the blocks, but a mixture's router."""
    return {name: part for name, part in model.named_modules()
            if type(part) is nn.Linear and ".blocks." in name and not name.endswith(".router")}  # fmt: skip


def round_embedding(model: Quantized) -> Quantized:
    """The embedding and the output matrix in int8, in place; a tied output reads the same integers."""
    model.embed = Int8Embedding(*round8(model.embed.weight.detach()))
    if isinstance(model.head, nn.Linear):
        model.head = Int8(*round8(model.head.weight.detach()), model.head.bias)
    return model


def floating(small: Quantized) -> Transformer:
    """A float model with the rounded numbers."""
    with torch.device("meta"):
        model = Transformer(small.config)
    names = [name for name, _ in model.named_parameters()]
    state = {name: getattr(parent(small, name), name.rpartition(".")[2]).detach().clone() for name in names}
    model.load_state_dict(state, assign=True)
    return model.eval()


def plainly(model: Quantized) -> Quantized:
    """Compute without torch's packed kernels from now on, in place: slow, for comparisons with other readers."""
    for part in model.modules():
        if isinstance(part, (Int8, Int4, Int8Embedding)):
            part.plain()
    return model


def size(model: nn.Module) -> int:
    """Bytes of a model's weights; what two parts share counts once."""
    every = [*model.parameters(), *model.buffers()]
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in every}.values())


def parent(model: nn.Module, name: str) -> nn.Module:
    """The module that has a tensor."""
    return model.get_submodule(name.rpartition(".")[0])
