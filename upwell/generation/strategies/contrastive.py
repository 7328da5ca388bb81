"""Contrastive search: of the few likeliest tokens the one that is likely and whose vector is unlike all before it.

    argmax over the k likeliest v of  (1 - alpha) p(v | before) - alpha max over j of cos(h_v, h_j)

h are the last block's vectors; h_v is read by feeding v, so each step reads k candidates and goes on from the chosen
one. It takes no random numbers. Source: Su et al. 2022, arXiv 2202.06417, equation 5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from ...errors import UpwellError
from ..steps import NOTHING_LEFT, Found, Read, Search, Step, told

HIDDEN = True


@dataclass(frozen=True)
class Settings:
    """How many candidates, how strongly their likeness counts."""

    candidates: int = 4
    """Tokens that are tried at each step."""
    unlikeness: float = 0.6
    """The paper's alpha: 0 is greedy, 1 looks at likeness alone."""
    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def rows(settings: Settings) -> int:
    """Rows that it keeps alive."""
    return settings.candidates


def search(given: Read, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """One text; its score is the sum of its log-probabilities."""
    s, tokens, ids = settings, [], []
    logits, row = given.logits, 0
    seen = normalize(given.hidden[0].float(), dim=-1)           # (T, D), of all that was read and chosen
    while True:
        allowed = filters(torch.tensor([ids], dtype=torch.int64), logits[row : row + 1])[0]
        if allowed.max() == float("-inf"):
            raise UpwellError(NOTHING_LEFT)
        shares = allowed.softmax(-1)
        best = shares.topk(min(s.candidates, int(shares.count_nonzero())))
        width = len(best.indices)
        parents = torch.full((width,), row, dtype=torch.int64)
        read = yield Step(best.indices.cpu(), parents, tuple(tokens[-1:]))
        vectors = normalize(read.hidden[:, 0].float(), dim=-1)  # (k, D)
        likeness = (vectors @ seen.T).amax(-1)
        chosen = int(((1 - s.unlikeness) * best.values - s.unlikeness * likeness).argmax())
        id = int(best.indices[chosen])
        tokens.append(told(logits[row], id, s.top_logprobs))
        ids.append(id)
        finish = stop(ids)
        if finish:
            return [Found(sum(token.logprob for token in tokens), tuple(tokens), finish)]
        logits, row, seen = read.logits, chosen, torch.cat([seen, vectors[chosen : chosen + 1]])
