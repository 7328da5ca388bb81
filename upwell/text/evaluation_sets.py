"""What evaluation sets say: `files(paths)`, and for each `texts(path)`, every string in it with its place.

Read are JSON lines, JSON, CSV and TSV (their cells), Parquet and Arrow, each also compressed or in an archive, and
anything else as text, paragraph by paragraph, in any encoding. Their records need no layout: nothing is learnt of them.
"""

import csv
import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from upwell.errors import DataError
from upwell.text import confined, packed, sources
from upwell.text.encodings import Unreadable, whole

LINES, TABLES, ROWS = (".jsonl", ".ndjson"), (".csv", ".tsv"), (".parquet", ".pq", ".arrow", ".feather")
SUFFIXES = (*LINES, ".json", *TABLES, *ROWS, ".txt", ".md", *packed.ARCHIVES)


def files(paths: Iterable[str | Path]) -> list[Path]:
    """The files, and of folders those that may be evaluation sets. Raises DataError for what is not there."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _suffix(packed.bare(file.name)) in SUFFIXES)
            if not inside:
                raise DataError(f"{path} holds no evaluation set; expected files named {', '.join(SUFFIXES)}.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"The evaluation set {path} is not there; name a file or a folder.")
    return found


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """(place as file:line, text) of all that a set holds. Raises DataError for one that cannot be read."""
    settings = sources.Settings()
    try:
        with open(path, "rb") as file:
            yield from _contents(file, str(path), path.name, _limits(settings), settings)
    except (Unreadable, *packed.BROKEN, RecursionError, csv.Error) as error:
        raise DataError(f"The evaluation set {path} cannot be read ({packed.told(error)}); mend or replace it."
                        ) from None  # fmt: skip


def _limits(settings: sources.Settings) -> packed.Limits:
    return packed.Limits(settings.unpacked, settings.ratio)


def _contents(file: BinaryIO, place: str, name: str, limits: packed.Limits, settings: sources.Settings
              ) -> Iterator[tuple[str, str]]:  # fmt: skip
    stem, suffix = posixpath.splitext(name)
    suffix = packed.SHORT_NAMES.get(suffix.lower(), suffix.lower())
    if suffix.startswith(".tar."):
        stem, suffix = f"{stem}.tar", suffix.removeprefix(".tar")
    if suffix in packed.COMPRESSED:
        yield from _contents(packed.unpacked(file, suffix, limits), place, stem, limits, settings)
    elif suffix in packed.ARCHIVES:
        file = packed.seekable(file, settings.longest * 10) if suffix == ".zip" else file
        for inner, stream in packed.members(file, suffix, limits, 0, 0):
            if isinstance(stream, str):
                raise Unreadable(f"{inner}: {stream}")
            yield from _contents(stream, f"{place}/{inner}", posixpath.basename(inner), limits, settings)
    elif suffix in ROWS:
        yield from _rows(file, place, settings)
    else:
        yield from _written(whole(file, "", settings.longest)[0], place, suffix)


def _rows(file: BinaryIO, place: str, settings) -> Iterator[tuple[str, str]]:
    from upwell.text.readers.parquet import on_disk

    with on_disk(file) as path:
        options = {"path": path, "groups": [0, 0], "longest": settings.longest}
        for found in confined.parse("parquet", place, b"", settings, options):
            for number, record in enumerate(found["rows"], start=found["first"]):
                yield from ((f"{place}:{number}", text) for text in _strings(record))


def _written(content: str, place: str, suffix: str) -> Iterator[tuple[str, str]]:
    if suffix in LINES:
        for number, line in enumerate(content.split("\n"), start=1):
            if line.strip():
                yield from ((f"{place}:{number}", text) for text in _strings(json.loads(line)))
    elif suffix == ".json":
        yield from ((place, text) for text in _strings(json.loads(content)))
    elif suffix in TABLES:
        csv.field_size_limit(max(csv.field_size_limit(), len(content)))  # one number for the whole process
        rows = csv.reader(content.splitlines(keepends=True), delimiter="\t" if suffix == ".tsv" else ",")
        yield from ((f"{place}:{rows.line_num}", text) for row in rows for text in row)
    else:
        yield from _paragraphs(content, place)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _paragraphs(content: str, place: str) -> Iterator[tuple[str, str]]:
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", content):
        if paragraph.strip():
            yield f"{place}:{line}", paragraph
        line += paragraph.count("\n")


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()
