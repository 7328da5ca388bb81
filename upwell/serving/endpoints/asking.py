"""POST /v1/answers: a question, and what the documents say to it. GET /v1/documents: those documents.

The same answers are had in OpenAI's way: an index is a model of /v1/models, which /v1/chat/completions and
/v1/responses ask. A key sees the documents of its collections; of all others nothing tells that they exist.
"""

import asyncio
from functools import partial
from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints

from upwell.generation.settings import Piece
from upwell.serving import consulting
from upwell.serving.answers import Reply
from upwell.serving.body import STREAMS, body_of, printable, read_json
from upwell.serving.consulting import LONGEST, LONGEST_TURN, TURNS, Consulted
from upwell.serving.desk import Desk
from upwell.serving.library import Library, Sees, address
from upwell.serving.records import Closed, Common, understood
from upwell.serving.refusals import Refusal

MOST = 1000  # documents of one list
Name = Annotated[str, StringConstraints(max_length=300)]


class Turn(Closed):
    """What was said before."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=LONGEST_TURN)]


class AnswerRequest(Common):
    """The body of /v1/answers."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST, pattern=r"\S")]
    history: Annotated[list[Turn], Field(max_length=4 * TURNS)] | None = Field(
        None, description=f"what was said before, a list of {{role, content}}; the last {TURNS} of them are read"
    )
    collection: Name | None = Field(None, description="one of the index's; default: all that the key sees")
    model: Name | None = Field(None, description="the id of an index in /v1/models; default: the first one")
    stream: bool | None = False


RECORDS = (AnswerRequest,)


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.post("/v1/answers", openapi_extra=body_of(AnswerRequest), responses=STREAMS)
    async def answers(request: Request) -> Response:
        asked = understood(AnswerRequest, await read_json(request))
        consulted = Consulted(found(desk, asked.model, request.scope["sees"]), request, asked.collection)
        turns = [turn.model_dump() for turn in asked.history or ()][-TURNS:]
        turns.append({"role": "user", "content": asked.question})
        return await consulting.answered(request, desk, consulted, turns, AnswerReply(consulted), bool(asked.stream))

    @service.get("/v1/documents")
    async def documents(request: Request, index: Name | None = None, collection: Name | None = None,
                        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
                        limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> Response:  # fmt: skip
        sees = request.scope["sees"]
        library = found(desk, index, sees)
        there = await asyncio.to_thread(lambda: library.documents(library.chosen(sees, collection)))
        later = sorted((one for one in there if one.id > after), key=lambda one: one.id)
        data = [card(library, one) for one in later[:limit]]
        return JSONResponse({"object": "list", "data": data, "has_more": len(later) > limit})

    @service.get("/v1/documents/{document}")
    async def document(request: Request, document: Annotated[int, Path(ge=0, lt=2**63)],
                       index: Name | None = None) -> Response:  # fmt: skip
        sees = request.scope["sees"]
        library = found(desk, index, sees)
        record, text = await asyncio.to_thread(partial(library.document, document, sees))
        shown = {"url": address(str(request.base_url), library.name, document), "text": text}
        return JSONResponse(card(library, record) | shown)


def found(desk: Desk, name: str | None, sees: Sees) -> Library:
    """The index of that name, or the first one; a 404 where the key sees none."""
    seen = [one for one in desk.libraries.values() if one.is_seen(sees)]
    if name is None and seen:
        return seen[0]
    for one in seen:
        if one.name == name:
            return one
    if name is None:
        raise Refusal(404, "No documents are answered from here; make an index of them (upwell index FOLDER) and serve "
                           "it (upwell serve --index index).", "model", "model_not_found")  # fmt: skip
    raise Refusal(404, f"There is no index '{printable(name[:200])}' here.", "model", "model_not_found")


def card(library: Library, one) -> dict:
    """What a list says of a document."""
    return {"id": one.id, "object": "document", "index": library.name, "source": one.source, "title": one.title,
            "collection": one.collection, "characters": one.characters, "passages": one.passages}  # fmt: skip


class AnswerReply(Reply):
    """What /v1/answers answers; a stream tells the passages, the text piece by piece, and at its end the whole."""

    prefix = "answer-"

    def __init__(self, consulted: Consulted):
        super().__init__(consulted.name, 1)
        self.consulted = consulted

    def events(self, index: int, piece: Piece, first: bool) -> list[dict]:
        told = [{"passages": self.consulted.told_passages()}] if first else []
        return told + ([{"text": piece.text}] if piece.text else [])

    def closing(self) -> list[dict]:
        return [self.whole()]

    def whole(self) -> dict:
        answer = self.consulted.answer
        return {"id": self.id, "object": "answer", "created": self.created, "model": self.model,
                "question": answer.question, "answer": answer.text, "refused": answer.refused, "how": answer.how,
                "confidence": consulting.rounded(answer.confidence), "citations": self.consulted.told_citations(),
                "passages": self.consulted.told_passages()}  # fmt: skip
