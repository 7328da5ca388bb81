"""Smaller weights: the matrices of a model's blocks as int8 or int4, while everything that is computed stays float.

    small = quantize(model, Scheme(bits=4))     # a model over fewer bytes; the float one stays as it is
    to_theirs(small, rows), settings(...)       # as a folder in the layout "pack-quantized" of compressed-tensors

int8: w = q * s with one s for each output. int4: w = (q - z) * s with q and z of 0..15, one s and z for each `group`
inputs of each output. torch's packed kernels are called in this file only, beside the same product in plain words.
Weights are rounded to the nearest point of a grid; no text is looked at.

Sources: the layout: github.com/vllm-project/compressed-tensors; clipping by squared error: Sung et al. 2015 and others
since.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .config import Config
from .names import BASES, Row, bare
from .transformer import Transformer

FEW_ROWS = 16  # up to here torch's int8 product in bfloat16 beats a float32 one over the matrix made anew
FACTORS = (1.07, 1.0, 0.95, 0.9, 0.86, 0.82, 0.78, 0.74, 0.7)  # shares of a group's spread that grids are tried over
OUTPUTS = ("lm_head", "embed_out", "decoder", "cls.predictions.decoder", "lm_head.decoder", "vocab_projector")


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


class Product(torch.autograd.Function):
    """x W^T with a backward pass to x, for adapters on rounded weights; the float W is made twice and never kept."""

    @staticmethod
    def forward(ctx, x: Tensor, part) -> Tensor:
        ctx.part = part
        return part.product(x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient @ ctx.part.weight.to(gradient.dtype), None


class Rounded(nn.Module):
    """What Int8 and Int4 share: (..., K) -> (..., N), y = x W^T + bias."""

    def __init__(self, outputs: int, inputs: int, bias: Tensor | None):
        super().__init__()
        self.out_features, self.in_features = outputs, inputs
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, self.in_features)
        y = Product.apply(flat, self) if x.requires_grad and torch.is_grad_enabled() else self.product(flat)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def floating(self) -> nn.Linear:
        """The same matrix in float."""
        with torch.device("meta"):
            part = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        part.weight = nn.Parameter(self.weight)
        part.bias = None if self.bias is None else nn.Parameter(self.bias.detach().clone())
        return part


class Int8(Rounded):
    """W = values (N, K) int8 times scale (N,)."""

    def __init__(self, values: Tensor, scale: Tensor, bias: Tensor | None = None):
        super().__init__(*values.shape, bias)
        self.register_buffer("values", values.contiguous())
        self.register_buffer("scale", scale)
        self.times = product8

    @property
    def weight(self) -> Tensor:
        """The matrix in float, made anew."""
        return self.values.to(self.scale.dtype) * self.scale[:, None]

    def product(self, x: Tensor) -> Tensor:
        """x (M, K) -> (M, N)."""
        return self.times(x, self.values, self.scale)

    def plain(self) -> None:
        """From now on in plain words: slow, and in the full width of what comes in."""
        self.times = plain8

    def stored(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Signed integers (N, K), scales (N, 1) and no zero points, for a file."""
        return self.values, self.scale[:, None], None


