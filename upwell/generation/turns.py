"""One thread in which all engines of a process take turns, a step each.

Two threads that compute have two teams of OpenMP's, together more than there are cores, and each of their steps takes
twice as long (see `threads`); a GPU works one thing off after another as well. It knows no model.
"""

import logging
import threading
from typing import Protocol

import torch

from .threads import give_up_team

log = logging.getLogger("upwell.generation")


class Turn(Protocol):
    """Who takes turns."""

    def wants(self) -> bool:
        """Whether there is anything to do; called with the lock held."""

    def turn(self) -> bool:
        """Do a little of it; False when it is over for good."""

    def end(self) -> None:
        """It is over: nobody must wait for it any more."""


class Turns:
    """The thread, which is there while somebody takes turns. .wake: the lock, and what is notified when work comes."""

    def __init__(self):
        self.wake = threading.Condition()
        self._all: list[Turn] = []
        self._thread: threading.Thread | None = None

    def join(self, one: Turn) -> None:
        """From now on it takes turns with the others."""
        with self.wake:
            self._all.append(one)
            if self._thread is None:
                give_up_team()
                self._thread = threading.Thread(target=self._work, name="upwell-engine", daemon=True)
                self._thread.start()
            self.wake.notify_all()

    def wait_without(self, one: Turn) -> None:
        """Return when it takes no more turns, and of the last one when the thread is gone: a process that ends while
        it is still on its way out is aborted."""
        with self.wake:
            thread = self._thread
            self.wake.wait_for(lambda: one not in self._all and (self._all or self._thread is not thread or not thread))
            gone = self._thread is not thread
        if gone and thread is not None:
            thread.join()

    def _work(self) -> None:
        with torch.inference_mode():
            while some := self._waited():
                for one in some:
                    self._turn(one)

    def _waited(self) -> list[Turn]:
        """Those who have something to do, as soon as there are any; none when nobody is left."""
        with self.wake:
            self.wake.wait_for(lambda: not self._all or any(one.wants() for one in self._all))
            if not self._all:
                self._thread = None
                self.wake.notify_all()
            return [one for one in self._all if one.wants()]

    def _turn(self, one: Turn) -> None:
        going = False
        try:
            going = one.turn()
        except Exception:  # it must not take the others with it
            log.exception("an engine ended")
        if not going:
            one.end()
            with self.wake:
                self._all.remove(one)
                self.wake.notify_all()
