"""How much happens at once: slots, a line before them, and each generation in a thread of its own.

A backend's `generate` is a plain iterator that computes; here it runs in a thread and its pieces arrive in
the event loop. One that can be followed (see `generation.backend.Answer`) needs the thread only to begin.
Whoever stops reading stops the generation at its next piece. Knows nothing of HTTP but the 429 that a full
line is answered with.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from upwell.serving.refusals import Refusal

END = object()


class Slots:
    """At most `running` requests at work and `waiting` in line, served in their order."""

    def __init__(self, running: int, waiting: int):
        self.limit, self.line_limit = running, waiting
        self.running = 0
        self.line: deque[asyncio.Future] = deque()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """A slot for as long as the block runs; a full line is a 429 at once."""
        await self._take()
        try:
            yield
        finally:
            self._give()

    async def _take(self) -> None:
        if self.running < self.limit:
            self.running += 1
            return
        if len(self.line) >= self.line_limit:
            raise Refusal(429, f"All {self.limit} slots and all {self.line_limit} places in line are taken; "
                               "try again in a second.", code="queue_full", headers={"Retry-After": "1"})
        turn = asyncio.get_running_loop().create_future()
        self.line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():    # the slot was handed over while its taker left
                self._give()
            raise

    def _give(self) -> None:
        """Hand the slot to the first in line who is still there."""
        while self.line:
            turn = self.line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1


async def together(starts: Sequence[Callable[[], Iterator[Any]]], most: int = 16) -> AsyncIterator[tuple[int, Any]]:
    """(number, item) of what all of these give, as it comes, each computed in a thread, at most `most` at once.

    Closing this iterator ends the threads. Its end, be it by the last item, an error or a reader who left, waits
    until they have ended, so that what they held (a slot, a cache) is free when the caller goes on.
    """
    items: asyncio.Queue = asyncio.Queue()
    workers = [Worker(start, partial(posted, items, number)) for number, start in enumerate(starts[:most])]
    left = len(starts)
    try:
        while left:
            number, item = await items.get()
            if item is END:
                left -= 1
                if len(workers) < len(starts):
                    workers.append(Worker(starts[len(workers)], partial(posted, items, len(workers))))
            elif isinstance(item, BaseException):
                raise item
            else:
                yield number, item
    finally:
        for worker in workers:
            worker.leave()
        await all_ended(workers)


def posted(items: asyncio.Queue, number: int, item: Any) -> None:
    """An item of a worker, with its number."""
    items.put_nowait((number, item))


async def all_ended(workers: Sequence["Worker"]) -> None:
    """Wait for them, even where the waiting task is cancelled; twice is an order."""
    cancelled = False
    for worker in workers:
        while not worker.ended.is_set():
            try:
                await worker.ended.wait()
            except asyncio.CancelledError:
                if cancelled:
                    raise
                cancelled = True
    if cancelled:
        raise asyncio.CancelledError


class Worker:
    """One thread that walks one iterator and posts its items to the event loop that made it."""

    def __init__(self, start: Callable[[], Iterator[Any]], post: Callable[[Any], None]):
        self.loop, self.put = asyncio.get_running_loop(), post
        self.stopped = threading.Event()
        self.ended = asyncio.Event()
        self.iterator: Iterator[Any] | None = None
        # A daemon: a backend that hangs must not keep the process alive after a second Ctrl-C.
        threading.Thread(target=self._walk, args=(start,), name="generation", daemon=True).start()

    def leave(self) -> None:
        """Ask the thread to end."""
        self.stopped.set()
        self._close()

    def _close(self) -> None:
        """Tell the iterator too: an engine's drops the work at once. A generator can't be told while it computes."""
        try:
            if hasattr(self.iterator, "close"):
                self.iterator.close()
        except ValueError:
            pass

    def _walk(self, start: Callable[[], Iterator[Any]]) -> None:
        try:
            self.iterator = start()
            if self.stopped.is_set():       # who asked has left meanwhile
                self._close()
            elif hasattr(self.iterator, "follow"):
                self.iterator.follow(partial(self._post, self._heard))
                return
            else:
                self._post_all(self.iterator)
        except BaseException as error:     # the reader raises it again
            self._post(self.put, error)
        self._post(self._end)

    def _heard(self, event: Any) -> None:
        """In the loop: an event of an iterator that is followed."""
        if self.ended.is_set():
            return
        try:
            item = self.iterator.made(event)
        except BaseException as error:     # the reader raises it again
            item = error
        self.put(item)
        if isinstance(item, BaseException) or getattr(item, "finish", None):
            self._end()

    def _end(self) -> None:
        self.put(END)
        self.ended.set()

    def _post_all(self, items: Iterator[Any]) -> None:
        try:
            for item in items:
                if self.stopped.is_set():
                    return
                self._post(self.put, item)
        finally:
            self._close()

    def _post(self, function: Callable, *values: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *values)
        except RuntimeError:
            self.stopped.set()      # the loop has closed: nobody reads any more
