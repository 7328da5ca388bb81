"""Which number format this machine multiplies fastest: measured, not guessed.

A CPU without bfloat16 instructions emulates them at a quarter of its float32 speed; one with them is four times faster.
"""

import time

import torch


def resolve(wanted: str, device: str) -> torch.dtype:
    """`wanted`, or for "auto" the faster of float32 and bfloat16 on this device (about 50 ms)."""
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
