"""Files are read and written in a child process, since they may come from anybody: `opened(data, format, name)`.

The child is that of text/confined.py: limits of memory and time, no network, no programs. What it gives are the
segments, as JSON; for the file with other words it reads the bytes once more, so that it keeps nothing between two
questions. All formats go through it: what searches plain text is ours, but it, too, could be made to take for ever.
Knows no model.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..plugs import find
from ..text.confined import Child, Parsers
from . import Code, Opened, Parts, Segment

ROOM = "translation/formats"
PARSERS = Parsers("upwell.translation.apart", "divide the file", "divide the file")


@dataclass(frozen=True)
class Limits:
    """What reading or writing one file may take."""

    memory: int = 3_000_000_000
    """Bytes."""
    seconds: float = 120.0


LIMITS = Limits()


def opened(data: bytes, form: str, name: str, limits: Limits = LIMITS, languages: tuple[str, ...] = ()) -> Opened:
    """The segments of a file of a format, and how it is written. languages: the file's and that of what is written, for
    the places where a file says its language. Raises Unreadable, also at a crash; ServiceError where a package or a
    font is missing."""
    segments = [Segment(parts_of(parts), place, known)
                for some in asked(data, form, name, {}, limits) for parts, place, known in some]  # fmt: skip

    def write(written: list[Parts]) -> bytes:
        (made,) = asked(data, form, name, {"written": written, "languages": languages}, limits)
        return made

    return Opened(segments, write)


def asked(data: bytes, form: str, name: str, options: dict, limits: Limits) -> list[Any]:
    """All that a child answers. Each thread has one for itself meanwhile; then it waits for the next."""
    idle = _idle(os.getpid(), limits)
    try:
        child = idle.pop()
    except IndexError:
        child = Child(limits.memory, limits.seconds, PARSERS)
    try:
        return list(child.parse(form, name, data, {"format": form, **options}))
    finally:
        idle.append(child)


@cache
def _idle(process: int, limits: Limits) -> deque[Child]:
    """The children of this process that have nothing to do; a forked process must not share its parent's."""
    return deque()


def parts_of(said: list) -> Parts:
    """Parts as they were before they were JSON."""
    return tuple(part if isinstance(part, str) else Code(*part) for part in said)


# ---- in the child ----

AT_ONCE = 1000  # segments of an answer


def parse(data: bytes, name: str, options: dict) -> Iterator[list | bytes]:
    """Lists of (parts, place, known), or, for options["written"], the file with these parts."""
    module = find(ROOM, options["format"])
    whole = module.read(data, name)
    if "written" in options:
        made = whole.write([parts_of(parts) for parts in options["written"]])
        spoken = getattr(module, "spoken", None) if options["languages"] and made != data else None
        yield spoken(made, *options["languages"]) if spoken else made
        return
    for first in range(0, max(1, len(whole.segments)), AT_ONCE):
        some = whole.segments[first : first + AT_ONCE]
        yield [(one.parts, one.place, one.known) for one in some]
