"""Beam search: the likeliest continuations as wholes, a few kept alive at each step.

Source: Sutskever et al. 2014, arXiv 1409.3215. The three senses of early stopping are those of transformers' generate.
"""

from collections.abc import Callable

from torch import Tensor

from ..steps import Search, Step
from ._beams import Group, Rules, Settings, rows  # noqa: F401 rows is part of the contract


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
