"""A cache whose memory stays where it is while rows come and go, and the view of it that a recorded step reads.

A step of a model on a GPU is hundreds of small calls, each of which takes the processor longer to order than the GPU to
do. Recorded once they are ordered as one, but with the addresses and shapes that they had. `Lasting` keeps the
addresses; `Fixed` keeps the shapes: so many rows, of which some may be nobody's, that see so many keys, of which a mask
hides what is not there yet. It knows no GPU.
"""

import torch
from torch import Tensor

from .cache import Cache
from .config import Config


class Lasting(Cache):
    """A Cache with memory for `most` texts; `generation` counts how often the memory had to be laid anew.

    .keys and .values are the first rows of .ground, which holds (most, K, capacity, d) for each block, keys before
    values.
    """

    def __init__(self, config: Config, most: int, capacity: int, device="cpu", dtype=torch.float32):
        super().__init__(config, most, capacity, device, dtype)
        self.most, self.generation = most, 0
        self.ground = [*self.keys, *self.values]
        self.empty()

    def empty(self) -> None:
        """No rows any more."""
        self._show(0)
        self.lengths, self.about = self.lengths[:0], self.about[:0]
        self.other, self.other_mask, self._table = [], None, None
        self.longest, self.even = 0, True

    def _show(self, rows: int) -> None:
        """The first so many rows are somebody's."""
        shown, layers = [part[:rows] for part in self.ground], len(self.rings)
        self.keys, self.values = shown[:layers], shown[layers:]

    def _lay(self, most: int, capacity: int) -> None:
        """More memory, with what stands in the old one."""
        old, rows = self.ground, self.rows
        self.ground = []
        for part, ring in zip(old, (*self.rings, *self.rings), strict=True):
            fresh = part.new_zeros(most, part.shape[1], part.shape[2] if ring else capacity, part.shape[3])
            fresh[:rows, :, : part.shape[2]] = part[:rows]
            self.ground.append(fresh)
        self.most, self.capacity, self.generation = most, capacity, self.generation + 1
        self._show(rows)

    def _widen(self, capacity: int) -> None:
        if capacity > self.capacity:
            self._lay(self.most, capacity)

    def _choose(self, parents: Tensor) -> None:
        """Other rows, as many as there are parents, in the old places."""
        if len(parents) > self.most:
            self._lay(max(len(parents), 2 * self.most), self.capacity)
        for part, ring in zip(self.ground, (*self.rings, *self.rings), strict=True):
            seen = part if ring else part[:, :, : self.longest]
            seen[: len(parents)] = seen.index_select(0, parents)
        self._show(len(parents))

    def _take(self, other: Cache) -> None:
        """Keys and values of another cache behind the own ones."""
        rows = self.rows + other.rows
        if rows > self.most:
            self._lay(max(rows, 2 * self.most), self.capacity)
        self.reserve(other.longest)
        theirs = (*other.keys, *other.values)
        for part, new, ring in zip(self.ground, theirs, (*self.rings, *self.rings), strict=True):
            size = part.shape[2] if ring else other.longest
            part[self.rows : rows, :, :size] = new[:, :, :size]
        self._show(rows)


class Fixed(Cache):
    """The first `rows` rows of a Lasting as one step of one token sees them that is recorded: `keys_seen` keys, of
    which each row sees those before its own place. lengths (rows,) int64: read at every replay; it is not changed."""

    def __init__(self, whole: Lasting, rows: int, keys_seen: int, lengths: Tensor):
        layers = len(whole.rings)
        self.dtype, self.ring, self.rings, self.capacity = whole.dtype, whole.ring, whole.rings, whole.capacity
        self.keys = [part[:rows] for part in whole.ground[:layers]]
        self.values = [part[:rows] for part in whole.ground[layers:]]
        self.lengths, self.seen, self.longest = lengths, keys_seen, keys_seen - 1
        self.even, self.masked, self.groups, self.other, self.other_mask = False, False, [], [], None

    def begin(self, T: int) -> Tensor:
        """The place (rows, 1) of each row's token."""
        self.positions = self.lengths[:, None]
        return self.positions

    def commit(self, T: int, lengths: Tensor | None) -> None:
        """What has been read is counted by the Lasting."""
