"""What each process does in the tests of several: python worker.py JOB FOLDER SETTINGS."""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from safetensors.torch import save_file

from upwell.errors import UpwellError
from upwell.model import lora, preset
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes
from upwell.objectives import _entropy
from upwell.training import loop, parallel, sharded
from upwell.training.settings import Optim, Schedule, Settings
from upwell.training.state import State, begin, restore

MODELS = {
    "llama, tied": ({"family": "llama", "tied": True}, False),
    "nanochat": ({"family": "nanochat"}, False),
    "llama, adapted": ({"family": "llama", "kv_heads": 2}, True),
    "t5": ({"family": "t5"}, False),
    "bart": ({"family": "bart"}, False),
}
ROWS, CONTEXT, VOCAB = 7, 12, 61  # 7 rows: no two processes have the same number of micro-batches by themselves


class Batch(NamedTuple):
    """ids and targets (B, T), source (B, S) where there is an encoder."""

    ids: torch.Tensor
    targets: torch.Tensor
    source: torch.Tensor | None


class Sampler:
    """Sample i is a function of i; rows differ in how much they ask."""

    def __init__(self, source: bool = False):
        self.source = source

    def samples(self, numbers) -> Batch:
        rows = [torch.Generator().manual_seed(int(number)) for number in numbers]
        ids = torch.stack([torch.randint(0, VOCAB, (CONTEXT + 1,), generator=g) for g in rows])
        asked = torch.stack([torch.rand(CONTEXT, generator=g) < n % 4 / 4 + 0.2 for n, g in zip(numbers, rows)])  # noqa: B905
        source = torch.stack([torch.randint(0, VOCAB, (9,), generator=g) for g in rows]) if self.source else None
        return Batch(ids[:, :-1], ids[:, 1:].where(asked, torch.tensor(-100)), source)


def loss(model, batch, settings) -> torch.Tensor:
    """Two terms: the asked tokens, and the length of the vectors."""
    hidden = model.hidden(batch.ids, source=batch.source)
    words = _entropy.summed(hidden, model.output_weight, batch.targets)
    return torch.stack((words, 0.1 * hidden.square().sum().to(words)))


def counts(batch, settings) -> tuple[int, int]:
    """Of the two terms."""
    return int((batch.targets != -100).sum()), batch.ids.numel()


OBJECTIVE = SimpleNamespace(TERMS=("words", "length"), loss=loss, counts=counts, tokens=lambda b: b.ids.numel())


def model_of(name: str, group, dtype=torch.float32):
    """A small model of random weights, the same for every group."""
    sizes, adapted = MODELS[name]
    config = preset.config(Sizes(width=24, layers=2, heads=2, **sizes), VOCAB, 16, 0)
    model = preset.create(config, seed=5).to(dtype)
    random = torch.Generator().manual_seed(1)
    if adapted:
        lora.wrap(model, Lora(rank=2), seed=1).to(dtype)
    for p in model.parameters():  # first weights of 0 would hide mistakes
        p.data.copy_(torch.randn(p.shape, generator=random, dtype=dtype) * 0.1)
    return parallel.spread(model, group)


def gradients(folder: Path, group, micro: int = 2) -> dict:
    """Loss, length and gradients of one step of each model; the gradients go to the folder."""
    found = {}
    settings = Settings(rows=ROWS, context=CONTEXT, clip=0.05)
    for name in MODELS:
        for dtype in (torch.float64, torch.float32) if name == "nanochat" else (torch.float64,):
            model = model_of(name, group, dtype).train()
            source = model.encoder is not None
            one = loop.Pass(State(model, []), OBJECTIVE, None, settings, torch.float32, group)
            one.pieces = group.pieces(ROWS, micro)
            mine = group.share(ROWS)
            done = one(Sampler(source).samples(range(mine.start, mine.stop)), seed=1)
            slopes = {n: parallel.full(p.grad).clone() for n, p in model.named_parameters() if p.grad is not None}
            key = f"{name}, {dtype}"
            found[key] = [done.loss, done.norm, done.tokens, sorted(slopes)]
            if group.main:
                save_file(slopes, folder / f"{key}.safetensors")
    return found


def opened(folder: Path, group) -> dict:
    """What a model says, called in several ways between two steps."""
    model, source = model_of("bart", group), Sampler(True).samples(range(3))
    with group.open(model), torch.no_grad():
        before = model.eval()(source.ids, source=source.source).double().sum().item()
    lesson = group.lesson(model.train(), lambda model, batch: loss(model, batch, None))
    lesson(source).sum().backward()
    with group.open(model), torch.no_grad():
        hidden = model.eval().hidden(source.ids, source=source.source)
        after = model.logits(hidden).double().sum().item()
    return {"before": before, "after": after}


