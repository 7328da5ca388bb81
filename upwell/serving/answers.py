"""Pieces of text -> OpenAI's objects, whole or as an event stream. Knows shapes; knows nothing of models.

A `Reply` is one answer in the making: `chunk` gives what a stream sends for a piece, `whole` the object of an
unstreamed answer. Completions and chats differ in a handful of words, which `CHAT` and `COMPLETION` hold.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from upwell.generation.settings import Piece, Usage


@dataclass(frozen=True)
class Shape:
    """The words in which one endpoint differs from the other."""

    prefix: str
    whole: str
    chunk: str
    chat: bool


COMPLETION = Shape("cmpl-", "text_completion", "text_completion", False)
CHAT = Shape("chatcmpl-", "chat.completion", "chat.completion.chunk", True)


@dataclass
class Reply:
    """One answer with `count` texts, filled piece by piece."""

    shape: Shape
    model: str
    count: int
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    texts: dict[int, list[str]] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    spent: dict[int, Usage] = field(default_factory=dict)

    def __post_init__(self):
        self.id = self.id or self.shape.prefix + secrets.token_hex(12)

    def take(self, index: int, piece: Piece) -> None:
        """Remember what a piece adds to text `index`."""
        self.texts.setdefault(index, []).append(piece.text)
        if piece.finish:
            self.finishes[index] = piece.finish
        if piece.usage:
            self.spent[index] = piece.usage

    def usage(self, per_prompt: int = 1) -> dict:
        """The counts of all texts; a prompt that was asked for several texts counts once."""
        read = sum(usage.prompt for index, usage in self.spent.items() if index % per_prompt == 0)
        written = sum(usage.new for usage in self.spent.values())
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def head(self, kind: str) -> dict:
        """What every object of this answer begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def whole(self, per_prompt: int = 1) -> dict:
        """The unstreamed answer."""
        choices = [self._choice(index, "".join(self.texts.get(index, []))) for index in range(self.count)]
        return self.head(self.shape.whole) | {"choices": choices, "usage": self.usage(per_prompt)}

    def chunk(self, index: int, piece: Piece, first: bool) -> dict:
        """One event of a stream; finish_reason is null until the text's last."""
        choice = {"index": index, "logprobs": None, "finish_reason": piece.finish}
        if self.shape.chat:
            delta = {"role": "assistant"} if first else {}
            choice["delta"] = delta | ({"content": piece.text} if piece.text or first else {})
        else:
            choice["text"] = piece.text
        return self.head(self.shape.chunk) | {"choices": [choice]}

    def _choice(self, index: int, text: str) -> dict:
        choice = {"index": index, "logprobs": None, "finish_reason": self.finishes.get(index)}
        if self.shape.chat:
            return choice | {"message": {"role": "assistant", "content": text, "refusal": None}}
        return choice | {"text": text}


class EventStream(StreamingResponse):
    """Server-sent events; a client that leaves closes the iterator at once, not when memory is next tidied."""

    media_type = "text/event-stream"

    async def stream_response(self, send) -> None:
        """Send all events, and close the iterator whatever happens."""
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


def event(value: dict) -> bytes:
    """One event; ASCII, so that no line separator of Unicode's can end it early."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def events(reply: Reply, pieces: AsyncIterator[tuple[int, Piece]], with_usage: bool,
                 per_prompt: int) -> AsyncIterator[dict]:
    """The objects of a stream, in order; `with_usage` puts the counts into one last object without choices."""
    nothing_yet = {"usage": None} if with_usage else {}
    async with aclosing(pieces):
        async for index, piece in pieces:
            first = index not in reply.texts
            reply.take(index, piece)
            if piece.text or piece.finish or first:
                yield reply.chunk(index, piece, first) | nothing_yet
    if with_usage:
        yield reply.head(reply.shape.chunk) | {"choices": [], "usage": reply.usage(per_prompt)}
