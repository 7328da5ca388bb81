"""Teach a model that is there something of its own: whole, or by adapters (LoRA).

The model is a folder or a name that was fetched; the data are a prepared folder. Labels, tags, answers in texts,
pairs, chats: where all documents are of one kind, the objective is known from them. With --lora.rank only thin
adapters learn; they are written in PEFT's format, and the whole model with them merged in. --freeze leaves parts as
they are, --training.optim.layer-decay gives lower layers lower rates. Everything of `upwell pretrain` holds here as
well: what is measured, saved and kept, and that the same command goes on after a stop.

Examples:
    upwell finetune runs/encoder reviews --objective label
    upwell finetune smollm2-135m chats --objective instruct --lora.rank 16 --epochs 2
    upwell finetune runs/mine prepared --objective causal --freeze embed decoder.blocks.0 --best loss --patience 3
    upwell finetune runs/mine prepared --objective causal --plan
"""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import SettingsError
from upwell.run import settings as running
from upwell.training.settings import Optim, Schedule
from upwell.training.settings import Settings as Training


def gentle() -> Training:
    """How a model that has learnt already goes on learning."""
    optim = Optim(name="adamw", rate=5e-5, beta2=0.999, weight_decay=0.01)
    return Training(rows=16, compile="off", optim=optim, schedule=Schedule(warmup=20, decay="linear"))


@dataclass(frozen=True)
class Settings(running.Running):
    """Which model learns what, from which data."""

    model: Positional[Path]
    """A model's folder, or a name that was fetched."""
    data: Positional[Path]
    """A prepared folder of examples."""
    out: Path = Path("runs/finetune")
    """The run's folder."""
    objective: str = field(default="", kw_only=True)
    """What is learnt: the name of a file in objectives, or a path to one of your own; without it the one that the data
    are for, where all of them are chats, labels, answers or pairs."""
    epochs: float = 3.0
    """How often every example is seen; 0: training.steps counts."""
    freeze: tuple[str, ...] = ()
    """Parameters that stay as they are, by the beginnings of their names: embed, encoder.blocks.0, ..."""
    lora: running.Lora = field(default_factory=running.Lora)
    """Adapters that learn in place of the model."""
    training: Training = field(default_factory=gentle, kw_only=True)
    """How the model is trained."""

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.epochs < 1e6:
            raise ValueError(f"epochs is {self.epochs}; expected 0 or more")

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
    def whole_epochs(self) -> float:
        return 0.0 if self.minutes else self.epochs


def kind(words: list[str]) -> type:
    """The settings for the objective that these words name, or that their data are for."""
    found = running.chosen(words, "") or running.sure(words)
    return running.kind(Settings, found) if found else Settings


def main(settings: Settings) -> None:
    from dataclasses import replace

    if not settings.objective:
        found = running.plainly(settings.data)
        if not found:
            raise SettingsError(f"{settings.data} does not tell for sure what is to be learnt from it; "
                                "name it: --objective label, instruct, causal, ...")
        terminal.say(f"All documents of {settings.data} are of one kind, so the objective is {found}.")
        settings = replace(settings, objective=found)
    if settings.plan:
        from upwell.run import planning

        planning.show(settings)
        return
    from upwell.run import going
    from upwell.verbs.pretrain import show

    show(going.train(settings))
