"""Masked words: some words of a text are hidden, and the model says which they were from both sides.

Texts stand whole in frames ([CLS] x [SEP] where the tokenizer has them), several in a row, each of which sees itself
only. Masks are new in each epoch. Logits are computed at the masked places alone. Source: Devlin et al. 2019, arXiv
1810.04805; new masks: Liu et al. 2019, arXiv 1907.11692; whole Chinese words: Cui et al. 2021, arXiv 1906.08101.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.text import Document
from upwell.tokens.batches import IGNORE
from upwell.tokens.tokenizer import Tokenizer

from . import Example, Part, _heads
from ._masking import Masker
from ._packed import Rows, Texts, offsets, ranges
from ._sentences import blocks, kept
from ._spelling import Spelling, frame, named, segmenter

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder",)
TERMS = ("masked",)
MEASURED = 0x5EED  # the seed of the masks that measuring uses


@dataclass(frozen=True)
class Settings:
    """How much is masked, and by what."""

    rate: float = 0.15
    """Share of a text's tokens that are asked for."""
    mask: float = 0.8
    """Share of these that the mask token hides."""
    random: float = 0.1
    """Share of these that are replaced by any token; the rest stays as it is."""
    whole_words: bool = True
    """Hide all tokens of a word or none; words by the tokenizer's own borders, a Chinese character is one."""
    chinese: bool = False
    """Chinese words of several characters are whole, too: found by the package rjieba."""

    def __post_init__(self):
        for name in ("rate", "mask", "random"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share between 0 and 1")
        if not 0 < self.rate < 1 or self.mask + self.random > 1:
            raise ValueError(f"rate is {self.rate} and mask + random {self.mask + self.random}; expected a rate above "
                             "0 and below 1, and a sum of at most 1")  # fmt: skip


class Batch(NamedTuple):
    """ids (B, T) int64, masked · documents (B, T) int32 · places (B, M) int64 · targets (B, M) int64, -100: nothing.

    real (B,) int64: places of each row that are not empty.
    """

    ids: "Tensor"
    documents: "Tensor"
    places: "Tensor"
    targets: "Tensor"
    real: "Tensor"


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head that names masked words; SettingsError or DataError where model and data do not fit."""
    from ._spelling import mask_id

    _heads.check(config, part, SHAPES, "masked")
    mask_id(part.tokenizer)
    return config if config.head.kind == "masked" else _heads.of_class(config, "ForMaskedLM")


def samples(part: Part, rows: int, seed: int, settings: Settings) -> "Masked":
    """Rows of part.context tokens."""
    return Masked(part, seed, settings)


class Masked:
    """Packed rows with masks; .batch, .samples and .whole give Batches."""

    def __init__(self, part: Part, seed: int, settings: Settings):
        self.store, self.context, self.settings = part.store, part.context, settings
        self.spelling = Spelling(part.tokenizer)
        self.frame, self.pad = frame(part.tokenizer), padding(part.tokenizer)
        extra = sum(map(len, self.frame))
        self.rows = Rows(part.store, part.context - extra, lambda n: n + extra, part.context, seed)
        self.masker = Masker(self.spelling, settings, part.context - extra, seed)
        self.measured = Masker(self.spelling, settings, part.context - extra, MEASURED)
        self.words = chinese_words(part, self.spelling) if settings.chinese else None
        self.samples_per_epoch = self.rows.samples_per_epoch

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,)."""
        numbers = np.asarray(numbers, dtype=np.int64)
        return self._filled(self.rows.order(numbers), numbers, self.masker)

    def whole(self, size: int) -> Iterator[Batch]:
        """Every row once, in order, with masks that are always the same."""
        for first in range(0, self.samples_per_epoch, size):
            rows = np.arange(first, min(first + size, self.samples_per_epoch))
            yield self._filled(rows, rows, self.measured)

    def _filled(self, rows: np.ndarray, numbers: np.ndarray, masker: Masker) -> Batch:
        import torch

        texts = self.rows.texts(rows)
        ids, documents, able, inside = framed(texts, len(rows), self.context, self.frame, self.pad)
        able[able] = ~self.spelling.special[texts.ids]
        joins = self.spelling.joins(ids)
        if self.words is not None:
            joins[inside] |= self.words[np.repeat(texts.places, texts.lengths) + ranges(texts.lengths)]
        ids, places, targets = masker.masked(ids, able, joins, numbers)
        real = np.bincount(texts.rows, texts.lengths + sum(map(len, self.frame)), len(rows)).astype(np.int64)
        return Batch(*map(torch.from_numpy, (ids, documents, places, targets, real)))


def framed(texts: Texts, rows: int, width: int, around: tuple, pad: int):
    """Texts in their frames as ids (rows, width), documents and which places are text; and these places by index.

    What stays empty holds `pad` and is a document of its own.
    """
    before, behind = around
    begins = offsets(texts.lengths + len(before) + len(behind), texts.rows)
    ids, documents = np.full((rows, width), pad, dtype=np.int64), np.zeros((rows, width), dtype=np.int32)
    row, at = np.repeat(texts.rows, texts.lengths), np.repeat(begins, texts.lengths) + ranges(texts.lengths)
    inside = row, at + len(before)
    ids[inside] = texts.ids
    for place, id in enumerate(before):
        ids[texts.rows, begins + place] = id
    after = begins + len(before) + texts.lengths
    for place, id in enumerate(behind):
        ids[texts.rows, after + place] = id
    documents[texts.rows, begins] = texts.numbers > 0
    last = np.append(texts.rows[1:] != texts.rows[:-1], True) & (after + len(behind) < width)
    documents[texts.rows[last], after[last] + len(behind)] = 1
    able = np.zeros((rows, width), dtype=bool)
    able[inside] = True
    return ids, np.cumsum(documents, axis=1, dtype=np.int32), able, inside


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many masked tokens a batch asks for."""
    return (int((batch.targets != IGNORE).sum()),)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the masked tokens, (1,)."""
    hidden = model.hidden(batch.ids, documents=batch.documents)
    return of_places(model, hidden, batch.places, batch.targets)[None]


def of_places(model, hidden: "Tensor", places: "Tensor", targets: "Tensor") -> "Tensor":
    """Summed nats of the targets (B, M) at places (B, M) of the last block's vectors (B, T, D)."""
    from . import _entropy  # torch is needed only here

    asked = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
    return _entropy.of_words(model, asked, targets)


def scored(model, batch: Batch, part: Part, settings: Settings) -> dict[str, tuple["Tensor", "Tensor"]]:
    """How many of the masked tokens of each row the model names, and of how many."""
    hidden = model.hidden(batch.ids, documents=batch.documents)
    return {"accuracy": named_right(model, hidden, batch.places, batch.targets)}


def named_right(model, hidden: "Tensor", places: "Tensor", targets: "Tensor") -> tuple["Tensor", "Tensor"]:
    """(right, asked) of each row (B,), for targets (B, M) at places (B, M) of the last block's vectors (B, T, D)."""
    from . import _entropy

    asked = targets != IGNORE
    vectors = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))[asked]
    right = asked.clone()
    right[asked] = _entropy.likeliest(model, vectors) == targets[asked]
    return right.sum(1), asked.sum(1)


