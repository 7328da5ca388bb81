"""Parsers of difficult formats run in a child process: `parse(format, name, data, settings)`.

The child has limits of memory (where the system knows them) and of time for each document, opens no connection and
starts no program; when a parser hangs or crashes it dies, that one file is a fault, and a new child takes its place.
One child serves one process for as long as that lives, so it is started once. A format is a file of readers/ with
`parse(data, name, options) -> Iterator[dict | bytes]`; what it raises becomes a fault. Another room has a Child of its
own with a Parsers of its own. What crosses the pipes is JSON and bytes.
"""

import contextlib
import faulthandler
import functools
import importlib
import json
import os
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from upwell.errors import ServiceError
from upwell.text.encodings import Unreadable

LENGTH = struct.Struct("<Q")
FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")


@dataclass(frozen=True)
class Parsers:
    """Where the parsers of a child are, and what helps where one needs more than it may have."""

    module: str = "upwell.text.readers.{}"
    """What has `parse`; {} is the format."""
    longer: str = "take it out or raise --reading.seconds"
    larger: str = "take it out or raise --reading.memory"


READERS = Parsers()


def parse(form: str, name: str, data: bytes, settings, options: dict | None = None) -> Iterator[dict[str, Any]]:
    """What the parser of a format finds in the data, one after the other. Raises Unreadable, also at a crash.

    data: a file, or, with options {"path": ...}, nothing. settings: of sources.
    """
    child = _child(os.getpid(), settings.memory, settings.seconds)
    yield from child.parse(form, name, data, options or {})


def parse_one(form: str, name: str, data: bytes, settings, options: dict | None = None) -> dict[str, Any]:
    """The one thing that the parser of a format finds in the data. Raises Unreadable, also at a crash."""
    (found,) = parse(form, name, data, settings, options)  # to its end: a child with more to say would be replaced
    return found


@functools.lru_cache(maxsize=1)
def _child(process: int, memory: int, seconds: float) -> "Child":
    """The child of this process; a forked one must not share its parent's."""
    return Child(memory, seconds)


class Child:
    """A process that parses, for one thread at a time. memory: bytes; seconds: for one document."""

    def __init__(self, memory: int, seconds: float, parsers: Parsers = READERS):
        self.memory, self.seconds, self.parsers = memory, seconds, parsers
        self.running: list[subprocess.Popen] = []
        weakref.finalize(self, _end, self.running)  # also when this process ends

    def parse(self, form: str, name: str, data: bytes, options: dict) -> Iterator[Any]:
        request = {"module": self.parsers.module.format(form), "form": form, "name": name, "options": options,
                   "seconds": self.seconds}  # fmt: skip
        started, whole = time.monotonic(), False
        try:
            self._send(request, data)
            while (answer := self._answer()) is not None:
                if "found" not in answer:
                    whole = True
                    self._refuse(answer)
                    return
                yield answer["found"]
                started = time.monotonic()
            raise Unreadable(self._death(form, time.monotonic() - started))
        finally:
            if not whole:  # it died, or nobody wants the rest
                self.close()

    def close(self) -> None:
        """End the child, whatever it does."""
        _end(self.running)

    def _answer(self) -> dict | None:
        """The next one; None where the child is gone."""
        head = _receive(self.running[0].stdout)
        if head is None:
            return None
        answer = json.loads(head.decode("utf-8", "surrogatepass"))
        if "bytes" not in answer:
            return answer
        data = _receive(self.running[0].stdout)
        return None if data is None else {"found": data}

    def _refuse(self, answer: dict) -> None:
        """Raise what an answer says that went wrong."""
        if "missing" in answer:
            raise ServiceError(answer["missing"])
        if "memory" in answer:
            raise Unreadable(f"needs more memory than it may have, expected a smaller file; {self.parsers.larger}")
        if "fault" in answer:
            raise Unreadable(answer["fault"], answer.get("line", 0))

    def _send(self, request: dict, data: bytes) -> None:
        for fresh in (False, True):
            if not self.running:
                self.running.append(_started(self.memory))
            try:
                _write(self.running[0].stdin, json.dumps(request).encode())
                _write(self.running[0].stdin, data)
                return
            except OSError:  # it died while it had nothing to do
                if fresh:
                    raise Unreadable(self._death(request["form"], 0)) from None
                self.close()

    def _death(self, form: str, seconds: float) -> str:
        try:
            code = self.running[0].wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = None
        if seconds >= self.seconds:
            return f"parsing it as {form} took longer than {self.seconds:g} seconds; {self.parsers.longer}"
        return f"the parser of {form} crashed (exit code {code}), expected a whole file or one that needs less memory"


def _end(running: list[subprocess.Popen]) -> None:
    for process in running:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet cannot be any more
                pipe.close()
        process.wait()
    running.clear()


def _started(memory: int) -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else [root])
    # -P: the folder that a user stands in must not lend us its modules
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "upwell.text.confined", str(memory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def _receive(file: BinaryIO) -> bytes | None:
    """The next message; None where the other side is gone."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    size = LENGTH.unpack(head)[0]
    data = file.read(size)
    return data if len(data) == size else None


# ---- in the child ----


def _serve(memory: int) -> None:
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    _limit(memory)
    sys.addaudithook(_forbid)
    while (request := _receive(requests)) is not None:
        data = _receive(requests)
        if data is None:
            return
        for answer in _answers(json.loads(request), data):
            content = answer.get("found")
            if isinstance(content, bytes):
                _write(answers, b'{"bytes": true}')
                _write(answers, content)
            else:
                _write(answers, json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _answers(request: dict, data: bytes) -> Iterator[dict]:
    """{"found": what the parser gives} again and again, then {"end"}, or what went wrong."""
    try:
        for found in _in_time(request, data):
            yield {"found": found}
        yield {"end": True}
    except Unreadable as error:
        yield {"fault": str(error), "line": error.line}
    except ServiceError as error:
        yield {"missing": str(error)}
    except ImportError as error:
        yield {"fault": f"{request['form']} needs {error.name}, which is not here; pip install 'upwell[formats]'"}
    except MemoryError:
        yield {"memory": True}
    except Exception as error:  # a library that meets broken data may raise anything
        text = " ".join(str(error).split())[:200]
        yield {"fault": f"cannot be read as {request['form']}: {text or type(error).__name__}"}


def _in_time(request: dict, data: bytes) -> Iterator[dict | bytes]:
    """What the parser finds; the process ends itself when the next find takes too long."""
    seconds = request["seconds"]
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        parser = importlib.import_module(request["module"])
        for found in parser.parse(data, request["name"], request["options"]):
            faulthandler.cancel_dump_traceback_later()  # the other side may take its time
            yield found
            faulthandler.dump_traceback_later(seconds, exit=True)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):  # macOS refuses some limits
        return


def _forbid(event: str, details: tuple) -> None:
    if event in FORBIDDEN:
        raise PermissionError(f"a parser tried {event}")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
