"""Fill in the middle: a document's middle is moved behind its end, with signs that say what is what.

    <prefix> before <suffix> after <middle> middle          prefix first
    <prefix> <suffix> after <middle> before middle          suffix first

The two borders may lie anywhere between two characters, as where somebody writes; the words that they cut are encoded
anew. A document is changed inside of its own borders, after it was cut to its row. Source: Bavarian et al. 2022, arXiv
2207.14255.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from upwell.errors import DataError
from upwell.tokens.batches import IGNORE, Batch, Packed
from upwell.tokens.markers import MIDDLE
from upwell.tokens.tokenizer import Tokenizer

from . import Part, _noise
from ._sentences import kept
from ._spelling import Spelling

if TYPE_CHECKING:
    from upwell.tokens.packing import BestFit

NAMES = (
    MIDDLE,
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<PRE>", "<SUF>", "<MID>"),
    ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
)
CHANCES = 4
STREAM = 48
FRAGMENTS = 1 << 16
LEAST = 8  # tokens of a text that is long enough for a gap


def signs(tokenizer: Tokenizer) -> tuple[int, int, int]:
    """The ids of the signs of prefix, suffix and middle, or DataError."""
    for names in NAMES:
        if all(name in tokenizer.special for name in names):
            return tuple(tokenizer.special[name] for name in names)
    raise DataError(f"The vocabulary has no signs for a gap ({', '.join(NAMES[0])}); make the tokenizer with "
                    "`upwell tokenizer --middle`.")  # fmt: skip


class Moving:
    """Moves the middle of texts behind their ends."""

    def __init__(self, tokenizer: Tokenizer, settings: Any):
        self.tokenizer, self.settings, self.signs = tokenizer, settings, signs(tokenizer)
        self.spelling = Spelling(tokenizer)
        self.encoded = lru_cache(FRAGMENTS)(self.encoded)  # parts of words come again and again
        parts = ("ab", " ab", "\n", "你")
        self.exact = all(self.spelling.text(np.array(tokenizer.encode(part)))[0] == part.encode() for part in parts)

    def document(self, ids: list[int], number: int) -> list[int]:
        """A whole text, by the chance of its number."""
        chance = _noise.numbers(0, np.array([number]), CHANCES, STREAM)[0]
        return self.moved(np.array(ids, dtype=np.int64), chance).tolist()

    def moved(self, ids: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """ids (N,) with four numbers of [0, 1): whether, in which order, and where the borders lie."""
        if chance[0] >= self.settings.middle or len(ids) < LEAST:
            return ids
        text, borders = self.spelling.text(ids)
        words = np.append(np.flatnonzero(~self.spelling.joins(ids)), len(ids))
        first, last = sorted(self.border(text, borders[words], float(share)) for share in chance[2:])
        try:
            before, middle, after = (self.part(ids, text, borders, words, *ends)
                                     for ends in ((0, first), (first, last), (last, len(text))))  # fmt: skip
        except UnicodeDecodeError:  # a row that begins within a character
            return ids
        prefix, suffix, gap = ([sign] for sign in self.signs)
        if chance[1] < self.settings.suffix_first:
            return np.concatenate([prefix, suffix, after, gap, before, middle])
        return np.concatenate([prefix, before, suffix, after, gap, middle])

    def border(self, text: bytes, words: np.ndarray, share: float) -> int:
        """A place in UTF-8 text between two characters; between words where the tokenizer writes parts otherwise."""
        place = int(share * (len(text) + 1))
        if not self.exact:
            return int(words[np.searchsorted(words, place)])
        while place < len(text) and 0x80 <= text[place] < 0xC0:
            place += 1
        return place

    def part(self, ids: np.ndarray, text: bytes, borders: np.ndarray, words: np.ndarray, begin: int,
             end: int) -> np.ndarray:  # fmt: skip
        """The ids of text[begin:end]; the words that are cut are encoded anew. words: the tokens that begin one."""
        low, high = np.searchsorted(borders[words], begin), np.searchsorted(borders[words], end, side="right") - 1
        if low > high:
            return self.encoded(text[begin:end])
        first, last = words[low], words[high]
        head, tail = text[begin : borders[first]], text[borders[last] : end]
        return np.concatenate([self.encoded(head), ids[first:last], self.encoded(tail)])

    def encoded(self, part: bytes) -> np.ndarray:
        """The ids of a part of a text, alone."""
        return np.array(self.tokenizer.encode(part.decode()) if part else [], dtype=np.int64)


class Middle:
    """The samples of another sampler with some texts changed."""

    def __init__(self, part: Part, packed: "Packed | BestFit", seed: int, settings: Any):
        self.store, self.packed, self.seed, self.context = part.store, packed, seed, part.context
        self.moving = Moving(part.tokenizer, settings)
        self.able = code(part) if settings.middle_of == "code" else None

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        import torch

        numbers = np.asarray(numbers, dtype=np.int64)
        keys = _noise.keys(self.seed, numbers, STREAM)
        rows = [self.row(list(pieces), key) for pieces, key in zip(self.pieces(numbers), keys, strict=True)]
        ids, targets, documents = map(np.stack, zip(*rows, strict=True))
        return Batch(*map(torch.from_numpy, (ids, targets, documents)))

    def pieces(self, numbers: np.ndarray) -> Iterator[list[tuple[int, int]]]:
        """(first token, how many) of each text of each row, the end token that begins it among them."""
        if not isinstance(self.packed, Packed):
            yield from (self.packed.documents(row) for row in self.packed.rows(numbers).tolist())
            return
        for start in self.packed.places(numbers).tolist():
            stop, borders = start + self.context, self.store.starts
            inside = borders[np.searchsorted(borders, start, "right") : np.searchsorted(borders, stop)].tolist()
            begins = [start, *inside]
            yield [(begin, end - begin) for begin, end in zip(begins, [*inside, stop], strict=True)]

    def row(self, pieces: list[tuple[int, int]], key: np.uint64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids, targets and documents (T,) of texts side by side; what has no room any more is left out."""
        ids = np.full(self.context, self.store.end, dtype=np.int64)
        targets, documents = np.full(self.context, IGNORE, dtype=np.int64), np.zeros(self.context, dtype=np.int32)
        chances, at = _noise.at(key, np.arange(len(pieces) * CHANCES)).reshape(-1, CHANCES), 0
        for number, (start, length) in enumerate(pieces):
            held = self.changed(start, length, chances[number])
            following = int(self.store.read(start + length, start + length + 1)[0]) if start + length < len(
                self.store) else self.store.end  # fmt: skip
            count = min(len(held), self.context - at)
            ids[at : at + count] = held[:count]
            targets[at : at + count] = np.append(held[1:], following)[:count]
            documents[at : at + count] = number
            at += count
        documents[at:] = len(pieces)
        return ids, targets, documents

    def changed(self, start: int, length: int, chance: np.ndarray) -> np.ndarray:
        """A text of the store, with its middle behind its end by chance."""
        ids = self.store.read(start, start + length).astype(np.int64)
        document = int(np.searchsorted(self.store.starts, start, side="right")) - 1
        if self.able is not None and not self.able[document]:
            return ids
        lead = int(self.store.starts[document] == start)
        return np.concatenate([ids[:lead], self.moving.moved(ids[lead:], chance)])


def code(part: Part) -> np.ndarray:
    """Which documents of the store are code, bool. DataError where none is, or where they cannot be told."""
    if part.documents is None:
        raise DataError("The documents of this store are not at hand, so code cannot be told from prose; name a "
                        "prepared folder, or say --learn.middle-of all.")  # fmt: skip
    documents = part.documents

    def found() -> np.ndarray:
        return np.array([document.kind == "code" for document in documents()], dtype=bool)

    made = kept(part.cache, f"code {part.store.sha256}", found)
    if len(made) != part.store.documents or not made.any():
        raise DataError(f"{part.store.folder} has {part.store.documents:,} documents, of which {int(made.sum()):,} are "
                        "code; expected some; say --learn.middle-of all.")  # fmt: skip
    return made
