"""Files of questions and answers -> records with their places: `records(path, say)`.

    CSV, TSV            a row a record; columns question and answer, and perhaps alternatives, id, language
    JSON, JSON lines    an object a record, with the same keys; a list, alone or under "entries"; schema.org's FAQPage
    Markdown, text      a heading is a question, what stands below it its answer; or lines that begin with Q: and A:
    HTML                <dt> and <dd>, <details> and <summary>, else headings and what stands below them

What is no record is a Fault; `say` is told of whatever is passed over. Knows nothing of what a record must hold.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError
from ..text import Fault, sources
from ..text.encodings import Unreadable, decoded
from ..text.readers import html

LARGEST = 50_000_000  # bytes of a file
COLUMNS = {
    "question": ("question", "q", "问题", "问", "问句", "标题"),
    "answer": ("answer", "a", "reply", "答案", "回答", "答", "答复"),
    "alternatives": ("alternatives", "alternative questions", "其他问法", "相似问法", "相似问", "相似问题"),
    "id": ("id", "编号"),
    "language": ("language", "lang", "语言"),
}
KNOWN = {name: column for column, names in COLUMNS.items() for name in names}
LISTS = ("entries", "faq", "mainEntity")
HEADING = re.compile(r"(#{1,6})[ \t]+(.*)$")
ASKED = re.compile(r"(?:\*\*)?(?:Q|Question|问|问题)[ \t]?\d{0,4}[ \t]?[.:：](.*)$", re.IGNORECASE)
ANSWERED = re.compile(r"(?:\*\*)?(?:A|Answer|答|回答)[ \t]?\d{0,4}[ \t]?[.:：](.*)$", re.IGNORECASE)
MARKUP = re.compile(r"<[a-zA-Z][^<>]{0,200}>|&(?:\w{1,10}|#\d{1,7});")
FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")
Say = Callable[[str], None]
Found = tuple[str, dict[str, Any]] | Fault


class Block(NamedTuple):
    """A piece of a page. level: 1 .. 6 of a heading, 7 of a question that says that it is one, 0 of other text."""

    level: int
    text: str
    line: int


def records(path: Path, say: Say) -> Iterator[Found]:
    """(file:line, record) of each entry of a file, or why it is none. DataError where the file cannot be read."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file of the kinds {', '.join(READERS)}")
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes, expected at most {LARGEST:,}")
        yield from reader(path.read_bytes(), path.name, say)
    except Unreadable as error:
        yield Fault(f"{path.name}:{error.line}" if error.line else path.name, str(error))
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror or error})") from None


def _pass_over(names: list[str], file: str, say: Say) -> None:
    """Tell of keys that nothing is made of."""
    if names:
        say(f"{file}: passed over {', '.join(sorted(set(names)))[:200]}; known are {', '.join(COLUMNS)}")


# ---- CSV ----


def _table(data: bytes, name: str, say: Say) -> Iterator[Found]:
    """A row an entry; the first row names the columns."""
    text, _ = decoded(data)
    head = text.partition("\n")[0]
    separator = max(",\t;|", key=re.sub(r'"[^"]*"', "", head).count)
    csv.field_size_limit(LARGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns, line = None, 1
    try:
        for row in reader:
            if columns is None:
                columns = _columns(row, name, say)
            elif len(row) != len(columns):
                if row:
                    yield Fault(f"{name}:{line}", f"expected {len(columns)} fields, found {len(row)}")
            else:
                yield f"{name}:{line}", {key: value for key, value in zip(columns, row, strict=True) if key}
            line = reader.line_num + 1
    except csv.Error as error:
        yield Fault(f"{name}:{line}", f"expected a row of fields, found what is none ({error})")


def _columns(row: list[str], name: str, say: Say) -> list[str]:
    """What each column is; "" for one that is not known. Raises Unreadable."""
    names = [field.strip().casefold() for field in row]
    columns = [KNOWN.get(one, "") for one in names]
    for wanted in ("question", "answer"):
        if columns.count(wanted) != 1:
            raise Unreadable(f"expected one column {wanted!r} in the first row, found the columns "
                             f"{', '.join(names)[:100]}", 1)  # fmt: skip
    _pass_over([one for one, known in zip(names, columns, strict=True) if not known and one], name, say)
    return columns


# ---- JSON ----


def _lines(data: bytes, name: str, say: Say) -> Iterator[Found]:
    """JSON lines: an object a line."""
    unknown: list[str] = []
    for line, text in enumerate(decoded(data)[0].split("\n"), start=1):
        if text.strip():
            try:
                yield _object(json.loads(text, object_pairs_hook=_pairs), f"{name}:{line}", unknown)
            except (ValueError, RecursionError) as error:
                yield Fault(f"{name}:{line}", f"expected a JSON object, found what is none ({_reason(error)})")
    _pass_over(unknown, name, say)


def _json(data: bytes, name: str, say: Say) -> Iterator[Found]:
    """A list of objects, alone or under a key."""
    text, _ = decoded(data)
    try:
        value = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        yield Fault(f"{name}:{line}" if line else name, f"expected JSON, found what is none ({_reason(error)})")
        return
    key = next((one for one in LISTS if isinstance(value, dict) and one in value), None)
    records = value[key] if key else value
    if not isinstance(records, list):
        yield Fault(name, f'expected a list of entries, or one under "entries", found {repr(value)[:60]}')
        return
    unknown: list[str] = []
    found = re.search(rf'"{key}"\s{{0,99}}:\s{{0,99}}\[' if key else r"\[", text)
    # None where the key is written with escapes; of another list, where it stands in an inner object first.
    lines = list(_lines_of(text, found.end())) if found else []
    for number, record in enumerate(records):
        place = f"{name}:{lines[number]}" if len(lines) == len(records) else f"{name}, entry {number + 1}"
        yield _object(record, place, unknown)
    _pass_over(unknown, name, say)


def _object(record: Any, source: str, unknown: list[str]) -> Found:
    """An entry of one object; schema.org's Question has its text as "name" and its answer in "acceptedAnswer"."""
    if not isinstance(record, dict):
        return Fault(source, f"expected an object with question and answer, found {repr(record)[:60]}")
    if record.get("@type") == "Question":
        accepted = record.get("acceptedAnswer")
        answer = accepted.get("text") if isinstance(accepted, dict) else None
        if isinstance(answer, str) and MARKUP.search(answer):
            blocks = html.blocks(answer.encode(), f"{source}.html", sources.Settings())
            answer = "\n\n".join(one["text"] for one in blocks)
        return source, {"question": record.get("name"), "answer": answer}
    unknown += [key for key in record if key.casefold() not in KNOWN]
    return source, {KNOWN[key.casefold()]: value for key, value in record.items() if key.casefold() in KNOWN}


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which each key stands once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "msg", "") or str(error)[:80] or "nested too deeply"


