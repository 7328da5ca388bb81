"""A page that shows runs while they train: a small server over the standard library, for this machine's browser only.

    GET /                    the page
    GET /runs?seen=1,4       JSON: each run's name and curves; a run whose version was seen is told by its name alone

It reads the runs' folders (see curves) and writes nothing. It answers requests that name this machine only, so that no
page of the web can ask it through a browser.
"""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .curves import Curves

HOSTS = ("127.0.0.1", "localhost", "[::1]")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
FILES = {"/": "index.html", "/watch.css": "watch.css", "/watch.js": "watch.js", "/words.js": "words.js"}
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"


class Watch(ThreadingHTTPServer):
    """Serves the page for some runs' folders at http://host:port; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, folders: Sequence[Path], port: int, host: str = "127.0.0.1"):
        self.runs = [Curves(folder) for folder in folders]
        self.names = distinct([Path(folder) for folder in folders])
        self.lock = threading.Lock()
        super().__init__((host, port), Handler)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}"

    def told(self, seen: Sequence[int], points: int = 1500) -> list[dict]:
        """Each run: name, version, and its curves where that version was not seen yet."""
        with self.lock:
            found = []
            for number, (run, name) in enumerate(zip(self.runs, self.names, strict=True)):
                run.refresh()
                known = number < len(seen) and seen[number] == run.version
                found.append({"name": name, "version": run.version} | ({} if known else run.told(points)))
            return found


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server_version, sys_version, timeout = "upwell", "", 30

    def do_GET(self) -> None:
        """A file of the page, or the runs."""
        asked = urlsplit(self.path)
        if self.headers.get("Host", "").rpartition(":")[0] not in HOSTS:
            self.answer(403, "text/plain", b"This page is for this machine; open it at 127.0.0.1.\n")
        elif asked.path == "/runs":
            seen = parse_qs(asked.query).get("seen", [""])[0].split(",")
            told = self.server.told([int(one) if one.isdecimal() else -1 for one in seen])
            self.answer(200, "application/json", json.dumps(told, separators=(",", ":")).encode())
        elif asked.path in FILES:
            file = Path(__file__).parent / "page" / FILES[asked.path]
            self.answer(200, KINDS[file.suffix], file.read_bytes())
        else:
            self.answer(404, "text/plain", b"There is no such page.\n")

    def answer(self, status: int, kind: str, content: bytes) -> None:
        """Send it whole."""
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Nothing: the terminal belongs to the user."""


def distinct(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
