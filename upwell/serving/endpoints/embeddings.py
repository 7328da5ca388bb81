"""POST /v1/embeddings and /v1/rerank: vectors of texts, and texts in the order in which they fit a question."""

import asyncio
import base64
import math
import secrets
from functools import partial
from typing import Literal

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from upwell.generation.backend import Backend
from upwell.serving.body import body_of, read_json
from upwell.serving.desk import Desk, does
from upwell.serving.records import Closed, Common, Ids, Texts, understood
from upwell.serving.refusals import Refusal
from upwell.serving.writing import refusal_of, while_connected

MOST = 2048  # texts of one request


class EmbeddingRequest(Common):
    """The body of /v1/embeddings."""

    model: str | None = Field(None, description="an id of /v1/models; default: the first with embeddings")
    input: str | Texts | Ids | list[Ids] = Field(
        description="a text, a list of texts, a list of token ids, or a list of such lists"
    )
    encoding_format: Literal["float", "base64"] | None = Field(None, description="float or base64; default: float")
    dimensions: int | None = Field(None, ge=1, le=2**20)
    token_ids: Literal["native"] | None = Field(
        None, description="native: the ids in `input` are those of this model's own tokenizer"
    )

    def texts(self) -> list[str | list[int]]:
        """One entry a text."""
        if isinstance(self.input, str) or (self.input and isinstance(self.input[0], int)):
            return [self.input]
        return list(self.input)


class Document(Closed):
    """A text in an object."""

    text: str


class RerankRequest(Common):
    """The body of /v1/rerank."""

    model: str | None = Field(None, description="an id of /v1/models: embeddings, or labels of pairs of texts")
    query: str
    documents: list[str | Document] = Field(min_length=1, max_length=MOST)
    top_n: int | None = Field(None, ge=1, le=MOST)
    return_documents: bool | None = None


RECORDS = (EmbeddingRequest, RerankRequest)


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.post("/v1/embeddings", openapi_extra=body_of(EmbeddingRequest))
    async def embeddings(request: Request) -> Response:
        asked = understood(EmbeddingRequest, await read_json(request))
        name, backend = desk.find(asked.model, "embed")
        texts = asked.texts()
        check(asked, texts)
        vectors = await busy(request, desk, partial(backend.embed, texts))
        width = len(vectors[0])
        if asked.dimensions not in (None, width):
            raise Refusal(400, f"dimensions: this model's vectors have {width} numbers and cannot be shortened; found "
                               f"{asked.dimensions}.", "dimensions", "invalid_value")  # fmt: skip
        write = packed if asked.encoding_format == "base64" else list
        data = [{"object": "embedding", "index": number, "embedding": write(vector)}
                for number, vector in enumerate(vectors)]  # fmt: skip
        return JSONResponse({"object": "list", "data": data, "model": name, "usage": counted(backend, texts)})

    @service.post("/v1/rerank", openapi_extra=body_of(RerankRequest))
    async def rerank(request: Request) -> Response:
        asked = understood(RerankRequest, await read_json(request))
        name, backend = found(desk, asked.model)
        texts = [one if isinstance(one, str) else one.text for one in asked.documents]
        scores = await busy(request, desk, partial(relevance, backend, asked.query, texts))
        order = sorted(range(len(texts)), key=lambda index: -scores[index])[: asked.top_n]
        shown = [{"index": index, "relevance_score": scores[index]} |
                 ({} if asked.return_documents is False else {"document": {"text": texts[index]}})
                 for index in order]  # fmt: skip
        return JSONResponse({"id": f"rerank-{secrets.token_hex(12)}", "model": name, "results": shown,
                             "usage": counted(backend, [asked.query, *texts])})  # fmt: skip


def check(asked: EmbeddingRequest, texts: list) -> None:
    """What cannot be."""
    if not 1 <= len(texts) <= MOST:
        raise Refusal(400, f"input: {len(texts)} texts; give 1 to {MOST} in one request.", "input", "invalid_value")
    if any(not isinstance(text, str) for text in texts) and asked.token_ids != "native":
        raise Refusal(400, "input: found token ids, which another tokenizer may have made; send texts "
                           '(LangChain: check_embedding_ctx_length=False), or say "token_ids": "native".', "input",
                      "invalid_value")  # fmt: skip
    if [] in texts or "" in texts:
        raise Refusal(400, "input: an empty text; give at least one word.", "input", "invalid_value")


def found(desk: Desk, name: str | None) -> tuple[str, Backend]:
    """Who can say what fits: a model with embeddings, or one that labels pairs."""
    if name in desk.backends and does(desk.backends[name], "classify"):
        return name, desk.backends[name]
    return desk.find(name, "embed")


def relevance(backend: Backend, query: str, texts: list[str]) -> list[float]:
    """How well each text fits the question: a cosine, or what a model of pairs says (its number, or its last label)."""
    if not does(backend, "classify"):
        asked, *others = np.asarray(backend.embed([query, *texts]), dtype=np.float64)
        return [float(other @ asked / (np.linalg.norm(other) * np.linalg.norm(asked) or 1.0)) for other in others]
    labels = backend.config.head.labels
    return [1 / (1 + math.exp(-said["value"])) if "value" in said else said[labels[-1]]
            for said in backend.classify([(query, text) for text in texts])]  # fmt: skip


async def busy(request: Request, desk: Desk, work) -> list:
    """What `work` gives, done in a thread with a slot; dropped when the client leaves."""

    async def slotted():
        async with desk.slots.taken():
            return await asyncio.to_thread(work)

    try:
        return await while_connected(request, slotted())
    except Exception as error:
        raise refusal_of(error) from None


def packed(vector: list[float]) -> str:
    """A vector as base64 of little-endian float32, which the official clients ask for."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def counted(backend: Backend, texts: list) -> dict:
    """Tokens that were read."""
    if not hasattr(backend, "tokenizer"):
        return {"prompt_tokens": 0, "total_tokens": 0}
    count = sum(len(text) if not isinstance(text, str) else len(backend.tokenizer.encode(text)) for text in texts)
    return {"prompt_tokens": count, "total_tokens": count}
