"""Whole documents packed into rows of `context` tokens, for learning: no document is cut that fits into a row.

`BestFit` places each document into the row with the least room that still holds it, the longest first, among the next
`look` documents of the store (best-fit decreasing: Johnson et al. 1974; for language models Ding et al. 2024, arXiv
2404.10830). Which documents share a row depends on the store and the context alone; each epoch visits all rows in an
order of its own, so sample i is a pure function of (seed, i). A longer document is cut into rows of `context` and a
rest, which is packed as a document. Knows no model; `Batch.documents` says which tokens belong together.
"""

import numpy as np

from upwell.errors import DataError
from upwell.tokens.batches import IGNORE, Ahead, Batch, keys, permuted
from upwell.tokens.store import Store

LOOK = 4096


class BestFit:
    """Packed rows without end; .batch(first, size) and .samples(numbers) give them as a Batch.

    .samples_per_epoch  rows that hold every document once
    .padding            share of the rows' places that stay empty
    .cut                documents that are longer than the context and so were cut

    Each token of a document is input once an epoch and each of its ids a target once, with the end-of-text token behind
    its last one. Empty places hold the end-of-text token, target -100, and are a document of their own.
    """

    def __init__(self, store: Store, context: int, seed: int, look: int = LOOK):
        if context < 1 or look < 1:
            raise DataError(f"found a context of {context} and a look-ahead of {look} documents, expected 1 or more.")
        self.store, self.context, self.seed = store, context, seed
        self._starts, self._lengths, self._first = _rows(store.starts, context, look)
        self.samples_per_epoch = len(self._first) - 1
        self.padding = 1 - len(store) / (self.samples_per_epoch * context)
        self.cut = int((np.diff(store.starts) > context).sum())
        self._order = Ahead(self._rows_of)

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1 as a Batch with B = size, T = context."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        return self._gather(self._order(numbers))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Which row the samples of these numbers (B,) are: (B,) int64."""
        return self._order(numbers)

    def _rows_of(self, numbers: np.ndarray) -> np.ndarray:
        epoch, inside = np.divmod(numbers, self.samples_per_epoch)
        return permuted(inside, self.samples_per_epoch, keys(epoch, self.seed))

    def documents(self, row: int) -> list[tuple[int, int]]:
        """(first token, number of tokens) in the store of each piece in a row, in order."""
        pieces = slice(self._first[row], self._first[row + 1])
        return list(zip(self._starts[pieces].tolist(), self._lengths[pieces].tolist(), strict=True))

    def _gather(self, rows: np.ndarray) -> Batch:
        import torch

        shape, last = (len(rows), self.context), len(self.store)
        ids, targets = np.full(shape, self.store.end, dtype=np.int64), np.full(shape, IGNORE, dtype=np.int64)
        documents = np.zeros(shape, dtype=np.int32)
        for row, number in enumerate(rows.tolist()):
            at = 0
            for piece, (start, length) in enumerate(self.documents(number)):
                tokens = self.store.read(start, min(start + length + 1, last))
                ids[row, at : at + length] = tokens[:length]
                targets[row, at : at + length - 1] = tokens[1:length]
                targets[row, at + length - 1] = tokens[length] if start + length < last else self.store.end
                documents[row, at : at + length] = piece
                at += length
            documents[row, at:] = piece + 1
        return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(documents))


def _rows(starts: np.ndarray, context: int, look: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pieces row by row (where each begins, its tokens), and the number of the first piece of each row."""
    parts, count = [], 0
    for first in range(0, len(starts) - 1, look):
        borders = np.asarray(starts[first : first + look + 1], dtype=np.int64)
        begins, lengths = _pieces(borders, context)
        rows = best_fit(lengths, context)
        order = np.lexsort((begins, rows))
        parts.append((begins[order], lengths[order].astype(np.int32), rows[order] + count))
        count += int(rows.max()) + 1
    begins, lengths, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    return begins, lengths, np.searchsorted(rows, np.arange(count + 1))


def _pieces(borders: np.ndarray, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Each document whole, or where it is longer than the context, in pieces of it and a rest."""
    lengths = np.diff(borders)
    pieces = -(-lengths // context)
    begins = np.repeat(borders[:-1], pieces)
    inside = np.arange(len(begins)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins = begins + inside * context
    return begins, np.minimum(context, np.repeat(borders[1:], pieces) - begins)


def best_fit(lengths: np.ndarray, room: int) -> np.ndarray:
    """The row (counted from 0) of each length; all are at least 1 and at most `room`, what a row holds.

    Bit s of `spaces` is set while a row with s free places is open, so the tightest one is found by two operations.
    """
    rows, sizes = np.empty(len(lengths), dtype=np.int64), lengths.tolist()
    opened: list[list[int]] = [[] for _ in range(room)]
    spaces, count = 0, 0
    for number in np.argsort(-lengths, kind="stable").tolist():
        fitting = spaces >> sizes[number]
        if fitting:
            space = sizes[number] + (fitting & -fitting).bit_length() - 1
            row = opened[space].pop()
            spaces ^= 0 if opened[space] else 1 << space
        else:
            space, row, count = room, count, count + 1
        rows[number], left = row, space - sizes[number]
        if left:
            opened[left].append(row)
            spaces |= 1 << left
    return rows
