"""Several sources as one stream in exact proportions, and the shares of a stream that ranks and workers take.

Both are over samplers with .batch(first, size) and .samples(numbers) (batches, packing, buckets). The source of sample
i is a pure function of (seed, i), and so is its number within that source: no counter, no state. The position of a
run is the number of samples of all ranks together, so it stays the same when the number of ranks changes.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from upwell.errors import DataError
from upwell.tokens.batches import Ahead, Batch, keys, permuted

TURN = 10_000


class Mixture:
    """Samples of several samplers, as many of each as its weight says; all must have the same context.

    parts: name -> (sampler, weight). In every `TURN` samples each source has exactly its share, to a ten-thousandth
    (the largest remainders are rounded up, and every weight above 0 gives at least one); where in them is by chance. A
    source that is through begins its next epoch.
    """

    def __init__(self, parts: Mapping[str, tuple[Any, float]], seed: int):
        wrong = [f"{name}: {weight}" for name, (_, weight) in parts.items() if not 0 < weight < float("inf")]
        if wrong or not parts:
            raise DataError(f"found the weights {', '.join(wrong) or 'of no source'}, expected numbers above 0.")
        self.names, self.seed = list(parts), seed
        self.samplers = [sampler for sampler, _ in parts.values()]
        self.counts = apportioned(np.array([weight for _, weight in parts.values()], dtype=float), TURN)
        self._first = np.concatenate([[0], np.cumsum(self.counts)])
        self._places = Ahead(self._places_of)

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1 as a Batch."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        import torch

        sources, inside = self.places(numbers)
        whole = None
        for source in sorted(set(sources.tolist())):
            rows = np.flatnonzero(sources == source)
            part = [tensor.numpy() for tensor in self.samplers[source].samples(inside[rows])]
            whole = whole or [np.empty((len(numbers), *array.shape[1:]), array.dtype) for array in part]
            for all_rows, array in zip(whole, part, strict=True):
                if all_rows.shape[1:] != array.shape[1:]:
                    raise DataError(f"{self.names[source]}: rows of {array.shape[1]} tokens beside rows of "
                                    f"{all_rows.shape[1]}; give all sources of a mixture the same context.")
                all_rows[rows] = array
        return Batch(*map(torch.from_numpy, whole))

    def places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which source, the sample's number within it) of samples (B,); within a source each number comes once."""
        return tuple(self._places(np.asarray(numbers, dtype=np.int64)).T)

    def _places_of(self, numbers: np.ndarray) -> np.ndarray:
        turn, inside = np.divmod(numbers, TURN)
        place = permuted(inside, TURN, keys(turn, self.seed))
        source = np.searchsorted(self._first, place, side="right") - 1
        return np.stack([source, turn * self.counts[source] + place - self._first[source]], axis=1)

    def epochs(self, samples: int) -> dict[str, float]:
        """How often each source has been seen after so many samples."""
        seen = np.bincount(self.places(np.arange(samples % TURN))[0], minlength=len(self.names))
        seen = seen + samples // TURN * self.counts
        lengths = [sampler.samples_per_epoch for sampler in self.samplers]
        return {name: float(n / length) for name, n, length in zip(self.names, seen, lengths, strict=True)}


def apportioned(weights: np.ndarray, places: int) -> np.ndarray:
    """Whole numbers that sum to `places`, in the proportions of the weights; at least 1 each (largest remainders)."""
    if len(weights) > places:
        raise DataError(f"found {len(weights):,} sources, expected at most {places:,} in one mixture.")
    exact = weights / weights.sum() * places
    counts = np.maximum(1, np.floor(exact)).astype(np.int64)
    while counts.sum() > places:  # small weights were given their 1
        counts[counts.argmax()] -= 1
    counts[np.argsort(counts - exact, kind="stable")[: places - int(counts.sum())]] += 1
    return counts


class Share:
    """The part of each batch that one of several ranks computes; the shares of all ranks in order are the batch."""

    def __init__(self, sampler: Any, rank: int, ranks: int):
        if not 0 <= rank < ranks:
            raise DataError(f"found rank {rank} of {ranks}, expected 0 to {ranks - 1}.")
        self.sampler, self.rank, self.ranks = sampler, rank, ranks
        self.samples_per_epoch = sampler.samples_per_epoch if hasattr(sampler, "samples_per_epoch") else None

    def batch(self, first: int, size: int) -> Batch:
        """This rank's samples of first .. first + size - 1, counted over all ranks."""
        begin, end = (first + size * rank // self.ranks for rank in (self.rank, self.rank + 1))
        return self.sampler.samples(np.arange(begin, end, dtype=np.int64))


def of_worker(batches: Callable[[int, int], Batch], position: int, size: int, worker: int,
              workers: int) -> Iterator[tuple[int, Batch]]:  # fmt: skip
    """(first sample, batch) without end: every `workers`-th batch from `position` on, for one of the loading workers.

    Taken in the order of their first samples, the batches of all workers are those of one.
    """
    for first in itertools.count(position + worker * size, workers * size):
        yield first, batches(first, size)
