"""Questions to a backend and their answers, several at once and in order, each piece with the time at which it came.

    for asked, events in together(ask, questions, workers=16, lead=64):
        answer = gathered(asked, "model", events)       # a record that JSON can hold

`ask(asked)` begins one answer; it is called in threads. Knows only backend.generate's pieces.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields

from upwell.generation import settings as writing
from upwell.generation.settings import Piece

Events = Iterator[tuple[float, Piece]]


@dataclass(frozen=True)
class Asked:
    """One text that is to be written."""

    prompt: str | list[dict]
    """A text, or a chat as messages."""
    settings: writing.Settings
    """With a seed of its own."""
    line: int = 0
    """Where it stands in a file, counted from 1."""
    sample: int = 0
    """Which of the texts about one prompt, counted from 0."""
    id: str | int | None = None
    """What the file calls it."""
    drawn: bool = False
    """Whether its seed was drawn by chance."""


def writing_of(settings) -> writing.Settings:
    """Those of a verb's settings that say how to write."""
    return writing.Settings(**{field.name: getattr(settings, field.name) for field in fields(writing.Settings)})


def timed(begin: float, answer: Iterable[Piece]) -> Events:
    """Pieces with the seconds since `begin`, a time of time.perf_counter."""
    for piece in answer:
        yield time.perf_counter() - begin, piece


def together(ask: Callable[[Asked], Iterable[Piece]], questions: Iterable[Asked], workers: int,
             lead: int) -> Iterator[tuple[Asked, Events]]:  # fmt: skip
    """Each question and its answer's events, in order. An answer's mistakes are raised where its events are taken.

    `workers` answers are written at once; at most `lead` are begun or done before the first of them is taken.
    """
    desk, begun = _Desk(ask), deque()
    for _ in range(workers):
        threading.Thread(target=desk.work, name="upwell-asking", daemon=True).start()
    try:
        for question in questions:
            begun.append((question, desk.take(question)))
            if len(begun) == lead:
                yield begun.popleft()
        yield from begun
    finally:
        desk.close(workers)


class _Desk:
    """Questions wait here for a worker; each is given a queue for its events."""

    def __init__(self, ask: Callable[[Asked], Iterable[Piece]]):
        self._ask, self._closed = ask, False
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()

    def take(self, question: Asked) -> Events:
        """The events of its answer, when they come."""
        events: queue.SimpleQueue = queue.SimpleQueue()
        self._waiting.put((question, events))
        return _until_the_end(events)

    def work(self) -> None:
        """Answer one question after the other until the desk closes."""
        while (waiting := self._waiting.get()) is not None:
            question, events = waiting
            try:
                self._answer(question, events)
                events.put(None)
            except Exception as error:
                events.put(error)

    def _answer(self, question: Asked, events: queue.SimpleQueue) -> None:
        if self._closed:
            return
        begin = time.perf_counter()
        answer = self._ask(question)
        for event in timed(begin, answer):
            events.put(event)
            if self._closed:
                answer.close()
                return

    def close(self, workers: int) -> None:
        """Workers end with the piece that they wait for."""
        self._closed = True
        for _ in range(workers):
            self._waiting.put(None)


def _until_the_end(events: queue.SimpleQueue) -> Events:
    while (event := events.get()) is not None:
        if isinstance(event, Exception):
            raise event
        yield event


def gathered(asked: Asked, model: str, events: Events) -> dict:
    """The events of one answer as one record."""
    events = list(events)
    pieces = [piece for _, piece in events]
    end = pieces[-1]
    record = {"model": model, "prompt" if isinstance(asked.prompt, str) else "messages": asked.prompt,
              "text": "".join(piece.text for piece in pieces),
              "tokens": [token for piece in pieces for token in piece.tokens],
              "logprobs": [value for piece in pieces for value in piece.logprobs]}  # fmt: skip
    if asked.settings.top_logprobs:
        record["top_logprobs"] = [list(map(list, top)) for piece in pieces for top in piece.tops]
    if end.ranking:
        record["ranking"] = [asdict(one) for one in end.ranking]
    return record | {"finish": end.finish, "seed": asked.settings.seed,
                     "usage": asdict(end.usage) if end.usage else None, "timings": timings(events)}  # fmt: skip


def timings(events: list[tuple[float, Piece]]) -> dict[str, float]:
    """Seconds to the first token and in all; tokens a second after the first ones, where they were counted."""
    first, seconds = events[0][0], events[-1][0]
    found = {"first_token_seconds": round(first, 4), "seconds": round(seconds, 4)}
    usage = events[-1][1].usage
    if usage:
        later = usage.new - max(1, len(events[0][1].tokens))
        rate = later / max(seconds - first, 1e-9) if later > 0 else usage.new / max(seconds, 1e-9)
        found["tokens_per_second"] = round(rate, 1)
    return found
