"""EPUB: the chapters of a book, its contents and its title. Everything else in the archive stays."""

import html as escapes
import re

from ...text.encodings import Unreadable
from .. import Opened
from . import html
from ._laid import Laid
from ._zipped import checked, entries, rewritten, together

SUFFIXES = (".epub",)
CHAPTERS = (".xhtml", ".html", ".htm")
TITLE = re.compile(r"(<dc:title[^>]*>)([^<]*)(</dc:title>)")
LANGUAGE = re.compile(rb"(<dc:language[^>]*>\s*)([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)(?=\s*</dc:language>)")


def read(data: bytes, name: str) -> Opened:
    def wanted(names: list[str]) -> list[str]:
        if "META-INF/container.xml" not in names:
            raise Unreadable("expected an EPUB book, found a zip file without META-INF/container.xml")
        if "META-INF/encryption.xml" in names:
            raise Unreadable("a book that is encrypted, expected one without protection")
        return [one for one in names if one.lower().endswith((*CHAPTERS, ".ncx", ".opf"))]

    members = {}
    for member, content in entries(data, wanted, "an EPUB book").items():
        text = checked(content, member) if not member.lower().endswith((".html", ".htm")) else ""
        if member.lower().endswith(".opf"):
            members[member] = _titles(text, f"{name}/{member}")
        else:
            members[member] = html.read(content, f"{name}/{member}")
    return together(data, members)


def spoken(data: bytes, source: str, target: str) -> bytes:
    """The book with the other language as its own, where it says that it is in the first one."""
    named = entries(data, lambda names: [one for one in names if one.lower().endswith((*CHAPTERS, ".opf"))], "a book")
    made = {name: html.renamed(LANGUAGE, content, source, target) if name.lower().endswith(".opf")
            else html.spoken(content, source, target) for name, content in named.items()}  # fmt: skip
    return rewritten(data, {name: content for name, content in made.items() if content != named[name]})


def _titles(text: str, name: str) -> Opened:
    laid, at = Laid(escape=lambda words: escapes.escape(words, quote=False)), 0
    for found in TITLE.finditer(text):
        laid.keep(text[at : found.start(2)])
        laid.take((escapes.unescape(found[2]),), found[2], name)
        at = found.end(2)
    laid.keep(text[at:])
    return laid.opened()
