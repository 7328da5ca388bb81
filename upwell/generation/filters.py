"""Functions (tokens so far, logits) -> logits, that say which tokens may come next and how likely each is.

tokens is (rows, T) int64, prompt included, without padding; logits is (rows, V) float32. Each filter is pure and
treats every row alike. The numbers are those of transformers' logits processors. They know no model and no text.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..errors import SettingsError
from .settings import Settings

Filter = Callable[[Tensor, Tensor], Tensor]
NEVER = float("-inf")


def temperature(degree: float) -> Filter:
    """Divides the logits by `degree`, which is above 0."""
    return lambda tokens, logits: logits / degree


def top_k(count: int) -> Filter:
    """Leaves the `count` likeliest tokens of each row, and any that tie with the last of them."""

    def keep(tokens: Tensor, logits: Tensor) -> Tensor:
        least = logits.topk(min(count, logits.shape[-1])).values[:, -1:]
        return logits.masked_fill(logits < least, NEVER)

    return keep


def top_p(share: float) -> Filter:
    """Leaves the fewest likeliest tokens whose probabilities sum to `share` (Holtzman and others 2020)."""

    def keep(tokens: Tensor, logits: Tensor) -> Tensor:
        ranked, order = logits.sort()                          # the least likely first
        gone = ranked.softmax(-1).cumsum(-1) <= 1 - share
        gone[:, -1] = False                                    # the likeliest always stays
        return logits.masked_fill(gone.scatter(1, order, gone), NEVER)

    return keep


def repetition_penalty(penalty: float) -> Filter:
    """Divides positive logits of tokens seen before by `penalty` and multiplies negative ones (arXiv 1909.05858)."""

    def punish(tokens: Tensor, logits: Tensor) -> Tensor:
        seen = logits.gather(1, tokens)
        return logits.scatter(1, tokens, torch.where(seen < 0, seen * penalty, seen / penalty))

    return punish


def banned(ids: Iterable[int]) -> Filter:
    """Never one of these ids."""
    ids = torch.tensor(sorted(set(ids)), dtype=torch.int64)

    def ban(tokens: Tensor, logits: Tensor) -> Tensor:
        return logits.index_fill(1, ids.to(logits.device), NEVER)

    return ban


def minimum_length(length: int, ends: Iterable[int]) -> Filter:
    """None of `ends` while there are fewer than `length` tokens, prompt included."""
    ban = banned(ends)
    return lambda tokens, logits: ban(tokens, logits) if tokens.shape[1] < length else logits


def forced(token: int, length: int) -> Filter:
    """Nothing but `token` where there are `length` tokens, prompt included."""

    def force(tokens: Tensor, logits: Tensor) -> Tensor:
        return logits if tokens.shape[1] != length else torch.full_like(logits, NEVER).index_fill(
            1, torch.tensor([token], device=logits.device), 0.0)  # fmt: skip

    return force


def compose(settings: Settings, prompt: list[int], ends: Iterable[int], vocab: int, first: int | None = None) -> Filter:
    """All filters that the settings ask for, as one function of (tokens written after the prompt, logits).

    Penalties come before temperature and temperature before top-k and top-p, as everywhere in the field. Greedy
    choice and beam search take the likeliest and need none of the last three. `first`: an id that must be written
    first. Raises SettingsError for an id that the model lacks.
    """
    beyond = [token for token in settings.banned if token >= vocab]
    if beyond:
        raise SettingsError(f"banned: found the token id {beyond[0]}, expected ids below the vocabulary's {vocab}")
    drawn = not likeliest(settings) and settings.strategy != "beam"
    chain = _penalties(settings, len(prompt), ends) + ([] if first is None else [forced(first, len(prompt))])
    chain += _narrowing(settings) if drawn else []
    before = torch.tensor([prompt], dtype=torch.int64)

    def apply(written: Tensor, logits: Tensor) -> Tensor:
        if chain:
            written = torch.cat([before.expand(len(written), -1), written], dim=1).to(logits.device)
        for narrow in chain:
            logits = narrow(written, logits)
        return logits

    return apply


def likeliest(settings: Settings) -> bool:
    """Whether these settings take the likeliest token each time, whatever the temperature."""
    return settings.strategy == "greedy" or (settings.strategy == "sample" and settings.temperature == 0)


def _penalties(s: Settings, prompt: int, ends: Iterable[int]) -> list[Filter]:
    chain = [repetition_penalty(s.repetition_penalty)] if s.repetition_penalty != 1 else []
    chain += [banned(s.banned)] if s.banned else []
    return chain + ([minimum_length(prompt + s.min_new, ends)] if s.min_new else [])


def _narrowing(s: Settings) -> list[Filter]:
    chain = [temperature(s.temperature)] if s.temperature not in (0, 1) else []
    chain += [top_k(s.top_k)] if s.top_k else []
    return chain + ([top_p(s.top_p)] if s.top_p < 1 else [])
