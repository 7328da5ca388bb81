"""POST /faq/ask for visitors; POST /faq/try, GET /faq, /faq/misses and /faq/suggestions for the FAQ's owner.

What visitors ask is answered, asked back or handed over, and logged where it was not answered. What the owner tries is
shown with its scores, and neither logged nor handed over. A key that sees only some collections is no owner's.
"""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints

from upwell.answering.faq import LONGEST, Near
from upwell.answering.faq_misses import suggestions
from upwell.answering.faq_service import Reply, Service
from upwell.serving.body import body_of, read_json
from upwell.serving.desk import Desk
from upwell.serving.endpoints.embeddings import busy
from upwell.serving.records import Common, understood
from upwell.serving.refusals import Refusal

SHOWN = 500  # misses
READ = 5000  # misses from which suggestions are made
Question = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]


class FaqRequest(Common):
    """The body of /faq/ask."""

    question: Question
    conversation: Annotated[str, StringConstraints(max_length=64)] | None = None


class FaqTryRequest(Common):
    """The body of /faq/try."""

    question: Question


RECORDS = (FaqRequest, FaqTryRequest)


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.post("/faq/ask", openapi_extra=body_of(FaqRequest))
    async def ask(request: Request) -> Response:
        asked = understood(FaqRequest, await read_json(request))
        reply = await busy(request, desk, partial(served(desk).ask, asked.question, asked.conversation))
        return JSONResponse(told(reply))

    @service.post("/faq/try", openapi_extra=body_of(FaqTryRequest))
    async def tried(request: Request) -> Response:
        asked = understood(FaqTryRequest, await read_json(request))
        found = await busy(request, desk, partial(owned(desk, request).matcher.match, asked.question))
        return JSONResponse({
            "kind": found.kind, "score": round(found.score, 4), "margin": round(found.margin, 4),
            "entry": found.entry and found.entry.id, "answer": found.entry and found.entry.answer,
            "nearest": [near(one) for one in found.others]})  # fmt: skip

    @service.get("/faq")
    async def about(request: Request) -> dict:
        faq = owned(desk, request)
        rule, hook = faq.matcher.settings, faq.webhook
        return {"entries": len(faq.matcher.entries), "encoder": getattr(faq.matcher.encoder, "name", None),
                "sure": rule.sure, "margin": rule.margin, "least": rule.least,
                "misses": None if faq.misses is None else len(faq.misses), "widget_origins": sorted(desk.origins),
                "webhook": None if hook is None else {"sent": hook.sent, "failed": hook.failed}}  # fmt: skip

    @service.get("/faq/misses")
    async def misses(request: Request) -> dict:
        faq = owned(desk, request)
        found = [] if faq.misses is None else await asyncio.to_thread(faq.misses.all, SHOWN)
        entries = {entry.id: entry for entry in faq.matcher.entries}
        return {"misses": [one._asdict() | {"nearest": [
            {"id": name, "question": entries[name].question, "score": score}
            for name, score in one.nearest if name in entries]} for one in found]}  # fmt: skip

    @service.get("/faq/suggestions")
    async def suggested(request: Request) -> dict:
        return {"suggestions": await busy(request, desk, partial(grouped, owned(desk, request)))}


def served(desk: Desk) -> Service:
    """The FAQ of this server; a 404 where there is none."""
    if desk.faq is None:
        raise Refusal(404, "No FAQ is served here; start the server with --faq FILE.", code="faq_not_found")
    return desk.faq


def owned(desk: Desk, request: Request) -> Service:
    """The same for its owner alone."""
    faq = served(desk)
    if request.scope["sees"] is not None:
        raise Refusal(403, "This key may not see what visitors asked.", code="not_the_owner")
    return faq


def told(reply: Reply) -> dict:
    """A reply as visitors get it."""
    return {"kind": reply.kind, "answer": reply.text, "entry": reply.entry and reply.entry.id,
            "options": [{"id": one.entry.id, "question": one.entry.question} for one in reply.options],
            "score": round(reply.score, 4), "margin": round(reply.margin, 4),
            "conversation": reply.conversation}  # fmt: skip


def near(one: Near) -> dict:
    """An entry with its score."""
    return {"id": one.entry.id, "question": one.entry.question, "score": round(one.score, 4)}


def grouped(faq: Service) -> list[dict]:
    """Misses that ask the same."""
    found = [] if faq.misses is None else suggestions(faq.misses.all(READ), faq.matcher)
    return [{"question": one.question, "count": one.count, "others": list(one.others), "score": round(one.score, 4),
             "entry": one.entry and {"id": one.entry.id, "question": one.entry.question}} for one in found]  # fmt: skip
