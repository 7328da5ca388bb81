"""HTML: the main text of a page, without menus, advertisements and footers; parsed in a child process.

The encoding is the one that is named, of a byte order mark, that the page declares, or the one found.
"""

import codecs
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, BinaryIO

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import MARKS, Unreadable, all_of, decoded
from upwell.text.readers.plain import noted

SUFFIXES = (".html", ".htm", ".xhtml", ".shtml")
PASSED = frozenset({"script", "style", "noscript", "template", "nav", "footer", "title", "svg"})
CLOSING = frozenset({"p", "li", "dd", "div", "tr", "section", "article", "table", "ul", "ol", "dl", "details", "main"})
BREAK = "\0"  # stands for <br> until a block is whole
DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s{0,9}=\s{0,9}["']?\s{0,9}([\w-]{2,40})""", re.IGNORECASE)


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    yield from page(all_of(file, settings.longest), name, settings)


def page(data: bytes, name: str, settings, declared: str = "") -> Iterator[Document | Fault]:
    """The documents of one page. declared: the encoding that a server said. Raises Unreadable."""
    text, encoding = _text(data, settings.encoding, declared)
    found = confined.parse_one("html", name, text.encode("utf-8", "surrogatepass"), settings)
    if not found["text"].strip():
        yield Fault(name, "a page without text, expected some; it may be filled by a script")
        return
    yield from documents_of(Document(found["text"], name, found["title"], changes=noted(encoding)))


def blocks(data: bytes, name: str, settings) -> list[dict[str, Any]]:
    """Headings, terms and summaries of a page, and the texts below them: {"level", "text", "line"}. Raises Unreadable.

    level: 1 .. 6 of a heading, 7 of a <dt> or <summary>, 0 of other text.
    """
    text, _ = _text(data, settings.encoding, "")
    return list(confined.parse("html", name, text.encode("utf-8", "surrogatepass"), settings, {"blocks": True}))


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text", "title"} of a page in UTF-8; with options {"all": True} also what is not its main text.

    With options {"blocks": True} its blocks.
    """
    if options.get("blocks"):
        walk = Blocks()
        walk.feed(data.decode("utf-8", "replace"))
        walk.close()
        yield from walk.found
        return
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(data.decode("utf-8", "replace"))
    main = not options.get("all")
    text = extract_plain_text(tree, main_content=main, alt_texts=False, preserve_formatting=True)
    yield {"text": text, "title": " ".join((tree.title or "").split())}


class Blocks(HTMLParser):
    """The blocks of a page, as `blocks` gives them."""

    def __init__(self):
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self._parts: list[str] = []
        self._level, self._line, self._hidden = 0, 1, 0

    def handle_starttag(self, tag: str, attributes) -> None:
        if tag in PASSED:
            self._hidden += 1
        level = 7 if tag in ("dt", "summary") else int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0
        if tag == "br":
            self._parts.append(BREAK)
        elif level or tag in CLOSING:
            said = self._level == 7 and not "".join(self._parts).strip()  # a heading inside of a summary
            self._end()
            self._level, self._line = 7 if said else level, self.getpos()[0]

    def handle_endtag(self, tag: str) -> None:
        if tag in PASSED:
            self._hidden = max(0, self._hidden - 1)
        if tag in CLOSING or tag in ("dt", "summary") or re.fullmatch("h[1-6]", tag):
            self._end()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._parts.append(data.replace(BREAK, ""))

    def close(self) -> None:
        super().close()
        self._end()

    def _end(self) -> None:
        """What was gathered is a block. Line breaks of the source are blanks, those of <br> stay."""
        lines = [" ".join(line.split()) for line in "".join(self._parts).split(BREAK)]
        text = "\n".join(lines).strip()
        if text:
            self.found.append({"level": self._level, "text": text, "line": self._line})
        self._parts, self._level, self._line = [], 0, self.getpos()[0]


def _text(data: bytes, given: str, declared: str) -> tuple[str, str]:
    if given or any(data.startswith(mark) for mark, _ in MARKS):
        return decoded(data, given)
    match = DECLARED.search(data[:4096])
    for name in [declared, match[1].decode("ascii") if match else ""]:
        if name and (known := _known(name)):
            try:
                return data.decode(known), known
            except UnicodeError:
                continue
    try:
        return decoded(data)
    except Unreadable as error:
        if "encoding" not in str(error):
            raise
        return data.decode("utf-8", "replace"), "utf-8 with unknown characters"  # as a browser would show it


def _known(name: str) -> str:
    """Python's name of an encoding that a page declares, "" for none; what is called latin-1 is cp1252 in the web."""
    try:
        found = codecs.lookup(name).name
        "a".encode(found)
    except (LookupError, UnicodeError, ValueError):
        return ""
    web = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
    return web.get(found, found)
