"""The run itself: the loop with its periodic work, exactly resumable.

    result = train(settings)        # a pretrain.Settings or a finetune.Settings

It hands measuring, sampling, saving and display to the training loop as periodic work. Of several processes only the
first one prints and writes.
"""

import contextlib
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path

from .. import terminal, tracking
from ..atomic import alone, said_plainly
from ..errors import CheckpointError, ServiceError, SettingsError
from ..evaluation import Confusion, Number, within
from ..model import hub, preset, streamed
from ..settings import plain
from ..training import averaging, loop, parallel, precision, sharded
from ..training import state as states
from ..training.record import Record
from ..training.settings import Settings as Training
from ..verbs._models import usable_device
from . import beginning, planning, suspects, written
from .best import Best
from .opening import Job, opened
from .samples import sample
from .settings import Running
from .stop import CtrlC, Stopped

PROBE_STEPS, PROBE_SECONDS = (6, 60), 8.0  # at least and at most so many steps, and until so much time has passed
LEAST_STEPS = 10
MISSING = {"cut": "texts are longer than the context and lost their ends (a larger --training.context keeps them)",
           "dropped": "texts are left out, since they do not fit (a larger --training.context keeps more)",
           "lost": "answers do not stand whole in their texts or in a window and are asked as no answer (a larger "
                   "--learn.stride or --training.context holds more)"}  # fmt: skip
MACHINES = ("shards", "silence")  # settings that say how processes work together, not what is learnt


@dataclass(frozen=True)
class Result:
    """A finished run."""

    folder: Path
    steps: int
    tokens: int
    seconds: float
    """In training steps, over all parts of the run."""
    parameters: int
    scores: dict[str, Number]
    """Of the held-out part."""
    best: dict
    """metric, value and step of the best evaluation, where one was asked for."""
    writes: bool
    """Whether the model writes texts."""
    main: bool = True
    """Whether this is the first of several processes."""
    before: dict[str, Number] = field(default_factory=dict)
    """Of the held-out part before the first step, where it was measured."""
    confusion: Confusion | None = None
    """Right and said labels of the held-out part, where a text has one."""
    samples: tuple[dict[str, str], ...] = ()
    """A few answers: {"prompt", "text", "reference"}."""
    head: str = "language"
    """What the model gives: language, classify, tag, span, embed ..."""
    items: int = 0
    """Held-out documents."""

    @property
    def bits_per_byte(self) -> float:
        """Of held-out text."""
        return self.scores["bits per byte"].value

    @property
    def error(self) -> float:
        """Standard error of bits_per_byte."""
        return self.scores["bits per byte"].error


@dataclass(frozen=True)
class Measured:
    """The held-out part at one step."""

    scores: dict[str, Number]
    confusion: Confusion | None = None
    samples: tuple[dict[str, str], ...] = ()
    note: str = ""
    """What BLEU and chrF rest on."""

    @property
    def line(self) -> dict:
        """What metrics.jsonl keeps of it."""
        said = {"evaluation": {name: {"value": n.value, "error": n.error} for name, n in self.scores.items()}}
        if self.confusion is not None:
            shown = self.confusion.shown()
            said |= {"confusion": {"labels": list(shown.labels), "counts": [list(row) for row in shown.counts]}}
        said |= {"samples": list(self.samples)} if self.samples else {}
        return said | ({"note": self.note} if self.note else {})


def train(settings: Running) -> Result:
    """Train, or go on with a run that was stopped. Raises an UpwellError; the last saved state stays whole."""
    s = settings.training
    group = parallel.join(usable_device(settings.device), s.shards, s.silence)
    with group, parallel.plainly(group), quiet(group):
        run = Run(settings, group)
        with run.alone():
            if not run.over:
                run.train()
            return run.finish()


@contextlib.contextmanager
def quiet(group) -> Iterator[None]:
    """Nothing is printed by processes other than the first."""
    if group.main:
        yield
        return
    import io

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


