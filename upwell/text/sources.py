"""Files and folders in, documents out: `units(paths, settings)`, and for each `documents(unit, settings)`.

    a folder        every file below it in the order of the names; what is hidden, __pycache__ and links to folders
                    are passed over. Of a Hugging Face data set only its shards are read, not its README
    a file          by its suffix, see readers/; what has no reader is plain text. Compressed or not
    an archive      .zip, .tar, .tar.gz ... as a folder, up to DEEPEST archives inside of each other
    a glob          "data/**/*.txt"
    "-"             standard input; what it holds is found out from its first bytes
    train.en + train.de         two parallel files with as many lines are read as pairs

What cannot be read is never passed over in silence: it is a Fault among the documents. The list of units depends on
the files alone, so that the same files give the same documents in any number of processes. Knows nothing of cleaning.
"""

import atexit
import codecs
import functools
import glob
import importlib
import io
import os
import pkgutil
import posixpath
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from upwell.errors import DataError
from upwell.text import Document, Fault, packed, readers
from upwell.text.division import divide
from upwell.text.encodings import HEAD, UTF8, Unreadable, check_name, detected, marked
from upwell.text.faults import Faults, sifted
from upwell.text.readers import plain

__all__ = ["Notes", "Settings", "Unit", "divide", "documents", "list_files", "read", "units"]

RANGE = 8 << 20  # bytes of a part of a large file
PARTS = 64  # a zip file is divided in at most so many: each part reads its whole list of entries
DEEPEST = 4  # archives and compressed files inside of each other
DATA = (".parquet", ".pq", ".arrow", ".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt", ".xml", ".warc", ".tmx")
STDIN = "-"


@dataclass(frozen=True)
class Settings:
    """How files are read, and what is refused for safety."""

    encoding: str = ""
    """Encoding of all plain text files, where finding it out goes wrong."""
    longest: int = 100_000_000
    """Bytes of the longest line, record, or file of a format that is read in one piece."""
    unpacked: int = 200_000_000_000
    """Bytes that one archive or compressed file may hold."""
    ratio: int = 200
    """How many times its packed size a file may hold before it is taken for a zip bomb."""
    memory: int = 3_000_000_000
    """Bytes of address space of the process that parses PDF, DOCX, EPUB, HTML and Parquet."""
    seconds: float = 60.0
    """How long that process may take for one document."""

    def __post_init__(self):
        check_name(self.encoding)
        wrong = [name for name in ("longest", "unpacked", "ratio", "memory", "seconds") if getattr(self, name) <= 0]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(self, wrong[0])}; expected a number above 0")


@dataclass(frozen=True)
class Unit:
    """A file, or a part of a large one, that one process reads at once."""

    path: str
    name: str
    """What documents and faults call it."""
    bytes: int
    """Its size on disk, for progress and balance."""
    start: int = 0
    stop: int = 0
    """Which part: bytes of a text, entries of a zip file, row groups of Parquet; both 0: all of it."""
    line: int = 1
    """The number of its first line."""
    likely: str = ""
    """The encoding of the whole file, where it is not UTF-8."""
    partner: str = ""
    """The second of two parallel files."""


@dataclass
class Notes:
    """What a person should be told: filled while `read` runs."""

    files: int = 0
    encodings: dict[str, str] = field(default_factory=dict)  # file -> its encoding, where it is not UTF-8
    divided: dict[str, int] = field(default_factory=dict)  # long file -> number of pieces


def read(paths: Sequence[str | Path], settings: Settings | None = None, notes: Notes | None = None,
         faults: Faults | None = None) -> Iterator[Document]:  # fmt: skip
    """Documents of files and folders, in order.

    Raises DataError at once for a path that does not exist or holds no files, and at the end with every fault; where
    `faults` is given, they are put there instead.
    """
    settings, notes = settings or Settings(), notes if notes is not None else Notes()
    found = faults if faults is not None else Faults()
    for unit in units(paths, settings):
        notes.files += unit.line == 1 and not unit.start
        pieces = 0
        for document in sifted(documents(unit, settings), faults=found):
            pieces += _is_text(unit.name)
            notes.encodings |= {unit.name: _encoding(document)} if _encoding(document) else {}
            yield document
        if pieces > 1 or unit.line > 1 and pieces:
            notes.divided[unit.name] = notes.divided.get(unit.name, 0) + pieces
    if found.count and faults is None:
        raise found.error()


