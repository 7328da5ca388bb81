"""(B, T) windows of a token store, as torch tensors.

`Packed` is for learning: endless, shuffled, and sample i is a pure function of (seed, i), so the position of
a run in its data is one integer. `whole` is for measuring: each token once, in order. Neither knows the
model. Every sampler of this room (here, packing, buckets, mixture) has the same two ways in:

    .batch(first, size)     samples first .. first + size - 1, what a training loop asks for
    .samples(numbers)       the samples of these numbers, in any order; what mixtures and shares ask for

Each row is a window of T + 1 tokens of the flat store, whatever documents it cuts through; `documents`
numbers the documents inside the row, so that attention and positions can stop at their borders.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.tokens.store import Store

if TYPE_CHECKING:
    import torch

IGNORE = -100
ROUNDS = 3
TURNS = [np.uint64(turn * 0x9E3779B97F4A7C15 % (1 << 64)) for turn in range(2 * ROUNDS)]


class Batch(NamedTuple):
    """ids (B, T) int64 · targets (B, T) int64, -100 where nothing is asked · documents (B, T) int32.

    documents counts from 0 in each row and rises by one at each token that begins a document. The target of a
    document's last token is the end-of-text token which begins the next one.
    """

    ids: "torch.Tensor"
    targets: "torch.Tensor"
    documents: "torch.Tensor"


class Packed:
    """Shuffled windows of `context` tokens without end; .batch(first, size) gives samples from `first` on.

    An epoch visits `samples_per_epoch` windows once, in an order of its own and with cuts of its own: the
    windows of an epoch all begin some tokens further on, by chance. Raises DataError where the store is too
    short.
    """

    def __init__(self, store: Store, context: int, seed: int):
        if len(store) < context + 1:
            raise DataError(
                f"{store.folder} holds {len(store):,} tokens, too few for one sample of {context} + 1: "
                f"add text, or set a context of at most {max(len(store) - 1, 0)}."
            )
        self.store, self.context, self.seed = store, context, seed
        self.samples_per_epoch = max(1, (len(store) - context) // context)
        self._phases = len(store) - self.samples_per_epoch * context
        self._starts = Ahead(self._starts_of)

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1 as a Batch with B = size, T = context."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        return _gather(self.store, self._starts(numbers), self.context)

    def starts(self, first: int, size: int) -> np.ndarray:
        """Where in the store these samples begin: (size,) int64."""
        return self._starts(np.arange(first, first + size, dtype=np.int64))

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Where in the store the samples of these numbers (B,) begin: (B,) int64."""
        return self._starts(numbers)

    def _starts_of(self, numbers: np.ndarray) -> np.ndarray:
        epoch, inside = np.divmod(numbers, self.samples_per_epoch)
        key = keys(epoch, self.seed)
        phase = mix(key) % np.uint64(self._phases)
        return permuted(inside, self.samples_per_epoch, key) * self.context + phase.astype(np.int64)


def whole(store: Store, context: int, size: int = 16) -> Iterator[Batch]:
    """Every token of a store after its first as a target exactly once: rows of `context`, batches of `size`.

    The last rows are padded: the end-of-text token in, target -100.
    """
    windows = np.arange(0, max(len(store) - 1, 0), context, dtype=np.int64)
    if not len(windows):
        raise DataError(f"{store.folder} holds {len(store)} token, nothing that could be measured: add text.")
    for first in range(0, len(windows), size):
        yield _gather(store, windows[first : first + size], context)


class Ahead:
    """A pure function of sample numbers, evaluated for a block of them at a time: a hundred small steps of numpy cost
    as much for one number as for a thousand. The last few blocks are kept."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray], block: int = 1024, blocks: int = 32):
        self.function, self.block, self.blocks = function, block, blocks
        self._kept: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """function(numbers), numbers (B,)."""
        block, inside = np.divmod(numbers, self.block)
        if not len(block) or block[0] == block[-1] and (block == block[0]).all():
            return self._values(int(block[0]))[inside] if len(block) else self.function(numbers)
        parts = {one: self._values(one) for one in np.unique(block).tolist()}
        return np.array([parts[one][place] for one, place in zip(block.tolist(), inside.tolist(), strict=True)])

    def _values(self, number: int) -> np.ndarray:
        with self._lock:
            found = self._kept.pop(number, None)
            if found is None:
                found = self.function(np.arange(number * self.block, (number + 1) * self.block, dtype=np.int64))
            self._kept[number] = found  # the last one used stands last
            while len(self._kept) > self.blocks:
                del self._kept[next(iter(self._kept))]
            return found


def keys(epoch: np.ndarray, seed: int) -> np.ndarray:
    """The key (uint64) of each epoch's order."""
    return mix(mix(epoch.astype(np.uint64)) ^ np.uint64(seed % (1 << 64)))


def permuted(numbers: np.ndarray, count: int | np.ndarray, key: np.ndarray) -> np.ndarray:
    """A permutation of 0 .. count-1, evaluated at `numbers` alone; `key` (uint64) chooses which one.

    count may differ from number to number.

    A Feistel network over a rectangle that barely holds `count`, walked until it lands below `count` (the
    generalised cipher of Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). No table: any
    epoch of any corpus costs nothing to enter in the middle.
    """
    if isinstance(count, np.ndarray):
        width = np.sqrt(count - 1).astype(np.int64) + 1
        sides = width.astype(np.uint64), (-(-count // width)).astype(np.uint64)
    else:
        width = math.isqrt(count - 1) + 1
        sides = np.uint64(width), np.uint64(-(-count // width))
    result = _feistel(numbers.astype(np.uint64), sides, key)
    while (outside := result >= count).any():
        part = [side[outside] if isinstance(count, np.ndarray) else side for side in sides]
        result[outside] = _feistel(result[outside], part, key[outside])
    return result.astype(np.int64)


def _feistel(numbers: np.ndarray, sides: Sequence, key: np.ndarray) -> np.ndarray:
    """One pass over the rectangle: each turn shifts one coordinate by a random function of the other."""
    width, height = sides
    column, row = numbers % width, numbers // width
    for turn in range(ROUNDS):
        column = (column + mix(key + row + TURNS[2 * turn]) % width) % width
        row = (row + mix(key + column + TURNS[2 * turn + 1]) % height) % height
    return row * width + column


def mix(x: np.ndarray) -> np.ndarray:
    """Spread 64 bits over 64 bits: SplitMix64's finaliser (Steele, Lea, Flood 2014); arrays wrap around."""
    x = x + TURNS[1]
    x = (x ^ x >> 30) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> 27) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> 31


def _gather(store: Store, starts: np.ndarray, context: int) -> Batch:
    """Windows at `starts` (B,); what lies beyond the store's end is padded."""
    import torch

    rows = np.full((len(starts), context + 1), IGNORE, dtype=np.int64)
    begins = np.zeros((len(starts), context), dtype=np.int32)
    first = np.searchsorted(store.starts, starts, side="right")
    last = np.searchsorted(store.starts, starts + context, side="left")
    for row, start in enumerate(starts.tolist()):
        tokens = store.read(start, min(start + context + 1, len(store)))
        rows[row, : len(tokens)] = tokens
        begins[row, store.starts[first[row] : last[row]] - start] = 1
    ids, targets = rows[:, :-1].copy(), rows[:, 1:].copy()
    ids[ids == IGNORE] = store.end
    documents = np.cumsum(begins, axis=1, dtype=np.int32)
    return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(documents))
