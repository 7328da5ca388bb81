"""uvicorn as we run it: HTTP/1.1 only, no log lines of its own, a word when it is up and when it stops.

Knows sockets and signals; knows nothing of routes.
"""

from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from upwell import terminal

PATIENCE = 30.0     # seconds for the head of a connection's first request


class Patient(H11Protocol):
    """A connection that is closed when its first request's head does not come: uvicorn itself would wait for ever."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.loop.call_later(PATIENCE, self._close_silent)

    def _close_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Serves `service`; `announce` is called when requests are taken."""

    def __init__(self, service, shutdown_seconds: int, announce: Callable[[], None]):
        super().__init__(uvicorn.Config(service, http=Patient, ws="none", lifespan="off", log_level="warning",
                                        access_log=False, server_header=False, h11_max_incomplete_event_size=65536,
                                        timeout_graceful_shutdown=shutdown_seconds))
        self.announce = announce

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets=sockets)
        self.announce()

    def handle_exit(self, number, frame) -> None:
        """The first signal lets requests finish; a second one does not wait."""
        if self.should_exit:
            self.force_exit = True
        elif at_work := len(self.server_state.tasks):
            terminal.say(f"Stopping: {at_work} requests may finish first (Ctrl-C again to stop now).")
        super().handle_exit(number, frame)
