"""Serve models: OpenAI's endpoints, and a page to write and talk on.

Models are folders or names of fetched ones (default: the newest run in runs/): such that write, such that give vectors
(/v1/embeddings, /v1/rerank), such that know labels (/v1/moderations). With --adapter NAME=FOLDER the first one serves
under further names too, each with a LoRA adapter. With --base-url a model of another server stands behind our page and
our key. With --index the documents of an index answer questions (/v1/answers, and as a model of their own), with exact
citations; in the file of --api-key-file the collections that a key sees may stand behind it: KEY sales,support.
With --faq a file of questions and answers serves customers, also on your own site (see `upwell faq`).
Everything stays on this machine unless --host says otherwise; /health says 503 until the models are loaded.
Settings may also come from the environment, as UPWELL_SERVE_PORT=8080, and from a YAML file.

Examples:
    upwell serve
    upwell serve runs/first --port 8080 --open
    upwell serve smollm2-135m minilm-l6 --weights bfloat16 --max-num-seqs 32
    upwell serve runs/base --adapter support=runs/support law=runs/law
    upwell serve --index index --reader runs/span
    upwell serve runs/first --host 0.0.0.0 --api-key-file keys.txt --ssl-certfile cert.pem --ssl-keyfile key.pem
    upwell serve --base-url http://127.0.0.1:8080/v1 --model some-model
"""

import contextlib
import errno
import ipaddress
import json
import logging
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import ServiceError, SettingsError
from upwell.verbs import _faq
from upwell.verbs._faq import Counter, Customers
from upwell.verbs._keys import Keys, read_keys
from upwell.verbs._models import How, Which, model_folder, open_backend, open_folder
from upwell.verbs._shelf import Shelf, check_indexes


