"""Number formats of matrix products: which one this machine multiplies fastest, float16's scale, and float8.

A CPU without bfloat16 instructions emulates them at a quarter of its float32 speed; one with them is four times faster.
Sources: Micikevicius et al. 2018, arXiv 1710.03740 (scaled losses); the same 2022, arXiv 2209.05433 (float8).
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import SettingsError


def resolve(wanted: str, device: str) -> torch.dtype:
    """The format that autocast is to have; for "auto" the faster of float32 and bfloat16 on this device (about 50 ms).

    float8 is bfloat16 with some matrices narrower. Raises SettingsError where the device does not have it.
    """
    if wanted == "float8":
        check_float8(device)
        return torch.bfloat16
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device != "cpu":
        return torch.float32
    return torch.bfloat16 if rate(torch.bfloat16) > 1.3 * rate(torch.float32) else torch.float32


def rate(dtype: torch.dtype, size: int = 512) -> float:
    """Floating-point operations a second of a size x size x size matrix product on the CPU, best of five."""
    a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def default_device() -> str:
    """cuda, mps or cpu, whichever is there first."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# ---- float16 ----


@dataclass
class Scaler:
    """What losses are multiplied by, so that small gradients are not lost in float16.

    It doubles after GROWS steps without an overflow; at one it is halved and the step is computed again, so that no
    step is lost and the run is a function of its state.
    """

    scale: float = 65536.0
    good: int = 0
    """Steps since the last overflow."""

    GROWS = 2000

    def fits(self) -> None:
        """A step's gradient was a number."""
        self.good += 1
        if self.good >= self.GROWS:
            self.scale, self.good = self.scale * 2, 0

    def shrink(self) -> bool:
        """It was not; whether a smaller scale is left to try."""
        self.scale, self.good = self.scale / 2, 0
        return self.scale >= 1.0


# ---- float8 ----

NARROW, WIDE = torch.float8_e4m3fn, torch.float8_e5m2  # of weights and inputs; of gradients
EVEN = 16  # the sides of a product that float8 takes are multiples of this


def check_float8(device: str) -> None:
    """SettingsError where this device multiplies no float8."""
    if not device.startswith("cuda") or torch.version.hip or torch.cuda.get_device_capability(device) < (8, 9):
        raise SettingsError(f"precision is float8, which {device} does not have; it takes an NVIDIA GPU of capability "
                            "8.9 (Ada, Hopper) or later. Choose bfloat16")  # fmt: skip


class Float8Linear(nn.Linear):
    """nn.Linear whose three products are in float8, scaled by the largest number of each tensor."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        if not self.training or rows % EVEN:
            return super().forward(x)
        weight = self.weight.to(torch.bfloat16)
        y = Product.apply(x.reshape(rows, -1).to(torch.bfloat16), weight).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias.to(y.dtype)


def narrow(model: nn.Module) -> None:
    """The blocks' matrices multiply in float8 from now on, in place; names and weights stay."""
    for name, part in model.named_modules():
        fits = type(part) is nn.Linear and ".blocks." in name and not any(n % EVEN for n in part.weight.shape)
        if fits:
            part.__class__ = Float8Linear


class Product(torch.autograd.Function):
    """x (N, K) @ weight (M, K).T in bfloat16, computed in float8."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return scaled(x, weight.T, NARROW)

    @staticmethod
    def backward(ctx, slope: Tensor):
        x, weight = ctx.saved_tensors
        slope = slope.to(torch.bfloat16)
        return scaled(slope, weight, WIDE), scaled(slope.T, x, WIDE)


def scaled(a: Tensor, b: Tensor, format_of_a: torch.dtype) -> Tensor:
    """a (N, K) @ b (K, M) by way of float8, in bfloat16."""
    (a, of_a), (b, of_b) = cast(a, format_of_a), cast(b.T, NARROW)
    return torch._scaled_mm(a, b.T, scale_a=of_a, scale_b=of_b, out_dtype=torch.bfloat16)


def cast(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x in float8 with contiguous rows, and what it is to be multiplied by."""
    scale = (x.abs().amax().float() / torch.finfo(dtype).max).clamp(min=1e-12)
    return (x.float() / scale).to(dtype).contiguous(), scale
