"""Masked words and next sentence together, as BERT was trained: does the second part of a pair follow the first?

A pair is [CLS] A [SEP] B [SEP] of whole sentences of one document, or in half of the pairs with a B from another one,
as long as the context; one in ten aims at a shorter, random length. Where a document ends within a row the next one
goes on behind it as a pair of its own, which sees itself only, so that rows are full. Source: Devlin et al. 2019, arXiv
1810.04805.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError, SettingsError
from upwell.text import Document
from upwell.tokens.batches import IGNORE, Ahead, keys, mix, permuted

from . import Example, Part, _heads, _noise, masked
from ._masking import Masker
from ._packed import Held, gathered, offsets, ranges
from ._sentences import index
from ._spelling import Spelling, frame, mask_id

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder",)
TERMS = ("masked", "next")
LEAST = 16      # places that a pair behind another one must have at least
CHANCES = 8     # random numbers for a pair
PAIRS = 16      # stream of random numbers, beside those of _masking
SHOWN = 256     # documents that examples are taken from


@dataclass(frozen=True)
class Settings(masked.Settings):
    """Masks, and how sentences are paired."""

    other: float = 0.5
    """Share of pairs whose second part is from another document; those of one sentence come on top."""
    short: float = 0.1
    """Share of pairs that aim at a random length below what has room."""
    weight: float = 1.0
    """What the loss of the next sentence is multiplied by."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("other", "short"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share between 0 and 1")


class Batch(NamedTuple):
    """As masked.Batch, and for each pair of a row its [CLS] and the answer.

    types (B, T) int64: 1 in the second part of a pair · firsts (B, P) int64: where pairs begin · answers (B, P) int64:
    0 the second part follows, 1 it is from another document, -100 no pair
    """

    ids: "Tensor"
    documents: "Tensor"
    types: "Tensor"
    places: "Tensor"
    targets: "Tensor"
    firsts: "Tensor"
    answers: "Tensor"
    real: "Tensor"


class Pairs(NamedTuple):
    """Pairs of some rows, in the order of their rows. All (N,) int64.

    row · begin_a, a, begin_b, b: the first token in the store and the length of both parts · answer: 1 from another
    document
    """

    row: np.ndarray
    begin_a: np.ndarray
    a: np.ndarray
    begin_b: np.ndarray
    b: np.ndarray
    answer: np.ndarray


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with BERT's two heads; SettingsError or DataError where model and data do not fit."""
    _heads.check(config, part, SHAPES, "masked_next")
    mask_id(part.tokenizer)
    _framed(part)
    if config.token_types < 2:
        raise SettingsError(f"this {config.kind} model does not tell a first sentence from a second; expected two "
                            "token types, as BERT has; or choose --objective masked")  # fmt: skip
    return config if config.head.kind == "pretrain" else _heads.of_class(config, "ForPreTraining")


def _framed(part: Part) -> tuple[int, int]:
    """The ids of [CLS] and [SEP], or DataError."""
    before, behind = frame(part.tokenizer)
    if not behind:
        raise DataError("Pairs of sentences are written [CLS] A [SEP] B [SEP], and the vocabulary has no such tokens; "
                        "make the tokenizer with `upwell tokenizer --kind wordpiece`.")  # fmt: skip
    return before[0], behind[0]


def samples(part: Part, rows: int, seed: int, settings: Settings) -> "MaskedNext":
    """Rows of part.context tokens."""
    return MaskedNext(part, seed, settings)


