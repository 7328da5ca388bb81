"""Which documents repeat an earlier one, exactly or nearly, in a corpus of any size; the first one is kept.

Exactly: the same signs, whatever the white space. Nearly: the Jaccard similarity of their shingles (signatures) is at
least the threshold. Texts that share a band of their sketches (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of
Massive Datasets", chapter 3) are candidates; each is then checked by its true similarity, so that nothing is called
a repetition by bad luck.

A corpus is a folder of blocks (see pipeline). Each has its keys sorted, so a range of keys is one slice of each block:
the ranges are worked through one after the other, or on many machines, and memory is bounded by the size of a range.
The same blocks give the same result in whatever order they are worked on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from upwell.errors import DataError
from upwell.text import signatures
from upwell.text.runner import Engine

FAR_BELOW = 0.2  # how far a sketch's estimate may lie under the truth: more than 4 standard deviations
PAIRS_AT_ONCE = 2_000  # so that all workers compare, and a worker holds few texts
KEPT, EXACT, NEAR = 0, 1, 2
MOST_DOCUMENTS = 1 << 32


@dataclass(frozen=True)
class Block:
    """A part of a corpus on disk. path: what its files' names begin with; first: the number of its first document."""

    path: str
    first: int
    documents: int

    def array(self, name: str) -> np.ndarray:
        """One of its arrays, read as it is used."""
        return np.load(f"{self.path}.{name}.npy", mmap_mode="r")


@dataclass(frozen=True)
class Repeats:
    """Of each document: state (N,) KEPT, EXACT or NEAR; first (N,) the document it repeats; similarity (N,)."""

    state: np.ndarray
    first: np.ndarray
    similarity: np.ndarray


class Keys:
    """Collects what is compared of a block's documents, and saves it sorted: digests, sketches, bands."""

    def __init__(self, near: bool):
        self.near, self.digests, self.sketches, self.worded = near, [], [], []

    def add(self, texts: Sequence[bytes], units: Sequence[signatures.Units]) -> None:
        """The next documents, in UTF-8, and their units."""
        self.digests.append(np.frombuffer(b"".join(map(signatures.digest, texts)), "<u8").reshape(-1, 2))
        if self.near:
            hashes, starts = signatures.shingles(units)
            self.sketches.append(signatures.sketches(hashes, starts))
            self.worded.append(np.diff(starts) > 0)

    def save(self, path: str) -> None:
        """PATH.digest.npy (documents, 3): two words and the document, sorted; .sketch.npy; .band.npy, .of.npy."""
        digests = np.concatenate([*self.digests, np.empty((0, 2), "<u8")])
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        np.save(f"{path}.digest.npy", np.column_stack([digests[order], order.astype("<u8")]))
        if not self.near:
            return
        sketches = np.concatenate([*self.sketches, np.empty((0, signatures.PLACES), np.uint32)])
        worded = np.flatnonzero(np.concatenate([*self.worded, np.empty(0, bool)]))
        bands = signatures.band_keys(sketches[worded]).ravel()
        order = np.argsort(bands, kind="stable")
        np.save(f"{path}.sketch.npy", sketches)
        np.save(f"{path}.band.npy", bands[order])
        np.save(f"{path}.of.npy", np.repeat(worded, signatures.BANDS)[order].astype(np.uint32))


def repeats(
    blocks: Sequence[Block], engine: Engine, folder: Path, threshold: float, parts: int,
    progress: Callable[[float], None] = lambda done: None,
) -> Repeats:  # fmt: skip
    """Every document that repeats an earlier, kept one. threshold 1: exact ones only, 0: none; parts: ranges of keys.

    folder: for what lies between the stages.
    """
    count = sum(block.documents for block in blocks)
    if count >= MOST_DOCUMENTS:
        raise DataError(f"found {count:,} documents, expected fewer than {MOST_DOCUMENTS:,}; prepare them in parts")
    state, first = np.zeros(count, np.uint8), np.arange(count, dtype=np.int64)
    similarity = np.zeros(count, np.float32)
    if not threshold:
        return Repeats(state, first, similarity)
    for pairs in engine.map(partial(equal, tuple(blocks)), ranges(parts)):
        state[pairs[:, 1]], first[pairs[:, 1]], similarity[pairs[:, 1]] = EXACT, pairs[:, 0], 1
    progress(0.1)
    if threshold >= 1.0:
        return Repeats(state, first, similarity)
    known = folder / "exact.npy"
    np.save(known, state == EXACT)
    found = list(engine.map(partial(neighbours, tuple(blocks), str(known)), ranges(parts)))
    pairs = np.unique(np.concatenate([*found, np.empty(0, np.uint64)]))
    pairs = np.column_stack([pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)]).astype(np.int64)[:, ::-1]
    progress(0.4)
    _settle(pairs, blocks, engine, threshold, Repeats(state, first, similarity), progress)
    return Repeats(state, first, similarity)


