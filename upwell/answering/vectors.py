"""The vector file, and exact search in it: rows of float32 of length 1, one behind the other, nothing else.

    write(path, rows, vectors)      behind the first `rows` rows; what stood there is cut off
    opened(path, rows, width)       the first `rows` rows, mapped into memory
    copy(path, rows, width, kept, new)      those rows of it that are kept, as a new file
    Exact(vectors).nearest(vector, k, among)

How many rows count is said by whoever keeps the file's name (see tables): rows behind them are what a run that was
killed had begun. Exact search reads every vector, once a question. An engine for more of them than that can bear is
anything that is made of the same array and has `nearest` (see Nearest). Knows no passage and no model.
"""

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from ..atomic import said_plainly
from ..errors import DataError

TYPE = np.dtype("<f4")
BLOCK = 1 << 16  # rows that are compared at once


class Nearest(Protocol):
    """A search among vectors; made by a function of the array (rows, width) of all of them."""

    def nearest(self, vector: np.ndarray, k: int, among: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(numbers of rows, cosines) of the k rows that are most like the vector, the most alike one first.

        among: (rows,) bools, where only some may be found; then the k best of these are given, however rare they are.
        """


class Exact:
    """Every row is compared. vectors: (rows, width) of length 1."""

    def __init__(self, vectors: np.ndarray):
        self.vectors = vectors

    def nearest(self, vector: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See Nearest."""
        rows, scores = np.zeros(0, np.int64), np.zeros(0, TYPE)
        for start in range(0, len(self.vectors), BLOCK):
            found = self.vectors[start : start + BLOCK] @ vector
            chosen = np.arange(len(found)) if among is None else np.flatnonzero(among[start : start + BLOCK])
            best = chosen[_best(found[chosen], k)]
            rows, scores = np.concatenate([rows, best + start]), np.concatenate([scores, found[best]])
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """The places of the k highest, in any order."""
    return np.arange(len(scores)) if len(scores) <= k else np.argpartition(scores, -k)[-k:]


def write(path: Path, rows: int, vectors: np.ndarray) -> None:
    """Put vectors (N, width) behind the first `rows` rows and onto the disk. ServiceError where it is full."""
    vectors = np.ascontiguousarray(vectors, TYPE)
    with said_plainly(path), open(path, "r+b" if path.exists() else "w+b") as file:
        file.truncate(rows * vectors.shape[1] * TYPE.itemsize)
        file.seek(0, os.SEEK_END)
        file.write(vectors.tobytes())
        file.flush()
        os.fsync(file.fileno())


def opened(path: Path, rows: int, width: int) -> np.ndarray:
    """The first rows, (rows, width), read where they are used. DataError where there are fewer."""
    if not rows:
        return np.zeros((0, width), TYPE)
    size, least = path.stat().st_size if path.is_file() else 0, rows * width * TYPE.itemsize
    if size < least:
        raise DataError(f"{path}: found {size:,} bytes, expected at least {least:,}; the index is damaged: make it "
                        "again from its texts")  # fmt: skip
    return np.memmap(path, TYPE, "r", shape=(rows, width))


def copy(path: Path, rows: int, width: int, kept: np.ndarray, new: Path) -> None:
    """Write those of the first rows whose numbers are in `kept`, in that order, to a new file."""
    vectors = opened(path, rows, width)
    with said_plainly(new), open(new, "wb") as file:
        for start in range(0, len(kept), BLOCK):
            file.write(np.ascontiguousarray(vectors[kept[start : start + BLOCK]]).tobytes())
        file.flush()
        os.fsync(file.fileno())
