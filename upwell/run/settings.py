"""What one may choose about a run, from scratch or from a model. Imports no torch, so that help comes at once."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from upwell import plugs
from upwell.errors import UpwellError
from upwell.model.lora_settings import Lora as Adapters
from upwell.model.sizes import Sizes
from upwell.objectives import causal
from upwell.settings import given, with_part
from upwell.training.settings import Settings as Training


@dataclass(frozen=True, kw_only=True)
class Running:
    """What is learnt, how long, what is measured and kept on the way."""

    objective: str = "causal"
    """What is learnt: the name of a file in objectives, or a path to one of your own."""
    minutes: float = 0.0
    """Train for about this long: a short probe turns it into a number of steps. 0: training.steps counts."""
    evaluations: int = 5
    """How often the held-out part is measured on the way."""
    best: str = ""
    """Keep the best model so far, by a measure of the held-out part (loss, accuracy, f1, ...), in the folder best."""
    patience: int = 0
    """Stop after so many evaluations in a row without a better one (by --best, else by the loss). 0: never."""
    samples: int = 6
    """How often the model writes a few lines on the way, where it learns to write."""
    sample_tokens: int = 60
    """Tokens of such a sample."""
    answers: int = 16
    """Held-out examples that the model answers at each evaluation, where it learns to answer; 0: none."""
    save_seconds: int = 60
    """Seconds between saved states; a run that dies loses at most this."""
    save_steps: int = 0
    """Steps between saved states, instead of seconds."""
    leaks: Literal["keep", "drop", "refuse"] = "keep"
    """What becomes of held-out examples whose text or question is learnt from as well: they are measured all the same,
    or not, or the run is refused."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    memory: float = 0.0
    """GiB that the run may take; 0: nine tenths of what is free."""
    plan: bool = False
    """Only say what the run would take: memory, time, tokens and cost, and what is chosen for this machine."""
    watts: float = 0.0
    """What the machine draws, for the energy of a plan."""
    price: float = 0.0
    """What an hour of the machine costs, for the price of a plan, in a currency of yours."""
    track: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Where else metrics are sent, as they are written."""
    learn: causal.Settings = field(default_factory=causal.Settings)
    """How the objective is learnt; which settings there are depends on it."""
    training: Training = field(default_factory=Training)
    """How the model is trained."""

    def __post_init__(self):
        if self.minutes < 0 or not math.isfinite(self.minutes):
            raise ValueError(f"minutes is {self.minutes}; expected 0 or more")
        for name in ("evaluations", "patience", "samples", "answers", "save_seconds", "save_steps", "memory"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if (self.best or self.patience) and not self.evaluations:
            raise ValueError("best and patience go by evaluations, and evaluations is 0; expected 1 or more")

    @property
    def begins_with(self) -> Path | None:
        """The model that the run begins with; None: a new one."""
        return None

    @property
    def sizes(self) -> Sizes:
        """The size of a new model."""
        return Sizes()

    @property
    def adapters(self) -> "Lora | None":
        """The adapters that learn; None: the model itself does."""
        return None

    @property
    def frozen(self) -> tuple[str, ...]:
        """Beginnings of names of parameters that stay as they are."""
        return ()

    @property
    def measures_before(self) -> bool:
        """Whether the held-out part is measured before the first step, too."""
        return False

    @property
    def whole_epochs(self) -> float:
        """How often every example is seen; 0: training.steps counts."""
        return 0.0


@dataclass(frozen=True)
class Lora(Adapters):
    """Low-rank adapters beside frozen matrices; without a rank the whole model learns."""

    rank: int = 0
    """Numbers in the middle: the adapter of an (out, in) matrix has rank * (out + in) of them. 0: no adapters."""
    rate: float = 2e-4
    """Peak learning rate of adapters, in place of training.optim.rate."""
    base: Literal["float32", "bfloat16", "int8", "int4"] = "float32"
    """How the frozen matrices are held."""
    merge: bool = True
    """Write the whole model with the adapters in it beside the folder adapter."""

    def __post_init__(self):
        if self.rank:
            super().__post_init__()

    @property
    def plain(self) -> Adapters:
        """As the model room knows them."""
        return Adapters(**{one.name: getattr(self, one.name) for one in fields(Adapters)})


def kind(base: type, objective: str) -> type:
    """The settings of a verb for an objective: `learn` holds the objective's own. UpwellError where it is not there."""
    return with_part(base, "learn", plugs.find("objectives", objective).Settings)


def chosen(words: list[str], usual: str) -> str:
    """The objective that the words after a verb, or their file of settings, name."""
    return given("objective", words) or usual


def sure(words: list[str]) -> str:
    """The objective that the first prepared folder among these words is for, where there is no doubt; else ""."""
    for word in words:
        found = plainly(Path(word)) if not word.startswith("-") and (Path(word) / "manifest.json").is_file() else ""
        if found:
            return found
    return ""


TASKS = {"chat": "instruct", "answer": "span", "label": "label", "pair": "pairs", "tag": "tag"}


def plainly(data: Path) -> str:
    """The objective of a prepared folder whose documents all are examples of one task; else ""."""
    from upwell.prepared import read_manifest

    said = read_manifest(data)
    tasks = {name: count for name, count in (said.get("tasks") or {}).items() if count}
    one = len(tasks) == 1 and sum(tasks.values()) == sum((said.get("kinds") or {}).values())
    name = TASKS.get(next(iter(tasks)), "") if one else ""
    try:
        return name if name and plugs.find("objectives", name) else ""
    except UpwellError:
        return ""
