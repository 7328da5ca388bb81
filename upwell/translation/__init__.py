"""OTHER LANGUAGES: text and documents in another language, with everything between the segments kept.

    asking      how a model is asked for a translation, and which languages it knows
    protect     what no model may touch: addresses, signs that a program fills in, code, numbers
    sentences   where a sentence ends, which language a text is in
    aligned     which word of a translation stands for which of its source
    inline      formatting inside a segment, on the right words of the translation
    glossary    terms that must, or must not, be translated
    memory      what was translated before
    answer      what a model says, tidied; loops
    translator  texts and segments through all of these
    typing      a text that is still being typed
    documents   files: progress, going on after a stop, both languages side by side
    apart       files read and written in a child process
    formats/    one file a format: SUFFIXES, read(data, name) -> Opened

The room sees a model as a generation.backend.Backend. A document that came back untranslated is an error.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Code(NamedTuple):
    """Something inside a segment that is no text: where formatting begins or ends, or a thing by itself."""

    kind: Literal["open", "close", "alone"]
    number: int
    """An opening and its closing one share it."""
    raw: str
    """What stands in the file."""


Parts = tuple[str | Code, ...]


@dataclass(frozen=True)
class Segment:
    """What is translated as a whole: a paragraph, a cell, a heading."""

    parts: Parts
    place: str = ""
    """Where it stands, for people."""
    known: str | None = None
    """The translation that the file has already; None: none."""

    @property
    def text(self) -> str:
        """The words alone."""
        return text_of(self.parts)


class Opened(NamedTuple):
    """A file as what is translated and a way to put translations in."""

    segments: list[Segment]
    write: Callable[[list[Parts]], bytes]
    """The file with these parts in place of the segments'; parts that equal a segment's leave its bytes as they are."""


def text_of(parts: Parts) -> str:
    """The words of some parts."""
    return "".join(part for part in parts if isinstance(part, str))


def merged(parts: Iterable[str | Code]) -> Parts:
    """The same with texts that touch as one, and without empty ones."""
    found: list[str | Code] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return tuple(found)
