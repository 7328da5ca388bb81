"""The application: OpenAI's endpoints over named backends, and the page.

    service = app({"my-model": backend}, api_key=None)

`backends` are `generation.backend.Backend`s by the id that clients call them by; the first is the default. `routes`
are further Starlette or FastAPI routes, which stand behind the same guard. Knows nothing of checkpoint folders.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from upwell import __version__
from upwell.errors import Busy, ServiceError, UpwellError
from upwell.generation.backend import Backend, Local
from upwell.generation.settings import Piece, Settings
from upwell.serving import requests
from upwell.serving.answers import CHAT, COMPLETION, DONE, EventStream, Reply, event, events
from upwell.serving.body import printable, read_json
from upwell.serving.guard import LOOPBACK, Guard
from upwell.serving.limits import Slots, in_thread
from upwell.serving.refusals import Refusal, unexpected

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/waves.svg": ("waves.svg", "image/svg+xml"),
}
OPEN = frozenset({"/health", "/ready", *PAGE})
log = logging.getLogger("upwell.serving")


def app(backends: Mapping[str, Backend], *, api_key: str | None = None, routes: Iterable[BaseRoute] = (),
        hosts: frozenset[str] | None = LOOPBACK, slots: int = 16, line: int = 64) -> FastAPI:
    """The ASGI application.

    api_key  what clients must send as a Bearer; None: nobody is asked
    hosts    the Host names that are answered, None: any (for addresses other than loopback)
    slots    requests at work at once; `line`: requests that may wait; further ones get 429
    """
    service = FastAPI(title="upwell", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    desk = Desk(dict(backends), Slots(slots, line))
    service.state.desk = desk
    add_status(service)
    add_models(service, desk)
    add_writing(service, desk)
    add_page(service)
    service.router.routes.extend(routes)
    for kind, handler in HANDLERS.items():
        service.add_exception_handler(kind, handler)
    service.add_middleware(Guard, key=api_key, open=OPEN, hosts=hosts)
    service.openapi = partial(described, service)
    return service


class Desk:
    """Who works here (backends by name), and how much at once."""

    def __init__(self, backends: dict[str, Backend], slots: Slots):
        assert backends, "a server without a model"
        self.backends, self.slots, self.opened = backends, slots, int(time.time())

    def find(self, name: str | None) -> tuple[str, Backend]:
        """The backend of that id; None: the first."""
        name = next(iter(self.backends)) if name is None else name
        if name not in self.backends:
            raise Refusal(404, f"There is no model '{printable(name[:200])}' here; there is "
                               f"{', '.join(self.backends)}.", "model", "model_not_found")
        return name, self.backends[name]

    def card(self, name: str) -> dict:
        """What /v1/models says of one model."""
        card = {"id": name, "object": "model", "created": self.opened, "owned_by": "upwell"}
        backend = self.backends[name]
        return card | ({"max_model_len": backend.config.context} if isinstance(backend, Local) else {})

    async def write(self, backend: Backend, prompts: list[Any], settings: Settings, n: int,
                    most: int | None) -> AsyncIterator[tuple[int, Piece]]:
        """The pieces of `n` texts for each prompt, one text after the other, as (index of the text, piece)."""
        async with self.slots.taken():
            for index in range(len(prompts) * n):
                start = partial(begun, backend, prompts[index // n], reseeded(settings, index % n), most)
                async with aclosing(in_thread(start)) as pieces:
                    async for piece in pieces:
                        yield index, piece


def begun(backend: Backend, prompt: Any, settings: Settings, most: int | None) -> Iterator[Piece]:
    """Start one text. `most` is the length that the client asked for; None: our default, or less where less fits."""
    if isinstance(backend, Local):
        settings = replace(settings, max_new=room_for(backend.taken(prompt), backend.config.context,
                                                      settings.max_new, most))
    return backend.generate(prompt, settings)


def room_for(prompt: int, context: int, usual: int, most: int | None) -> int:
    """Tokens that may be written after a prompt of so many; a 400 naming the numbers where it does not fit."""
    if prompt < context and most is None:
        return min(usual, context - prompt)
    if prompt + (most or 1) <= context:
        return most
    wanted = most or 1
    raise Refusal(400, f"This model's context is {context} tokens; the prompt has {prompt} and {wanted} more were "
                       f"asked for, together {prompt + wanted}. Shorten the prompt or ask for fewer tokens.",
                  "prompt", "context_length_exceeded")


def reseeded(settings: Settings, copy: int) -> Settings:
    """The settings of the copy-th text of one prompt: with a seed given, each has its own, repeatably."""
    if settings.seed is None or copy == 0:
        return settings
    return replace(settings, seed=(settings.seed + copy + 2**63) % 2**64 - 2**63)


def add_status(service: FastAPI) -> None:
    """Is it alive, does it take requests, which version is it."""

    @service.get("/health")
    async def health() -> dict:
        return {"status": "ok"}

    @service.get("/ready")
    async def ready() -> dict:
        return {"status": "ready"}

    @service.get("/version")
    async def version() -> dict:
        return {"version": __version__}


def add_models(service: FastAPI, desk: Desk) -> None:
    """/v1/models and one of them."""

    @service.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [desk.card(name) for name in desk.backends]}

    @service.get("/v1/models/{name:path}")
    async def model(name: str) -> dict:
        return desk.card(desk.find(name)[0])


def add_writing(service: FastAPI, desk: Desk) -> None:
    """/v1/completions and /v1/chat/completions."""

    @service.post("/v1/completions", openapi_extra=body_of(requests.CompletionRequest))
    async def completions(request: Request) -> Response:
        asked = requests.understood(requests.CompletionRequest, await read_json(request))
        prompts, n = asked.prompts(), asked.n or 1
        check_count(prompts, n)
        return await answer(request, desk, COMPLETION, asked, prompts, n)

    @service.post("/v1/chat/completions", openapi_extra=body_of(requests.ChatRequest))
    async def chat(request: Request) -> Response:
        asked = requests.understood(requests.ChatRequest, await read_json(request))
        messages = [message.plain() for message in asked.messages]
        return await answer(request, desk, CHAT, asked, [messages], asked.n or 1)


def check_count(prompts: list, n: int) -> None:
    """At least one text, and no more than one request may ask for; an empty list of ids is no prompt."""
    if not 1 <= len(prompts) * n <= requests.CHOICES:
        raise Refusal(400, f"prompt: {len(prompts)} prompts times n = {n} is {len(prompts) * n} texts; ask for "
                           f"1 to {requests.CHOICES} in one request.", "prompt", "invalid_value")
    if [] in prompts:
        raise Refusal(400, "prompt: an empty list of token ids; give at least one id, or an empty text.",
                      "prompt", "invalid_value")


async def answer(request: Request, desk: Desk, shape, asked: requests.Writing, prompts: list, n: int) -> Response:
    """Run one request to its answer, whole or streamed; stops when the client leaves."""
    name, backend = desk.find(asked.model)
    reply = Reply(shape, name, len(prompts) * n)
    most = asked.most()
    pieces = desk.write(backend, prompts, settings_of(asked, most), n, most)
    objects = events(reply, pieces, asked.wants_usage(), n)
    if not asked.stream:
        await while_connected(request, exhausted(objects))
        return JSONResponse(reply.whole(n))
    # The first object decides the status: a prompt that does not fit is still a 400 and no broken stream.
    first = await while_connected(request, opened(objects))
    return EventStream(lines(first, objects))


def settings_of(asked: requests.Writing, most: int | None) -> Settings:
    """Request -> how to write; what was not said keeps our defaults."""
    said = {"max_new": most, "temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k,
            "repetition_penalty": asked.repetition_penalty, "seed": asked.seed, "stop": asked.stops(),
            "strategy": asked.strategy, "beams": asked.beams, "length_power": asked.length_power}
    try:
        return Settings(**{key: value for key, value in said.items() if value is not None})
    except UpwellError as error:
        raise refusal_of(error) from None


async def exhausted(objects: AsyncIterator[dict]) -> None:
    """Walk to the end."""
    async with aclosing(objects):
        async for _ in objects:
            pass


async def opened(objects: AsyncIterator[dict]) -> dict:
    """The first object; closes the stream where there is none to come."""
    try:
        return await anext(objects)
    except BaseException:
        await objects.aclose()
        raise


async def lines(first: dict, rest: AsyncIterator[dict]) -> AsyncIterator[bytes]:
    """An event stream; a fault on the way is told in an event, since the status has long been sent."""
    async with aclosing(rest):
        yield event(first)
        try:
            async for value in rest:
                yield event(value)
        except Exception as error:
            yield event(refusal_of(error).body())
        yield DONE


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
    if isinstance(error, UpwellError):
        return Refusal(400, printable(str(error)), code="invalid_value")
    log.error("a generation failed", exc_info=error)
    return unexpected()


def add_page(service: FastAPI) -> None:
    """The page and its files, read once; its names are fixed, so no path of a client reaches the disk."""
    folder = resources.files("upwell.serving") / "page"
    for path, (file, kind) in PAGE.items():
        content = (folder / file).read_bytes()
        service.router.routes.append(Route(path, partial(served, content, kind), methods=["GET"]))


async def served(content: bytes, kind: str, request: Request) -> Response:
    """One file of the page."""
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


async def refused(request: Request, refusal: Refusal) -> Response:
    return refusal.response()


async def not_routed(request: Request, error: HTTPException) -> Response:
    words = {404: f"There is nothing at {printable(request.url.path[:200])}.",
             405: f"{request.method} is not for {printable(request.url.path[:200])}."}
    message = words.get(error.status_code, str(error.detail))
    return Refusal(error.status_code, message, headers=dict(error.headers or {})).response()


async def not_valid(request: Request, error: RequestValidationError) -> Response:
    return Refusal(400, f"{error.errors()[0]['msg']}.", code="invalid_value").response()


HANDLERS = {Refusal: refused, HTTPException: not_routed, RequestValidationError: not_valid}


def body_of(kind: type) -> dict:
    """The OpenAPI words for a route whose body is a `kind`, which we read ourselves."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def described(service: FastAPI) -> dict:
    """The OpenAPI document, with the request records that the routes refer to."""
    if not service.openapi_schema:
        document = get_openapi(title=service.title, version=service.version, routes=service.routes)
        kinds = [(kind, "validation") for kind in (requests.CompletionRequest, requests.ChatRequest)]
        _, schemas = models_json_schema(kinds, ref_template="#/components/schemas/{model}")
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        service.openapi_schema = document
    return service.openapi_schema
