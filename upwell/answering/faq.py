"""Which entry answers a question: decided on a score and on the margin to the second.

    matcher = Matcher(entries, encoder)
    matcher.match(question) -> Decision     answer: one entry, surely and alone
                                            ask: several are near, or the nearest is not sure: they are asked back
                                            hand_over: none is near enough

The score is how likely the answer is among the entries that are nearest, 0 .. 1; the margin is how much likelier the
best one is than the second, 0 (as likely) .. 1. A question in another script than the FAQ's is matched by vectors
alone, where the encoder knows both languages; `translate` is a function that gives a question in the FAQ's language, or
"" where it is in that already, and what it gives is matched as well.

    faq_files, faq_entries    a file -> its entries         faq_likeness    how alike question and entry are
    faq_talk                  what was said before          faq_misses      the log of what was not answered
    faq_handover              the event for a person        faq_service     all of these together: a visitor's question

Knows nothing of conversations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ..errors import DataError, SettingsError
from ..generation.backend import Backend
from ..generation.settings import unwritable
from .encoder import embedded
from .faq_entries import Entry, folded
from .faq_likeness import HAN, Likeness

LONGEST = 1000  # characters of a question
NEAREST = 5  # entries that a decision tells of
FAR = 0.97  # the margin from which on a second entry is not asked back
PROBES = (
    ("How much does it cost?", "这个多少钱？"), ("When do you open?", "你们几点开门？"),
    ("I forgot my password.", "我忘记密码了。"), ("Where is my parcel?", "我的包裹在哪里？"),
    ("Can I bring my dog?", "可以带狗吗？"), ("My bicycle is broken.", "我的自行车坏了。"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """From which score and margin on."""

    sure: float = 0.7
    """With this score the best entry is given as the answer ..."""
    margin: float = 0.3
    """... where it is so much likelier than the second one."""
    least: float = 0.6
    """Below this score the question is handed over."""
    options: int = 3
    """Entries that are asked back at most."""

    def __post_init__(self):
        if not 0 <= self.least <= self.sure <= 1 or not 0 <= self.margin <= 1 or not 1 <= self.options <= NEAREST:
            raise SettingsError(f"least is {self.least}, sure {self.sure}, margin {self.margin}, options "
                                f"{self.options}; expected 0 <= least <= sure <= 1, a margin of 0 to 1, 1 to {NEAREST} "
                                "options")  # fmt: skip


class Near(NamedTuple):
    """An entry and its score."""

    entry: Entry
    score: float


@dataclass(frozen=True)
class Decision:
    """What is to be done with a question."""

    kind: Literal["answer", "ask", "hand_over"]
    entry: Entry | None
    """The answer's; None where there is none."""
    others: tuple[Near, ...]
    """For ask: what is asked back. Else the entries that were nearest, best first."""
    score: float
    margin: float


NOTHING = Decision("hand_over", None, (), 0.0, 0.0)


class Matcher:
    """The entries of one FAQ; see the module."""

    def __init__(self, entries: Sequence[Entry], encoder: Backend | None = None, settings: Settings | None = None,
                 translate: Callable[[str], str] | None = None):  # fmt: skip
        if not entries:
            raise DataError("there are no entries; expected at least one question with its answer")
        self.entries, self.encoder = list(entries), encoder
        self.settings, self.translate = settings or Settings(), translate
        self.likeness = Likeness(self.entries, encoder)
        self.exact = {folded(one): number for number, entry in enumerate(self.entries) for one in entry.phrases}
        self.scripts = {is_han(entry.question) for entry in self.entries}

    def match(self, question: str) -> Decision:
        """The decision for one question, without what was said before. DataError for an empty or a long one."""
        check(question)
        if not folded(question):  # no letter, no digit
            return NOTHING
        if (number := self.exact.get(folded(question))) is not None:
            entry = self.entries[number]
            return Decision("answer", entry, (Near(entry, 1.0),), 1.0, 1.0)
        return self._decided(self.evidence(question))

    def among(self, question: str, options: Sequence[Entry]) -> Decision:
        """The decision where one of these entries is meant: only how they compare with each other counts."""
        check(question)
        numbers = [number for number, entry in enumerate(self.entries) if entry in options]
        evidence = np.full(len(self.entries), -np.inf)
        evidence[numbers] = self.evidence(question)[numbers]
        found = self._decided(evidence)
        clear = found.margin >= self.settings.margin and len(numbers) > 1
        return replace(found, kind="answer", entry=found.others[0].entry) if clear else found

    def evidence(self, question: str) -> np.ndarray:
        """(entries,) log-odds, as Likeness gives them."""
        other = "" if self.translate is None else self.translate(question).strip()
        foreign = is_han(question) not in self.scripts and any(map(str.isalpha, question))
        if foreign and not self.knows_both:
            found = np.full(len(self.entries), -10.0)
        else:
            found = self.likeness.evidence(question, by_vectors_alone=foreign)
        return np.maximum(found, self.likeness.evidence(other)) if other else found

    def without(self, number: int) -> Decision:
        """What would become of an entry's question if the entry were not there: another that is too alike answers."""
        evidence = self.likeness.evidence(self.entries[number].question)
        evidence[number] = -np.inf
        return self._decided(evidence)

    @cached_property
    def knows_both(self) -> bool:
        """Whether the encoder puts a sentence near its translation: tried on a few of both languages."""
        if self.encoder is None:
            return False
        english, chinese = (embedded(self.encoder, side) for side in zip(*PROBES, strict=True))
        right = (english @ chinese.T).argmax(1) == np.arange(len(PROBES))
        return int(right.sum()) >= len(PROBES) - 1

    def _decided(self, evidence: np.ndarray) -> Decision:
        """By score and margin."""
        order = np.argsort(-evidence, kind="stable")[:NEAREST]
        near = tuple(Near(self.entries[at], likely(evidence[at])) for at in order if np.isfinite(evidence[at]))
        if not near:
            return NOTHING
        gaps = [margin_of(self.likeness.apart * (evidence[order[0]] - evidence[at])) for at in order[: len(near)]]
        score, margin, settings = near[0].score, gaps[1] if len(near) > 1 else 1.0, self.settings
        if score >= settings.sure and margin >= settings.margin:
            return Decision("answer", near[0].entry, near, score, margin)
        if score < settings.least:
            return Decision("hand_over", None, near, score, margin)
        options = [one for one, gap in zip(near, gaps, strict=True) if gap < FAR][: settings.options]
        return Decision("ask", None, tuple(options), score, margin)


def check(question: str) -> None:
    """DataError for a question that is none."""
    if not question.strip():
        raise DataError("the question is empty; expected some words")
    if len(question) > LONGEST:
        raise DataError(f"the question has {len(question):,} characters, expected at most {LONGEST:,}; shorten it")
    if fault := unwritable(question, "question"):
        raise DataError(fault)


def likely(evidence: float) -> float:
    """Log-odds as a probability."""
    return float(1 / (1 + np.exp(-np.clip(evidence, -30, 30))))


def margin_of(gap: float) -> float:
    """How much likelier one is than another, 0 .. 1, from the difference of their log-odds."""
    return float(np.tanh(min(gap, 60) / 2))


def is_han(text: str) -> bool:
    """Whether a text is Chinese, by its signs."""
    letters = sum(map(str.isalpha, text))
    return letters > 0 and len(HAN.findall(text)) > 0.3 * letters