def _lines_of(text: str, place: int) -> Iterator[int]:
    """The line on which each element of a JSON list begins. The text is JSON, and `place` behind the list's bracket."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    while True:
        while text[place] in " \t\r\n,":
            place += 1
        if text[place] == "]":
            return
        line, counted = line + text.count("\n", counted, place), place
        yield line
        _, place = decoder.raw_decode(text, place)


# ---- Markdown and HTML ----


def _markdown(data: bytes, name: str, say: Say) -> Iterator[Found]:
    """Headings and what stands below them, or lines that begin with Q: and A:."""
    blocks, fence = [], ""
    for line, text in enumerate(decoded(data)[0].split("\n"), start=1):
        mark = FENCE.match(text)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        blocks.append(Block(0, text, line) if fence or mark else _block(text, line))
    yield from _paired(blocks, name, say, "\n")


def _block(text: str, line: int) -> Block:
    """A line of Markdown."""
    if found := HEADING.match(text):
        return Block(len(found[1]), found[2].rstrip("# \t"), line)
    if found := ASKED.match(text):
        return Block(7, found[1].strip("* \t"), line)
    found = ANSWERED.match(text)
    if found and text.startswith("**"):
        return Block(0, found[1].strip().removeprefix("**").strip(), line)
    return Block(0, found[1].strip() if found else text, line)


def _html(data: bytes, name: str, say: Say) -> Iterator[Found]:
    """Lists of definitions, details, or headings; parsed in a child process."""
    blocks = [Block(**one) for one in html.blocks(data, name, sources.Settings())]
    yield from _paired(blocks, name, say, "\n\n")


def _paired(blocks: list[Block], name: str, say: Say, between: str) -> Iterator[Found]:
    """Questions and the texts below them. Where some say that they are questions, headings are only titles."""
    said = any(block.level == 7 for block in blocks)
    asked = [number for number, block in enumerate(blocks) if block.level == 7 or block.level and not said]
    if any(block.level == 0 and block.text.strip() for block in blocks[: asked[0] if asked else None]):
        say(f"{name}: the text before the first question is passed over")
    for number, following in zip(asked, [*asked, None][1:], strict=True):
        block = blocks[number]
        answer = between.join(_until_title(blocks[number + 1 : following])).strip()
        if following is not None and not said and blocks[following].level > block.level:
            more = " and the text below it passed over" if answer else ""
            say(f"{name}:{block.line}: {block.text[:60]!r} stands over deeper headings; taken as a title{more}")
        else:
            yield f"{name}:{block.line}", {"question": block.text, "answer": answer}


def _until_title(blocks: list[Block]) -> Iterator[str]:
    """The texts before the next heading."""
    for block in blocks:
        if block.level:
            return
        yield block.text


READERS = {
    ".csv": _table, ".tsv": _table, ".json": _json, ".jsonl": _lines, ".ndjson": _lines, ".md": _markdown,
    ".markdown": _markdown, ".txt": _markdown, ".html": _html, ".htm": _html, ".xhtml": _html,
}  # fmt: skip
