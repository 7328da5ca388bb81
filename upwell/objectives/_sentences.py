"""Where sentences begin in text, and in a store of tokens: an index computed once.

English and Chinese signs end a sentence, and so does the end of a line. It works on UTF-8 bytes, since that is what the
tokens of every vocabulary stand for. It knows no objective.
"""

import hashlib
import re
from pathlib import Path

import numpy as np

from upwell.atomic import new_file
from upwell.errors import DataError
from upwell.tokens.store import Store

from ._spelling import Spelling

AT_ONCE = 1 << 20  # tokens
CHINESE = b"(?:" + b"|".join(sign.encode() for sign in "。！？…") + b")"
CLOSING = b"(?:[\"')\\]]|" + b"|".join(sign.encode() for sign in "”’」』）》】") + b")"
STOP = re.compile(
    rb"(?<![.!?])[.!?]+" + CLOSING + rb"*(?:[ \t]{0,9}[\r\n]\s*|(?=\s))|"
    + CHINESE + rb"(?: ?" + CHINESE + rb")*(?: ?" + CLOSING + rb")*|[\r\n]\s*"
)
SHORT = frozenset(
    b"mr mrs ms dr st prof gen col lt sgt capt rev hon sen rep gov jr sr vs etc no vol fig pp ed eds approx dept est "
    b"inc ltd co corp cf al ca jan feb mar apr jun jul aug sep sept oct nov dec i.e e.g u.s u.k".split()
)


def borders(text: bytes, cased: bool = True) -> list[int]:
    """Where sentences end in UTF-8 text: offsets of the first byte behind each, the end of the text left out.

    cased: whether the text still has its capital letters; then a small letter begins no sentence.
    """
    found = []
    for stop in STOP.finditer(text):
        end = stop.end()
        if end < len(text) and (text[stop.start()] != 0x2E or _ends(text, stop, cased)):
            found.append(end)
    return found


def _ends(text: bytes, stop: re.Match, cased: bool) -> bool:
    """Whether a full stop ends a sentence, and not an abbreviation, an initial or a number."""
    after = text[stop.end() : stop.end() + 4].lstrip()[:1]
    before = text[max(0, stop.start() - 12) : stop.start()].split()
    word = before[-1].lower().lstrip(b"(\"'") if before else b""
    if cased and after.islower() or after.isdigit() and word[-1:].isdigit():
        return False
    return not (len(word) == 1 and word.isalpha() or word in SHORT)


def index(store: Store, spelling: Spelling, longest: int, cache: Path | None) -> np.ndarray:
    """The first token of every sentence of a store, int64, rising; what is longer than `longest` tokens is divided.

    Kept in `cache` as a memory-mapped file under the hash of what it was made from.
    """
    return kept(cache, f"sentences {store.sha256} {spelling.tokenizer.hash} {longest}",
                lambda: _index(store, spelling, longest))  # fmt: skip


def kept(cache: Path | None, what: str, made) -> np.ndarray:
    """made() -> an array, from the cache where it stands there under this description, into it where not."""
    if cache is None:
        return made()
    path = Path(cache) / f"{what.split()[0]}-{hashlib.sha256(what.encode()).hexdigest()[:24]}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as partial, open(partial, "wb") as file:
            np.save(file, made(), allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _index(store: Store, spelling: Spelling, longest: int) -> np.ndarray:
    parts = []
    for first, last in blocks(store):
        begin, end = int(store.starts[first]), int(store.starts[last])
        ids = store.read(begin, end)
        text, places = spelling.text(ids)
        starts = np.asarray(store.starts[first:last]) - begin
        found = np.searchsorted(places[:-1], borders(text, spelling.cased), side="left")
        found = found[found < len(ids)]
        marked = np.zeros(len(ids) + 1, dtype=bool)
        marked[found] = marked[starts + 1] = True
        marked[starts] = marked[-1] = False  # the end token that begins a document is no part of a sentence
        parts.append(_divided(np.flatnonzero(marked), len(ids), longest) + begin)
    found = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    if not len(found):
        raise DataError(f"{store.folder} holds no sentence: all its documents are empty; add text.")
    return found


def blocks(store: Store) -> list[tuple[int, int]]:
    """(first document, last + 1) of blocks of about AT_ONCE tokens."""
    marks = np.searchsorted(store.starts, np.arange(0, len(store) + AT_ONCE, AT_ONCE))
    marks = np.unique(np.minimum(marks, store.documents)).tolist()
    return list(zip(marks[:-1], marks[1:], strict=True))


def _divided(starts: np.ndarray, end: int, longest: int) -> np.ndarray:
    """Starts of sentences with more between them where one is longer than `longest`, in even pieces."""
    lengths = np.diff(np.append(starts, end))
    pieces = -(-lengths // longest)
    inside = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.repeat(starts, pieces) + inside * np.repeat(lengths, pieces) // np.repeat(pieces, pieces)
