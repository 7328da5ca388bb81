"""The training loop: load, forward, backward, step. Periodic work is a list of (every, function).

It is handed a sampler, an objective and functions to call; it knows no file, no text and no screen.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import UpwellError
from ..model import lora
from . import blocks, compiling, optim, precision, schedule
from .averaging import Average
from .memory import Bounded, keep_freed_memory
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


SPAN = 64  # steps whose losses tell what is usual

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

    Unsound names the step and the samples whose loss or gradient is not a number, or jumps; the state is then as before
    that step, worth keeping.
    """
    bounded = Bounded() if keep_freed_memory() else lambda: None
    group = group or Alone()
    dressed(state, s, dtype)
    pass_through = Pass(state, objective, options, s, dtype, group)
    mine = group.share(s.rows)

    def batch_of(step: int):
        return move(sampler.samples(numbers_of(step, s.rows)[mine.start : mine.stop]), state.model.device)

    compiler = compiler_of(state, objective, options, s, dtype, group, batch_of, pass_through.pieces, warn)
    try:
        while state.step < s.steps:
            begin = time.perf_counter()
            compiler.before(state.step, lambda: pass_through.trial(batch_of(0)))
            state.swap = compiler.swap
            done = pass_through(batch_of(state.step), (s.seed * 1_000_003 + state.step) * group.size + group.rank)
            check(done, state, s)
            factor = update(state, s, done)
            bounded()
            state.seconds += time.perf_counter() - begin
            report = Report(state.step, done.loss, done.norm, factor, state.tokens, state.seconds, done.terms)
            for n, function in every:
                if state.step % n == 0 or state.step == s.steps:
                    function(state, report)
                    state.model.train()
    finally:
        compiler.close()
    return state


def dressed(state: State, s: Settings, dtype: torch.dtype) -> None:
    """Change the model's blocks as the settings want them, in place, and begin what the state lacks for that."""
    model = state.model.train()
    lora.hold(model, dtype)
    if s.dropout is not None:
        blocks.drop(model, s.dropout)
    if s.precision == "float8":
        precision.narrow(model)
    if s.checkpoint:
        blocks.remember_less(model)
    if dtype == torch.float16 and state.scaler is None:
        state.scaler = precision.Scaler()
    if s.average and state.average is None:
        state.average = Average(model, s.average)


def compiler_of(state, objective, options, s, dtype, group, batch_of, pieces, warn) -> compiling.Compiler:
    """What compiles the blocks: for one width where all batches have one, and for pieces of one size."""
    mode = "wait" if s.compile == "background" and group.size > 1 else s.compile  # all swap at the same step
    some = [] if mode == "off" else [batch_of(step) for step in range(compiling.LOOK)]
    uneven = len({piece.stop - piece.start for piece in pieces}) > 1
    dynamic = bool(some) and (uneven or compiling.varied(some))
    one = cut(some[0], pieces[0]) if some else None
    told = partial(compiling.described, state.model, objective, options, one, dtype, dynamic)
    return compiling.Compiler(state.model, mode, state.swap, dynamic, told, warn)


def update(state: State, s: Settings, done: "Done") -> float:
    """One step of the optimizers; gives the schedule's factor."""
    factor = schedule.factor(state.step, s.steps, s.schedule)
    optim.set_rate(state.optimizers, factor, state.step, s.optim)
    for optimizer in state.optimizers:
        optimizer.step()
    state.step, state.tokens = state.step + 1, state.tokens + done.tokens
    if state.average is not None:
        state.average.update(state.step)
    state.recent = [*state.recent, done.loss][-SPAN:] if s.spike else []
    return factor


class Done(NamedTuple):
    """What a pass over one step's rows found; see Report. tokens: of this step."""

    loss: float
    norm: float
    tokens: int
    terms: dict[str, float]


class Pass:
    """Forward and backward over one step's rows: sets the gradients of the step's loss."""

    def __init__(self, state: State, objective: Any, options: Any, s: Settings, dtype: torch.dtype, group: Any):
        self.state, self.objective, self.options, self.s, self.dtype = state, objective, options, s, dtype
        self.group = group
        self.lesson = group.lesson(state.model, lambda model, batch: objective.loss(model, batch, options))
        self.pieces = group.pieces(s.rows, 0 if getattr(objective, "TOGETHER", False) else s.micro_rows)

    def __call__(self, batch, seed: int) -> Done:
        """Where float16 overflows, the same again with a smaller scale."""
        counts, tokens = self.counted(batch)
        while True:
            torch.manual_seed(seed)  # dropout is a function of (seed, step)
            total, norm = self.once(batch, counts)
            scaler = self.state.scaler
            if scaler is None or norm < float("inf") or not scaler.shrink():
                break
        if scaler is not None and norm < float("inf"):
            scaler.fits()
        terms = dict(zip(self.objective.TERMS, self.group.total(total.tolist()), strict=True))
        return Done(sum(terms.values()), norm, tokens, terms)

    def once(self, batch, counts: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Gradients of all micro-batches: (this process's part of the terms (K,), length of the gradient)."""
        learning = [p for p in self.state.model.parameters() if p.requires_grad]
        for p in learning:
            p.grad = None
        total, scale = 0.0, self.state.scaler.scale if self.state.scaler else 1.0
        for number, piece in enumerate(self.pieces, start=1):
            value = self.forward(cut(batch, piece), last=number == len(self.pieces))
            value = value / counts.to(value)
            (value.sum() * scale).backward()
            total = total + (value.detach() if value.device.type == "mps" else value.detach().double())
        if scale != 1.0:
            torch._foreach_mul_([p.grad for p in learning if p.grad is not None], 1 / scale)
        return total, self.group.norm(learning, self.s.clip)

    def trial(self, batch) -> None:
        """A pass that changes nothing but gradients."""
        self.once(batch, self.counted(batch)[0])

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


class Unsound(UpwellError):
    """A step that must not be taken; the state is as before it."""


def check(done: Done, state: State, s: Settings) -> None:
    """Raise Unsound where the loss or the gradient of a step is not a number, or the loss jumps."""
    numbers = numbers_of(state.step, s.rows)
    where = f"step {state.step + 1} (samples {numbers[0]} to {numbers[-1]})"
    advice = "The state before it is kept; look for damaged text in these samples, or begin anew with a lower rate."
    for name, value in (("loss", done.loss), ("gradient", done.norm)):
        if not value < float("inf"):
            raise Unsound(f"{where}: the {name} is {value}; expected a number. {advice}")
    if s.spike and len(state.recent) >= SPAN // 4:
        usual = statistics.median(state.recent)
        if done.loss > s.spike * usual:
            raise Unsound(f"{where}: the loss is {done.loss:.4g}, more than {s.spike:g} times {usual:.4g}, the median "
                          f"of the steps before. {advice} A larger training.spike lets it pass.")


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