class Int4(Rounded):
    """W = (q - zero) * scale: q (N, K) uint8 of 0..15, scale and zero (N, K / group).

    zero: whole numbers of 0..15 (int8). Float ones stand for W = q * scale + zero, as blocks of a GGUF file have them.
    """

    def __init__(self, q: Tensor, scale: Tensor, zero: Tensor, bias: Tensor | None = None):
        super().__init__(*q.shape, bias)
        self.group = q.shape[1] // scale.shape[1]
        self.register_buffer("scale", scale.contiguous())
        self.register_buffer("zero", zero.contiguous())
        self.register_buffer("packed", None)
        self.register_buffer("grid", None, persistent=False)
        self.hold(q)

    def hold(self, q: Tensor) -> None:
        """Keep q in the order that the kernel of its device wants, or two to a byte where there is no such kernel."""
        self.kernel = kernel_for(*q.shape, self.group, q.device.type)
        self.packed = packed_for(self.kernel, q)
        self.grid = None if self.kernel == "plain" else grid_of(self.scale, self.zero)

    @property
    def q(self) -> Tensor:
        """The integers, (N, K) uint8 of 0..15."""
        if self.kernel == "plain":
            return torch.stack((self.packed & 15, self.packed >> 4), -1).flatten(1)
        one = torch.eye(self.in_features, dtype=torch.bfloat16, device=self.packed.device)
        grid = torch.zeros_like(self.grid)
        grid[..., 0] = 1  # (q - 8) * 1 + 0: small whole numbers, which bfloat16 holds exactly
        return (product4(one, self.packed, self.group, grid, self.kernel).T + 8).to(torch.uint8)

    @property
    def weight(self) -> Tensor:
        """The matrix in float, made anew."""
        return plain4(self.q, self.scale, self.zero)

    def product(self, x: Tensor) -> Tensor:
        """x (M, K) -> (M, N)."""
        if self.kernel == "plain":
            return F.linear(x, self.weight.to(x.dtype))
        return product4(x, self.packed, self.group, self.grid, self.kernel)

    def plain(self) -> None:
        """From now on in plain words: slow, and in the full width of what comes in."""
        self.packed, self.kernel, self.grid = packed_for("plain", self.q), "plain", None

    def _apply(self, change, recurse=True):
        """Move to another device or type; another kind of device wants the integers in another order."""
        q = self.q if change(self.scale).device.type != self.scale.device.type else None
        super()._apply(change, recurse)
        if q is not None:
            self.hold(q.to(self.scale.device))
        elif self.grid is not None:
            self.grid = self.grid.bfloat16()
        return self

    def stored(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Signed integers (N, K), scales (N, K / group) and signed zero points, for a file.

        CheckpointError where zeros are no whole numbers, as in blocks that a GGUF file brought.
        """
        if self.zero.is_floating_point():
            raise CheckpointError("found int4 blocks whose zeros lie between the steps of their grid (Q4_1 of a GGUF "
                                  "file); the layout pack-quantized cannot hold them, so save the float model instead")
        return (self.q - 8).to(torch.int8), self.scale, (self.zero - 8).to(torch.int8)


class Int8Embedding(nn.Module):
    """Rows of int8, each with a scale: ids (...) -> (..., D)."""

    def __init__(self, values: Tensor, scale: Tensor):
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("scale", scale)
        self.times = product8

    def plain(self) -> None:
        """The output matrix over these rows in plain words."""
        self.times = plain8

    def forward(self, ids: Tensor) -> Tensor:
        return self.values[ids].to(self.scale.dtype) * self.scale[ids][..., None]

    @property
    def weight(self) -> Tensor:
        """The rows in float, made anew."""
        return self.values.to(self.scale.dtype) * self.scale[:, None]


# ---- kernels ----


def product8(x: Tensor, values: Tensor, scale: Tensor) -> Tensor:
    """x (M, K) times (values (N, K) int8 * scale (N,))^T -> (M, N).

    torch's kernel is fast in bfloat16 only, so a float32 x is rounded to it where there are few rows.
    """
    wide = x.dtype != torch.bfloat16
    if x.device.type != "cpu" or not hasattr(torch, "_weight_int8pack_mm") or (wide and len(x) > FEW_ROWS):
        return plain8(x, values, scale)
    one = torch.ones(len(values), dtype=torch.bfloat16)
    return torch._weight_int8pack_mm(x.bfloat16(), values, one).to(scale.dtype) * scale


def plain8(x: Tensor, values: Tensor, scale: Tensor) -> Tensor:
    """The same in plain words."""
    return F.linear(x, values.to(x.dtype)) * scale.to(x.dtype)


def kernel_for(N: int, K: int, group: int, device: str) -> Literal["cpu", "cuda", "plain"]:
    """Which int4 kernel of torch takes an (N, K) matrix."""
    if group not in (32, 64, 128, 256):
        return "plain"
    if device == "cpu" and hasattr(torch, "_weight_int4pack_mm_for_cpu") and N % 16 == 0 and K % 2 == 0:
        return "cpu"
    if device == "cuda" and hasattr(torch, "_weight_int4pack_mm") and N % 8 == 0 and K % 128 == 0:
        return "cuda"
    return "plain"


def packed_for(kernel: str, q: Tensor) -> Tensor:
    """q (N, K) uint8 of 0..15 in the order of a kernel."""
    if kernel == "cpu":
        return torch._convert_weight_to_int4pack_for_cpu(q.to(torch.int32), 1)
    if kernel == "cuda":
        return torch._convert_weight_to_int4pack((q[:, ::2] << 4 | q[:, 1::2]).contiguous(), 8)
    return (q[:, ::2] | q[:, 1::2] << 4).contiguous()


def product4(x: Tensor, packed: Tensor, group: int, grid: Tensor, kernel: str) -> Tensor:
    """x (M, K) times W^T -> (M, N), W as `packed_for` keeps it on the grid (K / group, N, 2) in bfloat16.

    Both kernels are called in bfloat16: the one of the GPU knows no other type, that of the CPU is slow in others.
    """
    if kernel == "cuda":
        return torch._weight_int4pack_mm(x.bfloat16(), packed, group, grid).to(x.dtype)
    return torch._weight_int4pack_mm_for_cpu(x.bfloat16(), packed, group, grid).to(x.dtype)


def plain4(q: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """q (N, K), scale and zero (N, K / group) -> W (N, K) in the scale's type."""
    blocks, scale, zero = q.view(*scale.shape, -1).to(scale.dtype), scale[..., None], zero[..., None]
    exact = blocks * scale + zero if zero.is_floating_point() else (blocks - zero.to(scale.dtype)) * scale
    return exact.flatten(1)


def grid_of(scale: Tensor, zero: Tensor) -> Tensor:
    """(K / group, N, 2) in bfloat16: s and z of W = (q - 8) * s + z, which the kernels know."""
    wide = scale.float()
    middle = zero.float() + 8 * wide if zero.is_floating_point() else (8 - zero.float()) * wide
    return torch.stack((wide, middle), -1).transpose(0, 1).contiguous().bfloat16()


# ---- rounding ----


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


def blocks_to_int4(d: Tensor, m: Tensor, nibbles: Tensor, bias: Tensor | None = None, dtype=torch.float32) -> Int4:
    """Blocks W = d * nibble + m, as Q4_1 of GGUF has them, kept as they are: d, m (N, K / 32), nibbles (N, K) uint8.

    dtype: what the model computes in; float32 holds d and m exactly, so that no weight is rounded a second time.
    """
    return Int4(nibbles.view(len(d), -1), d.to(dtype), m.to(dtype), bias)


# ---- models ----


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


# ---- folders ----


def to_theirs(model: Quantized, rows: list[Row]) -> dict[str, Tensor]:
    """Our tensors under Hugging Face's names, rounded matrices in the layout pack-quantized."""
    theirs, symmetric = {}, centred_everywhere(model)
    for row in rows:
        parts = [parent(model, name) for name in row.ours]
        if row.ours[0].endswith(".weight") and isinstance(parts[0], (Int8, Int4)) and ".blocks." in row.ours[0]:
            theirs |= packed_row(row, parts, symmetric)
        else:
            theirs[row.theirs] = row.write([getattr(part, name.rpartition(".")[2]).detach()
                                            for part, name in zip(parts, row.ours, strict=True)])  # fmt: skip
    return {name: tensor.detach().cpu().contiguous() for name, tensor in theirs.items()}


def centred_everywhere(model: Quantized) -> bool:
    """Whether no group needs a zero of its own."""
    return all(bool((part.zero == 8).all()) for part in model.modules() if isinstance(part, Int4))


def parent(model: nn.Module, name: str) -> nn.Module:
    """The module that has a tensor."""
    return model.get_submodule(name.rpartition(".")[0])


def packed_row(row: Row, parts: list[Int8 | Int4], symmetric: bool) -> dict[str, Tensor]:
    """The tensors of one rounded matrix of theirs."""
    stem, bits, stored = row.theirs.removesuffix("weight"), width(parts[0]), [part.stored() for part in parts]
    values, scale = row.write([s[0] for s in stored]), row.write([s[1] for s in stored])
    outputs = sum(part.out_features for part in parts)
    if values.shape != (outputs, parts[0].in_features) or scale.shape[0] != outputs or ".experts." in row.theirs:
        raise CheckpointError(f"{row.theirs}: this family's matrices cannot be kept in the layout pack-quantized (it "
                              "stores them as (in, out), or many in one); save the float model and round it after load")
    found = {"weight_packed": packed32(values, bits), "weight_scale": scale,
             "weight_shape": torch.tensor(values.shape)}  # fmt: skip
    if not symmetric:
        found["weight_zero_point"] = packed32(row.write([s[2] for s in stored]).T, bits).T
    return {stem + name: tensor for name, tensor in found.items()}


def width(part: nn.Module) -> int:
    """Bits of a rounded matrix."""
    return 8 if isinstance(part, Int8) else 4


def packed32(values: Tensor, bits: int) -> Tensor:
    """Signed integers (N, K) -> (N, ceil(K * bits / 32)) int32, the first in the lowest bits."""
    count = 32 // bits
    raised = F.pad(values.to(torch.int64) + (1 << bits - 1), (0, -values.shape[1] % count))
    shifts = torch.arange(count, device=values.device) * bits
    return (raised.view(len(values), -1, count) << shifts).sum(-1).to(torch.int32)


def unpacked32(words: Tensor, bits: int, columns: int) -> Tensor:
    """The way back: (N, columns) int8."""
    shifts = torch.arange(32 // bits, dtype=torch.int32, device=words.device) * bits
    raised = (words[..., None] >> shifts) & (1 << bits) - 1
    return (raised.flatten(1)[:, :columns] - (1 << bits - 1)).to(torch.int8)


def settings(model: Quantized, rows: list[Row]) -> dict:
    """The quantization_config of a config.json; {} where no matrix is rounded."""
    rounded = {name: part for name, part in model.named_modules()
               if isinstance(part, (Int8, Int4)) and ".blocks." in name}  # fmt: skip
    if not rounded:
        return {}
    first = next(iter(rounded.values()))
    int4 = isinstance(first, Int4)
    weights = {"num_bits": width(first), "type": "int", "symmetric": centred_everywhere(model),
               "strategy": "group" if int4 else "channel", "group_size": first.group if int4 else None}  # fmt: skip
    left = {row.theirs.removesuffix(".weight") for row in rows
            if row.theirs.endswith(".weight") and row.ours[0].removesuffix(".weight") not in rounded}  # fmt: skip
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "config_groups": {"group_0": group}, "ignore": sorted(left | set(OUTPUTS)), "kv_cache_scheme": None,
    }}  # fmt: skip


