"""DOCUMENTS IN: files of many kinds become clean, distinct documents, divided in learnt and held-out ones.

The room knows files and characters; it knows no token and no model.

    Document, Dropped, Fault    a text with the place it came from; one that is left out; what cannot be read
    sources                     folders, files, globs, archives, standard input -> units of work -> documents
    readers/                    one file a format: bytes -> documents
    examples                    supervised data recognised by looking: chats, questions, labels, pairs
    steps/                      one file a step: a document -> a document or a Dropped; each with its own settings
    clean.clean                 one text -> the same text without what is no writing
    dedup                       the documents that do not repeat an earlier one, and those that do
    chat.Template               a chat as text and as ids, by the template that came with a model (run in sandbox)
    split.held_out              whether a document is kept for measuring, by its content alone
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

KINDS = ("prose", "code", "dialogue")


@dataclass(frozen=True)
class Document:
    """One text."""

    text: str
    """What is learnt of it as plain text; of a supervised example its strings, one below the other."""
    source: str
    """"file", "file:line" where it begins, "archive.zip/inner/file:line" inside of an archive."""
    title: str = ""
    label: str = ""
    kind: str = "prose"
    """One of KINDS: which filters may judge it."""
    language: str = ""
    """ISO 639-1, Chinese as zh-Hans or zh-Hant; "" where nobody has looked, "und" where it cannot be told."""
    fields: Mapping[str, Any] | None = None
    """A supervised example in the one layout of its task (see examples); None for plain text."""
    changes: tuple[tuple[str, int], ...] = ()
    """What steps changed in it: (reason, how often)."""
    split: str = ""
    """The part that it says itself to be of, "train" or "heldout"; "" where it says nothing."""
    pages: tuple[tuple[int, int], ...] = ()
    """Where the pages of a book begin in `text`, (character, number of the page), as it was read; it is not kept."""


@dataclass(frozen=True)
class Dropped:
    """A document that is left out. reason: one of a few words that are counted; detail: why this one."""

    document: Document
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Fault:
    """What cannot be read: source is "file" or "file:line", message says what was found and what was expected."""

    source: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


def altered(document: Document, **values: Any) -> Document:
    """The document with other values: dataclasses.replace in a fifth of its time, for what is done to every one."""
    found = object.__new__(Document)
    found.__dict__.update(document.__dict__, **values)
    return found


def rewritten(document: Document, rewrite: Callable[[str], tuple[str, Mapping[str, int]]]) -> Document:
    """The document with each of its strings (text, title, those in fields) put through `rewrite`.

    rewrite gives the new string and what it changed, counted; the counts of text and title, or of the fields where
    there are any, join document.changes.
    """
    counts: Counter = Counter()

    def through(value: Any, counted: bool) -> Any:
        if isinstance(value, str):
            text, found = rewrite(value)
            if counted:
                counts.update(found)
            return text
        if isinstance(value, Mapping):
            return {key: through(part, counted) for key, part in value.items()}
        return [through(part, counted) for part in value] if isinstance(value, list | tuple) else value

    text = through(document.text, document.fields is None)
    title = through(document.title, document.fields is None)
    fields = None if document.fields is None else through(document.fields, True)
    if (text, title, fields) == (document.text, document.title, document.fields):
        return document
    changes = Counter(dict(document.changes)) + counts
    pages = document.pages if text == document.text else ()  # they may stand elsewhere now
    return replace(document, text=text, title=title, fields=fields, changes=tuple(sorted(changes.items())), pages=pages)
