"""DOCUMENTS IN: files of many kinds become clean, distinct documents, divided in learnt and held-out ones.

The room knows files and characters; it knows no token and no model.

    Document, Dropped       one text with the place it came from; one that is left out, with the reason
    sources.read            folders, text files and JSON lines -> documents; every fault listed at once
    clean.clean             one text -> the same text without what is no writing
    dedup.unique            the documents that do not repeat an earlier one, and those that do
    chat.Template           a chat as text and as ids, by the template that came with a model (run in sandbox)
    split.held_out          whether a document is kept for measuring, by its content alone
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text. source: "file" or "file:line" where it begins; title and label are "" where there is none."""

    text: str
    source: str
    title: str = ""
    label: str = ""


@dataclass(frozen=True)
class Dropped:
    """A document that is left out. reason: one of a few words that are counted; detail: why this one."""

    document: Document
    reason: str
    detail: str = ""
