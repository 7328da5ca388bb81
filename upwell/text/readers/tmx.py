"""TMX: each unit of a translation memory as a pair, from its source language to each of the others."""

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element

from upwell.text import Document, Fault, examples
from upwell.text.encodings import Unreadable
from upwell.text.markup import elements

SUFFIXES = (".tmx",)
CODES = ("bpt", "ept", "it", "ph", "ut")  # formatting of the program that wrote it, no text


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    source, found = "", False
    try:
        for line, one in elements(file, ("header", "tu"), settings.longest):
            if one.tag == "header":
                source = one.get("srclang", "")
                continue
            found = True
            yield from _pairs(one, one.get("srclang", source), f"{name}:{line}")
    except Unreadable as error:
        yield Fault(f"{name}:{error.line}" if error.line else name, str(error))
        return
    if not found:
        yield Fault(name, "expected a translation memory with <tu> units, found none")


def _pairs(unit: Element, source: str, place: str) -> Iterator[Document | Fault]:
    texts = [(one.get("lang", ""), _text(one)) for one in unit.iter("tuv")]
    first = next((number for number, (language, _) in enumerate(texts) if _same(language, source)), 0)
    if len(texts) < 2:
        yield Fault(place, f"expected a unit with two languages, found {len(texts)}")
        return
    language, text = texts.pop(first)
    for other, translated in texts:
        record = {"source": text, "target": translated, "source_language": language, "target_language": other}
        yield examples.document(record, place)


def _same(language: str, source: str) -> bool:
    one, other = (name.lower().replace("_", "-").partition("-")[0] for name in (language, source))
    return one == other != ""


def _text(variant: Element) -> str:
    segment = variant.find("seg")
    return "" if segment is None else "".join(_texts(segment)).strip()


def _texts(element: Element) -> Iterator[str]:
    yield element.text or ""
    for part in element:
        if part.tag not in CODES:
            yield from _texts(part)
        yield part.tail or ""
