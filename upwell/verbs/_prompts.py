"""A file of prompts and a file of answers: what is asked line by line, and how far an earlier run came.

    lines = read(path, settings)                    # every bad line is listed before anything is asked
    keys = (key(one, work) for one in asked(...))   # one for each answer, another one for whatever could change it
    done = answered(out, keys)                      # what stands whole in the file; the rest is still to be written
    with Answers(out, done) as file: file.add(record)

Answers are JSON lines in the order of the prompts, each on the disk before the next is written: a run that was killed
leaves whole lines and at most the beginning of one, which the next run cuts off.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from upwell.atomic import said_plainly
from upwell.errors import DataError, SettingsError, UpwellError
from upwell.generation import settings as writing
from upwell.generation.settings import unwritable
from upwell.settings import checked, did_you_mean
from upwell.text import chat
from upwell.verbs._asking import Asked

OWN = tuple(field.name for field in fields(writing.Settings))
KNOWN = ("prompt", "messages", "id", *OWN)
MOST_FAULTS = 1000      # that are listed one by one
BEGINNING = b'{"key": "'    # of each line of answers


@dataclass(frozen=True)
class Line:
    """One line of a file of prompts."""

    number: int
    prompt: str | list[dict]
    settings: dict
    """What it says itself of how its text is to be written."""
    id: str | int | None = None


@dataclass(frozen=True)
class Done:
    """How far an earlier run came."""

    answers: int = 0
    size: int = 0
    """Bytes of whole lines."""


# ---- prompts ----


def read(path: Path, settings: writing.Settings) -> list[Line]:
    """The prompts of a file: a text a line in .txt, JSON lines in all others. DataError lists every bad line."""
    texts = path.suffix.lower() == ".txt"
    lines, faults, ids = [], [], {}
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            text = _decoded(raw.removesuffix(b"\r"))
            line = Line(number, text, {}) if texts else _line(text, number)
            replace(settings, **line.settings)
            if line.id is not None and ids.setdefault(line.id, number) != number:
                raise DataError(f"id: expected one of its own, found {line.id!r} as in line {ids[line.id]}")
            lines.append(line)
        except UpwellError as error:
            faults.append(f"{path}:{number}: {error}")
    refuse(faults)
    if not lines:
        raise DataError(f'{path}: found no prompt, expected lines such as {{"prompt": "The river"}}')
    return lines


def refuse(faults: list[str]) -> None:
    """DataError with all of them, where there is one."""
    if faults:
        more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        raise DataError("\n".join(faults[:MOST_FAULTS] + more))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"expected UTF-8, found the byte {raw[error.start]:#04x} at place {error.start}") from None


def _line(text: str, number: int) -> Line:
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"expected a JSON object or a JSON text, found {text[:60]!r} ({why})") from None
    if isinstance(said, str):
        said = {"prompt": said}
    if not isinstance(said, dict) or ("prompt" in said) == ("messages" in said):
        raise DataError(f"expected an object with either prompt or messages, found {_short(said)}")
    for name in said:
        if name not in KNOWN:
            raise DataError(f"expected prompt, messages, id and settings, found {name!r}{did_you_mean(name, KNOWN)}")
    own = {name: checked(writing.Settings, name, said[name]) for name in OWN if name in said}
    return Line(number, _prompt(said), own, _id(said))


def _once(pairs: list[tuple]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise DataError(f"expected each key once, found {twice!r} twice")
    return found


def _prompt(said: dict) -> str | list[dict]:
    if "messages" in said:
        chat.check(said["messages"])
        if fault := unwritable(json.dumps(said["messages"], ensure_ascii=False), "messages"):
            raise DataError(fault)
        return said["messages"]
    if not isinstance(said["prompt"], str):
        raise DataError(f"prompt: expected a text, found {_short(said['prompt'])}")
    if fault := unwritable(said["prompt"], "prompt"):
        raise DataError(fault)
    return said["prompt"]


def _id(said: dict) -> str | int | None:
    found = said.get("id")
    if found is not None and (not isinstance(found, str | int) or isinstance(found, bool)):
        raise DataError(f"id: expected a text or a whole number, found {_short(found)}")
    return found


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


# ---- what is asked ----


def asked(lines: Iterable[Line], settings: writing.Settings, n: int, drawn: int) -> Iterator[Asked]:
    """`n` questions a line. Their seeds count up from the line's own one, else from that of the settings, else from
    `drawn`."""
    first = drawn if settings.seed is None else settings.seed
    for place, line in enumerate(lines):
        own = replace(settings, **line.settings)
        begin = first + place * n if line.settings.get("seed") is None else own.seed
        for sample in range(n):
            seeded = replace(own, seed=(begin + sample + 2**63) % 2**64 - 2**63)
            yield Asked(line.prompt, seeded, line.number, sample, line.id, own.seed is None)


def key(one: Asked, work: dict) -> str:
    """Sixteen hex digits that stand for all that could change this answer; `work` is what all questions share."""
    said = [work, one.prompt, asdict(one.settings) | ({"seed": None} if one.drawn else {}), one.line, one.sample]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def unfit(read_ids, questions: Iterable[Asked], path: Path) -> None:
    """DataError lists every prompt that `read_ids(asked)` refuses with an UpwellError."""
    faults = []
    for one in questions:
        try:
            read_ids(one)
        except UpwellError as error:
            faults.append(f"{path}:{one.line}: {error}")
    refuse(list(dict.fromkeys(faults)))


# ---- answers ----


def answered(out: Path, keys: Iterable[str]) -> Done:
    """The whole lines of `out`. SettingsError where they are no answers, or answers to something else."""
    answers = size = 0
    keys = iter(keys)
    try:
        file = open(out, "rb")
    except FileNotFoundError:
        return Done()
    with file:
        for number, raw in enumerate(file, start=1):
            whole = raw.endswith(b"\n")
            if not raw.startswith(BEGINNING) and (whole or not BEGINNING.startswith(raw[: len(BEGINNING)])):
                raise SettingsError(f"{out}:{number}: found {raw[:40]!r}, expected an answer of an earlier run; "
                                    "name another --out")  # fmt: skip
            if not whole:
                break
            if _key_of(raw) != next(keys, None):
                raise SettingsError(
                    f"{out}:{number}: found the answer to another prompt, or one with other settings or another "
                    "model, expected those of this command; name another --out, or remove the file"
                )
            answers, size = answers + 1, size + len(raw)
    return Done(answers, size)


def _key_of(raw: bytes) -> str | None:
    try:
        return json.loads(raw).get("key")
    except ValueError:
        return None


class Answers:
    """The file of answers; it is opened behind its whole lines when the first answer comes."""

    def __init__(self, out: Path, done: Done):
        self._out, self._done, self._file = out, done, None

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_) -> None:
        if self._file:
            self._file.close()

    def add(self, record: dict) -> None:
        """One more line, on the disk when this returns."""
        with said_plainly(self._out):
            if self._file is None:
                self._file = open(self._out, "ab")
                self._file.truncate(self._done.size)
            self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
