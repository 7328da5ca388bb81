"""Compressed files and archives as streams, with limits: `unpacked(...)`, `members(...)`.

Nothing is written to disk under a name that an archive chose. One Limits counts what comes out of one file: a zip
bomb, by its size or by its ratio, raises Unreadable after a bounded amount of work. Knows no format of text.
"""

import bz2
import gzip
import io
import json
import lzma
import posixpath
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from upwell.text import Fault
from upwell.text.encodings import Unreadable

COMPRESSED = (".gz", ".bz2", ".xz", ".lzma", ".zst")
SHORT_NAMES = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".tbz": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}
ARCHIVES = (".zip", ".tar")
MAGIC = (
    (b"\x1f\x8b", ".gz"), (b"BZh", ".bz2"), (b"\xfd7zXZ\0", ".xz"), (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"PK\x03\x04", ".zip"), (b"%PDF-", ".pdf"), (b"PAR1", ".parquet"), (b"WARC/", ".warc"),
    (b"<mediawiki", ".xml"), (b"<!doctype html", ".html"), (b"<html", ".html"),
)  # fmt: skip
BROKEN = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
    ValueError, KeyError, IndexError, OverflowError, RuntimeError, MemoryError,
)  # fmt: skip
UNTESTED = 32 << 20  # so much may come out before its ratio is judged
IN_MEMORY = 16 << 20
WINDOW = 1 << 27  # the longest window of zstd that is allowed to fill memory
SIP = 1024  # bytes of zstd taken at once: what comes out at once has no other bound than some 128 KB for 4 of them
JUNK = ("__MACOSX", "__pycache__")


class Limits:
    """How much may come out of one file on disk, all layers together."""

    def __init__(self, most: int, ratio: int):
        self.most, self.ratio, self.out = most, ratio, 0

    def count(self, size: int) -> None:
        self.out += size
        if self.out > self.most:
            raise Unreadable(f"unpacks to more than {self.most:,} bytes, which is the limit; divide it, or raise "
                             "--reading.unpacked if you trust it")  # fmt: skip

    def compare(self, packed: int, out: int) -> None:
        if out > UNTESTED + self.ratio * packed:
            raise Unreadable(f"a zip bomb: {out:,} bytes came out of {packed:,}, expected at most {self.ratio} times "
                             "as many; unpack it yourself if you trust it")  # fmt: skip


class _Counted(io.RawIOBase):
    """A file that counts what was read of it; told(bytes read now, in all) may refuse."""

    def __init__(self, file: BinaryIO, told: Callable[[int, int], None] = lambda count, size: None):
        self.file, self.told, self.size = file, told, 0

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        data = self.file.read(len(target))
        target[: len(data)] = data
        self.size += len(data)
        self.told(len(data), self.size)
        return len(data)


def limited(file: BinaryIO, packed: Callable[[], int], limits: Limits) -> _Counted:
    """A file that raises Unreadable where more comes out than the limits allow for what went in."""

    def check(count: int, size: int) -> None:
        limits.count(count)
        limits.compare(packed(), size)

    return _Counted(file, check)


class _Zstd:
    """The frames of zstd one after the other; the library's own stream takes half a frame for a whole one."""

    def __init__(self, packed: BinaryIO, library, error: type[Exception]):
        self.packed, self.library, self.error = packed, library, error
        self.engine, self.waiting, self.rest = None, b"", b""

    def read(self, size: int) -> bytes:
        while not self.rest:
            data = self.waiting or self.packed.read(SIP)
            if not data and self.engine:
                raise EOFError("it breaks off in the middle of a frame")
            if not data:
                return b""
            self.engine = self.engine or self.library.decompressobj()
            try:
                self.rest = self.engine.decompress(data)
            except self.error as error:
                raise OSError(str(error)) from None
            self.waiting = self.engine.unused_data if self.engine.eof else b""
            self.engine = None if self.engine.eof else self.engine
        part, self.rest = self.rest[:size], self.rest[size:]
        return part


