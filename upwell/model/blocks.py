"""The feed-forward of a Transformer block, and the block itself, chosen by data.

Sources: Shazeer 2020 (gated feed-forwards, arXiv 2002.05202); So et al. 2021 (squared ReLU, arXiv 2109.08668).
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .cache import Layer
from .config import Config
from .norms import norm


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0) squared."""
    return F.relu(x).square()


ACTIVATIONS = {
    "gelu": F.gelu, "gelu_tanh": partial(F.gelu, approximate="tanh"), "silu": F.silu, "relu": F.relu,
    "relu2": squared_relu,
}  # fmt: skip


class FeedForward(nn.Module):
    """down(act(up(x))), or gated: down(act(gate(x)) * up(x)): (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config):
        super().__init__()
        self.gate = nn.Linear(c.width, c.ffn_width, bias=c.ffn_bias) if c.gated else None
        self.up = nn.Linear(c.width, c.ffn_width, bias=c.ffn_bias)
        self.down = nn.Linear(c.ffn_width, c.width, bias=c.ffn_bias)
        self.activation = ACTIVATIONS[c.activation]

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, c: Config):
        super().__init__()
        self.norm1, self.attn = norm(c), Attention(c)
        self.norm2, self.ffn = norm(c), FeedForward(c)
        self.dropout = nn.Dropout(c.dropout) if c.dropout else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, rotary, cache: Layer | None) -> Tensor:
        x = x + self.dropout(self.attn(self.norm1(x), mask, rotary, cache))
        return x + self.dropout(self.ffn(self.norm2(x)))
