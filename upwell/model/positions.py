"""How a token knows its place: rotary angles and their stretching, relative buckets, sine waves.

Sources: Su et al. 2021, "RoFormer", arXiv 2104.09864; linear: Chen et al. 2023, arXiv 2306.15595; dynamic: bloc97
2023, "NTK-aware scaled RoPE"; yarn: Peng et al. 2023, arXiv 2309.00071; llama3: Dubey et al. 2024, arXiv 2407.21783;
longrope: Ding et al. 2024, arXiv 2402.13753; buckets: Raffel et al. 2020, arXiv 1910.10683; waves: Vaswani 2017.
"""

import math

import torch
from torch import Tensor, nn

from .config import Config, Scaling


def angles(positions: Tensor, speeds: Tensor, sign: int = 1, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """cos and sin for positions (..., T) and speeds (d / 2,) in radians a token: each (..., T, d), float64.

    sign 1 turns as the paper does, -1 the other way. The first and the second half of a head form the pairs. In
    float32 an angle at place 8,000 is off by up to 2e-4, and a text would depend on where it stands in its row; a
    device without float64 (mps) takes float32 all the same.
    """
    turn = positions[..., None].to(torch.float32 if positions.device.type == "mps" else torch.float64) * speeds
    cos, sin = turn.cos() * factor, turn.sin() * (sign * factor)
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the first numbers of x (B, heads, T, d) by cos and sin, each broadcastable to it and as wide as they are."""
    turning = cos.shape[-1]
    if turning < x.shape[-1]:
        return torch.cat((rotate(x[..., :turning], cos, sin), x[..., turning:]), -1)
    half = turning // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), -1)
    return x * cos + swapped * sin


def speeds(c: Config, longest: int, windowed: bool = False, device=None) -> tuple[Tensor, float]:
    """How fast each pair of a head turns, (d / 2,), and what cos and sin are multiplied by.

    longest: tokens of the longest text so far, on which dynamic and longrope depend.
    """
    d = c.rotary_dim
    powers = torch.arange(0, d, 2, dtype=torch.float32, device=device) / d
    if windowed and c.window_theta is not None:
        return 1.0 / c.window_theta**powers, 1.0
    plain, s = 1.0 / c.rotary_theta**powers, c.rotary_scaling
    if s is None:
        return plain, 1.0
    if s.kind == "linear":
        return plain / s.factor, 1.0
    if s.kind == "dynamic":
        theta = c.rotary_theta * (s.factor * max(longest / c.context, 1) - (s.factor - 1)) ** (d / (d - 2))
        return 1.0 / theta**powers, 1.0
    if s.kind == "llama3":
        return plain * llama3(2 * math.pi / plain, s), 1.0
    stretch = s.factor or c.context / s.original
    if s.kind == "yarn":
        kept = yarn_kept(c, s, device)
        return plain * kept + plain / stretch * (1 - kept), yarn_attention(s, stretch)
    divisors = torch.tensor(s.long if longest > s.original else s.short, dtype=torch.float32, device=device)
    usual = math.sqrt(1 + math.log(stretch) / math.log(s.original)) if stretch > 1 else 1.0
    return plain / divisors, usual if s.attention is None else s.attention


def llama3(wavelengths: Tensor, s: Scaling) -> Tensor:
    """What each pair's speed is multiplied by: 1 for short waves, 1 / factor for long ones, smooth in between."""
    kept = ((s.original / wavelengths - s.low) / (s.high - s.low)).clamp(0, 1)
    return kept + (1 - kept) / s.factor


def yarn_kept(c: Config, s: Scaling, device=None) -> Tensor:
    """The share of each pair's own speed that is kept, (d / 2,): 1 for fast pairs, 0 for slow ones, a ramp between."""
    d = c.rotary_dim

    def pair(turns: float) -> float:
        return d * math.log(s.original / (turns * 2 * math.pi)) / (2 * math.log(c.rotary_theta))

    low, high = pair(s.fast), pair(s.slow)
    if s.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, d - 1)
    ramp = (torch.arange(d // 2, dtype=torch.float32, device=device) - low) / (high - low if high != low else 0.001)
    return 1 - ramp.clamp(0, 1)


def yarn_attention(s: Scaling, stretch: float) -> float:
    """What yarn multiplies cos and sin by, so that scores over a longer text stay as sharp."""
    if s.attention is not None:
        return s.attention

    def part(weight: float) -> float:
        return 0.1 * weight * math.log(stretch) + 1.0 if stretch > 1 else 1.0

    return part(s.mscale) / part(s.mscale_all) if s.mscale and s.mscale_all else part(1.0)


def waves(positions: Tensor, width: int) -> Tensor:
    """Sine waves in the first half of the width and cosines in the second: (..., T) -> (..., T, D)."""
    columns = torch.arange(width, device=positions.device)
    turn = positions[..., None].float() / 10000.0 ** (2 * (columns // 2) / width)
    return torch.cat((turn[..., 0::2].sin(), turn[..., 1::2].cos()), -1)


class RelativeBias(nn.Module):
    """A learned number for each head and bucket of distances, which is added to the scores."""

    def __init__(self, c: Config, both_ways: bool):
        super().__init__()
        self.both_ways, self.distance = both_ways, c.bucket_distance
        self.weight = nn.Parameter(torch.empty(c.buckets, c.heads))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Positions (..., T) and (..., S) -> (..., H, T, S)."""
        distance = keys[..., None, :] - queries[..., :, None]
        return self.weight[self.bucket(distance)].movedim(-1, -3)

    def bucket(self, distance: Tensor) -> Tensor:
        """Each small distance has a bucket, larger ones share buckets that widen by a constant ratio."""
        buckets, offset = len(self.weight), 0
        if self.both_ways:
            buckets //= 2
            offset = (distance > 0) * buckets
            distance = distance.abs()
        else:
            distance = (-distance).clamp(min=0)
        exact = buckets // 2
        ratio = (distance.clamp(min=1).float() / exact).log() / math.log(self.distance / exact)
        far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
        return offset + torch.where(distance < exact, distance, far)


def within_documents(documents: Tensor) -> Tensor:
    """The place of each token in its own document: (B, T) document numbers -> (B, T) positions from 0."""
    T = documents.shape[1]
    place = torch.arange(T, device=documents.device).expand_as(documents)
    first = torch.ones_like(documents, dtype=torch.bool)
    first[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return place - torch.where(first, place, 0).cummax(1).values


def without_padding(real: Tensor) -> Tensor:
    """The place of each token among the real ones of its row: (B, T) bool -> (B, T), so that padding shifts nothing."""
    return (real.long().cumsum(1) - 1).clamp(min=0)
