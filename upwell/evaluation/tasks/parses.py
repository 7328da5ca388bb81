"""Whether the code that a model writes is code: the share of its answers to held-out questions that Python parses.

The questions are chats of which the assistant's first turn is Python (corpus python-functions): the model is asked
what stands before it and writes with the likeliest token each time. Nothing that it writes is run.
"""

import ast
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...errors import DataError
from ...text import Document
from .. import Number, Scores

AT_ONCE = 64  # questions that wait in the engine
SHOWN = 5


@dataclass(frozen=True)
class Settings:
    """How many questions, how long the answers."""

    items: int = 200
    """Held-out questions that are answered, from the first on."""
    longest: int = 256
    """Tokens of an answer at most; one that does not end by then is judged as it stands."""

    def __post_init__(self):
        if self.items < 1 or self.longest < 1:
            raise ValueError(f"items is {self.items} and longest is {self.longest}; expected 1 or more")


def measure(backend, documents: Iterable[Document], settings: Settings) -> Scores:
    """Scores "parses" (a share), "a function" (parses, and is a single function) and "ended" (by itself).

    backend: a model that writes (generation.backend.Local). documents: held-out ones; those that are no chats are
    passed over. Errors are standard errors of a share. DataError where no chat is among them.
    """
    found: list[tuple[bool, bool, bool]] = []
    shown: list[dict[str, str]] = []
    asked = questions(documents, settings.items)
    while some := [pair for _, pair in zip(range(AT_ONCE), asked, strict=False)]:
        for (messages, reference), (text, ended) in zip(some, answers(backend, [m for m, _ in some], settings),
                                                        strict=True):  # fmt: skip
            found.append((parses(text), is_function(text), ended))
            if len(shown) < SHOWN:
                shown.append({"prompt": messages[-1]["content"], "text": text, "reference": reference})
    if not found:
        raise DataError("found no held-out chats to answer; prepare some, as `upwell prepare python-functions`")
    names = ("parses", "a function", "ended")
    return Scores({name: share([one[at] for one in found]) for at, name in enumerate(names)}, len(found),
                  samples=tuple(shown))  # fmt: skip


def questions(documents: Iterable[Document], most: int) -> Iterator[tuple[list[dict[str, str]], str]]:
    """(messages up to the assistant's first turn, that turn) of the first chats."""
    count = 0
    for document in documents:
        messages = (document.fields or {}).get("messages", ())
        at = next((at for at, one in enumerate(messages) if one["role"] == "assistant"), 0)
        if at and count < most:
            count += 1
            yield list(messages[:at]), messages[at]["content"]


def answers(backend, asked: list[list[dict[str, str]]], settings: Settings) -> list[tuple[str, bool]]:
    """What the model writes for each, and whether it came to its end; "" where the question fills its context."""
    from ...generation.settings import Settings as Writing

    writers = []
    for messages in asked:
        room = min(settings.longest, backend.config.context - backend.taken(messages))
        writers.append(backend.generate(messages, Writing(max_new=room, temperature=0.0)) if room > 0 else ())
    pieces = [list(writer) for writer in writers]
    return [("".join(one.text for one in some), bool(some) and some[-1].finish == "stop") for some in pieces]


def parses(text: str) -> bool:
    """Whether it is Python that says something."""
    return bool(_tree(text))


def is_function(text: str) -> bool:
    """Whether it is one function and nothing else."""
    body = _tree(text)
    return len(body) == 1 and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef)


def _tree(text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def share(found: list[bool]) -> Number:
    """A share with its standard error."""
    value = sum(found) / len(found)
    return Number(value, math.sqrt(value * (1 - value) / len(found)))
