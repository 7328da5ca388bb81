"""What a request may ask for, and what comes back piece by piece. Knows no model and imports no torch."""

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import SettingsError

MOST_BIASES = 1024
LONGEST_SCHEMA, LONGEST_REGEX = 100_000, 2000       # characters
RANKING = ("beam", "diverse", "constrained")
TEXTS = {                       # at most so many, each of at most so many characters
    "stop": (16, 256), "never": (256, 256), "must": (16, 256), "choices": (20_000, 10_000), "dry_breakers": (64, 64),
}  # fmt: skip


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
    min_p: float = 0.0
    """Choose among the tokens that are at least this share as likely as the likeliest; 0 among all."""
    typical: float = 1.0
    """Choose among the tokens whose surprise is nearest to the expected one, of this share of the probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that have been there before less likely, the prompt's too (Keskar and others 2019)."""
    presence_penalty: float = 0.0
    """Taken from the logit of each token that was written."""
    frequency_penalty: float = 0.0
    """Taken from the logit of a token for each time that it was written."""
    no_repeat: int = 0
    """Never so many tokens in a row that were there before, also in the prompt; 0 allows it."""
    dry: float = 0.0
    """Strength of "don't repeat yourself": a cost that grows with the length of what is repeated; 0.8 is usual."""
    dry_base: float = 1.75
    """By which factor the cost of a repetition grows with each token."""
    dry_allowed: int = 2
    """Tokens that may be repeated before it costs."""
    dry_breakers: tuple[str, ...] | None = None
    """A token that holds one of these strings ends a repetition; default: a line end, colon, quotation mark or star."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Pairs of a token id and a number that is added to its logit."""
    seed: int | None = None
    """The same seed gives the same text; without one each text is new."""
    stop: tuple[str, ...] = ()
    """Strings at which the text ends; they are not part of it."""
    stop_ids: tuple[int, ...] = ()
    """Token ids at which the text ends, besides the model's own."""
    seconds: float | None = None
    """Time after which the text ends with the token that is being written, waiting included."""
    banned: tuple[int, ...] = ()
    """Token ids that are never chosen."""
    never: tuple[str, ...] = ()
    """Strings that never appear in the text, however it is cut into tokens; also not inside of a longer word."""
    begin: str = ""
    """What the text must begin with."""
    must: tuple[str, ...] = ()
    """Words or phrases that must appear in the text; for the strategy constrained."""
    json_schema: str | None = None
    """A JSON Schema as JSON text: what is written is JSON that fits it, spaced as Python's json.dumps does."""
    regex: str | None = None
    """A regular expression that the text as a whole fits (Rust's syntax: no look-around, no back references)."""
    choices: tuple[str, ...] = ()
    """The text is one of these."""
    top_logprobs: int = 0
    """Log-probabilities of so many likeliest tokens at each place are told beside the chosen one's."""
    beams: int = 4
    """Beam search: texts that are kept alive at each step."""
    length_power: float = 1.0
    """Beam search: what a text's length is raised to before its log-probability is divided by it."""
    early_stopping: Literal["heuristic", "full", "never"] = "heuristic"
    """Beam search is over when `beams` texts are done (full); when no living one could enter the ranking if it ended
    now (heuristic); when none could at any length (never)."""
    best: int = 1
    """Beam search: how many of its texts are told, best first; the first is the answer."""
    groups: int = 2
    """Diverse beam search: groups into which the beams are divided."""
    diversity: float = 0.5
    """Diverse beam search: what a token costs for each time that an earlier group has chosen it at this step."""
    candidates: int = 4
    """Contrastive search: tokens that are tried at each step."""
    unlikeness: float = 0.6
    """Contrastive search: how much a token's likeness to what came before counts against its probability."""
    guesses: int = 8
    """Speculative: tokens that are guessed at most at each step and then checked at once."""
    ngram: int = 3
    """Speculative without a draft model: tokens of the text's end that are looked for in what came before."""
    strategy: str = "sample"
    """sample, greedy, beam, diverse, constrained, contrastive, speculative, or the path of a file of your own."""

    def __post_init__(self):
        for name in TEXTS:
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        for name in ("stop_ids", "banned"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        pairs = self.logit_bias.items() if isinstance(self.logit_bias, dict) else self.logit_bias
        object.__setattr__(self, "logit_bias", tuple(tuple(pair) for pair in pairs))
        wrong = [fault for faults in (_faults, _together, _texts) for fault in faults(self) if fault]
        if wrong:
            raise SettingsError("; ".join(wrong))

    @property
    def shaped(self) -> bool:
        """Whether the text must fit a grammar."""
        return self.json_schema is not None or self.regex is not None or bool(self.choices)


RANGES = {
    "max_new": (int, 1, 2**31), "min_new": (int, 0, 2**31), "temperature": (float, 0, 100), "top_k": (int, 0, 2**31),
    "min_p": (float, 0, 1), "presence_penalty": (float, -100, 100), "frequency_penalty": (float, -100, 100),
    "no_repeat": (int, 0, 1000), "dry": (float, 0, 100), "dry_base": (float, 1, 4), "dry_allowed": (int, 1, 1000),
    "top_logprobs": (int, 0, 100), "beams": (int, 1, 1000), "length_power": (float, -10, 10), "best": (int, 1, 1000),
    "groups": (int, 1, 1000), "diversity": (float, 0, 1000), "candidates": (int, 1, 1000), "unlikeness": (float, 0, 1),
    "guesses": (int, 1, 64), "ngram": (int, 1, 64),
}  # fmt: skip
ABOVE_ZERO = {"top_p": 1, "typical": 1, "repetition_penalty": 100}


def _faults(s: Settings):
    """What is wrong with one setting alone."""
    for name, (kind, low, high) in RANGES.items():
        yield _range(name, getattr(s, name), kind, low, high)
    for name, high in ABOVE_ZERO.items():
        yield _range(name, getattr(s, name), float, 0, high, above=True)
    if s.seed is not None:
        yield _range("seed", s.seed, int, -(2**63), 2**63 - 1)
    if s.seconds is not None:
        yield _range("seconds", s.seconds, float, 0, 10**6, above=True)
    if s.early_stopping not in ("heuristic", "full", "never"):
        yield f"early_stopping: found {s.early_stopping!r}, expected heuristic, full or never"
    for name in ("stop_ids", "banned"):
        for token in getattr(s, name):
            yield _range(name, token, int, 0, 2**31)
    if len(s.logit_bias) > MOST_BIASES:
        yield f"logit_bias: found {len(s.logit_bias)} pairs, expected at most {MOST_BIASES}"
    for pair in s.logit_bias[:MOST_BIASES]:
        if len(pair) != 2:
            yield f"logit_bias: found {pair!r}, expected pairs of a token id and a number"
        else:
            yield _range("logit_bias", pair[0], int, 0, 2**31)
            yield _range("logit_bias", pair[1], float, -1000, 1000)


def _together(s: Settings):
    """What is wrong with settings beside each other."""
    whole = {name: value for name in ("min_new", "max_new", "beams", "groups", "best")
             if isinstance(value := getattr(s, name), int)}  # fmt: skip
    if len(whole) < 5:
        return
    if s.min_new > s.max_new:
        yield f"min_new: found {s.min_new}, expected at most max_new, which is {s.max_new}"
    if s.strategy == "diverse" and s.groups and s.beams % s.groups:
        yield f"groups: found {s.groups}, expected a divisor of beams, which is {s.beams}"
    if s.best > 1 and s.strategy not in RANKING:
        yield f"best: found {s.best} with the strategy {s.strategy}, which has one text; expected {', '.join(RANKING)}"
    elif s.best > s.beams > 0:
        yield f"best: found {s.best}, expected at most beams, which is {s.beams}"
    if s.must and s.strategy != "constrained":
        yield f"must: found it with the strategy {s.strategy}, expected constrained, which alone can promise it"
    shapes = [name for name in ("json_schema", "regex", "choices") if getattr(s, name)]
    if len(shapes) > 1:
        yield f"found {' and '.join(shapes)}, expected one of them"
    if s.shaped and (s.begin or s.min_new):
        yield f"found {'begin' if s.begin else 'min_new'} beside {' and '.join(shapes)}, which alone says what may come"


def _texts(s: Settings):
    """What is wrong with strings."""
    for name, (most, longest) in TEXTS.items():
        given = getattr(s, name) or ()
        if len(given) > most:
            yield f"{name}: found {len(given)} strings, expected at most {most}"
        for text in given[:most]:
            yield _string(name, text, longest)
    for name, longest in (("begin", LONGEST_SCHEMA), ("json_schema", LONGEST_SCHEMA), ("regex", LONGEST_REGEX)):
        text = getattr(s, name)
        if text is not None and text != "":
            yield _string(name, text, longest)
    if s.json_schema == "" or s.regex == "":
        yield f"{'regex' if s.regex == '' else 'json_schema'}: found an empty text, expected a grammar"


def _range(name: str, value, kind: type, low, high, above: bool = False) -> str | None:
    kinds = (int, float) if kind is float else (int,)
    number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if number and low <= value <= high and not (above and value == low):
        return None
    noun = "a number" if kind is float else "a whole number"
    bounds = f"above {low} and at most {high}" if above else f"from {low} to {high}"
    return f"{name}: found {value!r}, expected {noun} {bounds}"


def _string(name: str, text, longest: int) -> str | None:
    if not isinstance(text, str) or not text:
        return f"{name}: found {text!r}, expected a text of at least one character"
    if len(text) > longest:
        return f"{name}: found a string of {len(text)} characters, expected at most {longest}"
    return unwritable(text, name)


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
    known: int = 0
    """Of those read, tokens that had been read for an earlier prompt."""


@dataclass(frozen=True)
class Ranked:
    """One of the texts that a beam search has found."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    score: float
    """Its log-probability over its length to `length_power`."""
    finish: str


@dataclass(frozen=True)
class Piece:
    """A part of a text that will not change any more. The last one has a finish and, where known, the usage."""

    text: str = ""
    """What to append; never half a character, never a part of a stop string."""
    tokens: tuple[int, ...] = ()
    """The ids chosen since the piece before; they may run ahead of the text. Empty where a server gives none."""
    logprobs: tuple[float, ...] = ()
    """The model's own log-probability of each of these tokens, before any filter (natural logarithm)."""
    tops: tuple[tuple[tuple[int, float], ...], ...] = ()
    """For each of these tokens the likeliest ids at its place with their log-probabilities, as many as were asked."""
    finish: str | None = None
    """None, or stop, length, time or cancelled; a server may have a word of its own."""
    usage: Usage | None = None
    """The counts, in the last piece."""
    ranking: tuple[Ranked, ...] = ()
    """In the last piece, where more than one text was asked for as `best`: they all, best first."""
