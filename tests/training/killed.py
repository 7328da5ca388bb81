"""A run that kills itself ten times with SIGKILL, in a process of its own: python killed.py DATA OUT VARIANT [KILLS].

Each part goes on from the newest state in a fresh child. What is printed: one line of JSON for each step that was done,
and the hash of what was learnt. KILLS 0: never killed.
"""

import hashlib
import json
import os
import random
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # once, here; the children have it

from upwell.model import lora, preset
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes
from upwell.objectives import causal
from upwell.tokens import buckets, store
from upwell.tokens.batches import Packed
from upwell.training import loop, state
from upwell.training.settings import Optim, Settings

STEPS = 24
VARIANTS = {
    "muon": {"average": 0.9},
    "adapters": {"optim": Optim(name="adamw"), "dropout": 0.2, "average": 0.8},
    "adafactor": {"optim": Optim(name="adafactor", rate=0.02), "dropout": 0.1, "checkpoint": True, "micro_rows": 2},
    "float16": {"optim": Optim(name="sgd", rate=0.3), "precision": "float16", "spike": 9.0},
    "widths": {"optim": Optim(name="adamw", layer_decay=0.8), "dropout": 0.1},
}


def begun(data: Path, variant: str, compile: str):
    """(state, sampler, settings) of a fresh run."""
    s = Settings(steps=STEPS, rows=4, context=32, compile=compile, seed=7, **VARIANTS[variant])
    part = store.Store(data / "train")
    model = preset.create(preset.config(Sizes(width=32, layers=2, heads=2), part.vocab_size, 64, 0), seed=5)
    if variant == "adapters":
        model = lora.wrap(model, Lora(rank=4, dropout=0.1), seed=3)
    sampler = buckets.Bucketed(part, 64, 4, 3, cut=True) if variant == "widths" else Packed(part, 32, seed=3)
    return state.begin(model, s), sampler, s


def go(data: Path, out: Path, variant: str, compile: str, kill: tuple[int, str] | None) -> None:
    """Train on, and die where `kill` says: (step, "after" it, in the midst of its "save" or of the "update" before)."""
    run, sampler, s = begun(data, variant, compile)
    found = state.newest(out)
    if found:
        state.restore(run, found)

    def log(now, report) -> None:
        with open(out / "lines.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps([report.step, report.loss, report.norm, report.tokens]) + "\n")
        if kill and kill == (report.step, "after"):
            os.kill(os.getpid(), signal.SIGKILL)

    def save(now, report) -> None:
        real = state.tensors.write

        def half(path, found) -> None:
            real(path, found)
            os.kill(os.getpid(), signal.SIGKILL)

        if kill and kill == (report.step, "save"):
            state.tensors.write = half
        state.save(now, out)

    real_update = loop.update

    def update(now, settings, done):
        if kill and kill == (now.step + 1, "update"):
            now.optimizers[0].step()
            os.kill(os.getpid(), signal.SIGKILL)
        return real_update(now, settings, done)

    loop.update = update
    dtype = getattr(torch, s.precision) if s.precision != "auto" else torch.float32
    loop.train(run, sampler, causal, causal.Settings(0.1), s, dtype, [(1, log), (3, save)])


def parts(data: Path, out: Path, variant: str, compile: str, kills: int) -> None:
    """All parts, each in a child of this process, which itself computes nothing."""
    out.mkdir(parents=True)
    chance = random.Random(variant)
    steps = sorted(chance.choices(range(1, STEPS // 3 + 1), k=kills))
    plan = [(3 * step if how == "save" else 3 * step - chance.randint(0, 1), how)
            for step, how in ((step, chance.choice(("after", "save", "update"))) for step in steps)]  # fmt: skip
    for kill in [*plan, None]:
        child = os.fork()
        if not child:
            go(data, out, variant, compile, kill)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "at": kill}))
        if not (os.WIFSIGNALED(status) or status == 0):
            sys.exit(3)


def told(out: Path) -> None:
    """The curve, each step as it was done last, and the hash of the last state's files."""
    lines = [json.loads(line) for line in (out / "lines.jsonl").read_text(encoding="utf-8").splitlines()]
    for step, line in sorted({line[0]: line for line in lines}.items()):
        assert [one for one in lines if one[0] == step] == [line] * sum(one[0] == step for one in lines), step
        print(json.dumps(line))
    found = state.newest(out)
    print(json.dumps({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(found.glob("*.safetensors"))}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, out, variant, compile, kills = sys.argv[1:]
    parts(Path(data), Path(out), variant, compile, int(kills))
    told(Path(out))
