"""Pieces of text -> OpenAI's objects, whole or as events. Knows shapes; knows nothing of models or of HTTP.

A `Reply` is one answer in the making. It takes pieces and gives the events that a stream sends for them, or at the end
the object of an unstreamed answer. What the endpoints' own replies have in common stands here.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from upwell.generation.settings import Piece, Usage
from upwell.serving.refusals import Refusal


@dataclass
class Text:
    """One text as far as it has come."""

    parts: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    tops: list[tuple] = field(default_factory=list)
    finish: str | None = None
    usage: Usage | None = None
    prompt: Piece | None = None
    """The prompt's own tokens, where they are told."""
    first: float | None = None
    last: float | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    def add(self, piece: Piece) -> None:
        """A piece of it."""
        self.parts.append(piece.text)
        self.tokens += piece.tokens
        self.logprobs += piece.logprobs
        self.tops += piece.tops or ((),) * len(piece.tokens)
        self.finish, self.usage = piece.finish or self.finish, piece.usage or self.usage
        if piece.tokens or piece.text:
            self.last = time.monotonic()
            self.first = self.first or self.last


class Reply:
    """One answer with `count` texts, several for each prompt where `copies` is more than 1.

    spell   the bytes of a token; None where the model is another server's
    told    the first piece of each text is its prompt
    """

    prefix = ""
    ends_in_done = True

    def __init__(self, model: str, count: int, copies: int = 1, spell: Callable[[int], bytes] | None = None,
                 told: bool = False):  # fmt: skip
        self.model, self.count, self.copies, self.spell, self.told = model, count, copies, spell, told
        self.id, self.created = self.prefix + secrets.token_hex(12), int(time.time())
        self.start, self.texts = time.monotonic(), {}
        self.cited: Callable[[], list[dict]] = list  # what a whole answer cites: {start_index, end_index, url, title}

    def take(self, index: int, piece: Piece) -> list[dict]:
        """Remember a piece of text `index`; the events that a stream sends for it."""
        if piece.ranking:
            return self._ranked(index, piece)
        fresh = index not in self.texts
        text = self.texts.setdefault(index, Text())
        if self.told and fresh:
            text.prompt = piece
            return self.of_prompt(index, piece)
        first = not text.parts
        text.add(piece)
        return self.events(index, piece, first)

    def _ranked(self, index: int, piece: Piece) -> list[dict]:
        """A search has ended that found several texts: they come in the places of its copies."""
        prompt = self.texts[index].prompt if index in self.texts else None
        for copy, one in enumerate(piece.ranking):
            usage = replace(piece.usage, new=len(one.tokens)) if piece.usage else None
            text = self.texts[index * self.copies + copy] = Text(prompt=prompt)
            text.add(Piece(one.text, one.tokens, one.logprobs, finish=one.finish, usage=usage))
        return []

    def of_prompt(self, index: int, piece: Piece) -> list[dict]:
        """The events for a prompt that is told."""
        return []

    def events(self, index: int, piece: Piece, first: bool) -> list[dict]:
        """The events for a piece of text `index`; first: nothing of it came before."""
        raise NotImplementedError

    def closing(self) -> list[dict]:
        """The events behind all texts."""
        return []

    def failed(self, refusal: Refusal) -> list[dict]:
        """The events for a fault on the way."""
        return [refusal.body()]

    def whole(self) -> dict:
        """The unstreamed answer."""
        raise NotImplementedError

    def usage(self) -> Usage:
        """The counts of all texts; a prompt that was asked for several texts counts once."""
        texts = {index: text.usage for index, text in self.texts.items() if text.usage}
        read = {index // self.copies: usage for index, usage in sorted(texts.items(), reverse=True)}
        return Usage(sum(usage.prompt for usage in read.values()), sum(usage.new for usage in texts.values()),
                     sum(usage.known for usage in read.values()))  # fmt: skip

    def found(self, indices: Sequence[int]) -> list[int]:
        """Of these texts those that there are: a beam search may find fewer than were asked for."""
        return [index for index in indices if index in self.texts]

    def counts(self) -> dict:
        """The counts in OpenAI's words."""
        usage = self.usage()
        return {"prompt_tokens": usage.prompt, "completion_tokens": usage.new,
                "total_tokens": usage.prompt + usage.new, "prompt_tokens_details": {"cached_tokens": usage.known},
                "completion_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip

    def timings(self) -> dict:
        """How fast it was, in llama-server's words; milliseconds."""
        usage, begun = self.usage(), [text.first for text in self.texts.values() if text.first]
        if not begun or not usage.new:
            return {}
        read = min(begun) - self.start
        wrote = max(text.last for text in self.texts.values() if text.last) - min(begun)
        fresh = usage.prompt - usage.known
        return {"timings": {
            "prompt_n": fresh, "prompt_ms": round(1000 * read, 3),
            "prompt_per_second": round(fresh / max(read, 1e-9), 2),
            "predicted_n": usage.new, "predicted_ms": round(1000 * wrote, 3),
            "predicted_per_second": round((usage.new - len(begun)) / wrote, 2) if wrote > 0 else 0.0,
            "cache_n": usage.known}}  # fmt: skip

    def head(self, kind: str) -> dict:
        """What every object of this answer begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model,
                "system_fingerprint": None}  # fmt: skip

    def likely(self, tokens: Sequence[int], logprobs: Sequence[float | None], tops: Sequence[tuple]) -> list[dict]:
        """Tokens with their log-probabilities as chats tell them."""
        tops = tops or ((),) * len(tokens)
        return [{**self.token(id, logprob), "top_logprobs": [self.token(*one) for one in top]}
                for id, logprob, top in zip(tokens, logprobs, tops, strict=True)]  # fmt: skip

    def token(self, id: int, logprob: float | None) -> dict:
        """One token; of a part of a character the text is U+FFFD, and the bytes are right."""
        raw = self.spell(id)
        return {"token": raw.decode("utf-8", "replace"), "logprob": floor(logprob), "bytes": list(raw)}

    def ids(self, text: Text, wanted: bool) -> dict:
        """vLLM's `token_ids`, where they are wanted."""
        return {"token_ids": text.tokens} if wanted else {}


def floor(logprob: float | None) -> float | None:
    """JSON has no minus infinity; OpenAI's own floor is -9999."""
    return None if logprob is None else max(logprob, -9999.0)


def finish(reason: str | None) -> str | None:
    """Our reason for an end in OpenAI's words."""
    return {"time": "length", "cancelled": "stop"}.get(reason, reason)
