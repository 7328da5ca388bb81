"""Labels of whole texts, or of two texts together: one of several, several at once, or a number.

An encoder reads a text as [CLS] x [SEP], two as [CLS] x [SEP] y [SEP], and pools as its family does; a decoder judges
by the last token. The labels that the learnt part holds become the model's outputs, by name; a held-out text with
another label is refused. The losses are those of transformers: cross-entropy over the labels, binary cross-entropy over
every label, or squared distance.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.text import Document

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, encoded, given, kept, of_task, width, within

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder", "decoder")
TERMS = ("label",)
ONE, SEVERAL, NUMBER = "single_label_classification", "multi_label_classification", "regression"
TOLD = {ONE: "one label", SEVERAL: "a list of labels", NUMBER: "a number with a fraction"}
PROBLEMS = {"one": ONE, "several": SEVERAL, "number": NUMBER}


@dataclass(frozen=True)
class Settings:
    """What a label is."""

    problem: Literal["auto", "one", "several", "number"] = "auto"
    """one label a text, several, or a number (regression); auto: a list is several, a number with a fraction a number,
    everything else one."""
    smoothing: float = 0.0
    """Share of each target that is spread over all labels, where a text has one; measuring leaves it out."""
    cut: bool = False
    """Texts that are longer than the context lose their ends, of two the second one; otherwise they are refused."""

    def __post_init__(self):
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected 0 or more and less than 1")


class Batch(NamedTuple):
    """ids (B, T) int64 · mask (B, T) bool, False: padding · labels (B,) int64, or (B, L) float32: several, numbers ·
    types (B, T) int64: which of two texts a token belongs to, or None."""

    ids: "Tensor"
    mask: "Tensor"
    labels: "Tensor"
    types: "Tensor | None" = None


# ---- labels ----


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head for the labels of the data; SettingsError or DataError where they do not fit.

    A model that has a head for these very labels keeps it.
    """
    _heads.check(config, part, SHAPES, "label")
    problem, names = found(given(part, "label"), settings)
    head = config.head
    if head.kind == "classify" and (head.problem or problem) == problem and set(names) <= set(head.labels):
        return config.with_(head=replace(head, problem=problem))
    config = _heads.of_class(config, "ForSequenceClassification")
    return config.with_(head=replace(config.head, labels=names, problem=problem))


def found(documents: Iterable[Document], settings: Settings) -> tuple[str, tuple[str, ...]]:
    """What the labels of these documents are, as transformers calls it, and their names in order."""
    first, names, lengths, words = {}, set(), set(), ""
    for document in documents:
        kind = PROBLEMS.get(settings.problem) or problem_of(document)
        first.setdefault(kind, document)
        if kind == NUMBER:
            lengths.add(len(numbers(document)))
        else:
            names |= set(texts(document, kind))
            words = words or ("" if type(document.fields["label"]) is int else document.source)
    problem = _common(first, words)
    if problem == ONE and len(names) < 2:
        raise DataError(f"{first[ONE].source}: found the label {', '.join(names)} alone, expected two or more; add "
                        "texts with another label")  # fmt: skip
    if problem != NUMBER:
        return problem, tuple(sorted(names, key=_order))
    if len(lengths | ({1} if ONE in first else set())) > 1:
        raise DataError(f"{first[NUMBER].source}: found {min(lengths)} to {max(lengths)} numbers a text in the data, "
                        "expected as many for each")  # fmt: skip
    return problem, tuple(f"LABEL_{number}" for number in range(max(lengths)))


def _common(first: dict[str, Document], words: str) -> str:
    """The one kind that labels have; whole numbers beside others are numbers. words: where a label is no number."""
    if len(first) == 1 or set(first) == {ONE, NUMBER} and not words:
        return NUMBER if NUMBER in first else next(iter(first))
    (kind, one), (other, two) = list(first.items())[:2]
    raise DataError(f"{two.source}: found the label {two.fields['label']!r} ({TOLD[other]}), expected one as that of "
                    f"{one.source} ({TOLD[kind]}); give all texts the same kind, or set --learn.problem")  # fmt: skip


def problem_of(document: Document) -> str:
    """What a label is by its form."""
    label = document.fields["label"]
    if isinstance(label, list):
        return NUMBER if label and all(isinstance(one, float) for one in label) else SEVERAL
    return NUMBER if isinstance(label, float) else ONE


def texts(document: Document, problem: str) -> list[str]:
    """The names of a document's labels; DataError where it has none or several and one is expected."""
    label = document.fields["label"]
    labels = label if isinstance(label, list) else [label]
    if problem == ONE and len(labels) != 1:
        raise DataError(f"{document.source}: found {len(labels)} labels, expected one; take --learn.problem several")
    return [{"True": "true", "False": "false"}.get(str(one), str(one)) for one in labels]


def numbers(document: Document) -> list[float]:
    """The numbers that a document's label is."""
    label = document.fields["label"]
    try:
        values = [float(one) for one in (label if isinstance(label, list) else [label])]
    except (ValueError, OverflowError):
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise DataError(f"{document.source}: found the label {label!r}, expected a number") from None
    return values


