"""The feed-forward of a Transformer block, a mixture of them, and the block itself, chosen by data.

Sources: Shazeer 2020 (gated feed-forwards, arXiv 2002.05202); So et al. 2021 (squared ReLU, arXiv 2109.08668); Fedus et
al. 2021 and Jiang et al. 2024 (mixtures of experts, arXiv 2101.03961 and 2401.04088).
"""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .cache import Layer
from .config import Config
from .dropout import Dropout
from .norms import norm


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0) squared."""
    return F.relu(x).square()


def gelu_tanh(x: Tensor) -> Tensor:
    """x / 2 * (1 + tanh(y)) = x * sigmoid(2 y), y = sqrt(2 / pi) (x + 0.044715 x^3); tanh takes a CPU three times as
    long as an exponential."""
    if x.device.type != "cpu" or not torch.compiler.is_compiling():
        return F.gelu(x, approximate="tanh")
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.sigmoid(2 * (2 / pi) ** 0.5 * (wide + 0.044715 * wide**3))).to(x.dtype)


ACTIVATIONS = {
    "gelu": F.gelu, "gelu_tanh": gelu_tanh, "silu": F.silu, "relu": F.relu,
    "relu2": squared_relu, "tanh": torch.tanh,
}  # fmt: skip


class FeedForward(nn.Module):
    """down(act(up(x))), or gated: down(act(gate(x)) * up(x)): (..., D) -> (..., D)."""

    def __init__(self, c: Config, width: int | None = None):
        super().__init__()
        inner = width or c.ffn_width
        self.gate = nn.Linear(c.width, inner, bias=c.ffn_bias) if c.gated else None
        self.up = nn.Linear(c.width, inner, bias=c.ffn_bias)
        self.down = nn.Linear(inner, c.width, bias=c.ffn_bias)
        self.activation = ACTIVATIONS[c.activation]
        self.joint = None  # in the place of gate and up both in one matrix, where `laid` put it

    def forward(self, x: Tensor) -> Tensor:
        if self.joint is not None:
            gate, up = self.joint(x).chunk(2, -1)
            return self.down(self.activation(gate).mul_(up))
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Mixture(nn.Module):
    """A router chooses a few feed-forwards for each token and weighs what they give: (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config):
        super().__init__()
        self.used, self.normalised = c.experts_used, c.expert_norm
        self.router = nn.Linear(c.width, c.experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(c, c.expert_width) for _ in range(c.experts))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        shares, chosen = self.router(flat).softmax(-1, dtype=torch.float32).topk(self.used)
        if self.normalised:
            shares = shares / shares.sum(-1, keepdim=True)
        y = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            token, place = (chosen == number).nonzero(as_tuple=True)
            y = y.index_add(0, token, expert(flat[token]) * shares[token, place, None].to(flat.dtype))
        return y.view_as(x)


class Block(nn.Module):
    """Attention over the text itself, over the encoder's text where there is one, then a feed-forward.

    Each is added to what it reads. c.norm_place says where the norms stand.
    """

    def __init__(self, c: Config, number: int, causal: bool, crossed: bool):
        super().__init__()
        self.place = c.norm_place
        self.norm1 = norm(c) if c.first_norm or number else nn.Identity()
        self.attn = Attention(c, causal)
        self.cross_norm, self.cross = (norm(c), Attention(c, False)) if crossed else (None, None)
        self.norm2 = norm(c)
        self.ffn = Mixture(c) if c.experts and number not in c.dense_layers else FeedForward(c)
        both = c.norm_place == "both"
        self.attn_norm, self.ffn_norm = norm(c) if both else nn.Identity(), norm(c) if both else nn.Identity()
        self.dropout = Dropout(c.dropout) if c.dropout else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, rotary, cache: Layer | None, other=None) -> Tensor:
        """other: keys, values and mask of the encoder's text."""
        if self.place == "after":
            return self.normed_after(x, mask, rotary, cache, other)
        added = self.dropout(self.attn_norm(self.attn(self.norm1(x), mask, rotary, cache)))
        if self.place == "parallel":
            return x + added + self.dropout(self.ffn(self.norm2(x)))
        x = x + added
        if other is not None:
            x = x + self.dropout(self.cross.over(self.cross_norm(x), *other))
        return x + self.dropout(self.ffn_norm(self.ffn(self.norm2(x))))

    def normed_after(self, x: Tensor, mask: Tensor | None, rotary, cache: Layer | None, other) -> Tensor:
        """The order of 2017: each norm stands behind a sum."""
        x = self.norm1(x + self.dropout(self.attn(x, mask, rotary, cache)))
        if other is not None:
            x = self.cross_norm(x + self.dropout(self.cross.over(x, *other)))
        return self.norm2(x + self.dropout(self.ffn(x)))
