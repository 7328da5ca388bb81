"""Subtitles (.srt, .vtt, .ass): what is said, one line each, without numbers, times and formatting; kind dialogue."""

import html
import re
from collections.abc import Iterator
from typing import BinaryIO

from upwell.text import Document, Fault
from upwell.text.division import documents_of
from upwell.text.encodings import whole
from upwell.text.packed import bare
from upwell.text.readers.plain import noted

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
TIME = re.compile(r"\s*(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->\s*(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}")
MARKS = re.compile(r"</?[A-Za-z0-9.:][^<>\n]{0,200}>|\{\\[^{}\n]{0,500}\}")


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    text, encoding = whole(file, settings.encoding, settings.longest)
    drawn = bare(name).lower().endswith((".ass", ".ssa"))
    lines = list(_events(text) if drawn else _cues(text))
    if not lines:
        form = '"Dialogue:" lines' if drawn else 'times such as "00:00:01,000 --> 00:00:02,000"'
        yield Fault(name, f"subtitles without text, expected {form} and what is said; take it out")
        return
    yield from documents_of(Document("\n".join(lines), name, kind="dialogue", changes=noted(encoding)))


def _cues(text: str) -> Iterator[str]:
    """Lines of text that stand below a line with times, up to a blank one."""
    said = False
    for line in text.split("\n"):
        if TIME.match(line):
            said = True
        elif not line.strip():
            said = False
        elif said and (line := _bare(line)):
            yield line


def _events(text: str) -> Iterator[str]:
    """The text of each event: the last of its fields, which their Format line counts."""
    fields = 10
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        if key.strip() == "Format" and "Text" in value:
            fields = value.count(",") + 1
        elif key.strip() == "Dialogue":
            said = value.split(",", fields - 1)[-1] if value.count(",") >= fields - 1 else ""
            drawing = r"{\p1" in said
            yield from [] if drawing else filter(None, map(_bare, re.split(r"\\[Nn]", said)))


def _bare(line: str) -> str:
    return html.unescape(MARKS.sub("", line)).replace("\\h", " ").strip()
