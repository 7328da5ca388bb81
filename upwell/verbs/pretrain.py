"""Train a new model on a prepared folder.

The folder comes from `upwell prepare`. The run's folder is a Hugging Face folder that transformers opens; beside the
weights lie metrics.jsonl, the loss curve (loss.png) and the state from which the same command goes on after Ctrl-C, a
kill or a power cut.

Examples:
    upwell pretrain prepared --minutes 3
    upwell pretrain prepared --out runs/larger --model.width 384 --model.layers 6 --training.steps 2000
    upwell pretrain prepared --config recipe.yaml
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal
from upwell.model.sizes import Sizes
from upwell.training.settings import Settings as Training


@dataclass(frozen=True)
class Settings:
    """What is trained, on what, and how long."""

    data: Positional[Path]
    """A prepared folder: tokenizer.json, train/ and heldout/."""
    out: Path = Path("runs/pretrain")
    """The run's folder."""
    minutes: float = 0.0
    """Train for about this long: a short probe turns it into a number of steps. 0: training.steps counts."""
    evaluations: int = 5
    """How often the held-out text is measured on the way."""
    samples: int = 6
    """How often the model writes a few lines on the way."""
    sample_tokens: int = 60
    """Tokens of such a sample."""
    save_seconds: int = 60
    """Seconds between saved states; a run that dies loses at most this."""
    save_steps: int = 0
    """Steps between saved states, instead of seconds."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    model: Sizes = field(default_factory=Sizes)
    """The size of the model."""
    training: Training = field(default_factory=Training)
    """How it is trained."""

    def __post_init__(self):
        if self.minutes < 0 or not math.isfinite(self.minutes):
            raise ValueError(f"minutes is {self.minutes}; expected 0 or more")


def main(settings: Settings) -> None:
    from upwell.evaluation import curve
    from upwell.run import pretrain
    from upwell.training import record

    result = pretrain(settings)

    curve.draw(record.read(result.folder / "metrics.jsonl"), result.folder / "loss.png", result.folder.name)
    terminal.table("Trained", ("what", "result"), [
        ("model", f"{result.parameters / 1e6:.2f} M parameters in {result.folder}"),
        ("training", f"{result.steps:,} steps, {result.tokens:,} tokens, {terminal.duration(result.seconds)}"),
        ("held-out text", f"{result.bits_per_byte:.4f} ± {result.error:.4f} bits per byte"),
        ("loss curve", str(result.folder / "loss.png")),
    ])  # fmt: skip
    terminal.say(f"Go on with: upwell generate {result.folder} --prompt \"...\"   or   upwell serve {result.folder}")
