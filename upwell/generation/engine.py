"""Strategies meet sessions: run() drives one over one, Engine drives many and batches their rows in each model step.

Engine owns the model; all engines of a process may take turns in one thread. Requests wait in a bounded line that is
fair between clients, advance together, and share nothing but the matrix products: each has its own strategy, filters,
stop and random numbers. What goes wrong in one (an exception of its strategy, logits that are no numbers) fails that
one; a model step that raises fails the requests of that step; the engine goes on. It knows tokens and no text.

How a matrix product rounds depends on how many rows it has, so what a request gets may differ in its last bits, and
then in a token, with who else is there. In deterministic mode it never does: each prompt is read by itself, and every
step has as many rows, filled up with some that nobody asked for.
"""

import itertools
import queue
from collections import deque
from collections.abc import Callable
from types import GeneratorType

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import ServiceError
from ..model.cache import kept_as
from ..model.lasting import Lasting
from . import graphs
from .jobs import Job, Line, memory_is_full
from .prefixes import Prefixes
from .session import Session, check_prompts, check_sources
from .steps import Found, Read, Search, Step
from .turns import Turns

PREFILL = 4096   # tokens, padding included, that are read at most at once for new requests, so that others wait little
PIECE = 512      # tokens of a long prompt that are read between two steps of the others
REMEMBER = 1 << 28  # bytes of what was read before, for prompts that begin alike
PLACES = 1024  # tokens of each row that lasting memory has room for at first


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


