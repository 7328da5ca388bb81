"""DOCX: the paragraphs of a Word file with its tables, text boxes, headers, footers, notes and comments.

Runs keep their formatting, links, bookmarks, notes, pictures and fields their places among the words. The commonest
formatting of a paragraph is its ground; what differs goes along with its words. Paragraphs that are not changed stay to
the byte; in others runs of one formatting become one. Text that was deleted with changes tracked stays as it is.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator

from ...text.encodings import Unreadable
from .. import Code, Opened, Parts, Segment, merged
from ._zipped import checked, entries, together

SUFFIXES = (".docx", ".docm", ".dotx")
PART = re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml")
TAG = re.compile(
    r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|<(/?)([\w:.-]+)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?(/?)>", re.DOTALL
)
HOLDERS = ("w:hyperlink", "w:ins", "w:smartTag", "w:sdt", "w:sdtContent", "w:moveTo", "w:bdo", "w:dir")
NO_TEXT = ("w:rPr", "w:lastRenderedPageBreak")
DEEPEST = 250


class Node:
    """An element with its tags as they stand in the file; children are nodes and text."""

    __slots__ = ("children", "close", "name", "open")

    def __init__(self, name: str, opening: str, close: str = ""):
        self.name, self.open, self.close, self.children = name, opening, close, []

    def raw(self) -> str:
        """As it stands in the file."""
        return self.open + "".join(one if isinstance(one, str) else one.raw() for one in self.children) + self.close

    def child(self, name: str) -> "Node | None":
        """The first child of a name."""
        return next((one for one in self.children if isinstance(one, Node) and one.name == name), None)

    def words(self) -> str:
        """Its text."""
        return html.unescape("".join(one for one in self.children if isinstance(one, str)))


def read(data: bytes, name: str) -> Opened:
    def wanted(names: list[str]) -> list[str]:
        if "word/document.xml" not in names:
            raise Unreadable("expected a Word document, found a zip file without word/document.xml")
        return [one for one in names if PART.fullmatch(one)]

    found = entries(data, wanted, "a Word document")
    return together(data, {part: _opened(checked(content, part), f"{name}/{part}") for part, content in found.items()})


def tree(text: str) -> Node:
    """The elements of sound XML."""
    top = Node("", "")
    stack, at = [top], 0
    for tag in TAG.finditer(text):
        stack[-1].children.append(text[at : tag.start()])
        at, raw = tag.end(), tag.group()
        closing, name, empty = tag.groups()
        if name is None:
            stack[-1].children.append(raw)
        elif closing:
            stack.pop().close = raw
        else:
            node = Node(name, raw)
            stack[-1].children.append(node)
            if not empty:
                stack.append(node)
                if len(stack) > DEEPEST:
                    raise Unreadable(f"elements nested deeper than {DEEPEST}")
    stack[-1].children.append(text[at:])
    return top


def _opened(text: str, name: str) -> Opened:
    top = tree(text)
    paragraphs = [Paragraph(node, f"{name}, paragraph {number}")
                  for number, node in enumerate(_paragraphs(top), start=1)]  # fmt: skip
    paragraphs = [one for one in paragraphs if any(map(str.isalpha, one.segment.text))]

    def write(written: list[Parts]) -> bytes:
        before = [(one.node, list(one.node.children)) for one in paragraphs]
        for one, parts in zip(paragraphs, written, strict=True):
            if parts != one.segment.parts:
                one.node.children = one.rewritten(parts)
        found = top.raw().encode("utf-8")
        for node, children in before:
            node.children = children
        return found

    return Opened([one.segment for one in paragraphs], write)


def _paragraphs(node: Node) -> Iterator[Node]:
    """Paragraphs, those within others first, so that they are written before what holds them."""
    for one in node.children:
        if isinstance(one, Node):
            yield from _paragraphs(one)
    if node.name == "w:p":
        yield node


class Paragraph:
    """A paragraph as a segment, and the way back."""

    def __init__(self, node: Node, place: str):
        self.node = node
        self.things: dict[int, Node | str] = {}  # what a code stands for: a holder, a thing, or a run's formatting
        self.number = 0
        pieces = list(self._pieces(node, Field()))
        sizes: Counter = Counter()
        for kind, value, formatting in pieces:
            if kind == "text":
                sizes[formatting] += len(value)
        self.ground = sizes.most_common(1)[0][0] if sizes else ""
        self.segment = Segment(self._parts(pieces), place)

    def _pieces(self, node: Node, field: "Field") -> Iterator[tuple[str, object, str]]:
        """("text", words, formatting), ("alone", node or raw, formatting), ("open" or "close", holder, "")."""
        for one in node.children:
            if isinstance(one, str):
                continue
            if one.name == "w:pPr":
                continue
            if one.name == "w:r":
                yield from self._run(one, field)
            elif one.name in HOLDERS and one.close:
                yield "open", one, ""
                yield from self._pieces(one, field)
                yield "close", one, ""
            elif one.name == "w:proofErr":
                continue
            else:
                yield "alone", one, ""

    def _run(self, run: Node, field: "Field") -> Iterator[tuple[str, object, str]]:
        formatting = run.child("w:rPr")
        raw = formatting.raw() if formatting is not None else ""
        inside = [one for one in run.children if isinstance(one, Node) and one.name not in NO_TEXT]
        if field.holds(inside):
            yield "alone", run, raw
            return
        for one in inside:
            if one.name == "w:t":
                yield "text", one.words(), raw
            else:
                yield "alone", (run, one) if len(inside) > 1 else run, raw

    def _parts(self, pieces: list) -> Parts:
        parts: list = []
        formatting, open_number = self.ground, 0

        def end() -> None:
            nonlocal open_number, formatting
            if open_number:
                parts.append(Code("close", open_number, ""))
            open_number, formatting = 0, self.ground

        holders: list[int] = []
        for kind, value, own in pieces:
            if kind == "text":
                if own != formatting:
                    end()
                    if own != self.ground:
                        open_number, formatting = self._new(own), own
                        parts.append(Code("open", open_number, ""))
                parts.append(value)
            elif kind == "alone":
                parts.append(Code("alone", self._new(value), ""))
            elif kind == "open":
                end()
                holders.append(self._new(value))
                parts.append(Code("open", holders[-1], ""))
            else:
                end()
                parts.append(Code("close", holders.pop(), ""))
        end()
        return merged(parts)

    def _new(self, thing) -> int:
        self.number += 1
        self.things[self.number] = thing
        return self.number

    def rewritten(self, parts: Parts) -> list:
        """The paragraph's children for these parts."""
        found: list = []
        first = self.node.child("w:pPr")
        if first is not None:
            found.append(first)
        stack: list = []
        for part in parts:
            if isinstance(part, str):
                formats = [thing for thing in stack if isinstance(thing, str)]
                found.append(run_of(formats[-1] if formats else self.ground, part))
                continue
            thing = self.things[part.number]
            if part.kind == "alone":
                found.append(_alone(thing))
            elif part.kind == "open":
                stack.append(thing)
                found.append("" if isinstance(thing, str) else thing.open + _properties(thing))
            else:
                stack.remove(thing)
                found.append("" if isinstance(thing, str) else thing.close)
        return found


