"""Strategies meet sessions: run() drives one over one, Engine drives many and batches their rows in each model step.

Engine owns the model in one worker thread. Requests wait in a bounded line that is fair between clients, advance
together, and share nothing but the matrix products: each has its own strategy, filters, stop and random numbers.
What goes wrong in one (an exception of its strategy, logits that are no numbers) fails that one; a model step that
raises fails the requests of that step; the engine goes on. It knows tokens and no text.
"""

import itertools
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import Busy, ServiceError, UpwellError
from .session import Session, check_prompts, check_sources
from .steps import Found, Read, Search, Step, Token

PREFILL = 4096   # tokens, padding included, that are read at most at once for new requests, so that others wait little


def run(strategy: Search, session: Session) -> list[Found]:
    """Drive one strategy over one session; it was begun with `first(session)`. Gives what it found."""
    try:
        step = next(strategy)
        while True:
            step = strategy.send(answer(session, [step])[0])
    except StopIteration as end:
        return end.value


def first(session: Session) -> Tensor | Read:
    """What a strategy over this session is begun with."""
    return session.logits if session.hidden is None else Read(session.logits, session.hidden)


def answer(session: Session, steps: list[Step]) -> list[Tensor | Read]:
    """One reading for all steps, whose rows stand one behind the other: what each strategy is to be sent."""
    rows = [len(step.parents) for step in steps]
    parents = torch.cat([step.parents for step in steps])
    back = None
    if any(step.back for step in steps):
        back = torch.cat([torch.full((count,), step.back) for count, step in zip(rows, steps, strict=True)])
    if all(step.tokens.dim() == 1 for step in steps):
        parts = session.step(torch.cat([step.tokens for step in steps]), parents, back=back).split(rows)
        lengths = [1] * len(steps)
    else:
        blocks = [step.tokens if step.tokens.dim() == 2 else step.tokens[:, None] for step in steps]
        lengths = [block.shape[1] for block in blocks]
        widest = max(lengths)
        ids = torch.cat([pad(block, (0, widest - block.shape[1])) for block in blocks])
        real = None
        if min(lengths) < widest:
            real = torch.cat([torch.full((count,), length) for count, length in zip(rows, lengths, strict=True)])
        logits = session.step(ids, parents, real, back).split(rows)
        parts = [part[:, :length] if step.tokens.dim() == 2 else part[:, 0]
                 for part, length, step in zip(logits, lengths, steps, strict=True)]  # fmt: skip
    if session.hidden is None:
        return list(parts)
    hidden = session.hidden.split(rows)
    return [Read(part, own[:, :length]) for part, own, length in zip(parts, hidden, lengths, strict=True)]


class Job:
    """One request in the engine. Iterating gives lists of Tokens as they become certain; then .found is there.

    prompt      token ids; where there is an encoder, what its decoder begins with
    begin       logits (1, V), or a Read -> a strategy's coroutine; called in the engine's thread
    max_new     the most tokens that it will write
    client      whose request it is; clients take turns
    source      where there is an encoder: token ids of the text that it reads
    width       rows that its strategy may keep alive at once
    hidden      its strategy wants a Read: the last block's vectors beside the logits
    """

    def __init__(self, prompt: list[int], begin: Callable[[Tensor | Read], Search], max_new: int, client: str = "",
                 source: list[int] | None = None, width: int = 1, hidden: bool = False):  # fmt: skip
        self.prompt, self.begin, self.max_new, self.client = prompt, begin, max_new, client
        self.source, self.width, self.hidden = source, width, hidden
        self.found: list[Found] | None = None
        self.cancelled = False
        self.shown = 0              # tokens given out
        self.rows = 1               # of the session, at the moment
        self.step: Step | None = None
        self._events: queue.SimpleQueue = queue.SimpleQueue()

    def cancel(self) -> None:
        """Give up: the engine drops it before its next step. Iteration ends; .found stays None."""
        self.cancelled = True
        self._events.put(None)

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

    def start(self, given: Tensor | Read) -> None:
        """Its prompt has been read."""
        self._guarded(given, lambda given: next(self._begun(given)))

    def feed(self, given: Tensor | Read) -> None:
        """Its step has been done."""
        self._guarded(given, lambda given: self._search.send(given))

    def fail(self, error: Exception) -> None:
        """It is over, and whoever iterates is told why."""
        self.step = None
        self._events.put(error if isinstance(error, UpwellError) else _failure(error))

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
            self._events.put(None)

    def _show(self, tokens: tuple[Token, ...]) -> None:
        self.shown += len(tokens)
        if tokens:
            self._events.put(list(tokens))


def check_numbers(logits: Tensor, read: int) -> None:
    """Logits (rows, V) must be numbers; a NaN would otherwise be sampled as if it were one."""
    if not logits.amax(-1).isfinite().all():
        raise ServiceError(f"the model gave logits that are no numbers after {read} tokens; "
                           "its weights are damaged, or its number format is too narrow: try float32")


