"""PDF: its text layer, page after page; parsed in a child process. A scan without text and a locked file are faults."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable, all_of

SUFFIXES = (".pdf",)
BROKEN_WORD = re.compile("[\x02\u00ad\ufffe]\\s*\n?\\s*")  # pdfium's signs for a hyphen at the end of a line
LEAST = 20  # characters; a scan may still have a stamp on each page


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    pages, title = [], ""
    for found in confined.parse("pdf", name, all_of(file, settings.longest), settings):
        pages.append(found["text"])
        title = found["title"]
    text = "\n\n".join(page for page in pages if page)
    starts, at = [], 0
    for number, page in enumerate(pages, start=1):
        if page:
            starts.append((at, number))
            at += len(page) + 2
    if len(text) < LEAST:
        yield Fault(name, f"a PDF with {len(pages):,} pages and no text layer, expected text; recognise it first (OCR)")
        return
    yield from documents_of(Document(text, name, title, pages=tuple(starts)))


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text", "title"} of each page."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Unreadable("an encrypted PDF, expected one without a password; remove the password first") from None
        raise Unreadable(f"expected a PDF, found what is none or broken ({error})") from None
    title = document.get_metadata_value("Title") or ""
    for page in document:
        words = page.get_textpage()
        yield {"text": _mended(words.get_text_bounded()), "title": title.strip("\0 ")}
        words.close()
        page.close()


def _mended(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return BROKEN_WORD.sub("", text).strip()
