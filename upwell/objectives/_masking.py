"""Which places of a batch are masked, and what stands there instead: 80 % the mask, 10 % another token, 10 % itself.

Whole words are drawn until the share is reached, the last one by a chance that makes the share exact on average. New
for each sample number, the same for the same number. Source: Devlin et al. 2019, arXiv 1810.04805. It knows no model.
"""

import math

import numpy as np

from upwell.tokens.batches import IGNORE

from . import _noise
from ._spelling import Spelling, mask_id

SLACK = 4  # places more than the share, so that a last long word has room
WORDS, LAST, KIND, OTHER = range(1, 5)  # streams of random numbers


class Masker:
    """Masks batches; settings as in masked.py. room: places of a row that may be masked at most."""

    def __init__(self, spelling: Spelling, settings, room: int, seed: int):
        self.spelling, self.settings, self.seed = spelling, settings, seed
        self.mask = mask_id(spelling.tokenizer)
        self.places = max(1, math.ceil(settings.rate * room) + SLACK * settings.whole_words)

    def masked(self, ids: np.ndarray, able: np.ndarray, joins: np.ndarray, numbers: np.ndarray):
        """Masked ids (B, T), the places (B, M) and what stood there (B, M), -100 where a row has fewer than M.

        able (B, T): what may be masked · joins (B, T): what goes on with the word before it · numbers (B,): of the
        samples.
        """
        places, taken = self.chosen(able, joins, numbers)
        rows = np.arange(len(ids))[:, None]
        true = ids[rows, places]
        kind = _noise.numbers(self.seed, numbers, self.places, KIND)
        other = _noise.numbers(self.seed, numbers, self.places, OTHER)
        other = self.spelling.plain[(other * len(self.spelling.plain)).astype(np.int64)]
        s = self.settings
        new = np.where(kind < s.mask, self.mask, np.where(kind < s.mask + s.random, other, true))
        ids = ids.copy()
        ids[np.broadcast_to(rows, places.shape)[taken], places[taken]] = new[taken]
        return ids, places, np.where(taken, true, IGNORE)

    def chosen(self, able: np.ndarray, joins: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places (B, M), rising, and which of them are taken (the others are 0)."""
        T = able.shape[1]
        order, word = self.drawn(able, joins, numbers)
        begins = np.ones(order.shape, dtype=bool)
        begins[:, 1:] = word[:, 1:] != word[:, :-1]
        at = np.arange(order.shape[1])
        first = np.maximum.accumulate(np.where(begins, at, 0), axis=1)
        ends = np.where(begins, at, order.shape[1])[:, ::-1]
        end = np.roll(np.minimum.accumulate(ends, axis=1)[:, ::-1], -1, axis=1)
        end[:, -1] = order.shape[1]
        chance = _noise.numbers(self.seed, numbers, 1, LAST)
        wanted = self.settings.rate * able.sum(axis=1, keepdims=True)
        take = (first + chance * (end - first) < wanted) & (end <= self.places)
        take &= np.take_along_axis(able, order, axis=1)
        places = np.sort(np.where(take, order, T)[:, : self.places], axis=1)
        if places.shape[1] < self.places:  # a row with fewer places than may be masked
            places = np.pad(places, ((0, 0), (0, self.places - places.shape[1])), constant_values=T)
        taken = places < T
        return np.where(taken, places, 0), taken

    def drawn(self, able: np.ndarray, joins: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first places (B, n) of a row's words in a random order, and the word of each."""
        T = able.shape[1]
        key = _noise.numbers(self.seed, numbers, T, WORDS)
        start = np.broadcast_to(np.arange(T), able.shape)
        if self.settings.whole_words:
            start = np.maximum.accumulate(np.where(joins & able, 0, start), axis=1)
            key = np.take_along_axis(key, start, axis=1)
        order = np.argsort(np.where(able, key, 2.0), axis=1, kind="stable")[:, : self.places + 1]
        return order, np.take_along_axis(start, order, axis=1)