def _failure(error: Exception) -> ServiceError:
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


class Engine:
    """One model for many requests, in a thread of its own.

    rows        texts that advance together; a beam search keeps several of them
    waiting     requests that may wait in line
    """

    def __init__(self, model, rows: int = 16, waiting: int = 256):
        self.model, self.rows = model, rows
        self.running: list[Job] = []            # in the order of their rows in the session
        self._session: Session | None = None
        self._line, self._calls, self._closing = Line(waiting), deque(), False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="upwell-engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Put a request in line. Raises SettingsError for a prompt that does not fit, Busy for a full line."""
        config = self.model.config
        check_sources(config, 1, None if job.source is None else [job.source])
        check_prompts([job.prompt], config.context, config.vocab, job.max_new)
        with self._wake:
            self._check_open()
            self._line.put(job)
            self._wake.notify()
        return job

    def call(self, function: Callable):
        """function(model) in the engine's thread between two steps; gives what it gives and raises what it raises."""
        answer: queue.SimpleQueue = queue.SimpleQueue()
        with self._wake:
            self._check_open()
            self._calls.append((function, answer))
            self._wake.notify()
        value, error = answer.get()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Stop after the current step; what runs or waits fails with a ServiceError."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._line)

    def _check_open(self) -> None:
        if self._closing:
            raise ServiceError("the engine is closed; open the model again")

    def _work(self) -> None:
        try:
            with torch.inference_mode():
                while self._wait():
                    self._answer_calls()
                    self._admit()
                    self._step()
        finally:
            self._end()

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when it is time to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._calls or self.running or len(self._line))
            return not self._closing

    def _answer_calls(self) -> None:
        while self._calls:
            function, answer = self._calls.popleft()
            try:
                answer.put((function(self.model), None))
            except Exception as error:
                answer.put((None, error))

    def _admit(self) -> None:
        """Read the prompts of those whose turn it is and put their rows behind the others."""
        jobs = self._next()
        if not jobs:
            return
        try:
            most = max(len(job.prompt) + job.max_new for job in jobs)
            sources = None if jobs[0].source is None else [job.source for job in jobs]
            session = Session(self.model, [job.prompt for job in jobs], most, sources, any(job.hidden for job in jobs))
            given = [_of_row(session, row, job) for row, job in enumerate(jobs)]
            if self._session is not None:
                self._session.join(session)
            self._session = self._session or session
        except Exception as error:
            for job in jobs:
                job.fail(error)
            return
        self.running += jobs
        for job, part in zip(jobs, given, strict=True):
            job.start(part)

    def _next(self) -> list[Job]:
        """As many from the line as there are rows free, and as fit into one reading; one that wants all goes alone."""
        jobs: list[Job] = []
        with self._wake:
            used, longest = sum(job.width for job in self.running if job.alive), 0
            while len(self._line):
                first = self._line.first()
                longest = max(longest, first.read)
                if used and used + first.width > self.rows or jobs and longest * (len(jobs) + 1) > PREFILL:
                    break
                self._line.take()
                if not first.cancelled:
                    jobs.append(first)
                    used += first.width
        return jobs

    def _step(self) -> None:
        """One step of the model for all who want one; rows of the others are dropped by it."""
        live, steps = [], []
        for job, row in zip(self.running, _starts(self.running), strict=True):
            if job.alive:
                step = job.step             # read once: a cancel may come at any moment
                live.append(job)
                steps.append(step._replace(parents=step.parents + row))
        self.running = live
        if not live:
            self._session = None
            return
        try:
            self._session.keeps = any(job.hidden for job in live)
            given = answer(self._session, steps)
        except Exception as error:
            self._drop(error)
            return
        for job, part in zip(live, given, strict=True):
            job.feed(part)

    def _drop(self, error: Exception) -> None:
        """A step failed: its requests are over, and its cache, which may be half written."""
        for job in self.running:
            job.fail(error)
        self.running, self._session = [], None

    def _end(self) -> None:
        """Nobody must wait for an engine that is gone."""
        closed = ServiceError("the engine was closed before this request was done; send it again")
        with self._wake:
            self._closing = True
            self._drop(closed)
            while len(self._line):
                self._line.take().fail(closed)
            for _, answer in self._calls:
                answer.put((None, closed))


def _starts(jobs: list[Job]) -> list[int]:
    """The first row of each job in the session."""
    return [0, *itertools.accumulate(job.rows for job in jobs)][:-1]


def _of_row(session: Session, row: int, job: Job) -> Tensor | Read:
    """What a job is begun with whose prompt is this row of the session."""
    logits = session.logits[row : row + 1]
    return Read(logits, session.hidden[row : row + 1, : len(job.prompt)]) if job.hidden else logits
