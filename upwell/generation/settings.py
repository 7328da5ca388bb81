"""What a request may ask for, and what comes back piece by piece. Knows no model and imports no torch."""

import math
from dataclasses import dataclass

from ..errors import SettingsError

MOST_STOPS, LONGEST_STOP = 16, 256


@dataclass(frozen=True)
class Settings:
    """How one text is to be written."""

    max_new: int = 200
    """The most tokens to write."""
    min_new: int = 0
    """Tokens to write before the text may end; stop strings count from the first."""
    temperature: float = 0.8
    """How bold the choice is: 0 takes the likeliest token, 1 follows the model, above 1 is wilder."""
    top_k: int = 0
    """Choose among this many likeliest tokens; 0 among all."""
    top_p: float = 1.0
    """Choose among the likeliest tokens that together have this share of the probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that have been there before less likely (Keskar and others 2019)."""
    seed: int | None = None
    """The same seed gives the same text; without one each text is new."""
    stop: tuple[str, ...] = ()
    """Strings at which the text ends; they are not part of it."""
    stop_ids: tuple[int, ...] = ()
    """Token ids at which the text ends, besides the model's own."""
    banned: tuple[int, ...] = ()
    """Token ids that are never chosen."""
    beams: int = 4
    """Beam search: texts that are kept alive at each step."""
    length_power: float = 1.0
    """Beam search: what a text's length is raised to before its log-probability is divided by it."""
    strategy: str = "sample"
    """sample, greedy, beam, or the path of a strategy file of your own."""

    def __post_init__(self):
        for name in ("stop", "stop_ids", "banned"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        wrong = [fault for fault in _faults(self) if fault]
        if wrong:
            raise SettingsError("; ".join(wrong))


def _faults(s: Settings):
    yield _range("max_new", s.max_new, int, 1, 2**31)
    yield _range("min_new", s.min_new, int, 0, 2**31)
    if isinstance(s.min_new, int) and isinstance(s.max_new, int) and s.min_new > s.max_new:
        yield f"min_new: found {s.min_new}, expected at most max_new, which is {s.max_new}"
    yield _range("temperature", s.temperature, float, 0, 100)
    yield _range("top_k", s.top_k, int, 0, 2**31)
    yield _range("top_p", s.top_p, float, 0, 1, above=True)
    yield _range("repetition_penalty", s.repetition_penalty, float, 0, 100, above=True)
    yield _range("beams", s.beams, int, 1, 1000)
    yield _range("length_power", s.length_power, float, 0, 10)
    if s.seed is not None:
        yield _range("seed", s.seed, int, -(2**63), 2**63 - 1)
    if len(s.stop) > MOST_STOPS:
        yield f"stop: found {len(s.stop)} strings, expected at most {MOST_STOPS}"
    for text in s.stop:
        yield _stop(text)
    for name in ("stop_ids", "banned"):
        for token in getattr(s, name):
            yield _range(name, token, int, 0, 2**31)


def _range(name: str, value, kind: type, low, high, above: bool = False) -> str | None:
    kinds = (int, float) if kind is float else (int,)
    number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if number and low <= value <= high and not (above and value == low):
        return None
    noun = "a number" if kind is float else "a whole number"
    bounds = f"above {low} and at most {high}" if above else f"from {low} to {high}"
    return f"{name}: found {value!r}, expected {noun} {bounds}"


def _stop(text) -> str | None:
    if not isinstance(text, str) or not text:
        return f"stop: found {text!r}, expected a text of at least one character"
    if len(text) > LONGEST_STOP:
        return f"stop: found a string of {len(text)} characters, expected at most {LONGEST_STOP}"
    return unwritable(text, "stop")


def unwritable(text: str, name: str) -> str | None:
    """Why this text has no UTF-8 form, in a sentence, or None."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"{name}: character {error.start} is half of a surrogate pair, expected valid Unicode"
    return None


@dataclass(frozen=True)
class Usage:
    """What one text cost."""

    prompt: int
    """Tokens read, with the one that begins a document."""
    new: int
    """Tokens written, with the one that ended the text."""


@dataclass(frozen=True)
class Piece:
    """A part of a text that will not change any more. The last one has a finish and, where known, the usage."""

    text: str = ""
    """What to append; never half a character, never a part of a stop string."""
    tokens: tuple[int, ...] = ()
    """The ids chosen since the piece before; they may run ahead of the text. Empty where a server gives none."""
    logprobs: tuple[float, ...] = ()
    """The model's own log-probability of each of these tokens, before any filter (natural logarithm)."""
    finish: str | None = None
    """None, or stop, length or cancelled; a server may have a word of its own."""
    usage: Usage | None = None
    """The counts, in the last piece."""
