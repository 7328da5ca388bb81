"""Train a new model on a prepared folder, or go on with one.

The folder comes from `upwell prepare`. What is learnt is the objective: the next word (causal), masked words, and
whatever else lies in objectives; the new model has the shape that it needs. The run's folder is a Hugging Face folder
that transformers opens; beside the weights lie metrics.jsonl, the loss curve (loss.png) and the state from which the
same command goes on after Ctrl-C, a kill or a power cut.

Examples:
    upwell pretrain prepared --minutes 3
    upwell pretrain prepared --out runs/larger --model.width 384 --model.layers 6 --training.steps 2000
    upwell pretrain prepared --objective masked --learn.rate 0.3 --out runs/encoder
    upwell pretrain prepared --from smollm2-135m --training.optim.name adamw --training.optim.rate 1e-4
    upwell pretrain prepared --plan
    upwell pretrain prepared --config recipe.yaml
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from upwell import terminal
from upwell.model.sizes import Sizes
from upwell.run import settings as running


@dataclass(frozen=True)
class Settings(running.Running):
    """What is trained, on what, and how long."""

    data: Positional[Path]
    """A prepared folder: tokenizer.json, train/ and heldout/."""
    out: Path = Path("runs/pretrain")
    """The run's folder."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A model's folder, or a name that was fetched, to go on with instead of a new model."""
    model: Sizes = field(default_factory=Sizes)
    """The size of a new model."""

    @property
    def begins_with(self) -> Path | None:
        return self.from_

    @property
    def sizes(self) -> Sizes:
        return self.model


def kind(words: list[str]) -> type:
    """The settings for the objective that these words name."""
    return running.kind(Settings, running.chosen(words, "causal"))


def main(settings: Settings) -> None:
    if settings.plan:
        from upwell.run import planning

        planning.show(settings)
        return
    from upwell.run import going

    show(going.train(settings))


def show(result) -> None:
    """The table at the end of a run, the picture, and what to do next; of several processes the first one tells it."""
    if not result.main:
        return
    pictures(result)
    trained(result)
    if result.writes:
        folder = result.folder
        terminal.say(f"Go on with: upwell generate {folder} --prompt \"...\"   or   upwell serve {folder}")


def pictures(result) -> None:
    """loss.png and curves.png in a run's folder."""
    from upwell.evaluation import curve
    from upwell.training import record
    from upwell.training.curves import Curves

    if not curve.possible():
        terminal.note(f"Curves: {curve.HOW}")
        return
    curve.draw(record.read(result.folder / "metrics.jsonl"), result.folder / "loss.png", result.folder.name)
    curves = Curves(result.folder)
    curves.refresh()
    curve.panels({result.folder.name: curves.told()["curves"]}, result.folder / "curves.png", result.folder.name)


def trained(result, scores: list | None = None) -> None:
    """The table of a finished run. scores: what it says of the held-out part; None: every measure."""
    kept = [("best", f"{result.best['metric']} {result.best['value']:.4f} at step {result.best['step']:,}")
            ] if result.best.get("metric") else []  # fmt: skip
    measured = [(f"held out: {name}", str(number)) for name, number in result.scores.items()]
    also = ", confusion.png" if result.confusion is not None else ""
    terminal.table("Trained", ("what", "result"), [
        ("model", f"{result.parameters / 1e6:.2f} M parameters in {result.folder}"),
        ("training", f"{result.steps:,} steps, {result.tokens:,} tokens, {terminal.duration(result.seconds)}"),
        *(measured if scores is None else scores), *kept,
        ("curves", f"{result.folder / 'loss.png'}, curves.png{also}; live: upwell watch {result.folder}"),
    ])  # fmt: skip