def bits_of(said: dict) -> int:
    """Bits of the matrices of a folder, from its quantization_config; CheckpointError for what is not known here."""
    if said.get("quant_method") != "compressed-tensors" or said.get("format") != "pack-quantized":
        raise CheckpointError(f"config.json: quantization_config is {said.get('quant_method')!r} in the layout "
                              f"{said.get('format')!r}; upwell knows compressed-tensors in pack-quantized")
    groups = list((said.get("config_groups") or {}).values())
    weights = [group.get("weights") or {} for group in groups]
    bits = {w.get("num_bits") for w in weights}
    if len(bits) != 1 or not bits <= {4, 8} or any(w.get("type") != "int" for w in weights):
        raise CheckpointError(f"config.json: quantization_config has weights of {sorted(map(str, bits))} bits; upwell "
                              "knows one group of 8 or 4 bit integers")
    if any(group.get("input_activations") for group in groups) or said.get("kv_cache_scheme"):
        raise CheckpointError("config.json: quantization_config rounds activations too; upwell rounds weights only")
    return bits.pop()


def split(tensors: dict[str, Tensor], said: dict) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor | None]]]:
    """The tensors of a rounded folder -> tensors with integers (N, K) in the matrices' places, and by matrix the scale
    and the zero points (N, G), signed."""
    bits, plain, grids = bits_of(said), {}, {}
    stems = [name.removesuffix("_packed") for name in tensors if name.endswith(".weight_packed")]
    for stem in stems:
        if f"{stem}_g_idx" in tensors:
            raise CheckpointError(f"{stem}_g_idx: groups in another order than the inputs' are not known here")
        N, K = tensors[f"{stem}_shape"].tolist()
        scale, point = tensors[f"{stem}_scale"], tensors.get(f"{stem}_zero_point")
        plain[stem] = unpacked32(tensors[f"{stem}_packed"], bits, K)
        grids[stem] = scale, None if point is None else unpacked32(point.T, bits, N).T
    taken = re.compile(r"_(packed|scale|shape|zero_point)$")
    rest = {name: t for name, t in tensors.items() if not (taken.search(name) and taken.sub("", name) in grids)}
    return rest | plain, grids


