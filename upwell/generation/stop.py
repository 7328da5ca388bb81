"""When a text is over: at an id, at a string (across token borders too), at its length, or when its time is up.

A function of the tokens of one row (and of the clock), so that any strategy may ask it of any of its rows.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """Called with the ids written so far; gives "stop", "length", "time" or None."""

    ends: frozenset[int]
    """Ids that end a text."""
    max_new: int
    """The most tokens."""
    strings: tuple[bytes, ...] = ()
    """UTF-8 of the strings that end a text."""
    bytes_of: Callable[[int], bytes] | None = None
    """The bytes of a token, needed where there are strings."""
    until: float | None = None
    """When the time is up, by `clock`."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""

    def __call__(self, ids: Sequence[int]) -> str | None:
        if ids[-1] in self.ends or self._string(ids):
            return "stop"
        if len(ids) >= self.max_new:
            return "length"
        return "time" if self.until is not None and self.clock() >= self.until else None

    def _string(self, ids: Sequence[int]) -> bool:
        """Whether a stop string ends inside the last token; earlier ones have ended the text before."""
        if not self.strings:
            return False
        tail, reach = self.bytes_of(ids[-1]), max(map(len, self.strings)) - 1
        least = len(tail) + reach
        for token in reversed(ids[:-1]):
            if len(tail) >= least:
                break
            tail = self.bytes_of(token) + tail
        return any(string in tail for string in self.strings)


def stopping(ends: Iterable[int], max_new: int, strings: Iterable[str], bytes_of: Callable[[int], bytes],
             seconds: float | None = None) -> Stop:  # fmt: skip
    """A Stop from text; its time, if it has one, runs from here."""
    until = None if seconds is None else time.monotonic() + seconds
    return Stop(frozenset(ends), max_new, tuple(text.encode("utf-8") for text in strings), bytes_of, until)
