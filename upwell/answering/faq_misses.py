"""The log of what was not answered, and what its owner can make of it: entries that are missing.

    with Misses(path) as misses:
        misses.add(question, decision, "no answer", conversation)
        suggestions(misses.all(), matcher)      # groups of misses that ask the same, the largest first

A SQLite file, which several processes may write. Personal data in a question is masked before it is written, as
`upwell prepare` does it. Knows nothing of how questions are matched, but for their likeness.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..text.steps import privacy
from .faq import Decision, Matcher, likely
from .faq_entries import Entry, folded
from .faq_likeness import embedded, features

VERSION = 1
MOST = 100_000  # misses that are kept; the oldest go
GROUPED = 2000  # different questions that are put into groups, the newest ones
ALIKE_VECTORS, ALIKE_WORDS = 0.62, 0.35  # from which likeness on two misses ask the same
log = logging.getLogger("upwell.answering")
COLUMNS = "id, time, question, reason, score, margin, nearest, conversation"
TABLES = """
create table miss (id integer primary key, time real not null, question text not null, reason text not null,
    score real not null, margin real not null, nearest text not null, conversation text not null);
"""


class Miss(NamedTuple):
    """A question that was not answered. nearest: (id of an entry, score), best first."""

    id: int
    time: float
    question: str
    reason: str
    score: float
    margin: float
    nearest: tuple[tuple[str, float], ...]
    conversation: str


class Suggestion(NamedTuple):
    """Misses that ask the same. question: the one that is most like all; entry: a near one, to which it may belong."""

    question: str
    count: int
    others: tuple[str, ...]
    entry: Entry | None
    score: float


class Misses:
    """One file; `with Misses(path) as misses`. Thread-safe."""

    def __init__(self, path: Path):
        self.path, self._lock = path, threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=30, check_same_thread=False)
            (found,) = self._base.execute("pragma user_version").fetchone()
            if found == 0:
                self._make_tables()
        except (sqlite3.DatabaseError, OSError) as error:
            raise DataError(f"{path}: the log of misses cannot be opened ({error}); name another file for it") \
                from None  # fmt: skip
        if found > VERSION:
            raise DataError(f"{path}: a log of misses of version {found}, expected {VERSION}; update upwell")

    def _make_tables(self) -> None:
        """In one transaction; another process may have made them meanwhile."""
        self._base.execute("pragma journal_mode = wal")
        self._base.execute("pragma secure_delete = on")
        with self._base:
            self._base.execute("begin immediate")
            if self._base.execute("pragma user_version").fetchone() == (0,):
                self._base.execute(TABLES)
                self._base.execute(f"pragma user_version = {VERSION}")

    def __enter__(self) -> "Misses":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._base.close()

    def add(self, question: str, decision: Decision, reason: str, conversation: str = "") -> None:
        """Keep a question, masked. Where the file cannot be written that is told, and the customer is answered."""
        nearest = json.dumps([[one.entry.id, round(one.score, 4)] for one in decision.others])
        row = (time.time(), masked(question), reason, decision.score, decision.margin, nearest, conversation)
        try:
            with self._lock, self._base:
                self._base.execute("insert into miss (time, question, reason, score, margin, nearest, conversation) "
                                   "values (?, ?, ?, ?, ?, ?, ?)", row)  # fmt: skip
                self._base.execute("delete from miss where id <= (select max(id) from miss) - ?", (MOST,))
        except sqlite3.Error as error:
            log.error("%s: a question that was not answered could not be written there (%s)", self.path, error)

    def all(self, most: int = MOST) -> list[Miss]:
        """The newest ones, the newest first."""
        with self._lock:
            rows = self._base.execute(f"select {COLUMNS} from miss order by id desc limit ?", (most,)).fetchall()
        return [Miss(*row[:6], tuple((name, score) for name, score in json.loads(row[6])), row[7]) for row in rows]

    def __len__(self) -> int:
        with self._lock:
            return self._base.execute("select count(*) from miss").fetchone()[0]


def masked(text: str) -> str:
    """A text whose personal data is replaced by placeholders."""
    settings = privacy.Settings()
    return privacy.masked(text, privacy.found(text), settings, b"")[0]


# ---- suggestions ----


def suggestions(misses: Sequence[Miss], matcher: Matcher, least: int = 2) -> list[Suggestion]:
    """Groups of at least so many misses that ask the same, the largest first.

    Each time the question with the most others near it is taken, together with these: so the order in which they came
    makes no difference, and no chain of neighbours joins what is far apart.
    """
    counts: dict[str, int] = {}
    texts: dict[str, str] = {}
    for miss in misses:
        if key := folded(miss.question):
            counts[key] = counts.get(key, 0) + 1
            texts.setdefault(key, miss.question)
    keys = list(texts)[:GROUPED]
    if not keys:
        return []
    many = np.array([counts[key] for key in keys])
    near = _likeness([texts[key] for key in keys], matcher)
    found = []
    for members in _groups(near, many):
        if (count := int(many[members].sum())) >= least:
            asked = [texts[keys[member]] for member in members]
            found.append(_suggestion(asked, count, matcher))
    return sorted(found, key=lambda one: (-one.count, one.question))


def _groups(near: np.ndarray, many: np.ndarray) -> list[np.ndarray]:
    """Rows that belong together; the first of each has the most neighbours."""
    left, groups = np.ones(len(near), bool), []
    while left.any():
        size = (near * left) @ many * left
        first = int(size.argmax())
        members = np.flatnonzero(near[first] & left)
        groups.append(np.array([first, *members[members != first]]))
        left[groups[-1]] = False
    return groups


def _likeness(questions: list[str], matcher: Matcher) -> np.ndarray:
    """(questions, questions) bool: whether two ask the same."""
    if matcher.encoder is not None:
        vectors = embedded(matcher.encoder, [question[:300] for question in questions])
        near = vectors @ vectors.T >= ALIKE_VECTORS
    else:
        near = _by_words(questions) >= ALIKE_WORDS
    return near | np.eye(len(questions), dtype=bool)


def _by_words(questions: list[str]) -> np.ndarray:
    """(questions, questions) cosine of their words."""
    found = [features(question) for question in questions]
    columns = {feature: place for place, feature in enumerate(dict.fromkeys(key for one in found for key in one))}
    table = np.zeros((len(found), len(columns)), dtype=np.float32)
    for row, one in enumerate(found):
        for feature, weight in one.items():
            table[row, columns[feature]] = weight
    table *= np.log(1 + len(found) / np.maximum((table > 0).sum(0), 1))
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return table @ table.T


def _suggestion(asked: list[str], count: int, matcher: Matcher) -> Suggestion:
    evidence = matcher.evidence(asked[0])
    best = int(evidence.argmax())
    score = likely(evidence[best])
    near = matcher.entries[best] if score >= matcher.settings.least / 2 else None
    return Suggestion(asked[0], count, tuple(asked[1:6]), near, score)
