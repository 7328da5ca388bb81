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
from .dropout import kept, quick
from .masks import Apart, Flexible, Over
from .norms import RMSNorm
from .positions import rotate

MANY_TOKENS = 256  # from here on copying the weights side by side costs less than two more products
SHORT = 512  # tokens
FEW_QUERIES = 16  # up to here keys in float32 are worth it
AT_ONCE = 64  # queries that `written` takes at once


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
        self.joint = None  # in the place of q, k and v all three in one matrix, where `laid` put it
        self.o = nn.Linear(c.heads * c.head_dim, c.width, bias=c.out_bias)
        self.q_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()
        self.k_norm = RMSNorm(c.head_dim, c) if c.qk_norm != "none" else nn.Identity()

    def forward(self, x: Tensor, mask, rotary, cache: Layer | None) -> Tensor:
        """Over itself. mask None: everything, or what came before where it is causal and has several tokens."""
        q, k, v = self.turned(x, rotary)
        if cache is not None:
            q, k, v, mask = alike(q, *cache.extend(k, v), mask)
            if cache.cache.masked:
                return self.joined(self.attend_in_groups(q, k, v, mask, cache.cache.groups).to(x.dtype))
        y = self.attend(q, k.to(q.dtype), v.to(q.dtype), mask, self.causal and q.shape[2] > 1)
        return self.joined(y.to(x.dtype))

    def over(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | Over | None) -> Tensor:
        """Over another text, whose keys and values (B, K, S, d) `remember` has made."""
        if isinstance(mask, Over):
            q = Spread.apply(self.q(x).flatten(0, 1), mask.inside, mask.texts * mask.longest)
            q = self.split(q.view(mask.texts, mask.longest, -1), self.heads)
            y = self.attend(*alike(q, keys, values, mask.mask), False).to(q.dtype).transpose(1, 2)
            y = Gathered.apply(y.reshape(mask.texts * mask.longest, -1), mask.inside)
            return self.o(y.view(*x.shape[:2], -1))
        q = self.split(self.q(x), self.heads)
        return self.joined(self.attend(*alike(q, keys, values, mask), False).to(x.dtype))

    def remember(self, other: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, K, S, d) of another text (B, S, D)."""
        return self.split(self.k(other), self.kv_heads), self.split(self.v(other), self.kv_heads)

    def turned(self, x: Tensor, rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, K, T, d) of x, with norms and angles."""
        if self.joint is not None and rotary is not None and self.qk_norm == "none":  # both turned by the same calls
            turning = self.heads + self.kv_heads
            all_heads = self.split(self.joint(x), turning + self.kv_heads)
            both = rotate(all_heads[:, :turning], *rotary)
            return both[:, : self.heads], both[:, self.heads :], all_heads[:, turning:]
        q, k, v = self.project(x)
        q, k, v = self.split(q, self.heads), self.split(k, self.kv_heads), self.split(v, self.kv_heads)
        if self.qk_norm == "before":
            q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        if self.qk_norm == "after":
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v

    def project(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values of x; for many tokens in one matrix product, which is faster than three."""
        if self.joint is not None:
            each = self.kv_heads * self.head_dim
            return self.joint(x).split([self.heads * self.head_dim, each, each], -1)
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
            return self.attend_apart(q, k, v, mask)
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
        bent = mask is not None and mask.requires_grad  # no fused kernel gives a gradient to a bias
        if not dropout and narrow(q):
            return written(q, k, v, mask, causal, d**-0.5 if self.scale is None else self.scale)
        if not dropout and short(q, k):
            k, v = (x.repeat_interleave(H // x.shape[1], 1) if shared else x for x in (k, v))
            return Weighed.apply(*narrowed(q, k, v), mask, causal and mask is None, self.scale or d**-0.5, 0.0)
        if (dropout or bent) and not shared and quick(q):
            return Weighed.apply(*narrowed(q, k, v), mask, causal and mask is None, self.scale or d**-0.5, dropout)
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=causal and mask is None, scale=self.scale, enable_gqa=shared
        )

    def attend_in_groups(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, groups: list) -> Tensor:
        """The same with so many keys for these rows and so many for those; mask (B, 1 or H, T, S)."""
        y = torch.empty_like(q)
        for rows, size in groups:
            own = (x[rows][..., :size, :] for x in (k, v))
            y[rows] = self.attend(q[rows], *own, mask[rows][..., :size], False)
        return y

    def attend_apart(self, q: Tensor, k: Tensor, v: Tensor, mask: Apart) -> Tensor:
        """The same of texts that stand one behind the other, table by table."""
        B, H, T, d = q.shape
        sizes = [table.texts * table.longest for table in mask.tables]
        rows = (x.transpose(1, 2).reshape(B * T, -1) for x in narrowed(q, k, v))
        q, k, v = (Spread.apply(x, mask.inside, sum(sizes)).split(sizes) for x in rows)
        found = []
        for number, (texts, longest, seen) in enumerate(mask.tables):
            table = (x[number].view(texts, longest, -1, d).transpose(1, 2) for x in (q, k, v))
            found.append(self.attend(*table, seen, self.causal and longest > 1).transpose(1, 2).reshape(-1, H * d))
        joined = found[0] if len(found) == 1 else torch.cat(found)
        return Gathered.apply(joined, mask.inside).view(B, T, H, d).transpose(1, 2)

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


def alike(q: Tensor, k: Tensor, v: Tensor, mask) -> tuple:
    """Queries, keys, values and mask in one number format: that of keys which are kept wider (see `kept_as` of the
    cache) where there are few queries, else that of the queries."""
    if q.dtype != k.dtype and k.dtype == torch.float32 and q.shape[2] <= FEW_QUERIES:
        biased = isinstance(mask, Tensor) and mask.is_floating_point()
        return q.float(), k, v, mask.float() if biased else mask
    return q, k.to(q.dtype), v.to(q.dtype), mask


def short(q: Tensor, k: Tensor) -> bool:
    """Whether attention written out is the faster one: its products in bfloat16 on a CPU, whose fused kernel has a slow
    way back, over texts whose scores fit beside all else that a step remembers."""
    if q.device.type != "cpu" or max(q.shape[2], k.shape[2]) > SHORT or not torch.is_grad_enabled():
        return False
    narrow = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return q.requires_grad and (narrow or q.dtype == torch.bfloat16)


def narrow(q: Tensor) -> bool:
    """Whether attention without a way back is faster written out: in bfloat16 on a CPU, whose fused kernel multiplies
    in float32 there."""
    plain = q.device.type == "cpu" and q.dtype == torch.bfloat16 and not torch.compiler.is_compiling()
    return plain and q.shape[2] > FEW_QUERIES and not (torch.is_grad_enabled() and q.requires_grad)


def written(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """Attention of q (B, H, T, d) to k and v (B, K, S, d), some queries at a time, so that the scores stay in the
    processor's cache and a causal query meets no key behind it. mask, causal: as in Attention.attend."""
    (B, H, T, d), (K, S) = q.shape, k.shape[1:3]
    q, k, v = (q * scale).view(B, K, -1, T, d), k.flatten(0, 1), v.flatten(0, 1)
    causal = causal and mask is None
    if mask is not None:
        mask = mask.expand(*mask.shape[:2], T, S)
        mask = mask[:, :, None] if mask.shape[1] == 1 else mask.unflatten(1, (K, -1))
    y = q.new_empty(B, K, H // K, T, v.shape[-1])
    for begin in range(0, T, AT_ONCE):
        end = min(T, begin + AT_ONCE)
        seen = S - T + end if causal else S
        scores = torch.bmm(q[..., begin:end, :].reshape(B * K, -1, d), k[:, :seen].mT).view(B, K, -1, end - begin, seen)
        if causal:
            behind = torch.ones(end - begin, end - begin, dtype=torch.bool).triu(1)
            scores[..., S - T + begin :].masked_fill_(behind, float("-inf"))
        elif mask is not None:
            part = mask[..., begin:end, :]
            scores = scores.masked_fill_(~part, float("-inf")) if part.dtype == torch.bool else scores.add_(part)
        shares = scores.softmax(-1).view(B * K, -1, seen)
        y[..., begin:end, :] = torch.bmm(shares, v[:, :seen]).view(B, K, -1, end - begin, v.shape[-1])
    return y.view(B, H, T, -1)


def narrowed(*parts: Tensor) -> list[Tensor]:
    """Parts in the number format that autocast gives to matrix products."""
    device = parts[0].device.type
    if not torch.is_autocast_enabled(device) or parts[0].dtype == torch.float64:
        return list(parts)
    return [part.to(torch.get_autocast_dtype(device)) for part in parts]


class Spread(torch.autograd.Function):
    """Rows (N, W) laid into the places `inside` (N,), each a place of its own, of (size, W); what is empty is 0."""

    @staticmethod
    def forward(ctx, x: Tensor, inside: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(inside)
        return x.new_zeros(size, x.shape[1]).index_copy_(0, inside, x)

    @staticmethod
    def backward(ctx, slope: Tensor):
        return Gathered.apply(slope, ctx.saved_tensors[0]), None, None


class Gathered(torch.autograd.Function):
    """The way back: (size, W) -> the rows at the places `inside`, (N, W)."""

    @staticmethod
    def forward(ctx, x: Tensor, inside: Tensor) -> Tensor:
        ctx.save_for_backward(inside)
        ctx.size = len(x)
        return x.index_select(0, inside)

    @staticmethod
    def backward(ctx, slope: Tensor):
        return Spread.apply(slope, ctx.saved_tensors[0], ctx.size), None


class Weighed(torch.autograd.Function):
    """Attention written out, with dropout and with a gradient to what is added to the scores.

    q, k, v (B, H, T or S, d); mask: True where a query sees a key, or a bias on the scores; causal: without a mask a
    query sees what came before. torch's fused kernel on a CPU knows neither; its own way around draws and copies more.
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float, dropout: float):
        (B, H, T, d), S = q.shape, k.shape[2]
        q, k, v = (q * scale).reshape(B * H, T, d), k.reshape(B * H, S, d), v.reshape(B * H, S, -1)
        scores = torch.bmm(q, k.mT).view(B, H, T, S)
        if mask is None and causal:
            mask = torch.ones(T, S, dtype=torch.bool).tril()
        if mask is not None:
            scores = scores.masked_fill_(~mask, float("-inf")) if mask.dtype == torch.bool else scores.add_(mask)
        shares = scores.softmax(-1)
        noise = kept(shares.shape, dropout, shares.dtype) if dropout else None
        weights = shares if noise is None else shares * noise
        ctx.save_for_backward(q, k, v, shares, noise)
        ctx.scale, ctx.mask = scale, None if mask is None or not mask.requires_grad else (mask.shape, mask.dtype)
        return torch.bmm(weights.view(B * H, T, S), v).view(B, H, T, -1)

    @staticmethod
    def backward(ctx, slope: Tensor):
        q, k, v, shares, noise = ctx.saved_tensors
        B, H, T, S = shares.shape
        slope = slope.reshape(B * H, T, -1).to(v.dtype)
        weights = shares if noise is None else shares * noise
        to_v = torch.bmm(weights.view(B * H, T, S).mT, slope).view(B, H, S, -1)
        to_weights = torch.bmm(slope, v.mT).view(B, H, T, S)
        to_shares = to_weights if noise is None else to_weights.mul_(noise)
        to_scores = torch._softmax_backward_data(to_shares, shares, -1, shares.dtype)
        to_mask = None if ctx.mask is None else to_scores.sum_to_size(ctx.mask[0]).to(ctx.mask[1])
        to_scores = to_scores.view(B * H, T, S)
        to_q = torch.bmm(to_scores, k).mul_(ctx.scale).view(B, H, T, -1)
        return to_q, torch.bmm(to_scores.mT, q).view(B, H, S, -1), to_v, to_mask, None, None, None
