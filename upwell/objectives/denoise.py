"""Denoising: an encoder-decoder reads a damaged text and writes what is missing, or all of it.

spans: 15 % of the tokens are hidden in spans of 3 on average, each by a sentinel (<extra_id_0>, ...), and the decoder
writes the sentinels with what they hide. Source: Raffel et al. 2020, arXiv 1910.10683.
infill: 30 % of the tokens are hidden in spans whose lengths are Poisson's with mean 3, each by one mask (a span of 0
inserts one), the sentences stand in any order, and the decoder writes the whole text. Source: Lewis et al. 2020, arXiv
1910.13461.

Texts stand whole in rows, several side by side, each of which sees itself only. A longer text is cut so that a damaged
part just fills the row. How long a damaged text is depends on its length alone (spans) or is at most that (infill), so
all rows have one shape.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from upwell.errors import DataError, SettingsError
from upwell.text import Document
from upwell.tokens.batches import IGNORE
from upwell.tokens.tokenizer import Tokenizer

from . import Example, Part, _heads, _noise, _spans
from ._packed import Held, Rows, offsets, ranges
from ._sentences import index
from ._spelling import Spelling, mask_id, named

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder-decoder",)
TERMS = ("denoise",)
MEASURED = 0x5EED   # the seed of the damage that measuring uses
DAMAGE = 32         # stream of random numbers
WHOLE = 1 << 40     # sentences are never divided


@dataclass(frozen=True)
class Settings:
    """How texts are damaged."""

    kind: Literal["spans", "infill"] = "spans"
    """spans: T5's, the decoder writes what is hidden; infill: BART's, it writes the whole text."""
    rate: float = 0.0
    """Share of tokens that are hidden; 0: 0.15 for spans, 0.3 for infill."""
    span: float = 3.0
    """How many tokens a span has on average."""
    permute: bool = True
    """infill: sentences stand in any order."""
    smoothing: float = 0.0
    """Share of each target that is spread over the whole vocabulary."""

    def __post_init__(self):
        if not 0 <= self.rate < 1 or not 0 <= self.smoothing < 1:
            raise ValueError(f"rate is {self.rate} and smoothing {self.smoothing}; expected 0 or more and less than 1")
        if self.span < 1:
            raise ValueError(f"span is {self.span}; expected an average of 1 token or more")

    @property
    def share(self) -> float:
        """The share that is hidden."""
        return self.rate or (0.15 if self.kind == "spans" else 0.3)


class Batch(NamedTuple):
    """source (B, S) · source_documents (B, S) · ids (B, T) · documents (B, T) · targets (B, T), -100: nothing.

    Document n of ids belongs to document n of the source. real (B,): places of both that are not empty.
    """

    source: "Tensor"
    source_documents: "Tensor"
    ids: "Tensor"
    documents: "Tensor"
    targets: "Tensor"
    real: "Tensor"


class Damaged(NamedTuple):
    """Texts one behind the other, as they are read and as they are to be written, with the length of each (N,)."""

    source: np.ndarray
    source_lengths: np.ndarray
    target: np.ndarray
    target_lengths: np.ndarray


class Signs(NamedTuple):
    """Ids that stand around and within texts."""

    begin: int | None
    end: int
    start: int
    pad: int
    hiding: np.ndarray
    """The sentinels, or the mask alone."""


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config as it is; SettingsError or DataError where model and data do not fit."""
    _heads.check(config, part, SHAPES, "denoise")
    if config.head.kind != "language":
        raise SettingsError(f"this {config.kind} model has the head {config.head.kind}; expected one that writes")
    Shape(part.context, signs(part.tokenizer, config, settings), settings)
    return config


def signs(tokenizer: Tokenizer, config: "Config | None", settings: Settings) -> Signs:
    """The special ids; DataError where the vocabulary lacks the mask or the sentinels."""
    end, pad, begin = named(tokenizer, "eos"), named(tokenizer, "pad"), named(tokenizer, "bos")
    end = tokenizer.end if end is None else end
    pad = end if pad is None else pad
    usual = pad if settings.kind == "spans" else end
    start = usual if config is None or config.start is None else config.start
    if settings.kind == "infill":
        return Signs(None if begin == end else begin, end, start, pad, np.array([mask_id(tokenizer)]))
    return Signs(None, end, start, pad, sentinels(tokenizer))


