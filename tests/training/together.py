"""Starts a job of `worker.py` in several processes that find each other, and never leaves one behind."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun would set."""
    told = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port,
            "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": 1}  # fmt: skip
    return os.environ | {name: str(value) for name, value in told.items()}


def start(size: int, job: str, folder: Path, **settings) -> list[subprocess.Popen]:
    """The processes of a job; `settings` reach it as keywords."""
    port, words = free_port(), [sys.executable, str(WORKER), job, str(folder), json.dumps(settings)]
    return [subprocess.Popen(words, env=environment(rank, size, port), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for rank in range(size)]  # fmt: skip


def end(processes: list[subprocess.Popen], seconds: float = 120) -> list[tuple[int, str, str]]:
    """(exit code, output, errors) of each; what still runs after that time is killed."""
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def together(size: int, job: str, folder: Path, seconds: float = 120, **settings) -> list[dict]:
    """What the job gives back in each process; one that fails fails the test."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = end(start(size, job, folder, **settings), seconds)
    failed = [f"process {n} ended with {code}: {said[-3000:]}" for n, (code, _, said) in enumerate(ended) if code]
    assert not failed, "\n".join(sorted(failed, key=lambda told: "does not answer any more" in told))  # the cause first
    return [json.loads(output.splitlines()[-1]) for _, output, _ in ended]
