"""gettext .po and .mo: each translated message as a pair. What is not translated, doubtful (fuzzy) or obsolete is none.

The language is the one that the file's header names; messages are English, as gettext's manual has it.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from upwell.text import Document, Fault, examples
from upwell.text.encodings import Unreadable, all_of, decoded

SUFFIXES = (".po", ".pot", ".mo", ".gmo")
MAGIC = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*')
PART = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d{1,2})\])?)\s*(?=\")")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "a": "\a", "b": "\b", "v": "\v", "f": "\f"}


@dataclass
class _Message:
    line: int
    parts: dict[str, str] = field(default_factory=dict)
    fuzzy: bool = False


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    data = all_of(file, settings.longest)
    messages = _binary(data) if data[:4] in MAGIC else _written(data, name, settings)
    language = ""
    for message in messages:
        if isinstance(message, Fault):
            yield message
            continue
        source, target = message.parts.get("msgid", ""), _target(message.parts)
        if not source:
            found = re.search(r"^Language: *([\w@.-]+)", target, re.MULTILINE)
            language = found[1].replace("_", "-") if found else ""
        elif target and not message.fuzzy:
            place = f"{name}:{message.line}"
            yield from (_pair(*two, language, place) for two in _pairs(message.parts, source, target))


def _pair(source: str, target: str, language: str, place: str) -> Document | Fault:
    record = {"source": source, "target": target, "source_language": "en", "target_language": language}
    return examples.document(record, place)


def _pairs(parts: dict[str, str], source: str, target: str) -> Iterator[tuple[str, str]]:
    yield source, target
    last = max((key for key in parts if key.startswith("msgstr[")), key=lambda key: int(key[7:-1]), default="")
    if parts.get("msgid_plural") and last not in ("", "msgstr[0]") and parts[last]:
        yield parts["msgid_plural"], parts[last]


def _target(parts: dict[str, str]) -> str:
    return parts.get("msgstr") or parts.get("msgstr[0]", "")


# ---- .po ----


def _written(data: bytes, name: str, settings) -> Iterator[_Message | Fault]:
    text, _ = decoded(data, settings.encoding or _charset(data))
    message, key = _Message(1), ""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if line.startswith("#") or not line:
            if "msgstr" in "".join(message.parts):
                yield message
                message, key = _Message(number), ""
            message.fuzzy |= line.startswith("#,") and "fuzzy" in line
            continue
        part = PART.match(line)
        if part and part[1] in ("msgctxt", "msgid") and "msgstr" in "".join(message.parts):
            yield message
            message = _Message(number)
        if part:
            key, line = part[1], line[part.end() :]
            message.line = number if key == "msgid" else message.line
        whole = STRING.fullmatch(line)
        if not key or not whole:
            yield Fault(f"{name}:{number}", f'expected msgid, msgstr or a "string", found {line[:40]!r}')
            continue
        message.parts[key] = message.parts.get(key, "") + _unescaped(whole[1])
    if message.parts:
        yield message


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda sign: ESCAPES.get(sign[1], sign[0]), text) if "\\" in text else text


def _charset(data: bytes) -> str:
    """The encoding that the header declares, where Python knows it."""
    from upwell.text.readers.html import _known

    found = re.search(rb"charset=([\w-]{2,40})", data[:8192])
    name = found[1].decode("ascii") if found and found[1] != b"CHARSET" else ""
    return _known(name) if name and name.lower() not in ("utf-8", "ascii", "us-ascii") else ""


# ---- .mo ----


def _binary(data: bytes) -> Iterator[_Message]:
    order = "<" if data[:4] == MAGIC[0] else ">"
    try:
        count, sources, targets = struct.unpack_from(order + "III", data, 8)
        if count > len(data) // 16:
            raise Unreadable(f"half a .mo file: it names {count:,} messages, which do not fit into {len(data):,} bytes")
        header = _string(data, order, targets, 0) if count else b""
        charset = _charset(header) or "utf-8"
        for number in range(count):
            source, target = (_string(data, order, table, number).decode(charset) for table in (sources, targets))
            yield _Message(number + 1, _parts(source.rpartition("\x04")[2].split("\0"), target.split("\0")))
    except struct.error:
        raise Unreadable("half a .mo file, expected a whole one; make it anew with msgfmt") from None
    except UnicodeError:
        raise Unreadable(f"a .mo file that says it is {charset} and is not; make it anew with msgfmt") from None


def _parts(source: list[str], target: list[str]) -> dict[str, str]:
    plural = {"msgid_plural": source[1]} if len(source) > 1 else {}
    return {"msgid": source[0], **plural, **{f"msgstr[{number}]": text for number, text in enumerate(target)}}


def _string(data: bytes, order: str, table: int, number: int) -> bytes:
    size, place = struct.unpack_from(order + "II", data, table + 8 * number)
    if place + size > len(data):
        raise Unreadable("half a .mo file: a message lies behind its end; make it anew with msgfmt")
    return data[place : place + size]
