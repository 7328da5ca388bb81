"""DOCUMENTS IN: files of many kinds become clean, distinct documents, divided in learnt and held-out ones.

The room knows files and characters; it knows no token and no model.

    Document                one text with the place it came from
    sources.read            folders, text files and JSON lines -> documents; every fault listed at once
    clean.clean             one text -> the same text without what is no writing
    dedup.duplicates        which texts are the same, or nearly the same, as an earlier one
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
