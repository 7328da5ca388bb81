"""Datasets of any kind as rows without padding, and batches of them by number for the training loop.

    rows = Rows.of(dataset, task)                          # anything with len and [i] whose items have names
    sampler = Sampler(rows, task, config, size, seed)      # .samples(numbers) -> a batch of the task

Every item is read once. What the attention mask leaves out is cut away; columns that no model reads are passed over. It
knows no library of datasets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..model.config import Config
from ..tokens.batches import IGNORE
from ..tokens.buckets import EVEN, Deal
from . import tasks
from .collating import only_pads
from .tasks import Task

NAMES = {"input_ids": "ids", "token_type_ids": "types", "label": "labels", "label_ids": "labels", "labels": "labels",
         "start_positions": "start_positions", "end_positions": "end_positions"}  # fmt: skip
MEANT = ("position_ids", "inputs_embeds", "decoder_input_ids", "decoder_attention_mask", "head_mask")
BY_TOKEN = (tasks.TAGS, tasks.MASKED, tasks.CAUSAL)  # they have a label for each token


@dataclass
class Rows:
    """Columns of arrays, one a row; .widths: how wide each row was before its padding was cut."""

    columns: dict[str, list[np.ndarray]]
    widths: np.ndarray
    items: list[dict] | None = None
    """The rows as they were given, for a collator that wants more of them."""

    @classmethod
    def of(cls, dataset: Any, task: Task, collator: Callable | None = None, learning: bool = True) -> "Rows":
        """All rows of a dataset; DataError where it holds none, or a row to learn from lacks what is asked."""
        check(dataset)
        pads = only_pads(collator)
        items = [dict(dataset[number]) for number in range(len(dataset))]
        if not pads:
            items = [{name: value for name, value in one.items() if not isinstance(value, str)} for one in items]
        needed = task.columns if pads and learning else ()
        return cls(*told(items, task, needed), None if pads else items)

    def __len__(self) -> int:
        return len(self.columns["ids"])

    @property
    def labelled(self) -> bool:
        """Whether there is something to learn or to compare with."""
        return "labels" in self.columns or "start_positions" in self.columns

    def lengths(self, task: Task) -> np.ndarray:
        """By what rows are put together."""
        lengths = np.array([len(one) for one in self.columns["ids"]])
        if task is tasks.PAIRS and "labels" in self.columns:
            lengths = lengths + np.array([len(one) for one in self.columns["labels"]])
        return np.maximum(lengths, 1)

    def some(self, numbers: Sequence[int]) -> dict[str, list[np.ndarray]]:
        """The columns of some rows."""
        return {name: [values[number] for number in numbers] for name, values in self.columns.items()}


def check(dataset: Any) -> None:
    """DataError for what is no dataset, or an empty one."""
    if dataset is None:
        raise DataError("found no dataset; give train_dataset to train, eval_dataset to evaluate")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"found a dataset of the type {type(dataset).__name__}; expected one with a length and rows by "
                        "number, such as a list of what a tokenizer gives")  # fmt: skip
    if not len(dataset):
        raise DataError("found a dataset without rows; expected one or more")


def told(items: Sequence[Mapping], task: Task, needed: Sequence[str]) -> tuple[dict[str, list], np.ndarray]:
    """Items as columns without padding, and how wide they were."""
    columns: dict[str, list] = {}
    widths = np.empty(len(items), dtype=np.int64)
    for number, item in enumerate(items):
        row, widths[number] = bare(item, number, task)
        if missing := [name for name in needed if name not in row]:
            have = ", ".join(item)
            raise DataError(f"row {number}: {missing[0]} is missing, found {have}; {task.ending} learns from input_ids "
                            f"and {' and '.join(task.columns)}")  # fmt: skip
        for name, values in row.items():
            columns.setdefault(name, []).append(values)
    if wrong := next((name for name, values in columns.items() if len(values) < len(items)), None):
        raise DataError(f"{wrong} is there in {len(columns[wrong])} of {len(items)} rows; expected it in all of them")
    return columns, widths


def bare(item: Mapping, number: int, task: Task) -> tuple[dict[str, np.ndarray], int]:
    """(what a row holds without padding, how wide it was)."""
    if meant := next((name for name in MEANT if item.get(name) is not None), None):
        raise DataError(f"row {number}: upwell does not read {meant}; take that column out")
    row = {NAMES[name]: array(value) for name, value in item.items() if name in NAMES and value is not None}
    if "ids" not in row or row["ids"].ndim != 1:
        raise DataError(f"row {number}: found {', '.join(item)}; expected input_ids, a row of numbers, as a tokenizer "
                        "gives it")  # fmt: skip
    width, mask = len(row["ids"]), item.get("attention_mask")
    kept = np.ones(width, dtype=bool) if mask is None else array(mask).astype(bool)
    by_token = ("ids", "types", "labels") if task in BY_TOKEN else ("ids", "types")
    for name in (name for name in by_token if name in row):
        if len(row[name]) != width or len(kept) != width:
            raise DataError(f"row {number}: found {width} input_ids, {len(kept)} of attention_mask and "
                            f"{len(row[name])} of {name}; expected as many of each")  # fmt: skip
        row[name] = row[name][kept]
    if task is tasks.SPANS:
        before = int(kept.argmax())
        row |= {name: row[name] - before for name in task.columns if name in row}
    if task is tasks.PAIRS and "labels" in row:
        row["labels"] = row["labels"][row["labels"] != IGNORE]
    return row, width


def array(value: Any) -> np.ndarray:
    """Numbers of any kind as an array."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


class Sampler:
    """Batches of rows of about one length; sample i is a pure function of (seed, i).

    collator: what makes a batch of rows where it does more than fill them up; it draws from torch's random numbers,
    which are set for each batch.
    """

    def __init__(self, rows: Rows, task: Task, config: Config, size: int, seed: int, collator: Callable | None = None):
        self.rows, self.task, self.config, self.seed, self.collator = rows, task, config, seed, collator
        lengths = rows.lengths(task)
        self.deal = Deal(lengths, size, seed, max(EVEN, int(lengths.max()) // 32))
        self.samples_per_epoch = self.deal.batches * size

    def samples(self, numbers: np.ndarray) -> Any:
        """The samples of these numbers (B,) as a batch of the task."""
        chosen, _ = self.deal.rows_of(np.asarray(numbers, dtype=np.int64))
        return self.made(chosen.tolist(), self.seed * 1_000_003 + int(numbers[0]))

    def whole(self, size: int) -> Iterator[tuple[list[int], Any]]:
        """(the rows' numbers, their batch) for every row once, rows of like lengths together."""
        order = np.argsort(self.rows.lengths(self.task), kind="stable")
        for first in range(0, len(order), size):
            chosen = order[first : first + size].tolist()
            yield chosen, self.made(chosen, first)

    def made(self, chosen: list[int], seed: int) -> Any:
        """Rows by their numbers as a batch."""
        if self.rows.items is None:
            return self.task.batch(self.rows.some(chosen), self.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            batch = self.collator([self.rows.items[number] for number in chosen])
        items = [{name: values[number] for name, values in batch.items()} for number in range(len(chosen))]
        return self.task.batch(told(items, self.task, self.task.columns)[0], self.config)
