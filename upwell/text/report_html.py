"""What the report writes, in both languages: words, numbers and sizes, and texts from outside made harmless.

A piece of writing is a pair (English, Chinese) of HTML. `safe` stands before everything that comes from a file.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from upwell.text.report_words import LANGUAGES, NAMES, NOUNS, REASONS, SECRETS, STEPS, WORDS

Words = tuple[str, str]
MARKS = 5
"""Combining marks on one letter that are shown."""


def word(key: str, **values: str | Words) -> Words:
    """An entry of WORDS with its places filled, each in its language."""
    english, chinese = ({name: value if isinstance(value, str) else value[which] for name, value in values.items()}
                        for which in (0, 1))  # fmt: skip
    return WORDS[key][0].format(**english), WORDS[key][1].format(**chinese)


def both(words: Words) -> str:
    """HTML that shows one of the two, by the switch; where they are the same there is only one."""
    if words[0] == words[1]:
        return words[0]
    return f'<span class="en" lang="en">{words[0]}</span><span class="zh" lang="zh-Hans">{words[1]}</span>'


def span(kind: str, words: Words) -> str:
    return f'<span class="{kind}">{both(words)}</span>' if any(words) else ""


def linked(words: Words, anchor: str | None) -> str:
    return f'<a href="#{anchor}">{both(words)}</a>' if anchor else both(words)


def joined(*parts: Words) -> Words:
    """The parts that say something, with a dot between."""
    return tuple(" · ".join(part[which] for part in parts if part[which]) for which in (0, 1))


def plain(text: str) -> Words:
    return text, text


def amount(count: int, noun: str, short: bool = False) -> Words:
    """1 document, 2,000 documents; short: 1.2 M characters."""
    one, many, chinese = NOUNS[noun]
    english, han = shortened(count) if short else plain(f"{count:,}")
    return f"{english}\N{NO-BREAK SPACE}{one if count == 1 else many}", f"{han}\N{NO-BREAK SPACE}{chinese}"


def characters_of(amounts: Mapping) -> Words:
    return amount(amounts["characters"], "character", True) if amounts.get("characters") is not None else ("", "")


def shortened(count: int) -> Words:
    """12,345,678 -> 12.3 M, 1235 万; below 10,000 in full."""
    if count < 10_000:
        return plain(f"{count:,}")
    return _scaled(count, ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))), _scaled(
        count, ((10**12, "万亿"), (10**8, "亿"), (10**4, "万")))  # fmt: skip


def _scaled(count: float, units: Sequence[tuple[int, str]]) -> str:
    size, unit = next((one for one in units if count >= one[0]), (1, ""))
    value = count / size
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    number = f"{value:,.{digits}f}"
    number = number.rstrip("0").rstrip(".") if digits else number
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def size_of(count: int | None) -> str:
    if count is None:
        return ""
    units = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
    return f"{count} B" if count < 1000 else _scaled(count, units)


def share_of(part: float, whole: float) -> str:
    percent = 100 * part / whole if whole else 0
    if 0 < percent < 0.1:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    if 99.9 < percent < 100:
        return ">\N{NO-BREAK SPACE}99.9\N{NO-BREAK SPACE}%"
    digits = 0 if percent == int(percent) else 1
    return f"{percent:.{digits}f}\N{NO-BREAK SPACE}%"


def number_of(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def reason_words(reason: str) -> Words:
    name, _, secret = reason.removesuffix(" masked").rpartition(" ")
    if reason in REASONS or secret not in SECRETS or not reason.endswith(" masked"):
        return safe(reason), REASONS.get(reason) or safe(reason)
    return safe(reason), f"遮盖 {safe(name)} {SECRETS[secret]}" if name else f"遮盖{SECRETS[secret]}"


def step_name(name: str) -> Words:
    return STEPS[name][:2] if name in STEPS else plain(safe(name))


def step_about(name: str) -> Words:
    return STEPS[name][2:] if name in STEPS else ("", "")


def kind_name(key: str) -> Words:
    return NAMES.get(key) or plain(safe(key))


def language_name(code: str) -> Words:
    for entry in re.split(r"[|\n]", LANGUAGES):
        if entry.startswith(f"{code} "):
            english, chinese = entry[len(code) + 1 :].rsplit(" ", 1)
            return english, chinese
    return plain(safe(code))


# ---- what comes from files ----


def safe(text: str) -> str:
    """HTML of a text from outside: markup is letters, signs that act without being seen are named, marks heaped on
    one letter beyond MARKS are left out."""
    if text.isascii() and text.isprintable():
        return html.escape(text, quote=True)
    parts, heap = [], 0
    for character in text:
        heap = heap + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if heap <= MARKS:
            parts.append(_sign(character) if _unseen(character) else html.escape(character, quote=True))
    return "".join(parts)


def _unseen(character: str) -> bool:
    """Control signs, surrogates, direction overrides, tags; not the joiners and marks that scripts need."""
    if character.isascii():
        return not (character.isprintable() or character in "\n\t")
    return unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp") and not "\u200c" <= character <= "\u200f"


def _sign(character: str) -> str:
    return f'<span class="sign" title="{unicodedata.name(character, "")}">U+{ord(character):04X}</span>'


def settings_rows(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as ("quality.on", "True"); names as flags have them."""
    if not isinstance(value, Mapping):
        return [(name, _said(value))]
    return [row for key, part in value.items() for row in settings_rows(part, f"{name}.{key}" if name else str(key))]


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value in (None, "") else str(value)


def folded(rows: Sequence[str], open_: int, enclose: Callable[[Sequence[str]], str]) -> str:
    """The first rows in the open, the others behind "and 12 more"; one more is not worth a fold."""
    if len(rows) <= open_ + 1:
        return enclose(rows) if rows else ""
    more = both(word("more", n=f"{len(rows) - open_:,}"))
    return enclose(rows[:open_]) + f'<details class="rest"><summary>{more}</summary>{enclose(rows[open_:])}</details>'


def ranked(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(((str(name), count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0]))