class _Last:
    """A stream that remembers its last block, as tar has them."""

    def __init__(self, file: BinaryIO):
        self.file, self.last = file, b""

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.last = (self.last + data)[-tarfile.BLOCKSIZE :]
        return data


def suffix_of(name: str) -> str:
    """The last suffix of a name in small letters, ".tar.gz" for ".tgz"; "" where there is none."""
    found = posixpath.splitext(name.lower().replace("\\", "/"))[1]
    return SHORT_NAMES.get(found, found)


def bare(name: str) -> str:
    """A name without the suffixes of its compression."""
    stem, suffix = posixpath.splitext(name)
    if suffix.lower() in SHORT_NAMES:
        return bare(stem + SHORT_NAMES[suffix.lower()])
    return bare(stem) if suffix.lower() in COMPRESSED else name


def sniffed(head: bytes) -> str:
    """The suffix that the first bytes of a nameless file stand for; "" for plain text."""
    if head[257:262] == b"ustar":
        return ".tar"
    start = head.lstrip()
    if re.match(rb'\[?\s*\{\s*"', start):
        first, end, _ = start.partition(b"\n")
        return ".jsonl" if start.startswith(b"{") and (not end or _is_object(first)) else ".json"
    start = start[:20]
    return next((suffix for magic, suffix in MAGIC if start.startswith(magic) or start.lower().startswith(magic)), "")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def unpacked(file: BinaryIO, suffix: str, limits: Limits) -> io.BufferedReader:
    """A compressed stream as it was. Reading it raises one of BROKEN, or Unreadable above the limits."""
    packed = _Counted(file)
    if suffix == ".gz":
        stream = gzip.GzipFile(fileobj=packed)
    elif suffix == ".bz2":
        stream = bz2.BZ2File(packed)
    elif suffix == ".zst":
        stream = _zstd(packed)
    else:
        stream = lzma.LZMAFile(packed)
    return io.BufferedReader(limited(stream, lambda: packed.size, limits), 1 << 18)


def _zstd(packed: BinaryIO) -> BinaryIO:
    try:
        import zstandard
    except ImportError:
        raise Unreadable("zstd needs a library that is not here; pip install 'upwell[formats]'") from None
    return _Zstd(packed, zstandard.ZstdDecompressor(max_window_size=WINDOW), zstandard.ZstdError)


def seekable(file: BinaryIO, longest: int) -> BinaryIO:
    """The same file where it can be read in any order; else a copy, on disk where it is large."""
    if isinstance(file, io.BytesIO) or isinstance(getattr(file, "raw", None), io.FileIO):
        return file  # a member of a tar archive says that it is seekable, and is not
    copy = tempfile.SpooledTemporaryFile(IN_MEMORY)
    while block := file.read(1 << 20):
        copy.write(block)
        if copy.tell() > longest:
            raise Unreadable(f"more than {longest:,} bytes inside of an archive; unpack it first")
    copy.seek(0)
    return copy


def members(file: BinaryIO, suffix: str, limits: Limits, start: int, stop: int) -> Iterator[tuple[str, BinaryIO | str]]:
    """(name, its stream) of the files in an archive, or (name, why it is refused).

    start, stop: which entries of a zip file, 0 and 0: all. A stream is read before the next is asked for.
    """
    yield from _zip(file, limits, start, stop) if suffix == ".zip" else _tar(file, limits)


