"""Attention: softmax(Q K^T / sqrt(d)) V over several heads, of a text over itself or over another one.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762; shared key heads: Ainslie et al. 2023,
arXiv 2305.13245; capped scores: Gemma team 2024, arXiv 2408.00118.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cache import Layer
from .config import Config
from .masks import Apart, Flexible
from .norms import RMSNorm
from .positions import rotate

MANY_TOKENS = 256  # from here on copying the weights side by side costs less than two more products


@cache
def flex_attention(fused: bool):
    """torch's FlexAttention, as a compiled kernel or written out."""
    from torch.nn.attention.flex_attention import flex_attention as plain

    return torch.compile(plain, dynamic=False) if fused else plain


class Attention(nn.Module):
    """One block's attention, (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config, causal: bool):
        super().__init__()
        self.causal, self.heads, self.kv_heads, self.head_dim = causal, c.heads, c.kv_heads, c.head_dim
        self.dropout, self.qk_norm = c.attention_dropout, c.qk_norm
        self.scale, self.cap = c.attention_scale, c.attention_cap
        self.q = nn.Linear(c.width, c.heads * c.head_dim, bias=c.qkv_bias)
        self.k = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.v = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.o = nn.Linear(c.heads * c.head_dim, c.width, bias=c.out_bias)
        self.q_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()
        self.k_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()

    def forward(self, x: Tensor, mask, rotary, cache: Layer | None) -> Tensor:
        """Over itself. mask None: everything, or what came before where it is causal and has several tokens."""
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
        return self.joined(self.attend(q, k.to(q.dtype), v.to(q.dtype), mask, self.causal and q.shape[2] > 1))

    def over(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Over another text, whose keys and values (B, K, S, d) `remember` has made."""
        q = self.split(self.q(x), self.heads)
        return self.joined(self.attend(q, keys.to(q.dtype), values.to(q.dtype), mask, False))

    def remember(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, K, S, d) of another text (B, S, D)."""
        return self.split(self.k(other), self.kv_heads), self.split(self.v(other), self.kv_heads)

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

    def joined(self, y: Tensor) -> Tensor:
        """(B, H, T, d) -> (B, T, D)."""
        return self.o(y.transpose(1, 2).reshape(y.shape[0], y.shape[2], -1))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | Apart | Flexible | None, causal: bool) -> Tensor:
        """(B, H, T, d), (B, K, S, d) twice -> (B, H, T, d). causal counts only without a mask."""
        if isinstance(mask, Apart):
            texts = zip(*(t.split(mask.lengths, 2) for t in (q, k, v)), strict=True)
            return torch.cat([self.attend(*text, mask.mask(text[0].shape[2], q.device), False) for text in texts], 2)
        if isinstance(mask, Flexible):
            return self.attend_flexible(q, k, v, mask)
        if self.cap is not None:
            return self.attend_capped(q, k, v, mask, causal)
        B, H, T, d = q.shape
        if T == 1 and H != k.shape[1] and (mask is None or mask.shape[1] == 1):  # query heads as rows of their key head
            grouped = q.reshape(B, k.shape[1], -1, d)
            return F.scaled_dot_product_attention(grouped, k, v, mask, scale=self.scale).reshape(B, H, T, d)
        dropout = self.dropout if self.training else 0.0
        shared = H != k.shape[1]
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=causal and mask is None, scale=self.scale, enable_gqa=shared
        )

    def attend_flexible(self, q: Tensor, k: Tensor, v: Tensor, mask: Flexible) -> Tensor:
        """The same by FlexAttention, compiled where it runs on a GPU."""

        def bent(score: Tensor, *_) -> Tensor:
            return self.cap * torch.tanh(score / self.cap)

        more = {"scale": self.scale, "enable_gqa": q.shape[1] != k.shape[1]}
        change = None if self.cap is None else bent
        fused = q.is_cuda and not torch.compiler.is_compiling()
        return flex_attention(fused)(q, k, v, score_mod=change, block_mask=mask.block_mask, **more)

    def attend_capped(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """The same written out, with scores bent by tanh before the mask."""
        groups, scale = q.shape[1] // k.shape[1], self.head_dim**-0.5 if self.scale is None else self.scale
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = self.cap * torch.tanh(q @ k.mT * (scale / self.cap))
        if mask is None and causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return F.dropout(scores.softmax(-1, dtype=torch.float32).to(q.dtype), self.dropout, self.training) @ v
