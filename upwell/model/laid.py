"""The matrices of a model as a CPU reads them fastest, for writing texts: such a model cannot be saved or trained.

In bfloat16 torch hands rows as they are to oneDNN, which reads them at a third of the memory's speed where they meet
few rows of x; laid out in its own order beforehand they are read nearly twice as fast. In all formats matrices that
read the same x become one: a step of a small model is as much calls as it is numbers. torch's kernels for
oneDNN's order are called in this file only.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .quantize import Quantized, matrices
from .rounded import Int4, Int8
from .transformer import Transformer

FEW = 1  # rows of x that the order is made for; it serves more as well


class Laid(nn.Module):
    """A matrix in place of nn.Linear: (..., K) -> (..., N)."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.laid = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), FEW)

    @property
    def weight(self) -> Tensor:
        """The matrix as it was, made anew."""
        return self.laid.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.laid, self.bias, self.out_features)


class LaidOut(Transformer):
    """A Transformer whose matrices are laid out; an output matrix that is the embedding lies there a second time."""

    def output(self, x: Tensor) -> Tensor:
        """The output matrix alone: (..., D) -> (..., outputs)."""
        return self.last(x)


def lay_out(model: Transformer) -> Transformer:
    """The same model, laid out where that is faster: on a CPU, but in float32. What is not a matrix is shared."""
    if model.device.type != "cpu":
        return model
    if type(model) is Quantized and any(isinstance(part, Int4 | Int8) for part in model.modules()):
        return joined(model.twin())
    if type(model) is not Transformer or model.dtype != torch.bfloat16 or not possible():
        return model
    with torch.device("meta"):
        other = LaidOut(model.config)
    other.load_state_dict(model.state_dict(), assign=True)
    joined(other)
    for name, part in matrices(other).items():
        other.set_submodule(name, Laid(part.weight, part.bias))
    other.last = Laid(other.output_weight, other.output_bias)
    other.head = None
    return other.eval().requires_grad_(False)


def joined(model: Transformer) -> Transformer:
    """Queries, keys and values become one matrix, gate and up another, in place."""
    stacks = [stack for stack in (model.encoder, model.decoder) if stack is not None]
    for block in (block for stack in stacks for block in stack.blocks):
        for part, names in ((block.attn, ("q", "k", "v")), (block.ffn, ("gate", "up"))):
            parts = [getattr(part, name, None) for name in names]
            for kind, join in ((nn.Linear, joined_linear), (Int8, joined_int8), (Int4, joined_int4)):
                if all(type(one) is kind for one in parts):
                    part.joint = join(parts)
                    for name in names:
                        setattr(part, name, None)
    return model


def joined_linear(parts: list[nn.Linear]) -> Laid:
    """One matrix above the other."""
    return Laid(torch.cat([part.weight for part in parts]), biases(parts))


def joined_int8(parts: list[Int8]) -> Int8:
    """One matrix above the other."""
    return Int8(torch.cat([part.values for part in parts]), torch.cat([part.scale for part in parts]), biases(parts))


def joined_int4(parts: list[Int4]) -> Int4:
    """One matrix above the other."""
    scale, zero = torch.cat([part.scale for part in parts]), torch.cat([part.zero for part in parts])
    return Int4(torch.cat([part.q for part in parts]), scale, zero, biases(parts))


def biases(parts: list) -> Tensor | None:
    """Of all, one behind the other."""
    return None if parts[0].bias is None else torch.cat([part.bias for part in parts])


@cache
def possible() -> bool:
    """Whether this torch has the kernels, and they give what F.linear gives."""
    try:
        if not torch.backends.mkldnn.is_available():
            return False
        random = torch.Generator().manual_seed(1)
        x, w = (torch.randn(rows, 64, generator=random).bfloat16() for rows in (3, 48))
        found = product(x, torch.ops.mkldnn._reorder_linear_weight(w, FEW), None, 48)
        return bool(torch.allclose(found.float(), F.linear(x.float(), w.float()), rtol=2e-2, atol=0.2))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def product(x: Tensor, laid: Tensor, bias: Tensor | None, outputs: int) -> Tensor:
    """x (..., K) times a matrix (N, K) in oneDNN's order, transposed, plus bias (N,) -> (..., N)."""
    flat = x.reshape(-1, x.shape[-1])
    return torch.ops.mkldnn._linear_pointwise(flat, laid, bias, "none", [], "").view(*x.shape[:-1], outputs)