@dataclass(frozen=True)
class Settings(How, Customers):
    """Which models, at which address, for whom."""

    folder: Positional[tuple[Path, ...]] = ()
    """Folders in Hugging Face layout, or names of models that were fetched; default: the newest run in runs/."""
    served_model_name: tuple[str, ...] = ()
    """What clients call the models, in the order of the folders; default: the names of the folders."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 is every one of this machine, and then a key is needed."""
    port: int = 8000
    """The port to listen at; 0 takes a free one."""
    open: bool = False
    """Open the page in the browser."""
    api_key: str | None = None
    """The key that clients must send; others on this machine can read it here, so rather give a file."""
    api_key_file: Path | None = None
    """A file that holds the key, or several, one a line; who has different keys takes turns. Behind a key may stand the
    collections of documents that it sees, with commas between; without: all."""
    index: tuple[Path, ...] = ()
    """Folders of `upwell index`, whose documents answer questions; without a model's folder they alone are served."""
    encoder: Path | None = None
    """The model that gave the index its vectors, or none to search by words alone; default: the one that the index
    names."""
    cross: Path | None = None
    """A model that says whether a passage answers a question (upwell recipe rerank); without: words and vectors."""
    reader: Path | None = None
    """A model that marks the answer in a passage (upwell recipe span); without: the sentence that fits best."""
    answers: Literal["extractive", "written"] | None = None
    """extractive: the documents' own words; written: by the first model that chats, held against the documents.
    Default: written where a model is served that learnt to chat."""
    faq: Path | None = None
    """A file of questions and answers for customers (see `upwell faq`); without a model's folder it alone is served."""
    insecure: bool = False
    """Listen beyond this machine without a key."""
    ssl_certfile: Path | None = None
    """A certificate (PEM), for https."""
    ssl_keyfile: Path | None = None
    """Its key (PEM)."""
    max_model_len: int | None = None
    """Tokens that a text and its prompt may have together, at most; default: what the model reads."""
    max_num_seqs: int = 16
    """Requests that are at work at once."""
    waiting: int = 64
    """Requests that may wait in line; further ones are told to come again (429)."""
    shutdown_timeout: int = 30
    """Seconds that requests at work may take to finish after Ctrl-C or SIGTERM; a second signal does not wait."""
    log: Literal["line", "json", "none"] = "line"
    """What is told of each request: a line, a JSON object, or nothing; never what was asked or answered."""

    def __post_init__(self):
        super().__post_init__()
        for name, low, high in (("port", 0, 65535), ("max_num_seqs", 1, 1024), ("waiting", 0, 65536),
                                ("shutdown_timeout", 0, 3600), ("max_model_len", 1, 2**31)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SettingsError(f"{name}: found {value}, expected {low} to {high}")
        if self.api_key is not None and self.api_key_file is not None:
            raise SettingsError("found both --api-key and --api-key-file, expected one of them")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise SettingsError("--ssl-certfile and --ssl-keyfile go together: the certificate and its key")
        if self.base_url is not None and self.folder:
            raise SettingsError(f"found both the folder {self.folder[0]} and --base-url, expected one of them")
        if self.draft is not None and len(self.folder) > 1:
            raise SettingsError("found --draft beside several folders, expected one: it guesses for one model")
        if not self.index and (self.encoder or self.cross or self.reader or self.answers):
            raise SettingsError("--encoder, --cross, --reader and --answers are of --index; name an index's folder")
        _faq.check(self, self.faq is not None)
        models = max(1, len(self.folder)) + len(self.adapter)
        if self.served_model_name and len(self.served_model_name) not in (len(self.folder) or 1, models):
            raise SettingsError(f"--served-model-name: found {len(self.served_model_name)} names for "
                                f"{models} models, expected one each")  # fmt: skip


def main(settings: Settings) -> int:
    keys = read_keys(settings)
    if not is_loopback(settings.host) and not keys and not settings.insecure:
        raise SettingsError(
            f"--host {settings.host} lets other machines in, and no key is set; "
            "give --api-key-file FILE, or --insecure where you mean it"
        )
    newest = () if settings.base_url or settings.index or settings.faq else (None,)
    folders = [model_folder(one) for one in settings.folder or newest]
    check_indexes(settings.index)
    check_ssl(settings)
    # Before torch is imported, so that an occupied port is told at once.
    with listening(settings.host, settings.port) as listener:
        return serve(settings, keys, listener, folders)


def serve(settings: Settings, keys: Keys, listener: socket.socket, folders: list[Path]) -> int:
    """Answer until a signal comes; the models are loaded meanwhile."""
    from upwell.serving.api import app
    from upwell.serving.guard import LOOPBACK
    from upwell.serving.server import Server
    from upwell.serving.visitors import Visitors

    say_requests(settings.log)
    hosts = LOOPBACK | {bracketed(settings.host).lower()} if is_loopback(settings.host) else None
    service = app({}, api_keys=keys, hosts=hosts, slots=settings.max_num_seqs, line=settings.waiting,
                  longest=settings.max_model_len,
                  visitors=Visitors(settings.widget_origins, settings.widget_rate))  # fmt: skip
    scheme = "https" if settings.ssl_certfile else "http"
    address = f"{scheme}://{shown_host(settings.host)}:{listener.getsockname()[1]}"
    ssl = (settings.ssl_certfile, settings.ssl_keyfile) if settings.ssl_certfile else None
    loading = Loading(settings, folders, service.state.desk)
    server = Server(service, settings.shutdown_timeout, loading.start, ssl, settings.log != "none")
    loading.then = lambda: announce(settings, address, loading, bool(keys))
    loading.failed = lambda: setattr(server, "should_exit", True)
    try:
        server.run(sockets=[listener])
    finally:
        loading.close()
    if loading.error is not None:
        raise loading.error
    terminal.say("Stopped.")
    return 0


class Loading:
    """The models come while the server answers that it is loading.

    .then    called when they are there; .failed when they will not come, and .error says why
    """

    def __init__(self, settings: Settings, folders: list[Path], desk):
        self.settings, self.folders, self.desk = settings, folders, desk
        self.backends: dict = {}
        self.shelf = Shelf(settings)
        self.counter = settings.faq and Counter(settings, settings.faq, _faq.read(settings.faq))
        self.then = self.failed = lambda: None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._load, name="loading", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def close(self) -> None:
        """Put away what was loaded."""
        if self.counter:
            self.counter.close()
        self.shelf.close()
        for backend in self.backends.values():
            backend.close()

    def _load(self) -> None:
        try:
            turns = new_turns() if self.folders or self.settings.index or self.counter and self.counter.folder else None
            for number, (name, backend) in enumerate(opened(self.settings, self.folders, turns)):
                given = self.settings.served_model_name[number : number + 1]
                name = given[0] if given else name
                if name in self.backends:
                    raise SettingsError(f"two models are called {name}; name them with --served-model-name")
                self.backends[name] = backend
            self.shelf.open(self.backends, turns)
            if self.counter and "faq" in {*self.backends, *self.shelf.libraries}:
                raise SettingsError("a model or an index is called faq, as the FAQ is; give it another name")
            faq = self.counter and self.counter.open(lambda folder: self.shelf.backend(folder, self.backends, turns))
            self.desk.open(self.backends, self.shelf.libraries, faq)
            self.then()
        except Exception as error:
            self.error = error
            self.failed()


def new_turns():
    """The thread that the engines share; it brings torch, which a server in front of another one does not need."""
    from upwell.generation.turns import Turns

    return Turns()


def opened(settings: Settings, folders: list[Path], turns) -> Iterator[tuple[str, object]]:
    """The models and their names; adapters belong to the first folder."""
    if settings.base_url is not None:
        which = Which(base_url=settings.base_url, model=settings.model)
        backend = open_backend(which).backend
        yield backend.name, backend
        return
    from dataclasses import fields, replace

    how = How(**{one.name: getattr(settings, one.name) for one in fields(How)})
    for folder in folders:
        for backend in open_folder(folder, how, settings.max_num_seqs, turns).backends:
            yield backend.name, backend
        how = replace(how, adapter=())


def announce(settings: Settings, address: str, loading: Loading, asks_for_key: bool) -> None:
    """What the user sees when requests are taken."""
    header = " -H 'Authorization: Bearer KEY'" if asks_for_key else ""
    names, path = [*loading.backends, *loading.shelf.libraries], "v1/completions" if loading.backends else "v1/answers"
    asked = {"prompt": "The river", "max_tokens": 60} if loading.backends else {"question": "..."}
    asked = {"model": names[0], **asked} if names else asked
    names, path = [*names, *["faq"] * bool(loading.counter)], path if names else "faq/ask"
    body = json.dumps(asked, ensure_ascii=False).replace("'", r"'\''")
    which = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} served at {address}"
    aim = "write" if loading.backends else "ask"
    terminal.say(f"{which} (Ctrl-C stops it). Open it to {aim}, or ask it from a program:")
    terminal.say(f"  curl {address}/{path}{header} -H 'Content-Type: application/json' -d '{body}'")
    if path != "faq/ask":
        terminal.say(f"  OpenAI's clients: base_url={address}/v1")
    if settings.open and not webbrowser.open(address):
        terminal.warn(f"No browser could be opened; open {address} yourself.")


def say_requests(form: str) -> None:
    """Let the server's log go to standard error, a line a request."""
    log = logging.getLogger("upwell.serving")
    log.handlers[:] = []
    if form == "none":
        log.addHandler(logging.NullHandler())
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if form == "json" else logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


class AsJson(logging.Formatter):
    """A log record as one JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "told", None) or {"message": record.getMessage()}
        more = {"error": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), **told, **more}, ensure_ascii=True)


def check_ssl(settings: Settings) -> None:
    """SettingsError where the certificate cannot be used, before anything is loaded."""
    if settings.ssl_certfile is None:
        return
    import ssl

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"--ssl-certfile {settings.ssl_certfile} and --ssl-keyfile {settings.ssl_keyfile} can't be "
                            f"used ({error}); expected a certificate and its key in PEM form") from None  # fmt: skip


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
