"""Lines that many documents share: the halves that know one document at a time.

    signatures(text) -> np.ndarray (lines that are long enough,) uint64     in their order, repetitions included
    without(text, common) -> (text, removed)                                the lines whose signature is in common
    once(text) -> (text, removed)                                           later repetitions within one text

Whoever sees all documents counts the distinct signatures of each and hands back those that are in too many: notes on
cookies, "share this page", licences. A line is what stands between two line ends, in prose mostly a paragraph; case
and white space do not matter. Not for code: there the same line in many files is how the language is written.
The same line has the same signature on every machine and in every run.
"""

import hashlib
import re
from collections.abc import Callable

import numpy as np

LEAST = 24
"""Bytes in UTF-8 from which a line counts: four English words or eight Chinese characters."""
BLANK_LINES = re.compile("\n{4,}")
WORDY = re.compile(r"[^\W_]")


def signature(line: str, least: int = LEAST) -> int | None:
    """A number for one line, the same for lines that differ in case and white space only; None for a short one."""
    if len(line) * 4 < least:
        return None
    data = " ".join(line.split()).casefold().encode("utf-8", errors="surrogatepass")
    if len(data) < least or not WORDY.search(line):
        return None
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def signatures(text: str, least: int = LEAST) -> np.ndarray:
    """(lines,) uint64: the signatures of all lines of at least `least` bytes; rules of dashes have none."""
    found = [number for line in text.split("\n") if (number := signature(line, least)) is not None]
    return np.array(found, dtype=np.uint64)


def without(text: str, common: set[int] | np.ndarray, least: int = LEAST) -> tuple[str, int]:
    """The text without the lines whose signature is in `common`, and how many those are.

    common: a set of numbers, or a sorted array of uint64 where there are very many.
    """
    if not len(common):
        return text, 0
    return _filtered(text, _among(common), least)


def once(text: str, least: int = 8 * LEAST) -> tuple[str, int]:
    """The text without paragraphs that stand in it before, and how many those are; the first of each stays.

    Only long ones: the refrain of a song and the line that opens every scene belong where they are.
    """
    seen: set[int] = set()

    def again(number: int) -> bool:
        known = number in seen
        seen.add(number)
        return known

    return _filtered(text, again, least)


def _filtered(text: str, unwanted: Callable[[int], bool], least: int) -> tuple[str, int]:
    lines = text.split("\n")
    kept = [line for line in lines if (number := signature(line, least)) is None or not unwanted(number)]
    removed = len(lines) - len(kept)
    # what stood around a removed line is no longer apart: at most two blank lines, none at the ends
    return (BLANK_LINES.sub("\n\n\n", "\n".join(kept)).strip("\n"), removed) if removed else (text, 0)


def _among(common: set[int] | np.ndarray) -> Callable[[int], bool]:
    if isinstance(common, np.ndarray):

        def known(number: int) -> bool:
            place = int(np.searchsorted(common, np.uint64(number)))
            return place < len(common) and int(common[place]) == number

        return known
    return common.__contains__
