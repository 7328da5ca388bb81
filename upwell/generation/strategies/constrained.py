"""Constrained beam search: each text holds every word or phrase that must appear, wherever it fits best.

The beam is shared out among banks: texts that lack equally many tokens of what must appear compete with each other
only. The tokens that bring a text nearer to its next phrase are always among its candidates, and the bank that lacks
least is served first, so that everything has appeared after as many steps as it has tokens.
Source: Post and Vilar 2018, arXiv 1804.06609 (dynamic beam allocation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from ...errors import SettingsError, UpwellError
from ..steps import Search, Step
from . import _beams
from ._beams import NEVER, Candidate, Group, Rules, rows  # noqa: F401 rows is part of the contract

Phrase = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Settings(_beams.Settings):
    """What must appear; and how wide and by what measure."""

    phrases: tuple[Phrase, ...] = ()
    """Each phrase in one or several spellings (token ids), one of which must appear."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """Up to `beams` texts, best first, each of which holds every phrase. UpwellError where none came to its end."""
    s = settings
    least = sum(min(map(len, phrase)) for phrase in s.phrases)
    if least > getattr(stop, "max_new", least):
        raise SettingsError(f"must: what must appear has {least} tokens, but max_new is {stop.max_new}; raise max_new")
    group = Group(Rules(s.beams, s.length_power, s.early_stopping, stop, s.top_logprobs))
    states = [Wanting(s.phrases)]
    while True:
        logp = logits.float().cpu().log_softmax(-1)
        sums = group.scores[:, None] + filters(group.ids, logp)
        ends = sorted(end for end in getattr(stop, "ends", ()) if end < sums.shape[1])
        for row, state in enumerate(states):
            if state.lacks:                     # it may not end yet
                sums[row, ends] = NEVER
        found = shared_out(candidates(group, sums, states), states, s.beams)
        try:
            group.take(found, logp, lambda one, states=states: not states[one.row].then(one.id).lacks)
        except UpwellError:
            raise UpwellError(f"no text had room for all that must appear within {stop.max_new} tokens; raise max_new, "
                              "or ask for less") from None  # fmt: skip
        if group.over:
            return group.done
        states = [states[row].then(id) for row, id in zip(group.parents.tolist(), group.last.tolist(), strict=True)]
        logits = yield Step(group.last, group.parents)


def candidates(group: Group, sums: Tensor, states: list["Wanting"]) -> list[Candidate]:
    """The best of all, the best of each row, and what brings a row nearer to a phrase; likeliest first."""
    found = {(one.row, one.id): one.score for one in group.best(sums)}
    for row, (state, id) in enumerate(zip(states, sums.argmax(-1).tolist(), strict=True)):
        for each in (id, *state.nearer):
            if sums[row, each] > NEVER:
                found[row, each] = float(sums[row, each])
    return sorted((Candidate(score, *place) for place, score in found.items()), key=lambda one: -one.score)


def shared_out(ranked: list[Candidate], states: list["Wanting"], width: int) -> list[Candidate]:
    """The same candidates, so that the first of them are equally many of each bank; what a bank leaves others take."""
    banks: dict[int, list[Candidate]] = {}
    for one in ranked:
        banks.setdefault(states[one.row].then(one.id).lacks, []).append(one)
    order = [banks[lacks] for lacks in sorted(banks)]           # who lacks least is served first
    share, rest = divmod(width, len(order))
    shares = [share + (number < rest) for number in range(len(order))]
    firsts = [one for bank, count in zip(order, shares, strict=True) for one in bank[:count]]
    later = [one for bank, count in zip(order, shares, strict=True) for one in bank[count:]]
    later.sort(key=lambda one: -one.score)
    chosen = firsts + later[: width - len(firsts)]
    return sorted(chosen, key=lambda one: -one.score) + later[width - len(firsts) :]


@dataclass(frozen=True)
class Wanting:
    """How far one text is: for each phrase None where it has appeared, else how much of each spelling its end is."""

    phrases: tuple[Phrase, ...]
    reached: tuple[tuple[int, ...] | None, ...] = ()

    def __post_init__(self):
        if len(self.reached) != len(self.phrases):
            object.__setattr__(self, "reached", tuple((0,) * len(phrase) for phrase in self.phrases))

    @property
    def lacks(self) -> int:
        """Tokens that it lacks at least, going on with the phrase that it is furthest in."""
        left = [min(len(s) for s in phrase) for phrase, at in self._open()]
        begun = [shortest - min(len(s) - n for s, n in zip(phrase, at, strict=True))
                 for shortest, (phrase, at) in zip(left, self._open(), strict=True)]  # fmt: skip
        return sum(left) - max([0, *begun])

    @property
    def nearer(self) -> set[int]:
        """The next token of each spelling of each phrase that has not appeared."""
        return {s[n] for phrase, at in self._open() for s, n in zip(phrase, at, strict=True)}

    def then(self, id: int) -> "Wanting":
        """How far it is with one token more."""
        after = []
        for phrase, at in zip(self.phrases, self.reached, strict=True):
            if at is not None:
                at = tuple(_onward(s, n, id) for s, n in zip(phrase, at, strict=True))
                at = None if any(n == len(s) for s, n in zip(phrase, at, strict=True)) else at
            after.append(at)
        return Wanting(self.phrases, tuple(after))

    def _open(self) -> list[tuple[Phrase, Sequence[int]]]:
        return [(phrase, at) for phrase, at in zip(self.phrases, self.reached, strict=True) if at is not None]


@lru_cache(maxsize=4096)
def _onward(spelling: tuple[int, ...], reached: int, id: int) -> int:
    """How long an end of spelling[:reached] + id is a beginning of the spelling (Knuth, Morris, Pratt 1977)."""
    text = (*spelling[:reached], id)
    return next(n for n in range(min(len(text), len(spelling)), -1, -1) if spelling[:n] == text[len(text) - n :])
