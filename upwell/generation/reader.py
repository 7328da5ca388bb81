"""Texts that are read and not gone on with (for their vectors or labels), of all requests together, a few at once.

It is handed the function that reads them, and knows neither models nor heads.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

AT_ONCE = 16  # texts between two steps of those that write


@dataclass
class Asked:
    """One text of a request, and what became of it."""

    what: Any
    found: Any = None
    error: Exception | None = None
    done: bool = False


class Reader:
    """A function of several texts for many threads.

    call    does a function of a model in the model's thread: `Engine.call`
    read    texts -> what is said of each, in order; called in that thread
    """

    def __init__(self, call: Callable, read: Callable[[Sequence], Iterable]):
        self.call, self.read = call, read
        self._line: deque[Asked] = deque()
        self._lock = threading.Lock()

    def __call__(self, texts: Iterable) -> list:
        """What is said of each. Raises what reading the first bad one of them raises."""
        mine = [Asked(text) for text in texts]
        with self._lock:
            self._line.extend(mine)
        while not all(one.done for one in mine):
            self.call(self._some)
        wrong = next((one.error for one in mine if one.error is not None), None)
        if wrong is not None:
            raise wrong
        return [one.found for one in mine]

    def _some(self, _) -> None:
        """The next few of whoever asked; one that cannot be read fails alone."""
        with self._lock:
            some = [self._line.popleft() for _ in range(min(AT_ONCE, len(self._line)))]
        if not self._tried(some):
            for one in some:
                self._tried([one])

    def _tried(self, some: list[Asked]) -> bool:
        try:
            found = list(self.read([one.what for one in some]))
        except Exception as error:
            if len(some) == 1:
                some[0].error, some[0].done = error, True
            return False
        for one, said in zip(some, found, strict=True):
            one.found, one.done = said, True
        return True
