"""The event that calls a person: JSON, sent to the one address that the owner named. It never keeps an answer waiting.

    hook = Webhook(url, secret)
    hook.send({"conversation": ..., ...})     # returns at once; False where too many wait already

A thread sends one event after the other; one that fails is tried again, with growing pauses, then given up, logged and
counted in `failed`. waiting: a folder in which events wait (faq_waiting), so that the next process sends what this one
could not. The address is the owner's and nothing a visitor says changes it; no redirect is followed. With a
secret the event is signed: X-Upwell-Signature is "sha256=" and the HMAC-SHA-256 of timestamp, a dot and the body. Knows
nothing of questions.
"""

import hashlib
import hmac
import http.client
import json
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from ..errors import SettingsError
from .faq_waiting import Waiting

WAITING = 1000  # events
TRIES, TIMEOUT = 5, 10.0
LONGEST_PAUSE = 60.0
log = logging.getLogger("upwell.answering")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Webhook:
    """One address. pause: waits so many seconds; a test has its own."""

    def __init__(self, url: str, secret: str = "", tries: int = TRIES, timeout: float = TIMEOUT,
                 pause: Callable[[float], None] | None = None, waiting: Waiting | None = None):  # fmt: skip
        check(url)
        self.url, self.tries, self.timeout = url, tries, timeout
        self._secret, self._ended = secret.encode(), threading.Event()
        self._pause, self._waiting = pause or self._ended.wait, waiting
        self._events: queue.Queue[dict | None] = queue.Queue(WAITING)
        self.sent = self.failed = 0
        for event in [] if waiting is None else waiting.all()[:WAITING]:
            self._events.put_nowait(event)
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def send(self, event: dict) -> bool:
        """Queue an event; whether there was room for it."""
        whole = {"id": str(uuid.uuid4()), "time": round(time.time(), 3), **event}
        if self._waiting is not None:
            self._waiting.keep(whole)
        try:
            self._events.put_nowait(whole)
        except queue.Full:
            log.error("webhook: %d events wait already; one was given up", WAITING)
            self.failed += 1
            if self._waiting is not None:
                self._waiting.drop(whole["id"])
            return False
        return True

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for at most so long, and end."""
        deadline = time.monotonic() + seconds
        while self._events.unfinished_tasks and time.monotonic() < deadline and self._thread.is_alive():
            time.sleep(0.01)
        self._ended.set()
        if not self._events.full():
            self._events.put_nowait(None)
        self._thread.join(self.timeout)
        if self._waiting is not None:
            self._waiting.close()

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            taken = self._delivered(event)
            self.sent, self.failed = self.sent + taken, self.failed + (not taken)
            kept = not taken and self._ended.is_set() and self._waiting is not None and self._waiting.mine
            if not taken:
                log.error("webhook: event %s %s", event["id"], "waits for the next start" if kept else "was given up")
            if self._waiting is not None and not kept:
                self._waiting.drop(event["id"])
            self._events.task_done()

    def _delivered(self, event: dict) -> bool:
        """Whether the owner's server took it, in one of the tries."""
        body = json.dumps(event, ensure_ascii=False).encode()
        for number in range(self.tries):
            if number:
                self._pause(min(4.0 ** (number - 1), LONGEST_PAUSE))
            if self._ended.is_set() and number:
                return False
            try:
                self._post(body, event["id"])
                return True
            except (OSError, http.client.HTTPException, ValueError) as error:
                log.warning("webhook: try %d of %d failed (%s)", number + 1, self.tries, told(error))
        return False

    def _post(self, body: bytes, id: str) -> None:
        """One try. OSError and the like where it was not taken; HTTPError is one."""
        headers = {"Content-Type": "application/json", "User-Agent": "upwell", "X-Upwell-Event": id}
        stamp = str(int(time.time()))
        if self._secret:
            headers |= {"X-Upwell-Timestamp": stamp, "X-Upwell-Signature": signature(self._secret, stamp, body)}
        request = urllib.request.Request(self.url, body, headers, method="POST")
        direct = urlsplit(self.url).hostname in ("127.0.0.1", "::1", "localhost")
        proxies = [urllib.request.ProxyHandler({})] if direct else []
        with urllib.request.build_opener(_NoRedirect, *proxies).open(request, timeout=self.timeout) as answer:
            answer.read(1024)


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """What X-Upwell-Signature holds; the receiver reckons the same and compares."""
    return "sha256=" + hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def told(error: Exception) -> str:
    """A fault without the address, which may hold a token."""
    return f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__


def check(url: str) -> None:
    """SettingsError for an address that is none."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError(f"webhook: found {url[:100]!r}, expected an address like https://example.com/hook")
    if parts.username is not None:
        raise SettingsError("webhook: found a user name in the address, expected none; sign with --webhook-secret-file")
