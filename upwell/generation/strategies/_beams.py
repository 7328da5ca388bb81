"""Texts that are kept alive together: what beam search, its diverse and its constrained kind share.

A text is ranked by its log-probability over its length to a power. Source: Sutskever et al. 2014, arXiv 1409.3215;
Wu et al. 2016, arXiv 1609.08144 (lengths).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import UpwellError
from ..steps import NOTHING_LEFT, Found, Token, likeliest

NEVER = float("-inf")


@dataclass(frozen=True)
class Settings:
    """How wide and by what measure."""

    beams: int = 4
    """Texts that are kept alive."""
    length_power: float = 1.0
    """What a text's length is raised to before its log-probability is divided by it; 0 ignores the length."""
    early_stopping: str = "heuristic"
    """full, heuristic or never: see Rules."""
    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def rows(settings: Settings) -> int:
    """Rows that are kept alive."""
    return settings.beams


@dataclass(frozen=True)
class Rules:
    """When a group is over and how its texts are ranked."""

    width: int
    """Texts that are kept alive."""
    power: float
    """What a text's length is raised to before its log-probability is divided by it."""
    early: str
    """"full": over when `width` texts are done. "heuristic": when no living one could enter the ranking if it ended
    at its length now. "never": when none could at any length up to the longest."""
    stop: Callable
    """The ids of a text -> why it is over, or None."""
    top: int = 0
    """Likeliest ids to tell beside each token."""

    @property
    def keep(self) -> int:
        """So many candidates that `width` are left when others end."""
        return self.width * (1 + max(1, len(getattr(self.stop, "ends", ()))))

    def hopeless(self, best: float, done: list[Found], length: int) -> bool:
        """Whether a living text with log-probability `best`, `length` tokens long, cannot enter the ranking."""
        if len(done) < self.width:
            return False
        if self.early == "full":
            return True
        longest = getattr(self.stop, "max_new", length) if self.early == "never" and self.power > 0 else length
        return best / longest**self.power <= done[-1].score


class Candidate(NamedTuple):
    """A text that may live on."""

    score: float
    """Sum of filtered log-probabilities."""
    row: int
    """Of the text that it goes on from."""
    id: int


class Group:
    """Some living texts and the best that are done, best first."""

    def __init__(self, rules: Rules):
        self.rules, self.over = rules, False
        self.scores = torch.zeros(1)
        self.texts: list[tuple[Token, ...]] = [()]
        self.ids = torch.zeros(1, 0, dtype=torch.int64)
        """(rows, n): what each living text has written."""
        self.done: list[Found] = []
        self.parents = torch.zeros(1, dtype=torch.int64)
        """The row that each living text goes on from."""
        self.chosen: list[int] = []
        """Ids of the last step, of texts that live and of those that it ended."""

    @property
    def last(self) -> Tensor:
        """(rows,): the newest token of each living text."""
        return self.ids[:, -1]

    def best(self, sums: Tensor, wanted: Tensor | None = None) -> list[Candidate]:
        """The likeliest continuations by sums (rows, V), or by `wanted` where that is given, likeliest first."""
        ranked = (sums if wanted is None else wanted).flatten().topk(min(self.rules.keep, sums.numel()))
        values = ranked.values if wanted is None else sums.flatten()[ranked.indices]
        pairs = zip(values.tolist(), ranked.indices.tolist(), strict=True)
        return [Candidate(score, *divmod(place, sums.shape[1])) for score, place in pairs if score > NEVER]

    def take(self, candidates: list[Candidate], logp: Tensor,
             may_end: Callable[[Candidate], bool] | None = None) -> None:  # fmt: skip
        """The first `width` of the candidates that do not end live on; of the first `width`, those that end are done.

        logp (rows, V): the model's own log-probabilities. may_end: which of those that end count; default all.
        UpwellError where nothing is left.
        """
        width, n = self.rules.width, self.ids.shape[1] + 1
        tops = [likeliest(row, self.rules.top) for row in logp] if self.rules.top else [()] * len(logp)
        before = self.ids.tolist()
        live, rows, self.chosen = [], [], []
        for rank, (score, row, id) in enumerate(candidates):
            if len(live) == width and rank >= width:
                break
            finish = self.rules.stop([*before[row], id])
            if finish and (rank >= width or may_end is not None and not may_end(candidates[rank])):
                continue
            if not finish and len(live) == width:
                continue
            text = (*self.texts[row], Token(id, logp[row, id].item(), tops[row]))
            self.chosen.append(id)
            if finish:
                self.done.append(Found(score / n**self.rules.power, text, finish))
            else:
                live.append((score, row, text))
                rows.append([*before[row], id])
        self.done = sorted(self.done, key=lambda found: -found.score)[:width]
        if not live and not self.done:
            raise UpwellError(NOTHING_LEFT)
        self.over = not live or self.rules.hopeless(live[0][0], self.done, n)
        self.scores = torch.tensor([score for score, _, _ in live])
        self.texts = [text for *_, text in live]
        self.ids = torch.tensor(rows, dtype=torch.int64)
        self.parents = torch.tensor([row for _, row, _ in live], dtype=torch.int64)
