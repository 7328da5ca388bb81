"""POST /translate, /translate/typed, /translate_file and /detect, GET /languages: LibreTranslate's language.

A model translates here that says which languages it knows: one that upwell trained on pairs, or a T5 whose config names
its tasks. /translate/typed is for a text that is still being typed; what it sends back as `state` comes along with the
next keystroke.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from upwell.errors import SettingsError
from upwell.serving.body import STREAMS, body_of, parse, printable, read_json
from upwell.serving.desk import Desk
from upwell.serving.endpoints.embeddings import busy
from upwell.serving.records import Closed, Common, Texts, understood
from upwell.serving.refusals import Refusal
from upwell.serving.uploads import Files, uploaded
from upwell.serving.writing import EventStream
from upwell.translation import asking, documents, sentences
from upwell.translation.glossary import Glossary, Term
from upwell.translation.translator import Settings, Translator
from upwell.translation.typing import State, Typist

LONGEST = 100_000  # characters of one text
MOST = 256  # texts of one request
BEAMS = 4
FIELDS = frozenset({"source", "target", "model", "glossary", "api_key", "format"})  # of a form with a file
Language = Annotated[
    str, StringConstraints(min_length=2, max_length=20, pattern=r"^(?:auto|[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*)$")
]
Words = Annotated[str, StringConstraints(max_length=LONGEST)]
Terms = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=200)],
        Annotated[str, StringConstraints(min_length=1, max_length=200)],
    ],
    Field(max_length=1000),
]


class TranslateRequest(Common):
    """The body of /translate."""

    q: Words | Annotated[list[Words], Field(min_length=1, max_length=MOST, fail_fast=True)]
    source: Language = Field("auto", description="the language of the text, or auto")
    target: Language | None = Field(None, description="default: the one that the model knows")
    format: Literal["text", "html"] | None = Field(None, description="html: tags keep their places; default: text")
    alternatives: int | None = Field(None, ge=0, le=BEAMS - 1, description="further translations of each text")
    glossary: Terms | None = Field(None, description="an object of terms and what they must become")
    model: str | None = Field(None, description="an id of /v1/models; default: the first that knows the languages")
    api_key: str | None = Field(None, description="not read: send the key as Authorization: Bearer")


class Typed(Closed):
    """What /translate/typed gave as `state`."""

    begun: Words = ""
    last: Words = ""
    kept: Words = ""
    told: Words = ""
    shown: Words = ""
    finished: Annotated[list[Annotated[list[Words], Field(min_length=2, max_length=2)]], Field(max_length=1000)] = []


class TypedRequest(Common):
    """The body of /translate/typed."""

    q: Words
    source: Language
    target: Language | None = None
    model: str | None = None
    paused: bool = Field(False, description="nothing was typed for a while: the open sentence as a whole")
    state: Typed | None = None


class DetectRequest(Common):
    """The body of /detect."""

    q: Words | Texts
    api_key: str | None = None


RECORDS = (TranslateRequest, TypedRequest, DetectRequest)
FILE = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "required": ["file"], "properties": {
        "file": {"type": "string", "format": "binary"}, "source": {"type": "string"}, "target": {"type": "string"},
        "model": {"type": "string"}, "glossary": {"type": "string"}}}}}}}  # fmt: skip


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""
    files = Files("translations")

    @service.post("/translate", openapi_extra=body_of(TranslateRequest))
    async def translate(request: Request) -> Response:
        return await of_texts(request, desk)

    @service.post("/translate/typed", openapi_extra=body_of(TypedRequest), responses=STREAMS)
    async def typed(request: Request) -> Response:
        return await of_typed(request, desk)

    @service.post("/translate_file", openapi_extra=FILE)
    async def translate_file(request: Request) -> Response:
        return await of_file(request, desk, files)

    @service.get("/translations/{key}/{name}", include_in_schema=False)
    async def fetched(key: str, name: str) -> Response:
        return Response(files.find(key, name), media_type="application/octet-stream", headers={
            "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})  # fmt: skip

    @service.post("/detect", openapi_extra=body_of(DetectRequest))
    async def detect(request: Request) -> Response:
        return await detected(request)

    @service.get("/languages")
    async def languages() -> list[dict]:
        return known(desk)


async def of_texts(request: Request, desk: Desk) -> Response:
    """POST /translate."""
    asked = understood(TranslateRequest, await read_json(request))
    single = isinstance(asked.q, str)
    texts = [asked.q] if single else asked.q
    source, guess = told(asked.source, "\n".join(texts))
    best = (asked.alternatives or 0) + 1
    translator, target = chosen(desk, asked.model, source, asked.target, best, asked.glossary)
    work = partial(in_html if asked.format == "html" else in_text, translator, texts, source, target)
    made = await busy(request, desk, work)
    columns = {"translatedText": [text for text, *_ in made], "confidence": [sure for *_, sure in made]}
    if guess is not None:
        columns["detectedLanguage"] = [guess] * len(texts)
    if asked.alternatives:
        columns["alternatives"] = [list(ways[1:best]) for _, ways, _ in made]
    return JSONResponse({name: column[0] if single else column for name, column in columns.items()})


async def of_typed(request: Request, desk: Desk) -> Response:
    """POST /translate/typed."""
    asked = understood(TypedRequest, await read_json(request))
    translator, target = chosen(desk, asked.model, asked.source, asked.target, 1)
    said = asked.state or Typed()
    state = State(dict(map(tuple, said.finished)), said.begun, said.last, said.kept, said.told, said.shown)
    typist = Typist(translator, asked.source, target, state=state)
    pieces = typist.pieces(asked.q, asked.paused)
    first = await busy(request, desk, lambda: next(pieces))
    return EventStream(lines(desk, typist, pieces, first))


async def of_file(request: Request, desk: Desk, files: Files) -> Response:
    """POST /translate_file."""
    name, data, fields = await uploaded(request, FIELDS)
    whole = await busy(request, desk, lambda: documents.opened(data, name))
    source, _ = told(fields.get("source") or "auto", "\n".join(segment.text for segment in whole.segments[:100]))
    terms = terms_of(fields.get("glossary"))
    translator, target = chosen(desk, fields.get("model"), source, fields.get("target"), 1, terms)
    work = partial(documents.translate_bytes, translator, data, name.name, source, target)
    made, report = await busy(request, desk, work)
    path = files.keep(made, f"translation.{target}{name.suffix.lower()}")
    return JSONResponse({"translatedFileUrl": str(request.base_url).rstrip("/") + path, "path": path,
                         "segments": report.segments, "low": len(report.low), "how": report.how})  # fmt: skip


async def detected(request: Request) -> Response:
    """POST /detect."""
    asked = understood(DetectRequest, await read_json(request))
    texts = [asked.q] if isinstance(asked.q, str) else asked.q
    guesses = await asyncio.to_thread(lambda: [sentences.guessed(text) for text in texts[:MOST]])
    return JSONResponse([{"language": one.language, "confidence": round(100 * one.probability, 1)}
                         for one in guesses])  # fmt: skip


# ---- who translates ----


def known(desk: Desk) -> list[dict]:
    """GET /languages."""
    pairs = {pair for _, way in able(desk) for pair in way.pairs}
    return [{"code": code, "name": asking.NAMES.get(code, code),
             "targets": sorted({target for source, target in pairs if source == code})}
            for code in sorted({source for source, _ in pairs})]  # fmt: skip


def able(desk: Desk) -> list[tuple[str, asking.Asking]]:
    """The models that say which languages they know."""
    found = []
    for name in desk.backends:
        way = desk.asking(name)
        if way is not None and way.pairs:
            found.append((name, way))
    return found


def chosen(desk: Desk, model: str | None, source: str, target: str | None, best: int,
           terms: dict[str, str] | None = None) -> tuple[Translator, str]:  # fmt: skip
    """The model for these languages, and the language to translate into; a 400 or 404 that says what there is."""
    there = able(desk)
    if model is not None:
        name, _ = desk.find(model)
        there = [one for one in there if one[0] == name]
    if not there:
        raise Refusal(404, "No model here translates; serve one that was trained on pairs (upwell recipe "
                           "translate-en-zh).", "model", "model_not_found")  # fmt: skip
    fault: SettingsError | None = None
    for name, way in there:
        try:
            wanted = target or way.target(source)
            way.check(source, wanted)
            glossary = Glossary(tuple(Term(*term) for term in (terms or {}).items()))
            return Translator(desk.backends[name], way, Settings(BEAMS, best, glossary=glossary)), wanted
        except SettingsError as error:
            fault = fault or error
    raise Refusal(400, printable(str(fault)).replace("--to", "target"), "target", "invalid_value")


def told(source: str, text: str) -> tuple[str, dict | None]:
    """The language of a text, and where it was guessed what /translate says of that."""
    if source != "auto":
        return source, None
    guess = sentences.guessed(text[:20_000])
    if not guess.language:
        raise Refusal(400, "source: the text has no words by which its language can be told; name it.", "source",
                      "invalid_value")  # fmt: skip
    return guess.language, {"language": guess.language, "confidence": round(100 * guess.probability, 1)}


# ---- the work, in a thread ----


def in_text(translator: Translator, texts: list[str], source: str, target: str) -> list[tuple]:
    """(translation, the best ones, confidence) of each text, whose lines stay lines."""
    found = []
    for text in texts:
        rows = text.split("\n")
        made = translator.texts(rows, source, target)
        best = made[0].best if len(made) == 1 else ()
        found.append(("\n".join(one.text for one in made), best, min(one.confidence for one in made)))
    return found


def in_html(translator: Translator, texts: list[str], source: str, target: str) -> list[tuple]:
    """The same of pieces of HTML."""
    found = []
    for text in texts:
        whole = documents.opened(text.encode(), PurePosixPath("q.html"))
        made = translator.segments(whole.segments, source, target)
        written = whole.write([parts for parts, _ in made]).decode()
        found.append((written, (), min((one.confidence for _, one in made), default=1.0)))
    return found


async def lines(desk: Desk, typist: Typist, pieces, first: str) -> AsyncIterator[str]:
    """An event for each sentence that is ready, the last one with the state."""
    text, done = first, False
    while not done:
        yield f"data: {json.dumps({'translatedText': text, 'done': False}, ensure_ascii=False)}\n\n"
        async with desk.slots.taken():
            following = await asyncio.to_thread(next, pieces, None)
        done, text = following is None, following or text
    state = asdict(typist.state) | {"finished": [list(one) for one in typist.state.finished.items()][-1000:]}
    yield f"data: {json.dumps({'translatedText': text, 'done': True, 'state': state}, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


def terms_of(field: str | None) -> dict[str, str] | None:
    """The terms of a form's field, an object as JSON."""
    if not field:
        return None
    try:
        return TypeAdapter(Terms).validate_python(parse(field.encode()))
    except ValidationError:
        raise Refusal(400, "glossary: expected an object of up to 1,000 terms and what they must become, as JSON.",
                      "glossary", "invalid_value") from None  # fmt: skip
