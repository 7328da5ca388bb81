"""Which parts of texts are hidden, for many texts at once: T5's spans and BART's.

Texts stand one behind the other as lengths (N,); `key` (N,) is a random key of each (see _noise). It knows no token.
"""

import math

import numpy as np

from . import _noise
from ._packed import ranges

NOISE, PLAIN, LENGTHS, SLOTS = range(4)  # streams within a key


def drawn(key: np.ndarray, counts: np.ndarray, stream: int) -> np.ndarray:
    """counts[n] numbers of [0, 1) for each text n, one behind the other."""
    return _noise.at(np.repeat(key + np.uint64(stream << 40), counts), ranges(counts))


def chosen(key: np.ndarray, among: np.ndarray, count: np.ndarray, stream: int) -> np.ndarray:
    """count[n] of among[n] places of each text, all alike likely: bool over all places."""
    text = np.repeat(np.arange(len(among)), among)
    order = np.argsort(text + drawn(key, among, stream), kind="stable")
    found = np.empty(len(order), dtype=bool)
    found[order] = ranges(among) < np.repeat(count, among)
    return found


def parts(key: np.ndarray, total: np.ndarray, count: np.ndarray, stream: int) -> np.ndarray:
    """total[n] in count[n] parts of at least 1, all ways alike likely: the lengths of all parts, one behind the other.

    A total of 0 is one part of 0.
    """
    slots = np.maximum(total - 1, 0)
    begins = np.zeros(int(total.sum()), dtype=bool)
    full = total > 0
    first = (np.cumsum(total) - total)[full]
    begins[first] = True
    begins[np.repeat(np.cumsum(total) - total + 1, slots) + ranges(slots)] = chosen(key, slots, count - 1, stream)
    places = np.flatnonzero(begins)
    lengths = np.zeros(int(count.sum()), dtype=np.int64)
    lengths[np.repeat(full, count)] = np.diff(np.append(places, len(begins)))
    return lengths


def spans(length: np.ndarray, rate: float, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """(hidden tokens, spans) of texts of these lengths, as T5 counts them: a text always has the same number."""
    hidden = np.clip(np.round(length * rate).astype(np.int64), 1, np.maximum(length - 1, 1))
    count = np.maximum(np.round(hidden / mean).astype(np.int64), 1)
    return hidden, np.minimum(count, np.maximum(length - hidden, 1))


def poisson(key: np.ndarray, wanted: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Lengths from Poisson's distribution until they sum to wanted[n]: (texts, most) and which of them count.

    The last one is cut to fit. Zeros, which insert a mask, are no more than the hidden tokens that have no span of
    their own, so that a text never grows.
    """
    most = int(wanted.max(initial=1) / mean * 1.5) + 16
    table = np.cumsum([math.exp(-mean) * mean**n / math.factorial(n) for n in range(int(mean * 4) + 20)])
    even = _noise.at((key + np.uint64(LENGTHS << 40))[:, None], np.arange(most))
    length = np.searchsorted(table, even)
    before = np.cumsum(length, axis=1) - length
    length = np.minimum(length, np.maximum(wanted[:, None] - before, 0))
    counted, zero = before < wanted[:, None], length == 0
    room = length.sum(axis=1) - (length > 0).sum(axis=1)
    return length, counted & (~zero | (np.cumsum(zero, axis=1) <= room[:, None]))