class Field:
    """A complex field goes from run to run: its code, and what it shows. Only what a link shows is text."""

    def __init__(self):
        self.depth, self.code, self.shows = 0, "", False

    def holds(self, inside: list[Node]) -> bool:
        """Whether a run with these children belongs to the field."""
        before = self.depth
        mark = False
        for one in inside:
            if one.name == "w:fldChar":
                mark = True
                kind = re.search(r'w:fldCharType="(\w+)"', one.open)
                kind = kind[1] if kind else ""
                if kind == "begin":
                    self.depth, self.code, self.shows = self.depth + 1, "", False
                elif kind == "separate":
                    self.shows = "HYPERLINK" in self.code
                elif kind == "end":
                    self.depth, self.shows = max(0, self.depth - 1), False
            elif one.name == "w:instrText":
                mark = True
                self.code += one.words()
        return mark or before > 0 and not self.shows


def run_of(formatting: str, words: str) -> str:
    """A run with these words."""
    lines = [f'<w:t xml:space="preserve">{html.escape(line, quote=False)}</w:t>' for line in words.split("\n")]
    return f"<w:r>{formatting}{'<w:br/>'.join(lines)}</w:r>"


def _alone(thing) -> Node | str:
    """A thing by itself; one of several in a run gets a run of its own."""
    if not isinstance(thing, tuple):
        return thing
    run, one = thing
    formatting = run.child("w:rPr")
    alone = Node("w:r", "<w:r>", "</w:r>")
    alone.children = [*([formatting] if formatting is not None else []), one]
    return alone


def _properties(holder: Node) -> str:
    """What stands in a holder before its text."""
    return "".join(one.raw() for one in holder.children
                   if isinstance(one, Node) and one.name in ("w:sdtPr", "w:sdtEndPr", "w:smartTagPr"))  # fmt: skip
