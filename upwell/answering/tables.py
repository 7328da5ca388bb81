"""The SQLite file of an index: its tables, how it is opened, and SQLite's complaints as one sentence.

    about       one line a fact: encoder, folder, width, probe, vectors (the file that counts), rows (how many of its
                rows count), unclean (1 while something that was taken out may still be read in a file)
    document    a text as it was read; pages: where each begins, [[character, number], ...]
    passage     where it begins and ends in its document; row: where its vector stands, null where it has none
    file        what a file held when it was read: not read again while that is the same
    words       the full-text index (FTS5); it splits at spaces alone, since `words.words` made them

A commit of this file is the point at which anything changes: vectors are on the disk before the commit that counts
them, and a file of vectors goes after the one that no longer names it.
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..atomic import FULL as FULL_DISK
from ..atomic import said_plainly
from ..errors import Busy, DataError, DiskError, ServiceError

VERSION = 2
NAME = "index.sqlite"
MARK = 0x75706978  # application_id: "upix"
WAIT = 30.0  # seconds for another process's commit
TABLES = (
    "create table about (key text primary key, value) without rowid",
    "create table document (id integer primary key autoincrement, collection text not null, source text not null, "
    "title text not null, file text not null, text text not null, pages text not null, characters integer not null, "
    "hash blob not null, unique (collection, source))",
    "create index document_file on document (collection, file)",
    "create table passage (id integer primary key autoincrement, document integer not null, collection text not null, "
    "start integer not null, stop integer not null, heading text not null, page integer not null, hash blob not null, "
    "row integer)",
    "create index passage_document on passage (document)",
    "create index passage_hash on passage (hash)",
    "create index passage_row on passage (row)",
    "create table file (collection text not null, path text not null, hash blob not null, "
    "primary key (collection, path)) without rowid",
    "create virtual table words using fts5 (text, tokenize = 'ascii')",
)
FULL, BUSY, LOCKED, READ_ONLY, CANNOT_OPEN, CORRUPT, NO_BASE = 13, 5, 6, 8, 14, 11, 26


def connect(folder: Path, create: bool = False) -> sqlite3.Connection:
    """The file of an index, made where `create` is set; every statement is its own transaction until `begin`.

    Raises DataError where there is none, for another version, and for a file that is no index.
    """
    path = folder / NAME
    if not create and not path.is_file():
        raise DataError(f"{folder}: found no index there, expected a folder that `upwell index TEXTS --out {folder}` "
                        "makes")  # fmt: skip
    with said_plainly(folder), plainly(folder):
        if create:
            _folder(folder)
        mode = "rwc" if create else "rw"
        base = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT,
                               isolation_level=None, check_same_thread=False)  # fmt: skip
        try:
            base.execute("pragma secure_delete = on")
            base.execute("pragma cache_size = -65536")
            base.execute("pragma cache_spill = off")  # a spill would lock out readers before the commit
            if create:
                _make(base)
            _check(base, path)
        except BaseException:
            base.close()
            raise
    return base


def _folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (*FULL_DISK, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise DataError(f"{folder}: no folder can be made there ({error.strerror}); name another one") from None


def _make(base: sqlite3.Connection) -> None:
    """The tables, where the file is new."""
    with transaction(base):
        if _number(base, "user_version") or base.execute("select 1 from sqlite_master").fetchone():
            return
        for table in TABLES:
            base.execute(table)
        base.execute(f"pragma application_id = {MARK}")
        base.execute(f"pragma user_version = {VERSION}")


def _check(base: sqlite3.Connection, path: Path) -> None:
    found = _number(base, "user_version")
    if _number(base, "application_id") != MARK:
        raise DataError(f"{path}: this is no index of upwell's; name another folder")
    if found != VERSION:
        raise DataError(f"{path}: an index of version {found}, expected {VERSION}; make it again from its texts in "
                        "another folder, or open it with the upwell that made it")  # fmt: skip


def _number(base: sqlite3.Connection, name: str) -> int:
    return base.execute(f"pragma {name}").fetchone()[0]


@contextlib.contextmanager
def transaction(base: sqlite3.Connection, write: bool = True) -> Iterator[None]:
    """All or nothing of what is written in the block; all that is read in it is of one moment."""
    base.execute("begin immediate" if write else "begin")
    try:
        yield
        base.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back already after some faults
            base.execute("rollback")
        raise


@contextlib.contextmanager
def plainly(folder: Path) -> Iterator[None]:
    """SQLite's faults as errors of ours, each in one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _plain(folder, error) from error
    except UnicodeEncodeError:
        raise DataError(f"{folder}: a name holds half of a character, which no file can hold; choose another") from None


def _plain(folder: Path, error: sqlite3.Error) -> Exception:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == FULL:
        return DiskError(f"The disk is full: {folder} could not be written, and what was there before is whole; free "
                         "some space, then run the same command again.")  # fmt: skip
    if code in (BUSY, LOCKED):
        return Busy(f"{folder}: another process held the index for more than {WAIT:.0f} seconds; try again later")
    if code in (READ_ONLY, CANNOT_OPEN):
        return DiskError(f"{folder} cannot be opened or written ({error}); name a folder that you may write to.")
    if code == NO_BASE:
        return DataError(f"{folder / NAME}: this is no index of upwell's ({error}); name another folder")
    if "fts5" in str(error) and "module" in str(error):
        return ServiceError(f"this Python's SQLite {sqlite3.sqlite_version} lacks the full-text search FTS5; take a "
                            "Python that has it, as those of python.org and of conda do")  # fmt: skip
    return DataError(f"{folder / NAME}: the index is damaged or cannot be read ({error}); make it again from its texts")
