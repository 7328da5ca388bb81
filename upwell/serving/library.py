"""Documents that are asked: an index, who answers from it, and which of it a request sees.

A Library stands at the desk beside the models. `index` is an answering.index.Index (or has its collections, documents
and text), `asker` an answering.asking.Asker (or has its events). What a key does not see is in every answer as if it
did not exist: `sees` holds the collections of a key, None where it sees all. Knows no models and no routes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from upwell.answering import Citation, Passage
from upwell.errors import DataError
from upwell.serving.body import printable
from upwell.serving.refusals import Refusal

Sees = frozenset[str] | None


@dataclass(frozen=True)
class Library:
    """An index by the name that clients call it by."""

    name: str
    index: Any
    asker: Any
    how: Literal["extractive", "written"] = "extractive"
    """extractive: answers are the documents' own words; written: a chat model's, held against the documents."""

    def collections(self, sees: Sees) -> list[str]:
        """Of the collections that there are those that a key sees."""
        return [one for one in self.index.collections() if sees is None or one in sees]

    def is_seen(self, sees: Sees) -> bool:
        """Whether a key sees anything of it."""
        return sees is None or bool(self.collections(sees))

    def chosen(self, sees: Sees, collection: str | None) -> Sees:
        """The collections that are searched; a 404 for one that is not there, or that the key does not see."""
        if collection is None:
            return None if sees is None else frozenset(self.collections(sees))
        if collection not in self.collections(sees):
            raise Refusal(404, f"There is no collection '{printable(collection[:200])}' here.", "collection",
                          "collection_not_found")  # fmt: skip
        return frozenset({collection})

    def documents(self, collections: Sees) -> Sequence[Any]:
        """The records of the documents in these collections, None for all."""
        return [one for one in self.index.documents() if collections is None or one.collection in collections]

    def document(self, number: int, sees: Sees) -> tuple[Any, str]:
        """A document's record and text; a 404 for one that is not there, or that the key does not see."""
        try:
            text = self.index.text(number, self.chosen(sees, None))
            return next(one for one in self.documents(sees) if one.id == number), text
        except (DataError, StopIteration):
            raise Refusal(404, f"There is no document {number} here.", "document", "document_not_found") from None

    def url(self, base: str, one: Citation | Passage) -> str:
        """Where the page shows a span: base/#source=...; the page reads it, no server sees it."""
        return f"{address(base, self.name, one.document)}&start={one.start}&end={one.end}"


def address(base: str, index: str, document: int) -> str:
    """Where the page shows a document."""
    return f"{base.rstrip('/')}/#source={document}&index={quote(index, safe='')}"
