"""What a Trainer gives back, under transformers' names."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..atomic import write_file


class EvalPrediction(NamedTuple):
    """What compute_metrics is given: arrays, or tuples of arrays, of all rows; -100 where there is nothing."""

    predictions: Any
    label_ids: Any


class PredictionOutput(NamedTuple):
    """What predict gives."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


class TrainOutput(NamedTuple):
    """What train gives."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


@dataclass
class TrainerState:
    """Where a Trainer stands."""

    epoch: float = 0.0
    global_step: int = 0
    max_steps: int = 0
    num_train_epochs: float = 0.0
    log_history: list[dict] = field(default_factory=list)
    best_metric: float | None = None
    best_model_checkpoint: str | None = None
    best_global_step: int | None = None
    total: float = 0.0
    """Losses of all steps so far, summed."""
    logged: tuple[int, float] = (0, 0.0)
    """global_step and total at the last line of the log."""
    worse: int = 0
    """Evaluations since the best one."""

    def save(self, folder: Path) -> None:
        """Write trainer_state.json."""
        write_file(folder / "trainer_state.json", (json.dumps(asdict(self), indent=2) + "\n").encode())

    def take(self, folder: Path) -> None:
        """Read what `save` wrote; what is unknown is passed over."""
        said = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        vars(self).update({name: value for name, value in said.items() if name in vars(self)})


@dataclass(frozen=True)
class EarlyStoppingCallback:
    """Ends a training whose evaluations get no better; it wants metric_for_best_model and an eval_strategy."""

    early_stopping_patience: int = 1
    """So many evaluations in a row."""
    early_stopping_threshold: float = 0.0
    """What counts as better."""
