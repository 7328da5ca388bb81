"""What stands before every route: request id, host, origin, key, headers, and the last net for our own faults.

A plain ASGI layer. It denies first: a path that is not named as open needs the key, be it a route or not.
Knows paths and headers; knows nothing of what the routes do. Logs carry method, path and status, never a
key, a query or a body.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders

from upwell.serving.desk import Desk
from upwell.serving.refusals import Refusal, unexpected
from upwell.serving.visitors import Visitors, allowed, preflight

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    # 'self' without any inline: the page's own files only. Trusted Types make innerHTML throw.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                               "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
log = logging.getLogger("upwell.serving")


class Guard:
    """An ASGI application around another.

    keys   what `Authorization: Bearer` must hold, one of them, and the collections of documents that each of them sees
           (None: all); no keys: no key is asked for, and all is seen
    open   the paths that need no key, and are answered while models are loaded
    hosts  the names that a request may call us by (against DNS rebinding); None: any
    desk   whose state says whether requests are taken
    visitors   the pages of other origins that may reach one path without a key
    """

    def __init__(self, inner, keys: Mapping[str, frozenset[str] | None], open: frozenset[str],
                 hosts: frozenset[str] | None, desk: Desk, visitors: Visitors):
        self.inner, self.keys, self.open, self.hosts, self.desk = inner, keys, open, hosts, desk
        self.visitors = visitors

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        headers, started, begun = Headers(scope=scope), [], time.monotonic()
        name, origin = request_id(headers), self.visitors.origin(scope, headers)

        async def send_dressed(message):
            if message["type"] == "http.response.start":
                started.append(message["status"])
                dress(MutableHeaders(raw=message.setdefault("headers", [])), name, origin)
            await send(message)

        try:
            await self._answer(scope, headers, receive, send_dressed, started, origin)
        finally:
            told = {"id": name, "method": on_a_line(scope["method"]), "path": on_a_line(scope["path"]),
                    "status": started[0] if started else 499, "seconds": time.monotonic() - begun,
                    "told": scope.get("state", {}).get("told", "")}  # fmt: skip
            log.info("%(id)s %(method)s %(path)s %(status)s %(seconds).3f s %(told)s", told, extra={"told": told})

    async def _answer(self, scope, headers, receive, send, started: list[int], origin: str | None) -> None:
        self.desk.at_work += 1
        try:
            self.check(scope, headers, origin)
            inner = preflight() if origin and scope["method"] == "OPTIONS" else self.inner
            await inner(scope, receive, send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
        except Exception:
            log.exception("%s %s failed", on_a_line(scope["method"]), on_a_line(scope["path"]))
            if started:
                raise
            await unexpected().response()(scope, receive, send)
        finally:
            self.desk.at_work -= 1

    def check(self, scope, headers: Headers, visitor: str | None = None) -> None:
        """Raise the Refusal that this request deserves before any route sees it. visitor: the named origin of one."""
        path, host = scope["path"], headers.get("host", "").lower()
        if self.hosts is not None and host_name(host) not in self.hosts:
            raise Refusal(403, "This server answers to " + ", ".join(sorted(self.hosts)) + " only; its Host header "
                               "names another. Start it with --host to serve other names.", code="host_not_allowed")
        origin = headers.get("origin")
        if origin is not None and visitor is None and origin.lower().partition("://")[2] != host:
            raise Refusal(403, "Pages of other origins may not call this server.", code="origin_not_allowed")
        scope["sees"] = frozenset()     # who has not been asked for a key sees no documents
        if path in self.open or visitor and scope["method"] == "OPTIONS":
            return
        scope["client_name"], scope["sees"] = (scope.get("client") or ("",))[0], None
        if visitor:
            self.visitors.let_in(scope)
            scope["client_name"], scope["sees"] = f"visitor {scope['client_name']}", frozenset()
        elif self.keys:
            number = self.key_of(headers)
            scope["client_name"], scope["sees"] = f"key {number}", list(self.keys.values())[number]
        if self.desk.state in ("loading", "stopping"):
            why = "is loading its model" if self.desk.state == "loading" else "is stopping and takes no new requests"
            more = {"Connection": "close"} if self.desk.closing else {}
            raise Refusal(503, f"This server {why}; try again soon.", code=self.desk.state,
                          headers={"Retry-After": "1"} | more)

    def key_of(self, headers: Headers) -> int:
        """Which key was sent, by its number; all are compared, in constant time, whatever bytes were sent."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        sent = given.strip().encode("latin-1")
        fits = [secrets.compare_digest(sent, key.encode("utf-8")) for key in self.keys]
        if scheme.lower() != "bearer" or not any(fits):
            raise Refusal(401, "This server needs its API key: send `Authorization: Bearer KEY`.",
                          code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return fits.index(True)


def host_name(host: str) -> str:
    """A Host header without its port; an IPv6 address keeps its brackets."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def on_a_line(text: str) -> str:
    """What a client sent as a log may hold it: a line end or a sign that steers a terminal becomes one that is seen."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def request_id(headers: Headers) -> str:
    """The client's own id where it is a plain one, else a new one."""
    given = headers.get("x-request-id", "")
    return given if GIVEN_ID.fullmatch(given) else "req-" + secrets.token_hex(8)


def dress(headers: MutableHeaders, name: str, origin: str | None = None) -> None:
    """Add what every answer carries; a route's own header wins. origin: the visitor's page, which may read it."""
    headers["X-Request-Id"] = name
    headers.update(allowed(origin) if origin else {})
    for key, value in HEADERS.items():
        headers.setdefault(key, value)
