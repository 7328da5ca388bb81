"""Texts as numbers that can be compared: shingles, sketches, digests; whole batches at once, with numpy only.

A unit is a word, or one character in scripts that write no spaces between words (Chinese, Japanese, Thai ...), after
compatibility forms and case are folded. A shingle is five units in a row, as one 64-bit hash. A sketch holds, of all
of a text's shingle hashes, the smallest in each of 125 equal ranges (one-permutation MinHash; Li, Owen, Zhang 2012),
an empty range borrowing from the next one (Shrivastava and Li 2014): two texts agree in about as many places as their
shingles do (Jaccard). The same text gives the same numbers on every machine. Knows no documents and no files.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

SHINGLE = 5
BANDS, ROWS = 25, 5  # finds a pair of similarity 0.8 with probability 0.9999, of 0.7 with 0.99
PLACES = BANDS * ROWS
LINE = 8  # a line counts from four words on (2 each), or eight characters of scripts without spaces (1 each)
AT_ONCE = 1 << 18  # characters in one pass: the arrays of a pass stay in the processor's cache
MIX, FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
UNSPACED = (  # Thai, Lao, Myanmar, Khmer, kana, Han
    (0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x3400, 0x4DC0), (0x4E00, 0xA000),
    (0xF900, 0xFB00),
)  # fmt: skip
LETTER, ALONE, CODE = np.uint32(1 << 30), np.uint32(1 << 31), np.uint32((1 << 30) - 1)


class Units(NamedTuple):
    """The units of a batch of texts, in order."""

    hashes: np.ndarray
    """(units,) uint64."""
    weights: np.ndarray
    """(units,) 2 for a word, 1 for a character that is a unit."""
    texts: np.ndarray
    """(texts + 1,) how many units stand before each text."""
    lines: np.ndarray
    """(lines + 1,) how many units stand before each line."""


def units(texts: Sequence[str]) -> list[Units]:
    """The units of all texts, in batches."""
    return [_units(batch) for batch in _batches(texts)]


def shingles(batches: Iterable[Units]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 of all texts one after the other, starts (texts + 1,)); not unique.

    A text of fewer than five units has one shorter shingle, one without words has none.
    """
    parts, counts = [np.empty(0, np.uint64)], [np.zeros(1, np.int64)]
    for batch in batches:
        hashes, number = _shingles(batch)
        parts.append(hashes)
        counts.append(number)
    return np.concatenate(parts), np.cumsum(np.concatenate(counts))


def lines(batches: Iterable[Units]) -> np.ndarray:
    """(lines of all texts,) uint64: a signature of each line by its units in their order; 0 for a short line.

    A line is what stands between two line ends, in prose mostly a paragraph. Short: fewer than four words, or than
    eight characters of scripts without spaces. Case, white space and signs do not matter.
    """
    return np.concatenate([np.empty(0, np.uint64), *map(_lines, batches)])


