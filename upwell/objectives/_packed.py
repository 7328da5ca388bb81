"""Whole texts of a store, each in a frame ([CLS] x [SEP]), packed into rows of one width.

The longest first into the row with the least room that still holds it (see tokens/packing); a text that is longer than
a row is cut. Which texts share a row depends on the store alone; each epoch has an order of its own. It knows no model.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.tokens.batches import Ahead, keys, permuted
from upwell.tokens.packing import LOOK, best_fit
from upwell.tokens.store import Store


class Texts(NamedTuple):
    """Texts of a few rows one behind the other.

    ids (N,): of all together, without frames · lengths (P,) · rows (P,): the row that each stands in · numbers (P,):
    which text of its row it is · places (P,): where it begins in the store
    """

    ids: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    numbers: np.ndarray
    places: np.ndarray


class Rows:
    """Which texts stand in which row. most: tokens of a text without its frame; size: their number -> places in a row.

    .samples_per_epoch rows, which hold every text once
    """

    def __init__(self, store: Store, most: int, size: Callable[[np.ndarray], np.ndarray], room: int, seed: int):
        if most < 1:
            raise DataError(f"found a context of {room} tokens, too short for a text and its frame; set a longer one.")
        self.store, self.seed = store, seed
        self.begins, self.lengths, self.first = _rows(store, most, size, room)
        self.samples_per_epoch = len(self.first) - 1
        self.order = Ahead(self._order)

    def _order(self, numbers: np.ndarray) -> np.ndarray:
        epoch, inside = np.divmod(numbers, self.samples_per_epoch)
        return permuted(inside, self.samples_per_epoch, keys(epoch, self.seed))

    def texts(self, rows: np.ndarray) -> Texts:
        """The texts of these rows (B,)."""
        counts = self.first[rows + 1] - self.first[rows]
        numbers = ranges(counts)
        chosen = numbers + np.repeat(self.first[rows], counts)
        begins, lengths = self.begins[chosen], self.lengths[chosen]
        ids = gathered(self.store, begins, lengths)
        return Texts(ids, lengths.astype(np.int64), np.repeat(np.arange(len(rows)), counts), numbers, begins)


def gathered(store: Store, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Parts of a store one behind the other, int64."""
    ends = (begins + lengths).tolist()
    parts = [store.read(begin, end) for begin, end in zip(begins.tolist(), ends, strict=True)]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


def ranges(counts: np.ndarray) -> np.ndarray:
    """0 .. count-1 for each count, one behind the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def offsets(sizes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where each text begins in its row: the sizes of those before it, for texts in the order of their rows."""
    before = np.cumsum(sizes) - sizes
    begins = np.concatenate([[True], rows[1:] != rows[:-1]]) if len(rows) else np.empty(0, dtype=bool)
    return before - np.repeat(before[begins], np.diff(np.append(np.flatnonzero(begins), len(rows))))


def _rows(store: Store, most: int, size, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts row by row (where each begins, its tokens), and the number of the first text of each row."""
    parts, count = [], 0
    for first in range(0, store.documents, LOOK):
        starts = np.asarray(store.starts[first : first + LOOK + 1], dtype=np.int64)
        begins, lengths = _pieces(starts, most)
        if not len(lengths):
            continue
        rows = best_fit(size(lengths), room)
        order = np.lexsort((begins, rows))
        parts.append((begins[order], lengths[order].astype(np.int32), rows[order] + count))
        count += int(rows.max()) + 1
    if not parts:
        raise DataError(f"{store.folder} holds only empty documents; add text.")
    begins, lengths, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    return begins, lengths, np.searchsorted(rows, np.arange(count + 1))


def _pieces(starts: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Each document without the end token that begins it, in pieces of at most `most`; empty ones left out."""
    lengths = np.diff(starts) - 1
    pieces = -(-lengths // most)
    inside = ranges(pieces) * most
    return np.repeat(starts[:-1] + 1, pieces) + inside, np.minimum(most, np.repeat(lengths, pieces) - inside)


class Held:
    """A few texts in memory, read as a Store is."""

    def __init__(self, texts: list[list[int]], end: int):
        self.folder, self.end, self.documents, self.sha256 = "memory", end, len(texts), ""
        self.starts = np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts])]).astype(np.int64)
        self.ids = np.array([id for text in texts for id in (end, *text)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens start .. stop-1."""
        return self.ids[start:stop]
