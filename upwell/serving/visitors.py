"""Visitors: pages of other origins, named by the owner, whose readers may ask the FAQ without a key, and nothing else.

    visitors = Visitors(("https://shop.example",), rate=20)
    visitors.origin(scope, headers)     # "https://shop.example" for what it may send, else None

A browser says truly from which page a request comes; any other program may say what it likes. So this door is open to
everybody who finds it: it leads to one path, and lets each address through so often a minute. Knows headers; knows
nothing of what is asked.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from upwell.errors import SettingsError
from upwell.serving.refusals import Refusal

PATH = "/faq/ask"
RATE = 20  # questions of an address in a minute; so many may come at once
CROWD = 30  # as many times that of all addresses together
ADDRESSES = 10_000


class Visitors:
    """Who may come in by that door. No origins: nobody."""

    def __init__(self, origins: Iterable[str] = (), rate: int = RATE, clock: Callable[[], float] = time.monotonic):
        self.origins, self.rate, self.clock = frozenset(map(checked, origins)), rate, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (float(rate * CROWD), clock())

    def origin(self, scope, headers: Headers) -> str | None:
        """The named origin from which this request comes, where it is one that visitors may send."""
        found = headers.get("origin", "").lower()
        return found if found in self.origins and scope["path"] == PATH and scope["method"] in ("POST", "OPTIONS") \
            else None  # fmt: skip

    def let_in(self, scope) -> None:
        """Count a question. Raises a Refusal (429) where an address, or all of them, ask too often."""
        address, now = network((scope.get("client") or ("",))[0]), self.clock()
        left, seen = self._left.pop(address, (float(self.rate), now))
        left = min(self.rate, left + (now - seen) * self.rate / 60)
        most = self.rate * CROWD
        everybody = min(most, self._all[0] + (now - self._all[1]) * most / 60)
        if left < 1 or everybody < 1:
            self._left[address] = (left, now)
            raise Refusal(429, f"Too many questions; at most {self.rate} a minute are answered.", code="rate_limited",
                          headers={"Retry-After": str(max(1, round(60 / self.rate)))})  # fmt: skip
        self._left[address], self._all = (left - 1, now), (everybody - 1, now)
        while len(self._left) > ADDRESSES:
            self._left.popitem(last=False)


def allowed(origin: str) -> dict[str, str]:
    """The headers by which a browser lets that page read the answer. No cookies, no key."""
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def preflight() -> Response:
    """What a browser is told that asks before it sends."""
    return Response(status_code=204, headers={
        "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "600"})  # fmt: skip


def network(address: str) -> str:
    """An address as it is counted: of the newer kind the 64 bits that one household has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    found = getattr(found, "ipv4_mapped", None) or found
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def checked(origin: str) -> str:
    """An origin as browsers write it. SettingsError for anything else, such as *."""
    try:
        parts = urlsplit(origin.strip().lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    whole = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or not parts.hostname or "*" in origin or "@" in parts.netloc or \
            origin.strip().lower().rstrip("/") != whole:  # fmt: skip
        raise SettingsError(f"widget_origins: found {origin[:100]!r}, expected the origin of a site, as "
                            "https://www.example.com (no path, no *)")  # fmt: skip
    usual = {"http": 80, "https": 443}[parts.scheme]
    return whole.removesuffix(f":{usual}") if port == usual else whole
