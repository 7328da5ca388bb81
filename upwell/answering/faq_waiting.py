"""Events that were not delivered yet, in a folder, so that they outlive the process that was to send them.

    waiting = Waiting(folder)
    waiting.keep(event); waiting.drop(event["id"]); waiting.all()       # oldest first
    waiting.close()

A file an event, which the owner alone can read: an event holds what a visitor said, unmasked. One process at a time
has the folder, by a lock that ends with it; another one keeps nothing, so that no event is sent by two. Where the disk
cannot be written that is logged, and the event is sent all the same.
"""

import contextlib
import json
import logging
import os
from pathlib import Path

from ..atomic import alone, write_file
from ..errors import UpwellError

log = logging.getLogger("upwell.answering")


class Waiting:
    """One folder."""

    def __init__(self, folder: Path):
        self.folder, self._held = folder, contextlib.ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held.enter_context(alone(folder / "lock"))
            self.mine = True
        except (OSError, UpwellError) as error:
            log.warning("%s: events that wait are not kept there (%s)", folder, error)
            self.mine = False

    def all(self) -> list[dict]:
        """What another process has left, the oldest first; files that are no event are passed over."""
        found = []
        for path in self.folder.glob("*.json") if self.mine else ():
            with contextlib.suppress(OSError, ValueError):
                event = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(event, dict) and event.get("id") == path.stem:
                    found.append(event)
        return sorted(found, key=lambda event: str(event.get("time", "")))

    def keep(self, event: dict) -> None:
        """Write it down."""
        if self.mine:
            try:
                path = self.folder / f"{event['id']}.json"
                write_file(path, json.dumps(event, ensure_ascii=False).encode("utf-8"))
                os.chmod(path, 0o600)
            except (OSError, UpwellError) as error:
                log.error("%s: an event that waits could not be written there (%s)", self.folder, error)

    def drop(self, id: str) -> None:
        """It was taken, or given up."""
        if self.mine:
            with contextlib.suppress(OSError):
                (self.folder / f"{id}.json").unlink()

    def close(self) -> None:
        """Let another process have the folder; an empty one goes."""
        empty = self.mine and not any(self.folder.glob("*.json"))
        self._held.close()
        if empty:
            with contextlib.suppress(OSError):
                (self.folder / "lock").unlink()
                self.folder.rmdir()
