"""Sides of a benchmark in turn: each in a process of its own, with its peak of memory; what both tables share.

    found = apart("train", "ours(...)", cache)          # what the call gives, a dict, and its "memory" in MB
    rounds = in_turn({side: (module, call)}, 3, cache)  # {side: [a dict of each round]}
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def apart(module: str, call: str, cache: str) -> dict:
    """Evaluate a call of a file beside this one in a process of its own; with its peak of resident memory in MB."""
    code = (f"import sys, json; sys.path.insert(0, {str(HERE)!r}); import {module}, torch, turns; "
            f"torch.set_num_threads({threads()}); found = {module}.{call}; "
            "found['memory'] = turns.peak(); print('\\nRESULT', json.dumps(found))")  # fmt: skip
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "PYTHONPATH": str(HERE.parent)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    found = [line for line in out.stdout.splitlines() if line.startswith("RESULT ")]
    if out.returncode or not found:
        raise SystemExit(f"{call} failed:\n{out.stdout[-1000:]}\n{out.stderr[-3000:]}")
    return json.loads(found[-1].removeprefix("RESULT "))


def peak() -> float:
    """Peak of this process's resident memory in MB; getrusage's begins with that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def threads() -> int:
    """Of each side: OMP_NUM_THREADS, else one a core. On a shared machine two wait for each other."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


def in_turn(sides: dict[str, tuple[str, str]], rounds: int, cache: str) -> dict[str, list[dict]]:
    """What each side's (module, call) gives in each round; every round asks all sides one after the other."""
    found = {side: [] for side in sides}
    for number in range(rounds):
        for side, (module, call) in sides.items():
            found[side].append(apart(module, call, cache))
            print(f"round {number + 1}, {side}: {found[side][-1]}", flush=True)
    return found