def _settle(pairs: np.ndarray, blocks, engine, threshold: float, found: Repeats, progress) -> None:
    """Go through the pairs (earlier, later) in the order of the later one: it is dropped where the earlier is kept."""
    chunks = [pairs[begin : begin + PAIRS_AT_ONCE] for begin in range(0, len(pairs), PAIRS_AT_ONCE)]
    for number, (chunk, truth) in enumerate(zip(chunks, engine.map(partial(true, tuple(blocks), threshold), chunks),
                                                strict=True)):  # fmt: skip
        near = truth >= threshold
        for (earlier, later), value in zip(chunk[near].tolist(), truth[near].tolist(), strict=True):
            if found.state[earlier] == KEPT and found.state[later] == KEPT:
                found.state[later], found.first[later], found.similarity[later] = NEAR, earlier, value
        progress(0.4 + 0.6 * (number + 1) / len(chunks))


def ranges(parts: int) -> list[tuple[int, int]]:
    """All 64-bit keys in so many ranges: (first, last)."""
    borders = [number * (1 << 64) // parts for number in range(parts + 1)]
    return [(first, after - 1) for first, after in zip(borders, borders[1:], strict=False)]


def slice_of(keys: np.ndarray, span: tuple[int, int]) -> slice:
    """Where the keys of a range stand in sorted ones."""
    return slice(int(np.searchsorted(keys, np.uint64(span[0]))),
                 int(np.searchsorted(keys, np.uint64(span[1]), side="right")))  # fmt: skip


def equal(blocks: Sequence[Block], span: tuple[int, int]) -> np.ndarray:
    """(pairs, 2) int64: the first document with a digest in this range, and each later one with the same."""
    parts = []
    for block in blocks:
        digests = block.array("digest")
        part = np.array(digests[slice_of(digests[:, 0], span)])
        part[:, 2] += np.uint64(block.first)
        parts.append(part)
    found = np.concatenate([*parts, np.empty((0, 3), np.uint64)])
    found = found[np.lexsort((found[:, 2], found[:, 1], found[:, 0]))]
    same = np.zeros(len(found), bool)
    same[1:] = (found[1:, :2] == found[:-1, :2]).all(axis=1)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(found))))
    return np.column_stack([found[first[same], 2], found[same, 2]]).astype(np.int64)


def neighbours(blocks: Sequence[Block], dropped: str, span: tuple[int, int]) -> np.ndarray:
    """Pairs of documents that share a band in this range, as later << 32 | earlier, uint64, unique.

    Of those that share one, each is paired with the first and with the one before it: as many pairs as documents.
    """
    gone, bands, documents = np.load(dropped, mmap_mode="r"), [], []
    for block in blocks:
        keys = block.array("band")
        part = slice_of(keys, span)
        bands.append(np.array(keys[part]))
        documents.append(block.array("of")[part].astype(np.uint64) + np.uint64(block.first))
    bands, documents = np.concatenate([*bands, np.empty(0, np.uint64)]), np.concatenate([*documents, []]).astype("<u8")
    alive = ~np.asarray(gone[documents.astype(np.int64)])
    bands, documents = bands[alive], documents[alive]
    order = np.argsort(bands, kind="stable")  # which keeps documents in order, and finds the blocks sorted
    bands, documents = bands[order], documents[order]
    same = np.zeros(len(bands), bool)
    same[1:] = bands[1:] == bands[:-1]
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(bands))))
    later, here = documents[same], np.flatnonzero(same)
    pairs = np.concatenate([(later << np.uint64(32)) | documents[first[here]],
                            (later << np.uint64(32)) | documents[here - 1]])  # fmt: skip
    return np.unique(pairs[(pairs >> np.uint64(32)) != (pairs & np.uint64(0xFFFFFFFF))])


def true(blocks: Sequence[Block], threshold: float, pairs: np.ndarray) -> np.ndarray:
    """The true similarity of each pair (documents), 0 where the sketches already say that it is far below."""
    numbers, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    sketches = gathered(blocks, numbers, lambda block, rows: block.array("sketch")[rows])
    sketches = np.concatenate([*sketches, np.empty((0, signatures.PLACES), np.uint32)])
    likely = (sketches[places[:, 0]] == sketches[places[:, 1]]).mean(axis=1) >= threshold - FAR_BELOW
    wanted = np.unique(places[likely])
    texts = [text for part in gathered(blocks, numbers[wanted], partial(values_of, key="text")) for text in part]
    truth = np.zeros(len(pairs))
    truth[likely] = signatures.similarities(texts, np.searchsorted(wanted, places[likely]))
    return truth


def gathered(blocks: Sequence[Block], numbers: np.ndarray, get: Callable) -> list:
    """get(block, rows) of every block that holds some of these documents (sorted numbers), in order."""
    found, firsts = [], np.array([block.first for block in blocks] + [np.iinfo(np.int64).max])
    borders = np.searchsorted(numbers, firsts)
    for block, begin, end in zip(blocks, borders, borders[1:], strict=False):
        if begin < end:
            found.append(get(block, numbers[begin:end] - block.first))
    return found


def values_of(block: Block, rows: np.ndarray, key: str) -> list[str]:
    """What stands at a key of some documents of a block."""
    offsets = block.array("offset")
    values = []
    with open(f"{block.path}.docs.jsonl", "rb") as file:
        for row in rows.tolist():
            file.seek(int(offsets[row]))
            values.append(json.loads(file.read(int(offsets[row + 1] - offsets[row])))[key])
    return values
