"""Ctrl-C between two steps."""

import signal
import threading


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the state was saved; the sentence says how to go on."""


class CtrlC:
    """While it is open, the first Ctrl-C sets .stop, so that no step is torn in two; a second one stops at once."""

    def __enter__(self) -> "CtrlC":
        self.stop, self.before = False, None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self.pressed)
        return self

    def pressed(self, *_) -> None:
        """The handler."""
        if self.stop:
            raise KeyboardInterrupt
        self.stop = True

    def __exit__(self, *_) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