def entries(path: str) -> list[int]:
    """Sizes of the entries of a zip file, in their order; [] where it is broken."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [entry.file_size for entry in archive.infolist()]
    except BROKEN:
        return []


def _zip(file: BinaryIO, limits: Limits, start: int, stop: int) -> Iterator[tuple[str, BinaryIO | str]]:
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        for entry in listed[start : stop or len(listed)]:
            wrong = _refused(entry.filename)
            if entry.is_dir() or hidden(entry.filename):
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                wrong = wrong or _link(entry.filename, _target(archive, entry))
                if not wrong:
                    continue
            if entry.flag_bits & 1:
                wrong = wrong or "encrypted, expected a file without a password; unpack it first"
            yield entry.filename, wrong or _opened(archive, entry, limits)


def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: Limits) -> BinaryIO | str:
    try:
        stream = archive.open(entry)
    except BROKEN as error:
        return f"cannot be unpacked: {told(error)}"
    return io.BufferedReader(limited(stream, lambda: entry.compress_size, limits), 1 << 16)


def zip_part(archive: zipfile.ZipFile, name: str, limits: Limits) -> BinaryIO:
    """One entry of a format that is a zip file. Raises Unreadable, also while it is read."""
    entry = archive.getinfo(name)
    if entry.flag_bits & 1:
        raise Unreadable("encrypted, expected a file without a password; remove the password first")
    found = _opened(archive, entry, limits)
    if isinstance(found, str):
        raise Unreadable(found)
    return found


def _target(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    try:
        with archive.open(entry) as stream:
            return stream.read(4096).decode("utf-8", "replace")
    except BROKEN:
        return "/"


def _tar(file: BinaryIO, limits: Limits) -> Iterator[tuple[str, BinaryIO | str]]:
    file = _Last(file)
    with tarfile.open(fileobj=file, mode="r|", errors="surrogateescape") as archive:
        for entry in archive:
            wrong = _refused(entry.name)
            if not wrong and (entry.isdir() or hidden(entry.name)):
                continue
            if entry.issym() or entry.islnk():
                folder = posixpath.dirname(entry.name) if entry.issym() else ""
                wrong = wrong or _link(posixpath.join(folder, "x"), entry.linkname)
            elif not entry.isfile():
                wrong = wrong or "a device or pipe, expected a file; take it out of the archive"
            if wrong or entry.isfile():
                yield entry.name, wrong or _member(archive, entry, limits)
        _check_end(archive.fileobj, file)


def _member(archive: tarfile.TarFile, entry: tarfile.TarInfo, limits: Limits) -> BinaryIO:
    # A sparse member may claim to be any size; its own ratio is judged against the bytes that it has here.
    stream = archive.extractfile(entry)
    if entry.sparse is None:
        return stream
    stored = sum(size for _, size in entry.sparse)
    return io.BufferedReader(limited(stream, lambda: stored, limits), 1 << 16)


def _check_end(stream: BinaryIO, file: _Last) -> None:
    """tarfile takes a damaged header, or none, for the end; a true end is zeros. Raises Unreadable."""
    while block := stream.read(1 << 18):
        if block.strip(b"\0"):
            raise Unreadable("a damaged entry, expected the end of the archive; what follows it cannot be read")
    if file.last.strip(b"\0"):
        raise Unreadable("half an archive: it breaks off without its end mark; fetch or make it again")


def hidden(name: str) -> bool:
    """Whether a file in an archive is passed over, as one in a folder is."""
    return any(part in JUNK or part.startswith(".") and part.strip(".") for part in re.split(r"[/\\]", name))


def _refused(name: str) -> str:
    """Why an entry of this name is not read; "" where nothing speaks against it."""
    outside = name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name)
    return "its path leaves the archive, expected one inside; make the archive anew" if outside else ""


def _link(name: str, target: str) -> str:
    """Why a link is refused; "" for one to a file of the archive, which is read where it lies."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return "a link that leaves the archive, expected a file" if _refused(target[:1] + joined) else ""


def told(error: BaseException) -> str:
    """An error of a library in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]


def fault(name: str, error: BaseException) -> Fault:
    """A broken stream as a value."""
    if isinstance(error, Unreadable):
        return Fault(f"{name}:{error.line}" if error.line else name, str(error))
    return Fault(name, f"cannot be read: {told(error)}")