def _order(name: str) -> tuple:
    """Numbers by their value before texts by their letters."""
    return (0, int(name), "") if name.lstrip("-").isdecimal() and name.isascii() else (1, 0, name)


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed:
    """A text or two a row, those of about one length together; .cut says how many lost their ends."""
    frame, config = Frame(part.tokenizer, part.config), part.config
    if config is not None and config.head.kind == "classify":
        problem, names = config.head.problem or ONE, config.head.labels
    else:
        problem, names = found(given(part, "label"), settings)
    table = kept(part, "label", [settings, problem, names],
                 {"ids": np.uint32, "label": np.float32, "cut": np.uint8, "second": np.int32},
                 lambda: _rows(given(part, "label"), part, frame, settings, problem, names))  # fmt: skip
    lengths, seconds = table["ids"].lengths, table["second"].values
    typed = bool((seconds > 0).any()) and (config is None or config.token_types > 1)

    def make(chosen: np.ndarray, together: np.ndarray) -> Batch:
        import torch

        wide = width(lengths[together])
        ids, at = table["ids"].filled(chosen, wide, frame.pad), np.arange(wide)
        real, begins = at < lengths[chosen][:, None], seconds[chosen][:, None]
        types = torch.from_numpy(((at >= begins) & (begins > 0) & real).astype(np.int64)) if typed else None
        labels = targets([table["label"][one] for one in chosen.tolist()], problem, len(names))
        return Batch(torch.from_numpy(ids), torch.from_numpy(real), torch.from_numpy(labels), types)

    sampler = Bucketed(lengths, rows, seed, part.context, make)
    sampler.cut = int(table["cut"].values.sum())
    return sampler


def targets(values: list[np.ndarray], problem: str, count: int) -> np.ndarray:
    """What a table keeps of labels -> what the loss wants of them."""
    if problem == ONE:
        return np.array([int(one[0]) for one in values], dtype=np.int64)
    if problem == NUMBER:
        return np.stack(values).astype(np.float32)
    marked = np.zeros((len(values), count), dtype=np.float32)
    for row, labels in enumerate(values):
        marked[row, labels.astype(np.int64)] = 1
    return marked


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings, problem: str,
          names: tuple[str, ...]) -> Iterator[tuple]:  # fmt: skip
    known = {name: number for number, name in enumerate(names)}
    for document, texts_of_one in encoded(documents, both, part.tokenizer):
        values = numbers(document) if problem == NUMBER else _known(document, problem, known)
        if problem == NUMBER and len(values) != len(names):
            raise DataError(f"{document.source}: found {len(values)} numbers, expected {len(names)}")
        ids, second, lost = framed(frame, texts_of_one, part.context, document, settings.cut)
        yield ids, values, [lost], [second]


def both(document: Document) -> list[str]:
    """The text, and the second one where there are two."""
    return [document.fields[name] for name in ("text", "pair") if name in document.fields]


def framed(frame: Frame, texts_of_one: list[list[int]], context: int, document: Document,
           cut: bool) -> tuple[list[int], int, bool]:  # fmt: skip
    """The ids of one text or of two in their frame, where the second begins (0: nowhere), and whether any were cut."""
    *first, last = texts_of_one
    room = context - (len(frame.two(first[0], [])[0]) if first else frame.around)
    if room < 1:
        raise DataError(f"{document.source}: found a first text of {len(first[0]):,} tokens, which leaves no place for "
                        f"the second in {context:,}; set a longer context, or leave it out")  # fmt: skip
    shorter = within(last, room, document, cut)
    ids, second = frame.two(first[0], shorter) if first else (frame.one(shorter), 0)
    return ids, second, len(shorter) < len(last)


def _known(document: Document, problem: str, known: dict[str, int]) -> list[int]:
    """The numbers of a document's labels; DataError for one that the model does not have."""
    labels = texts(document, problem)
    for one in labels:
        if one not in known:
            some = ", ".join(list(known)[:8]) + (" ..." if len(known) > 8 else "")
            raise DataError(f"{document.source}: found the label {one!r}, expected one that the model learns: {some}")
    return [known[one] for one in labels]


# ---- learning ----


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many labels a batch asks for: one a text, or with several or numbers every label of every text."""
    return (batch.labels.numel(),)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy, binary cross-entropy or squared distance, (1,)."""
    from torch.nn import functional as F

    outputs = judged(model, batch)
    problem = model.config.head.problem or ONE
    if problem == ONE:
        return F.cross_entropy(outputs, batch.labels, reduction="sum", label_smoothing=settings.smoothing)[None]
    labels = batch.labels.to(outputs.dtype).view_as(outputs)
    if problem == SEVERAL:
        return F.binary_cross_entropy_with_logits(outputs, labels, reduction="sum")[None]
    return F.mse_loss(outputs, labels, reduction="sum")[None]


def judged(model, batch: Batch) -> "Tensor":
    """What the model says of each text: (B, L), float32 or wider."""
    import torch

    causal = model.config.shape == "decoder"  # padding stands behind all tokens, which do not see it
    hidden = model.hidden(batch.ids, mask=None if causal else batch.mask, types=batch.types)
    outputs = model.read_out(hidden, batch.ids, batch.mask)
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each text in its frame, of which nothing but the label is learnt; the label is the example's part."""
    frame = Frame(tokenizer)
    for document, ids in encoded(of_task(documents, "label"), both, tokenizer):
        said = frame.two(*ids)[0] if len(ids) == 2 else frame.one(ids[0])
        problem = PROBLEMS.get(settings.problem) or problem_of(document)
        names = map(str, numbers(document)) if problem == NUMBER else texts(document, problem)
        yield Example(said, [False] * len(said), document.source, ", ".join(names) or "(none)")
