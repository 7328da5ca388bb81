"""Watch runs as they train: a page with loss, rates, speed, memory and what the model writes.

The page renews itself; several runs lie over each other. It reads metrics.jsonl of each run and changes nothing, so it
may be opened and closed at any time, also for runs that have ended.

Examples:
    upwell watch
    upwell watch runs/pretrain runs/larger --open
    upwell watch runs/pretrain --picture curves.png
"""

import errno
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError, ServiceError, SettingsError

MOST = 8


@dataclass(frozen=True)
class Settings:
    """Which runs, and where the page stands."""

    runs: Positional[tuple[Path, ...]] = ()
    """Folders of runs; default: the newest ones in runs/."""
    port: int = 6006
    """The port of the page; 0 takes a free one."""
    open: bool = False
    """Open the page in the browser."""
    picture: Path | None = None
    """Write the curves into this picture (.png, .svg, .pdf) instead, and end."""

    def __post_init__(self):
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port: found {self.port}, expected 0 to 65535")


def main(settings: Settings) -> None:
    from upwell.training.watch import Watch, distinct

    folders = found(settings.runs)
    if settings.picture is not None:
        from upwell.evaluation.curve import HOW, panels, possible
        from upwell.training.curves import Curves

        if not possible():
            raise SettingsError(f"--picture: {HOW}")
        runs = {}
        for name, folder in zip(distinct(folders), folders, strict=True):
            run = Curves(folder)
            run.refresh()
            runs[name] = run.told()["curves"]
        terminal.say(f"The curves are in {panels(runs, settings.picture)}.")
        return
    try:
        server = Watch(folders, settings.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ServiceError(f"Port {settings.port} is taken by another program; choose another with --port "
                           f"{settings.port + 1}, or 0 for a free one.") from None  # fmt: skip
    with server:
        terminal.say(f"{', '.join(map(str, folders))}: {server.address} (Ctrl-C ends it; the runs go on).")
        if settings.open and not webbrowser.open(server.address):
            terminal.warn(f"No browser could be opened; open {server.address} yourself.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            terminal.say("Stopped watching.")


def found(given: tuple[Path, ...]) -> list[Path]:
    """The folders named, or the newest runs. DataError where one is no run's folder."""
    if not given:
        known = sorted(Path("runs").glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
        if not known:
            raise DataError("there is no run in runs/; name the folder of one, or start one with `upwell pretrain`")
        return [path.parent for path in known[:MOST]]
    for folder in given:
        if not folder.is_dir():
            raise DataError(f"{folder} is not there; name the folder of a run (what `upwell pretrain --out` names)")
        if not (folder / "metrics.jsonl").is_file() and (folder / "config.json").is_file():
            raise DataError(f"{folder} holds a model without metrics.jsonl, so nothing is known of its training; "
                            "name the folder of a run")  # fmt: skip
    if len({folder.resolve() for folder in given}) < len(given):
        raise DataError("the same folder is named twice; name each run once")
    return list(given)
