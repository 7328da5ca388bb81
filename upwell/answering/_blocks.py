"""A text in Markdown, reStructuredText or none -> its headings and paragraphs, and the sentences of these.

    blocks(text) -> list[Block]                     in order; each is exactly the characters start .. end
    sentences(text, start, end) -> (start, end)     whole ones with their mark; what ends without a mark is none

Code, tables, directives, quotations and lists are blocks of the kind `other`: no rule reads them, and they part a
heading from a paragraph that is not about it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
HASHES = re.compile(r"(#{1,6})[ \t]+(\S.*)")
RULER = re.compile(r"([=\-~^\"'*+#`])\1{2,}[ \t]*")
OTHER = re.compile(r"[ \t]|[|+<>!]|\.\.(?:[ \t]|$)|:[\w-]+:(?: |$)|[-*+•][ \t]|\d{1,3}[.)][ \t]|\[[^\]]{1,40}\]:")
MARK = re.compile(r"[.!?][\"')\]*_”’]{0,3}(?=\s|$)|[。！？][”’」』）\"]?")
SHORTENED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|mr|mrs|ms|dr|no|fig|sec|approx|inc|ltd|al)|\b[A-Za-z])\.$", re.I)
NEXT = re.compile(r"\s+[\"'(\[`*_“‘:]{0,3}([A-Z0-9\u3400-\u9fff])")


class Block(NamedTuple):
    """A part of a text. kind: heading, prose or other; above: the heading over it, of the next higher level.

    text: exactly the characters start .. end, but of a heading its words alone.
    """

    kind: str
    start: int
    end: int
    text: str
    above: str = ""


class _Lines:
    """The blocks of a text, line by line."""

    def __init__(self, whole: str):
        self.whole = whole
        self.found: list[Block] = []
        self.open: list[tuple[int, str]] = []  # (level, title) of the headings that we are below
        self.signs: list[str] = []  # of underlines, in the order in which they came: their levels
        self.held: list[tuple[int, str]] = []  # (place, line) of the paragraph so far
        self.fence = ""

    def take(self, place: int, line: str) -> None:
        """One line, without its end."""
        fence = FENCE.match(line)
        if self.fence or fence:
            self.flush()
            if fence:
                self.fence = "" if self.fence == fence[1] else self.fence or fence[1]
                self.found.append(Block("other", place, place + len(line), line))
        elif not line.strip():
            self.flush()
        elif hashes := HASHES.fullmatch(line):
            self.flush()
            self.head(len(hashes[1]), place, line, hashes[2].rstrip("# \t"))
        elif (ruler := RULER.fullmatch(line)) and self.held and not OTHER.match(self.held[-1][1]):
            self.underlined(ruler[1])
        else:
            self.held.append((place, line))

    def underlined(self, sign: str) -> None:
        """The line above was a heading, and the ruler above that belongs to it."""
        place, title = self.held.pop()
        over = bool(self.held) and bool(RULER.fullmatch(self.held[-1][1]))
        if over:
            self.held.pop()
        self.flush()
        key = sign * (1 + over)
        if key not in self.signs:
            self.signs.append(key)
        self.head(1 + self.signs.index(key), place, title, title.strip())

    def head(self, level: int, place: int, line: str, title: str) -> None:
        """A heading ends those of its level and below."""
        self.open = [one for one in self.open if one[0] < level]
        self.found.append(Block("heading", place, place + len(line), title, self.open[-1][1] if self.open else ""))
        self.open.append((level, title))

    def flush(self) -> None:
        """The paragraph that is held has ended."""
        if not self.held:
            return
        (start, first), (last, line) = self.held[0], self.held[-1]
        end, above = last + len(line), self.open[-1][1] if self.open else ""
        kind = "other" if OTHER.match(first) or RULER.fullmatch(first) else "prose"
        self.found.append(Block(kind, start, end, self.whole[start:end], above))
        self.held = []


def blocks(text: str) -> list[Block]:
    """The headings, paragraphs and other parts of a text, in order."""
    lines, place = _Lines(text), 0
    for line in text.split("\n"):
        lines.take(place, line.rstrip("\r"))
        place += len(line) + 1
    lines.flush()
    return lines.found


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The whole sentences between two places; a mark behind a shortened word or before a small letter ends none."""
    begin = start
    while end > start and text[end - 1].isspace():
        end -= 1
    for mark in MARK.finditer(text, start, end):
        if mark[0][0] in ".!?" and not _ends(text, begin, mark.start(), mark.end(), end):
            continue
        while begin < mark.start() and text[begin].isspace():
            begin += 1
        yield begin, mark.end()
        begin = mark.end()


def _ends(text: str, begin: int, mark: int, behind: int, end: int) -> bool:
    if text[mark] == "." and SHORTENED.search(text[max(begin, mark - 12) : mark + 1]):
        return False
    return behind == end or bool(NEXT.match(text, behind, end))
