"""The application: OpenAI's endpoints over named backends, and the page.

    service = app({"my-model": backend}, api_keys=["..."])

`backends` are `generation.backend.Backend`s by the id that clients call them by; the first is the default. `routes`
are further Starlette or FastAPI routes, which stand behind the same guard. Knows nothing of checkpoint folders.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module, resources
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from upwell import __version__
from upwell.generation.backend import Backend
from upwell.serving.body import printable
from upwell.serving.desk import Desk
from upwell.serving.guard import LOOPBACK, Guard
from upwell.serving.library import Library
from upwell.serving.limits import Slots
from upwell.serving.refusals import Refusal
from upwell.serving.visitors import Visitors

ENDPOINTS = ("status", "models", "completions", "chat", "responses", "embeddings", "moderations", "tokens",
             "translation", "asking", "faq")
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8"}  # fmt: skip
PAGE = {("/" if file.name == "index.html" else f"/{file.name}"): file.name
        for file in sorted((Path(__file__).parent / "page").iterdir()) if file.suffix in KINDS}  # fmt: skip
WIDGET = "/widget.js"  # the one file that pages of other origins load
OPEN = frozenset({"/health", "/ready", *PAGE})


def app(backends: Mapping[str, Backend], *, libraries: Mapping[str, Library] | None = None,
        api_keys: Iterable[str] | Mapping[str, frozenset[str] | None] = (), routes: Iterable[BaseRoute] = (),
        hosts: frozenset[str] | None = LOOPBACK, slots: int = 16, line: int = 64,
        longest: int | None = None, visitors: Visitors | None = None) -> FastAPI:  # fmt: skip
    """The ASGI application.

    backends   none: they are being loaded, and come by `service.state.desk.open`
    libraries  documents that are asked, by the id that clients call them by
    api_keys   what clients must send as a Bearer, one of them; none: nobody is asked. As a mapping: with the
               collections of documents that each key sees, None for all
    hosts      the Host names that are answered, None: any (for addresses other than loopback)
    slots      requests at work at once; `line`: requests that may wait; further ones get 429
    longest    tokens that a text and its prompt may have together, at most
    visitors   pages of other origins whose readers may ask the FAQ without a key; None: nobody
    """
    service = FastAPI(title="upwell", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    keys = dict(api_keys) if isinstance(api_keys, Mapping) else dict.fromkeys(api_keys)
    desk = service.state.desk = Desk(backends, Slots(slots, line), longest, libraries or {})
    visitors = visitors or Visitors()
    desk.origins = visitors.origins
    modules = [import_module(f"upwell.serving.endpoints.{name}") for name in ENDPOINTS]
    for module in modules:
        module.add(service, desk)
    add_page(service)
    service.router.routes.extend(routes)
    for kind, handler in HANDLERS.items():
        service.add_exception_handler(kind, handler)
    service.add_middleware(Guard, keys=keys, open=OPEN, hosts=hosts, desk=desk, visitors=visitors)
    service.openapi = partial(described, service, [record for module in modules for record in module.RECORDS])
    return service


def add_page(service: FastAPI) -> None:
    """The page and its files, read once; its names are fixed, so no path of a client reaches the disk."""
    folder = resources.files("upwell.serving") / "page"
    for path, file in PAGE.items():
        content, kind = (folder / file).read_bytes(), KINDS[Path(file).suffix]
        service.router.routes.append(Route(path, partial(served, content, kind), methods=["GET"]))


async def served(content: bytes, kind: str, request: Request) -> Response:
    """One file of the page."""
    others = {"Cross-Origin-Resource-Policy": "cross-origin"} if request.url.path == WIDGET else {}
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"} | others)


async def refused(request: Request, refusal: Refusal) -> Response:
    return refusal.response()


async def not_routed(request: Request, error: HTTPException) -> Response:
    words = {
        404: f"There is nothing at {printable(request.url.path[:200])}.",
        405: f"{request.method} is not for {printable(request.url.path[:200])}.",
    }
    message = words.get(error.status_code, str(error.detail))
    return Refusal(error.status_code, message, headers=dict(error.headers or {})).response()


async def not_valid(request: Request, error: RequestValidationError) -> Response:
    return Refusal(400, f"{error.errors()[0]['msg']}.", code="invalid_value").response()


HANDLERS = {Refusal: refused, HTTPException: not_routed, RequestValidationError: not_valid}


def described(service: FastAPI, records: list[type]) -> dict:
    """The OpenAPI document, with the request records that the routes refer to, and the shape of every mistake."""
    if not service.openapi_schema:
        document = get_openapi(title=service.title, version=service.version, routes=service.routes)
        _, schemas = models_json_schema([(kind, "validation") for kind in records],
                                        ref_template="#/components/schemas/{model}")  # fmt: skip
        own = document.setdefault("components", {}).setdefault("schemas", {})
        own.update(schemas["$defs"])
        own["Mistake"] = MISTAKE
        mistake = {"description": "A mistake, in OpenAI's shape", "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Mistake"}}}}  # fmt: skip
        for path in document["paths"].values():
            for route in path.values():
                route["responses"].pop("422", None)
                route["responses"] |= {"4XX": mistake, "5XX": mistake}
        service.openapi_schema = document
    return service.openapi_schema


MISTAKE = {
    "type": "object", "required": ["error"], "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"], "properties": {
            "message": {"type": "string"}, "type": {"type": "string"},
            "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}}  # fmt: skip
