"""Teach a model that is there something of its own: whole, or by adapters (LoRA).

--data is a file or folder of examples in any layout that `upwell prepare` knows, or a prepared folder; --model a folder
or a name that was fetched. Labels, tags, answers in texts, pairs, chats: what is learnt is known from the examples,
said, and settings that suit it are shown before anything begins. Files are cut into the model's tokens in the run's
folder. With --lora.rank only thin adapters learn; they are written in PEFT's format, and the whole model with them
merged in. --freeze leaves parts as they are, --training.optim.layer-decay gives lower layers lower rates. Everything of
`upwell pretrain` holds here as well: what is measured, saved and kept, and that the same command goes on after a stop.

Examples:
    upwell finetune --data reviews.csv --model minilm-l6
    upwell finetune --data chats.jsonl --model smollm2-135m --lora.rank 16 --epochs 2
    upwell finetune runs/encoder reviews --objective label
    upwell finetune runs/mine prepared --objective causal --freeze embed decoder.blocks.0 --best loss --patience 3
    upwell finetune runs/mine prepared --objective causal --plan
"""

import contextlib
import os
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import CheckpointError, SettingsError, UpwellError
from upwell.run import settings as running
from upwell.settings import given
from upwell.training.settings import Optim, Schedule
from upwell.training.settings import Settings as Training


def gentle() -> Training:
    """How a model that has learnt already goes on learning."""
    optim = Optim(name="adamw", rate=5e-5, beta2=0.999, weight_decay=0.01)
    return Training(rows=16, compile="off", optim=optim, schedule=Schedule(warmup=20, decay="linear"))


@dataclass(frozen=True)
class Settings(running.Running):
    """Which model learns what, from which data."""

    model: Path | None = None
    """A model's folder, or a name that was fetched."""
    data: Path | None = None
    """A file or folder of examples, or a prepared folder."""
    out: Path = Path("runs/finetune")
    """The run's folder."""
    objective: str = field(default="", kw_only=True)
    """What is learnt: the name of a file in objectives, or a path to one of your own; without it the one that the data
    are for, where all of them are chats, labels, answers or pairs."""
    heldout: float = 0.1
    """Share of examples that are not prepared yet which is held out, to be measured."""
    show: int = 3
    """Examples that are shown before the training, with what is learnt of them; 0: none."""
    before: bool = True
    """Measure the held-out part before the first step as well."""
    epochs: float = 3.0
    """How often every example is seen; 0: training.steps counts."""
    freeze: tuple[str, ...] = ()
    """Parameters that stay as they are, by the beginnings of their names: embed, encoder.blocks.0, ..."""
    lora: running.Lora = field(default_factory=running.Lora)
    """Adapters that learn in place of the model."""
    training: Training = field(default_factory=gentle, kw_only=True)
    """How the model is trained."""
    both: Positional[tuple[Path, ...]] = ()
    """The model and a prepared folder, one behind the other, in place of --model and --data."""
    proposed: ClassVar[bool] = False
    """Whether what was not said is what suits these very data and this model."""

    def __post_init__(self):
        super().__post_init__()
        if self.both:
            self.placed()
        if not 0 < self.heldout < 1:
            raise ValueError(f"heldout is {self.heldout}; expected a share between 0 and 1, as 0.1")
        if self.show < 0:
            raise ValueError(f"show is {self.show}; expected 0 or more")
        if not 0 <= self.epochs < 1e6:
            raise ValueError(f"epochs is {self.epochs}; expected 0 or more")

    def placed(self) -> None:
        """What was said without flags, in its place."""
        free = [name for name in ("model", "data") if getattr(self, name) is None]
        if len(self.both) != len(free):
            raise ValueError(f"found {', '.join(map(str, self.both))} without a flag; expected a model and its data, "
                             "as in `upwell finetune MODEL DATA` or --model MODEL --data DATA")  # fmt: skip
        for name, path in zip(free, self.both, strict=True):
            object.__setattr__(self, name, path)
        object.__setattr__(self, "both", ())

    @property
    def begins_with(self) -> Path | None:
        return self.model

    @property
    def adapters(self) -> running.Lora | None:
        return self.lora if self.lora.rank else None

    @property
    def frozen(self) -> tuple[str, ...]:
        return self.freeze

    @property
    def measures_before(self) -> bool:
        return self.before and self.evaluations > 0

    @property
    def whole_epochs(self) -> float:
        return 0.0 if self.minutes else self.epochs


def kind(words: list[str]) -> type:
    """The settings for the objective that these words name, or that their data are for; with what suits these data."""
    named, (model, data) = running.chosen(words, ""), places(words)
    try:
        flag = any(word == "--data" or word.startswith("--data=") for word in words)
        fresh = flag or data is not None and not (data / "manifest.json").is_file()
        found = told(named, model, data) if data is not None and model is not None else None
    except (UpwellError, OSError):  # the verb tells it, unless a flag of an objective cannot be read without it
        if not named and any(word.startswith("--learn.") for word in words):
            raise
        fresh, found = False, None
    objective = named or (found[0] if found else running.sure(words))
    plain = running.kind(Settings, objective) if objective else Settings
    if not (found and fresh and objective):
        return plain
    from upwell.run import taking

    memory = given("memory", words) or "0"
    p = taking.proposed(found[1], objective, found[2], gentle(), float(memory) if memory.replace(".", "").isdigit()
                        else 0.0)  # fmt: skip
    made = make_dataclass("Settings", [
        ("training", Training, field(default_factory=lambda: p.training)), ("epochs", float, p.epochs),
        ("lora", running.Lora, field(default_factory=lambda: p.lora)),
        ("leaks", Literal["keep", "drop", "refuse"], "drop"),
    ], bases=(plain,), namespace={"proposed": True}, frozen=True, kw_only=True)  # fmt: skip
    made.__doc__, made.__module__ = Settings.__doc__, Settings.__module__
    return made


