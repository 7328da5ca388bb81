"""Gettext's PO and POT: each message without a translation, or with a doubtful one, is translated into its msgstr.

Comments, the header and what is translated already stay. What is written here is marked as fuzzy, as gettext wants it
of a machine's translation, unless it equals what stood there.
"""

import re

from ...text.encodings import Unreadable
from .. import Opened, Parts, Segment
from ._laid import decoded

SUFFIXES = (".po", ".pot")
FIELD = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)[ \t]+"(.*)"[ \t]*$')
MORE = re.compile(r'^[ \t]*"(.*)"[ \t]*$')
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def read(data: bytes, name: str) -> Opened:
    text, encoding = decoded(data)
    lines = text.split("\n")
    entries = list(_entries(lines))
    if not entries:
        raise Unreadable("found no msgid, expected a gettext catalogue")
    wanted = [(entry, field) for entry in entries if entry["texts"].get("msgid") for field in _open(entry)]
    segments = [Segment((_source(entry["texts"], field),), f"{name}:{entry['lines'][field][0] + 1}")
                for entry, field in wanted]  # fmt: skip

    def write(written: list[Parts]) -> bytes:
        out = list(lines)
        marked = set()
        for (entry, field), segment, parts in zip(wanted, segments, written, strict=True):
            if parts == segment.parts:  # a message without a translation is shown as it is
                continue
            first, last = entry["lines"][field]
            ending = "\r" if lines[first].endswith("\r") else ""
            out[first] = f'{field} "{_escaped("".join(map(str, parts)))}"{ending}'
            out[first + 1 : last + 1] = [None] * (last - first)
            if not entry["fuzzy"] and entry["begin"] not in marked:
                marked.add(entry["begin"])
                out[entry["begin"]] = f"#, fuzzy{ending}\n{out[entry['begin']]}"
        return "\n".join(line for line in out if line is not None).encode(encoding)

    return Opened(segments, write)


def _entries(lines: list[str]):
    """Each message: texts and lines by field, where its first field stands, whether it is fuzzy."""
    entry, field = None, ""
    fuzzy = False
    for number, line in enumerate(lines):
        line = line.rstrip("\r")
        found = FIELD.match(line)
        if found:
            if entry is None or found[1] in ("msgctxt", "msgid") and "msgid" in entry["texts"]:
                if entry:
                    yield entry
                entry = {"texts": {}, "lines": {}, "begin": number, "fuzzy": fuzzy}
                fuzzy = False
            field = found[1]
            entry["texts"][field], entry["lines"][field] = _unescaped(found[2], number), [number, number]
        elif (more := MORE.match(line)) and entry and field:
            entry["texts"][field] += _unescaped(more[1], number)
            entry["lines"][field][1] = number
        elif line.startswith("#~") or not line.strip():
            field = ""
        elif line.startswith("#"):
            fuzzy = fuzzy or line.startswith("#,") and "fuzzy" in line
            field = ""
        else:
            raise Unreadable('expected a field such as msgid "...", found ' + repr(line[:40]), number + 1)
    if entry:
        yield entry


def _source(texts: dict[str, str], field: str) -> str:
    """What a field is the translation of: the first form of a plural is the singular."""
    return texts.get("msgid_plural", texts["msgid"]) if field not in ("msgstr", "msgstr[0]") else texts["msgid"]


def _open(entry: dict) -> list[str]:
    """The fields of a message that want a translation."""
    return [field for field, text in entry["texts"].items()
            if field.startswith("msgstr") and (not text or entry["fuzzy"])]  # fmt: skip


def _unescaped(text: str, line: int) -> str:
    if re.search(r'(?<!\\)(?:\\\\)*"', text):
        raise Unreadable('a quotation mark within a text, expected \\"', line + 1)
    return re.sub(r"\\(.)", lambda sign: ESCAPES.get(sign[1], sign.group()), text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
