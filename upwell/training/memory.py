"""Freed memory stays with the process, within bounds.

On Linux the C library hands every large block back to the system when it is freed and asks for it again at the next
step, page by page, which costs a quarter of a training step on a CPU. Kept for ever, blocks of many sizes leave holes
that no later one fits into: a translator whose texts are of all lengths came to hold seven times what a step takes.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h> of glibc


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed; True where it does. Elsewhere (macOS, Windows, musl) nothing changes."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


FEW = 16  # steps that tell what a step takes


class Bounded:
    """Called after every step: what is freed goes back to the system where the process holds twice what steps take.

    held: bytes that the process holds, None where that is not known; give_back: returns what is freed.
    """

    def __init__(self, held: Callable[[], int | None] | None = None, give_back: Callable[[], None] | None = None):
        self.held, self.give_back = held or resident, give_back or trim
        self.steps, self.usual = 0, 0

    def __call__(self) -> None:
        now = self.held()
        if now is None:
            return
        if self.steps < FEW:
            self.steps, self.usual = self.steps + 1, max(self.usual, now)
        elif now > 2 * self.usual:
            self.give_back()
            self.steps, self.usual = 0, 0


def resident() -> int | None:
    """Bytes of memory that this process holds; None where the system does not say it so."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return None


def trim() -> None:
    """Ask glibc to return what is freed; elsewhere nothing happens."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
