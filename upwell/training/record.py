"""metrics.jsonl: one JSON object a line, one line a step that was logged; a resumed run drops what it repeats."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..atomic import write_file


class Record:
    """Appends to a file of metrics; lines from `step` on are dropped first, since the run will write them again.

    also: functions that are given each line, too; those that have a close() are closed.
    """

    def __init__(self, path: Path, step: int = 0, also: Sequence[Callable[[dict], None]] = ()):
        self.path, self.also = path, also
        kept = [line for line in read(path) if line["step"] < step] if path.exists() else []
        write_file(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.file = path.open("a", encoding="utf-8")

    def __call__(self, **line) -> None:
        """Write one line; `step` is required."""
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        for function in self.also:
            function(line)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        for function in self.also:
            if hasattr(function, "close"):
                function.close()


def read(path: Path) -> list[dict]:
    """All whole lines of a file of metrics; a last line that a kill cut short is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
