"""Bytes of a request -> JSON without surprises.

`json` alone takes what no honest client sends: duplicate keys (the last one silently wins), NaN, numbers
that overflow to infinity, half of a surrogate pair, nesting without end. Here each is a 400 that says so.
Knows nothing of fields.
"""

import asyncio
import json
import math
import re

from fastapi import Request

from upwell.serving.refusals import Refusal

LIMIT = 8 * 1024 * 1024     # bytes; a prompt of two million words is never a prompt
LINGER = 4 * LIMIT          # what is read at most, to be thrown away
PATIENCE = 30.0             # seconds for a whole body, so that a trickle can't hold a connection
DEPTH = 64                  # brackets within brackets; OpenAI's own deepest field needs about ten
MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)    # a string as a whole, or one bracket; linear


async def read_json(request: Request) -> dict:
    """The JSON object in the body of `request`; raises a Refusal (400, 408, 413, 415) for anything else."""
    check_headers(request)
    try:
        async with asyncio.timeout(PATIENCE):
            data = await read_bytes(request)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {PATIENCE:.0f} seconds.") from None
    if data is None:
        raise too_large()
    return await asyncio.to_thread(parse, data) if len(data) > 65536 else parse(data)


STREAMS = {200: {"content": {"text/event-stream": {"schema": {}}}}}   # besides JSON


def body_of(kind: type) -> dict:
    """The OpenAPI words for a route whose body is a `kind`, which we read ourselves."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def check_headers(request: Request) -> None:
    """JSON, not compressed (a compressed bomb is small on the wire), and not too long by its own word."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        found = f"'{kind[:80]}'" if kind else "none"
        raise Refusal(415, f"Content-Type is {found}; send application/json.", code="unsupported_media_type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "A compressed body is not read; send it plain.", code="unsupported_encoding")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > LINGER:
        raise too_large()


async def read_bytes(request: Request) -> bytes | None:
    """All of the body, or None where it is larger than the limit.

    Of a body that is too large some more is read and thrown away: a connection that is closed while its client still
    sends is reset, and the client may never see why.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LINGER:
            break
        if size <= LIMIT:
            parts.append(part)
    return b"".join(parts) if size <= LIMIT else None


def too_large() -> Refusal:
    """413; the connection closes, since the rest of the body is not read."""
    return Refusal(413, f"The body is larger than {LIMIT} bytes.", code="request_too_large",
                   headers={"Connection": "close"})


def parse(data: bytes) -> dict:
    """Strict JSON: one object, each key once, finite numbers, whole characters, bounded depth."""
    try:
        text = data.decode("utf-8")
        check_depth(text)
        value = json.loads(text, object_pairs_hook=each_key_once, parse_constant=no_constant,
                           parse_float=finite)
        if b"\\ud" in data.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except Refusal:
        raise
    except UnicodeDecodeError:
        raise refused("it is not UTF-8") from None
    except UnicodeEncodeError:
        raise refused("it holds half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise refused(str(error)[:200]) from None
    if not isinstance(value, dict):
        raise refused(f"expected an object, found {type(value).__name__}")
    return value


def check_depth(text: str) -> None:
    """Count brackets outside of strings, in one pass, so that no parser of any Python version recurses."""
    depth = 0
    for sign in MARKS.findall(text):
        depth += 1 if sign in "[{" else -1 if sign in "]}" else 0
        if depth > DEPTH:
            raise refused(f"more than {DEPTH} levels of brackets")


def each_key_once(pairs: list[tuple]) -> dict:
    """An object; a key that stands twice has no clear meaning."""
    result = {}
    for key, value in pairs:
        if key in result:
            raise refused(f"the key '{key[:80]}' stands twice in one object")
        result[key] = value
    return result


def no_constant(name: str) -> float:
    """NaN and Infinity are not JSON."""
    raise refused(f"{name} is not a number in JSON")


def finite(text: str) -> float:
    """1e999 would quietly become infinity."""
    value = float(text)
    if not math.isfinite(value):
        raise refused(f"the number {text[:40]} is too large")
    return value


def refused(reason: str) -> Refusal:
    """400 for the whole body."""
    return Refusal(400, f"The body is not usable JSON: {printable(reason)}.", code="invalid_json")


def printable(text: str) -> str:
    """What a client sent, safe to send back: half surrogates can't be encoded."""
    return text.encode("utf-8", "replace").decode("utf-8")