def numbers(folder: Path, group) -> dict:
    """What a group tells its processes."""
    told = group.told(3.5 if group.main else 99.0)
    return {"rank": group.rank, "total": group.total([group.rank, 1.0]), "told": told,
            "any": [group.any(group.rank == 1), group.any(False)], "share": list(group.share(7)),
            "pieces": [[p.start, p.stop] for p in group.pieces(7, 1)]}  # fmt: skip


def settings_of(optimizer: str, steps: int, **more) -> Settings:
    """A short run."""
    optim = Optim(optimizer, rate={"sgd": 0.3, "adafactor": 0.02}.get(optimizer, 3e-3), weight_decay=0.1)
    return Settings(steps=steps, rows=ROWS, micro_rows=0, context=CONTEXT, compile="off", optim=optim,
                    schedule=Schedule(warmup=2), **more)  # fmt: skip


def train(folder: Path, group, optimizer: str = "muon", steps: int = 6, name: str = "nanochat", save: int = 0,
          until: int = 0, dies: int = 0, full: int = -1, dtype: str = "float32", **more) -> dict:  # fmt: skip
    """A run of `steps` that goes on from the folder's newest state; gives the losses and lengths of its steps.

    save: steps between states; until: step after which it is left; dies: the step in which the last process is killed
    where no state is found; full: the process whose disk is full from the second state on.
    """
    s = settings_of(optimizer, steps, **more)
    state = begin(model_of(name, group, getattr(torch, dtype)), s)
    old = sharded.newest(folder, group)
    if old:
        restore(state, old)
    saver, told, first = sharded.Saver(folder, group), [], state.step
    if full == group.rank:
        saver.fill = full_from_the_second(saver.fill)

    def after(state, report) -> None:
        told.append([report.step, report.loss, report.norm])
        if save and report.step % save == 0:
            saver.save(state)
        if dies == report.step and not first and group.rank == group.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if until == report.step:
            raise Left

    try:
        loop.train(state, Sampler(state.model.encoder is not None), OBJECTIVE, None, s, every=[(1, after)], group=group)
    except Left:
        pass
    saver.close()
    if group.main:
        (folder / f"from-{first}.json").write_text(json.dumps(told))
    weights = {n: parallel.full(p.detach()).clone() for n, p in state.model.named_parameters()}
    if state.average:
        weights |= {f"average.{n}": parallel.full(t).clone() for n, t in state.average.tensors.items()}
    if group.main:
        save_file(weights, folder / "weights.safetensors")
    return {"told": told, "first": first}


class Left(Exception):
    """The run is left on purpose."""


def full_from_the_second(write):
    """A disk that has room for one state."""
    calls = []

    def wrapped(*arguments):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    return wrapped


def optimizers(folder: Path, group) -> dict:
    """Every optimizer for a few steps, with averaged weights for two of them, and adapters."""
    found = {}
    for optimizer, name, more in (("muon", "nanochat", {"average": 0.9}), ("adamw", "bart", {"average": 0.5}),
                                  ("adafactor", "llama, tied", {}), ("sgd", "t5", {}),
                                  ("muon", "llama, adapted", {})):  # fmt: skip
        key = f"{optimizer}, {name}"
        (folder / key).mkdir(exist_ok=True)
        found[key] = train(folder / key, group, optimizer, 5, name, dtype="float64", **more)["told"]
    return found


def silent(folder: Path, group) -> dict:
    """The last process stops answering."""
    group.barrier()
    if group.rank == group.size - 1:
        time.sleep(600)
    group.barrier()
    return {}


def step(folder: Path, group) -> dict:
    """All of the above, since a process takes seconds to start."""
    return {"gradients": gradients(folder, group), "opened": opened(folder, group), "numbers": numbers(folder, group)}


def main() -> None:
    """Run a job and print what it gives back."""
    torch.set_num_threads(1)
    job, folder, settings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    with parallel.join("cpu", settings.pop("shards", 1), float(os.environ.get("PATIENCE", "10"))) as group:
        try:
            with parallel.plainly(group):
                found = globals()[job](folder, group, **settings)
                group.barrier()
        except UpwellError as error:
            sys.exit(f"SAID {error}")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
