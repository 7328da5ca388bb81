"""A training run over all rooms: data, model, state, folder; what `upwell pretrain` and `upwell quickstart` do.

It hands evaluation, sampling, saving and display to the training loop as periodic work.
"""

import contextlib
import math
import signal
import statistics
import threading
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from . import terminal
from .errors import CheckpointError, SettingsError
from .evaluation.tasks import loss as loss_task
from .generation.backend import Local
from .generation.settings import Settings as Writing
from .model import hub, preset
from .objectives import Part, causal
from .settings import dump, plain
from .tokens.store import Store
from .tokens.tokenizer import Tokenizer
from .training import loop, optim, precision
from .training import state as states
from .training.record import Record
from .verbs.generate import usable_device
from .verbs.pretrain import Settings

PROBE_STEPS, PROBE_SECONDS = (6, 60), 8.0  # at least and at most so many steps, and until so much time has passed


@dataclass(frozen=True)
class Result:
    """A finished run."""

    folder: Path
    steps: int
    tokens: int
    seconds: float
    """In training steps, over all parts of the run."""
    parameters: int
    bits_per_byte: float
    error: float
    """Standard error of bits_per_byte."""


def pretrain(settings: Settings) -> Result:
    """Train, or go on with a run that was stopped. Raises an UpwellError; the last saved state stays whole."""
    run = Run(settings)
    if run.state.step < run.training.steps:
        run.train()
    return run.finish()