class Run:
    """One run: its job, model, state and folder."""

    def __init__(self, settings: Running, group=None):
        self.group = group or parallel.Alone(usable_device(settings.device))
        self.settings, self.folder, self.device = settings, settings.out, self.group.device
        self.job: Job = opened(settings, self.device, self.group)
        self.training = beginning.trained(settings)
        self.old = self.resumable()
        self.dtype = precision.resolve(self.training.precision, self.device)
        self.bits = self.bits_of_a_nat()
        self.missing: dict[str, dict[str, int]] = {}
        self.state = self.begin()
        self.measured: tuple[int, Measured] = (-1, Measured({}))
        self.saver: sharded.Saver | None = None
        self.best = Best(self.state.extra.setdefault("best", {}), settings.best, settings.patience)

    @property
    def over(self) -> bool:
        """Whether all its steps are done, or it was stopped early."""
        return self.state.step >= self.training.steps or self.best.enough

    def bits_of_a_nat(self) -> float:
        """Nats a token -> bits a byte of the learnt text; 0 where that is not known or means nothing."""
        store = self.job.learn.store
        plain_text = self.job.objective.TERMS == ("next",) and self.settings.objective == "causal"
        return len(store) / store.text_bytes / math.log(2) if plain_text and store.text_bytes else 0.0

    # ---- beginning ----

    def resumable(self) -> Path | None:
        """The newest state of this very run, or None; another run's folder is refused, not overwritten."""
        found = sharded.newest(self.folder, self.group)
        if found is None:
            there = [name for name in ("model.safetensors", "adapter") if (self.folder / name).exists()]
            if there:
                raise CheckpointError(f"{self.folder} holds a finished model of another run; choose another --out")
            return None
        extra = states.facts(found)["extra"]
        before, now = flat(extra.get("settings", {})), flat(self.identity())
        if before != now:
            changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            raise SettingsError(f"{self.folder} holds a run with other settings ({', '.join(changed[:5])}); "
                                "give the same ones to go on with it, or choose another --out")
        self.training = replace(self.training, **extra["chosen"])
        return found

    def identity(self) -> dict:
        """What must be the same for a run to go on: model, objective, training, budget and data."""
        s = self.settings
        return {
            "minutes": s.minutes, "epochs": s.whole_epochs, "objective": s.objective, "learn": plain(self.job.options),
            "model": plain(s.sizes), "adapters": plain(s.adapters), "freeze": list(s.frozen),
            "training": {name: value for name, value in plain(s.training).items() if name not in MACHINES},
            "best": s.best, "patience": s.patience,
            "evaluations": s.evaluations if s.patience else 0, "data": self.job.identity,
        }  # fmt: skip

    def begin(self) -> states.State:
        """A fresh state, or the one that was saved."""
        seed = self.training.seed
        if not self.old:
            self.chosen()
        model = self.group_model(seed)
        if hasattr(self.job.objective, "begun"):
            self.job.objective = self.job.objective.begun(model, self.job.options)
        self.sampler = self.job.sampler(self.training.rows, seed)
        if not self.old:
            self.fitted(model)
            self.tell()
        fresh = states.begin(model, self.training)
        if self.old:
            states.restore(fresh, self.old)
            terminal.say(f"Going on with {self.folder} after step {fresh.step:,} of {self.training.steps:,}.")
            return fresh
        fresh.extra = {"settings": self.identity(), "chosen": self.choices()}
        return fresh

    def tell(self) -> None:
        """Say what is new in the model and what of the texts is not learnt or measured; the record gets it, too."""
        job = self.job
        if told := beginning.said(job):
            terminal.say(told)
        self.missing = {"learnt": missing(self.sampler)}
        if self.missing["learnt"] is not None:
            self.missing["held out"] = missing(job.objective.samples(job.held, self.training.rows, 0, job.options))
        self.missing = {name: found for name, found in self.missing.items() if found}
        for name, found in self.missing.items():
            told = "; ".join(f"{count:,} {MISSING[why]}" for why, count in found.items())
            terminal.warn(f"Of the {name} part {told}.")

    def group_model(self, seed: int):
        """The model on this process's device, its weights divided where they are to be."""
        model = beginning.begun(self.job, self.settings, seed, self.device)
        return parallel.spread(model, self.group) if self.group.shards > 1 else model

    def chosen(self) -> None:
        """Settle what the settings leave open and needs no model: precision, and steps by epochs."""
        s = self.settings
        if self.training.precision == "auto":
            self.training = replace(self.training, precision=str(self.dtype).removeprefix("torch."))
        if s.whole_epochs:
            per_epoch = self.job.sampler(self.training.rows, self.training.seed).samples_per_epoch
            steps = max(1, math.ceil(s.whole_epochs * per_epoch / self.training.rows))
            if self.training.steps not in (Training().steps, steps):
                terminal.warn(f"--epochs {s.whole_epochs:g} decides: {steps:,} steps, not the {self.training.steps:,} "
                              "of --training.steps; --epochs 0 lets these count.")  # fmt: skip
            self.training = replace(self.training, steps=steps)

    def fitted(self, model) -> None:
        """Settle what needs a model: micro-batches and checkpointing by the memory, steps by the minutes."""
        self.training = planning.fitting(self.job, self.settings, self.training, model, self.dtype, self.group)
        if self.settings.minutes:
            self.training = replace(self.training, steps=int(self.group.told(self.probed())))

    def choices(self) -> dict:
        """What was chosen for the run, which a resume must not choose again."""
        names = ("steps", "precision", "micro_rows", "checkpoint")
        return {name: getattr(self.training, name) for name in names if hasattr(self.training, name)}

    def probed(self) -> int:
        """How many steps fit into the budget: a few steps of a throw-away model are timed, compiling apart."""
        begin = time.perf_counter()
        step, tokens = timed(self.job, self.settings, self.training, self.dtype, self.group)
        left = self.settings.minutes * 60 - (time.perf_counter() - begin)
        steps = max(LEAST_STEPS, round(left / step))
        all_tokens = steps * tokens
        terminal.say(f"Probe: {step:.3f} s a step, so {self.settings.minutes:g} minutes are {steps:,} steps "
                     f"({all_tokens:,.0f} tokens, {all_tokens / len(self.job.learn.store):.1f} times the text).")
        return steps

    # ---- going ----

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The run's folder, which one run at a time works on; ServiceError where another one does, or has just done."""
        if not self.group.main:
            yield
            return
        with said_plainly(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ".lock"
        with alone(path):
            if states.newest(self.folder) != self.old:
                raise ServiceError(f"Another run has gone on in {self.folder} meanwhile; give the same command again.")
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # an open file stays on Windows
                    path.unlink()

    def train(self) -> None:
        """The loop, with the periodic work of this verb."""
        self.saved, self.before = time.monotonic(), (self.state.tokens, self.state.seconds)
        self.twin = self.view()
        self.record = self.recorder() if self.group.main else None
        if self.record and self.missing:  # of a fresh run
            self.record(step=0, missing=self.missing)
        steps, name = self.training.steps, self.settings.objective
        if self.settings.measures_before and not self.state.step and not self.over:
            self.first()
        try:
            with CtrlC() as asked, terminal.Progress(name, total=steps, start=self.state.step) as self.progress:
                every = [*self.periodic(), (1, lambda state, report: self.stop(asked.stop))]
                with contextlib.suppress(Early):
                    loop.train(self.state, self.sampler, self.job.objective, self.job.options, self.training,
                               self.dtype, every, terminal.warn, self.group)  # fmt: skip
        except loop.Unsound as error:
            self.keep(wait=True)
            raise loop.Unsound(f"{error}{self.suspects()}") from None
        finally:
            if self.record:
                self.record.close()

    def suspects(self) -> str:
        """Where the text of the samples lies whose step was not taken."""
        if not self.group.main:
            return ""
        numbers, path = loop.numbers_of(self.state.step, self.training.rows), self.folder / "suspects.txt"
        return f" Their text lies in {suspects.written(path, self.sampler, numbers, self.job.tokenizer)}."

    def recorder(self) -> Record:
        """metrics.jsonl, and where else its lines go."""
        s, path = self.settings, self.folder / "metrics.jsonl"
        also = [tracking.opened(name, self.folder, flat(plain(s)), terminal.warn) for name in s.track]
        return Record(path, self.state.step + 1 if self.state.step else 0, also)

    def view(self):
        """The model for measuring and writing in between."""
        if self.group.shards > 1:
            return self.state.model
        return averaging.shown(beginning.twin_of(self.state.model, self.settings), self.state.average)

    def periodic(self) -> list:
        """(every, function) of what is done between steps, in order."""
        s, steps = self.settings, self.training.steps
        writes = s.samples and self.bits
        work = [(1, self.log), (steps // max(1, s.evaluations), self.measure, s.evaluations),
                (steps // max(1, s.samples), self.write, writes), (s.save_steps or 1, self.save)]  # fmt: skip
        return [(max(1, one[0]), one[1]) for one in work if len(one) == 2 or one[2]]

    def stop(self, asked: bool) -> None:
        """Where Ctrl-C was pressed: keep the state between two steps, and end."""
        if self.group.any(asked):
            self.keep(wait=True)
            raise Stopped(f"Stopped after step {self.state.step:,} of {self.training.steps:,}; everything is saved in "
                          f"{self.folder}, and the same command goes on from there.")

    def log(self, state, report) -> None:
        """One line of metrics, one movement of the bar."""
        tokens, seconds = self.before
        speed = (report.tokens - tokens) / max(1e-9, report.seconds - seconds)
        self.before = (report.tokens, report.seconds)
        terms = report.terms if len(report.terms) > 1 else {}
        line = {"step": report.step, "loss": report.loss} | ({"terms": terms} if terms else {})
        line |= {"bits_per_byte": report.loss * self.bits} if self.bits else {}
        if self.record:
            self.record(**line, norm=report.norm, rate=report.rate, tokens=report.tokens,
                        seconds=round(report.seconds, 3), tokens_per_second=round(speed),
                        memory=round(planning.used(self.device) / planning.GIB, 3))  # fmt: skip
        shown = {name: f"{value:.3f}" for name, value in {"loss": report.loss, **terms}.items()}
        shown |= {"bits/byte": f"{line['bits_per_byte']:.3f}"} if self.bits else {}
        self.progress.update(report.step, shown | {"tokens/s": f"{speed:,.0f}"})

    def first(self) -> None:
        """The held-out part before the first step, for the comparison at the end."""
        found = self.heldout()
        self.state.extra["before"] = {name: [n.value, n.error, n.items] for name, n in found.scores.items()}
        if self.record:
            self.record(step=0, tokens=0, **found.line)
        terminal.say(f"before the first step, held out: {shortly(found.scores)}")

    def measure(self, state, report) -> None:
        """The held-out part; the best model is kept, and the run ends where nothing gets better any more."""
        found = self.heldout()
        self.measured = (report.step, found)
        if self.record:
            self.record(step=report.step, tokens=report.tokens, **found.line)
        terminal.say(f"step {report.step:,}, held out: {shortly(found.scores)}")
        for one in found.samples:
            terminal.sample(f"{one['prompt'][-200:]}\n-> {one['text']}\n== {one['reference']}")
        self.compare(report.step, found.scores)

    def compare(self, step: int, scores: dict[str, Number]) -> None:
        """Keep the best model; raise Early where it is time to stop."""
        s = self.settings
        if not (s.best or s.patience):
            return
        terms = self.job.objective.TERMS
        if self.best.better(step, scores, tuple(f"{name} loss" for name in terms)) and s.best:
            self.write_folder(self.folder / "best")
        if self.best.enough:
            memory = self.best.memory
            terminal.say(f"Stopped early: {memory['waited']} evaluations in a row were not better than "
                         f"{memory.get('metric', 'the loss')} {memory.get('value', math.nan):.4f} of step "
                         f"{memory.get('step', 0):,}.")  # fmt: skip
            self.keep()
            raise Early

    def heldout(self) -> Measured:
        """Scores of the held-out part, right and said labels, and what the model answers."""
        job, s = self.job, self.settings
        with self.group.open(self.twin, self.averages()) as model:
            rows = min(16, self.training.micro_rows or self.training.rows)
            found = within.measure(model, job.objective, job.held, job.options, rows, self.dtype)
            plain = Measured(found.numbers, found.confusion, found.samples[: s.answers])
            given = list(islice(within.questions(job.objective, job.held, job.options), s.answers))
            if not given or self.group.shards > 1:
                return plain
            answers = within.answered(hub.Checkpoint(model, job.tokenizer, model.config, None, job.template), given)
        scores = found.numbers
        written = {f"written {name}" if name in scores else name: n for name, n in answers.scores.items()}
        return Measured(scores | written, found.confusion, tuple(answers.samples), answers.note)

    def write(self, state, report) -> None:
        """A few lines of the model's own, so that one sees it learn."""
        with self.group.open(self.twin, self.averages()) as model:
            text = sample(model, self.job.tokenizer, self.settings.sample_tokens, seed=self.training.seed)
        if self.record:
            self.record(step=report.step, sample=text, tokens=report.tokens)
        terminal.say(f"step {report.step:,}, the model writes:")
        terminal.sample(text)

    def save(self, state, report) -> None:
        """Keep the state where it is time to."""
        late = time.monotonic() - self.saved > self.settings.save_seconds
        if self.settings.save_steps or self.group.told(float(late)):
            self.keep()

    def keep(self, wait: bool = False) -> None:
        """Write the state now; several processes do so in the background, unless they are to wait for it."""
        if self.group.size > 1:
            self.saver = self.saver or sharded.Saver(self.folder, self.group)
            self.saver.save(self.state)
            if wait:
                self.saver.wait()
        else:
            states.save(self.state, self.folder)
        self.saved = time.monotonic()

    # ---- the end ----

    def finish(self) -> Result:
        """Write the folder that others open, and measure it."""
        self.twin, done = self.view(), self.state
        step, found = self.measured
        if step != done.step:
            found = self.heldout()
        self.keep(wait=True)
        self.write_folder(self.folder)
        best = dict(self.best.memory) if self.settings.best or self.settings.patience else {}
        c = self.job.config
        writes = c.decoder_layers > 0 and c.head.kind == "language"
        before = {name: Number(*three) for name, three in done.extra.get("before", {}).items()}
        return Result(self.folder, done.step, done.tokens, done.seconds, preset.count(self.twin), found.scores, best,
                      writes, self.group.main, before, found.confusion, found.samples, c.head.kind,
                      self.job.held.store.documents)  # fmt: skip

    def averages(self) -> dict:
        """The averaged weights by name, where there are any: what is measured and written."""
        return self.state.average.tensors if self.state.average else {}

    def write_folder(self, folder: Path) -> None:
        """An ordinary folder of the model as it is now."""
        s = replace(self.settings, training=self.training)
        if self.group.shards == 1:
            if self.group.main:
                written.write(self.twin, self.job, s, folder)
            return
        model, job = self.state.model, self.job
        weights = {**dict(model.named_parameters()), **dict(model.named_buffers()), **self.averages()}
        if s.adapters:
            parallel.handed(weights, list(weights), self.group,
                            lambda read: self.write_adapted(read, weights, s, folder))  # fmt: skip
        else:
            parallel.handed(weights, streamed.names(model.config), self.group,
                            lambda read: written.write(model, job, s, folder, read))  # fmt: skip

    def write_adapted(self, read, names, s: Running, folder: Path) -> None:
        """The same of a divided model with adapters, which the first process puts together in its memory."""
        model = beginning.begun(self.job, s, self.training.seed, "cpu")
        there = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name in names:
            there[name].data.copy_(read(name))
        written.write(model, self.job, s, folder)


class Early(Exception):
    """The held-out part gets no better."""


class Enough(Exception):
    """The probe has seen enough steps."""


def timed(job: Job, s: Running, training, dtype, group) -> tuple[float, float]:
    """(seconds, real tokens) of a step of a throw-away model; compiling and the first steps do not count."""
    times: list[tuple[float, int]] = []
    model = beginning.begun(job, s, training.seed, group.device)
    for p in (p for p in model.parameters() if p.requires_grad):
        p.data = p.data.clone()  # the weights of a folder are those that the run begins with
    model = parallel.spread(model, group) if group.shards > 1 else model
    objective = job.objective.begun(model, job.options) if hasattr(job.objective, "begun") else job.objective
    trial = states.begin(model, training)

    def seen(state, report) -> None:
        times.append((report.seconds, report.tokens))
        late = len(times) >= PROBE_STEPS[0] and times[-1][0] - times[0][0] > PROBE_SECONDS
        if group.told(float(late)):
            raise Enough

    with contextlib.suppress(Enough):
        short = replace(training, steps=PROBE_STEPS[1])
        sampler = job.sampler(training.rows, training.seed)
        loop.train(trial, sampler, objective, job.options, short, dtype, [(1, seen)], terminal.warn, group)
    step = statistics.median(b[0] - a[0] for a, b in pairwise(times[len(times) // 2 :]))  # the first ones warm up
    return group.told(step), times[-1][1] / len(times)


def missing(sampler) -> dict[str, int] | None:
    """How much of the texts a sampler does not give, by the reason; None for one that gives all of them always."""
    told = {why: getattr(sampler, why) for why in MISSING if hasattr(sampler, why)}
    return {why: count for why, count in told.items() if count} if told else None


def shortly(scores: dict[str, Number]) -> str:
    """Scores in a line; text's in bits per byte alone."""
    if "bits per byte" in scores:
        return f"{scores['bits per byte'].value:.3f} bits per byte"
    return ", ".join(f"{name} {number.value:.4f} ± {number.error:.4f}" for name, number in scores.items())


def flat(tree: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
