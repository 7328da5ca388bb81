"""What a run takes of this machine, and what is chosen for it: micro-batch, checkpointing and precision.

    training = fitting(job, settings, training, model, dtype, group)     # the choice, said in one line
    show(settings)                                                       # --plan: all of it, and nothing is trained

The choice rests on passes over a few rows. A plan also rehearses: the first two steps of the run, of at most two
micro-batches each, in a process of its own whose memory and time are looked at; on a GPU in this one.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import terminal
from ..errors import ServiceError, SettingsError
from ..model import budget
from ..settings import dump
from ..training import loop, plan
from ..training.settings import Settings as Training
from .opening import Job
from .settings import Running

GIB = 1 << 30
SHARE = 0.9  # of what is free may be planned with
LOOKED = 8  # steps whose batches are looked at for the widest
STEPS = 4  # the memory of a process still grows a little after the first two
used = plan.used


# ---- the choice ----


def fitting(job: Job, s: Running, training: Training, model, dtype: torch.dtype, group) -> Training:
    """The settings with a micro-batch and checkpointing that fit into the memory; SettingsError where nothing does."""
    if group.shards > 1:  # what a process holds of a divided model is not reckoned
        return training
    choice, room = choose(job, s, training, model, dtype, group), room_of(s, group)
    if group.any(not choice.fits):
        raise SettingsError(f"{size(choice.memory.peak)} are needed even for micro-batches of {choice.micro_rows} with "
                            f"checkpointing, and {size(room)} may be taken; expected a smaller model or context, LoRA "
                            "(--lora.rank), or a --memory of your own")  # fmt: skip
    terminal.say(told(choice, training))
    micro, again = int(group.told(choice.micro_rows)), bool(group.told(choice.checkpoint))  # the same in all processes
    return replace(training, micro_rows=training.micro_rows or micro, checkpoint=again)


def choose(job: Job, s: Running, training: Training, model, dtype: torch.dtype, group) -> plan.Choice:
    """The largest micro-batch of this process's rows whose memory is there."""
    mine = len(group.share(training.rows))
    share, room = replace(training, rows=mine, micro_rows=0), room_of(s, group)
    batch = widest(job, share)

    def looked(checkpoint: bool) -> plan.Look:
        return plan.look(model, job.objective, job.options, batch, replace(share, checkpoint=checkpoint), dtype,
                         room=room)  # fmt: skip

    sizes = [n for n in range(mine, 0, -1) if mine % n == 0 and training.rows % n == 0]
    if getattr(job.objective, "TOGETHER", False):
        sizes = [mine]
    elif training.micro_rows:
        sizes = [min(mine, training.micro_rows)]
    return plan.chosen(looked, share, room, sizes)


def widest(job: Job, training: Training) -> Any:
    """The batch with the most places of the first few steps."""
    sampler = job.sampler(training.rows, training.seed)
    batches = (sampler.samples(np.arange(n * training.rows, (n + 1) * training.rows)) for n in range(LOOKED))
    return max(batches, key=lambda batch: sum(t.numel() for t in batch if t is not None))


def room_of(s: Running, group) -> float:
    """Bytes that this process may take."""
    free = plan.free(group.device) * SHARE
    here = group.size if not str(group.device).startswith("cuda") else 1  # processes of a machine share its memory
    return s.memory * GIB if s.memory else free / here or float("inf")


def told(choice: plan.Choice, training: Training) -> str:
    """The choice in one line."""
    rows = choice.micro_rows or training.rows
    again = ", blocks compute again what they forget" if choice.checkpoint else ""
    return (f"Micro-batches of {rows} of {training.rows} rows, {training.precision}{again}: about "
            f"{size(choice.memory.peak)}.")


def size(count: float) -> str:
    """Bytes in words."""
    return f"{count / GIB:,.2f} GiB" if count > GIB / 10 else f"{count / (1 << 20):,.1f} MiB"


# ---- the plan ----


@dataclass(frozen=True)
class Plan:
    """What a run takes. memory: bytes besides those of Python and torch themselves."""

    memory: plan.Memory
    training: Training
    seconds: float
    """Of a step."""
    tokens: float
    """Real tokens of a step."""
    operations: float
    """Of a step."""
    parameters: int
    learning: int


