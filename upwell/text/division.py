"""A long text in pieces, cut at paragraphs, so that a part of a book can be held out: `divide`, `documents_of`.

A text of at most LONG characters stays whole. Knows no file and no format.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from upwell.text import Document

LONG, PIECE = 100_000, 20_000
Pages = tuple[tuple[int, int], ...]


def divide(document: Document, size: int) -> list[Document]:
    """A document in pieces of about `size` characters, cut at paragraphs where there are any."""
    place, line = _place(document.source)
    found, begin = [], 0
    for at, text in pieces([document.text], size, line):
        pages = _pages(document.pages, begin, begin + len(text))
        found.append(replace(document, text=text, source=f"{place}:{at}", pages=pages))
        begin += len(text)
    return found


def documents_of(document: Document) -> Iterator[Document]:
    """The document itself, or its pieces where it is long; a supervised example stays whole."""
    if len(document.text) <= LONG or document.fields is not None:
        yield document
    else:
        yield from divide(document, PIECE)


def pieces(blocks: Iterable[str], size: int = PIECE, line: int = 1) -> Iterator[tuple[int, str]]:
    """(line at which it begins, text) of pieces whose sum is the sum of the blocks."""
    rest = ""
    for block in blocks:
        rest, place = rest + block, 0
        while len(rest) - place >= 2 * size:
            cut = _border(rest, place, size)
            yield line, rest[place:cut]
            line += rest.count("\n", place, cut)
            place = cut
        rest = rest[place:]
    if rest:
        yield line, rest


def _pages(pages: Pages, begin: int, end: int) -> Pages:
    """The pages of the characters begin .. end, counted from begin."""
    open_ = [(0, number) for start, number in pages if start <= begin][-1:]
    return (*open_, *((start - begin, number) for start, number in pages if begin < start < end))


def _place(source: str) -> tuple[str, int]:
    place, _, line = source.rpartition(":")
    return (place, int(line)) if place and line.isascii() and line.isdigit() else (source, 1)


def _border(text: str, place: int, size: int) -> int:
    """The best place to cut: after a blank line, a line, a sentence, a word, anywhere."""
    for sign in ("\n\n", "\n", "。", ". ", " "):
        found = text.rfind(sign, place + size // 2, place + size)
        if found >= 0:
            return found + len(sign)
    return place + size
