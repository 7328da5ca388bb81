"""Folders and files that appear whole or not at all.

Everything is written beside its final place under a temporary name, synced to the disk, then renamed. An
error or Ctrl-C on the way removes the temporary and leaves what was there before. Knows nothing of contents.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upwell.errors import DiskError, ServiceError

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
HALF_WRITTEN = re.compile(r"\d+ requested and \d+ written")  # numpy's words for it, without a number


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the name `folder` when the block ends well, replacing what was there.

    Raises ServiceError where the disk is full or not writable; then `folder` is as it was before.
    """
    folder = Path(folder).absolute()
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        with said_plainly(folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            _sync_tree(partial)
            _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_file(path: str | Path, content: bytes) -> None:
    """Write one file whole: a reader sees the old content or the new, never a part. Raises ServiceError."""
    with new_file(path) as partial:
        partial.write_bytes(content)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A temporary file name that becomes `path` when the block ends well, replacing what was there.

    Raises ServiceError where the disk is full or not writable; then `path` is as it was before.
    """
    path = Path(path).absolute()
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with said_plainly(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(path: str | Path) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever ends it. Raises ServiceError where another one holds it.

    Some network file systems know no locks; there everybody goes on.
    """
    path = Path(path)
    with said_plainly(path):
        file = open(path, "a+b")
    with file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in LOCKLESS:
                raise ServiceError(
                    f"Another run is at work on {path.parent}; wait until it has ended, or choose another --out."
                ) from None
        yield


def _lock(file) -> None:
    """The system's own lock of a file; OSError where somebody else has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def said_plainly(place: Path) -> Iterator[None]:
    """Turn the system's words for a full or closed disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or error.errno is None and HALF_WRITTEN.fullmatch(str(error)):
            raise DiskError(
                f"The disk is full: {place} could not be written, and nothing was changed; "
                "free some space or name another disk, then run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DiskError(
                f"{error.filename or place} cannot be written ({error.strerror}), and nothing was changed; "
                "name a folder that you may write to."
            ) from error
        raise


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            _sync(path)


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename; a folder that is in the way steps aside first, because no system replaces a full one."""
    aside = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        os.rename(folder, aside)
    try:
        os.rename(partial, folder)
    except OSError:
        if aside.exists():
            os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
