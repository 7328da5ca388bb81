"""What a request of the engine gives, as pieces of text: to be iterated, or followed. Knows jobs and no model."""

from collections.abc import Callable, Iterator

from .settings import Piece, Ranked, Usage
from .stream import Stream


class Answer:
    """The pieces of one text as they are written; closing it ends the work.

    Either it is iterated, or `follow` is called once, and each event that the listener gets is given to `made`.
    """

    def __init__(self, job, stream: Callable[[], Stream], ends: frozenset[int], best: int = 1):
        self._job, self._stream, self._ends, self._best = job, stream, ends, best
        self._shown, self._pieces = stream(), self._read()

    def __iter__(self) -> "Answer":
        return self

    def __next__(self) -> Piece:
        return next(self._pieces)

    def follow(self, listener: Callable[[object], None]) -> None:
        """Let listener(event) be called in the engine's thread whenever something has come."""
        self._job.follow(listener)

    def made(self, event) -> Piece:
        """An event as a piece; the last one has a finish. What failed is raised."""
        if isinstance(event, BaseException):
            raise event
        return self._last() if event is None or self._job.cancelled else self._piece(event)

    def close(self) -> None:
        """Give up within a step; whoever still iterates gets a last piece that says cancelled."""
        self._job.cancel()

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        self.close()

    def _read(self) -> Iterator[Piece]:
        for tokens in self._job:
            yield self._piece(tokens)
        yield self._last()

    def _piece(self, tokens) -> Piece:
        return Piece(self._shown.push(token.id for token in tokens if token.id not in self._ends), *columns(tokens))

    def _last(self) -> Piece:
        job = self._job
        finish = "cancelled" if job.cancelled else job.found[0].finish
        found = job.found[: self._best] if self._best > 1 and job.found else []
        ranking = tuple(_ranked(one, self._stream(), self._ends) for one in found)
        usage = Usage(job.read, job.shown, job.known)
        return Piece(self._shown.close(), finish=finish, usage=usage, ranking=ranking)


def columns(tokens) -> tuple[tuple, tuple, tuple]:
    """Ids, log-probabilities, and what is told beside them."""
    tops = tuple(token.top for token in tokens)
    return tuple(token.id for token in tokens), tuple(token.logprob for token in tokens), tops if any(tops) else ()


def _ranked(found, stream: Stream, ends: frozenset[int]) -> Ranked:
    text = stream.push(token.id for token in found.tokens if token.id not in ends) + stream.close()
    return Ranked(text, *columns(found.tokens)[:2], found.score, found.finish)
