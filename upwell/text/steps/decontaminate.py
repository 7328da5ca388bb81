"""Decontamination: a document that holds a piece of an evaluation set is left out, or the evaluation measures memory.

A piece is an n-gram: 13 words in a row (Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C), and
20 characters in a row of Chinese, Japanese and Thai, which is about as much said. Case, punctuation, white space and
compatibility forms do not count. Shorter texts of an evaluation set are looked for whole, from 8 words or 12
characters on. What stands in many different texts of one set is its way of asking and gives nothing away.

Only words of the evaluation sets are numbered, all others are 0. Eight numbers in a row make the key of what begins
there; a table of bits knows all keys of the evaluation sets, and only where it says yes is the whole piece compared.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path

import numpy as np

from upwell.text import Document, Dropped, evaluation_sets
from upwell.text.clean import UNUSUAL, beyond_ascii

REASON = "in an evaluation set"
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
CHARACTERS = re.compile(f"[{UNSPACED}]")
# What stands between words beyond ASCII: signs, punctuation, emoji, and the scripts whose characters are units.
BETWEEN = re.compile(
    "[\x80-\xa9\xab-\xb1\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u02c2-\u02df\u055a-\u055f\u05be-\u05c0\u060c\u061b-\u061f"
    f"\u06d4\u0964\u0965\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u303f\ufe10-\ufe6f\ufffd\U0001f000-\U0001faff{UNSPACED}]+"
)
WORD_BYTES = bytes(value if chr(value).isalnum() or value > 0x7F else 0x20 for value in bytes(range(256)).lower())
FEWEST_BITS, MOST_BITS = 20, 27
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Settings:
    """Which evaluation sets, and how much of one a document may hold."""

    against: tuple[Path, ...] = ()
    """Evaluation sets: JSON lines, JSON, Parquet or CSV (all strings in them), or text (paragraphs); packed or not."""
    words: int = 13
    """Words in a row that are a piece of an evaluation set."""
    characters: int = 20
    """The same for scripts without spaces between words."""
    shortest: float = 0.6
    """Texts of an evaluation set below that are looked for whole, down to this share of the numbers above."""
    least: int = 1
    """Pieces that a document must share to be left out."""
    most_texts: int = 5
    """A piece in more different texts of one set than this is its way of asking, and does not count."""

    def __post_init__(self):
        if self.words < 2 or self.characters < 2 or self.least < 1 or self.most_texts < 1:
            raise ValueError("words and characters must be at least 2, least and most_texts at least 1")
        if not 0 < self.shortest <= 1:
            raise ValueError(f"shortest is {self.shortest}; expected a share above 0 and up to 1, as 0.6")


def step(settings: Settings) -> Callable[[Document], Document | Dropped]:
    """Document -> the same document; Dropped "in an evaluation set", with the file, the place and the piece.

    Raises DataError for an evaluation set that cannot be read.
    """
    files = evaluation_sets.files(settings.against)
    tables = _tables(settings, tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))

    def check(document: Document) -> Document | Dropped:
        text = _plain(document.text)
        shared, first = 0, ""
        for table in tables:
            found, detail = table.shared(text)
            shared, first = shared + found, first or detail
        return Dropped(document, REASON, first) if shared >= settings.least else document

    return check if tables else lambda document: document


@lru_cache(maxsize=1)
def _tables(settings: Settings, files: tuple[tuple[Path, int, int], ...]) -> list["_Table"]:
    """What is looked up, made once in a process. files: path, size and time of change of each."""
    texts = [text for path, *_ in files for text in evaluation_sets.texts(path)]
    tables = [
        _table(texts, _words, settings.words, settings),
        _table(texts, _characters, settings.characters, settings),
    ]
    return [table for table in tables if table.pieces]


def _plain(text: str) -> str:
    """Without compatibility forms and, beyond ASCII, without case; looked at first, since most texts have neither."""
    rest = beyond_ascii(text)
    if UNUSUAL.search(rest) or not unicodedata.is_normalized("NFKC", rest):
        return unicodedata.normalize("NFKC", text).casefold()
    return text if rest == rest.casefold() else text.casefold()


def _words(text: str) -> list[bytes]:
    """The words of a plain text: letters and digits in a row, in small letters, as UTF-8."""
    text = text if text.isascii() else BETWEEN.sub(" ", text)
    return text.encode("utf-8", errors="surrogatepass").translate(WORD_BYTES).split()


def _characters(text: str) -> list[bytes]:
    """The characters of scripts without spaces, as UTF-8; nothing else."""
    return [] if text.isascii() else [char.encode() for char in CHARACTERS.findall(beyond_ascii(text))]


# ---- n-grams ----


@dataclass(frozen=True)
class _Table:
    """The pieces of all evaluation sets, over one kind of unit."""

    units: Callable[[str], list[bytes]]
    numbers: dict[bytes, int]
    """Unit -> a random-looking 64-bit number, never 0."""
    doublings: int
    """A key is of 2 ** doublings units."""
    pieces: dict[int, tuple[np.ndarray, np.ndarray]]
    """Length -> the pieces of that length (sorted uint64), and the number of the text of each."""
    bits: np.ndarray
    """(2 ** n,) bool: true at the first n and at the last n bits of each key that begins a piece (a Bloom filter)."""
    places: tuple[str, ...]

    def shared(self, text: str) -> tuple[int, str]:
        """How many pieces of the text are in the table, and the first of them after its place."""
        units = self.units(text)
        if len(units) < min(self.pieces):
            return 0, ""
        numbers = np.fromiter(map(self.numbers.get, units, repeat(0)), dtype=np.uint64, count=len(units))
        keys = _keys(numbers, self.doublings)
        likely = self.bits[_places_in(self.bits, keys)].nonzero()[0]
        likely = likely[self.bits[_more_places_in(self.bits, keys[likely])]]
        total, detail = 0, ""
        for length, (pieces, owners) in self.pieces.items() if len(likely) else ():
            starts = likely[likely <= len(numbers) - length]
            mine = _grams(numbers, starts, length)
            found = np.minimum(np.searchsorted(pieces, mine), len(pieces) - 1)
            hits = np.flatnonzero(pieces[found] == mine)
            total += len(hits)
            if len(hits) and not detail:
                start = int(starts[hits[0]])
                piece = (b"" if self.units is _characters else b" ").join(units[start : start + length])
                place = self.places[int(owners[found[hits[0]]])]
                detail = f"{place}: {piece.decode('utf-8', errors='replace')}"
        return total, detail


def _table(
    texts: list[tuple[str, str]], units: Callable[[str], list[bytes]], length: int, settings: Settings
) -> _Table:
    numbers: dict[bytes, int] = {}
    sequences, places, seen = [], [], set()
    shortest = max(2, round(settings.shortest * length))
    for place, text in texts:
        found = tuple(units(_plain(text)))
        if len(found) < shortest or found in seen:
            continue
        seen.add(found)  # a passage under many questions is one text
        for unit in found:
            numbers.setdefault(unit, _mixed(len(numbers) + 1))
        sequences.append(np.array([numbers[unit] for unit in found], dtype=np.uint64))
        places.append(place)
    doublings = min(3, shortest.bit_length() - 1)
    pieces, keys = _pieces(sequences, length, doublings, settings.most_texts)
    bits = np.zeros(1 << min(max(FEWEST_BITS, (32 * len(keys)).bit_length()), MOST_BITS), dtype=bool)
    bits[_places_in(bits, keys)] = bits[_more_places_in(bits, keys)] = True
    return _Table(units, numbers, doublings, pieces, bits, tuple(places))


def _pieces(sequences: list[np.ndarray], length: int, doublings: int, most_texts: int):
    """Length -> (pieces of that length, the first text of each); and the keys of all. Without a set's way of asking."""
    pieces, keys = {}, [np.zeros(0, dtype=np.uint64)]
    by_size: dict[int, list[int]] = {}
    for number, sequence in enumerate(sequences):
        by_size.setdefault(min(length, len(sequence)), []).append(number)
    for size, members in sorted(by_size.items()):
        # the same piece twice in one text counts once
        firsts = [np.unique(_all_grams(sequences[number], size), return_index=True) for number in members]
        begin = [_keys(sequences[number], doublings)[at] for number, (_, at) in zip(members, firsts, strict=True)]
        owners = np.repeat(members, [len(grams) for grams, _ in firsts])
        everything = np.concatenate([grams for grams, _ in firsts])
        found, first, count = np.unique(everything, return_index=True, return_counts=True)
        few = count <= most_texts
        if few.any():
            pieces[size] = found[few], owners[first][few]
            keys.append(np.concatenate(begin)[first][few])
    return pieces, np.concatenate(keys)


def _mixed(number: int) -> int:
    """A number with its bits spread over 64 (the finaliser of splitmix64: Steele, Lea, Flood 2014)."""
    number = number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return (number ^ number >> 31) or 1


def _keys(numbers: np.ndarray, doublings: int) -> np.ndarray:
    """The key of 2 ** doublings units that begins at each unit (uint64), by joining two halves at a time."""
    for step in range(doublings):
        half = 1 << step
        numbers = (numbers[:-half] * MIX ^ numbers[half:]) if len(numbers) > half else numbers[:0]
        numbers = (numbers ^ numbers >> np.uint64(29)) * MIX
    return numbers


def _places_in(bits: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return keys >> np.uint64(65 - len(bits).bit_length())


def _more_places_in(bits: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return keys & np.uint64(len(bits) - 1)


def _grams(numbers: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Hashes (uint64) of the `length` units that begin at each start."""
    combined = np.zeros(len(starts), dtype=np.uint64)
    for place in range(length):
        combined = (combined ^ numbers[starts + place]) * MIX
        combined ^= combined >> np.uint64(32)
    return combined


def _all_grams(numbers: np.ndarray, length: int) -> np.ndarray:
    return _grams(numbers, np.arange(len(numbers) - length + 1), length)
