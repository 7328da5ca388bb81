"""Token ids to pieces of text that never break a character and never show a part of a stop string.

The pieces joined are the whole text, decoded at once and cut before the first stop string. Knows only bytes_of(id).
"""

import codecs
from collections.abc import Callable, Iterable


class Stream:
    """push(ids) gives the text that has become certain, close() the rest."""

    def __init__(self, bytes_of: Callable[[int], bytes], stops: Iterable[str] = ()):
        self.stopped = False
        self._bytes_of = bytes_of
        self._stops = [stop.encode("utf-8") for stop in stops]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = b""

    def push(self, ids: Iterable[int]) -> str:
        """Text that these ids make certain; after a stop string always empty."""
        if self.stopped:
            return ""
        self._held += b"".join(map(self._bytes_of, ids))
        found = [at for at in map(self._held.find, self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, self._held[: min(found)]
            return self._release(len(self._held), final=True)
        return self._release(len(self._held) - self._undecided())

    def close(self) -> str:
        """What was held back, when no more ids come; an unfinished character becomes U+FFFD."""
        return "" if self.stopped else self._release(len(self._held), final=True)

    def _release(self, count: int, final: bool = False) -> str:
        text, self._held = self._decoder.decode(self._held[:count], final), self._held[count:]
        return text

    def _undecided(self) -> int:
        """Length of the longest end of what is held that a stop string could begin with."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
