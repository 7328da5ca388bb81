"""The one who writes an index: documents are put and dropped, and go into the files in steps, each whole or not at all.

    writer = Writer(folder, base, encoder)
    writer.begin()                                  what a killed run left is taken away; passages get missing vectors
    writer.put(document, collection, file)          -> added, changed, same, or empty: it holds no word
    writer.drop(ids) · writer.note(collection, path, hash)
    writer.end()                                    the last step, and what was dropped can no longer be read in a file

A step writes its vectors behind those that count, puts them on the disk, and then commits everything else together
with the new count. What was put since the last step is lost to a kill, and nothing else. A passage whose words have a
vector already takes it from there. Knows no path of a text and no question.
"""

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..generation.backend import Backend
from ..text import Document
from . import encoder as encoders
from . import vectors as files
from .passages import Piece, cut
from .tables import plainly, transaction
from .words import words

STEP = 256  # passages
HEAD = 200  # characters of title and headings that stand above each passage for those who search it
LEAST_ROOM = 128  # tokens that an encoder reads, below which they do not stand there: they would leave no room
LONE = re.compile("[\ud800-\udfff]")
Said = Callable[[str], None]


class Known(NamedTuple):
    """A document that is there."""

    id: int
    hash: bytes
    file: str


class New(NamedTuple):
    """A document that is on its way in."""

    document: Document
    collection: str
    file: str
    hash: bytes
    pieces: list[Piece]


def searched(title: str, heading: str, text: str, most: int = HEAD) -> str:
    """The text by which a passage is found: title and headings, each once and `most` characters of them, above it."""
    above = " > ".join(dict.fromkeys(part for part in (title, *heading.split(" > ")) if part))[:most]
    return f"{above}\n{text}" if above else text


