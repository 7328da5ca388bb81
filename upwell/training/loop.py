"""The training loop: load, forward, backward, step. Periodic work is a list of (every, function).

It is handed a sampler, an objective and functions to call; it knows no file, no text and no screen.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import UpwellError
from . import compiling, optim, schedule
from .memory import keep_freed_memory
from .parallel import Alone
from .settings import Settings
from .state import State


class Report(NamedTuple):
    """What one step did."""

    step: int
    """Steps done, this one included."""
    loss: float
    """Mean loss of the step before the update, nats, over all processes; the sum of its terms."""
    norm: float
    """Length of the gradient before clipping."""
    rate: float
    """The schedule's factor."""
    tokens: int
    """Real tokens learned from so far, over all processes."""
    seconds: float
    """Time in steps so far."""
    terms: dict[str, float]
    """The parts of the loss by the objective's names."""


Every = Sequence[tuple[int, Callable[[State, Report], None]]]


def train(
    state: State,
    sampler: Any,
    objective: Any,
    options: Any,
    s: Settings,
    dtype: torch.dtype = torch.float32,
    every: Every = (),
    warn: Callable[[str], None] = print,
    group: Any = None,
) -> State:
    """Train `state` up to s.steps and give it back.

    sampler: what objective.samples gives; objective: a module of objectives; options: its Settings; dtype: the format
    of matrix products; group: the processes that train together (parallel), one where it is None. Each function of
    `every` is called with (state, report) after every n-th step and after the last.

    UpwellError names the step and the samples whose loss is not a number; the state is then as before that step.
    """
    keep_freed_memory()
    group = group or Alone()
    pass_through = Pass(state.model.train(), objective, options, s, dtype, group)
    mine = group.share(s.rows)
    first = move(sampler.samples(numbers_of(0, s.rows)[mine.start : mine.stop]), state.model.device)
    mode = "wait" if s.compile == "background" and group.size > 1 else s.compile  # all swap at the same step
    compiler = compiling.Compiler(state.model, mode, state.swap, example(first, s, dtype), warn)
    try:
        while state.step < s.steps:
            begin = time.perf_counter()
            compiler.before(state.step, lambda: pass_through(first))
            state.swap = compiler.swap
            numbers = numbers_of(state.step, s.rows)
            batch = move(sampler.samples(numbers[mine.start : mine.stop]), state.model.device)
            torch.manual_seed((s.seed * 1_000_003 + state.step) * group.size + group.rank)  # dropout: of (seed, step)
            done = pass_through(batch)
            check(done, state.step, numbers)
            factor = schedule.factor(state.step, s.steps, s.schedule)
            optim.set_rate(state.optimizers, factor, state.step, s.optim)
            for optimizer in state.optimizers:
                optimizer.step()
            state.step, state.tokens = state.step + 1, state.tokens + done.tokens
            state.seconds += time.perf_counter() - begin
            report = Report(state.step, done.loss, done.norm, factor, state.tokens, state.seconds, done.terms)
            for n, function in every:
                if state.step % n == 0 or state.step == s.steps:
                    function(state, report)
                    state.model.train()
    finally:
        compiler.close()
    return state


class Done(NamedTuple):
    """What a pass over one step's rows found; see Report. tokens: of this step."""

    loss: float
    norm: float
    tokens: int
    terms: dict[str, float]


class Pass:
    """Forward and backward over one step's rows: sets the gradients of the step's loss."""

    def __init__(self, model, objective: Any, options: Any, s: Settings, dtype: torch.dtype, group: Any):
        self.model, self.objective, self.options, self.s, self.dtype = model, objective, options, s, dtype
        self.group = group
        self.lesson = group.lesson(model, lambda model, batch: objective.loss(model, batch, options))
        self.pieces = group.pieces(s.rows, 0 if getattr(objective, "TOGETHER", False) else s.micro_rows)

    def __call__(self, batch) -> Done:
        learning = [p for p in self.model.parameters() if p.requires_grad]
        for p in learning:
            p.grad = None
        counts, tokens = self.counted(batch)
        total = 0.0
        for number, piece in enumerate(self.pieces, start=1):
            value = self.forward(cut(batch, piece), last=number == len(self.pieces))
            value = value / counts.to(value)
            value.sum().backward()
            total = total + (value.detach() if value.device.type == "mps" else value.detach().double())
        norm = self.group.norm(learning, self.s.clip)
        terms = dict(zip(self.objective.TERMS, self.group.total(total.tolist()), strict=True))
        return Done(sum(terms.values()), norm, tokens, terms)

    def forward(self, part, last: bool) -> torch.Tensor:
        """The sums of one micro-batch, (K,)."""
        device = part[0].device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32):
            return self.lesson(part, last)

    def counted(self, batch) -> tuple[torch.Tensor, int]:
        """What each term is divided by, (K,) at least 1, and the real tokens, both over all processes."""
        found = [*self.objective.counts(batch, self.options), tokens_of(batch, self.objective)]
        *counts, tokens = self.group.total(found)
        return torch.tensor(counts, dtype=torch.float64).clamp(min=1), int(tokens)


def check(done: Done, step: int, numbers: np.ndarray) -> None:
    """Raise UpwellError where the loss or the gradient of a step is not a number."""
    for name, value in (("loss", done.loss), ("gradient", done.norm)):
        if not value < float("inf"):
            raise UpwellError(f"step {step + 1} (samples {numbers[0]} to {numbers[-1]}): the {name} is {value}; the "
                              "state before it is kept. Try a lower rate, or look for damaged text in these samples.")


def numbers_of(step: int, rows: int) -> np.ndarray:
    """The numbers of the samples of a step (from 0)."""
    return np.arange(step * rows, (step + 1) * rows, dtype=np.int64)


def tokens_of(batch, objective: Any) -> int:
    """Real tokens of a batch: as the objective counts them, else the places that no mask calls padding."""
    if hasattr(objective, "tokens"):
        return objective.tokens(batch)
    found = batch._asdict()
    masks = {name: found.get("mask" if name == "ids" else f"{name}_mask") for name in ("ids", "source")}
    return sum(int(found[name].numel() if mask is None else mask.sum()) for name, mask in masks.items()
               if found.get(name) is not None)  # fmt: skip


def cut(batch, rows: slice):
    """Some rows of a batch."""
    return type(batch)(*(None if t is None else t[rows] for t in batch))


def move(batch, device):
    """A batch on a device."""
    return type(batch)(*(None if t is None else t.to(device, non_blocking=True) for t in batch))


def example(batch, s: Settings, dtype: torch.dtype) -> dict:
    """What the compiler has to know of a batch."""
    return {"rows": s.micro_rows or s.rows, "context": s.context, "documents": batch.documents is not None,
            "device": str(batch[0].device), "autocast": dtype != torch.float32}  # fmt: skip
