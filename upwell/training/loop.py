"""The training loop: load, forward, backward, step. Periodic work is a list of (every, function).

It is handed batches, an objective and functions to call; it knows no file, no text and no screen.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..errors import UpwellError
from . import compiling, optim, schedule
from .memory import keep_freed_memory
from .settings import Settings
from .state import State


class Report(NamedTuple):
    """What one step did."""

    step: int
    """Steps done, this one included."""
    loss: float
    """Mean loss of the step's targets before the update, nats."""
    norm: float
    """Length of the gradient before clipping."""
    rate: float
    """The schedule's factor."""
    tokens: int
    """Tokens learned from so far."""
    seconds: float
    """Time in steps so far."""


Every = Sequence[tuple[int, Callable[[State, Report], None]]]


def train(
    state: State,
    batches: Callable[[int, int], "Batch"],  # noqa: F821 - tokens.batches.Batch
    loss: Callable,
    s: Settings,
    dtype: torch.dtype = torch.float32,
    every: Every = (),
    warn: Callable[[str], None] = print,
) -> State:
    """Train `state` up to s.steps and give it back.

    batches(first, count) gives samples first .. first + count - 1; loss(model, batch) a Loss; dtype is the format of
    matrix products. Each function of `every` is called with (state, report) after every n-th step and after the last.
    UpwellError names the step whose loss is not a number; the state is then as before that step.
    """
    keep_freed_memory()
    model, device = state.model.train(), state.model.device
    pass_through = Pass(model, loss, s, dtype)
    first = move(batches(0, s.rows), device)
    example = {"rows": s.micro_rows or s.rows, "context": s.context, "documents": first.documents is not None,
               "device": str(device), "autocast": dtype != torch.float32}  # fmt: skip
    compiler = compiling.Compiler(model, s.compile, state.swap, example, warn)
    try:
        while state.step < s.steps:
            begin = time.perf_counter()
            compiler.before(state.step, lambda: pass_through(first))
            state.swap = compiler.swap
            batch = move(batches(state.step * s.rows, s.rows), device)
            torch.manual_seed(s.seed * 1_000_003 + state.step)  # dropout: a pure function of (seed, step)
            mean, norm = pass_through(batch)
            if not (mean < float("inf")):
                raise UpwellError(f"step {state.step + 1}: the loss is {mean}; the state before it is kept. "
                                  "Try a lower rate, or look for damaged text.")
            factor = schedule.factor(state.step, s.steps, s.schedule)
            optim.set_rate(state.optimizers, factor, state.step, s.optim)
            for optimizer in state.optimizers:
                optimizer.step()
            state.step += 1
            state.seconds += time.perf_counter() - begin
            report = Report(state.step, mean, norm, factor, state.step * s.rows * s.context, state.seconds)
            for n, function in every:
                if state.step % n == 0 or state.step == s.steps:
                    function(state, report)
                    model.train()
    finally:
        compiler.close()
    return state


class Pass:
    """Forward and backward over one step's rows: sets the gradients of the mean loss, gives (mean loss, norm)."""

    def __init__(self, model, loss: Callable, s: Settings, dtype: torch.dtype):
        self.model, self.loss, self.s, self.dtype = model, loss, s, dtype

    def __call__(self, batch) -> tuple[float, float]:
        model, total = self.model, 0.0
        count = max(1, int((batch.targets != -100).sum()))
        for p in model.parameters():
            p.grad = None
        for part in cut(batch, self.s.micro_rows or len(batch.ids)):
            with torch.autocast(model.device.type, self.dtype, enabled=self.dtype != torch.float32):
                value = self.loss(model, part).total / count
            value.backward()
            total += value.item()
        limit = self.s.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item()
        return total, norm


def cut(batch, rows: int):
    """A batch in pieces of `rows` rows."""
    for i in range(0, len(batch.ids), rows):
        yield type(batch)(*(None if t is None else t[i : i + rows] for t in batch))


def move(batch, device):
    """A batch on a device."""
    return type(batch)(*(None if t is None else t.to(device, non_blocking=True) for t in batch))
