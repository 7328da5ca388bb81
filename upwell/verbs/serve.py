"""Serve a model: OpenAI's endpoints, and a page to write on.

The model is a folder (default: the newest run in runs/) or, with --base-url, one of another server, which then
stands behind our page and our key. Everything stays on this machine unless --host says otherwise.

Examples:
    upwell serve
    upwell serve runs/first --port 8080 --open
    upwell serve runs/first --host 0.0.0.0 --api-key-file key.txt
    upwell serve --base-url http://127.0.0.1:8080/v1 --model some-model
"""

import contextlib
import errno
import ipaddress
import json
import signal
import socket
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upwell import terminal
from upwell.errors import ServiceError, SettingsError
from upwell.verbs._models import Which, open_backend


@dataclass(frozen=True)
class Settings(Which):
    """Which model, at which address, for whom."""

    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 is every one of this machine, and then a key is needed."""
    port: int = 8000
    """The port to listen at; 0 takes a free one."""
    open: bool = False
    """Open the page in the browser."""
    api_key: str | None = None
    """The key that clients must send; others on this machine can read it here, so rather give a file."""
    api_key_file: Path | None = None
    """A file that holds the key."""
    insecure: bool = False
    """Listen beyond this machine without a key."""
    slots: int = 16
    """Requests that are at work at once."""
    waiting: int = 64
    """Requests that may wait in line; further ones are told to come again."""
    shutdown_seconds: int = 30
    """How long requests at work may take to finish after Ctrl-C; a second Ctrl-C does not wait."""

    def __post_init__(self):
        super().__post_init__()
        for name, low, high in (("port", 0, 65535), ("slots", 1, 1024), ("waiting", 0, 65536),
                                ("shutdown_seconds", 0, 3600)):
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name}: found {getattr(self, name)}, expected {low} to {high}")
        if self.api_key is not None and self.api_key_file is not None:
            raise SettingsError("found both --api-key and --api-key-file, expected one of them")


def main(settings: Settings) -> int:
    key = read_key(settings)
    if not is_loopback(settings.host) and key is None and not settings.insecure:
        raise SettingsError(f"--host {settings.host} lets other machines in, and no key is set; "
                            "give --api-key-file FILE, or --insecure where you mean it")
    # Before torch is imported, so that an occupied port is told at once.
    with listening(settings.host, settings.port) as listener:
        return serve(settings, key, listener)


def serve(settings: Settings, key: str | None, listener: socket.socket) -> int:
    """Load the model and answer until a signal comes."""
    backend = open_backend(settings, rows=settings.slots).backend
    try:
        from upwell.serving.api import app
        from upwell.serving.guard import LOOPBACK
        from upwell.serving.server import Server

        hosts = LOOPBACK | {bracketed(settings.host).lower()} if is_loopback(settings.host) else None
        service = app({backend.name: backend}, api_key=key, hosts=hosts, slots=settings.slots, line=settings.waiting)
        address = f"http://{shown_host(settings.host)}:{listener.getsockname()[1]}"
        server = Server(service, settings.shutdown_seconds, lambda: announce(settings, address, backend.name, key))
        with signals_end_quietly():
            server.run(sockets=[listener])
    finally:
        backend.close()
    terminal.say("Stopped.")
    return 0


def announce(settings: Settings, address: str, model: str, key: str | None) -> None:
    """What the user sees when requests are taken."""
    asks_for_key = " -H 'Authorization: Bearer KEY'" if key else ""
    asked = json.dumps({"model": model, "prompt": "The river", "max_tokens": 60}, ensure_ascii=False)
    body = asked.replace("'", r"'\''")
    terminal.say(f"{model} is served at {address} (Ctrl-C stops it). Open it to write, or ask it from a program:")
    terminal.say(f"  curl {address}/v1/completions{asks_for_key} -H 'Content-Type: application/json' -d '{body}'")
    terminal.say(f"  OpenAI's clients: base_url={address}/v1")
    if settings.open and not webbrowser.open(address):
        terminal.warn(f"No browser could be opened; open {address} yourself.")


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket; a ServiceError in one sentence where the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ServiceError(why_not(error, host, port)) from None
    with listener:
        yield listener


def why_not(error: OSError, host: str, port: int) -> str:
    """Why an address can't be listened at, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another program; choose another with --port {another(port)}."
    if error.errno == errno.EACCES:
        return f"This user may not listen at port {port}; choose one above 1023 with --port {another(port)}."
    return f"{host} is no address of this machine ({error.strerror or error}); --host 127.0.0.1 always is."


def another(port: int) -> int:
    """A port worth trying next."""
    return port + 1 if 1024 <= port < 65535 else 8000


def read_key(settings: Settings) -> str | None:
    """The key, or None; an empty one would be none at all, so it is refused."""
    key = settings.api_key
    if settings.api_key_file is not None:
        try:
            key = settings.api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--api-key-file {settings.api_key_file} can't be read ({error}); "
                                "name a text file that holds the key") from None
    if key is not None and not key.strip():
        raise SettingsError("the key is empty; give one of some length, or none")
    return key


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def bracketed(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def shown_host(host: str) -> str:
    """The host as this machine can open it: 'every address' is none that a browser takes."""
    return "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else bracketed(host)


@contextlib.contextmanager
def signals_end_quietly() -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more at its end; stopping a server is no failure."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