def build(config: Config, state: dict[str, Tensor], grids: dict[str, tuple], rows: list[Row], bits: int, device="cpu",
          dtype: torch.dtype | None = None) -> Quantized:  # fmt: skip
    """A model from its tensors under our names, the rounded ones integers, and their grids under Hugging Face's."""
    model, bounds = empty(config), translated(grids, rows)
    for name, part in matrices(model).items():
        if f"{name}.weight" in bounds:
            bias = None if part.bias is None else state.pop(f"{name}.bias").to(device, dtype)
            grid = [None if t is None else t.to(device) for t in bounds[f"{name}.weight"]]
            model.set_submodule(name, restored(state.pop(f"{name}.weight").to(device), *grid, bias, bits, dtype))
    floats = {name: t.to(device, dtype or t.dtype) for name, t in state.items()}
    left = [name for name in model.load_state_dict(floats, strict=False, assign=True).unexpected_keys]
    if left:
        raise CheckpointError(f"{left[0]}: only the matrices of the blocks may be rounded")
    return model.eval().requires_grad_(False)


def translated(grids: dict[str, tuple], rows: list[Row]) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Scales and zero points under our names."""
    found = {}
    for row in rows:
        names = (row.theirs, bare(row.theirs), *(base + row.theirs for base in BASES))
        name = next((name for name in names if name in grids), None)
        if name is not None:
            parts = [[None] * len(row.ours) if t is None else row.read(t) for t in grids[name]]
            found |= dict(zip(row.ours, zip(*parts, strict=True), strict=True))
    return found


def restored(values: Tensor, scale: Tensor, point: Tensor | None, bias: Tensor | None, bits: int,
             dtype: torch.dtype | None) -> Int8 | Int4:  # fmt: skip
    """A matrix from signed integers (N, K), scales (N, G) and signed zero points (N, G) or none."""
    dtype = dtype or scale.dtype
    if bits == 8:
        if scale.shape[1] != 1 or point is not None:
            raise CheckpointError("found int8 weights with groups or zero points; upwell knows one scale an output")
        return Int8(values, scale[:, 0].to(dtype), bias)
    zero = torch.full(scale.shape, 8, dtype=torch.int8) if point is None else point + 8
    return Int4((values + 8).to(torch.uint8), scale.to(dtype), zero.to(scale.device), bias)
