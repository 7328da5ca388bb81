"""A matrix as int8 or int4, in place of nn.Linear, and an embedding as int8.

int8: w = q * s with one s for each output. int4: w = (q - z) * s with q and z of 0..15, one s and z for each group of
inputs of each output. torch's packed kernels are called in this file only, beside the same product in plain words.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError

FEW_ROWS = 16  # up to here torch's int8 product in bfloat16 beats a float32 one over the matrix made anew


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


def product8(x: Tensor, values: Tensor, scale: Tensor) -> Tensor:
    """x (M, K) times (values (N, K) int8 * scale (N,))^T -> (M, N).

    torch's kernel is fast in bfloat16 only, so a float32 x is rounded to it where there are few rows.
    """
    wide = x.dtype != torch.bfloat16
    if x.device.type != "cpu" or not hasattr(torch, "_weight_int8pack_mm") or (wide and len(x) > FEW_ROWS):
        return plain8(x, values, scale)
    if scale.dtype == torch.bfloat16:
        return torch._weight_int8pack_mm(x.bfloat16(), values, scale)
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
