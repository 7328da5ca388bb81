"""Subtitles: SRT and WebVTT. Numbers, times, settings and notes stay to the byte; a cue's lines are one text, which is
broken again where its lines were as long. Cues that overlap or run backwards are a fault: no player shows them alike.
"""

import re
import textwrap

from ...text.encodings import Unreadable
from .. import Code, Opened, Parts
from ._laid import Laid, decoded

SUFFIXES = (".srt", ".vtt")
TIME = r"(?:(\d+):)?(\d\d):(\d\d)[.,](\d{3})"
TIMES = re.compile(rf"^[ \t]*{TIME}[ \t]+-->[ \t]+{TIME}[^\n]*$", re.MULTILINE)
TAG = re.compile(r"<(/?)(\w+)[^<>\n]{0,200}>|\{\\[^{}\n]{1,100}\}")


def read(data: bytes, name: str) -> Opened:
    text, encoding = decoded(data)
    laid, at, last = Laid(joined=lambda parts: _broken(parts, ending)), 0, -1
    ending = "\r\n" if "\r\n" in text else "\n"
    found = list(TIMES.finditer(text))
    if not found:
        raise Unreadable("found no times such as 00:00:01,000 --> 00:00:02,000, expected subtitles")
    for number, times in enumerate(found):
        begin, end = _milliseconds(times.groups()[:4]), _milliseconds(times.groups()[4:])
        line = text.count("\n", 0, times.start()) + 1
        if end < begin or begin < last:
            raise Unreadable(f"{'a cue that ends before it begins' if end < begin else 'cues that overlap'}; expected "
                             "each to begin when the one before has ended; mend the times first", line)  # fmt: skip
        last = end
        first = times.end() + len(re.match(r"\r?\n?", text[times.end() :]).group())
        stop = re.compile(r"\r?\n[ \t]*(?:\r?\n|\Z)|\Z").search(text, times.end()).start()
        raw = text[first:stop] if first < stop else ""
        laid.keep(text[at : first if raw else times.end()])
        if raw:
            laid.take(_parts(raw), raw, f"{name}:{line}")
        at = stop if raw else times.end()
        if number == len(found) - 1:
            break
    laid.keep(text[at:])
    return laid.opened(encoding)


def _milliseconds(parts: tuple) -> int:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def _parts(raw: str) -> Parts:
    """Lines as one text, tags as codes."""
    parts, at, stack, number = [], 0, [], 0
    for tag in TAG.finditer(raw):
        parts.append(raw[at : tag.start()])
        at = tag.end()
        closing, kind = tag.groups()
        if kind and not closing:
            number += 1
            stack.append((kind, number))
            parts.append(Code("open", number, tag.group()))
        elif kind and any(one == kind for one, _ in stack):
            while stack[-1][0] != kind:
                stack.pop()
            parts.append(Code("close", stack.pop()[1], tag.group()))
        else:
            number += 1
            parts.append(Code("alone", number, tag.group()))
    parts.append(raw[at:])
    return tuple(re.sub(r"[ \t]*\r?\n[ \t]*", " ", part) if isinstance(part, str) else part
                 for part in parts if part != "")  # fmt: skip


def _broken(parts: Parts, ending: str) -> str:
    """One line or two of about one length."""
    text = "".join(part if isinstance(part, str) else part.raw.replace(" ", "\0") for part in parts)
    words = TAG.sub("", text.replace("\0", " "))
    if len(words) > 42 and " " in words:
        text = ending.join(textwrap.wrap(text, max(20, -(-len(text) // 2) + 6), break_long_words=False,
                                         break_on_hyphens=False))  # fmt: skip
    return text.replace("\0", " ")
