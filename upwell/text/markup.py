"""XML in, elements out, one at a time: `elements(file, names, longest)`, for formats that may come from anyone.

Entities that a file declares itself are refused, nothing is fetched, one element is bounded. Names and attributes
come without their namespaces. HTML is another thing; see readers/html.
"""

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from upwell.text.encodings import Unreadable

BLOCK = 1 << 16
DEEPEST = 200


class _Elements:
    """Builds each outermost element of one of the names; see `elements`."""

    def __init__(self, names: tuple[str, ...], longest: int):
        self.names, self.longest = names, longest
        self.found, self.builder, self.depth, self.size, self.line = [], None, 0, 0, 0
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.EntityDeclHandler = self.refuse

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition("}")[2]
        if self.builder is None:
            if name not in self.names:
                return
            self.builder, self.size, self.line = TreeBuilder(), 0, self.parser.CurrentLineNumber
        self.depth += 1
        self.grown(100)
        if self.depth > DEEPEST:
            raise Unreadable(f"XML nested deeper than {DEEPEST} elements", self.parser.CurrentLineNumber)
        self.builder.start(name, {key.rpartition("}")[2]: value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        if self.builder is None:
            return
        self.builder.end(name.rpartition("}")[2])
        self.depth -= 1
        if not self.depth:
            self.found.append((self.line, self.builder.close()))
            self.builder = None

    def text(self, text: str) -> None:
        if self.builder is not None:
            self.grown(len(text))
            self.builder.data(text)

    def grown(self, size: int) -> None:
        self.size += size
        if self.size > self.longest:
            raise Unreadable(f"one element of more than {self.longest:,} characters; raise --reading.longest",
                             self.line)  # fmt: skip

    def refuse(self, *details) -> None:
        raise Unreadable("XML that declares entities, expected none; they can fill the memory or fetch files",
                         self.parser.CurrentLineNumber)  # fmt: skip


def elements(file: BinaryIO, names: tuple[str, ...], longest: int) -> Iterator[tuple[int, Element]]:
    """(line, element) of each outermost element of one of the names, in order. Raises Unreadable with its line."""
    state = _Elements(names, longest)
    final = False
    try:
        while not final:
            block = file.read(BLOCK)
            final = not block
            state.parser.Parse(block, final)
            yield from state.found
            state.found.clear()
    except expat.ExpatError as error:
        yield from state.found
        what = expat.errors.messages.get(error.code, "it cannot be parsed")
        raise Unreadable(f"expected XML, found what is none ({what})", error.lineno) from None
    except (ValueError, LookupError) as error:  # an encoding that it names and Python does not know
        raise Unreadable(f"expected XML, found what is none ({str(error)[:100]})") from None
