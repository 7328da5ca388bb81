"""Attention: softmax(Q K^T / sqrt(d)) V over several heads, and the masks that say who sees whom.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762; shared key heads: Ainslie et al. 2023,
arXiv 2305.13245.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cache import Layer
from .config import Config
from .norms import RMSNorm
from .positions import rotate

MANY_TOKENS = 256  # from here on copying the weights side by side costs less than two more products


def block_mask(documents: Tensor) -> Tensor:
    """Causal, and each document to itself: (B, T) document numbers -> (B, 1, T, T), True where a token sees."""
    T = documents.shape[1]
    causal = torch.ones(T, T, dtype=torch.bool, device=documents.device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & causal)[:, None]


def cached_mask(positions: Tensor, seen: int) -> Tensor:
    """Each new token at positions (B, T) sees the cache up to itself: (B, 1, T, seen)."""
    return (torch.arange(seen, device=positions.device) <= positions[..., None])[:, None]


class Attention(nn.Module):
    """Self-attention of one block, (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.heads, c.kv_heads, c.head_dim
        self.dropout, self.qk_norm = c.attention_dropout, c.qk_norm
        self.q = nn.Linear(c.width, c.heads * c.head_dim, bias=c.qkv_bias)
        self.k = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.v = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.o = nn.Linear(c.heads * c.head_dim, c.width, bias=c.out_bias)
        self.q_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()
        self.k_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, rotary, cache: Layer | None) -> Tensor:
        """mask None: causal, or everything where one new token stands behind a cache."""
        B, T, _ = x.shape
        q, k, v = self.project(x)
        q, k, v = self.split(q, self.heads), self.split(k, self.kv_heads), self.split(v, self.kv_heads)
        if self.qk_norm == "before":
            q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        if self.qk_norm == "after":
            q, k = self.q_norm(q), self.k_norm(k)
        if cache is not None:
            k, v = cache.extend(k, v)
        y = self.attend(q, k.to(q.dtype), v.to(q.dtype), mask)
        return self.o(y.transpose(1, 2).reshape(B, T, -1))

    def project(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values of x; for many tokens in one matrix product, which is faster than three."""
        parts = (self.q, self.k, self.v)
        if x.shape[0] * x.shape[1] < MANY_TOKENS or any(type(part) is not nn.Linear for part in parts):
            return [part(x) for part in parts]
        bias = None if self.q.bias is None else torch.cat([part.bias for part in parts])
        joint = F.linear(x, torch.cat([part.weight for part in parts]), bias)
        return joint.split([part.out_features for part in parts], -1)

    def split(self, x: Tensor, heads: int) -> Tensor:
        """(B, T, heads * d) -> (B, heads, T, d)."""
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, T, d), (B, K, S, d) twice -> (B, H, T, d)."""
        B, H, T, d = q.shape
        if T == 1 and self.heads != self.kv_heads:  # one token: its query heads stand as rows before their key head
            grouped = q.reshape(B, self.kv_heads, -1, d)
            return F.scaled_dot_product_attention(grouped, k, v, mask).reshape(B, H, T, d)
        dropout = self.dropout if self.training else 0.0
        causal = mask is None and T > 1
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=causal, enable_gqa=self.heads != self.kv_heads
        )
