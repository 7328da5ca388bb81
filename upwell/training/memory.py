"""Freed memory stays with the process.

On Linux the C library hands every large block back to the system when it is freed and asks for it again at the next
step, page by page, which costs a quarter of a training step on a CPU.
"""

import ctypes
import sys

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
