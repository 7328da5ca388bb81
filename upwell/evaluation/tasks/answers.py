"""How near a model's answers to held-out questions are to the right ones, asked as chats with the likeliest tokens.

A chat is asked up to the assistant's first turn, which is the reference. Two texts are compared as SQuAD does it:
without capitals, punctuation and articles; a Chinese character is a word.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from ...errors import DataError
from ...text import Document
from .. import Number, Scores
from ..within import bare, shared
from .parses import AT_ONCE, answers, questions, share
from .parses import Settings as Asking

SHOWN = 5


@dataclass(frozen=True)
class Settings:
    """How many questions, how long the answers."""

    items: int = 200
    """Held-out questions that are answered, from the first on."""
    longest: int = 96
    """Tokens of an answer at most; one that does not end by then is judged as it stands."""

    def __post_init__(self):
        if self.items < 1 or self.longest < 1:
            raise ValueError(f"items is {self.items} and longest is {self.longest}; expected 1 or more")


def measure(backend, documents: Iterable[Document], settings: Settings) -> Scores:
    """Scores "exact match", "word f1", "contains" (the whole reference stands in the answer), "ended", "words".

    backend: a model that writes (generation.backend.Local). documents: held-out ones; those that are no chats are
    passed over. Each number is a mean over the questions with its standard error; "words" is the length of an answer.
    DataError where no chat is among them.
    """
    found: list[tuple[list[str], list[str], bool]] = []
    shown: list[dict[str, str]] = []
    asked = questions(documents, settings.items)
    while some := list(islice(asked, AT_ONCE)):
        said = answers(backend, [messages for messages, _ in some], Asking(settings.items, settings.longest))
        for (messages, reference), (text, ended) in zip(some, said, strict=True):
            found.append((bare(text), bare(reference), ended))
            if len(shown) < SHOWN:
                shown.append({"prompt": messages[-1]["content"], "text": text, "reference": reference})
    if not found:
        raise DataError("found no held-out chats to answer; prepare some, as `upwell prepare wiki-questions`")
    numbers = {
        "exact match": share([text == right for text, right, _ in found]),
        "word f1": mean([shared(text, right) for text, right, _ in found]),
        "contains": share([within(right, text) for text, right, _ in found]),
        "ended": share([ended for _, _, ended in found]),
        "words": mean([len(text) for text, _, _ in found]),
    }
    return Scores(numbers, len(found), samples=tuple(shown))


def within(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words of one stand in the other, in a row."""
    size = len(part)
    return any(list(whole[at : at + size]) == list(part) for at in range(len(whole) - size + 1))


def mean(values: Sequence[float]) -> Number:
    """A mean with its standard error."""
    count = len(values)
    value = math.fsum(values) / count
    spread = math.fsum((one - value) ** 2 for one in values) / (count - 1) if count > 1 else 0.0
    return Number(value, math.sqrt(spread / count))
