"""The engine of one machine: map a function over tasks in several processes, results in the order of the tasks.

    with Local(workers=2) as engine:
        for result in engine.map(function, tasks): ...

An engine is whatever has this `map`; `cluster` has one for many machines. function: of a module, or a functools.partial
of one; tasks and results are small, since what is large lies in files. Only a few tasks are under way at a time, so a
list of any length costs no memory. Knows nothing of documents.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from upwell.errors import ServiceError

AHEAD = 2  # tasks that wait for each worker, so that none is idle while a result is looked at


class Engine(Protocol):
    """What runs tasks."""

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """function(task) for each task, in their order; what a task raises is raised here."""


class Local:
    """Processes of this machine; one worker is this very process, which starts at once."""

    def __init__(self, workers: int):
        self.workers, self._pool = workers, None

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the tasks. ServiceError where a worker dies."""
        if self.workers == 1:
            yield from map(function, tasks)
            return
        waiting: deque = deque()
        try:
            for task in tasks:
                waiting.append(self._ready().submit(function, task))
                if len(waiting) > AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            self._pool = None
            raise ServiceError(
                "A worker process died, most likely for want of memory; what is finished is kept: run the same command "
                "again, with fewer --workers or less --memory."
            ) from error
        finally:
            for one in waiting:
                one.cancel()

    def _ready(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # a process of its own from the start: what this one has open (torch's threads, sockets) is not copied
            kind = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=kind, initializer=_quiet)
        return self._pool


def _quiet() -> None:
    """Workers share the cores: none starts threads of its own; Ctrl-C is the first process's affair."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        os.environ[name] = "1" if name != "TOKENIZERS_PARALLELISM" else "false"
