"""JSON lines: one record a line, as plain documents or supervised examples (see text.examples).

UTF-8, UTF-16 or UTF-32 by their marks, or the named encoding; a line that is no record is a fault of its own.
"""

import codecs
import itertools
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, BinaryIO

from upwell.text import Document, Fault, altered, examples
from upwell.text.encodings import HEAD, UTF8, as_utf8, detected
from upwell.text.readers.plain import with_encoding

SUFFIXES = (".jsonl", ".ndjson")
RANGES = True
EMPTY = Document("", "")
DEEP = "objects or lists inside of each other, more than can be read"


def read(file: BinaryIO, name: str, settings, line: int = 1, likely: str = "") -> Iterator[Document | Fault]:
    """Documents of the records; a blank line is passed over. line: the number of the first."""
    given = settings.encoding or likely or (detected(file.peek(HEAD)[:HEAD]) if line == 1 else "")
    if given and codecs.lookup(given).name not in UTF8:
        file, _ = as_utf8(file, given)
    for number, data in lines(file, settings.longest, line):
        if isinstance(data, int):
            yield too_long(f"{name}:{number}", data, settings.longest)
        elif data and not data.isspace():
            yield with_encoding(_document(data, f"{name}:{number}"), given)


def lines(file: BinaryIO, longest: int, first: int = 1) -> Iterator[tuple[int, bytes | int]]:
    """(number, line with its end), or (number, its length) of one that is longer than `longest` bytes."""
    for number in itertools.count(first):
        data = file.readline(longest + 1)
        if not data:
            return
        if number == 1 and data.startswith(codecs.BOM_UTF8):
            data = data[3:]
        yield number, len(data) + _rest_of_line(file) if len(data) > longest and data[-1:] != b"\n" else data


def too_long(source: str, size: int, longest: int) -> Fault:
    return Fault(source, f"a line of {size:,} bytes, expected at most {longest:,}; divide it or raise "
                         "--reading.longest")  # fmt: skip


def parsed(data: bytes) -> Any:
    """A JSON value. Raises ValueError with what was expected and found."""
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found byte 0x{data[error.start]:02x}; save it as UTF-8 or name its "
                         "--encoding") from None  # fmt: skip
    except RecursionError:
        raise ValueError(f"expected a JSON object, found {short(data)} ({DEEP})") from None
    except ValueError as error:
        message = getattr(error, "msg", "it cannot be parsed")
        raise ValueError(f"expected a JSON object, found {short(data)} ({message})") from None


def short(data: bytes) -> str:
    return repr(data[:40].decode("utf-8", errors="replace").strip())


def _document(data: bytes, source: str) -> Document | Fault:
    try:
        record = parsed(data)
    except ValueError as error:
        return Fault(source, str(error))
    if type(record) is dict and type(record.get("text")) is str and _says_no_more(tuple(record)):
        title = record.get("title", "")
        if type(title) is str:  # what examples would say of it too, many times as fast
            return altered(EMPTY, text=record["text"], source=source, title=title)
    return examples.document(record, source)


@lru_cache(256)
def _says_no_more(keys: tuple[str, ...]) -> bool:
    """Whether a record with these keys and a text can only be plain text: they allow no layout before that."""
    layouts = (one for one in examples.LAYOUTS if all(set(known) & set(keys) for known in one.needs.values()))
    return next(layouts).name == "plain" and not {"kind", "split"} & set(keys)


def _rest_of_line(file: BinaryIO) -> int:
    size = 0
    while data := file.readline(1 << 20):
        size += len(data)
        if data.endswith(b"\n"):
            break
    return size
