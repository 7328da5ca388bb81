"""DOCX: the paragraphs of a Word file, its notes behind them; unpacked and parsed in a child process.

What was deleted with changes tracked stays out. Nothing that the file points to is fetched. A locked file is a fault.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable, all_of
from upwell.text.markup import elements
from upwell.text.packed import Limits, zip_part

SUFFIXES = (".docx", ".docm", ".dotx")
PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
LOCKED = b"\xd0\xcf\x11\xe0"  # the older container, in which Word keeps what a password protects
BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "\u2011"}
PASSED_OVER = ("Fallback", "delText", "instrText", "rPr", "pPr")


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    data = all_of(file, settings.longest)
    options = {"longest": settings.longest, "ratio": settings.ratio}
    found = confined.parse_one("docx", name, data, settings, options)
    if not found["text"].strip():
        yield Fault(name, "a document without text, expected some")
        return
    yield from documents_of(Document(found["text"], name, found["title"]))


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text", "title"}."""
    if data.startswith(LOCKED):
        raise Unreadable("encrypted or an old .doc, expected a .docx without a password; save it as one")
    limits = Limits(options["longest"] * 4, options["ratio"])
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if PARTS[0] not in archive.namelist():
                raise Unreadable("expected a Word document, found a zip file without word/document.xml")
            texts = [_paragraphs(archive, part, limits, options) for part in PARTS if part in archive.namelist()]
            title = _title(archive, limits, options)
    except zipfile.BadZipFile as error:
        raise Unreadable(f"expected a Word document, found a broken zip file ({error})") from None
    yield {"text": "\n\n".join(text for text in texts if text), "title": title}


def _paragraphs(archive: zipfile.ZipFile, part: str, limits: Limits, options: dict) -> str:
    stream = zip_part(archive, part, limits)
    texts = ("".join(_texts(one)).strip("\n") for _, one in elements(stream, ("p",), options["longest"]))
    return "\n\n".join(text for text in texts if text.strip())


def _texts(element: Element) -> Iterator[str]:
    for part in element:
        if part.tag == "t":
            yield part.text or ""
        elif part.tag in BREAKS:
            yield BREAKS[part.tag]
        elif part.tag not in PASSED_OVER:
            yield from _texts(part)
    if element.tag == "p":
        yield "\n"


def _title(archive: zipfile.ZipFile, limits: Limits, options: dict) -> str:
    if "docProps/core.xml" not in archive.namelist():
        return ""
    found = elements(zip_part(archive, "docProps/core.xml", limits), ("title",), options["longest"])
    return next(("".join(one.itertext()).strip() for _, one in found), "")
