"""What every later room sees of a model: write, score, embed. Local is our engine on a checkpoint, Remote a server.

Importing this module imports no torch; Local does when it is made.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Protocol

from .. import plugs
from ..errors import DataError, UpwellError
from . import turns
from .remote import Remote
from .settings import Piece, Settings, Usage, unwritable
from .stop import stopping
from .stream import Stream

__all__ = ["Answer", "Backend", "Local", "Piece", "Remote", "Settings", "Usage"]

Prompt = str | Sequence[int] | list[dict]


class Backend(Protocol):
    """A model that writes. What a backend cannot do it says with an UpwellError."""

    name: str

    def generate(self, prompt: Prompt, settings: Settings) -> Iterator[Piece]:
        """Continue a text (or token ids of this model, or a chat as messages). Mistakes are raised by the call.

        The iterator has a close() that ends the work; the joined pieces are the whole text.
        """

    def score(self, prompt: Prompt, continuation: str) -> list[tuple[str, float]]:
        """Each token of the continuation with its log-probability after everything before it (natural logarithm)."""

    def embed(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""

    def close(self) -> None:
        """Free what it holds."""


class Local:
    """Our engine on a checkpoint.

    A text prompt is taken as the beginning of a document, so the model's begin token stands before it; an empty one
    writes a document from its start. Token ids are taken as they are.
    """

    def __init__(self, checkpoint, rows: int = 16, waiting: int = 256):
        from .engine import Engine

        if checkpoint.tokenizer is None:
            raise DataError(f"{checkpoint.folder} has no tokenizer.json; copy the model's into the folder")
        self.name = checkpoint.folder.name if checkpoint.folder else "model"
        self.tokenizer, self.config, self.folder = checkpoint.tokenizer, checkpoint.model.config, checkpoint.folder
        self.begin = self.tokenizer.end if self.config.bos is None else self.config.bos
        self.ends = frozenset({self.tokenizer.end}) | self.config.ends | _ends_of(self.folder)
        self.engine = Engine(checkpoint.model, rows, waiting)

    def generate(self, prompt: Prompt, settings: Settings | None = None, client: str = "") -> "Answer":
        """Continue `prompt`. SettingsError where it does not fit, engine.Busy where too many wait."""
        from .engine import Job

        settings = settings or Settings()
        ids, stops = self.read(prompt), settings.stop + (turns.STOPS if _is_chat(prompt) else ())
        job = Job(ids, self._begin(ids, stops, settings), settings.max_new, client)
        return Answer(self.engine.submit(job), Stream(self.tokenizer.bytes_of, stops), self.ends | {*settings.stop_ids})

    def score(self, prompt: Prompt, continuation: str) -> list[tuple[str, float]]:
        """Prompt and continuation are cut into tokens as one text; a token across the border counts as continuation."""
        from .scoring import logprobs_from

        ids, first = self._joint(prompt, continuation)
        values = self.engine.call(lambda model: logprobs_from(model, ids, first))
        pieces = (self.tokenizer.bytes_of(token).decode("utf-8", "replace") for token in ids[first:])
        return list(zip(pieces, values, strict=True))

    def embed(self, texts: list[str]) -> list[list[float]]:
        """A model that was trained to write has no vectors for texts."""
        raise UpwellError(f"{self.name} was trained to write and has no embeddings; use an embedding model's server")

    def close(self) -> None:
        """End the engine; what still runs fails."""
        self.engine.close()

    def read(self, prompt: Prompt) -> list[int]:
        """The ids that the model reads for a prompt."""
        if not isinstance(prompt, str) and not _is_chat(prompt):
            return list(prompt)
        return [self.begin, *self.tokenizer.encode(self._text(prompt))]

    def _text(self, prompt: str | list[dict]) -> str:
        if _is_chat(prompt):
            turns.check_plain(self.folder)
            prompt = turns.render(prompt)
        fault = unwritable(prompt, "prompt")
        if fault:
            raise DataError(fault)
        return prompt

    def _begin(self, ids: list[int], stops: tuple[str, ...], settings: Settings):
        from .filters import compose, likeliest

        strategy = plugs.find("generation/strategies", "greedy" if likeliest(settings) else settings.strategy)
        ends = self.ends | {*settings.stop_ids}
        filters = compose(settings, ids, ends, self.config.vocab)
        stop = stopping(ends, settings.max_new, stops, self.tokenizer.bytes_of)
        own = {f.name: getattr(settings, f.name) for f in fields(strategy.Settings) if hasattr(settings, f.name)}
        return lambda logits: strategy.search(logits, filters, stop, strategy.Settings(**own))

    def _joint(self, prompt: Prompt, continuation: str) -> tuple[list[int], int]:
        """Ids of both, and where the continuation begins."""
        fault = unwritable(continuation, "continuation")
        if fault:
            raise DataError(fault)
        if not isinstance(prompt, str) and not _is_chat(prompt):
            return [*prompt, *self.tokenizer.encode(continuation)], len(prompt)
        before = self._text(prompt)
        ids = self.tokenizer.encode(before + continuation)
        ends, total = [], 0
        for token in ids:
            total += len(self.tokenizer.bytes_of(token))
            ends.append(total)
        border = total - len(continuation.encode("utf-8"))  # from the end: some tokenizers begin with a space
        return [self.begin, *ids], 1 + sum(end <= border for end in ends)


class Answer:
    """The pieces of one text as they are written; closing it ends the work."""

    def __init__(self, job, stream: Stream, ends: frozenset[int]):
        self._job, self._pieces = job, _pieces(job, stream, ends)

    def __iter__(self) -> "Answer":
        return self

    def __next__(self) -> Piece:
        return next(self._pieces)

    def close(self) -> None:
        """Give up within a step; whoever still iterates gets a last piece that says cancelled."""
        self._job.cancel()

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        self.close()


def _pieces(job, stream: Stream, ends: frozenset[int]) -> Iterator[Piece]:
    for tokens in job:
        text = stream.push(token.id for token in tokens if token.id not in ends)
        yield Piece(text, tuple(token.id for token in tokens), tuple(token.logprob for token in tokens))
    finish = "cancelled" if job.cancelled else job.found[0].finish
    yield Piece(stream.close(), finish=finish, usage=Usage(len(job.prompt), job.shown))


def _is_chat(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], dict)


def _ends_of(folder) -> frozenset[int]:
    """The eos ids of generation_config.json, where chat models name more than config.json does."""
    path = folder / "generation_config.json" if folder else None
    if path is None or not path.is_file():
        return frozenset()
    given = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") or []
    return frozenset([given] if isinstance(given, int) else given)
