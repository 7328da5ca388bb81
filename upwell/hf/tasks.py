"""What a class of transformers learns, in terms of an objective: rows of columns -> its batches, losses, outputs.

    task = LABELS                       # of AutoModelForSequenceClassification
    batch = task.batch(rows, config)    # rows: {"ids": [array], "labels": [array], ...}, without padding
    task.loss(model, batch, task.options(smoothing)), task.counts(batch, options), task.outputs(model, batch)

A task stands in an objective's place in the training loop. It knows no file and no dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, SettingsError
from ..model.config import Config
from ..objectives import _entropy, causal, label, masked, pairs, span, tag
from ..tokens.batches import IGNORE
from ..tokens.buckets import EVEN, PairBatch

Rows = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class Task:
    """One of them."""

    ending: str
    """How the names of its classes end."""
    heads: tuple[str, ...]
    """Kinds of heads that learn it; the first is the one that a model without is given."""
    shapes: tuple[str, ...]
    """Shapes of models that learn it."""
    columns: tuple[str, ...]
    """What is asked of a row."""
    TERMS: tuple[str, ...]
    counts: Callable[[Any, Any], tuple[int]]
    loss: Callable[[Any, Any, Any], Tensor]
    batch: Callable[[Rows, Config], Any]
    outputs: Callable[[Any, Any], Tensor | tuple[Tensor, Tensor]]
    """What the head says of each row, float32: (B, labels), (B, T, kinds), or (B, T) twice."""
    labels: Callable[[Any], Tensor | tuple[Tensor, Tensor]]
    """What a batch asks, in the form of the outputs."""
    tokens: Callable[[Any], int]
    """Real tokens of a batch."""
    Settings: Callable | None = None
    """The objective's settings; they know `smoothing` where there is such a thing."""

    def options(self, smoothing: float) -> Any:
        """The objective's settings."""
        if self.Settings is not None:
            return self.Settings(smoothing=smoothing)
        if smoothing:
            raise SettingsError(f"label_smoothing_factor is {smoothing:g}; {self.ending} learns without it, expected 0")
        return None


# ---- rows as tensors ----


