"""POST /translate, /translate/typed, /translate_file and /detect, GET /languages: LibreTranslate's language.

A model translates here that says which languages it knows: one that upwell trained on pairs, or a T5 whose config names
its tasks. /translate/typed is for a text that is still being typed; what it sends back as `state` comes along with the
next keystroke. A translated file is kept for some minutes under a name that nobody can guess.
"""

import asyncio
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from starlette.formparsers import MultiPartException, MultiPartParser

from upwell.errors import SettingsError
from upwell.serving.body import LIMIT, LINGER, STREAMS, body_of, parse, printable, read_bytes, read_json, too_large
from upwell.serving.desk import Desk
from upwell.serving.endpoints.embeddings import busy
from upwell.serving.records import Closed, Common, Texts, understood
from upwell.serving.refusals import Refusal
from upwell.serving.writing import EventStream
from upwell.translation import asking, documents, sentences
from upwell.translation.formats import html
from upwell.translation.glossary import Glossary, Term
from upwell.translation.translator import Settings, Translator
from upwell.translation.typing import Typist

LONGEST = 100_000  # characters of one text
MOST = 256  # texts of one request
KEPT = 16  # translated files that wait to be fetched
MINUTES = 10
BEAMS = 4
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
    shown: Words = ""
    finished: Annotated[list[Annotated[list[Words], Field(min_length=2, max_length=2)]], Field(max_length=1000)] = []


