"""CSV and TSV: one record a row, the first row names the columns (see text.examples).

Two columns of a TSV without names are a text and its translation. The separator is found out. A row that has more or
fewer fields than there are columns is a fault of its own.
"""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from upwell.text import Document, Fault, examples
from upwell.text.encodings import Unreadable, as_utf8
from upwell.text.packed import bare
from upwell.text.readers.jsonlines import lines
from upwell.text.readers.parallel import LANGUAGES
from upwell.text.readers.plain import with_encoding

SUFFIXES = (".csv", ".tsv", ".tab")
SEPARATORS = ",\t;|"
NAME = r"[A-Za-z_][\w .-]{0,30}"  # what may be the name of a column


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    stream, encoding = as_utf8(file, settings.encoding)
    csv.field_size_limit(min(settings.longest, 2**31 - 1))  # one number for the whole process
    texts = _texts(stream, settings.longest)
    head = next(texts, "")
    if not head.strip():
        return
    separator = _separator(head, name)
    # A TSV of sentences without names knows no quotes: a sentence may begin with one.
    named = separator != "\t" or _are_names([field.strip() for field in head.split("\t")])
    quotes = csv.QUOTE_MINIMAL if named else csv.QUOTE_NONE
    reader = csv.reader(_chained(head, texts), delimiter=separator, quoting=quotes, strict=True)
    columns, first = _columns(next(_rows(reader, name))[1], separator)
    more = _languages(name) if first else {}
    if first:
        yield with_encoding(_document(first, columns, f"{name}:1", more), encoding[0])
    for line, row in _rows(reader, name):
        if isinstance(row, Fault):
            yield row
        elif row:
            yield with_encoding(_document(row, columns, f"{name}:{line}", more), encoding[0])


def _document(row: list[str], columns: list[str], source: str, more: dict[str, str]) -> Document | Fault:
    if len(row) != len(columns):
        return Fault(source, f"expected {len(columns)} columns ({', '.join(columns)[:100]}), found {len(row)}")
    return examples.document(dict(zip(columns, row, strict=True)) | more, source)


def _languages(name: str) -> dict[str, str]:
    """The languages of two columns without names, by the file's name, as tatoeba.en-de.tsv; {} where it tells none."""
    both = re.search(r"(?:^|[/\\._])([a-z]{2,3})[-_]([a-z]{2,3})\.\w+$", name.lower())
    known = both and LANGUAGES.issuperset(both.groups())
    return {"source_language": both[1], "target_language": both[2]} if known else {}


def _rows(reader, name: str) -> Iterator[tuple[int, list[str] | Fault]]:
    """(line on which it begins, row or fault)."""
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Fault(f"{name}:{line}", f"expected a row of fields, found what is none ({error})")


def _texts(stream: BinaryIO, longest: int) -> Iterator[str]:
    for number, data in lines(stream, longest):
        if isinstance(data, int):
            raise Unreadable(f"a line of {data:,} bytes, expected at most {longest:,}; raise --reading.longest", number)
        yield data.decode("utf-8", "surrogatepass")


def _chained(head: str, texts: Iterator[str]) -> Iterator[str]:
    yield head
    yield from texts


def _separator(head: str, name: str) -> str:
    if bare(name).lower().endswith((".tsv", ".tab")) and "\t" in head:
        return "\t"
    unquoted = re.sub(r'"[^"]*"', "", head)
    return max(SEPARATORS, key=unquoted.count)


def _are_names(names: list[str]) -> bool:
    return len(set(names)) == len(names) and examples.recognise(dict.fromkeys(names, "x")) is not None


def _columns(row: list[str] | Fault, separator: str) -> tuple[list[str], list[str]]:
    """(names of the columns, the first row where it is no row of names). Raises Unreadable."""
    if isinstance(row, Fault):
        raise Unreadable(row.message, 1)
    names = [field.strip() for field in row]
    if _are_names(names):
        return names, []
    if len(row) == 2 and separator == "\t" and not all(re.fullmatch(NAME, field) for field in names):
        return ["source", "target"], row
    raise Unreadable(examples.unknown(dict.fromkeys(names, "x")), 1)
