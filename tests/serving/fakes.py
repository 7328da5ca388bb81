"""Backends whose every word is known, and a real server around them."""

import asyncio
import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

import torch

from upwell.generation.settings import Piece, Usage
from upwell.serving.server import Server
from upwell.verbs._models import Which, open_backend


@dataclass
class Scripted:
    """Writes the words it was given, a piece each, `pause` seconds apart, and remembers what it was asked."""

    words: tuple[str, ...] = ("once", " upon", " a", " time")
    pause: float = 0.0
    fault: Exception | None = None
    fault_after: int = 0
    name: str = "scripted"
    asked: list = field(default_factory=list)
    alive: int = 0

    def generate(self, prompt, settings):
        self.asked.append((prompt, settings))
        self.alive += 1
        try:
            yield from self._pieces(prompt, settings)
        finally:
            self.alive -= 1

    def _pieces(self, prompt, settings):
        words = self.words[: settings.max_new]
        for number, word in enumerate(words):
            if self.fault and number >= self.fault_after:
                raise self.fault
            time.sleep(self.pause)
            yield Piece(word, (number,), (-1.0,))
        finish = "length" if len(words) == settings.max_new else "stop"
        yield Piece(finish=finish, usage=Usage(prompt=len(prompt), new=len(words)))


class Running:
    """The server as `upwell serve` runs it, in a thread."""

    def __init__(self, service):
        self.service = service
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = Server(service, 1, lambda: None)
        self.thread = threading.Thread(target=asyncio.run, args=[self.server.serve([self.socket])])
        self.thread.start()
        wait_until(lambda: self.server.started)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()
        assert not self.thread.is_alive()

    @property
    def slots(self):
        return self.service.state.desk.slots


def wait_until(true, seconds=10.0):
    """Wait for a condition; the limit only catches a hang."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def tiny_checkpoint(folder, context=64):
    """A model folder with random weights and a byte-level tokenizer; wide noise, so that its choices are clear."""
    from tests.generation.tiny import tiny_model
    from upwell.model.hub import Checkpoint, save
    from upwell.tokens.tokenizer import train

    tokenizer = train(["the river flows to the sea and the sea is wide"] * 10, 300)
    model = tiny_model(tokenizer.vocab_size, context=context)
    return save(Checkpoint(model, tokenizer, model.config, None), folder)


@contextlib.contextmanager
def opened(folders):
    """{name: folder} -> {name: backend} of our own, computing in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    backends = {name: open_backend(Which(folder=folder)).backend for name, folder in folders.items()}
    yield backends
    for backend in backends.values():
        backend.close()
    torch.set_num_threads(threads)