class MaskedNext:
    """Rows of pairs with masks; .batch, .samples and .whole give Batches.

    An epoch has as many rows as the store fills. Each row begins at a sentence of its own, other ones in each epoch.
    """

    def __init__(self, part: Part, seed: int, settings: Settings):
        self.store, self.context, self.settings, self.seed = part.store, part.context, settings, seed
        self.spelling = Spelling(part.tokenizer)
        self.cls, self.sep = _framed(part)
        self.pad = masked.padding(part.tokenizer)
        if self.context < LEAST:
            raise DataError(f"found a context of {self.context} tokens, expected {LEAST} or more for pairs.")
        self.sentences = index(part.store, self.spelling, max(LEAST, self.context // 4), part.cache)
        self._documents()
        self.most = max(1, self.context // LEAST)
        self.masker = Masker(self.spelling, settings, self.context - 3, seed)
        self.measured = Masker(self.spelling, settings, self.context - 3, masked.MEASURED)
        self.words = masked.chinese_words(part, self.spelling) if settings.chinese else None
        self.samples_per_epoch = -(-len(part.store) // self.context)
        self.cursors = Ahead(self._cursors)

    def _documents(self) -> None:
        """The first sentence of each document that has one, and the token behind its last."""
        first = np.searchsorted(self.sentences, self.store.starts)
        full = np.flatnonzero(np.diff(first))
        if len(full) < 2 and self.settings.other > 0:
            raise DataError(f"{self.store.folder} holds {len(full)} document; expected two or more, since the second "
                            "part of a pair is often from another one.")  # fmt: skip
        self.first, self.ends = np.append(first[full], len(self.sentences)), np.asarray(self.store.starts)[full + 1]

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,)."""
        numbers = np.asarray(numbers, dtype=np.int64)
        pairs, _ = self.paired(self.cursors(numbers), numbers, self.seed)
        return self._filled(pairs, numbers, self.masker)

    def whole(self, size: int) -> Iterator[Batch]:
        """Every sentence once, in order, with pairs and masks that are always the same."""
        cursor, number = np.zeros(1, dtype=np.int64), 0
        while cursor[0] < len(self.sentences):
            parts = []
            while len(parts) < size and cursor[0] < len(self.sentences):
                pairs, cursor = self.paired(cursor, np.array([number]), masked.MEASURED, through=False)
                parts.append(pairs._replace(row=pairs.row + len(parts)))
                number += 1
            together = Pairs(*map(np.concatenate, zip(*parts, strict=True)))
            yield self._filled(together, np.arange(number - len(parts), number), self.measured)

    def _cursors(self, numbers: np.ndarray) -> np.ndarray:
        """The sentence with which each sample begins."""
        epoch, inside = np.divmod(numbers, self.samples_per_epoch)
        key = keys(epoch, self.seed)
        phase = (mix(key) % np.uint64(self.context)).astype(np.int64)
        token = permuted(inside, self.samples_per_epoch, key) * self.context + phase
        return np.searchsorted(self.sentences, token % len(self.store)) % len(self.sentences)

    def paired(self, cursor: np.ndarray, numbers: np.ndarray, seed: int, through: bool = True):
        """Pairs that fill rows from the sentences `cursor` (B,) on, and the sentences behind them (B,).

        through: what comes to the store's end goes on at its beginning.
        """
        chances = _noise.numbers(seed, numbers, self.most * CHANCES, PAIRS).reshape(len(numbers), self.most, CHANCES)
        cursor, room = cursor.copy(), np.full(len(numbers), self.context)
        active, parts = np.arange(len(numbers)), []
        for turn in range(self.most):
            if through:
                cursor %= len(self.sentences)
            active = active[(room[active] >= LEAST) & (cursor[active] < len(self.sentences))]
            if not len(active):
                break
            pairs, cursor[active] = self.pair(cursor[active], room[active] - 3, chances[active, turn])
            room[active] -= pairs.a + pairs.b + 3
            parts.append(pairs._replace(row=active))
        together = Pairs(*map(np.concatenate, zip(*parts, strict=True)))
        order = np.argsort(together.row, kind="stable")
        return Pairs(*(column[order] for column in together)), cursor

    def pair(self, s: np.ndarray, room: np.ndarray, chance: np.ndarray) -> tuple[Pairs, np.ndarray]:
        """A pair of at most `room` (N,) tokens that begins at each sentence (N,), and the sentence to go on with."""
        short, length, split, follows, document, place, cut_a, cut_b = chance.T
        aim = np.where(short < self.settings.short, 2 + (length * (room - 1)).astype(np.int64), room)
        own = np.searchsorted(self.first, s, side="right") - 1
        begin, stop = self.sentences[s], self.first[own + 1]
        end = np.minimum(np.maximum(np.searchsorted(self.sentences, begin + aim), s + 2), stop)
        middle = s + 1 + (split * np.maximum(end - s - 1, 0)).astype(np.int64)
        a = self.token(middle, own) - begin
        from_other = (follows < self.settings.other) | (end - s < 2)
        if len(self.ends) < 2:
            from_other[:] = False
        else:
            other = (document * (len(self.ends) - 1)).astype(np.int64)
            other += other >= own
        other = np.where(from_other, other, own) if len(self.ends) > 1 else own
        count = self.first[other + 1] - self.first[other]
        at = np.where(from_other, self.first[other] + (place * count).astype(np.int64), middle)
        begin_b = self.token(at, other)
        last = np.searchsorted(self.sentences, begin_b + np.maximum(aim - a, 1))
        last = np.where(from_other, np.minimum(last, self.first[other + 1]), end)
        b = self.token(last, other) - begin_b
        fit_a = np.minimum(a, np.maximum(room - b, room - room // 2))
        fit_b = np.minimum(b, room - fit_a)
        begin = begin + (cut_a * (a - fit_a + 1)).astype(np.int64)
        begin_b = begin_b + (cut_b * (b - fit_b + 1)).astype(np.int64)
        pairs = Pairs(np.arange(len(s)), begin, fit_a, begin_b, fit_b, from_other.astype(np.int64))
        return pairs, np.where(from_other, middle, end)

    def token(self, sentence: np.ndarray, document: np.ndarray) -> np.ndarray:
        """Where sentences of these documents begin; the one behind the last: where the document ends."""
        inside = np.minimum(sentence, len(self.sentences) - 1)
        return np.where(sentence < self.first[document + 1], self.sentences[inside], self.ends[document])

    def _filled(self, pairs: Pairs, numbers: np.ndarray, masker: Masker) -> Batch:
        import torch

        B, T = len(numbers), self.context
        sizes = pairs.a + pairs.b + 3
        at = offsets(sizes, pairs.row)
        ids, types = np.full((B, T), self.pad, dtype=np.int64), np.zeros((B, T), dtype=np.int64)
        row, inside = np.repeat(pairs.row, sizes), ranges(sizes)
        second = inside > np.repeat(pairs.a + 1, sizes)
        column = np.repeat(at, sizes) + inside
        special = (inside == 0) | (inside == np.repeat(pairs.a + 1, sizes)) | (inside == np.repeat(sizes - 1, sizes))
        lengths = np.stack([pairs.a, pairs.b], axis=1).ravel()
        begins = np.stack([pairs.begin_a, pairs.begin_b], axis=1).ravel()
        ids[row, column] = np.where(inside == 0, self.cls, self.sep)
        able, text = np.zeros((B, T), dtype=bool), (row[~special], column[~special])
        ids[text] = gathered(self.store, begins, lengths)
        types[row, column] = second
        able[text] = ~self.spelling.special[ids[text]]
        joins = self.spelling.joins(ids)
        if self.words is not None:
            joins[text] |= self.words[np.repeat(begins, lengths) + ranges(lengths)]
        documents, firsts, answers, real = self._places(pairs, at, sizes, B)
        ids, places, targets = masker.masked(ids, able, joins, numbers)
        return Batch(*map(torch.from_numpy, (ids, documents, types, places, targets, firsts, answers, real)))

    def _places(self, pairs: Pairs, at: np.ndarray, sizes: np.ndarray, B: int) -> tuple[np.ndarray, ...]:
        """documents (B, T), firsts (B, P), answers (B, P) and real (B,)."""
        begins = np.zeros((B, self.context + 1), dtype=np.int32)
        begins[pairs.row, at] += 1
        begins[pairs.row, at + sizes] = 1
        begins[:, 0] = 0
        number = ranges(np.bincount(pairs.row, minlength=B))
        firsts = np.zeros((B, self.most), dtype=np.int64)
        answers = np.full((B, self.most), IGNORE, dtype=np.int64)
        firsts[pairs.row, number], answers[pairs.row, number] = at, pairs.answer
        real = np.bincount(pairs.row, sizes, B).astype(np.int64)
        return np.cumsum(begins[:, :-1], axis=1, dtype=np.int32), firsts, answers, real


def counts(batch: Batch, settings: Settings) -> tuple[int, int]:
    """How many masked tokens and how many pairs a batch asks for."""
    return int((batch.targets != IGNORE).sum()), int((batch.answers != IGNORE).sum())


def tokens(batch: Batch) -> int:
    """Tokens of pairs, [CLS] and [SEP] among them."""
    return int(batch.real.sum())


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the masked tokens and over the pairs, (2,)."""
    import torch
    from torch.nn import functional as F

    hidden = model.hidden(batch.ids, documents=batch.documents, types=batch.types)
    words = masked.of_places(model, hidden, batch.places, batch.targets)
    found = followed(model, hidden, batch.firsts).to(words.dtype)
    pairs = F.cross_entropy(found.flatten(0, 1), batch.answers.flatten(), ignore_index=IGNORE, reduction="sum")
    return torch.stack([words, settings.weight * pairs])


def followed(model, hidden: "Tensor", firsts: "Tensor") -> "Tensor":
    """Logits (B, P, 2) that the second part of the pairs that begin at `firsts` (B, P) follows, and that not."""
    vectors = hidden.gather(1, firsts[..., None].expand(-1, -1, hidden.shape[-1])).flatten(0, 1)
    return model.next_sentence(vectors[:, None], None).unflatten(0, firsts.shape)


def scored(model, batch: Batch, part: Part, settings: Settings) -> dict[str, tuple["Tensor", "Tensor"]]:
    """How many masked tokens and how many pairs of each row are told right, and of how many."""
    hidden = model.hidden(batch.ids, documents=batch.documents, types=batch.types)
    right = followed(model, hidden, batch.firsts).argmax(-1) == batch.answers
    return {"accuracy": masked.named_right(model, hidden, batch.places, batch.targets),
            "next accuracy": (right.sum(1), (batch.answers != IGNORE).sum(1))}  # fmt: skip


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Pairs of sentences of the first documents with their masks, learnt at the masked places."""
    some = list(islice(documents, SHOWN))
    if not some:
        return
    held = Held([tokenizer.encode(document.text) for document in some], tokenizer.end)
    sampler = samples(Part(held, tokenizer=tokenizer, context=128), 1, 0, settings)
    for batch in sampler.whole(1):
        ids, asked = batch.ids[0], np.zeros(batch.ids.shape[1], dtype=bool)
        asked[batch.places[batch.targets != IGNORE].numpy()] = True
        for number, answer in enumerate(batch.answers[batch.answers != IGNORE].tolist()):
            own = (batch.documents[0] == number).numpy()
            said = "the second part is from another document" if answer else "the second part follows"
            yield Example(ids[own].tolist(), asked[own].tolist(), part=said)
