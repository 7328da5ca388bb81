"""A dataset through a model: losses, what the head says, and what it writes, as arrays in the dataset's order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..generation.backend import Local
from ..generation.settings import Settings as Writing
from ..tokens.batches import IGNORE
from ..training import loop
from . import tasks
from .data import Sampler
from .tasks import Task

TOGETHER = 64  # texts that are written at a time


class Once:
    """A model that reads each batch once, whatever of a task asks it."""

    def __init__(self, model):
        self.model, self.read = model, {}

    def __call__(self, *given: Any, **named: Any) -> Tensor:
        return self.kept("whole", self.model, given, named)

    def hidden(self, *given: Any, **named: Any) -> Tensor:
        """The last block's vectors."""
        return self.kept("hidden", self.model.hidden, given, named)

    def kept(self, name: str, function: Callable, given: tuple, named: dict) -> Tensor:
        """What the function gave the first time."""
        if name not in self.read:
            self.read[name] = function(*given, **named)
        return self.read[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Gathered:
    """Arrays of some rows at a time -> one array of all rows, -100 where a row has nothing.

    width: how long the second axis is, where it is one of tokens; None where rows have no such axis.
    """

    def __init__(self, rows: int, width: int | None):
        self.rows, self.width, self.whole = rows, width, []

    def add(self, numbers: list[int], values: Any, real: Tensor) -> None:
        """values: a tensor (rows, ...), or a tuple of them; real (rows, T): which tokens are no padding."""
        several = [one.detach().cpu().numpy() for one in (values if isinstance(values, tuple) else (values,))]
        if not self.whole:
            self.whole = [np.full((self.rows, *self._shape(one)), IGNORE, dtype=one.dtype) for one in several]
        real = real.cpu().numpy()
        for whole, one in zip(self.whole, several, strict=True):
            if self.width is None or one.ndim < 2:
                whole[numbers] = one
                continue
            length = min(self.width, one.shape[1])
            some = np.where(real.reshape(*real.shape, *[1] * (one.ndim - 2)), one, np.array(IGNORE, one.dtype))
            whole[numbers, :length] = some[:, :length]

    def _shape(self, one: np.ndarray) -> tuple[int, ...]:
        return one.shape[1:] if self.width is None or one.ndim < 2 else (self.width, *one.shape[2:])

    def told(self) -> Any:
        """An array, or a tuple of arrays."""
        return self.whole[0] if len(self.whole) == 1 else tuple(self.whole)


class Evaluator:
    """A model and its task, for one dataset after the other. size: rows at once; options: the task's settings."""

    def __init__(self, model, task: Task, options: Any, size: int, dtype: torch.dtype):
        self.model, self.task, self.options, self.size, self.dtype = model, task, options, size, dtype

    @torch.no_grad()
    def __call__(self, sampler: Sampler, loss_only: bool,
                 preprocess: Callable | None = None) -> tuple[float, Any, Any]:  # fmt: skip
        """(mean loss of what is asked, what the head says of every row, its labels); None, None with loss_only."""
        self.model.eval()
        said, labels = (Gathered(len(sampler.rows), self.width(sampler)) for _ in range(2))
        total, count, device = 0.0, 0, self.model.device
        for numbers, batch in sampler.whole(self.size):
            batch, once = loop.move(batch, device), Once(self.model)
            with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
                total += float(self.task.loss(once, batch, self.options).sum())
                count += self.task.counts(batch, self.options)[0]
                outputs = None if loss_only else self.task.outputs(once, batch)
            if not loss_only:
                real = batch.mask if hasattr(batch, "mask") else batch.targets != IGNORE
                if preprocess is not None:
                    outputs = preprocess(outputs, self.task.labels(batch))
                said.add(numbers, outputs, real)
                labels.add(numbers, self.task.labels(batch), real)
        return total / max(1, count), *((None, None) if loss_only else (said.told(), labels.told()))

    def width(self, sampler: Sampler) -> int | None:
        """How many tokens the arrays are to hold for each row."""
        if self.task is tasks.LABELS:
            return None
        if self.task is tasks.PAIRS:
            return max(map(len, sampler.rows.columns["labels"]))
        return int(sampler.rows.widths.max())


def written(checkpoint, sources: list[np.ndarray], longest: int, beams: int) -> np.ndarray:
    """What a model writes of each source, as ids that begin with its start id, padded: (rows, T)."""
    c, backend, found = checkpoint.config, Local(checkpoint), []
    way = {"strategy": "beam", "beams": beams} if beams > 1 else {"strategy": "greedy"}
    wanted = Writing(max_new=longest, **way)
    try:
        for first in range(0, len(sources), TOGETHER):
            answers = [backend.generate(one.tolist(), wanted) for one in sources[first : first + TOGETHER]]
            found += [[c.start, *(id for piece in answer for id in piece.tokens)] for answer in answers]
    finally:
        backend.close()
    return tasks.filled([np.array(one) for one in found], max(map(len, found)), c.pad or 0).numpy()
