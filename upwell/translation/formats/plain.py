"""Plain text: paragraphs between empty lines. Lines that are broken within a paragraph are one text."""

import re

from .. import Opened
from ._laid import Laid, decoded

SUFFIXES = (".txt", ".text", ".log")
PARAGRAPH = re.compile(r"[^\n\r]*\S[^\n\r]*(?:\r?\n[ \t]*[^\s][^\n\r]*)*")


def read(data: bytes, name: str) -> Opened:
    text, encoding = decoded(data)
    laid, at = Laid(), 0
    for found in PARAGRAPH.finditer(text):
        raw = found.group()
        begin = len(raw) - len(raw.lstrip())
        words = raw.strip()
        laid.keep(text[at : found.start()] + raw[:begin])
        laid.take(
            (re.sub(r"[ \t]*\r?\n[ \t]*", " ", words),), words, f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        )
        at = found.start() + begin + len(words)
    laid.keep(text[at:])
    return laid.opened(encoding)
