"""The words in which a strategy talks with its driver.

A strategy is a coroutine: it is given the logits (1, V) after its prompt, yields Steps, is sent the logits
(rows, V) float32 of its living rows, and returns a list of Found, best first. It never calls the model.
One that says HIDDEN = True is given and sent a Read, which has the vectors beside the logits.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UpwellError


class Token(NamedTuple):
    """One chosen token."""

    id: int
    logprob: float
    """The model's own log-probability of it, before any filter."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest ids at its place with their log-probabilities, as many as were asked for."""


class Step(NamedTuple):
    """What the driver is asked to do: feed tokens[i] to the row that is a copy of row parents[i]."""

    tokens: Tensor
    """(rows,) int64; or (rows, T), several tokens for each row, and then the logits are (rows, T, V)."""
    parents: Tensor
    """(rows,) int64; rows that are no parent are dropped."""
    settled: tuple[Token, ...] = ()
    """Tokens of the final text that became certain with this step, so that they can be shown."""
    back: int = 0
    """How many of the tokens that each row has read last were wrong and are to be forgotten before this step."""


class Read(NamedTuple):
    """What a strategy with HIDDEN is given and sent."""

    logits: Tensor
    """(rows, V)."""
    hidden: Tensor
    """(rows, T, D): the last block's vectors of the T tokens that were read, with which the logits are made."""


class Found(NamedTuple):
    """One finished text."""

    score: float
    tokens: tuple[Token, ...]
    finish: str


Search = Generator[Step, Tensor | Read, list[Found]]
NOTHING_LEFT = "every token is banned, so none can be written; ban fewer or lower the minimum length"


def extend(logits: Tensor, filters: Callable, stop: Callable, choose: Callable[[Tensor], int], top: int = 0) -> Search:
    """One text, a token at a time; `choose` gives an id for the filtered logits (V,). top: see `told`."""
    tokens: list[Token] = []
    ids: list[int] = []
    while True:
        allowed = filters(torch.tensor([ids], dtype=torch.int64), logits)[0]
        token = pick(logits[0], allowed, choose, top)
        tokens.append(token)
        ids.append(token.id)
        finish = stop(ids)
        if finish:
            return [Found(sum(token.logprob for token in tokens), tuple(tokens), finish)]
        logits = yield Step(torch.tensor([token.id]), torch.tensor([0]), (token,))


def pick(logits: Tensor, allowed: Tensor, choose: Callable[[Tensor], int], top: int = 0) -> Token:
    """The chosen token with its log-probability under the unfiltered logits (V,)."""
    if allowed.max() == float("-inf"):
        raise UpwellError(NOTHING_LEFT)
    return told(logits, choose(allowed), top)


def told(logits: Tensor, id: int, top: int = 0) -> Token:
    """An id as a Token: with its log-probability under logits (V,) and those of the `top` likeliest ids."""
    total = logits.logsumexp(-1)
    return Token(id, (logits[id] - total).item(), likeliest(logits - total, top))


def likeliest(logprobs: Tensor, top: int) -> tuple[tuple[int, float], ...]:
    """The `top` likeliest ids of log-probabilities (V,), the likeliest first."""
    if not top:
        return ()
    best = logprobs.topk(min(top, len(logprobs)))
    return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
