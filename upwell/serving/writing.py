"""A request to write, from its record to its answer: what the endpoints for completions, chats and responses share.

    task = Task(name, backend, prompts, settings, n, most, ...)
    return await answered(request, desk, task, reply, stream)

Each text is written in a thread of its own; all of one request hold one slot.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.responses import StreamingResponse

from upwell.errors import Busy, ServiceError, TooLong, UpwellError
from upwell.generation.backend import Backend
from upwell.generation.settings import Piece, Settings, Usage
from upwell.serving.answers import Reply
from upwell.serving.body import printable
from upwell.serving.desk import Desk
from upwell.serving.limits import together
from upwell.serving.metrics import Watch
from upwell.serving.records import CHOICES, Writing
from upwell.serving.refusals import Refusal, unexpected

CHAT_LENGTH = 2048  # tokens of an answer where the client names no length and the context has room for them
DONE = b"data: [DONE]\n\n"
log = logging.getLogger("upwell.serving")


@dataclass(frozen=True)
class Task:
    """What is to be written."""

    name: str
    backend: Backend
    prompts: Sequence[Any]
    settings: Settings
    n: int = 1
    """Texts for each prompt."""
    most: int | None = None
    """Tokens of each that were asked for at most; None: our default, or less where less fits."""
    echo: bool = False
    """The prompt itself is a part of the answer."""
    told: int | None = None
    """How many of the likeliest tokens are told beside each of the prompt's; None: nothing is told of it."""
    client: str = ""
    """Whose request it is; clients take turns."""

    def starts(self, context: int | None) -> list:
        """One function for each text, which begins it in a thread."""
        if self.settings.best > 1:  # a beam search gives several texts of one search
            return [partial(begun, self, prompt, self.settings, context) for prompt in self.prompts]
        return [partial(begun, self, prompt, reseeded(self.settings, copy), context)
                for prompt in self.prompts for copy in range(self.n)]  # fmt: skip


def begun(task: Task, prompt: Any, settings: Settings, context: int | None) -> Iterator[Piece]:
    """Start one text."""
    backend = task.backend
    if task.most == 0:
        return only_told(task, prompt)
    if context is not None and hasattr(backend, "taken"):
        settings = fitted(settings, backend.taken(prompt), context, task.most)
    own = {"client": task.client} if hasattr(backend, "config") else {}
    if task.told is None and not task.echo:
        return backend.generate(prompt, settings, **own)
    return with_prompt(task, prompt, settings, own)


def with_prompt(task: Task, prompt: Any, settings: Settings, own: dict) -> Iterator[Piece]:
    """The prompt's own tokens first, and then what is written behind them, where that is more than nothing."""
    answer = task.backend.generate(prompt, settings, **own)
    try:
        yield told_of(task, prompt)
        yield from answer
    finally:
        answer.close()


def only_told(task: Task, prompt: Any) -> Iterator[Piece]:
    """The prompt's own tokens and nothing behind them."""
    yield told_of(task, prompt)
    yield Piece(finish="length", usage=Usage(len(task.backend.read(prompt)), 0))


def told_of(task: Task, prompt: Any) -> Piece:
    """The prompt as a piece: of its first token it is not known how likely it was."""
    backend, ids = task.backend, list(task.backend.read(prompt))
    text = prompt if isinstance(prompt, str) else spelled(ids, backend.tokenizer)
    if task.told is None:
        return Piece(text, tuple(ids))
    told = backend.told(ids, task.told)
    shown, first = (ids[1:], ()) if isinstance(prompt, str) else (ids, (None,))
    tops = told.tops or ((),) * len(told.tokens)
    return Piece(text, tuple(shown), first + told.logprobs, ((),) * len(first) + tops)


def spelled(ids: Sequence[int], tokenizer) -> str:
    """Token ids as text; half a character becomes U+FFFD."""
    return b"".join(map(tokenizer.bytes_of, ids)).decode("utf-8", "replace")


def fitted(settings: Settings, prompt: int, context: int, most: int | None) -> Settings:
    """The settings with the length that fits; a 400 naming the numbers where the prompt or the length do not."""
    room = room_for(prompt, context, settings.max_new, most)
    return replace(settings, max_new=room, min_new=min(settings.min_new, room))


