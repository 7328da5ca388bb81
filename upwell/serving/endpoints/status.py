"""Is it alive, does it take requests, which version is it, and what has it done."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from upwell import __version__
from upwell.serving.desk import Desk
from upwell.serving.refusals import Refusal

RECORDS = ()
SOON = {"Retry-After": "1"}


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.get("/health")
    async def health() -> Response:
        """200 while it works, also while it finishes what is at work; 503 while it loads, or where an engine ended."""
        well = desk.state in ("ready", "stopping")
        return JSONResponse({"status": "ok" if well else desk.state}, 200 if well else 503, SOON if not well else None)

    @service.get("/ready")
    async def ready() -> Response:
        """200 while new requests are taken."""
        return JSONResponse({"status": desk.state}, 200 if desk.state == "ready" else 503,
                            SOON if desk.state != "ready" else None)  # fmt: skip

    @service.get("/version")
    async def version() -> dict:
        return {"version": __version__}

    @service.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """The numbers of the whole server, by the names of its models and indexes: for keys that see all of them."""
        if request.scope["sees"] is not None:
            raise Refusal(403, "This key may not see the numbers of the whole server.", code="not_the_owner")
        return Response(desk.metrics.page(), media_type=CONTENT_TYPE_LATEST)
