"""HTML: the main text of a page, without menus, advertisements and footers; parsed in a child process.

The encoding is the one that is named, of a byte order mark, that the page declares, or the one found.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import MARKS, Unreadable, all_of, decoded
from upwell.text.readers.plain import noted

SUFFIXES = (".html", ".htm", ".xhtml", ".shtml")
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


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text", "title"} of a page in UTF-8; with options {"all": True} also what is not its main text."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(data.decode("utf-8", "replace"))
    main = not options.get("all")
    text = extract_plain_text(tree, main_content=main, alt_texts=False, preserve_formatting=True)
    yield {"text": text, "title": " ".join((tree.title or "").split())}


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
