"""The processor's threads belong to whoever computes.

OpenMP gives each thread of a process that has computed a team of its own, as many as there are cores. Two teams are
more than the cores, and GNU's OpenMP then no longer waits awake between two products but sleeps: a step of 200 small
products takes twice as long, though the other team does nothing.
"""

import ctypes
from pathlib import Path

SOFT = 1  # <omp.h>: omp_pause_soft; the team is made again where the thread computes again
MAPS = Path("/proc/self/maps")


def give_up_team() -> bool:
    """The calling thread's team ends, so that another thread's has the cores; False where nobody knows how."""
    if not MAPS.exists():
        return False
    paths = {line.split()[-1] for line in MAPS.read_text().splitlines() if line.endswith((".so", ".so.1", ".so.5"))}
    names = [path for path in sorted(paths) if Path(path).name.startswith(("libgomp", "libomp", "libiomp"))]
    found = [ctypes.CDLL(name) for name in names]
    pauses = [library.omp_pause_resource_all for library in found if hasattr(library, "omp_pause_resource_all")]
    return bool(pauses) and all(pause(SOFT) == 0 for pause in pauses)
