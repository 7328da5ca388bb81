"""From files to an index: what is new, what has changed, and what is gone below the paths that are given.

    report = update(writer, paths, collection, ...)     files and folders, read by text.sources
    report = add(writer, documents, collection)         documents of a program

A file is known by its whole path and by the SHA-256 of its bytes: one that holds what it held is not parsed again. A
file that cannot be read keeps what the index has of it, and is told among the faults. Knows no table and no vector.
"""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from .. import __version__
from ..errors import DataError
from ..text import Document, Dropped, Fault, sources
from ..text.division import documents_of
from .writing import Writer, storable

ADDED = "+"  # stands before the name of a document that came from no file
Progress = Callable[[float, float, int], None]
"""Told how much of the files is read, how much there is (bytes), and how many passages were made."""
Step = Callable[[Document], Document | Dropped]


class Report(NamedTuple):
    """What became of the documents of one call."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    same: int = 0
    empty: int = 0
    """Left out, since there is no word in them."""
    passages: int = 0
    """How many were made."""
    faults: tuple[Fault, ...] = ()
    """What could not be read."""


def update(writer: Writer, paths: Sequence[str | Path], collection: str, prune: bool, reading: sources.Settings,
           step: Step | None, salt: str, progress: Progress) -> Report:  # fmt: skip
    """See Index.update. step, salt: what is done with each document, and a name for it."""
    units = _foreign(writer, collection, _units(writer, paths, collection, prune, reading))
    total, done = sum(unit.bytes for unit in units) or 1, 0
    tally, faults, seen = Counter(), [], set()
    for path, some in groupby(units, key=_path):
        some = list(some)
        if path not in seen:
            seen.add(path)
            hash_ = _hash(some, salt)
            if hash_ and hash_ == writer.hash_of(collection, path):
                tally["same"] += len(writer.of_file(collection, path))
            else:
                found = list(_store(writer, _documents(some, reading, step), collection, path, tally))
                faults += found
                writer.note(collection, path, None if found else hash_)
        done += sum(unit.bytes for unit in some)
        progress(done, total, writer.made)
    writer.step()  # before it is asked which files the documents come from
    for path in _gone(writer, paths, collection, seen) if prune else ():
        tally["removed"] += _drop(writer, collection, path)
    writer.step()
    progress(total, total, writer.made)
    return Report(*(tally[name] for name in Report._fields[:5]), writer.made, tuple(faults))


def add(writer: Writer, documents: Iterable[Document], collection: str) -> Report:
    """Documents that come from no file; one of the same source is replaced."""
    tally: Counter = Counter()
    for document in map(storable, documents):
        list(_store(writer, documents_of(document), collection, ADDED + document.source, tally))
    writer.step()
    return Report(*(tally[name] for name in Report._fields[:5]), writer.made)


def _store(writer: Writer, documents: Iterable[Document | Fault], collection: str, path: str,
           tally: Counter) -> Iterator[Fault]:  # fmt: skip
    """Put the documents of one file, drop what it no longer holds; gives what cannot be read."""
    before, taken, whole = writer.of_file(collection, path), set(), True
    for document in documents:
        if isinstance(document, Fault):
            whole = False
            yield document
            continue
        document = storable(document)
        name = _name(writer, collection, path, document.source, taken)
        done = writer.put(_renamed(document, name), collection, path)
        tally[done] += 1
        if done != "empty":
            taken.add(name)
    if whole:
        gone = [number for name, number in before.items() if name not in taken]
        tally["removed"] += len(gone)
        writer.drop(gone)


def _name(writer: Writer, collection: str, path: str, source: str, taken: set[str]) -> str:
    """The name of a document, with a number where another document has it: none is replaced by chance."""
    name, number = source, 1
    while name in taken or _is_anothers(writer, collection, path, name):
        number += 1
        name = f"{source}#{number}"
    return name


def _is_anothers(writer: Writer, collection: str, path: str, name: str) -> bool:
    """Whether a document of this name comes from another file that is still there."""
    known = writer.known(collection, name)
    return known is not None and known.file != path and os.path.exists(known.file)


def _renamed(document: Document, name: str) -> Document:
    return document if document.source == name else replace(document, source=name)


# ---- files ----


def _units(writer: Writer, paths: Sequence[str | Path], collection: str, prune: bool,
           reading: sources.Settings) -> list[sources.Unit]:  # fmt: skip
    """What there is to read; nothing of a folder that is empty now and was not before."""
    try:
        return sources.units(paths, reading)
    except DataError:
        if not prune:
            raise
    known = writer.files(collection)
    full = [path for path in paths if not (Path(path).is_dir() and not _files(path)
                                           and any(_below(one, path) for one in known))]  # fmt: skip
    return sources.units(full, reading) if full else []


def _foreign(writer: Writer, collection: str, units: list[sources.Unit]) -> list[sources.Unit]:
    """All but the index's own files, where its folder lies among the texts."""
    found = [unit for unit in units if not _below(_path(unit), writer.folder)]
    if units and not found and not writer.files(collection):
        raise DataError(f"found no texts but the index itself in {writer.folder}; name a folder of texts")
    return found


def _files(path: str | Path) -> bool:
    try:
        return bool(sources.list_files([path]))
    except DataError:
        return False


def _path(unit: sources.Unit) -> str:
    if unit.name == "standard input":
        return sources.STDIN
    return os.fsencode(os.path.abspath(unit.path)).decode("utf-8", "backslashreplace")


def _hash(units: list[sources.Unit], salt: str) -> bytes | None:
    """What a file holds and how it is read; None where it cannot be opened."""
    found = hashlib.sha256(f"{__version__} {salt}".encode())
    try:
        for path in filter(None, (units[0].path, units[0].partner)):
            with open(path, "rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return found.digest()


def _documents(units: list[sources.Unit], reading: sources.Settings, step: Step | None) -> Iterator[Document | Fault]:
    for unit in units:
        for found in sources.documents(unit, reading):
            made = step(found) if step is not None and isinstance(found, Document) else found
            if not isinstance(made, Dropped):
                yield made


def _gone(writer: Writer, paths: Sequence[str | Path], collection: str, seen: set[str]) -> list[str]:
    """Files of the index below these paths that are not there any more."""
    known = [file for file in writer.files(collection) if file not in seen and not file.startswith(ADDED)]
    return [file for file in known if any(_below(file, path) and (Path(path).is_dir() or not os.path.exists(file))
                                          for path in paths)]  # fmt: skip


def _below(file: str, path: str | Path) -> bool:
    """Whether a file lies in a folder, or in that of a pattern."""
    text = str(path)
    if glob.has_magic(text) and not os.path.lexists(text):
        text = text[: min(text.find(sign) for sign in "*?[" if sign in text)]
        text = os.path.dirname(text) or "."
    return file.startswith(os.path.join(os.path.abspath(text), ""))


def _drop(writer: Writer, collection: str, path: str) -> int:
    ids = writer.of_file(collection, path).values()
    writer.drop(ids)
    writer.note(collection, path, None)
    return len(ids)
