"""Wikipedia's XML dumps: the articles, without markup, tables, files and categories; other XML is source code.

Redirects and pages that are no articles (talk, templates ...) are passed over: they hold no text of their own. Markup
is parsed in a child process.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable
from upwell.text.markup import elements
from upwell.text.readers import plain

SUFFIXES = (".xml",)
FILE, CATEGORY = "6", "14"  # the numbers of namespaces, whose names differ by language
NO_TEXT = (
    "table", "ref", "gallery", "math", "timeline", "score", "syntaxhighlight", "source", "imagemap", "references",
)  # fmt: skip


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    if b"<mediawiki" not in file.peek(4096)[:4096]:
        yield from plain.read(file, name, settings)
        return
    apart = []
    try:
        for line, one in elements(file, ("namespace", "page"), settings.longest):
            if one.tag == "namespace" and one.get("key") in (FILE, CATEGORY):
                apart.append((one.text or "").lower())
            elif one.tag == "page" and one.findtext("ns") in ("0", None) and one.find("redirect") is None:
                yield from _article(one, f"{name}:{line}", apart, settings)
    except Unreadable as error:
        yield Fault(f"{name}:{error.line}" if error.line else name, str(error))


def _article(page, place: str, apart: list[str], settings) -> Iterator[Document | Fault]:
    title, text = page.findtext("title") or "", page.findtext("revision/text") or ""
    try:
        data = text.encode("utf-8", "surrogatepass")
        found = confined.parse_one("wikipedia", place, data, settings, {"apart": apart})
    except Unreadable as error:
        yield Fault(place, str(error))
        return
    if found["text"]:
        yield from documents_of(Document(found["text"], place, title))


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text"} of an article in wiki markup. options: {"apart": namespaces of files and categories}."""
    import mwparserfromhell

    code = mwparserfromhell.parse(data.decode("utf-8", "replace"))
    apart = {"file", "image", "category", *options["apart"]}
    for link in code.filter_wikilinks():
        if str(link.title).partition(":")[0].strip().lower() in apart and ":" in link.title:
            _remove(code, link)
    for tag in code.filter_tags(matches=lambda tag: str(tag.tag).strip().lower() in NO_TEXT):
        _remove(code, tag)
    text = code.strip_code(normalize=True, collapse=True)
    text = re.sub(r"__[A-Z]{3,30}__", "", text)
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    yield {"text": re.sub(r"\n{3,}", "\n\n", text).strip()}


def _remove(code, node) -> None:
    try:
        code.remove(node)
    except ValueError:  # it stood inside of one that is gone already
        return
