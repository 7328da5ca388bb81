"""Terms that must be translated in one way, or must not be translated at all.

A file of terms has a line for each: source and target with a tab or a comma between them, as CSV writes it; an empty
target means that the term stays as it is. A first line "source,target" is passed over.
"""

import csv
import io
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .protect import Span

LONGEST = 200
MOST = 20_000


class Term(NamedTuple):
    """source: as it stands in the text; target: what must stand in the translation."""

    source: str
    target: str


class Breach(NamedTuple):
    """A term that a translation does not keep to."""

    term: Term
    source: str
    translation: str


class Glossary:
    """Terms, found in a text as whole words and in any case; of two at one place the longer one counts."""

    def __init__(self, terms: tuple[Term, ...] = ()):
        self.terms = {term.source.casefold(): term for term in terms}

    @classmethod
    def read(cls, path: Path) -> "Glossary":
        """The terms of a file. DataError, with every wrong line, for a file that holds something else."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise DataError(f"{path}: it cannot be read ({error.strerror}); expected a CSV file of terms") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: byte {error.start} is no UTF-8; convert the file first") from None
        terms, wrong = [], []
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter="\t" if "\t" in text else ","), 1):
            row = [cell.strip() for cell in row]
            if not any(row) or number == 1 and [cell.casefold() for cell in row[:2]] == ["source", "target"]:
                continue
            if len(row) > 2 and any(row[2:]) or not row[0] or max(map(len, row)) > LONGEST:
                wrong.append(f"{path}:{number}: expected a term and its translation, found {','.join(row)[:60]!r}")
            else:
                terms.append(Term(row[0], row[1] if len(row) > 1 and row[1] else row[0]))
        if wrong or not terms or len(terms) > MOST:
            raise DataError("\n".join(wrong[:20]) or f"{path}: found {len(terms):,} terms, expected 1 to {MOST:,}")
        return cls(tuple(terms))

    @cached_property
    def _pattern(self) -> re.Pattern | None:
        words = sorted(self.terms, key=len, reverse=True)
        each = (rf"{_edge(word[0])}{re.escape(word)}{_edge(word[-1])}" for word in words)
        return re.compile("|".join(each), re.IGNORECASE) if words else None

    def within(self, text: str) -> Iterator[tuple[Span, Term]]:
        """The terms of a text, in order."""
        if self._pattern is None:
            return
        for found in self._pattern.finditer(text):
            term = self.terms.get(found.group().casefold())
            if term is not None:
                yield Span(*found.span(), "term"), term

    def breaches(self, source: str, translation: str) -> list[Breach]:
        """The terms of the source that the translation lacks."""
        wanted: dict[Term, int] = {}
        for _, term in self.within(source):
            wanted[term] = wanted.get(term, 0) + 1
        there = translation.casefold()
        return [Breach(term, source, translation) for term, count in wanted.items()
                if there.count(term.target.casefold()) < count]  # fmt: skip


def _edge(sign: str) -> str:
    """Letters of languages that write words apart end at a border; others may touch what stands beside them."""
    return r"\b" if sign.isascii() and (sign.isalnum() or sign == "_") else ""
