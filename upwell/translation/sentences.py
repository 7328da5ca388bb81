"""Where a sentence ends (sentencex, which knows the habits of many languages), and which language a text is in."""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ..errors import ServiceError

CLOSE_SET = ("zh", "ja", "th", "km", "lo", "my")  # languages that put no space between sentences
HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
KANA = re.compile("[\u3040-\u30ff]")


class Sentence(NamedTuple):
    """A sentence and the space behind it."""

    text: str
    space: str


def divided(text: str, language: str) -> list[Sentence]:
    """The sentences of a text, in order; joined with their spaces they are the text, but for space at its beginning."""
    found, at = [], 0
    for sentence in _segmenter()(language or "en", text):
        begin = text.find(sentence, at)
        words = sentence.strip()
        if begin < 0 or not words:
            continue
        first = begin + sentence.find(words)
        if found and first > at:
            found[-1] = found[-1]._replace(space=found[-1].space + text[at:first])
        at = first + len(words)
        found.append(Sentence(words, ""))
    if found and at < len(text):
        found[-1] = found[-1]._replace(space=found[-1].space + text[at:])
    return found


@cache
def _segmenter() -> Callable:
    """sentencex's function."""
    try:
        from sentencex import segment
    except ImportError:
        raise ServiceError("dividing a text into sentences needs the package sentencex: "
                           "pip install sentencex") from None  # fmt: skip
    return lambda language, text: list(segment(language, text))


def between(space: str, language: str) -> str:
    """The space behind a sentence, as another language writes it: a line break stays, a blank goes or comes."""
    if "\n" in space:
        return space
    return "" if language.partition("-")[0] in CLOSE_SET else space or " "


class Guess(NamedTuple):
    """A language and how sure the detector is of it, 0 .. 1."""

    language: str
    probability: float


def guessed(text: str) -> Guess:
    """The language of a text. Chinese and Japanese by their signs, others by a model of 176 languages.

    Language "" with 0 for a text without letters.
    """
    letters = sum(map(str.isalpha, text))
    if not letters:
        return Guess("", 0.0)
    if KANA.search(text):
        return Guess("ja", min(1.0, 2 * len(KANA.findall(text)) / letters))
    if (share := len(HAN.findall(text)) / letters) > 0.3:
        return Guess("zh", min(1.0, 0.5 + share / 2))
    from ..text.steps.language import probable

    return Guess(*probable(text))