def tokens(batch: Batch) -> int:
    """Tokens of texts and their frames."""
    return int(batch.real.sum())


def padding(tokenizer: Tokenizer) -> int:
    """The id of empty places."""
    found = named(tokenizer, "pad")
    return tokenizer.end if found is None else found


def chinese_words(part: Part, spelling: Spelling) -> np.ndarray:
    """For each token of the store whether it goes on with a Chinese word, bool; kept in part.cache."""
    store = part.store

    def found() -> np.ndarray:
        cut, joined = segmenter(), np.zeros(len(store), dtype=bool)
        for first, last in blocks(store):
            begin, end = int(store.starts[first]), int(store.starts[last])
            joined[begin:end] = spelling.chinese(store.read(begin, end), cut)
        return joined

    return kept(part.cache, f"words {store.sha256} {spelling.tokenizer.hash} rjieba", found)


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each document in its frame with its masks, learnt at the masked places."""
    spelling, (before, behind) = Spelling(tokenizer), frame(tokenizer)
    cut = segmenter() if settings.chinese else None
    for number, document in enumerate(documents):
        body = tokenizer.encode(document.text)
        ids = np.array([[*before, *body, *behind]], dtype=np.int64)
        able = ~spelling.special[ids]
        joins = spelling.joins(ids)
        if cut is not None:
            joins[0] |= spelling.chinese(ids[0], cut)
        masker = Masker(spelling, settings, len(body), MEASURED)
        shown, places, targets = masker.masked(ids, able, joins, np.array([number]))
        learnt = np.zeros(ids.shape[1], dtype=bool)
        learnt[places[targets != IGNORE]] = True
        yield Example(shown[0].tolist(), learnt.tolist(), document.source)
