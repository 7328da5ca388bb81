"""WARC: the main text of each page that a crawl saved, and records that hold text already (WET).

Requests, pictures and other files that are no pages, and answers that were no success are passed over: they hold no
text. A record that cannot be read is a fault; the place is that of the record in bytes.
"""

import http.client
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from upwell.text import Document, Fault
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable, decoded
from upwell.text.readers import html
from upwell.text.readers.plain import noted

SUFFIXES = (".warc", ".wet")
PAGES = ("text/html", "application/xhtml+xml")
LONGEST_HEAD, MOST_FIELDS = 1 << 16, 200


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    number = 0
    while (head := _head(file)) is not None:
        number += 1
        place = f"{name}#{number}"
        size = _size(head, number)
        if size > settings.longest:
            yield Fault(place, f"a record of {size:,} bytes, expected at most {settings.longest:,}; "
                               "raise --reading.longest")  # fmt: skip
            _pass_over(file, size)
            continue
        data = file.read(size)
        if len(data) < size:
            raise Unreadable(f"half a record: {len(data):,} of {size:,} bytes, expected a whole file; fetch it again")
        try:
            yield from _texts(head, data, place, settings)
        except Unreadable as error:
            yield Fault(place, str(error))


def _texts(head: dict[str, str], data: bytes, place: str, settings) -> Iterator[Document | Fault]:
    title = head.get("warc-target-uri", "").strip("<>")
    if head.get("warc-type") == "conversion" and head.get("content-type", "").startswith("text/plain"):
        text, encoding = decoded(data, settings.encoding)
        yield from documents_of(Document(text, place, title, changes=noted(encoding)))
    elif head.get("warc-type") == "response" and head.get("content-type", "").startswith("application/http"):
        kind, charset, body = _answer(data, settings.longest)
        if kind in PAGES:
            yield from html.page(body, place, settings, charset)
        elif kind == "text/plain":
            text, encoding = decoded(body, settings.encoding)
            yield from documents_of(Document(text, place, title, changes=noted(encoding)))


def _head(file: BinaryIO) -> dict[str, str] | None:
    """The fields of the next record; None at the end. Raises Unreadable."""
    line = b"\r\n"
    while line in (b"\r\n", b"\n"):
        line = file.readline(LONGEST_HEAD)
    if not line:
        return None
    if not line.startswith(b"WARC/"):
        raise Unreadable(f"expected a record that begins with WARC/, found {line[:40]!r}; fetch the file again")
    fields: dict[str, str] = {}
    while (line := file.readline(LONGEST_HEAD)).strip():
        key, _, value = line.decode("utf-8", "replace").partition(":")
        fields[key.strip().lower()] = value.strip()
        if len(fields) > MOST_FIELDS:
            raise Unreadable(f"a record with more than {MOST_FIELDS} fields; fetch the file again")
    return fields


def _size(head: dict[str, str], number: int) -> int:
    size = head.get("content-length", "")
    if not (size.isascii() and size.isdigit() and len(size) < 16):
        raise Unreadable(f"expected a length of record {number}, found {size[:40]!r}; fetch the file again")
    return int(size)


def _pass_over(file: BinaryIO, size: int) -> None:
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        size -= len(block)


class _Said(io.BytesIO):
    """An answer as http.client wants it: a socket whose file is itself."""

    def makefile(self, mode: str) -> "_Said":
        return self


def _answer(data: bytes, longest: int) -> tuple[str, str, bytes]:
    """(type, declared encoding, body) of a saved answer; type "" where there is nothing to read. Raises Unreadable."""
    answer = http.client.HTTPResponse(_Said(data))
    try:
        answer.begin()
        if answer.status != 200:
            return "", "", b""
        kind = answer.headers.get_content_type()
        if answer.headers.get("X-Crawl-Transfer-Encoding") or not answer.chunked:
            _, _, body = data.partition(b"\r\n\r\n")
        else:
            body = answer.read()
        charset = answer.headers.get_content_charset() or ""
    except (http.client.HTTPException, ValueError, OSError, LookupError) as error:
        raise Unreadable(f"expected an answer in HTTP, found what is none ({type(error).__name__})") from None
    return kind, charset, _inflated(body, answer.headers.get("Content-Encoding", ""), longest)


def _inflated(body: bytes, coding: str, longest: int) -> bytes:
    if coding.strip().lower() in ("", "identity", "none"):
        return body
    if coding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise Unreadable(f"a page packed as {coding[:20]!r}, expected gzip, deflate or nothing")
    if body[:2] != b"\x1f\x8b" and coding.endswith("gzip"):
        return body  # the crawler unpacked it and left the header
    try:
        engine = zlib.decompressobj(47 if body[:2] in (b"\x1f\x8b", b"\x78\x9c", b"\x78\x01", b"\x78\xda") else -15)
        found = engine.decompress(body, longest + 1)
    except zlib.error as error:
        raise Unreadable(f"a packed page that is broken ({error})") from None
    if len(found) > longest:
        raise Unreadable(f"a page that unpacks to more than {longest:,} bytes; raise --reading.longest")
    return found
