"""Files that clients send in a form, and files that are made for them: `uploaded(request, fields)`, `Files`.

A client's name of a file says its kind and nothing else: nothing is stored under it. A file that is made waits some
minutes in memory, under a key that nobody can guess. Knows no format.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from upwell.serving.body import LIMIT, LINGER, printable, read_bytes, too_large
from upwell.serving.refusals import Refusal

KEPT = 16  # files that wait to be fetched
MINUTES = 10


class Upload(NamedTuple):
    """A form with a file."""

    name: PurePosixPath
    """file.SUFFIX: of the client's name only the kind counts."""
    data: bytes
    fields: dict[str, str]
    """The form's other fields that are not empty."""


async def uploaded(request: Request, fields: frozenset[str]) -> Upload:
    """The one file of a form, and its other fields, which are some of these."""
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
    form = await form_of(request, data)
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Refusal(400, "file: there is none; send one as the field `file`.", "file", "invalid_value")
    said = {name: value for name, value in form.items() if isinstance(value, str) and value}
    if unknown := set(said) - fields:
        raise Refusal(400, f"{printable(min(unknown)[:80])}: not a field that is known here; there are file, "
                           f"{', '.join(sorted(fields))}.", code="unknown_parameter")  # fmt: skip
    return Upload(name_of(file.filename or ""), await file.read(), said)


async def form_of(request: Request, data: bytes) -> FormData:
    """The fields of a form."""

    async def once() -> AsyncIterator[bytes]:
        yield data

    try:
        return await MultiPartParser(request.headers, once(), max_files=1, max_fields=8, max_part_size=LIMIT).parse()
    except (MultiPartException, KeyError, ValueError, AttributeError) as error:
        said = printable(str(error)[:200])
        raise Refusal(400, f"The form cannot be read: {said}.", "file", "invalid_value") from None


def name_of(name: str) -> PurePosixPath:
    """A client's name of a file, of which only the kind is left."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix[:12]
    return PurePosixPath(f"file{printable(suffix)}")


class Files:
    """Files that were made, a few at a time, under keys that nobody can guess."""

    def __init__(self, folder: str):
        self.folder = folder
        """The first part of their paths."""
        self._kept: OrderedDict[str, tuple[float, str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, content: bytes, name: str) -> str:
        """The path under which it can be fetched."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[key] = (time.monotonic() + 60 * MINUTES, name, content)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return f"/{self.folder}/{key}/{name}"

    def find(self, key: str, name: str) -> bytes:
        """Its content; a 404 for one that is not, or no longer, there."""
        with self._lock:
            until, kept, content = self._kept.get(key, (0.0, "", b""))
        if until < time.monotonic() or kept != name:
            raise Refusal(404, f"There is no such file, or no longer: they are kept for {MINUTES} minutes.",
                          code="not_found")  # fmt: skip
        return content
