"""uvicorn as we run it: HTTP/1.1 only, no log lines of its own, deadlines for slow senders, and an end that drains.

At the first signal new requests are answered 503 while those at work finish; then the doors close. Knows sockets and
signals; knows nothing of routes.
"""

import os
import socket
import time
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from upwell import terminal

PATIENCE = 30.0     # seconds for the head of a request, from its first byte (or from the connection's beginning)
STATISTICS = 10.0   # seconds between two lines of statistics


class Patient(H11Protocol):
    """A connection that is closed when the head of a request does not come: uvicorn itself would wait for ever.

    uvicorn's own timer runs between two requests only, and every byte of a slow sender sets it anew.
    """

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        # asyncio does so itself only where a socket was made with its protocol's number: otherwise every answer, which
        # is more than one write, waits 40 ms for the client's delayed acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = self.loop.call_later(PATIENCE, self._close_silent)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self._between:
            self._deadline = self.loop.call_later(PATIENCE, self._close_silent)
        super().data_received(data)
        if self._deadline is not None and not self._between:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    @property
    def _between(self) -> bool:
        """Whether no request is at work: its head has not come, or its answer has gone."""
        return self.cycle is None or self.cycle.response_complete

    def _close_silent(self) -> None:
        self._deadline = None
        if self._between and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Serves `service`; `announce` is called when connections are taken.

    shutdown_seconds   how long requests at work may take to finish after a signal; a second signal does not wait
    ssl                certificate and key files, for https
    statistics         a line every ten seconds in which something happened
    """

    def __init__(self, service, shutdown_seconds: float, announce: Callable[[], None], ssl: tuple | None = None,
                 statistics: bool = False):  # fmt: skip
        certificate, key = ssl or (None, None)
        # Who a request comes from is what its socket says: a header says what its sender likes, and a proxy that does
        # not write X-Forwarded-For itself passes on what a client wrote. Whoever has one that does names it.
        named = bool(os.environ.get("FORWARDED_ALLOW_IPS"))
        super().__init__(uvicorn.Config(service, http=Patient, ws="none", lifespan="off", log_level="warning",
                                        access_log=False, server_header=False, h11_max_incomplete_event_size=65536,
                                        timeout_graceful_shutdown=int(shutdown_seconds), backlog=4096,
                                        ssl_certfile=certificate, ssl_keyfile=key, proxy_headers=named))  # fmt: skip
        self.announce, self.patience = announce, shutdown_seconds
        self.desk = service.state.desk
        self._until: float | None = None
        self._told = (time.monotonic(), dict(self.desk.metrics.totals)) if statistics else None

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets=sockets)
        self.announce()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second whether it is time to end."""
        over = await super().on_tick(counter)
        if self._told is not None and time.monotonic() - self._told[0] >= STATISTICS:
            self._tell()
        if self._until is not None and not over:
            late = time.monotonic() >= self._until
            over = self.should_exit = late or not self.desk.at_work
            if late:
                self.config.timeout_graceful_shutdown = 0   # they have had their time
        return over

    def handle_exit(self, number, frame) -> None:
        """The first signal lets requests finish; a second one does not wait."""
        if self.desk.closing:
            self.force_exit = self.should_exit = True
            return
        self.desk.closing = True
        self._until = time.monotonic() + self.patience
        if at_work := self.desk.at_work:
            terminal.say(f"Stopping: {at_work} requests may finish first (Ctrl-C again to stop now).")

    def _tell(self) -> None:
        """What happened since the last line, where anything did."""
        since, before = self._told
        now, totals, slots = time.monotonic(), dict(self.desk.metrics.totals), self.desk.slots
        self._told = (now, totals)
        if totals == before and not slots.running:
            return
        new = {name: totals[name] - before[name] for name in totals}
        share = f", {new['known'] / new['asked']:.0%} of prompts known" if new["asked"] else ""
        terminal.note(f"{slots.running} at work, {len(slots.line)} in line, {new['read'] / (now - since):.0f} tokens/s "
                      f"read, {new['written'] / (now - since):.0f} written{share}")  # fmt: skip
