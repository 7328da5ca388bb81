"""JSON over HTTP to a server that speaks OpenAI's language: one request, its retries, its events, its errors.

Only the standard library. A redirect is refused, so that a key goes nowhere but where the user sent it.
Every failure is a ServiceError of one sentence that never holds the key.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ..errors import ServiceError, SettingsError

AGAIN = (429, 503)              # the server asks to come back
LONGEST_WAIT = 30.0             # seconds; a server that asks for more is reported instead
LONGEST_LINE = 8 * 1024 * 1024  # bytes of one event
HINTS = {401: "; is the key right?", 404: "; does the address end in /v1 and is there such a model?"}
BROKEN = (OSError, http.client.HTTPException)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


@dataclass(frozen=True)
class Wire:
    """One server."""

    base_url: str
    """Up to and with /v1."""
    api_key: str | None = None
    """Sent as a bearer token."""
    timeout: float = 120.0
    """Seconds without a byte after which the server is given up."""
    tries: int = 3
    """How often a busy server (429, 503) is asked in all."""
    pause: Callable[[float], None] = time.sleep
    """Waits so many seconds."""

    def __post_init__(self):
        parts = urlsplit(self.base_url)
        if parts.username is not None:
            raise SettingsError("base_url: found a user name in it, expected none; give the key as api_key")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"base_url: found {self.base_url!r}, expected an address like http://127.0.0.1:8000/v1")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SettingsError("api_key: found characters that no key has; copy it again without line ends")

    def post(self, path: str, body: dict) -> http.client.HTTPResponse:
        """The open response to a POST; a busy server is asked again when it says so."""
        for turn in range(1, self.tries + 1):
            try:
                return self._send(path, body)
            except urllib.error.HTTPError as refusal:
                wait = _wait(refusal, turn)
                if refusal.code not in AGAIN or turn == self.tries or wait > LONGEST_WAIT:
                    raise ServiceError(self._refused(path, refusal)) from None
                refusal.close()
                self.pause(wait)
            except BROKEN as error:
                raise ServiceError(self._silent(error)) from None
        raise AssertionError("unreachable: the last try returns or raises")

    def json(self, path: str, body: dict) -> dict:
        """The JSON object that a POST is answered with."""
        with self.post(path, body) as response:
            return self.whole(response)

    def whole(self, response) -> dict:
        """The rest of a response as one JSON object."""
        try:
            answer = json.loads(response.read())
        except ValueError:
            raise ServiceError(f"{self.base_url} answered with no JSON; does the address end in /v1?") from None
        except BROKEN as error:
            raise ServiceError(self._broke_off(error)) from None
        if not isinstance(answer, dict):
            raise ServiceError(f"{self.base_url} answered with {type(answer).__name__}, expected a JSON object")
        self._check(answer)
        return answer

    def events(self, response) -> Iterator[dict]:
        """The objects of an event stream until its [DONE]; a stream that ends without one has broken off."""
        for data in self._data(response):
            if data == "[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError:
                raise ServiceError(f"{self.base_url} sent an event that is no JSON: {data[:80]!r}") from None
            self._check(event)
            yield event
        raise ServiceError(self._broke_off("its stream has no end"))

    def _send(self, path: str, body: dict):
        data = json.dumps(body, allow_nan=False).encode("utf-8")
        headers = {"Content-Type": "application/json", "User-Agent": "upwell"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = urllib.request.Request(self.base_url.rstrip("/") + path, data, headers)
        direct = urlsplit(self.base_url).hostname in ("127.0.0.1", "::1", "localhost")
        proxies = [urllib.request.ProxyHandler({})] if direct else []
        return urllib.request.build_opener(_NoRedirect, *proxies).open(request, timeout=self.timeout)

    def _data(self, response) -> Iterator[str]:
        """The data of each server-sent event (WHATWG HTML, 9.2); comments keep a connection alive and say nothing."""
        lines: list[str] = []
        try:
            while raw := response.readline(LONGEST_LINE):
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line.startswith("data:"):
                    lines.append(line[5:].removeprefix(" "))
                elif not line and lines:
                    yield "\n".join(lines)
                    lines = []
        except BROKEN as error:
            raise ServiceError(self._broke_off(error)) from None
        if lines:
            yield "\n".join(lines)

    def _check(self, answer) -> None:
        if not isinstance(answer, dict):
            raise ServiceError(f"{self.base_url} sent {type(answer).__name__}, expected a JSON object")
        if answer.get("error"):
            raise ServiceError(f"{self.base_url} reports an error: {_message(answer)}")

    def _refused(self, path: str, refusal: urllib.error.HTTPError) -> str:
        try:
            said = _message(json.loads(refusal.read(65536)))
        except (ValueError, *BROKEN):
            said = ""
        sentence = f"{self.base_url}{path} answered {refusal.code}{f': {said}' if said else ''}"
        return sentence + HINTS.get(refusal.code, "")

    def _silent(self, error: Exception) -> str:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return f"{self.base_url} gave no answer for {self.timeout:g} seconds"
        return f"{self.base_url} cannot be reached ({_line(reason)}); is the server running and the address right?"

    def _broke_off(self, error) -> str:
        if isinstance(error, TimeoutError):
            return f"{self.base_url} stopped in the middle and gave nothing for {self.timeout:g} seconds"
        return f"{self.base_url} broke off in the middle of its answer ({_line(error)})"


def _wait(refusal: urllib.error.HTTPError, turn: int) -> float:
    """Seconds that the server asks for (RFC 9110, 10.2.3), else a growing pause."""
    headers = refusal.headers
    try:
        if headers.get("retry-after-ms"):
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        asked = headers.get("retry-after")
        if asked and asked.strip().isdigit():
            return float(asked)
        if asked:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError):
        pass
    return 0.5 * 2 ** (turn - 1)


def _message(answer) -> str:
    """The sentence in an error of OpenAI's shape, or of the shapes that others use."""
    found = answer
    if isinstance(answer, dict):
        found = answer.get("error") or answer.get("message") or answer.get("detail")
    if isinstance(found, dict):
        found = found.get("message") or found
    return _line(found) if found else ""


def _line(found) -> str:
    return " ".join(str(found).split())[:300]
