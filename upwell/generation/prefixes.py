"""What texts left in the cache, for prompts that begin as they did: each is read once, as long as there is room.

A chat sends all that was said with every turn, and a bot its instructions with every question. It knows tokens and
tensors, no request and no model.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ..model.cache import Cache

FEWEST = 32
"""Tokens from which on copying what is known costs less than reading it again."""


class Prefix(NamedTuple):
    """Tokens and what they left in the cache."""

    ids: np.ndarray
    """(n,) int64."""
    adapter: int
    """The number of the adapter that read them."""
    keys: list[Tensor]
    """For each block (K, n, d)."""
    values: list[Tensor]

    @property
    def size(self) -> int:
        """Bytes of keys and values."""
        return sum(part.nbytes for part in (*self.keys, *self.values))


class Prefixes:
    """Of the texts read last, as many as `room` bytes hold; the one that was not asked for longest goes first."""

    def __init__(self, room: int):
        self.room, self.taken = room, 0
        self._kept: OrderedDict[tuple[int, bytes], Prefix] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def longest(self, prompt: Sequence[int], adapter: int = 0) -> Prefix | None:
        """What is known of the prompt's beginning, its last token apart; None where that is not worth while."""
        wanted = np.asarray(prompt[:-1], dtype=np.int64)
        found = [(common(prefix.ids, wanted), name) for name, prefix in self._kept.items() if name[0] == adapter]
        length, name = max(found, default=(0, None))
        if length < FEWEST:
            return None
        self._kept.move_to_end(name)
        whole = self._kept[name]
        keys, values = ([part[:, :length] for part in parts] for parts in (whole.keys, whole.values))
        return Prefix(whole.ids[:length], adapter, keys, values)

    def keep(self, ids: Sequence[int], cache: Cache, row: int, adapter: int = 0) -> None:
        """Keep what a row of a cache holds of these tokens, which it read first and in this order, with this adapter.

        Beginnings of it that are kept go: it knows all that they know.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        if len(wanted) < FEWEST or not possible(cache) or cache.per_token * len(wanted) > self.room:
            return
        for name, prefix in list(self._kept.items()):
            if prefix.adapter != adapter:
                continue
            shared = common(prefix.ids, wanted)
            if shared == len(wanted):
                self._kept.move_to_end(name)
                return
            if shared == len(prefix.ids):
                self._drop(name)
        made = Prefix(wanted, adapter, *([part[row, :, : len(wanted)].clone() for part in parts]
                                for parts in (cache.keys, cache.values)))  # fmt: skip
        while self._kept and self.taken + made.size > self.room:
            self._drop(next(iter(self._kept)))
        self._kept[adapter, wanted.tobytes()] = made
        self.taken += made.size

    def clear(self) -> bool:
        """Forget all; whether there was any."""
        had, self.taken = bool(self._kept), 0
        self._kept.clear()
        return had

    def _drop(self, name: tuple[int, bytes]) -> None:
        self.taken -= self._kept.pop(name).size


def possible(cache: Cache) -> bool:
    """Whether a row's beginning alone says what it left: not in a ring, nor where there is an encoder's text."""
    return not cache.ring and not cache.other


def common(a: np.ndarray, b: np.ndarray) -> int:
    """How many ids two texts have in common from the first one on."""
    shorter = min(len(a), len(b))
    different = np.flatnonzero(a[:shorter] != b[:shorter])
    return int(different[0]) if len(different) else shorter