def _is_text(name: str) -> bool:
    suffix = packed.suffix_of(packed.bare(name))
    return suffix not in packed.ARCHIVES and _reader(suffix) is plain


def _encoding(document: Document) -> str:
    found = (reason.removeprefix("read as ") for reason, _ in document.changes if reason.startswith("read as "))
    return next(found, "")


# ---- which files ----


def list_files(paths: Sequence[str | Path]) -> list[Path]:
    """Every file that would be opened, in its order. Raises DataError for a path with none."""
    files = []
    for path in map(str, paths):
        files += [_standard_input()] if path == STDIN else _matching(path) if _is_glob(path) else _at(Path(path))
    return files


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[") and not os.path.lexists(path)


def _matching(pattern: str) -> list[Path]:
    found = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    files = [path for path in found if not path.is_dir()]
    if not files:
        raise DataError(f"{pattern} matches no files; name a folder, a file or a pattern such as texts/**/*.txt.")
    return files


def _at(path: Path) -> list[Path]:
    if not path.is_dir() and not path.is_file():
        state = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise DataError(f"{path} {state}; name a file or a folder of text.")
    found = _below(path) if path.is_dir() else [path]
    if not found:
        raise DataError(f"{path} holds no files (hidden ones do not count); name a folder with text in it.")
    return found


def _below(folder: Path) -> list[Path]:
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        found += [Path(root, name) for name in files if not name.startswith(".")]
    found = [path for path in found if path.is_file() or not path.exists()]  # no pipes; a broken link is told
    return _shards(folder, sorted(found, key=lambda path: path.relative_to(folder).parts))


def _shards(folder: Path, files: list[Path]) -> list[Path]:
    """Of a Hugging Face data set the files that hold its data, of any other folder all."""
    names = {path.relative_to(folder).as_posix() for path in files}
    saved = names & {"dataset_infos.json", "dataset_info.json", "dataset_dict.json"}
    if not saved and not ("README.md" in names and _is_card(folder / "README.md")):
        return files
    about = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "LICENSE.txt", "license.txt"}
    found = [path for path in files if path.name not in about and _data_suffix(path) in DATA]
    return found or files


def _is_card(readme: Path) -> bool:
    """Whether a README begins as those of data sets do, with what is known of it in YAML."""
    try:
        with open(readme, encoding="utf-8", errors="replace") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    known = re.search(r"^(dataset_info|configs|task_categories|size_categories):", head.split("\n---", 1)[0], re.M)
    return head.startswith("---") and bool(known)


def _data_suffix(path: Path) -> str:
    return packed.suffix_of(packed.bare(path.name))