class Writer:
    """See above. One at a time: whoever makes it holds the lock of the folder."""

    def __init__(self, folder: Path, base: sqlite3.Connection, encoder: Backend | None = None):
        self.folder, self.base, self.encoder = folder, base, encoder
        self._fits, room = encoders.fitting(encoder)
        self._most = HEAD if room is None or room >= LEAST_ROOM else 0
        self.made = 0
        self._clear()

    def _clear(self) -> None:
        self._new: list[New] = []
        self._gone: list[int] = []
        self._moved: list[tuple[str, int]] = []
        self._files: list[tuple[str, str, bytes | None]] = []

    # ---- what is asked of the tables ----

    def about(self, key: str):
        """A fact of the index; None where it is not known."""
        row = self._one("select value from about where key = ?", (key,))
        return row and row[0]

    def _one(self, query: str, values: tuple = ()):
        with plainly(self.folder):
            return self.base.execute(query, values).fetchone()

    def _all(self, query: str, values: tuple = ()) -> list[tuple]:
        with plainly(self.folder):
            return self.base.execute(query, values).fetchall()

    def known(self, collection: str, source: str) -> Known | None:
        """The document of this name."""
        row = self._one("select id, hash, file from document where collection = ? and source = ?",
                        (collection, source))  # fmt: skip
        return row and Known(*row)

    def of_file(self, collection: str, file: str) -> dict[str, int]:
        """The documents of a file: name -> id."""
        return dict(self._all("select source, id from document where collection = ? and file = ?", (collection, file)))

    def files(self, collection: str) -> list[str]:
        """All files that documents come from."""
        return [file for (file,) in self._all("select distinct file from document where collection = ?",
                                              (collection,))]  # fmt: skip

    def hash_of(self, collection: str, path: str) -> bytes | None:
        """What a file held when it was read."""
        row = self._one("select hash from file where collection = ? and path = ?", (collection, path))
        return row and row[0]

    # ---- what is to be done ----

    def put(self, document: Document, collection: str, file: str) -> str:
        """A document that shall be there, in place of one of the same name: "added", "changed", "same" or "empty".

        It must be `storable`.
        """
        if any(one.document.source == document.source and one.collection == collection for one in self._new):
            self.step()
        own, known = _hash(document), self.known(collection, document.source)
        if known and known.hash == own:
            self._moved += [(file, known.id)] if known.file != file else []
            return "same"
        pieces = self._cut(document) if words(document.text) else []
        if not pieces:
            return "empty"
        self._gone += [known.id] if known else []
        self._new.append(New(document, collection, file, own, pieces))
        if sum(len(one.pieces) for one in self._new) >= STEP:
            self.step()
        return "changed" if known else "added"

    def drop(self, ids: Iterable[int]) -> None:
        """Documents that shall go."""
        self._gone += ids

    def forget(self, collection: str, ids: Collection[int]) -> None:
        """Documents that shall go, though their files may be there: these are read again when they are met again."""
        for number in ids:
            file = self._one("select file from document where id = ?", (number,))
            self.note(collection, file[0], None)
        self.drop(ids)

    def note(self, collection: str, path: str, hash: bytes | None) -> None:
        """What a file holds that was read; None: it is gone, or must be read again."""
        self._files.append((collection, path, hash))

    def _cut(self, document: Document) -> list[Piece]:
        fits, title = self._fits, document.title
        whole = None if fits is None else lambda heading, text: fits(self._read(title, heading, text))
        return cut(document.text, document.kind, document.pages, whole)

    def _read(self, title: str, heading: str, text: str) -> str:
        """What the encoder reads of a passage."""
        return searched(title, heading, text, self._most)

    # ---- steps ----

    def step(self) -> None:
        """Everything that was put, dropped and noted since the last one, in one commit."""
        if not (self._new or self._gone or self._moved or self._files):
            return
        texts = [self._read(one.document.title, piece.heading, one.document.text[piece.start : piece.end])
                 for one in self._new for piece in one.pieces]  # fmt: skip
        hashes = [_short(text) for text in texts]
        rows = self.about("rows") or 0
        count = self._vectors(rows, texts, hashes)
        numbers = iter(range(rows, rows + count) if count else [None] * len(texts))
        with plainly(self.folder), transaction(self.base):
            self._delete(self._gone)
            said = iter(zip(hashes, numbers, strict=True))
            for one in self._new:
                self._insert(one, [next(said) for _ in one.pieces])
            self.base.executemany("update document set file = ? where id = ?", self._moved)
            for collection, path, found in self._files:
                self.base.execute("delete from file where collection = ? and path = ?", (collection, path))
                if found is not None:
                    self.base.execute("insert into file values (?, ?, ?)", (collection, path, found))
            self._set(rows=rows + count)
        self.made += len(texts)
        self._clear()

    def _vectors(self, rows: int, texts: list[str], hashes: list[bytes]) -> int:
        """Put the vectors of these texts behind those that count; how many there are: none without an encoder."""
        if self.encoder is None or not texts:
            return 0
        there = self._there(rows, hashes)
        missing = {own: text for own, text in zip(hashes, texts, strict=True) if own not in there}
        made = encoders.vectors(self.encoder, list(missing.values())) if missing else []
        there |= dict(zip(missing, made, strict=True))
        files.write(self._file(), rows, np.stack([there[own] for own in hashes]))
        return len(texts)

    def _there(self, rows: int, hashes: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """The vectors of those texts that have one."""
        vectors, found = files.opened(self._file(), rows, self.about("width")), {}
        for own in {*hashes}:
            row = self._one("select row from passage where hash = ? and row is not null limit 1", (own,))
            if row:
                found[own] = np.array(vectors[row[0]])
        return found

    def _file(self) -> Path:
        return self.folder / self.about("vectors")

    def _insert(self, one: New, said: list[tuple[bytes, int | None]]) -> None:
        document = one.document
        number = self.base.execute(
            "insert into document (collection, source, title, file, text, pages, characters, hash) values "
            "(?, ?, ?, ?, ?, ?, ?, ?)",
            (one.collection, document.source, document.title, one.file, document.text, json.dumps(document.pages),
             len(document.text), one.hash),
        ).lastrowid
        for piece, (own, row) in zip(one.pieces, said, strict=True):
            passage = self.base.execute(
                "insert into passage (document, collection, start, stop, heading, page, hash, row) values "
                "(?, ?, ?, ?, ?, ?, ?, ?)",
                (number, one.collection, piece.start, piece.end, piece.heading, piece.page, own, row),
            ).lastrowid
            text = searched(document.title, piece.heading, document.text[piece.start : piece.end])
            self.base.execute("insert into words (rowid, text) values (?, ?)", (passage, " ".join(words(text))))

    def _delete(self, ids: Collection[int]) -> None:
        for number in ids:
            self.base.execute("delete from words where rowid in (select id from passage where document = ?)", (number,))
            self.base.execute("delete from passage where document = ?", (number,))
            self.base.execute("delete from document where id = ?", (number,))
        if ids:
            self._set(unclean=1)

    def remember(self, key: str, value: str) -> None:
        """A fact of the index, in a commit of its own."""
        with plainly(self.folder), transaction(self.base):
            self._set(**{key: value})

    def _set(self, **facts) -> None:
        self.base.executemany("insert or replace into about values (?, ?)", facts.items())

    # ---- before and after ----

    def begin(self, say: Said = lambda text: None) -> None:
        """Make ready for writing: an index without vectors takes on the encoder, where there is one."""
        self._sweep()
        if self.encoder is None:
            return
        if not self.about("encoder"):
            vector = encoders.probe(self.encoder)
            where = getattr(self.encoder, "folder", None)
            with plainly(self.folder), transaction(self.base):
                self._set(encoder=self.encoder.name, folder="" if where is None else str(Path(where).absolute()),
                          width=len(vector), probe=vector.tobytes(), vectors="vectors-1.f32", rows=0)  # fmt: skip
        self._complete(say)

    def _complete(self, say: Said) -> None:
        """Vectors for the passages that have none."""
        query = ("select passage.id, title, heading, start, stop, text from passage join document on document.id = "
                 "passage.document where row is null limit ?")  # fmt: skip
        while found := self._all(query, (STEP,)):
            say(f"{len(found)} passages get their vectors")
            texts = [self._read(title, heading, text[start:stop]) for _, title, heading, start, stop, text in found]
            rows = self.about("rows")
            self._vectors(rows, texts, [_short(text) for text in texts])
            with plainly(self.folder), transaction(self.base):
                self.base.executemany("update passage set row = ? where id = ?",
                                      [(rows + at, one[0]) for at, one in enumerate(found)])  # fmt: skip
                self._set(rows=rows + len(found))

    def end(self) -> None:
        """The last step; then nothing of what was dropped is left in the files."""
        self.step()
        if self.about("unclean"):
            self._clean()
        self._sweep()

    def _clean(self) -> None:
        """The full-text index and the vector file without what is gone."""
        name, facts = self.about("vectors"), {}
        kept = self._all("select row, id from passage where row is not null order by row")
        if name:
            number = int(name.removeprefix("vectors-").removesuffix(".f32")) + 1
            facts = {"vectors": f"vectors-{number}.f32", "rows": len(kept)}
            rows = np.array([row for row, _ in kept], np.int64)
            files.copy(self._file(), self.about("rows"), self.about("width"), rows, self.folder / facts["vectors"])
        with plainly(self.folder), transaction(self.base):
            self.base.execute("insert into words (words) values ('optimize')")
            self.base.executemany("update passage set row = ? where id = ?",
                                  [(at, number) for at, (_, number) in enumerate(kept)])  # fmt: skip
            self._set(unclean=0, **facts)

    def _sweep(self) -> None:
        """Take away files of vectors that no longer count, or never did."""
        current = self.about("vectors")
        for path in self.folder.glob("vectors-*.f32"):
            if path.name != current:
                with contextlib.suppress(OSError):  # a reader has it open, where the system minds: the next one does it
                    path.unlink()


def storable(document: Document) -> Document:
    """The document without halves of characters, which no file can hold; each becomes one sign, so that places stay."""
    fixed = {name: LONE.sub("\N{REPLACEMENT CHARACTER}", getattr(document, name)) for name in
             ("text", "title", "source")}  # fmt: skip
    return replace(document, **fixed) if any(getattr(document, name) != text for name, text in fixed.items()) \
        else document  # fmt: skip


def _short(text: str) -> bytes:
    """By what a text that has a vector is known again."""
    return hashlib.sha256(text.encode()).digest()[:16]


def _hash(document: Document) -> bytes:
    """What is the same for the same text with the same title and pages."""
    parts = (document.title, document.kind, repr(document.pages), document.text)
    return hashlib.sha256("\0".join(parts).encode()).digest()