def room_for(prompt: int, context: int, usual: int, most: int | None) -> int:
    """Tokens that may be written after a prompt of so many; a 400 naming the numbers where it does not fit."""
    if prompt < context and most is None:
        return min(usual, context - prompt)
    if prompt + (most or 1) <= context:
        return most
    wanted = most or 1
    raise Refusal(
        400,
        f"This model's context is {context} tokens; the prompt has {prompt} and {wanted} more were "
        f"asked for, together {prompt + wanted}. Shorten the prompt or ask for fewer tokens.",
        "prompt",
        "context_length_exceeded",
    )


def reseeded(settings: Settings, copy: int) -> Settings:
    """The settings of the copy-th text of one prompt: with a seed given, each has its own, repeatably."""
    if settings.seed is None or copy == 0:
        return settings
    return replace(settings, seed=(settings.seed + copy + 2**63) % 2**64 - 2**63)


# ---- records -> settings ----


def settings_of(asked: Writing, usual: int | None = None, shape: dict | None = None) -> Settings:
    """Request -> how to write; what was not said keeps our defaults. shape: of a grammar that it must fit."""
    most = asked.most() or None
    said = {
        "max_new": most or usual, "min_new": asked.min_tokens, "temperature": asked.temperature, "top_p": asked.top_p,
        "top_k": None if asked.top_k is None else max(0, asked.top_k), "min_p": asked.min_p,
        "repetition_penalty": asked.repetition_penalty, "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty, "seed": asked.seed, "stop": asked.stops(),
        "stop_ids": tuple(asked.stop_token_ids or ()), "strategy": asked.strategy, "beams": asked.beams,
        "length_power": asked.length_power, "top_logprobs": asked.top(),
        "logit_bias": tuple((int(token), bias) for token, bias in (asked.logit_bias or {}).items()),
        **beams_of(asked), **shapes_of(asked, shape),
    }  # fmt: skip
    if asked.ignore_eos:
        if most is None:
            raise Refusal(400, "ignore_eos: give max_tokens beside it, which then says how long the text is.",
                          "ignore_eos", "invalid_value")  # fmt: skip
        said["min_new"] = most
    try:
        return Settings(**{key: value for key, value in said.items() if value is not None})
    except UpwellError as error:
        raise refusal_of(error) from None


def beams_of(asked: Writing) -> dict:
    """vLLM's words for a beam search; of one with n texts all come from one search."""
    beam = asked.use_beam_search or asked.strategy == "beam"
    if not beam:
        return {}
    if asked.stream and asked.copies() > 1:
        raise Refusal(400, "n: several texts of a beam search are known only at its end; ask without stream.", "n",
                      "invalid_value")  # fmt: skip
    more = {"strategy": "beam", "best": asked.copies(), "beams": max(asked.beams or 0, asked.copies(), 2)}
    return more | ({} if asked.length_penalty is None else {"length_power": asked.length_penalty})


def shapes_of(asked: Writing, shape: dict | None) -> dict:
    """The grammar that was asked for, at most one."""
    found = dict(shape or {})
    if asked.structured_outputs is not None:
        s = asked.structured_outputs
        found |= {"json_schema": as_text(s.json_)} if s.json_ is not None else {}
        found |= {"regex": s.regex} if s.regex is not None else {}
        found |= {"choices": tuple(s.choice)} if s.choice is not None else {}
    return found


def formed(kind: str, schema: dict | None, field: str) -> dict:
    """OpenAI's text, json_object or json_schema as our settings have it; a 400 for a schema that is missing."""
    if kind == "json_schema" and schema is None:
        raise Refusal(400, f"{field}: json_schema needs a schema.", field, "invalid_value")
    wanted = {"type": "object"} if kind == "json_object" else schema
    return {} if kind == "text" else {"json_schema": as_text(wanted)}


def as_text(schema: dict | str) -> str:
    """A JSON Schema as our settings have it."""
    return schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)


