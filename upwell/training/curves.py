"""What metrics.jsonl of a run says, as curves: followed while the run writes, thinned to what a picture can show.

    run = Curves(folder); run.refresh(); run.told(points=1500)

Every number of a line is a curve by its name; an evaluation's is "held-out NAME", with its standard error. Of the
tables of right and said labels ("confusion") the newest is kept. It knows no screen and no model; `upwell watch` and
the pictures in a run's folder show what it tells.
"""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FILE = "metrics.jsonl"
AXES = ("step", "tokens", "seconds")
HELD = "held-out "
MARK = 256  # bytes before the place where reading stopped, by which a file that was written anew is known
SAMPLES = 40  # the last ones are kept


@dataclass
class Curve:
    """One number over a run. at: one list for each of AXES; errors: standard errors, empty where there are none."""

    at: tuple[list[float], list[float], list[float]] = field(default_factory=lambda: ([], [], []))
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, place: tuple[float, float, float], value: float, error: float | None) -> None:
        """One more point."""
        for axis, x in zip(self.at, place, strict=True):
            axis.append(x)
        self.values.append(value)
        if error is not None:
            self.errors.append(error)

    def thinned(self, points: int) -> dict:
        """At most about so many points: means of equally long pieces, with the lowest and highest value of each."""
        count = len(self.values)
        if count <= points:
            whole = {name: list(axis) for name, axis in zip(AXES, self.at, strict=True)}
            errors = self.errors if len(self.errors) == count else []
            return whole | {"values": list(map(finite, self.values)), "errors": list(map(finite, errors))}
        width = -(-count // points)
        pieces = [slice(first, min(first + width, count)) for first in range(0, count, width)]
        ends = {name: [axis[piece.stop - 1] for piece in pieces] for name, axis in zip(AXES, self.at, strict=True)}
        parts = [self.values[piece] for piece in pieces]
        return ends | {"values": [finite(sum(part) / len(part)) for part in parts], "errors": [],
                       "lowest": [finite(min(part)) for part in parts],
                       "highest": [finite(max(part)) for part in parts]}  # fmt: skip


class Curves:
    """A run's folder, followed. .curves by name · .samples · .confusion · .version rises when something is new."""

    def __init__(self, folder: Path):
        self.folder, self.version = Path(folder), 0
        self.anew()

    def anew(self) -> None:
        """Forget everything."""
        self.read, self.mark, self.last = 0, 0, (0.0, 0.0, 0.0)
        self.curves: dict[str, Curve] = {}
        self.samples: list[dict] = []
        self.confusion: dict | None = None
        self.version += 1

    def refresh(self) -> None:
        """Read what the run has written since; a file that was cut back, by a run that goes on, is read anew."""
        path = self.folder / FILE
        if not path.is_file():
            if self.read:
                self.anew()
            return
        with path.open("rb") as file:
            before = min(self.read, MARK)
            file.seek(self.read - before)
            if zlib.crc32(file.read(before)) != self.mark:
                self.anew()
                file.seek(0)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            for line in whole.splitlines():
                self.line(line)
            self.read += len(whole)
            if whole:
                self.version += 1
            before = min(self.read, MARK)
            file.seek(self.read - before)
            self.mark = zlib.crc32(file.read(before))

    def line(self, text: bytes) -> None:
        """Take in one line; one that is no JSON object is passed over."""
        try:
            said = json.loads(text)
            step = float(said["step"])
        except (ValueError, TypeError, KeyError):
            return
        tokens, seconds = (said.get(name, old) for name, old in zip(AXES[1:], self.last[1:], strict=True))
        self.last = place = (step, float(tokens), float(seconds))
        for name, value, error in numbers(said):
            self.curves.setdefault(name, Curve()).add(place, value, error)
        written = said.get("samples", said.get("sample"))
        for one in [{"text": written}] if isinstance(written, str) else written or []:
            self.samples.append({"step": step, "tokens": place[1]} | {key: str(value) for key, value in one.items()})
        self.samples = self.samples[-SAMPLES:]
        if (table := confusion(said.get("confusion"))) is not None:
            self.confusion = {"step": step} | table

    def told(self, points: int = 1500) -> dict:
        """All of it as plain JSON."""
        curves = {name: curve.thinned(points) for name, curve in self.curves.items()}
        at = dict(zip(AXES, self.last, strict=True))
        return {"curves": curves, "samples": self.samples, "confusion": self.confusion, "steps": self.steps(), "at": at}

    def steps(self) -> int:
        """How many steps the run wants, as its newest state says; 0 where nothing does."""
        from . import state

        newest = state.newest(self.folder)
        try:
            extra = state.facts(newest)["extra"] if newest else {}
            return int(extra.get("chosen", extra).get("steps", 0))
        except Exception:  # a state that is being written or is damaged: the page only lacks a bar
            return 0


def numbers(said: dict) -> Iterator[tuple[str, float, float | None]]:
    """(name, value, standard error or None) of everything in a line that is a number."""
    for name, value in said.items():
        if name in AXES or name == "error":
            continue
        if name == "evaluation" and isinstance(value, dict):
            for metric, number in value.items():
                pair = (number.get("value"), number.get("error")) if isinstance(number, dict) else (number, None)
                if real(pair[0]):
                    yield HELD + metric, float(pair[0]), float(pair[1]) if real(pair[1]) else None
        elif name.startswith("heldout_") and real(value):
            yield HELD + name.removeprefix("heldout_").replace("_", " "), float(value), said.get("error")
        elif real(value):
            yield name.replace("_", " "), float(value), None


def confusion(said) -> dict | None:
    """{"labels", "counts": a row for each right label, a column for each said one}; None for what has no such form."""
    try:
        labels = [str(label) for label in said["labels"]]
        counts = [[int(count) for count in row] for row in said["counts"]]
    except (TypeError, KeyError, ValueError):
        return None
    square = labels and len(counts) == len(labels) and all(len(row) == len(labels) for row in counts)
    return {"labels": labels, "counts": counts} if square else None


def real(value) -> bool:
    """Whether it is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def finite(value: float) -> float | None:
    """JSON knows no NaN: None, a gap in the curve."""
    return value if math.isfinite(value) else None
