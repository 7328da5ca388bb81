"""`upwell serve` as a user runs it: a process of its own, driven by the official client."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import openai

ROOT = Path(__file__).parents[2]


class Process:
    """The program; .address once it says that it serves, .said what it told so far."""

    def __init__(self, *flags, cwd=ROOT, **environment):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "500"} | environment
        self.popen = subprocess.Popen([sys.executable, "-m", "upwell", "serve", *map(str, flags), "--port", "0"],
                                      cwd=cwd, text=True, encoding="utf-8", env=environment,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        self.said: list[str] = []
        while not (found := re.search(r"served at (https?://\S+)", "".join(self.said))):
            line = self.popen.stderr.readline()
            assert line, "".join(self.said)
            self.said.append(line)
        self.address = found[1]
        # A full pipe would stop it.
        self.reader = threading.Thread(target=lambda: self.said.extend(self.popen.stderr), daemon=True)
        self.reader.start()

    def client(self, **more) -> openai.OpenAI:
        """The official client."""
        return openai.OpenAI(
            **{"base_url": f"{self.address}/v1", "api_key": "none", "max_retries": 0, "timeout": 60} | more
        )

    def status(self, name: str) -> int:
        """A line of /proc: VmRSS in kB, Threads; or FDs, counted."""
        folder = Path(f"/proc/{self.popen.pid}")
        if name == "FDs":
            return len(os.listdir(folder / "fd"))
        line = next(line for line in (folder / "status").read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1])

    def end(self) -> str:
        """Kill it; all that it said."""
        self.popen.kill()
        self.popen.wait()
        self.reader.join(10)
        self.popen.stderr.close()
        return "".join(self.said)


@contextlib.contextmanager
def serving(*flags, **environment):
    """A Process for as long as the block runs."""
    process = Process(*flags, **environment)
    try:
        yield process
    finally:
        process.end()
