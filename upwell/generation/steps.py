"""The words in which a strategy talks with its driver.

A strategy is a coroutine: it is given the logits (1, V) after its prompt, yields Steps, is sent the logits
(rows, V) float32 of its living rows, and returns a list of Found, best first. It never calls the model.
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


class Step(NamedTuple):
    """What the driver is asked to do: feed tokens[i] to the row that is a copy of row parents[i]."""

    tokens: Tensor
    """(rows,) int64."""
    parents: Tensor
    """(rows,) int64; rows that are no parent are dropped."""
    settled: tuple[Token, ...] = ()
    """Tokens of the final text that became certain with this step, so that they can be shown."""


class Found(NamedTuple):
    """One finished text."""

    score: float
    tokens: tuple[Token, ...]
    finish: str


Search = Generator[Step, Tensor, list[Found]]


def extend(logits: Tensor, filters: Callable, stop: Callable, choose: Callable[[Tensor], int]) -> Search:
    """One text, a token at a time; `choose` gives an id for the filtered logits (V,)."""
    tokens: list[Token] = []
    while True:
        ids = [token.id for token in tokens]
        allowed = filters(torch.tensor([ids], dtype=torch.int64), logits)[0]
        token = pick(logits[0], allowed, choose)
        tokens.append(token)
        finish = stop([*ids, token.id])
        if finish:
            return [Found(sum(token.logprob for token in tokens), tuple(tokens), finish)]
        logits = yield Step(torch.tensor([token.id]), torch.tensor([0]), (token,))


def pick(logits: Tensor, allowed: Tensor, choose: Callable[[Tensor], int]) -> Token:
    """The chosen token with its log-probability under the unfiltered logits (V,)."""
    if allowed.max() == float("-inf"):
        raise UpwellError("every token is banned, so none can be written; ban fewer or lower the minimum length")
    token = choose(allowed)
    return Token(token, (logits[token] - logits.logsumexp(-1)).item())
