"""What a person sees: news and progress on stderr, results on stdout, plain lines where there is no terminal.

Results (tables, samples) go to stdout, so that they can be piped; everything else goes to stderr. Colours are
left out where NO_COLOR is set or the stream is no terminal. rich is imported only when something is drawn.
This module knows no room.
"""

import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Self, TextIO


def tolerate_any_character() -> None:
    """Make stdout and stderr replace what their encoding lacks (cp1252, ascii) instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """One line of news."""
    _print(text, sys.stderr)


def note(text: str) -> None:
    """A line of news that the eye may pass over."""
    _print(text, sys.stderr, "dim")


def stage(title: str) -> None:
    """The heading of the next part of a longer work."""
    _print(f"\n{title}", sys.stderr, "bold")


def warn(text: str) -> None:
    """A warning: the work goes on."""
    _print(text, sys.stderr, "yellow")


def fail(text: str) -> None:
    """The sentence with which a command ends."""
    _print(text, sys.stderr, "red")


def sample(text: str) -> None:
    """A quoted block of a model's writing, on stdout."""
    _print("\n".join(f"  | {line}" for line in harmless(text).splitlines() or [""]), sys.stdout)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on stdout; numbers stand at the right."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        numbers = all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(harmless(_cell(value))) for value in row))
    _console(sys.stdout).print(drawn)
    sys.stdout.flush()


def harmless(text: str) -> str:
    """The text with control and direction-override characters (escape sequences begin with one) made visible."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _harms(c) else c for c in text)


def duration(seconds: float) -> str:
    """65 -> "1:05", 3700 -> "1:01:40"."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """A progress bar on stderr with free columns; on a non-terminal a plain line at most every `every` seconds.

        with Progress("pretrain", total=400) as progress:
            progress.update(step, {"loss": "2.31", "tokens/s": "4,100"})

    `start` is what was already done before (a resumed run): the time left is reckoned from the rest.
    """

    def __init__(self, description: str, total: float, start: float = 0, every: float = 10.0):
        self.description, self.total, self.start, self.every = description, total, start, every
        self._bar = self._task = None
        self._last_line = ""

    def __enter__(self) -> Self:
        self._begun = self._printed = time.monotonic()
        self._done = self.start
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.description, total=self.total, completed=self.start, news="")
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()
        elif self._last_line:
            _print(self._last_line, sys.stderr)
        self._last_line = ""

    def update(self, done: float, columns: Mapping[str, str] | None = None) -> None:
        """`done` of `total` are done; columns are shown as they stand, e.g. {"loss": "2.31"}."""
        self._done = done
        parts = [f"{name} {value}" for name, value in (columns or {}).items()] + self._time_left()
        if self._bar:
            self._bar.update(self._task, completed=done, news=" · ".join(parts))
            return
        self._last_line = " · ".join([f"{self.description} {done:,.0f}/{self.total:,.0f}", *parts])
        if time.monotonic() - self._printed >= self.every:
            self._printed = time.monotonic()
            _print(self._last_line, sys.stderr)
            self._last_line = ""

    def _time_left(self) -> list[str]:
        done, left = self._done - self.start, self.total - self._done
        if done <= 0 or left < 0:
            return []
        return [f"{duration((time.monotonic() - self._begun) / done * left)} left"]


def _bar() -> Any:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    plain = {"markup": False}
    return Bar(
        TextColumn("{task.description}", **plain), BarColumn(bar_width=24), TaskProgressColumn(),
        TextColumn("{task.fields[news]}", **plain), console=_console(sys.stderr),
    )  # fmt: skip


def _console(stream: TextIO) -> Any:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _print(text: str, stream: TextIO, style: str = "") -> None:
    if style and stream.isatty():
        _console(stream).print(text, style=style, soft_wrap=True)
    else:
        print(_encodable(text, stream), file=stream, flush=True)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _harms(character: str) -> bool:
    if unicodedata.category(character) in ("Cc", "Cs"):
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
