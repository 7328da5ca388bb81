"""The `map` of the local runner on Ray: `engine(address, workers).map(function, tasks)`, results in the tasks' order.

    function   of a module that the workers can import, or a functools.partial of one
    task       a small value that can be pickled; what is large lies in files below the folder that all machines share

A task whose worker or machine dies is given to another one, at most RETRIES times, so a task may run twice: it must
write its files whole or not at all, and the same bytes each time. What a task raises is raised here, as on one machine.
Relative paths mean on the workers what they mean here. Knows nothing of documents; Ray is imported when an engine is
made.
"""

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from upwell import __version__
from upwell.errors import ServiceError, SettingsError

RETRIES = 3
AHEAD = 4  # results that may wait for an earlier one, in multiples of the workers
STORE = 100 << 20  # bytes of a private Ray's object store, which carries tasks and results only
START = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}


def engine(address: str | None, workers: int) -> "Cluster":
    """A cluster to map over; use it in a `with`, or close it.

    address: None starts a Ray of its own on this machine with `workers` processes, 0: one for each core; "auto" or
    "host:6379" joins a running one, of which at most `workers` CPUs are used, 0: all. Raises SettingsError without Ray,
    ServiceError where the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns of it at each start
    try:
        import ray
    except ImportError:
        raise SettingsError('A cluster needs Ray, and it is not installed; `pip install "upwell[scale]"`.') from None
    if ray.is_initialized():
        raise SettingsError("This process is connected to a Ray already: call ray.shutdown() before a cluster is made.")
    return _private(ray, workers) if address is None else _joined(ray, address, workers)


def _private(ray, workers: int) -> "Cluster":
    workers = workers or os.cpu_count() or 1
    # Ray puts sockets there, whose paths must be short: the folder for temporary files of macOS is too long.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp" if os.name == "posix" else None)
    limits = {"num_cpus": workers, "num_gpus": 0, "object_store_memory": STORE, "_temp_dir": folder}
    try:
        # "local": not the cluster that RAY_ADDRESS may name. Nothing outside of this machine can reach it.
        ray.init(address="local", _node_ip_address="127.0.0.1", **limits, **START)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Cluster(ray, workers, folder)


def _joined(ray, address: str, workers: int) -> "Cluster":
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ServiceError(
            f"No Ray cluster answers at {address} ({_first_line(error)}); name the address that `ray start --head` "
            "printed, with its token in RAY_AUTH_TOKEN where it has one, or leave it out to work on this machine."
        ) from None
    cpus = int(ray.cluster_resources().get("CPU", 0)) or 1
    return Cluster(ray, min(workers or cpus, cpus))


def _knock(address: str) -> None:
    """OSError where nobody listens: Ray itself would try for minutes. "auto" is found by Ray without trying."""
    import socket

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class Cluster:
    """Ray's workers as a `map`. workers: how many tasks run at once."""

    def __init__(self, ray, workers: int, folder: str | None = None):
        self.workers, self._ray, self._folder = workers, ray, folder
        self._run = ray.remote(num_cpus=1, max_retries=RETRIES)(_run)

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """function(task) for each task, in their order; tasks are drawn when there is room for them.

        Raises what the first failing task raised; ServiceError where the workers of one task died again and again.
        """
        start = partial(self._run.remote, self._ray.put(function), os.getcwd(), __version__)
        results, running = deque(), []
        try:
            for task in tasks:
                running = self._with_room(running)
                results.append(start(task))
                running.append(results[-1])
                while results and (len(results) > AHEAD * self.workers or self._done(results[0])):
                    yield self._result(results.popleft())
            while results:
                yield self._result(results.popleft())
        finally:
            for reference in results:
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; a Ray of its own ends with its processes and files. May be called twice."""
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _with_room(self, running: list) -> list:
        while len(running) >= self.workers:
            _, running = self._ray.wait(running, num_returns=1, fetch_local=False)
        return running

    def _done(self, reference) -> bool:
        return bool(self._ray.wait([reference], timeout=0, fetch_local=False)[0])

    def _result(self, reference) -> Any:
        failures = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except failures.RayTaskError as error:
            raise error.cause from error
        except (failures.WorkerCrashedError, failures.NodeDiedError, failures.OutOfMemoryError) as error:
            raise ServiceError(
                f"{RETRIES + 1} workers of the cluster died one after the other on the same task, mostly for want of "
                f"memory; give each worker more, or run fewer on a machine ({_first_line(error)})."
            ) from error


def _run(function: Callable[[Any], Any], folder: str, version: str, task: Any) -> Any:
    """One task in a worker: where the caller stands, by the same version."""
    if version != __version__:
        raise ServiceError(
            f"{_machine()} has upwell {__version__}, the run was started with {version}; install the same everywhere."
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise ServiceError(
            f"{_machine()} cannot open {folder} ({error.strerror}); run it in a folder that all its machines share."
        ) from None
    return function(task)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200].rstrip(".")


def _machine() -> str:
    import socket

    return f"The machine {socket.gethostname()} of the cluster"
