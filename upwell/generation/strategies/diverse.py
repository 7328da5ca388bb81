"""Diverse beam search: groups of beams, each told to choose other tokens than the groups before it.

At each step the groups choose in turn. A group ranks its candidates by their log-probability less `diversity` for each
time that a group before it has chosen the same token at this step; what it keeps is the log-probability alone.
Source: Vijayakumar et al. 2018, arXiv 1610.02424, equation 4 with the Hamming diversity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..steps import Found, Search, Step
from . import _beams
from ._beams import Group, Rules, rows  # noqa: F401 rows is part of the contract


@dataclass(frozen=True)
class Settings(_beams.Settings):
    """How many, in how many groups, how different; `beams` is a multiple of the groups, which share them."""

    groups: int = 2
    """Groups; each is over by itself."""
    diversity: float = 0.5
    """Nats that a token costs for each time that a group before has chosen it at this step."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """Up to `beams` texts: the best of each group by score, then the second of each, and so on."""
    s = settings
    rules = Rules(s.beams // s.groups, s.length_power, s.early_stopping, stop, s.top_logprobs)
    groups = [Group(rules) for _ in range(s.groups)]
    first = [0] * s.groups                      # of each group's rows among those of the logits; at first all share one
    while True:
        logp = logits.float().cpu().log_softmax(-1)
        taken = torch.zeros(logp.shape[1])      # how often each id was chosen at this step
        for group, at in zip(groups, first, strict=True):
            if not group.over:
                own = logp[at : at + len(group.texts)]
                sums = group.scores[:, None] + filters(group.ids, own)
                group.take(group.best(sums, sums - s.diversity * taken), own)
                taken += torch.bincount(torch.tensor(group.chosen), minlength=len(taken))
        living = [(group, at) for group, at in zip(groups, first, strict=True) if not group.over]
        if not living:
            return ranked(groups)
        tokens = torch.cat([group.last for group, _ in living])
        logits = yield Step(tokens, torch.cat([group.parents + at for group, at in living]))
        starts = iter(torch.tensor([0, *(len(group.texts) for group, _ in living)]).cumsum(0).tolist())
        first = [0 if group.over else next(starts) for group in groups]


def ranked(groups: list[Group]) -> list[Found]:
    """The texts of all groups, each once."""
    most = max(len(group.done) for group in groups)
    found: dict[tuple[int, ...], Found] = {}
    for place in range(most):
        level = [group.done[place] for group in groups if place < len(group.done)]
        for one in sorted(level, key=lambda found: -found.score):
            found.setdefault(tuple(token.id for token in one.tokens), one)
    return list(found.values())