class Engine:
    """One model for many requests.

    rows        texts that advance together; a beam search keeps several of them
    waiting     requests that may wait in line
    remember    bytes for what was read before: a prompt that begins as another one did is read from there on
    deterministic  what a request gets does not depend on the others; it remembers nothing then
    turns       the thread that it shares with other engines; default: one of its own
    record      how steps of one token are recorded (see graphs); default: as CUDA graphs on such a GPU, else not at all
    """

    def __init__(self, model, rows: int = 16, waiting: int = 256, remember: int = REMEMBER,
                 deterministic: bool = False, turns: Turns | None = None, record: Callable | None = None):  # fmt: skip
        self.model, self.rows, self.deterministic = model, rows, deterministic
        self.prefixes = Prefixes(0 if deterministic else remember)
        self._filling = 0                       # rows of the session that nobody asked for, behind all others
        self.running: list[Job] = []            # in the order of their rows in the session
        self.reading: deque[tuple[Job, Session]] = deque()  # long prompts, a piece of the first one at a time
        self._session: Session | None = None
        if record is None and model.device.type == "cuda":
            record = graphs.cuda_graph
        self._record = record if graphs.possible(model.config) and not deterministic else None
        self._recorded: graphs.Recorded | None = None
        self._line, self._calls, self._closing = Line(waiting), deque(), False
        self._turns = turns or Turns()
        self._wake = self._turns.wake
        self._turns.join(self)

    def submit(self, job: Job) -> Job:
        """Put a request in line. Raises SettingsError for a prompt that does not fit, Busy for a full line."""
        config = self.model.config
        check_sources(config, 1, None if job.source is None else [job.source])
        check_prompts([job.prompt], config.context, config.vocab, job.max_new)
        with self._wake:
            self._check_open()
            self._line.put(job)
            self._wake.notify_all()
        return job

    def call(self, function: Callable):
        """function(model) in the engine's thread between two steps; gives what it gives and raises what it raises.

        Where it is a generator, a piece of it is done between every two steps, and what it returns is given.
        """
        answer: queue.SimpleQueue = queue.SimpleQueue()
        with self._wake:
            self._check_open()
            self._calls.append((function, answer))
            self._wake.notify_all()
        value, error = answer.get()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Stop after the current step; what runs or waits fails with a ServiceError."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._turns.wait_without(self)

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._line)

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return not self._closing

    def _check_open(self) -> None:
        if self._closing:
            raise ServiceError("the engine is closed; open the model again")

    # ---- in the thread of all engines ----

    def wants(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._closing or self._calls or self.running or self.reading or len(self._line))

    def turn(self) -> bool:
        """Let everybody come a little further; False when it is time to end."""
        if self._closing:
            return False
        self._answer_calls()
        self._admit()
        self._read_on()
        self._step()
        return True

    def _answer_calls(self) -> None:
        """A piece of each: what is no generator is done at once."""
        for function, answer in [self._calls.popleft() for _ in range(len(self._calls))]:
            try:
                given = function if isinstance(function, GeneratorType) else function(self.model)
                if isinstance(given, GeneratorType):
                    next(given)
                    self._calls.append((given, answer))
                else:
                    answer.put((given, None))
            except StopIteration as end:
                answer.put((end.value, None))
            except Exception as error:
                answer.put((None, error))

    def _admit(self) -> None:
        """Take those whose turn it is: short prompts are read at once and together, a long one piece by piece."""
        jobs = self._next()
        short = [job for job in jobs if not self._long(job)]
        together = [[job] for job in short] if self.deterministic else [short] if short else []
        for some in (*together, *([job] for job in jobs if self._long(job))):
            whole = not self._long(some[0])
            try:
                session = self._roomy(lambda some=some, whole=whole: self._opened(some, whole))
            except Exception as error:
                for job in some:
                    job.fail(error)
                continue
            if whole:
                self._begin(some, session)
            else:
                self.reading.append((some[0], session))

    def _roomy(self, make: Callable[[], Session]) -> Session:
        """What `make` gives; where there is no memory for it, once more without what is remembered."""
        try:
            return make()
        except Exception as error:
            if not memory_is_full(error) or not self.prefixes.clear():
                raise
        return make()

    def _opened(self, jobs: list[Job], whole: bool) -> Session:
        """A session with these prompts, as far as they are not known already."""
        most = max(len(job.prompt) + job.max_new for job in jobs)
        sources = None if jobs[0].source is None else [job.source for job in jobs]
        known = [] if sources else [None if job.hidden else self.prefixes.longest(job.prompt, job.adapter)
                                    for job in jobs]  # fmt: skip
        for job, prefix in zip(jobs, known, strict=False):
            job.known = 0 if prefix is None else len(prefix.ids)
        return Session(self.model, [job.prompt for job in jobs], most, sources, any(job.hidden for job in jobs), known,
                       whole, [job.adapter for job in jobs])  # fmt: skip

    def _read_on(self) -> None:
        """A piece of the first of the long prompts."""
        while self.reading and self.reading[0][0].cancelled:
            self.reading.popleft()
        if not self.reading:
            return
        job, session = self.reading[0]
        try:
            done = session.read(PIECE)
        except Exception as error:
            self.reading.popleft()
            job.fail(error)
            if memory_is_full(error):
                self.prefixes.clear()
            return
        if done:
            self.reading.popleft()
            self._begin([job], session)

    def _begin(self, jobs: list[Job], session: Session) -> None:
        """Their prompts have been read: their rows stand behind the others from now on."""
        try:
            given = [_of_row(session, row, job) for row, job in enumerate(jobs)]
            for row, job in enumerate(jobs):
                self._remember(job.prompt, session, row, job.adapter)
            session.cache.masked = self.deterministic
            if self._session is not None:
                self._session.leave(self._filling)
                self._filling = 0
                self._session.join(session)
            self._session = self._session or self._settled(session)
        except Exception as error:
            for job in jobs:
                job.fail(error)
            return
        self.running += jobs
        for job, part in zip(jobs, given, strict=True):
            job.seen = list(job.prompt) if job.source is None else None
            job.start(part)

    def _settled(self, session: Session) -> Session:
        """The session of all others to come; where steps are recorded its rows lie in memory that outlasts it."""
        if self._record is None:
            return session
        if self._recorded is None:
            model = self.model
            kept = kept_as(model.config, model.device, model.dtype)
            ground = Lasting(model.config, self.rows, PLACES, model.device, kept)
            self._recorded = graphs.Recorded(model, ground, self._record)
        session.settle(self._recorded)
        return session

    def _remember(self, ids: list[int], session: Session, row: int, adapter: int) -> None:
        """Keep what a row has read; where there is no memory for that, nothing is remembered for now."""
        try:
            self.prefixes.keep(ids, session.cache, row, adapter)
        except Exception as error:
            if not memory_is_full(error):
                raise
            self.prefixes.clear()

    def _long(self, job: Job) -> bool:
        """Whether reading its prompt at once would keep the others waiting."""
        return len(job.prompt) > PIECE and job.source is None

    def _next(self) -> list[Job]:
        """As many from the line as there are rows free, and as fit into one reading; one that wants all goes alone."""
        jobs: list[Job] = []
        with self._wake:
            used = sum(job.width for job in self.running if job.alive) + sum(job.width for job, _ in self.reading)
            longest, short = 0, 0
            while len(self._line):
                first = self._line.first()
                if not self._long(first):
                    longest, short = max(longest, first.read), short + 1
                if used and used + first.width > self.rows or short > 1 and longest * short > PREFILL:
                    break
                self._line.take()
                if first.cancelled:
                    short -= not self._long(first)
                else:
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
                job.note(step)
            elif job.seen is not None and job.found:
                self._remember(job.seen, self._session, row, job.adapter)
        self.running = live
        if not live:
            self._session, self._filling = None, 0
            return
        try:
            self._session.keeps = any(job.hidden for job in live)
            given = answer(self._session, steps + self._filled(steps))
        except Exception as error:
            self._drop(error)
            return
        for job, part in zip(live, given, strict=False):
            job.feed(part)

    def _filled(self, steps: list[Step]) -> list[Step]:
        """In deterministic mode a step for the rows that are missing; it is written over by the next one."""
        missing = self.rows - sum(len(step.parents) for step in steps) if self.deterministic else 0
        kept = range(self._session.rows - self._filling, self._session.rows)[: max(0, missing)]
        copies = max(0, missing) - len(kept)
        back, self._filling = int(self._filling > 0), max(0, missing)
        if missing <= 0:
            return []
        return [Step(torch.zeros(missing, dtype=torch.long), torch.tensor([*kept, *[0] * copies]), back=back)]

    def _drop(self, error: Exception) -> None:
        """A step failed: its requests are over, and its cache, which may be half written."""
        if memory_is_full(error):
            self.prefixes.clear()
        for job in self.running:
            job.fail(error)
        self.running, self._session, self._filling = [], None, 0

    def end(self) -> None:
        """Nobody must wait for an engine that is gone."""
        closed = ServiceError("the engine was closed before this request was done; send it again")
        with self._wake:
            self._closing = True
            self._drop(closed)
            while self.reading:
                self.reading.popleft()[0].fail(closed)
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