def wide(columns: Sequence[np.ndarray]) -> int:
    """The width of a batch."""
    return -(-max(map(len, columns)) // EVEN) * EVEN


def filled(columns: Sequence[np.ndarray], width: int, empty: int) -> Tensor:
    """Rows as (B, width) int64, with `empty` behind them."""
    found = np.full((len(columns), width), empty, dtype=np.int64)
    for row, values in zip(found, columns, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(found)


def read(rows: Rows, c: Config) -> tuple[Tensor, Tensor, Tensor | None]:
    """ids, mask and types (B, T) of what a model reads; types are None where all are 0."""
    width = wide(rows["ids"])
    lengths = torch.tensor([len(one) for one in rows["ids"]])
    mask = torch.arange(width) < lengths[:, None]
    types = filled(rows["types"], width, 0) if "types" in rows and c.token_types > 1 else None
    return filled(rows["ids"], width, c.pad or 0), mask, types if types is not None and types.any() else None


def of_mask(batch: Any) -> int:
    """Places that are no padding."""
    return int(batch.mask.sum())


# ---- labels of texts, labels of words, answers in texts ----


def label_batch(rows: Rows, c: Config) -> label.Batch:
    """One label, several or numbers a row, as the model's head says."""
    ids, mask, types = read(rows, c)
    labels = np.stack(rows["labels"]) if rows["labels"] else np.empty(0)
    if (c.head.problem or label.ONE) == label.ONE:
        labels = labels.reshape(len(ids)).astype(np.int64)
    else:
        labels = labels.reshape(len(ids), -1).astype(np.float32)
    return label.Batch(ids, mask, torch.from_numpy(labels), types)


def tag_batch(rows: Rows, c: Config) -> tag.Batch:
    """A label for each token, -100 where none is asked."""
    ids, mask, types = read(rows, c)
    return tag.Batch(ids, mask, filled(rows["labels"], ids.shape[1], IGNORE), types)


def tag_outputs(model, batch: tag.Batch) -> Tensor:
    """(B, T, labels), or (B, T, V)."""
    hidden = model.hidden(batch.ids, mask=batch.mask, types=batch.types)
    return model.read_out(hidden, batch.ids, batch.mask).float()


def span_batch(rows: Rows, c: Config) -> span.Batch:
    """First and last token of each answer."""
    ids, mask, types = read(rows, c)
    ends = [torch.from_numpy(np.array(rows[name], dtype=np.int64).reshape(-1)) for name in SPANS.columns]
    if any(bool((one >= mask.sum(1)).any()) for one in ends):
        raise DataError("found an answer that stands behind the end of its row; expected start_positions and "
                        "end_positions of tokens that the row holds")  # fmt: skip
    return span.Batch(ids, mask, types, *ends)


def span_outputs(model, batch: span.Batch) -> tuple[Tensor, Tensor]:
    """(B, T) of the first token and of the last one."""
    found = model(batch.ids, mask=batch.mask, types=batch.types).float()
    return found[..., 0], found[..., 1]


def span_labels(batch: span.Batch) -> tuple[Tensor, Tensor]:
    """(B,) twice."""
    return batch.starts, batch.ends


# ---- words ----


@dataclass(frozen=True)
class Smoothing:
    """What masked words know of settings."""

    smoothing: float = 0.0
    """Share of each target that is spread over the vocabulary."""


def words_loss(model, batch: tag.Batch, options: Smoothing) -> Tensor:
    """Summed nats of the words that are asked, (1,)."""
    hidden, asked = model.hidden(batch.ids, mask=batch.mask, types=batch.types), batch.targets != IGNORE
    return _entropy.of_words(model, hidden[asked], batch.targets[asked], options.smoothing)[None]


class Next(NamedTuple):
    """ids (B, T) int64 · targets (B, T) int64, -100: nothing · documents, None · mask (B, T): False is padding."""

    ids: Tensor
    targets: Tensor
    documents: None
    mask: Tensor


def next_batch(rows: Rows, c: Config) -> Next:
    """Each token's target is the label of the one behind it; padding stands behind all that could see it."""
    ids, mask, _ = read(rows, c)
    targets = filled([one[1:] for one in rows["labels"]], ids.shape[1], IGNORE)
    return Next(ids, targets, None, mask)


def next_outputs(model, batch: Next) -> Tensor:
    """(B, T, V)."""
    return model.read_out(model.hidden(batch.ids, documents=None), batch.ids).float()


def pair_batch(rows: Rows, c: Config) -> PairBatch:
    """A source, and what is written of it."""
    source, mask, _ = read(rows, c)
    targets = filled(rows["labels"], wide(rows["labels"]), IGNORE)
    ids = torch.cat([torch.full((len(targets), 1), c.start), targets[:, :-1]], 1)
    return PairBatch(source, mask, ids.masked_fill(ids == IGNORE, c.pad or 0), targets)


def pair_outputs(model, batch: PairBatch) -> Tensor:
    """(B, T, V)."""
    hidden = model.hidden(batch.ids, source=batch.source, source_mask=batch.source_mask)
    return model.read_out(hidden, batch.ids).float()


def next_labels(batch: Next) -> Tensor:
    """(B, T): each token's own label; nothing asks the first one."""
    return torch.cat([torch.full_like(batch.targets[:, :1], IGNORE), batch.targets[:, :-1]], 1)


def targets_of(batch: Any) -> Tensor:
    """(B, T)."""
    return batch.targets


LABELS = Task("ForSequenceClassification", ("classify",), label.SHAPES, ("labels",), label.TERMS, label.counts,
              label.loss, label_batch, label.judged, lambda batch: batch.labels, of_mask, label.Settings)  # fmt: skip
TAGS = Task("ForTokenClassification", ("tag",), tag.SHAPES, ("labels",), tag.TERMS, tag.counts, tag.loss, tag_batch,
            tag_outputs, targets_of, of_mask, tag.Settings)  # fmt: skip
SPANS = Task("ForQuestionAnswering", ("span",), span.SHAPES, ("start_positions", "end_positions"), span.TERMS,
             span.counts, span.loss, span_batch, span_outputs, span_labels, of_mask)  # fmt: skip
MASKED = Task("ForMaskedLM", ("masked",), masked.SHAPES, ("labels",), masked.TERMS, tag.counts, words_loss, tag_batch,
              tag_outputs, targets_of, of_mask, Smoothing)  # fmt: skip
CAUSAL = Task("ForCausalLM", ("language",), causal.SHAPES, ("labels",), causal.TERMS, causal.counts, causal.loss,
              next_batch, next_outputs, next_labels, of_mask, causal.Settings)  # fmt: skip
PAIRS = Task("ForSeq2SeqLM", ("language",), ("encoder-decoder",), ("labels",), pairs.TERMS, pairs.counts, pairs.loss,
             pair_batch, pair_outputs, targets_of, pairs.tokens, pairs.Settings)  # fmt: skip


# ---- what labels are ----


def problem_of(labels: Sequence[np.ndarray], count: int) -> str:
    """What labels of texts are, as transformers tells it from their form and the number of outputs."""
    if count == 1:
        return label.NUMBER
    whole = all(np.issubdtype(one.dtype, np.integer) for one in labels)
    return label.ONE if whole and all(one.size == 1 for one in labels) else label.SEVERAL


def settled(config: Config, labels: Sequence[np.ndarray]) -> Config:
    """The config whose head knows what its labels are; DataError where it has no such label."""
    problem = config.head.problem or problem_of(labels, len(config.head.labels))
    count = len(config.head.labels)
    if problem == label.ONE:
        check(labels, count)
    elif any(one.size != count for one in labels):
        raise DataError(f"found {labels[0].size} numbers as the labels of a row, expected {count} ({problem}); give "
                        "num_labels to from_pretrained")  # fmt: skip
    return config.with_(head=replace(config.head, problem=problem))


def blank(rows: Rows, task: Task, c: Config) -> dict[str, list[np.ndarray]]:
    """Labels for rows that have none, so that they can be judged."""
    ids = rows["ids"]
    if task is SPANS:
        return {name: [np.zeros(1, np.int64) for _ in ids] for name in task.columns}
    if task is LABELS:
        one = c.head.problem in (None, label.ONE)
        return {"labels": [np.zeros(1, np.int64) if one else np.zeros(len(c.head.labels)) for _ in ids]}
    if task is PAIRS:
        return {"labels": [np.array([c.pad or 0]) for _ in ids]}
    return {"labels": [np.full(len(row), IGNORE) for row in ids]}


def check(labels: Sequence[np.ndarray], count: int, empty: int | None = None) -> None:
    """DataError for a number that is no label; `empty` asks nothing."""
    for row, one in enumerate(labels):
        wrong = (one < 0) | (one >= count)
        wrong &= one != empty if empty is not None else True
        if wrong.any():
            raise DataError(f"row {row}: found the label {one[wrong][0]}, expected 0 to {count - 1}; this model has "
                            f"{count} outputs, give num_labels to from_pretrained")  # fmt: skip