def planned(s: Running) -> Plan:
    """Choose and rehearse; nothing is written."""
    from .going import Run

    with tempfile.TemporaryDirectory() as folder:
        run = Run(replace(s, out=Path(folder) / "run", minutes=0.0))
        job, training, model = run.job, run.training, run.state.model
        found = rehearsed(run) if str(run.device).startswith("cuda") else child(run.settings, training)
    choice = choose_again(run)
    piece = choice.memory
    rest = found["peak"] - (piece.weights + piece.gradients + piece.optimizer + piece.logits + piece.data)
    memory = replace(piece, activations=max(0, int(rest)))
    share = found["rows"] / training.rows
    seconds, tokens = found["seconds"] / share, found["tokens"] / share
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    passes = 3 if s.adapters is None else 2
    each = budget.operations(job.config, training.context).all / training.context
    return Plan(memory, training, seconds, tokens, passes * each * tokens, sum(p.numel() for p in model.parameters()),
                learning)  # fmt: skip


def choose_again(run) -> plan.Choice:
    """The counted parts of the memory for what was chosen."""
    batch = widest(run.job, run.training)
    found = plan.Look(*plan.counted(run.state.model, run.training, batch), 0.0, 0.0, 0.0)
    return plan.Choice(run.training.micro_rows, run.training.checkpoint, plan.predicted(found, run.training), True)


def rehearsed(run) -> dict:
    """The first steps, cut to two micro-batches each; the run's own model is spent on it."""
    t = run.training
    rows = min(t.rows, 2 * (t.micro_rows or t.rows))
    short = replace(t, rows=rows, steps=STEPS, compile="off")
    ends: list[float] = [time.perf_counter()]
    tokens: list[int] = []

    def seen(state, report) -> None:
        ends.append(time.perf_counter())
        tokens.append(report.tokens)

    loop.train(run.state, run.job.sampler(rows, t.seed), run.job.objective, run.job.options, short, run.dtype,
               [(1, seen)], terminal.warn)  # fmt: skip
    return {"peak": used(run.device), "seconds": ends[-1] - ends[-2], "tokens": tokens[-1] / STEPS, "rows": rows}


def child(s: Running, training: Training) -> dict:
    """`rehearsed` in a process of its own, with what was chosen; its peak counts from behind its imports."""
    verb = "finetune" if hasattr(s, "lora") else "pretrain"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.yaml"
        path.write_text(dump(replace(s, training=training, plan=False, out=Path(folder) / "run")), encoding="utf-8")
        words = [sys.executable, "-m", "upwell.run.rehearsal", verb, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ServiceError(f"the rehearsal ended ({said[-1] if said else done.returncode}); try a smaller --memory")
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(s: Running) -> None:
    """Print a plan."""
    p = planned(s)
    t, m = p.training, p.memory
    steps = t.steps
    hours = steps * p.seconds / 3600
    if s.minutes:
        hours, steps = s.minutes / 60, max(1, round(s.minutes * 60 / p.seconds))
    rows = [
        ("model", f"{p.parameters / 1e6:,.2f} M parameters, {p.learning / 1e6:,.2f} M learn"),
        ("memory", f"{size(m.peak)} at the peak, besides Python and torch"),
        *((f"  {name}", size(getattr(m, name)))
          for name in ("weights", "gradients", "optimizer", "activations", "logits", "data")),
        ("chosen", told(plan.Choice(t.micro_rows, t.checkpoint, m, True), t)),
        ("a step", f"{p.seconds:.3f} s without a compiler, {p.tokens:,.0f} tokens"),
        ("speed", f"{p.tokens / p.seconds:,.0f} tokens a second"),
        ("the run", f"{steps:,} steps, {steps * p.tokens:,.0f} tokens, {terminal.duration(hours * 3600)}"),
        ("cost", f"{steps * p.operations:.3g} operations"),
    ]  # fmt: skip
    rows += [("energy", f"{hours * s.watts / 1000:,.3f} kWh at {s.watts:g} W")] if s.watts else []
    rows += [("price", f"{hours * s.price:,.2f} at {s.price:g} an hour")] if s.price else []
    terminal.table("Plan", ("what", "it takes"), rows)