def sentinels(tokenizer: Tokenizer) -> np.ndarray:
    """The ids of <extra_id_0>, <extra_id_1> ..., or DataError where there is none."""
    found = []
    while (token := f"<extra_id_{len(found)}>") in tokenizer.special:
        found.append(tokenizer.special[token])
    if not found:
        raise DataError("The vocabulary has no sentinels <extra_id_0>, <extra_id_1> ..., which hide spans; make the "
                        "tokenizer with `upwell tokenizer --kind unigram --sentinels 100`.")  # fmt: skip
    return np.array(found, dtype=np.int64)


class Shape:
    """How many places damaged texts take. most: tokens of the longest text; width: places of a row of targets.

    lengths: of the texts that there are; short ones have more to write than long ones, and so need a wider row.
    """

    def __init__(self, context: int, around: Signs, settings: Settings, lengths: np.ndarray | None = None):
        self.context, self.frame = context, 1 + (around.begin is not None)
        if settings.kind == "infill":
            self.most, self.width = context - self.frame, context
            self.sizes = np.arange(context + 1) + self.frame
            return
        length = np.arange(1, 2 * context + 2)
        hidden, spans = _spans.spans(length, settings.share, settings.span)
        read, written = length - hidden + spans + self.frame, hidden + spans + self.frame
        fitting = (read <= context) & (written <= context)
        self.most = int(fitting.argmin()) if not fitting.all() else len(fitting)
        if self.most < 1:
            raise DataError(f"found a context of {context} tokens, too short for a text; set a longer one.")
        if spans[: self.most].max() > len(around.hiding):
            raise DataError(f"The vocabulary has {len(around.hiding)} sentinels, but a text that fills a context of "
                            f"{context} has {spans[: self.most].max()} spans; make the tokenizer with `upwell "
                            "tokenizer --sentinels 100`, or set a shorter context.")  # fmt: skip
        self.width = int(written[: self.most].max())
        if lengths is not None and len(lengths := lengths[lengths > 0]):
            shorter = np.minimum(lengths, self.most) - 1
            share = written[shorter].sum() / read[shorter].sum()
            self.width = min(context, max(self.width, int(np.ceil(1.02 * share * context))))
        self.sizes = np.append(0, np.maximum(read, -(-written * context // self.width))[: self.most])

    def size(self, length: np.ndarray) -> np.ndarray:
        """Places of a row that a text of this many tokens takes."""
        return self.sizes[length]


def samples(part: Part, rows: int, seed: int, settings: Settings) -> "Denoise":
    """Rows of part.context places for the encoder."""
    return Denoise(part, seed, settings)


class Denoise:
    """Rows of damaged texts; .batch, .samples and .whole give Batches."""

    def __init__(self, part: Part, seed: int, settings: Settings):
        self.store, self.settings, self.seed = part.store, settings, seed
        self.signs = signs(part.tokenizer, part.config, settings)
        self.shape = Shape(part.context, self.signs, settings, np.diff(part.store.starts) - 1)
        self.rows = Rows(part.store, self.shape.most, self.shape.size, part.context, seed)
        ordered = settings.kind == "spans" or not settings.permute
        self.sentences = None if ordered else index(part.store, Spelling(part.tokenizer), WHOLE, part.cache)
        self.samples_per_epoch = self.rows.samples_per_epoch

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,)."""
        numbers = np.asarray(numbers, dtype=np.int64)
        return self._filled(self.rows.order(numbers), numbers, self.seed)

    def whole(self, size: int) -> Iterator[Batch]:
        """Every row once, in order, with damage that is always the same."""
        for first in range(0, self.samples_per_epoch, size):
            rows = np.arange(first, min(first + size, self.samples_per_epoch))
            yield self._filled(rows, rows, MEASURED)

    def _filled(self, rows: np.ndarray, numbers: np.ndarray, seed: int) -> Batch:
        import torch

        texts = self.rows.texts(rows)
        key = _noise.keys(seed, numbers, DAMAGE)[texts.rows] + (texts.numbers.astype(np.uint64) << np.uint64(48))
        ids = texts.ids
        if self.sentences is not None:
            source = permuted(ids, texts.lengths, texts.places, self.sentences, key)
            made = infilled(ids, source, texts.lengths, key, self.signs, self.settings)
        elif self.settings.kind == "infill":
            made = infilled(ids, ids, texts.lengths, key, self.signs, self.settings)
        else:
            made = spanned(ids, texts.lengths, key, self.signs, self.settings)
        return Batch(*map(torch.from_numpy, placed(made, texts.rows, texts.numbers, len(rows), self.shape, self.signs)))


def placed(made: Damaged, rows: np.ndarray, numbers: np.ndarray, count: int, shape: Shape, s: Signs) -> tuple:
    """The tensors of a Batch, as arrays.

    Empty places of the source are a document of their own; those of the targets belong to the last one, so that each
    place sees something of a source.
    """
    at, column = _columns(made.source_lengths, rows)
    source = np.full((count, shape.context), s.pad, dtype=np.int64)
    source_documents = np.full(source.shape, -1, dtype=np.int32)
    source[at, column] = made.source
    source_documents[at, column] = np.repeat(numbers, made.source_lengths)
    at, column = _columns(made.target_lengths, rows)
    ids, targets = np.full((count, shape.width), s.pad, dtype=np.int64), np.full((count, shape.width), IGNORE)
    documents = np.zeros(ids.shape, dtype=np.int32)
    targets[at, column] = made.target
    shifted = np.roll(made.target, 1)
    shifted[np.cumsum(made.target_lengths) - made.target_lengths] = s.start
    ids[at, column] = shifted
    documents[at, column] = np.repeat(numbers, made.target_lengths)
    documents = np.maximum.accumulate(documents, axis=1)
    real = np.bincount(rows, made.source_lengths + made.target_lengths, count).astype(np.int64)
    return source, source_documents, ids, documents, targets.astype(np.int64), real


def _columns(lengths: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each token of texts that stand side by side."""
    return np.repeat(rows, lengths), np.repeat(offsets(lengths, rows), lengths) + ranges(lengths)


def spanned(ids: np.ndarray, lengths: np.ndarray, key: np.ndarray, s: Signs, settings: Settings) -> Damaged:
    """T5's: each text begins with what is left and ends with what is hidden."""
    hidden, count = _spans.spans(lengths, settings.share, settings.span)
    covered = _spans.parts(key, hidden, count, _spans.NOISE)
    left = _spans.parts(key, lengths - hidden, count, _spans.PLAIN)
    noise = np.repeat(np.tile([False, True], len(left)), np.stack([left, covered], axis=1).ravel())
    number, last = ranges(count), np.zeros(len(left), dtype=np.int64)
    last[np.cumsum(count) - 1] = 1
    signs_of = s.hiding[number]
    source, special = np.empty(int((left + 1 + last).sum()), dtype=np.int64), np.cumsum(left + 1 + last) - 1
    free = np.ones(len(source), dtype=bool)
    source[special] = s.end  # behind the last sentinel of a text
    source[special - last] = signs_of
    free[special], free[special - last] = False, False
    source[free] = ids[~noise]
    sizes = covered + 1 + last
    target, begins = np.full(int(sizes.sum()), s.end, dtype=np.int64), np.cumsum(sizes) - sizes
    free = np.ones(len(target), dtype=bool)
    target[begins] = signs_of
    free[begins] = False
    free[(begins + sizes - 1)[last == 1]] = False
    target[free] = ids[noise]
    return Damaged(source, lengths - hidden + count + 1, target, hidden + count + 1)


def infilled(ids: np.ndarray, source: np.ndarray, lengths: np.ndarray, key: np.ndarray, s: Signs,
             settings: Settings) -> Damaged:  # fmt: skip
    """BART's. ids: the texts; source: the same with their sentences in another order."""
    wanted = np.round(lengths * settings.share).astype(np.int64)
    span, counted = _spans.poisson(key, wanted, settings.span)
    hidden = (span * counted).sum(axis=1)
    slots = lengths - hidden + 1
    counted &= np.cumsum(counted, axis=1) <= slots[:, None]
    hidden = (span * counted).sum(axis=1)
    slots, count = lengths - hidden + 1, counted.sum(axis=1)
    chosen = _spans.chosen(key, slots, count, _spans.SLOTS)  # masks stand before these of what is left, or at its end
    gap = np.zeros(len(chosen), dtype=np.int64)
    gap[chosen] = span[counted]
    ending = np.zeros(len(chosen), dtype=bool)
    ending[np.cumsum(slots) - 1] = True
    runs = np.stack([gap, (~ending).astype(np.int64)], axis=1).ravel()
    left = source[np.repeat(np.tile([False, True], len(gap)), runs)]
    runs = np.stack([chosen.astype(np.int64), (~ending).astype(np.int64)], axis=1).ravel()
    kept = np.repeat(np.tile([False, True], len(gap)), runs)
    damaged = np.full(len(kept), s.hiding[0], dtype=np.int64)
    damaged[kept] = left
    return Damaged(*_enclosed(damaged, lengths - hidden + count, s), *_enclosed(ids, lengths, s))


def _enclosed(ids: np.ndarray, lengths: np.ndarray, s: Signs) -> tuple[np.ndarray, np.ndarray]:
    """Texts with the begin sign before them, where there is one, and the end sign behind."""
    before = int(s.begin is not None)
    sizes = lengths + 1 + before
    made, ends = np.full(int(sizes.sum()), s.end, dtype=np.int64), np.cumsum(sizes)
    free = np.ones(len(made), dtype=bool)
    free[ends - 1] = False
    if before:
        made[ends - sizes], free[ends - sizes] = s.begin, False
    made[free] = ids
    return made, sizes


def permuted(ids: np.ndarray, lengths: np.ndarray, places: np.ndarray, sentences: np.ndarray,
             key: np.ndarray) -> np.ndarray:  # fmt: skip
    """Texts (one behind the other; places (N,) in the store) with their sentences in a random order."""
    first, last = np.searchsorted(sentences, places, side="right"), np.searchsorted(sentences, places + lengths)
    counts = last - first
    begins = np.zeros(len(ids), dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    inside = sentences[np.repeat(first, counts) + ranges(counts)] - np.repeat(places - starts, counts)
    begins[inside] = begins[starts] = 1
    even = _spans.drawn(key, counts + 1, 5)
    text = np.repeat(np.arange(len(lengths)), lengths)
    return ids[np.argsort(text + even[np.cumsum(begins) - 1], kind="stable")]


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many tokens the decoder is asked for."""
    return (int((batch.targets != IGNORE).sum()),)


def tokens(batch: Batch) -> int:
    """Tokens that the encoder and the decoder read."""
    return int(batch.real.sum())


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the targets, (1,)."""
    from . import _entropy  # torch is needed only here

    hidden = model.hidden(batch.ids, documents=batch.documents, source=batch.source,
                          source_documents=batch.source_documents)  # fmt: skip
    return _entropy.of_words(model, hidden, batch.targets, settings.smoothing)[None]


def scored(model, batch: Batch, part: Part, settings: Settings) -> dict[str, tuple["Tensor", "Tensor"]]:
    """accuracy: of the tokens that the decoder is to write, signs apart, each behind the right ones before it.

    exact match: of spans with the sign that ends each, or for infill of whole texts. A text is right here just where
    the model, writing its likeliest token each time, writes it.
    """
    import torch

    from . import _entropy

    hidden = model.hidden(batch.ids, documents=batch.documents, source=batch.source,
                          source_documents=batch.source_documents)  # fmt: skip
    asked, around = batch.targets != IGNORE, signs(part.tokenizer, part.config, settings)
    right = asked.clone()
    right[asked] = _entropy.likeliest(model, hidden[asked]) == batch.targets[asked]
    hiding = torch.isin(batch.targets, torch.as_tensor(around.hiding, device=asked.device))
    ends = [id for id in (around.begin, around.end) if id is not None]
    words = asked & ~hiding & ~torch.isin(batch.targets, torch.tensor(ends, device=asked.device))
    number, counted = batch.documents.long(), asked
    if settings.kind == "spans":
        number = hiding.cumsum(1) - hiding.long()  # signs before a place: a span ends with the sign behind it
        counted = asked & (batch.documents == batch.documents.roll(1, 1))
        counted[:, 0] = False  # the sign that begins a text belongs to no span
    return {"accuracy": ((right & words).sum(1), words.sum(1)), "exact match": whole_ones(right, counted, number)}


def whole_ones(right: "Tensor", counted: "Tensor", number: "Tensor") -> tuple["Tensor", "Tensor"]:
    """(groups whose places are all right, groups) of each row; number (B, T): the group of a place, if it counts."""
    shape = len(number), int(number.max()) + 1
    there = counted.new_zeros(shape, dtype=number.dtype).scatter_add_(1, number, counted.to(number.dtype))
    wrong = counted.new_zeros(shape, dtype=number.dtype).scatter_add_(1, number, (counted & ~right).to(number.dtype))
    return ((there > 0) & (wrong == 0)).sum(1), (there > 0).sum(1)


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each document damaged, as the encoder reads it, and what the decoder is to write."""
    around = signs(tokenizer, None, settings)
    for document in documents:
        ids = tokenizer.encode(document.text)
        if not ids:
            continue
        most = len(ids) + len(around.hiding) + 3
        held = Held([ids], tokenizer.end)
        batch = next(Denoise(Part(held, tokenizer=tokenizer, context=most), 0, settings).whole(1))
        read = batch.source[0][batch.source_documents[0] >= 0].tolist()
        written = batch.targets[0][batch.targets[0] != IGNORE].tolist()
        yield Example(read, [False] * len(read), document.source, "read")
        yield Example(written, [True] * len(written), document.source, "written")