def check_count(prompts: list, n: int) -> None:
    """At least one text, and no more than one request may ask for; an empty list of ids is no prompt."""
    if not 1 <= len(prompts) * n <= CHOICES:
        raise Refusal(
            400,
            f"prompt: {len(prompts)} prompts times n = {n} is {len(prompts) * n} texts; ask for "
            f"1 to {CHOICES} in one request.",
            "prompt",
            "invalid_value",
        )
    if [] in prompts:
        raise Refusal(
            400,
            "prompt: an empty list of token ids; give at least one id, or an empty text.",
            "prompt",
            "invalid_value",
        )


def check_tellable(backend: Backend, name: str, field: str) -> None:
    """What only a model of our own can tell."""
    if not hasattr(backend, "tokenizer"):
        raise Refusal(
            400,
            f"{field}: '{name}' is a model of another server, of whose tokens nothing is known here.",
            field,
            "unsupported_parameter",
        )


# ---- answers ----


async def answered(request: Request, desk: Desk, task: Task, reply: Reply, stream: bool) -> Response:
    """Run one request to its answer, whole or streamed; stops when the client leaves."""
    events = written(request, desk, task, reply)
    if not stream:
        await while_connected(request, exhausted(events))
        return JSONResponse(reply.whole())
    # The first event decides the status: a prompt that does not fit is still a 400 and no broken stream.
    first = await while_connected(request, opened(events))
    return EventStream(lines(first, events, reply))


async def written(request: Request, desk: Desk, task: Task, reply: Reply) -> AsyncIterator[dict]:
    """The events of one answer, in order."""
    watch = Watch(desk.metrics, task.name)
    try:
        async with desk.slots.taken():
            watch.begin()
            starts = task.starts(desk.context(task.backend))
            async with aclosing(together(starts, desk.slots.limit)) as pieces:
                async for index, piece in pieces:
                    if piece.tokens or piece.text:
                        watch.token(len(piece.tokens) or 1)
                    for event in reply.take(index, piece):
                        yield event
                    if piece.usage:
                        desk.metrics.count(task.name, piece.usage, piece.finish or "stop")
        told = reply.usage()
        if told.prompt or told.new:  # documents that answer count no tokens
            request.scope.setdefault("state", {})["told"] = f"{told.prompt} read, {told.new} written"
        for event in reply.closing():
            yield event
    finally:
        watch.end()


async def exhausted(events: AsyncIterator[dict]) -> None:
    """Walk to the end."""
    async with aclosing(events):
        async for _ in events:
            pass


async def opened(events: AsyncIterator[dict]) -> dict:
    """The first event; closes the stream where there is none to come."""
    try:
        return await anext(events)
    except BaseException:
        await events.aclose()
        raise


async def lines(first: dict, rest: AsyncIterator[dict], reply: Reply) -> AsyncIterator[bytes]:
    """An event stream; a fault on the way is told in an event, since the status has long been sent."""
    async with aclosing(rest):
        yield event(first)
        try:
            async for value in rest:
                yield event(value)
        except Exception as error:
            for value in reply.failed(refusal_of(error)):
                yield event(value)
        if reply.ends_in_done:
            yield DONE


def event(value: dict) -> bytes:
    """One event; ASCII, so that no line separator of Unicode's can end it early. A typed one says its type first."""
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode("ascii")


class EventStream(StreamingResponse):
    """Server-sent events; a client that leaves closes the iterator at once, not when memory is next tidied."""

    media_type = "text/event-stream"

    async def stream_response(self, send) -> None:
        """Send all events, and close the iterator whatever happens."""
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


async def while_connected(request: Request, work: Awaitable) -> Any:
    """The result of `work`, which is cancelled as soon as the client leaves."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal(499, "The client left.")
        return task.result()
    except (Refusal, asyncio.CancelledError):
        raise
    except Exception as error:
        raise refusal_of(error) from error
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def left(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refusal_of(error: Exception) -> Refusal:
    """What a fault of a backend is for the client: its own mistake, a service behind us, or our fault."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Busy):
        return Refusal(429, printable(str(error)), code="queue_full", headers={"Retry-After": "1"})
    if isinstance(error, ServiceError):
        return Refusal(502, printable(str(error)), code="backend_unavailable")
    if isinstance(error, TooLong):
        return Refusal(400, str(error), "prompt", "context_length_exceeded")
    if isinstance(error, UpwellError):
        return Refusal(400, printable(str(error)), code="invalid_value")
    log.error("a generation failed", exc_info=error)
    return unexpected()
