"""Several tokens a step, guessed beforehand and checked by the model at once: the same texts, sooner.

Guesses come from what stands behind an earlier place of the text that equals its end (an n-gram look-up: it pays where
an answer repeats its prompt), or from a small draft model. They never change the distribution. Looked-up tokens stand
while they are what the model chooses itself, with the random numbers that it would use alone, so that the text is the
one that sampling with this seed gives. A draft's token x, drawn with probability q(x), stands with probability
min(1, p(x) / q(x)); where it falls, the token is drawn from the part of p above q. At temperature 0 a guess stands
where it is the likeliest.

Source: Leviathan et al. 2023, arXiv 2211.17192, algorithm 1; Chen et al. 2023, arXiv 2302.01318.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..steps import Found, Search, Step, Token, pick
from .sample import draw, numbers


@dataclass(frozen=True)
class Settings:
    """Where guesses come from and how many are made."""

    temperature: float = 0.8
    """0 takes the likeliest token; the filters have done the rest."""
    seed: int | None = None
    """Start of the random numbers; None takes one from the machine."""
    guesses: int = 8
    """Tokens that are guessed at most at each step."""
    ngram: int = 3
    """Tokens of the text's end that are looked for, or one less where so many are not found."""
    before: tuple[int, ...] = ()
    """The token ids that the text goes on from, or is about."""
    draft: Callable | None = None
    """(ids written, how many, choose) -> ids and, where they were drawn, their distributions: see draft.Drafting."""
    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """One text."""
    s, generator = settings, numbers(settings.seed)
    choose = (lambda allowed: int(allowed.argmax())) if s.temperature == 0 else lambda allowed: draw(allowed, generator)
    tokens: list[Token] = []
    lookup = Lookup(s.before, s.ngram)
    guessed: list[int] = []
    shares: Tensor | None = None                    # (guesses, V): q, where a draft drew them
    rows = logits                                   # (1 + guesses, V): after the text, and after each guess
    while True:
        settled = len(tokens)
        for place in range(len(guessed) + 1):
            ids = [token.id for token in tokens]
            allowed = filters(torch.tensor([ids], dtype=torch.int64), rows[place : place + 1])[0]
            if place < len(guessed) and shares is not None:
                q = shares[place]
                token = pick(rows[place], allowed, lambda a, x=guessed[place], q=q: kept(x, q, a, generator),
                             s.top_logprobs)  # fmt: skip
            else:
                token = pick(rows[place], allowed, choose, s.top_logprobs)
            tokens.append(token)
            finish = stop([*ids, token.id])
            if finish:
                return [Found(sum(token.logprob for token in tokens), tuple(tokens), finish)]
            if place < len(guessed) and token.id != guessed[place]:
                break
        back = len(guessed) - place                 # of those that were read, these did not stand
        ids = [token.id for token in tokens]
        most = min(s.guesses, getattr(stop, "max_new", len(ids) + s.guesses + 1) - len(ids) - 1)
        if s.draft is None:
            guessed, shares = lookup(ids, most), None
        else:
            guessed, shares = s.draft(ids, most, None if s.temperature == 0 else generator, filters)
        step = torch.tensor([[ids[-1], *guessed]])
        rows = (yield Step(step, torch.tensor([0]), tuple(tokens[settled:]), back))[0]


def kept(guess: int, q: Tensor, allowed: Tensor, generator: torch.Generator) -> int:
    """A token of the distribution softmax(allowed) (V,): the guess, drawn from q (V,), or one in its place."""
    p, q = allowed.cpu().double().softmax(-1), q.cpu().double()
    if torch.rand((), dtype=torch.float64, generator=generator) * q[guess] < p[guess]:
        return guess
    return draw((p - q).clamp(min=0).log(), generator)


class Lookup:
    """What stood behind an earlier place of the text that equals its end; the longest end, the newest place."""

    def __init__(self, before: tuple[int, ...], longest: int):
        self.text, self.longest, self.read = list(before), longest, 0
        self.places: dict[tuple[int, ...], int] = {}
        """n-gram -> the place behind its newest occurrence that something follows."""
        self._known = 0

    def __call__(self, ids: list[int], most: int) -> list[int]:
        """At most `most` tokens that may follow the text, of which ids are what was written."""
        self.text += ids[self.read :]
        self.read = len(ids)
        for end in range(max(self._known, 1), len(self.text)):
            for n in {self.longest, max(1, self.longest - 1)}:
                if n <= end:
                    self.places[tuple(self.text[end - n : end])] = end
        self._known = len(self.text)
        for n in (self.longest, max(1, self.longest - 1)):
            place = self.places.get(tuple(self.text[-n:]))
            if place is not None and most > 0:
                return self.text[place : place + most]
        return []
