"""EPUB: the chapters of a book in the order of its spine; unpacked and parsed in a child process.

A book whose chapters are locked (DRM) is a fault. Nothing that it points to is fetched.
"""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from upwell.text import Document, Fault, confined
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable, all_of, decoded
from upwell.text.markup import elements
from upwell.text.packed import Limits, zip_part

SUFFIXES = (".epub",)
CONTAINER, LOCKS = "META-INF/container.xml", "META-INF/encryption.xml"


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    options = {"longest": settings.longest, "ratio": settings.ratio}
    found = confined.parse_one("epub", name, all_of(file, settings.longest), settings, options)
    if not found["text"].strip():
        yield Fault(name, "a book without text, expected some")
        return
    yield from documents_of(Document(found["text"], name, found["title"]))


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"text", "title"}."""
    limits, longest = Limits(options["longest"] * 4, options["ratio"]), options["longest"]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            chapters, title = _spine(archive, limits, longest)
            locked = _locked(archive, limits, longest) & set(chapters)
            if locked:
                raise Unreadable(f"encrypted (DRM): {len(locked)} chapters are locked, expected a book that is open")
            texts = [_chapter(archive, chapter, limits) for chapter in chapters]
    except zipfile.BadZipFile as error:
        raise Unreadable(f"expected an EPUB, found a broken zip file ({error})") from None
    yield {"text": "\n\n".join(text for text in texts if text), "title": title}


def _spine(archive: zipfile.ZipFile, limits: Limits, longest: int) -> tuple[list[str], str]:
    """(names of the chapters in their order, title of the book)."""
    if CONTAINER not in archive.namelist():
        raise Unreadable(f"expected an EPUB, found a zip file without {CONTAINER}")
    roots = [one for _, one in elements(zip_part(archive, CONTAINER, limits), ("rootfile",), longest)]
    package = roots[0].get("full-path", "") if roots else ""
    if package not in archive.namelist():
        raise Unreadable("expected an EPUB, found none of the package that its container names")
    parts = elements(zip_part(archive, package, limits), ("item", "itemref", "title"), longest)
    items, order, title = {}, [], ""
    for _, part in parts:
        if part.tag == "item":
            items[part.get("id")] = posixpath.normpath(
                posixpath.join(posixpath.dirname(package), unquote(part.get("href", "")))
            )
        elif part.tag == "itemref":
            order.append(part.get("idref"))
        else:
            title = title or "".join(part.itertext()).strip()
    lost = [one for one in order if items.get(one) not in archive.namelist()]
    if lost:
        raise Unreadable(f"expected every chapter of its spine, found none called {lost[0]!r}")
    return [items[one] for one in order], title


def _locked(archive: zipfile.ZipFile, limits: Limits, longest: int) -> set[str]:
    if LOCKS not in archive.namelist():
        return set()
    return {one.get("URI", "") for _, one in elements(zip_part(archive, LOCKS, limits), ("CipherReference",), longest)}


def _chapter(archive: zipfile.ZipFile, name: str, limits: Limits) -> str:
    from upwell.text.readers import html

    text, _ = decoded(zip_part(archive, name, limits).read())
    return next(html.parse(text.encode("utf-8", "surrogatepass"), name, {"all": True}))["text"].strip()
