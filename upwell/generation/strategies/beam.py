"""Beam search: the likeliest continuations as wholes, a few kept alive at each step.

Source: Sutskever et al. 2014, arXiv 1409.3215. The three senses of early stopping are those of transformers' generate.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..steps import Search, Step
from ._beams import Group, Rules


@dataclass(frozen=True)
class Settings:
    """How wide and by what measure."""

    beams: int = 4
    """Texts that are kept alive."""
    length_power: float = 1.0
    """What a text's length is raised to before its log-probability is divided by it; 0 ignores the length."""
    early_stopping: str = "heuristic"
    """full, heuristic or never: see _beams.Rules."""
    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def rows(settings: Settings) -> int:
    """Rows that it keeps alive."""
    return settings.beams


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """Up to `beams` texts, best first."""
    s = settings
    group = Group(Rules(s.beams, s.length_power, s.early_stopping, stop, s.top_logprobs))
    while True:
        logp = logits.float().cpu().log_softmax(-1)
        group.take(group.best(group.scores[:, None] + filters(group.ids, logp)), logp)
        if group.over:
            return group.done
        logits = yield Step(group.last, group.parents)
