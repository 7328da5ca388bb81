"""Files and folders in, documents out: `read(paths) -> Iterator[Document]`.

    a folder            every file below it in the order of the names; what is hidden, __pycache__ and links to
                        folders are passed over
    *.jsonl, *.ndjson   one document a line: {"text": ..., "title": ..., "label": ...}, the last two optional
    any other file      plain text, Markdown, source code ...: one document, or, where it is longer than 100,000
                        characters, pieces of about 20,000 cut at paragraphs, so that a part of a book can be
                        held out

Text is UTF-8, or UTF-16 by its byte order mark; any other encoding is guessed, and the guess is noted. What
cannot be read is never passed over in silence: all faults of all files come in one DataError at the end, or,
where the caller asks for it, they are left out and noted. Knows nothing of cleaning.
"""

import codecs
import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from upwell.errors import DataError
from upwell.text import Document

LONG, PIECE = 100_000, 20_000
BLOCK = 1 << 20
SHOWN = 20
JSON_LINES = (".jsonl", ".ndjson")
KEYS = ("text", "title", "label")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
USUAL = (
    "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1250", "cp1251", "koi8_r", "cp1252", "cp1253", "cp1254",
    "cp1255", "cp1256", "cp1257", "cp1258",
)  # fmt: skip
EUROPEAN = ("cp1250", "cp1252", "cp1254", "cp1257", "cp1258")
WESTERN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœÿ¿¡«»°“”‘’„–—…€£§©·\xa0"
CONTROLS = bytes({*range(32)} - {8, 9, 10, 11, 12, 13, 26, 27})  # beside tab, line ends, backspace and escape
MOST_CONTROLS = 0.01


@dataclass
class Notes:
    """What a reader should be told: filled while `read` runs."""

    files: int = 0
    encodings: dict[str, str] = field(default_factory=dict)  # file -> its encoding, where it is not UTF-8
    divided: dict[str, int] = field(default_factory=dict)  # long file -> number of pieces
    left_out: list[str] = field(default_factory=list)  # faults passed over by wish


def read(
    paths: Sequence[str | Path],
    encoding: str | None = None,
    skip_unreadable: bool = False,
    notes: Notes | None = None,
) -> Iterator[Document]:
    """Documents of files and folders, in order. encoding: of all plain files, instead of finding it out.

    Raises DataError at once for a path that does not exist or holds no files, and at the end with every binary
    file, unknown encoding and bad line, unless skip_unreadable: then they stand in notes.left_out.
    """
    _check_encoding(encoding)
    notes = notes if notes is not None else Notes()
    faults: list[str] = []
    for path in list_files(paths):
        notes.files += 1
        try:
            if path.suffix.lower() in JSON_LINES:
                yield from _json_lines(path, faults)
            else:
                yield from _plain(path, encoding, notes)
        except OSError as error:
            faults.append(f"{path}: cannot be read: {error.strerror or error}")
        except _Unreadable as error:
            faults.append(f"{path}: {error}")
    if faults and not skip_unreadable:
        raise DataError(_told(faults))
    notes.left_out += faults


def list_files(paths: Sequence[str | Path]) -> list[Path]:
    """Every file that `read` would open, in its order. Raises DataError for a path with none."""
    files = []
    for path in map(Path, paths):
        found = _below(path) if path.is_dir() else [path]
        if not path.is_dir() and not path.is_file():
            state = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise DataError(f"{path} {state}; name a file or a folder of text.")
        if not found:
            raise DataError(f"{path} holds no files (hidden ones do not count); name a folder with text in it.")
        files += found
    return files


class _Unreadable(Exception):
    """Why a file is no text; told in its place among all faults."""


def _check_encoding(encoding: str | None) -> None:
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise DataError(f"{encoding} is no encoding that Python knows; name one as utf-8 or gb18030.") from None


def _below(folder: Path) -> list[Path]:
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        found += [Path(root, name) for name in files if not name.startswith(".")]
    found = [path for path in found if path.is_file() or not path.exists()]  # no pipes; a broken link is told
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _told(faults: list[str]) -> str:
    shown = "\n".join(f"  {fault}" for fault in faults[:SHOWN])
    more = f"\n  and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return (
        f"{len(faults):,} of the texts cannot be read; mend them, take them out, or pass over them with "
        f"--skip-unreadable:\n{shown}{more}"
    )


# ---- JSON lines ----


def _json_lines(path: Path, faults: list[str]) -> Iterator[Document]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not line.strip():
                continue
            try:
                yield _document(line, f"{path}:{number}")
            except _Unreadable as fault:
                faults.append(f"{path}:{number}: {fault}")


