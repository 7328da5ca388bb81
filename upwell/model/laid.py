"""The matrices of a bfloat16 model in the order in which a CPU's matrix product reads them, for writing texts.

torch hands rows as they are to oneDNN, which reads them at a third of the memory's speed where they meet few rows of x;
laid out beforehand they are read nearly twice as fast. The order is oneDNN's own secret: such a model cannot be saved
or trained. torch's kernels for it are called in this file only.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .quantize import matrices
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
    """The same model, laid out where that is faster: in bfloat16 on a CPU. What is not a matrix is shared."""
    if type(model) is not Transformer or model.device.type != "cpu" or model.dtype != torch.bfloat16 or not possible():
        return model
    with torch.device("meta"):
        other = LaidOut(model.config)
    other.load_state_dict(model.state_dict(), assign=True)
    for name, part in matrices(other).items():
        other.set_submodule(name, Laid(part.weight, part.bias))
    other.last = Laid(other.output_weight, other.output_bias)
    other.head = None
    return other.eval().requires_grad_(False)


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
