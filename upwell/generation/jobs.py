"""Requests of an engine: what each wants and gets, and the line in which they wait. They know no model."""

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from torch import OutOfMemoryError, Tensor

from ..errors import Busy, ServiceError, UpwellError
from .steps import Found, Read, Search, Step, Token


class Job:
    """One request in the engine. Iterating gives lists of Tokens as they become certain; then .found is there.

    prompt      token ids; where there is an encoder, what its decoder begins with
    begin       logits (1, V), or a Read -> a strategy's coroutine; called in the engine's thread
    max_new     the most tokens that it will write
    client      whose request it is; clients take turns
    source      where there is an encoder: token ids of the text that it reads
    width       rows that its strategy may keep alive at once
    hidden      its strategy wants a Read: the last block's vectors beside the logits
    adapter     the number of the adapter that it is written with, 0 for none
    """

    def __init__(self, prompt: list[int], begin: Callable[[Tensor | Read], Search], max_new: int, client: str = "",
                 source: list[int] | None = None, width: int = 1, hidden: bool = False, adapter: int = 0):  # fmt: skip
        self.prompt, self.begin, self.max_new, self.client = prompt, begin, max_new, client
        self.source, self.width, self.hidden, self.adapter = source, width, hidden, adapter
        self.found: list[Found] | None = None
        self.cancelled = False
        self.shown = 0              # tokens given out
        self.known = 0              # tokens of the prompt that had been read for another one
        self.seen: list[int] | None = None  # what its row has read, where it is one row
        self.rows = 1               # of the session, at the moment
        self.step: Step | None = None
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._listener: Callable | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Give up: the engine drops it before its next step. Iteration ends; .found stays None."""
        self.cancelled = True
        self._tell(None)

    def follow(self, listener: Callable) -> None:
        """Instead of iterating: listener(event) with lists of Tokens, an exception, or None at its end.

        It is called in the engine's thread, or here for what has come before, and must not take long.
        """
        with self._lock:
            while not self._events.empty():
                listener(self._events.get())
            self._listener = listener

    def _tell(self, event: list[Token] | Exception | None) -> None:
        with self._lock:
            (self._listener or self._events.put)(event)

    def __iter__(self) -> Iterator[list[Token]]:
        while (event := self._events.get()) is not None and not self.cancelled:
            if isinstance(event, BaseException):
                raise event
            yield event

    @property
    def read(self) -> int:
        """Tokens that the model reads before it writes: those of the source where there is one."""
        return len(self.prompt if self.source is None else self.source)

    @property
    def alive(self) -> bool:
        """Whether it wants another step."""
        return self.step is not None and not self.cancelled

    def note(self, step: Step) -> None:
        """It will read this step's tokens; of several rows nothing is told."""
        if self.seen is None or len(step.parents) > 1:
            self.seen = None
            return
        if step.back:
            del self.seen[-step.back :]
        self.seen += step.tokens.flatten().tolist()

    def start(self, given: Tensor | Read) -> None:
        """Its prompt has been read."""
        self._guarded(given, lambda given: next(self._begun(given)))

    def feed(self, given: Tensor | Read) -> None:
        """Its step has been done."""
        self._guarded(given, lambda given: self._search.send(given))

    def fail(self, error: Exception) -> None:
        """It is over, and whoever iterates is told why."""
        self.step = None
        self._tell(error if isinstance(error, UpwellError) else _failure(error))

    def _begun(self, given: Tensor | Read) -> Search:
        self._search = self.begin(given)
        return self._search

    def _guarded(self, given: Tensor | Read, advance: Callable[[Tensor | Read], Step]) -> None:
        """Whatever goes wrong here is this request's alone."""
        logits = given.logits if isinstance(given, Read) else given
        self.rows = len(logits)
        try:
            check_numbers(logits, len(self.prompt) + self.shown)
            self._take(given if self.hidden else logits, advance)
        except Exception as error:
            self.fail(error)

    def _take(self, given: Tensor | Read, advance: Callable[[Tensor | Read], Step]) -> None:
        try:
            self.step = advance(given)
            self._show(self.step.settled)
        except StopIteration as end:
            if not end.value:
                raise UpwellError("the strategy found no text; it must return at least one") from None
            self.step, self.found = None, end.value
            self._show(self.found[0].tokens[self.shown :])
            self._tell(None)

    def _show(self, tokens: tuple[Token, ...]) -> None:
        self.shown += len(tokens)
        if tokens:
            self._tell(list(tokens))


def check_numbers(logits: Tensor, read: int) -> None:
    """Logits (rows, V) must be numbers; a NaN would otherwise be sampled as if it were one."""
    if not logits.amax(-1).isfinite().all():
        raise ServiceError(f"the model gave logits that are no numbers after {read} tokens; "
                           "its weights are damaged, or its number format is too narrow: try float32")


def memory_is_full(error: BaseException) -> bool:
    """Whether an exception says that there is no memory left; torch's own on a CPU is a RuntimeError."""
    told = str(error).lower()
    return isinstance(error, MemoryError | OutOfMemoryError) or "can't allocate memory" in told or (
        "not enough memory" in told)  # fmt: skip


def _failure(error: Exception) -> ServiceError:
    if memory_is_full(error):
        return ServiceError("there is no memory left for this request beside the others; send it again later, make it "
                            "shorter, or let fewer be written at once")  # fmt: skip
    failure = ServiceError(f"the engine failed at this step ({type(error).__name__}: {error}); try the request again")
    failure.__cause__ = error
    return failure


class Line:
    """First come, first served within a client; clients take turns. At most `most` wait in all."""

    def __init__(self, most: int):
        self.most = most
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    def put(self, job: Job) -> None:
        """Raises Busy when the line is full."""
        if len(self) >= self.most:
            self._drop_cancelled()
        if len(self) >= self.most:
            raise Busy(f"{len(self)} requests are waiting, as many as may; try again in a few seconds")
        self._clients.setdefault(job.client, deque()).append(job)

    def first(self) -> Job:
        """The one whose turn it is; it stays."""
        return next(iter(self._clients.values()))[0]

    def take(self) -> Job:
        """The one whose turn it is; its client goes to the end."""
        client, jobs = self._clients.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._clients[client] = jobs
        return job

    def _drop_cancelled(self) -> None:
        left = {client: deque(job for job in jobs if not job.cancelled) for client, jobs in self._clients.items()}
        self._clients = OrderedDict((client, jobs) for client, jobs in left.items() if jobs)
