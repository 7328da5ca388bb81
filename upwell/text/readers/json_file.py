"""JSON: a list of records, an object that holds one ({"data": [...]}), or one record; a notebook; else source code.

A file that is one object, not a list, and that neither is an example nor holds any is a settings file: kept as text.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from upwell.text import Document, Fault, examples
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable, whole
from upwell.text.readers.plain import noted

SUFFIXES = (".json", ".ipynb")
WHITE = " \t\n\r"


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    text, encoding = whole(file, settings.encoding, settings.longest)
    try:
        value = json.loads(text) if text.strip() else {}
    except RecursionError:
        raise Unreadable("expected JSON, found lists or objects nested too deeply") from None
    except ValueError as error:
        yield from _lines_after_all(text, name, error)
        return
    if isinstance(value, Mapping):
        held = next((key for key, part in value.items() if _holds_records(part)), None)
        if held is None or examples.recognise(value):
            yield from _one(value, text, name, encoding)
            return
        value = {"data": value[held]}
    lines = _lines_of(text) if isinstance(value, list) else itertools.repeat(0)
    for (place, record), line in zip(examples.records(value), lines, strict=False):
        found = examples.document(record, f"{name}:{line}" if line else name)
        yield Fault(found.source, f"{place}: {found.message}") if isinstance(found, Fault) else found


def _lines_after_all(text: str, name: str, error: ValueError) -> Iterator[Document | Fault]:
    """JSON lines under the name of JSON; else the fault."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        first = json.loads(lines[0][1]) if len(lines) > 1 else None
    except (ValueError, RecursionError):
        first = None
    if not isinstance(first, Mapping):
        message = getattr(error, "msg", "it cannot be parsed")
        yield Fault(f"{name}:{getattr(error, 'lineno', 1)}", f"expected JSON, found what is none ({message})")
        return
    from upwell.text.readers import jsonlines

    for number, line in lines:
        yield jsonlines._document(line.encode("utf-8", "surrogatepass"), f"{name}:{number}")


def _holds_records(part: Any) -> bool:
    """Whether it is a list of examples, or of SQuAD's articles."""
    first = part[0] if isinstance(part, list) and part else None
    return isinstance(first, Mapping) and ("paragraphs" in first or examples.recognise(first) is not None)


def _one(value: Mapping, text: str, name: str, encoding: str) -> Iterator[Document | Fault]:
    if isinstance(value.get("cells"), list) and "nbformat" in value:
        cells = "\n\n".join(_cell(cell) for cell in value["cells"] if isinstance(cell, Mapping))
        yield from documents_of(Document(cells, name, kind="code", changes=noted(encoding)))
    elif examples.recognise(value):
        yield examples.document(value, f"{name}:1")
    else:
        yield from documents_of(Document(text, name, kind="code", changes=noted(encoding)))


def _cell(cell: Mapping) -> str:
    """Code as it is, what is said about it as it is; no output."""
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _lines_of(text: str) -> Iterator[int]:
    """The line on which each element of a JSON list begins. The text is known to be JSON."""
    decoder, place, line, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    while True:
        place = _behind(text, place, WHITE + ",")
        if text[place] == "]":
            return
        line, counted = line + text.count("\n", counted, place), place
        yield line
        _, place = decoder.raw_decode(text, place)


def _behind(text: str, place: int, signs: str) -> int:
    while text[place] in signs:
        place += 1
    return place