class Run:
    """One training run: its data, model, state and folder."""

    def __init__(self, settings: Settings):
        self.settings, self.folder = settings, settings.out
        self.device = usable_device(settings.device)
        self.tokenizer = Tokenizer.load(settings.data)
        self.learn, self.held = Store(settings.data / "train"), Store(settings.data / "heldout")
        check_vocabulary(self.learn, self.tokenizer)
        self.objective, self.options = causal, causal.Settings()
        part = Part(self.learn, tokenizer=self.tokenizer, context=settings.training.context)
        self.sampler = causal.samples(part, settings.training.rows, settings.training.seed, self.options)
        self.bits = len(self.learn) / max(1, self.learn.text_bytes) / math.log(2)  # nats a token -> bits a byte
        self.training = settings.training
        self.old = self.resumable()
        self.dtype = precision.resolve(self.training.precision, self.device)
        self.state, self.measured = self.begin(), (0, None)

    def resumable(self) -> Path | None:
        """The newest state of this very run, or None; another run's folder is refused, not overwritten."""
        found = states.newest(self.folder)
        if found is None:
            if (self.folder / "model.safetensors").exists():
                raise CheckpointError(f"{self.folder} holds a finished model of another run; choose another --out")
            return None
        extra = states.facts(found)["extra"]
        if extra["settings"] != self.identity():
            changed = sorted(k for k, v in flat(self.identity()).items() if flat(extra["settings"]).get(k) != v)
            raise SettingsError(f"{self.folder} holds a run with other settings ({', '.join(changed[:5])}); "
                                "give the same ones to go on with it, or choose another --out")
        self.training = replace(self.training, steps=extra["steps"], precision=extra["precision"])
        return found

    def identity(self) -> dict:
        """What must be the same for a run to go on: model, training, budget and data."""
        s = self.settings
        return {"minutes": s.minutes, "model": plain(s.model), "training": plain(s.training),
                "data": self.tokenizer.hash, "tokens": len(self.learn)}  # fmt: skip

    def begin(self):
        """A fresh state, or the one that was saved."""
        s = self.settings
        config = preset.config(s.model, self.tokenizer.vocab_size, self.training.context, self.tokenizer.end)
        model = preset.create(config, self.training.seed, self.device)
        fresh = states.State(model, optim.build(model, self.training.optim))
        if self.old:
            states.restore(fresh, self.old)
            terminal.say(f"Going on with {self.folder} after step {fresh.step:,} of {self.training.steps:,}.")
            return fresh
        if s.minutes:
            self.training = replace(self.training, steps=self.probed(config))
        fresh.extra = {"settings": self.identity(), "steps": self.training.steps,
                       "precision": str(self.dtype).removeprefix("torch.")}  # fmt: skip
        return fresh

    def probed(self, config) -> int:
        """How many steps fit into the budget: a few steps of a throw-away model are timed, compiling apart."""
        begin, times = time.perf_counter(), []
        model = preset.create(config, self.training.seed, self.device)
        trial = states.State(model, optim.build(model, self.training.optim))
        short = replace(self.training, steps=PROBE_STEPS[1])

        def timed(state, report) -> None:
            times.append(report.seconds)
            if len(times) >= PROBE_STEPS[0] and times[-1] - times[0] > PROBE_SECONDS:
                raise Enough

        with contextlib.suppress(Enough):
            loop.train(trial, self.sampler, self.objective, self.options, short, self.dtype, [(1, timed)], warn)
        step = statistics.median(b - a for a, b in pairwise(times[len(times) // 2 :]))  # the first ones warm up
        left = self.settings.minutes * 60 - (time.perf_counter() - begin)
        steps = max(10, round(left / step))
        tokens = steps * self.training.rows * self.training.context
        terminal.say(f"Probe: {step:.3f} s a step, so {self.settings.minutes:g} minutes are {steps:,} steps "
                     f"({tokens:,} tokens, {tokens / len(self.learn):.1f} times the text).")
        return steps

    def train(self) -> None:
        """The loop, with the periodic work of this verb."""
        s = self.settings
        self.folder.mkdir(parents=True, exist_ok=True)
        self.saved, self.before = time.monotonic(), (self.state.tokens, self.state.seconds)
        self.twin = self.state.model.twin()
        self.record = Record(self.folder / "metrics.jsonl", self.state.step + 1)
        steps = self.training.steps
        every = [(1, self.log), (max(1, steps // max(1, s.evaluations)), self.measure),
                 (max(1, steps // max(1, s.samples)), self.write), (s.save_steps or 1, self.save)]  # fmt: skip
        every = [pair for pair, wanted in zip(every, (1, s.evaluations, s.samples, 1), strict=True) if wanted]
        try:
            with CtrlC() as asked, terminal.Progress("pretrain", total=steps, start=self.state.step) as self.progress:
                every.append((1, lambda state, report: self.stop() if asked.stop else None))
                loop.train(self.state, self.sampler, self.objective, self.options, self.training, self.dtype, every,
                           warn)  # fmt: skip
        finally:
            self.record.close()

    def stop(self) -> None:
        """Ctrl-C was pressed: keep the state between two steps, and end."""
        self.keep()
        raise Stopped(f"Stopped after step {self.state.step:,} of {self.training.steps:,}; everything is saved in "
                      f"{self.folder}, and the same command goes on from there.")

    def log(self, state, report) -> None:
        """One line of metrics, one movement of the bar."""
        tokens, seconds = self.before
        speed = (report.tokens - tokens) / max(1e-9, report.seconds - seconds)
        self.before = (report.tokens, report.seconds)
        bits = report.loss * self.bits
        self.record(step=report.step, loss=report.loss, bits_per_byte=bits, norm=report.norm, rate=report.rate,
                    tokens=report.tokens, seconds=round(report.seconds, 3), tokens_per_second=round(speed))  # fmt: skip
        shown = {"loss": f"{report.loss:.3f}", "bits/byte": f"{bits:.3f}", "tokens/s": f"{speed:,.0f}"}
        self.progress.update(report.step, shown)

    def measure(self, state, report) -> None:
        """Bits per byte of the held-out text."""
        value = self.heldout().numbers["bits per byte"]
        self.record(step=report.step, heldout_bits_per_byte=value.value, error=value.error, tokens=report.tokens)
        terminal.say(f"step {report.step:,}: held-out text {value.value:.3f} bits per byte")
        self.measured = (report.step, value)

    def heldout(self):
        """Scores of the held-out text."""
        return loss_task.measure(self.twin, self.held, loss_task.Settings(), self.dtype)

    def write(self, state, report) -> None:
        """A few lines of the model's own, so that one sees it learn."""
        text = sample(self.twin, self.tokenizer, self.settings.sample_tokens, seed=self.training.seed)
        self.record(step=report.step, sample=text, tokens=report.tokens)
        terminal.say(f"step {report.step:,}, the model writes:")
        terminal.sample(text)

    def save(self, state, report) -> None:
        """Keep the state where it is time to."""
        if self.settings.save_steps or time.monotonic() - self.saved > self.settings.save_seconds:
            self.keep()

    def keep(self) -> None:
        """Write the state now."""
        states.save(self.state, self.folder)
        self.saved = time.monotonic()

    def finish(self) -> Result:
        """Write the folder that others open, and measure it."""
        self.twin = self.state.model.twin()
        step, value = self.measured
        if step != self.state.step:
            value = self.heldout().numbers["bits per byte"]
        model, done = self.twin, self.state
        said = indented("settings", dump(replace(self.settings, training=self.training)))
        hub.save(hub.Checkpoint(model, self.tokenizer, model.config, self.folder), self.folder, said)
        self.keep()
        return Result(self.folder, done.step, done.tokens, done.seconds, preset.count(model), value.value, value.error)


class Enough(Exception):
    """The probe has seen enough steps."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the state was saved; the sentence says how to go on."""


class CtrlC:
    """While it is open, the first Ctrl-C sets .stop, so that no step is torn in two; a second one stops at once."""

    def __enter__(self) -> "CtrlC":
        self.stop, self.before = False, None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self.pressed)
        return self

    def pressed(self, *_) -> None:
        """The handler."""
        if self.stop:
            raise KeyboardInterrupt
        self.stop = True

    def __exit__(self, *_) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)


def sample(model, tokenizer, tokens: int, prompt: str = "", seed: int = 1) -> str:
    """A text that the model writes on from `prompt`, or from the start of a document."""
    backend = Local(hub.Checkpoint(model, tokenizer, model.config))
    try:
        room = model.config.context - len(backend.read(prompt))
        settings = Writing(max_new=min(tokens, room), temperature=0.8, top_p=0.95, seed=seed)
        return prompt + "".join(piece.text for piece in backend.generate(prompt, settings))
    finally:
        backend.close()


def check_vocabulary(store, tokenizer) -> None:
    """The tokens must have been made with this tokenizer."""
    if store.tokenizer != tokenizer.hash or store.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(f"{store.folder}: its tokens were made with another tokenizer than the tokenizer.json "
                              f"beside it ({store.vocab_size} against {tokenizer.vocab_size} ids); prepare it again")


def warn(text: str) -> None:
    """A line of warning."""
    terminal.warn(text)


def flat(tree: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def indented(name: str, yaml: str) -> str:
    """YAML text as the value of a key."""
    return f"{name}:\n" + "".join(f"  {line}\n" for line in yaml.splitlines())