def sketches(hashes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(texts, PLACES) uint32 of what `shingles` gave; all zeros for a text without words."""
    count = len(starts) - 1
    owner = np.repeat(np.arange(count, dtype=np.uint64), np.diff(starts))
    high = hashes >> HALF  # 0 .. 2**32
    keys = np.sort(((owner * np.uint64(PLACES) + (high * np.uint64(PLACES) >> HALF)) << HALF) | (hashes & LOW))
    place = (keys >> HALF).astype(np.int64)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    found, full = np.zeros(count * PLACES, np.uint32), np.zeros(count * PLACES, bool)
    found[place[first]] = (keys[first] & LOW).astype(np.uint32)
    full[place[first]] = True
    return _lent(found.reshape(count, PLACES), full.reshape(count, PLACES))


def band_keys(sketch: np.ndarray) -> np.ndarray:
    """(texts, BANDS) uint64: texts that share one may be near. Places of a band lie far from each other."""
    keys = np.empty((len(sketch), BANDS), np.uint64)
    for band in range(BANDS):
        key = np.full(len(sketch), band + 1, np.uint64)
        for row in range(ROWS):
            key = _mixed(key, sketch[:, row * BANDS + band].astype(np.uint64))
        keys[:, band] = key
    return keys


def codes(text: str) -> np.ndarray:
    """The code points of a text: uint8 where all are ASCII, uint32 else."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def digest(text: bytes) -> bytes:
    """16 bytes that only texts (UTF-8) with the same signs in the same order share, whatever the white space."""
    if not text.isascii():
        text = text.replace(b"\xe3\x80\x80", b"").replace(b"\xc2\xa0", b"")  # the space of Chinese, the one that holds
    return hashlib.blake2b(text.translate(None, b" \t\n\r\v\f"), digest_size=16).digest()


def similarity(one: str, other: str) -> float:
    """The true Jaccard similarity of two texts' shingles, 0 .. 1; 0 where one has no words."""
    return float(similarities([one, other], np.array([[0, 1]]))[0])


def similarities(texts: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """(pairs,) the true similarity of each pair of texts; pairs (pairs, 2): numbers of texts."""
    hashes, starts = shingles(units(texts))
    # of a hash its lower half: with a text's number beside it, all is sorted at once. Two shingles that agree in it by
    # chance are fewer than one in a thousand even where a text has a million
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(starts))
    found = np.sort(owner << HALF | hashes & LOW)
    found = found[np.diff(found, prepend=~found[:1]) != 0]
    borders = np.searchsorted(found, np.arange(len(texts) + 1, dtype=np.uint64) << HALF)
    sizes = np.diff(borders)[pairs]  # (pairs, 2)
    both = [_taken(found & LOW, borders[pairs[:, side]], sizes[:, side]) for side in (0, 1)]
    both = np.sort(np.concatenate(both))
    equal = both[1:][both[1:] == both[:-1]] >> HALF
    shared = np.bincount(equal.astype(np.int64), minlength=len(pairs))
    return shared / np.maximum(sizes.sum(axis=1) - shared, 1)


def _taken(values: np.ndarray, begins: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of each stretch its values, below the number of the stretch in the upper half."""
    ends = np.cumsum(sizes)
    stretch = np.repeat(np.arange(len(sizes)), sizes)
    places = np.arange(len(stretch)) + (begins - ends + sizes)[stretch]
    return stretch.astype(np.uint64) << HALF | values[places]


def _batches(texts: Sequence[str]):
    batch, size = [], 0
    for text in texts:
        if batch and size + len(text) > AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield batch


def _shingles(batch: Units) -> tuple[np.ndarray, np.ndarray]:
    """Of a few texts: hashes, and how many each has."""
    count = np.diff(batch.texts)
    owner = np.repeat(np.arange(len(count)), count)
    if len(batch.hashes) < SHINGLE or count.min() < SHINGLE:
        return _with_short(batch.hashes, owner, count)
    return _windows(batch.hashes, owner, SHINGLE), count - SHINGLE + 1


def _with_short(hashes: np.ndarray, owner: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As _shingles where some texts have fewer units than a shingle."""
    ends, parts, before = np.cumsum(count), [], 0
    long = np.repeat(count >= SHINGLE, count)
    windows = _windows(hashes[long], owner[long], SHINGLE)
    whole = np.where(count >= SHINGLE, count - SHINGLE + 1, 0)
    borders = np.concatenate([[0], np.cumsum(whole)])
    for text in np.flatnonzero((count > 0) & (count < SHINGLE)).tolist():
        own = hashes[ends[text] - count[text] : ends[text]]
        parts += [windows[borders[before] : borders[text]], _windows(own, None, len(own))]
        before = text
    return np.concatenate([*parts, windows[borders[before] :]]), np.where(whole, whole, np.minimum(count, 1))


def _windows(units: np.ndarray, owner: np.ndarray | None, length: int) -> np.ndarray:
    """Hashes of every `length` units in a row that belong to one text."""
    count = max(len(units) - length + 1, 0)
    key = np.zeros(count, np.uint64)
    for step in range(length):
        key = _mixed(key, units[step : step + count])
    return key if owner is None else key[owner[:count] == owner[length - 1 :]]


def _mixed(key: np.ndarray, more: np.ndarray) -> np.ndarray:
    key = (key ^ more) * MIX
    key ^= key >> HALF
    return key


def mixed(keys: np.ndarray) -> np.ndarray:
    """The same keys with all their bits mixed."""
    return _mixed(keys * FACTOR, keys)


def _lines(batch: Units) -> np.ndarray:
    """Of a few texts."""
    count = len(batch.hashes)
    power, inverse = powers(count + 1)
    sums, weights = np.zeros(count + 1, np.uint64), np.zeros(count + 1, np.int64)
    np.cumsum(batch.hashes * power[:count], out=sums[1:])
    np.cumsum(batch.weights, out=weights[1:])
    found = np.diff(sums[batch.lines]) * inverse[batch.lines[:-1]]
    found = mixed(found) | np.uint64(1)
    return np.where(np.diff(weights[batch.lines]) >= LINE, found, np.uint64(0))


def _units(texts: list[str]) -> Units:
    joined = "\n".join([*texts, ""])
    hashes, places, alone, ends = _found(joined)
    borders = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    return Units(hashes, np.where(alone, 1, 2), _before(places, borders), _before(places, ends))


def _before(places: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.searchsorted(places, ends)])


def _found(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(hash of each unit uint64, where it begins, whether it is one character by itself), and where lines end."""
    if text.isascii():  # letters and digits alone are left, in lower case: no character is a unit by itself
        data = text.encode("ascii")
        known = np.frombuffer(data.translate(_ascii()), np.uint8)
        letter, alone, codes = known != 0, None, np.frombuffer(data, np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
        known = _known(codes)
        letter, alone = known & LETTER != 0, known & ALONE != 0
        known &= CODE
    begins = letter.copy()
    begins[1:] &= ~letter[:-1]
    if alone is not None:
        begins |= alone
    places = np.flatnonzero(begins)
    power, inverse = powers(len(known) + 1)
    sums = np.zeros(len(known) + 1, np.uint64)  # what belongs to no unit adds nothing
    np.cumsum(known * power[: len(known)], out=sums[1:])
    units = np.diff(sums[places], append=sums[-1]) * inverse[places]
    single = np.zeros(len(places), bool) if alone is None else alone[places]
    return mixed(units), places, single, np.flatnonzero(codes == 10)


@cache
def _ascii() -> bytes:
    """Of each byte the folded letter or digit, 0 for all others."""
    return bytes((_table()[:256] & CODE).astype(np.uint8))


def _known(codes: np.ndarray) -> np.ndarray:
    """Of each code point the folded one and the sign of its kind, uint32; 0 where it belongs to no unit."""
    known = _table().take(codes, mode="clip")
    if codes.max(initial=0) >= 0x10000:
        wide = np.flatnonzero(codes >= 0x10000)
        known[wide] = codes[wide] | np.where(codes[wide] >= 0x20000, ALONE, LETTER)
    return known


@cache
def _table() -> np.ndarray:
    """(65,537,) uint32: what _known gives for each code point of the first plane, the last for all beyond it."""
    known = np.zeros(0x10001, np.uint32)
    for code in range(0x10000):
        sign = unicodedata.normalize("NFKC", chr(code)).casefold()
        if chr(code).isalnum() or code == 0x5F:
            known[code] = LETTER | np.uint32(ord(sign) if len(sign) == 1 else code)
    for begin, end in UNSPACED:
        known[begin:end] ^= np.where(known[begin:end], LETTER | ALONE, 0).astype(np.uint32)
    return known


def powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers of an odd number, and of its inverse, modulo 2**64: at least `count` of each."""
    return _powers_of(1 << max(count - 1, AT_ONCE).bit_length())


@cache
def _powers_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    inverse = np.uint64(pow(int(FACTOR), -1, 1 << 64))
    found = []
    for base in (FACTOR, inverse):
        powers = np.full(count, base)
        powers[0] = 1
        found.append(np.multiply.accumulate(powers))
    return found[0], found[1]


def _lent(found: np.ndarray, full: np.ndarray) -> np.ndarray:
    """Empty places take what stands in the next full one, going round; rows without any stay zero."""
    lacking = np.flatnonzero(~full.all(axis=1) & full.any(axis=1))
    if len(lacking):
        place = np.where(full[lacking], np.arange(PLACES, dtype=np.int16), np.int16(PLACES))
        nearest = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
        nearest = np.where(nearest < PLACES, nearest, nearest[:, :1])
        found[lacking] = found[lacking].ravel()[nearest + (np.arange(len(lacking)) * PLACES)[:, None]]
    return found
