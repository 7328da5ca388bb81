"""Translated interface texts out of gettext's .mo and .po files."""

import gettext
import io
import re
from collections.abc import Iterator


def messages(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    """(English, translated) of a file, by the end of its name."""
    return mo(content) if name.endswith(".mo") else po(content.decode("utf-8"))


def mo(content: bytes) -> Iterator[tuple[str, str]]:
    """(English, translated) of a compiled catalogue; of a plural its first form, which has the singular's English."""
    translations = gettext.GNUTranslations(io.BytesIO(content))
    for key, translated in translations._catalog.items():  # the only way to list them that gettext has
        english, form = key if isinstance(key, tuple) else (key, 0)
        if not form:
            yield english.rpartition("\x04")[2], translated


PO_LINE = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr|msgstr\[0\]|msgstr\[[1-9]\])?\s*"(.*)"\s*$')


def po(content: str) -> Iterator[tuple[str, str]]:
    """(msgid, msgstr) of the entries that are translated and not fuzzy."""
    for block in re.split(r"\n\s*\n", content):
        fields, key = {}, ""
        for line in block.splitlines():
            if match := PO_LINE.match(line):
                key = match[1] or key
                fields[key] = fields.get(key, "") + _unescaped(match[2])
        translated = fields.get("msgstr") or fields.get("msgstr[0]") or ""
        if fields.get("msgid") and translated and not re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE):
            yield fields["msgid"], translated


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1]), text)