@functools.lru_cache(maxsize=1)
def _standard_input() -> Path:
    """What standard input holds, as a file that lives as long as this process; it can be read but once."""
    folder = tempfile.mkdtemp(prefix="upwell-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "standard input")
    with open(path, "wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    return path


# ---- units ----


def units(paths: Sequence[str | Path], settings: Settings) -> list[Unit]:
    """What there is to read, in order; large files in parts. Raises DataError for a path with no files."""
    from upwell.text.readers.parallel import partners

    files = list_files(paths)
    second = partners(files)
    taken = set(second.values())
    return [unit for path in files if path not in taken for unit in _units(path, second.get(path), settings)]


def _units(path: Path, partner: Path | None, settings: Settings) -> list[Unit]:
    name, size = _name(path), _size(path)
    if partner:
        return [Unit(str(path), name, size + _size(partner), partner=str(partner))]
    whole = Unit(str(path), name, size)
    if size <= RANGE:
        return [whole]
    try:
        suffix = packed.suffix_of(path.name) or _sniffed(path)
        if suffix == ".zip":
            return _entries(whole) or [whole]
        if hasattr(_reader(suffix), "sizes"):
            return _groups(whole, _reader(suffix).sizes(str(path), settings)) or [whole]
        if hasattr(_reader(suffix), "RANGES") and suffix not in (*packed.COMPRESSED, *packed.ARCHIVES):
            return _ranges(whole, settings)
    except OSError:
        return [whole]  # opening it again tells the fault
    return [whole]


def _sniffed(path: Path) -> str:
    with open(path, "rb") as file:
        return packed.sniffed(file.read(HEAD))


def _name(path: Path) -> str:
    spooled = _standard_input.cache_info().currsize and path == _standard_input()
    return path.name if spooled else shown(str(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _ranges(whole: Unit, settings: Settings) -> list[Unit]:
    """Parts of about RANGE bytes that end at line ends."""
    found, start, line, likely = [], 0, 1, ""
    with open(whole.path, "rb") as file:
        if _is_wide(settings.encoding or marked(file.read(HEAD))):
            return [whole]  # a byte that ends a line may be half a character
        file.seek(0)
        while start < whole.bytes:
            lines, stop = _next_range(file, start)
            found.append((start, stop, line))
            likely = likely or _likely(file, start, settings)
            start, line = stop, line + lines
    name, path = whole.name, whole.path
    return [Unit(path, name, stop - start, start, stop, line, likely) for start, stop, line in found]


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding or "utf-8").name.startswith(("utf-16", "utf-32"))


def _next_range(file: BinaryIO, start: int) -> tuple[int, int]:
    """(number of its lines, where it ends) of the range that starts there; a longer line is in it to its end."""
    file.seek(start)
    block = file.read(RANGE)
    lines, last = block.count(b"\n"), block[-1:]
    while last != b"\n" and (more := file.readline(1 << 20)):
        lines, last = lines + (more[-1:] == b"\n"), more[-1:]
    return lines, file.tell()


def _likely(file: BinaryIO, start: int, settings: Settings) -> str:
    """The encoding of a range by its beginning; "" where that is UTF-8 or tells nothing."""
    if settings.encoding:
        return ""
    file.seek(start)
    head = file.read(1 << 16)
    found = detected(head[: head.rfind(b"\n") + 1])
    return "" if found in UTF8 else found


def _entries(whole: Unit) -> list[Unit]:
    """Parts of a zip file, each with some of its entries."""
    return _grouped(whole, packed.entries(whole.path))


def _groups(whole: Unit, sizes: list[int]) -> list[Unit]:
    """Parts of a Parquet file, each with some of its row groups."""
    return _grouped(whole, sizes)


def _grouped(whole: Unit, sizes: list[int]) -> list[Unit]:
    """Neighbours together, up to RANGE bytes or a PARTS-th of the whole."""
    most = max(RANGE, sum(sizes) // PARTS)
    found, start, held = [], 0, 0
    for number, size in enumerate(sizes):
        if held and held + size > most:
            found.append((start, number, held))
            start, held = number, 0
        held += size
    found.append((start, len(sizes), held))
    scale = whole.bytes / max(sum(sizes), 1)
    return [Unit(whole.path, whole.name, int(size * scale), *part) for *part, size in found] if sizes else []


def shown(name: str) -> str:
    """A file's name as it can be told: signs that cannot be written or that break a line are escaped."""
    name = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", lambda sign: f"\\x{ord(sign[0]):02x}", name)
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


# ---- documents ----


def documents(unit: Unit, settings: Settings) -> Iterator[Document | Fault]:
    """What a unit holds, in order; a fault is a value among the documents, and nothing in a file raises."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open(unit.path, "rb", buffering=1 << 18))
            if unit.partner:
                yield from _both(unit, file, stack, settings)
                return
            limits = packed.Limits(settings.unpacked, settings.ratio)
            yield from _contents(file, unit.name, os.path.basename(unit.path), limits, settings, unit)
    except (Unreadable, *packed.BROKEN) as error:
        yield packed.fault(unit.name, error)


def _both(unit: Unit, file: BinaryIO, stack: ExitStack, settings: Settings) -> Iterator[Document | Fault]:
    from upwell.text.readers.parallel import read_both

    other = stack.enter_context(open(unit.partner, "rb", buffering=1 << 18))
    yield from read_both((file, other), (unit.name, shown(unit.partner)), settings)


def _contents(
    file: BinaryIO, name: str, inner: str, limits: packed.Limits, settings: Settings, unit: Unit | None, depth: int = 0
) -> Iterator[Document | Fault]:
    """The documents of a stream that may be packed. inner: its own name, which tells what it is; "" where none does."""
    if depth > DEEPEST:
        raise Unreadable(f"more than {DEEPEST} archives inside of each other; unpack them first")
    inner, end = posixpath.splitext(inner)
    end = end.lower()
    if end in packed.SHORT_NAMES:
        inner, end = posixpath.splitext(inner + packed.SHORT_NAMES[end])
    if end in packed.COMPRESSED:
        yield from _contents(packed.unpacked(file, end, limits), name, inner, limits, settings, None, depth + 1)
        return
    file = file if hasattr(file, "peek") else io.BufferedReader(file)
    suffix = end or packed.sniffed(file.peek(512)) * (plain.kind_of(inner) == "prose")
    if not end and suffix in packed.COMPRESSED:
        yield from _contents(file, name, inner + suffix, limits, settings, None, depth)
    elif suffix in packed.ARCHIVES:
        yield from _archive(file, name, suffix, limits, settings, unit, depth)
    else:
        yield from _parsed(file, name, suffix, settings, unit)


def _archive(
    file: BinaryIO, name: str, suffix: str, limits: packed.Limits, settings: Settings, unit: Unit | None, depth: int
) -> Iterator[Document | Fault]:
    if suffix == ".zip":
        file = packed.seekable(file, settings.longest * 10)
    part = (unit.start, unit.stop) if unit else (0, 0)
    for inner, stream in packed.members(file, suffix, limits, *part):
        place = f"{name}/{shown(inner)}"
        if isinstance(stream, str):
            yield Fault(place, stream)
            continue
        try:
            yield from _contents(stream, place, posixpath.basename(inner), limits, settings, None, depth + 1)
        except (Unreadable, *packed.BROKEN) as error:
            yield packed.fault(place, error)
            if limits.out > limits.most:
                return


def _parsed(
    file: BinaryIO, name: str, suffix: str, settings: Settings, unit: Unit | None
) -> Iterator[Document | Fault]:
    reader = _reader(suffix)
    if unit is None or not unit.stop:
        yield from reader.read(file, name, settings)
    elif hasattr(reader, "sizes"):
        yield from reader.read(file, name, settings, (unit.start, unit.stop))
    else:
        file.seek(unit.start)
        window = io.BufferedReader(_Window(file, unit.stop - unit.start), 1 << 18)
        yield from reader.read(window, name, settings, unit.line, unit.likely)


class _Window(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        data = self.file.read(min(len(target), self.left))
        target[: len(data)] = data
        self.left -= len(data)
        return len(data)


def _reader(suffix: str) -> ModuleType:
    return _readers().get(suffix, plain)


@functools.lru_cache(maxsize=1)
def _readers() -> dict[str, ModuleType]:
    """Suffix -> its reader; later files do not take the suffixes of earlier ones."""
    found: dict[str, ModuleType] = {}
    for name in sorted(one.name for one in pkgutil.iter_modules(readers.__path__)):
        module = importlib.import_module(f"{readers.__name__}.{name}")
        found |= {suffix: module for suffix in module.SUFFIXES if suffix not in found}
    return found
