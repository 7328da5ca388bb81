"""Rows of one document each, batches of documents of about one length: for what must not be packed.

Encoders and pairs of texts want whole documents and padding; batches of like lengths keep the padding small. The
documents are sorted by length and divided into buckets; each epoch deals every bucket anew into batches of `rows` and
visits the batches in an order of its own. Batch k is a pure function of (seed, k), and sample i stands in batch
i // rows, so a run's position stays one integer. Knows no model.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.tokens.batches import IGNORE, Ahead, Batch, keys, mix, permuted
from upwell.tokens.store import Store

if TYPE_CHECKING:
    import torch

EVEN = 8  # widths are multiples of this, so that a model meets few different shapes


class PairBatch(NamedTuple):
    """source (B, S) int64 · source_mask (B, S) bool, False where padding · ids (B, T) · targets (B, T), -100: nothing.

    The source ends with the end-of-text token; ids begin with it and targets end with it.
    """

    source: "torch.Tensor"
    source_mask: "torch.Tensor"
    ids: "torch.Tensor"
    targets: "torch.Tensor"


class Deal:
    """Documents by number, in batches of `rows` of about one length; `lengths` (documents,) decides which.

    Documents whose lengths differ by less than `step` share a bucket. The last batch of an epoch may hold up to
    rows - 1 documents of its bucket twice.
    """

    def __init__(self, lengths: np.ndarray, rows: int, seed: int, step: int):
        if rows < 1 or step < 1 or not len(lengths):
            raise DataError(f"found {len(lengths)} documents, batches of {rows}, steps of {step}; expected 1 or more.")
        self.rows, self.seed = rows, seed
        self.order = np.argsort(lengths, kind="stable")
        steps = (lengths[self.order] - 1) // step
        borders = np.flatnonzero(np.diff(steps)) + 1
        borders = np.unique(borders // rows * rows)  # only the last bucket may have a batch that is not full
        self.borders = np.unique(np.concatenate([[0], borders, [len(lengths)]]))
        self.first = np.concatenate([[0], np.cumsum(-(-np.diff(self.borders) // rows))])
        self.batches = int(self.first[-1])
        self.documents = Ahead(self._documents, block=64)

    def _documents(self, batch: np.ndarray) -> np.ndarray:
        """The numbers of the documents in batches (n,), (n, rows)."""
        epoch, inside = np.divmod(batch, self.batches)
        key = keys(epoch, self.seed)
        place = permuted(inside, self.batches, key)
        bucket = np.searchsorted(self.first, place, side="right") - 1
        begin, count = self.borders[bucket], (self.borders[bucket + 1] - self.borders[bucket])[:, None]
        dealt = ((place - self.first[bucket])[:, None] * self.rows + np.arange(self.rows)) % count
        keys_of = np.repeat(mix(key + (bucket + 1).astype(np.uint64))[:, None], self.rows, axis=1)
        count = np.repeat(count, self.rows, axis=1)
        return self.order[begin[:, None] + permuted(dealt.ravel(), count.ravel(), keys_of.ravel()).reshape(dealt.shape)]

    def rows_of(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the documents of these samples, every document of the batches that they stand in)."""
        group, inside = np.divmod(numbers, self.rows)
        together = self.documents(group)
        return together[np.arange(len(numbers)), inside], together


class Bucketed:
    """Whole documents of a store, one a row; .batch(first, size) and .samples(numbers) give a Batch.

    Rows are as wide as the longest document of the whole batch, so a share of a batch has the shape of all of it. What
    is empty holds the end-of-text token, target -100, and is a document of its own. DataError where documents are
    longer than the context, unless `cut`: then only their beginnings are read.
    """

    def __init__(self, store: Store, context: int, rows: int, seed: int, cut: bool = False):
        self.store, self.context = store, context
        self._lengths = _within(store, context, cut)
        self.deal = Deal(self._lengths, rows, seed, max(EVEN, context // 32))
        self.samples_per_epoch = self.deal.batches * rows

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1; take size = rows and first a multiple of it for batches of one length."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        import torch

        chosen, together = self.deal.rows_of(numbers)
        width = _width(self._lengths[together])
        ids, targets, real = _filled(self.store, chosen, self._lengths[chosen], width)
        documents = torch.from_numpy((~real).astype(np.int32))
        return Batch(torch.from_numpy(ids), torch.from_numpy(targets), documents)

    def padding(self, epoch: int = 0) -> float:
        """Share of the places of an epoch's batches that stay empty."""
        batches = np.arange(epoch * self.deal.batches, (epoch + 1) * self.deal.batches)
        lengths = self._lengths[self.deal.documents(batches)]
        widths = -(-lengths.max(axis=1) // EVEN) * EVEN
        return float(1 - lengths.sum() / (widths.sum() * self.deal.rows))


class Pairs:
    """Document n of one store and document n of another as source and target; .batch and .samples give a PairBatch.

    Batches are alike in both lengths. DataError where the stores differ in their number of documents, or as `Bucketed`.
    """

    def __init__(self, source: Store, target: Store, context: int, rows: int, seed: int, cut: bool = False):
        if source.documents != target.documents:
            raise DataError(f"{source.folder} holds {source.documents:,} documents and {target.folder} "
                            f"{target.documents:,}; expected pairs: prepare them together.")
        self.source, self.target = source, target
        self._lengths = _within(source, context, cut), _within(target, context, cut)
        step = max(EVEN, context // 32)
        wide = (self._lengths[0] - 1) // step * (context + 1) + np.minimum(self._lengths[1], context)
        self.deal = Deal(wide, rows, seed, step)
        self.samples_per_epoch = self.deal.batches * rows

    def batch(self, first: int, size: int) -> PairBatch:
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> PairBatch:
        """The samples of these numbers (B,) as a PairBatch."""
        import torch

        chosen, together = self.deal.rows_of(numbers)
        widths = [_width(lengths[together]) for lengths in self._lengths]
        of_source = _filled(self.source, chosen, self._lengths[0][chosen], widths[0])
        ids, targets, _ = _filled(self.target, chosen, self._lengths[1][chosen], widths[1])
        source = np.where(of_source[2], of_source[1], self.source.end)  # its ids, then the end: the targets of it
        return PairBatch(*map(torch.from_numpy, (source, of_source[2], ids, targets)))


def _within(store: Store, context: int, cut: bool) -> np.ndarray:
    """The lengths of a store's documents, the end-of-text token included; at most `context`."""
    lengths = np.diff(store.starts)
    longer = int((lengths > context).sum())
    if longer and not cut:
        raise DataError(
            f"{store.folder}: {longer:,} of {store.documents:,} documents are longer than the context of {context:,} "
            f"(the longest has {int(lengths.max()):,} tokens); set a longer context, divide them, or allow cutting."
        )
    return np.minimum(lengths, context)


def _width(lengths: np.ndarray) -> int:
    return int(-(-lengths.max() // EVEN) * EVEN)


def _filled(store: Store, documents: np.ndarray, lengths: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
    """ids (B, width), targets (B, width) and which places are real (B, width)."""
    ids = np.full((len(documents), width), store.end, dtype=np.int64)
    targets = np.full((len(documents), width), IGNORE, dtype=np.int64)
    begins, last = store.starts[documents].tolist(), len(store)
    for row, (start, length) in enumerate(zip(begins, lengths.tolist(), strict=True)):
        tokens = store.read(start, min(start + length + 1, last))
        ids[row, :length] = tokens[:length]
        targets[row, : length - 1] = tokens[1:length]
        targets[row, length - 1] = tokens[length] if start + length < last else store.end
    return ids, targets, np.arange(width) < lengths[:, None]
