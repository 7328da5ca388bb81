"""Seconds and memory of opening a model folder, torch already imported; each line is a process of its own.

    python bench/load.py                       smollm2-135m, after `upwell fetch smollm2-135m`
    python bench/load.py runs/quickstart-en

Memory is what the process holds at its peak, with every weight touched, less what it held before, over the bytes of the
weights in their final type. What a first load imports (about 70 MiB) is counted too.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path


def one(folder: str, dtype: str) -> dict:
    """Open it once."""
    import torch

    from upwell.model import hub

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    before, begin = peak(), time.perf_counter()
    model = hub.load(folder, dtype=getattr(torch, dtype)).model
    seconds = time.perf_counter() - begin
    sum(float(p.flatten()[::512].float().sum()) for p in model.parameters())
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"seconds": seconds, "memory": (peak() - before) / 2**20, "weights": weights / 2**20}


def main() -> None:
    from upwell import weights

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="smollm2-135m")
    parser.add_argument("--one")
    args = parser.parse_args()
    folder = str(weights.find(Path(args.folder)))
    if args.one:
        return print(json.dumps(one(folder, args.one)))
    print(f"{date.today()}, {platform.processor() or platform.machine()}, {args.folder}, five times each")
    for dtype in ("float32", "bfloat16"):
        command = [sys.executable, __file__, folder, "--one", dtype]
        runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(5)]
        found = [json.loads(run.stdout) for run in runs]
        seconds, last = sorted(m["seconds"] for m in found), found[-1]
        print(f"{dtype}: {statistics.median(seconds):.2f} s ({seconds[0]:.2f}-{seconds[-1]:.2f}), weights "
              f"{last['weights']:.0f} MiB, memory {last['memory']:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
