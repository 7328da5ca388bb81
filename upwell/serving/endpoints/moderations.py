"""POST /v1/moderations: which of OpenAI's categories a text falls into, by a classifier of one's own.

A category that the classifier was not trained for is false, 0, and named in `unsupported_categories`: nothing is
guessed. Without a classifier the answer is a 404 that says how to get one.
"""

import secrets
from functools import partial
from typing import Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from upwell.serving.body import body_of, read_json
from upwell.serving.desk import Desk, does
from upwell.serving.endpoints.embeddings import busy
from upwell.serving.records import Closed, Common, understood
from upwell.serving.refusals import Refusal

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
FROM = 0.5  # the probability from which on a category counts
MOST = 1024
HOW = (
    "No model here is a classifier of OpenAI's categories: fine-tune an encoder with labels such as harassment, "
    "hate or violence (`upwell finetune ENCODER DATA --objective label`) and serve its folder beside the others."
)


class Text(Closed):
    """A text in an object."""

    type: Literal["text"]
    text: str


class ModerationRequest(Common):
    """The body of /v1/moderations."""

    model: str | None = Field(None, description="an id of /v1/models; default: the first that knows such categories")
    input: str | list[str | Text] = Field(description="a text, or a list of texts or of {type: text, text} parts")


RECORDS = (ModerationRequest,)


def add(service: FastAPI, desk: Desk) -> None:
    """The route."""

    @service.post("/v1/moderations", openapi_extra=body_of(ModerationRequest))
    async def moderations(request: Request) -> Response:
        asked = understood(ModerationRequest, await read_json(request))
        name, backend = moderator(desk, asked.model)
        texts = [asked.input] if isinstance(asked.input, str) else [
            one if isinstance(one, str) else one.text for one in asked.input]  # fmt: skip
        if not 1 <= len(texts) <= MOST:
            raise Refusal(400, f"input: {len(texts)} texts; give 1 to {MOST} in one request.", "input", "invalid_value")
        said = await busy(request, desk, partial(backend.classify, texts))
        return JSONResponse({"id": f"modr-{secrets.token_hex(12)}", "model": name,
                             "results": [result(one) for one in said]})  # fmt: skip


def moderator(desk: Desk, name: str | None):
    """The classifier: the one of that name, else the first that knows one of the categories."""
    able = {one: backend for one, backend in desk.backends.items()
            if does(backend, "classify") and set(backend.config.head.labels) & set(CATEGORIES)}  # fmt: skip
    # Clients that name no model send OpenAI's own name for theirs.
    wanted = next(iter(able), None) if name is None or name.startswith(("omni-moderation", "text-moderation")) else name
    if wanted not in able:
        raise Refusal(404, HOW, "model", "model_not_found")
    return wanted, able[wanted]


def result(said: dict[str, float]) -> dict:
    """One text's categories."""
    scores = {category: said.get(category, 0.0) for category in CATEGORIES}
    found = {category: score >= FROM for category, score in scores.items()}
    known = [category for category in CATEGORIES if category in said]
    return {"flagged": any(found.values()), "categories": found, "category_scores": scores,
            "category_applied_input_types": {category: ["text"] * (category in known) for category in CATEGORIES},
            "unsupported_categories": [category for category in CATEGORIES if category not in known]}  # fmt: skip