def _document(line: bytes, source: str) -> Document:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _Unreadable(f"expected UTF-8, found byte 0x{line[error.start]:02x}") from None
    except (ValueError, RecursionError) as error:
        message = getattr(error, "msg", "it cannot be parsed")
        raise _Unreadable(f"expected a JSON object, found {_short(line)} ({message})") from None
    if not isinstance(record, dict):
        raise _Unreadable(f'expected a JSON object with "text", found {_short(line)}')
    if "text" not in record:
        raise _Unreadable(f'expected a key "text", found {", ".join(map(repr, record)) or "no keys"}')
    values = [record.get(key, "") for key in KEYS]
    for key, value in zip(KEYS, values, strict=True):
        if not isinstance(value, str):
            raise _Unreadable(f'expected a string at "{key}", found {json.dumps(value)[:40]}')
    return Document(values[0], source, values[1], values[2])


def _short(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", errors="replace").strip())


# ---- plain text ----


def _plain(path: Path, encoding: str | None, notes: Notes) -> Iterator[Document]:
    found = encoding or encoding_of(path)
    if found not in ("utf-8", "utf-8-sig"):
        notes.encodings[str(path)] = found
    try:
        with open(path, encoding=found, newline=None) as file:
            head = file.read(LONG + 1)
            if len(head) <= LONG:
                yield Document(head, str(path))
                return
            pieces = 0
            for line, piece in _pieces(head, file, PIECE):
                pieces += 1
                yield Document(piece, f"{path}:{line}")
            notes.divided[str(path)] = pieces
    except UnicodeError as error:
        raise _Unreadable(f"begins like {found} but is not ({error.args[-1]}); {ADVICE}") from None


ADVICE = "save it as UTF-8 or name its --encoding"


def divide(document: Document, size: int) -> list[Document]:
    """A document in pieces of about `size` characters, cut at paragraphs where there are any."""
    place, line = _place(document.source)
    pieces = _pieces(document.text, io.StringIO(), size)
    return [replace(document, text=text, source=f"{place}:{line + more - 1}") for more, text in pieces]


def _place(source: str) -> tuple[str, int]:
    place, _, line = source.rpartition(":")
    return (place, int(line)) if place and line.isdigit() else (source, 1)


def _pieces(head: str, file: io.TextIOBase, size: int) -> Iterator[tuple[int, str]]:
    """(line at which it begins, text) of pieces whose sum is the head and the rest of the file."""
    line, rest = 1, head
    while rest:
        if len(rest) < 2 * size:
            rest += file.read(LONG)
        cut = len(rest) if len(rest) < 2 * size else _border(rest, size)
        yield line, rest[:cut]
        line += rest.count("\n", 0, cut)
        rest = rest[cut:]


def _border(text: str, size: int) -> int:
    """The best place to cut before `size` characters: after a blank line, a line, a sentence, a word, anywhere."""
    for sign in ("\n\n", "\n", "。", ". ", " "):
        found = text.rfind(sign, size // 2, size)
        if found >= 0:
            return found + len(sign)
    return size


def encoding_of(path: Path) -> str:
    """The encoding of a text file: by byte order mark, else UTF-8 where all of it is, else the likeliest.

    Raises _Unreadable for a file that is no text or whose encoding cannot be told.
    """
    with open(path, "rb") as file:
        head = file.read(BLOCK)
        for mark, name in MARKS:
            if head.startswith(mark):
                return name
        controls = len(head) - len(head.translate(None, CONTROLS))
        if b"\0" in head or controls > MOST_CONTROLS * len(head):
            raise _Unreadable("a binary file, expected text; take it out, or turn it into text first")
        sample = _not_utf8(head, file)
    return "utf-8" if sample is None else _guessed(sample)


def _not_utf8(block: bytes, file: io.BufferedIOBase) -> bytes | None:
    """None where all of the file is UTF-8, else the block in which it first is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        following = file.read(BLOCK)
        try:
            decoder.decode(block, final=not following)
        except UnicodeDecodeError:
            return block
        if not following:
            return None
        block = following


def _guessed(block: bytes) -> str:
    """The likeliest encoding by the lines that are not plain ASCII: only they tell anything."""
    import charset_normalizer

    lines = block.splitlines()
    lines = lines[1:-1] or lines if len(block) == BLOCK else lines  # those at the ends may be cut in a character
    telling = b"\n".join(_first_bytes([line for line in lines if not line.isascii()], 20_000))
    best = charset_normalizer.from_bytes(telling, cp_isolation=list(USUAL)).best()
    if best is None:
        raise _Unreadable(f"neither UTF-8 nor any encoding that can be told from its bytes; {ADVICE}")
    # Western and Central European letters share their bytes; western ones throughout are hardly chance;
    # the odd foreign name is allowed.
    if best.encoding in EUROPEAN and _western(telling):
        return "cp1252"
    return best.encoding


def _first_bytes(lines: list[bytes], size: int) -> list[bytes]:
    """Whole lines, at least one, of about `size` bytes together."""
    ends = itertools.accumulate(map(len, lines))
    return [line for line, end in zip(lines, ends, strict=True) if end - len(line) < size]


def _western(block: bytes) -> bool:
    try:
        text = block.decode("cp1252")
    except UnicodeDecodeError:
        return False
    telling = [character.lower() in WESTERN for character in text if not character.isascii()]
    return sum(telling) >= 0.95 * len(telling)