def places(words: list[str]) -> tuple[Path | None, Path | None]:
    """The model and the data that these words name."""
    flags = [given(name, words) for name in ("model", "data")]
    loose, start = [], True
    for word in words:
        start = start and not word.startswith("-")
        loose += [word] if start else []
    if not loose and None in flags and len(words) > 2 and not any(one.startswith("-") for one in words[-2:]):
        loose = words[-2:]
    found = [flag or (loose.pop(0) if loose else None) for flag in flags]
    return tuple(None if one is None else Path(one) for one in found)


def told(named: str, model: Path, data: Path):
    """(objective, what the data are taken for, the model's folder), the model's shape being known."""
    from upwell import weights
    from upwell.model import hub
    from upwell.run import taking

    folder = weights.find(model)
    taken = taking.looked(data)
    return named or taken.objective(hub.read_config(folder).shape), taken, folder


def main(settings: Settings) -> None:
    from upwell.run import taking

    s = settings
    if s.data is None:
        raise SettingsError("no data are named; name a file or folder of examples: upwell finetune --data FILE "
                            "--model NAME")  # fmt: skip
    taken = taking.looked(s.data)
    if s.model is None:
        raise SettingsError(taken.advice())
    s = known(s, taken)
    if not taking.is_prepared(s.data) and not taken.prepared:
        check_template(s)
        s = made(s)
    if s.plan:
        from upwell.run import planning

        planning.show(s)
        return
    if s.show and main_process() and not (s.out / "state").exists():
        examples(s)
    from upwell.run import going

    ended(going.train(s), s)


def known(s: Settings, taken) -> Settings:
    """The settings with the objective that the data are for; said in a line, and as a table where it was proposed."""
    from upwell import plugs, weights
    from upwell.model import hub
    from upwell.run import opening, taking

    folder = weights.find(s.model)
    config = hub.read_config(folder)
    shape = config.shape
    if not s.objective:
        found = taken.objective(shape)
        if not found:
            raise SettingsError(taken.unsure())
        if main_process():
            terminal.say(taken.told(found, shape))
        s = replace(s, objective=found)
    opening.shaped(s.objective, plugs.find("objectives", s.objective), config)
    if s.proposed and main_process() and not (s.out / "state").exists():
        taking.shown(s, taking.proposed(taken, s.objective, folder, gentle(), s.memory))
    return s


def check_template(s: Settings) -> None:
    """CheckpointError where chats are to be learnt by a model that has nothing to write them in."""
    from upwell import weights
    from upwell.text.chat import Template

    if s.objective == "instruct" and Template.load(weights.find(s.model)) is None:
        raise CheckpointError(f"{s.model} has no chat template, in which chats are written; name a model that has one, "
                              "such as smollm2-135m, or begin one with `upwell tokenizer TEXTS --chat`, `upwell "
                              "prepare TEXTS --tokenizer` and `upwell pretrain`")  # fmt: skip


def made(s: Settings) -> Settings:
    """The settings with their data prepared."""
    from upwell import weights
    from upwell.run import taking

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError(f"{s.data} is not prepared, and several processes share a prepared folder; first: upwell "
                            f"prepare {s.data} --tokenizer {s.model}")  # fmt: skip
    return replace(s, data=taking.prepared_from(s.data, s.out / "data", weights.find(s.model), s.heldout))


def main_process() -> bool:
    """Whether this is the first of several processes, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def examples(s: Settings) -> None:
    """The first examples, token by token, with what is learnt of them."""
    from upwell import plugs, prepared, showing, weights
    from upwell.text.chat import Template
    from upwell.tokens.tokenizer import Tokenizer

    file, folder = s.data / "train.jsonl", weights.find(s.model)
    if file.is_file() and hasattr(plugs.find("objectives", s.objective), "examples"):
        template = Template.load(folder) or Template.load(s.data)
        with contextlib.suppress(UpwellError):  # what does not fit is told with all the rest when the run opens
            showing.show(s.objective, prepared.documents_of(file), Tokenizer.load(folder), template, s.show)


def ended(result, s: Settings) -> None:
    """Before and after as a table, a few answers, the pictures, and the command that uses the model."""
    if not result.main:
        return
    from upwell.evaluation import curve, interval
    from upwell.verbs.pretrain import pictures, trained

    pictures(result)
    if result.confusion is not None and curve.possible():
        shown = result.confusion.shown()
        curve.confusion(shown.labels, shown.counts, result.folder / "confusion.png", result.folder.name)
    trained(result, [] if result.before else None)
    if result.before:
        rows = [(name, interval(name, result.before[name]) if name in result.before else "", interval(name, number))
                for name, number in result.scores.items()]  # fmt: skip
        terminal.table(f"{result.items:,} held out, with 95 % intervals", ("measure", "before", "after"), rows)
    for one in result.samples:
        terminal.sample(f"{one['prompt'][-400:]}\n-> {one['text']}\n== {one['reference']}")
    if s.adapters and not s.lora.merge:
        terminal.say(f"The adapters lie in {result.folder / 'adapter'}; without --lora.no-merge the whole model is "
                     "written as well.")  # fmt: skip
        return
    terminal.say(f"Use it with: {use(result)}")


def use(result) -> str:
    """The command that uses a model, by what it gives."""
    folder = result.folder
    commands = {
        "span": f'upwell predict {folder} "a question" --context "a text"',
        "embed": f'upwell predict {folder} "one text" "another text"',
    }  # fmt: skip
    if result.writes or result.head == "language":
        return f'upwell generate {folder} --prompt "..."'
    return commands.get(result.head, f'upwell predict {folder} "a text"')
