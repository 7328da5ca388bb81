"""The entries of an FAQ: questions with their answers, read from a file of any of the kinds of faq_files.

    entries = read(path, say)

Every entry must have a question and an answer; all that cannot be used is told at once, as file:line. `say` is called
with a sentence for whatever is passed over: columns that are not known, a title, an entry that stands twice. Knows
nothing of matching.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..text import Fault
from .faq_files import records

MOST = 20_000  # entries; more are a knowledge base, and `upwell index` is made for that
LONGEST, LONGEST_ANSWER = 500, 20_000  # characters
TOLD = 20  # faults that are told one by one
Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A question and its answer."""

    id: str
    question: str
    answer: str
    alternatives: tuple[str, ...] = ()
    """Other ways to ask the same."""
    language: str = ""
    """As the file says it; "" where it says nothing."""
    source: str = ""
    """"file:line"."""

    @property
    def phrases(self) -> tuple[str, ...]:
        """The question and its other ways."""
        return (self.question, *self.alternatives)


def read(path: Path, say: Say = lambda sentence: None) -> list[Entry]:
    """The entries of a file, in their order. DataError with all of its faults."""
    faults: list[Fault] = []
    entries: list[Entry] = []
    for found in records(path, say):
        made = found if isinstance(found, Fault) else _entry(*found)
        (faults if isinstance(made, Fault) else entries).append(made)
    entries = _distinct(entries, faults, say)
    if faults:
        raise DataError(_told(faults))
    if not entries:
        raise DataError(f"{path}: found no question with an answer, expected one or more")
    if len(entries) > MOST:
        raise DataError(f"{path}: found {len(entries):,} entries, expected at most {MOST:,}; make an index of them "
                        "(upwell index) and ask that")  # fmt: skip
    return entries


def folded(text: str) -> str:
    """A text without what makes no difference: width, case, space, punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] in "LMN")


def _told(faults: list[Fault]) -> str:
    """All faults in one message."""
    count = len(faults)
    head = "1 entry cannot be used; mend it:" if count == 1 else f"{count:,} entries cannot be used; mend them:"
    more = [f"  and {count - TOLD:,} more"] if count > TOLD else []
    return "\n".join([head, *(f"  {fault}" for fault in faults[:TOLD]), *more])


def _entry(source: str, record: Mapping[str, Any]) -> Entry | Fault:
    """An entry of a record with the keys question, answer, alternatives, id and language."""
    question, answer = record.get("question", ""), record.get("answer", "")
    for name, value, longest in (("question", question, LONGEST), ("answer", answer, LONGEST_ANSWER)):
        if not isinstance(value, str) or not value.strip():
            return Fault(source, f"expected a text as its {name}, found {_shown(value)}")
        if len(value) > longest:
            return Fault(source, f"its {name} has {len(value):,} characters, expected at most {longest:,}")
    if not folded(question):
        return Fault(source, f"expected words as its question, found {_shown(question)}")
    others = _alternatives(record.get("alternatives"))
    if others is None:
        return Fault(source, f"expected alternatives as texts of at most {LONGEST} characters, found "
                             f"{_shown(record['alternatives'])}")  # fmt: skip
    name, language = record.get("id") or "", record.get("language") or ""
    if not isinstance(name, str | int) or isinstance(name, bool) or not isinstance(language, str):
        return Fault(source, "expected texts as its id and language")
    question = " ".join(question.split())
    return Entry(str(name).strip() or _named(question), question, answer.strip(), others, language.strip(), source)


def _alternatives(value: Any) -> tuple[str, ...] | None:
    """Other ways to ask: a list, or a text with | or line breaks between them; None for what is neither."""
    parts = re.split(r"[|\n｜]", value) if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) and len(part) <= LONGEST for part in parts):
        return None
    return tuple(dict.fromkeys(" ".join(part.split()) for part in parts if folded(part)))


def _named(question: str) -> str:
    """An id that stays the same as long as the question does."""
    return hashlib.sha256(folded(question).encode()).hexdigest()[:10]


def _shown(value: Any) -> str:
    """A value as a fault quotes it."""
    nothing = value in (None, [], ()) or isinstance(value, str) and not value.strip()
    return "nothing" if nothing else repr(value)[:60]


def _distinct(entries: list[Entry], faults: list[Fault], say: Say) -> list[Entry]:
    """The entries, those that ask and answer the same as one; one phrase with two answers is a fault."""
    phrases: dict[str, int] = {}  # -> the place of the entry in kept
    ids: dict[str, Entry] = {}
    kept: list[Entry] = []
    for entry in entries:
        there = [phrases[key] for one in entry.phrases if (key := folded(one)) in phrases]
        other = next((kept[at] for at in there if folded(kept[at].answer) != folded(entry.answer)), None)
        if other is not None:
            faults.append(Fault(entry.source, f"asks the same as {other.source} and answers something else; "
                                              "expected one answer to a question"))  # fmt: skip
        elif there:
            first = kept[there[0]]
            new = tuple(one for one in entry.phrases if folded(one) not in phrases)
            kept[there[0]] = replace(first, alternatives=first.alternatives + new)
            phrases.update((folded(one), there[0]) for one in new)
            say(f"{entry.source} asks and answers the same as {first.source}; both are taken as one")
        elif entry.id in ids:
            faults.append(Fault(entry.source, f"has the id {entry.id!r} of {ids[entry.id].source}, expected its own"))
        else:
            phrases.update((folded(one), len(kept)) for one in entry.phrases)
            ids[entry.id] = entry
            kept.append(entry)
    return kept