class TypedRequest(Common):
    """The body of /translate/typed."""

    q: Words
    source: Language
    target: Language | None = None
    model: str | None = None
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
    files = Files()

    @service.post("/translate", openapi_extra=body_of(TranslateRequest))
    async def translate(request: Request) -> Response:
        asked = understood(TranslateRequest, await read_json(request))
        texts = [asked.q] if isinstance(asked.q, str) else asked.q
        source, guess = told(asked.source, "\n".join(texts))
        translator, target = chosen(
            desk, asked.model, source, asked.target, (asked.alternatives or 0) + 1, asked.glossary
        )
        work = partial(in_html if asked.format == "html" else in_text, translator, texts, source, target)
        made = await busy(request, desk, work)
        single = isinstance(asked.q, str)
        answer = {"translatedText": made[0][0] if single else [text for text, *_ in made],
                  "confidence": made[0][2] if single else [sure for *_, sure in made]}  # fmt: skip
        if guess is not None:
            answer["detectedLanguage"] = guess if single else [guess] * len(texts)
        if asked.alternatives:
            others = [list(best[1 : asked.alternatives + 1]) for _, best, _ in made]
            answer["alternatives"] = others[0] if single else others
        return JSONResponse(answer)

    @service.post("/translate/typed", openapi_extra=body_of(TypedRequest), responses=STREAMS)
    async def typed(request: Request) -> Response:
        asked = understood(TypedRequest, await read_json(request))
        translator, target = chosen(desk, asked.model, asked.source, asked.target, 1)
        typist = Typist(translator, asked.source, target)
        if asked.state is not None:
            said = asked.state
            typist.begun, typist.last, typist.kept, typist.shown = said.begun, said.last, said.kept, said.shown
            typist.finished = dict(map(tuple, said.finished))
        pieces = typist.pieces(asked.q)
        first = await busy(request, desk, lambda: next(pieces))
        return EventStream(lines(desk, typist, pieces, first))

    @service.post("/translate_file", openapi_extra=FILE)
    async def translate_file(request: Request) -> Response:
        name, data, fields = await uploaded(request)
        whole = await busy(request, desk, lambda: documents.opened(data, name_of(name)))
        sample = "\n".join(segment.text for segment in whole.segments[:100])
        source, _ = told(fields.get("source") or "auto", sample)
        translator, target = chosen(
            desk, fields.get("model"), source, fields.get("target"), 1, terms_of(fields.get("glossary"))
        )
        work = partial(documents.translate_bytes, translator, data, name_of(name).name, source, target)
        made, report = await busy(request, desk, work)
        path = files.keep(made, f"translation.{target}{name_of(name).suffix.lower()}")
        return JSONResponse({"translatedFileUrl": str(request.base_url).rstrip("/") + path, "path": path,
                             "segments": report.segments, "low": len(report.low), "how": report.how})  # fmt: skip

    @service.get("/translations/{key}/{name}", include_in_schema=False)
    async def fetched(key: str, name: str) -> Response:
        content = files.find(key, name)
        return Response(content, media_type="application/octet-stream", headers={
            "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})  # fmt: skip

    @service.post("/detect", openapi_extra=body_of(DetectRequest))
    async def detect(request: Request) -> Response:
        asked = understood(DetectRequest, await read_json(request))
        texts = [asked.q] if isinstance(asked.q, str) else asked.q
        guesses = await asyncio.to_thread(lambda: [sentences.guessed(text) for text in texts[:MOST]])
        return JSONResponse([{"language": one.language, "confidence": round(100 * one.probability, 1)}
                             for one in guesses])  # fmt: skip

    @service.get("/languages")
    async def languages() -> list[dict]:
        known = {pair for _, way in able(desk) for pair in way.pairs}
        return [{"code": code, "name": asking.NAMES.get(code, code),
                 "targets": sorted({target for source, target in known if source == code})}
                for code in sorted({source for source, _ in known})]  # fmt: skip


# ---- who translates ----


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
        whole = html.read(text.encode(), "q")
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
    state = {"begun": typist.begun, "last": typist.last, "kept": typist.kept, "shown": typist.shown,
             "finished": [list(one) for one in typist.finished.items()][-1000:]}  # fmt: skip
    yield f"data: {json.dumps({'translatedText': text, 'done': True, 'state': state}, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


# ---- files ----


async def uploaded(request: Request) -> tuple[str, bytes, dict[str, str]]:
    """Name and content of the one file of a form, and its other fields."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise Refusal(415, "Content-Type is no form; send multipart/form-data with a field `file`.",
                      code="unsupported_media_type")  # fmt: skip
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > LINGER:
        raise too_large()
    data = await read_bytes(request)
    if data is None:
        raise too_large()

    async def once() -> AsyncIterator[bytes]:
        yield data

    try:
        form = await MultiPartParser(request.headers, once(), max_files=1, max_fields=8, max_part_size=LIMIT).parse()
    except (MultiPartException, KeyError, ValueError, AttributeError) as error:
        raise Refusal(
            400, f"The form cannot be read: {printable(str(error)[:200])}.", "file", "invalid_value"
        ) from None
    file = form.get("file")
    if file is None or isinstance(file, str):
        raise Refusal(400, "file: there is none; send one as the field `file`.", "file", "invalid_value")
    fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
    unknown = set(fields) - {"source", "target", "model", "glossary", "api_key", "format"}
    if unknown:
        raise Refusal(400, f"{printable(sorted(unknown)[0][:80])}: not a field that is known here; there are file, "
                           "source, target, model and glossary.", code="unknown_parameter")  # fmt: skip
    return file.filename or "", await file.read(), fields


def terms_of(field: str | None) -> dict[str, str] | None:
    """The terms of a form's field, an object as JSON."""
    if not field:
        return None
    try:
        return TypeAdapter(Terms).validate_python(parse(field.encode()))
    except ValidationError:
        raise Refusal(400, "glossary: expected an object of up to 1,000 terms and what they must become, as JSON.",
                      "glossary", "invalid_value") from None  # fmt: skip


def name_of(name: str):
    """A client's file name, of which only the kind counts: nothing is stored under it."""
    from pathlib import PurePosixPath

    suffix = PurePosixPath(name.replace("\\", "/")).suffix[:12]
    return PurePosixPath(f"file{printable(suffix)}")


class Files:
    """Translated files, a few at a time, under keys that nobody can guess."""

    def __init__(self):
        self._kept: OrderedDict[str, tuple[float, str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, content: bytes, name: str) -> str:
        """The path under which it can be fetched."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[key] = (time.monotonic() + 60 * MINUTES, name, content)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return f"/translations/{key}/{name}"

    def find(self, key: str, name: str) -> bytes:
        """Its content; a 404 for one that is not, or no longer, there."""
        with self._lock:
            until, kept, content = self._kept.get(key, (0.0, "", b""))
        if until < time.monotonic() or kept != name:
            raise Refusal(404, f"There is no such translation, or no longer: they are kept for {MINUTES} minutes.",
                          code="not_found")  # fmt: skip
        return content
