"""One label a word: names of people and places (BIO), parts of speech.

Each word is cut into pieces by itself, with the space before it where the tokenizer's pieces hold one, so that no piece
belongs to two words. The first piece of a word learns its tag, the others are not asked unless `every` says so.
Chinese characters are words without spaces. The tags of the learnt part become the model's outputs, by name; a held-out
text with another tag is refused.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.text import Document
from upwell.tokens.batches import IGNORE

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, encoded, given, kept, of_task, width, within

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder", "decoder")
TERMS = ("tag",)
WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")  # Chinese and Japanese characters and signs
SIDES = ("O", "B", "I", "E", "S")


@dataclass(frozen=True)
class Settings:
    """How words are asked."""

    every: bool = False
    """All pieces of a word learn its tag; otherwise its first piece alone does."""
    smoothing: float = 0.0
    """Share of each target that is spread over all tags; measuring leaves it out."""
    cut: bool = False
    """Texts that are longer than the context lose their ends; otherwise they are refused."""

    def __post_init__(self):
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected 0 or more and less than 1")


class Batch(NamedTuple):
    """ids (B, T) int64 · mask (B, T) bool, False: padding · targets (B, T) int64, -100 where nothing is asked · types
    (B, T) int64: which of two texts a token belongs to, or None."""

    ids: "Tensor"
    mask: "Tensor"
    targets: "Tensor"
    types: "Tensor | None" = None


# ---- tags and words ----


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head for the tags of the data; SettingsError or DataError where they do not fit.

    A model that has a head for these very tags keeps it.
    """
    _heads.check(config, part, SHAPES, "tag")
    names = found(given(part, "tag"))
    if config.head.kind == "tag" and set(names) <= set(config.head.labels):
        return config
    config = _heads.of_class(config, "ForTokenClassification")
    return config.with_(head=replace(config.head, labels=names))


def found(documents: Iterable[Document]) -> tuple[str, ...]:
    """The tags of these documents in order: O first, then by what they mark, numbers by their value."""
    names = {str(tag) for document in documents for tag in document.fields["tags"]}
    return tuple(sorted(names, key=_order))


def _order(name: str) -> tuple:
    if name.isascii() and name.lstrip("-").isdecimal():
        return (0, "", int(name), "")
    side, dash, kind = name.partition("-")
    known = dash and side in SIDES
    return (1, kind if known else name if name != "O" else "", SIDES.index(side) if known else 0, name)


def spaced(tokenizer) -> bool:
    """Whether a word within a text is to be cut with the space before it."""
    whole, alone = tokenizer.encode("x x"), tokenizer.encode("x")
    return whole != alone * 2 and whole == alone + tokenizer.encode(" x")


def pieces(words: list[str], space: bool) -> list[str]:
    """The words as they are cut: with a space before those that follow another one, Chinese apart."""
    before = ["", *words[:-1]]
    return [f" {word}" if space and last and not (WIDE.match(word) or WIDE.match(last[-1])) else word
            for word, last in zip(words, before, strict=True)]  # fmt: skip


def asked(words: list[list[int]], tags: list[int], every: bool) -> tuple[list[int], list[int]]:
    """The ids of all words, and the target of each."""
    ids = [id for word in words for id in word]
    targets = [tag if every or not place else IGNORE for word, tag in zip(words, tags, strict=True)
               for place in range(len(word))]  # fmt: skip
    return ids, targets


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed:
    """One text a row, texts of about one length together; .cut says how many lost their ends."""
    frame, config = Frame(part.tokenizer, part.config), part.config
    known = config is not None and config.head.kind == "tag"
    names = config.head.labels if known else found(given(part, "tag"))
    table = kept(part, "tag", [settings, names], {"ids": np.uint32, "targets": np.int32, "cut": np.uint8},
                 lambda: _rows(given(part, "tag"), part, frame, settings, names))  # fmt: skip
    lengths = table["ids"].lengths

    def make(chosen: np.ndarray, together: np.ndarray) -> Batch:
        import torch

        wide = width(lengths[together])
        ids = table["ids"].filled(chosen, wide, frame.pad)
        targets = table["targets"].filled(chosen, wide, IGNORE)
        return Batch(*map(torch.from_numpy, (ids, np.arange(wide) < lengths[chosen][:, None], targets)))

    sampler = Bucketed(lengths, rows, seed, part.context, make)
    sampler.cut = int(table["cut"].values.sum())
    return sampler


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings,
          names: tuple[str, ...]) -> Iterator[tuple]:  # fmt: skip
    known, space = {name: number for number, name in enumerate(names)}, spaced(part.tokenizer)
    room, before, behind = part.context - frame.around, len(frame.before), len(frame.behind)
    for document, words in encoded(documents, lambda one: pieces(one.fields["tokens"], space), part.tokenizer):
        ids, targets = asked(words, _known(document, known), settings.every)
        shorter = within(ids, room, document, settings.cut)
        around = [IGNORE] * before, [IGNORE] * behind
        yield frame.one(shorter), [*around[0], *targets[: len(shorter)], *around[1]], [len(shorter) < len(ids)]


def _known(document: Document, known: dict[str, int]) -> list[int]:
    """The numbers of a document's tags; DataError for one that the model does not have."""
    for tag in document.fields["tags"]:
        if str(tag) not in known:
            some = ", ".join(list(known)[:8]) + (" ..." if len(known) > 8 else "")
            raise DataError(f"{document.source}: found the tag {tag!r}, expected one that the model learns: {some}")
    return [known[str(tag)] for tag in document.fields["tags"]]


# ---- learning ----


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many tags a batch asks for."""
    return (int((batch.targets != IGNORE).sum()),)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy over the tags that are asked, (1,); no other place has logits."""
    import torch
    from torch.nn import functional as F

    causal = model.config.shape == "decoder"  # padding stands behind all tokens, which do not see it
    hidden = model.hidden(batch.ids, mask=None if causal else batch.mask, types=batch.types)
    wanted = batch.targets != IGNORE
    outputs = model.logits(model.top(hidden[wanted], None, None))
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    smoothing = settings.smoothing
    return F.cross_entropy(outputs, batch.targets[wanted], reduction="sum", label_smoothing=smoothing)[None]


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each text in its frame, learnt where a tag is asked; the tags are the example's part."""
    frame, space = Frame(tokenizer), spaced(tokenizer)
    for document, words in encoded(of_task(documents, "tag"), lambda one: pieces(one.fields["tokens"], space),
                                   tokenizer):  # fmt: skip
        tags = document.fields["tags"]
        ids, targets = asked(words, list(range(len(tags))), settings.every)
        learnt = [False] * len(frame.before) + [one != IGNORE for one in targets] + [False] * len(frame.behind)
        yield Example(frame.one(ids), learnt, document.source, " ".join(map(str, tags)))
