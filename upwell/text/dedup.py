"""Which texts repeat an earlier one, exactly or nearly.

Exactly: the same words and signs, whatever the white space. Nearly: the Jaccard similarity of their shingles is
at least the threshold. A shingle is five units in a row; a unit is a word, or one character in scripts that
write no spaces between words (Chinese, Japanese, Thai ...), so one rule serves all languages. Candidates come
from MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3);
each is then checked by its true similarity, so that nothing is called a repetition by bad luck. The first
occurrence is kept. The same texts in the same order give the same result on every machine.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from upwell.text import Document, Dropped

SHINGLE = 5
BANDS, ROWS = 20, 6  # finds a pair of similarity 0.8 with probability 0.998, of 0.7 with 0.92
FAR_BELOW = 0.2  # how far a sketch's estimate may lie under the truth: more than 4 standard deviations
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
UNITS = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}]+")


@dataclass(frozen=True)
class Repeat:
    """A text that repeats the text numbered `first`; similarity 1.0 for an exact repetition."""

    first: int
    similarity: float
    exact: bool


def unique(
    documents: Sequence[Document], threshold: float = 0.8, progress: Callable[[int], None] | None = None
) -> tuple[list[Document], list[Dropped]]:
    """The documents that repeat no earlier one, and the others with the reason; see `duplicates`."""
    repeats = duplicates([document.text for document in documents], threshold, progress)
    kept = [document for number, document in enumerate(documents) if number not in repeats]
    dropped = []
    for number, repeat in repeats.items():
        reason = "repetition" if repeat.exact else "near repetition"
        detail = f"of {documents[repeat.first].source}, similarity {repeat.similarity:.2f}"
        dropped.append(Dropped(documents[number], reason, detail))
    return kept, dropped


def duplicates(
    texts: Sequence[str], threshold: float = 0.8, progress: Callable[[int], None] | None = None
) -> dict[int, Repeat]:
    """Number of each text that repeats an earlier, kept one -> Repeat. threshold 1.0: exact ones only.

    progress: called now and then with the number of texts sketched. Memory: about 700 bytes a text beside texts.
    """
    found = _exact(texts)
    if threshold < 1.0:
        numbers = [number for number in range(len(texts)) if number not in found]
        found |= _near(texts, numbers, threshold, progress)
    return dict(sorted(found.items()))


def similarity(one: str, other: str) -> float:
    """The true Jaccard similarity of two texts' shingles, 0 .. 1; 0 where one has no words."""
    return _jaccard(*(np.unique(_Shingler()(text)) for text in (one, other)))


def _exact(texts: Iterable[str]) -> dict[int, Repeat]:
    first_with, found = {}, {}
    for number, text in enumerate(texts):
        words = " ".join(text.split()).encode("utf-8", errors="surrogatepass")
        first = first_with.setdefault(hashlib.blake2b(words, digest_size=16).digest(), number)
        if first != number:
            found[number] = Repeat(first, 1.0, exact=True)
    return found


def _near(
    texts: Sequence[str], numbers: list[int], threshold: float, progress: Callable[[int], None] | None
) -> dict[int, Repeat]:
    shingles_of, found, kept_in = _Shingler(), {}, {}
    sketches, numbers = _sketches(texts, numbers, shingles_of, progress)
    groups = _groups(sketches)
    for row in np.flatnonzero((groups >= 0).any(axis=1)).tolist():
        mine = groups[row][groups[row] >= 0].tolist()
        candidates = sorted({other for group in mine for other in kept_in.get(group, ())})
        match = _first_match(texts, numbers, sketches, row, candidates, threshold, shingles_of)
        if match:
            found[numbers[row]] = match
            continue
        for group in mine:
            kept_in.setdefault(group, []).append(row)
    return found


def _first_match(texts, numbers, sketches, row, candidates, threshold, shingles_of) -> Repeat | None:
    """The earliest candidate (rows of sketches) that is truly similar enough."""
    if not candidates:
        return None
    estimates = (sketches[candidates] == sketches[row]).mean(axis=1)
    mine = np.unique(shingles_of(texts[numbers[row]]))
    for candidate in np.array(candidates)[estimates >= threshold - FAR_BELOW].tolist():
        truth = _jaccard(mine, np.unique(shingles_of(texts[numbers[candidate]])))
        if truth >= threshold:
            return Repeat(numbers[candidate], truth, exact=False)
    return None


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / max(len(one) + len(other) - both, 1)


class _UnitHashes(dict):
    """Unit -> 64-bit hash, worked out where it is first asked for."""

    def __missing__(self, unit: str) -> int:
        digest = hashlib.blake2b(unit.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
        self[unit] = found = int.from_bytes(digest, "little")
        return found


class _Shingler:
    """Text -> hashes of its shingles (uint64, not unique), one shorter shingle where it has too few units."""

    def __init__(self):
        self.known = _UnitHashes()

    def __call__(self, text: str) -> np.ndarray:
        text = text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
        units = UNITS.findall(text)
        hashes = np.fromiter(map(self.known.__getitem__, units), dtype=np.uint64, count=len(units))
        length = min(SHINGLE, len(hashes))
        count = len(hashes) - length + 1 if length else 0
        combined = np.zeros(count, dtype=np.uint64)
        for step in range(length):
            combined = (combined ^ hashes[step : step + count]) * np.uint64(0x9E3779B97F4A7C15)
            combined ^= combined >> np.uint64(32)
        return combined


def _sketches(texts, numbers, shingles_of, progress) -> tuple[np.ndarray, list[int]]:
    """MinHash sketches (texts with words, BANDS * ROWS) uint32, and the numbers of those texts."""
    rng = np.random.default_rng(0x5EED)
    scale = rng.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32) | np.uint32(1)
    shift = rng.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32)
    sketches, kept = np.empty((len(numbers), BANDS * ROWS), dtype=np.uint32), []
    for place, number in enumerate(numbers):
        if len(shingles := shingles_of(texts[number])):
            sketches[len(kept)] = _smallest(shingles, scale, shift)
            kept.append(number)
        if progress and place % 1000 == 0:
            progress(place)
    return sketches[: len(kept)], kept


def _smallest(shingles: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The smallest value of each of many hash functions (odd multiplier, shift) over the shingles."""
    shingles = shingles.astype(np.uint32)  # half the width is four times the speed; the truth is checked later
    smallest = np.full(len(scale), np.iinfo(np.uint32).max, dtype=np.uint32)
    for first in range(0, len(shingles), 256):  # blocks that stay in the processor's cache
        block = shingles[first : first + 256, None] * scale + shift
        np.minimum(smallest, block.min(axis=0), out=smallest)
    return smallest


def _groups(sketches: np.ndarray) -> np.ndarray:
    """(texts, BANDS) int64: a number that texts with the same band share, -1 where no other text shares it."""
    groups = np.full((len(sketches), BANDS), -1, dtype=np.int64)
    for band in range(BANDS):
        columns = np.ascontiguousarray(sketches[:, band * ROWS : (band + 1) * ROWS])
        keys = columns.view(np.dtype((np.void, columns.itemsize * ROWS))).ravel()
        _, number, count = np.unique(keys, return_inverse=True, return_counts=True)
        shared = count[number] > 1
        groups[shared, band] = number[shared] + band * len(sketches)
    return groups
