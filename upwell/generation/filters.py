"""Functions (tokens so far, logits) -> logits, that say which tokens may come next and how likely each is.

tokens is (rows, T) int64, without padding; logits is (rows, V) float32. Each filter is pure and treats every row alike;
none walks over the vocabulary. The numbers are those of transformers' logits processors where it has the same one.
They know no model and no text. `compose` says which of them see the prompt and which only what was written.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import SettingsError
from .settings import RANKING, Settings

Filter = Callable[[Tensor, Tensor], Tensor]
NEVER = float("-inf")
DRY_REACH = 64      # tokens of the text's end that DRY looks for at most


class Spelled(NamedTuple):
    """What settings say in text, as ids and filters: see spelling.spelled."""

    never: tuple[Filter, ...] = ()
    """Strings that may not appear, the grammar; they see what was written."""
    sequences: tuple[tuple[int, ...], ...] = ()
    """Sequences of ids that may not appear, and not be begun in the prompt either."""
    begins: tuple[int, ...] = ()
    """Ids that the text begins with."""
    breakers: tuple[int, ...] = ()
    """Ids at which a repetition ends, for DRY."""


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


def min_p(share: float) -> Filter:
    """Leaves the tokens whose probability is at least `share` of the likeliest one's (arXiv 2407.01082)."""

    def keep(tokens: Tensor, logits: Tensor) -> Tensor:
        shares = logits.softmax(-1)
        return logits.masked_fill(shares < share * shares.amax(-1, keepdim=True), NEVER)

    return keep


def typical(share: float) -> Filter:
    """Leaves the tokens whose surprise is nearest to the entropy, together `share` (Meister and others 2023)."""

    def keep(tokens: Tensor, logits: Tensor) -> Tensor:
        logp = logits.log_softmax(-1)
        entropy = -(logp * logp.exp()).nansum(-1, keepdim=True)
        odd, order = (-logp - entropy).abs().sort()
        below = logits.gather(-1, order).softmax(-1).cumsum(-1) < share
        last = below.sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
        gone = odd > odd.gather(1, last)
        gone[:, 0] = False
        return logits.masked_fill(gone.scatter(1, order, gone), NEVER)

    return keep


def repetition_penalty(penalty: float) -> Filter:
    """Divides positive logits of tokens seen before by `penalty` and multiplies negative ones (arXiv 1909.05858)."""

    def punish(tokens: Tensor, logits: Tensor) -> Tensor:
        seen = logits.gather(1, tokens)
        return logits.scatter(1, tokens, torch.where(seen < 0, seen * penalty, seen / penalty))

    return punish


def count_penalty(presence: float, frequency: float) -> Filter:
    """Takes `presence` from tokens that were there, and `frequency` for each time (OpenAI's API reference)."""

    def punish(tokens: Tensor, logits: Tensor) -> Tensor:
        counts = torch.zeros_like(logits).scatter_add(1, tokens, torch.ones_like(tokens, dtype=logits.dtype))
        return logits - presence * (counts > 0) - frequency * counts

    return punish


def no_repeat(size: int) -> Filter:
    """No `size` tokens in a row that were there before (Paulus and others 2018)."""

    def ban(tokens: Tensor, logits: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length < size:
            return logits
        windows = tokens.unfold(1, size, 1)                                         # (rows, places, size)
        same = (windows[..., :-1] == tokens[:, None, length + 1 - size :]).all(-1)
        return _mark(logits, windows[..., -1], same, NEVER)

    return ban


def dry(strength: float, base: float, allowed: int, breakers: Iterable[int] = ()) -> Filter:
    """Takes strength * base ** (n - allowed) from a token that would make a repetition of n >= allowed tokens longer.

    n: how many tokens before it are the same at its earlier place and now; the longest counts. A repetition ends at a
    breaker. ("Don't repeat yourself", by the name of p-e-w, 2024.)
    """
    breaks = torch.tensor(sorted(set(breakers)), dtype=torch.int64)

    def punish(tokens: Tensor, logits: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length < 2:
            return logits
        broken = torch.isin(tokens, breaks.to(tokens.device))
        same = torch.ones_like(tokens, dtype=torch.bool)            # same[:, j]: the n tokens before j are the last n
        run = torch.zeros_like(tokens)
        for n in range(1, min(DRY_REACH, length - 1) + 1):
            here = torch.zeros_like(same)
            here[:, n:] = tokens[:, :-n] == tokens[:, -n, None]
            same = same & here & ~broken[:, -n, None]
            if not same.any():
                break
            run = run + same
        cost = strength * base ** (run - allowed).to(logits.dtype)
        cost = torch.where((run >= allowed) & ~broken, cost, 0.0)
        most = torch.zeros_like(logits).scatter_reduce(1, tokens, cost, "amax")
        return logits - most

    return punish


def bias(added: Sequence[tuple[int, float]]) -> Filter:
    """Adds a number to the logit of each of these ids."""
    ids = torch.tensor([id for id, _ in added], dtype=torch.int64)
    numbers = torch.tensor([number for _, number in added], dtype=torch.float32)
    return lambda tokens, logits: logits.index_add(
        1, ids.to(logits.device), numbers.to(logits.device, logits.dtype).expand(len(logits), -1))  # fmt: skip


def banned(ids: Iterable[int]) -> Filter:
    """Never one of these ids."""
    ids = torch.tensor(sorted(set(ids)), dtype=torch.int64)

    def ban(tokens: Tensor, logits: Tensor) -> Tensor:
        return logits.index_fill(1, ids.to(logits.device), NEVER)

    return ban


def banned_sequences(sequences: Iterable[Sequence[int]]) -> Filter:
    """Never one of these sequences of ids as a whole."""
    by_length: dict[int, list[Sequence[int]]] = {}
    for sequence in sequences:
        by_length.setdefault(len(sequence), []).append(sequence)
    tables = [torch.tensor(some, dtype=torch.int64) for some in by_length.values()]     # (sequences, length) each

    def ban(tokens: Tensor, logits: Tensor) -> Tensor:
        for table in tables:
            table = table.to(logits.device)
            before = table.shape[1] - 1
            if tokens.shape[1] >= before:
                tail = tokens[:, None, tokens.shape[1] - before :]
                same = (table[None, :, :-1] == tail).all(-1)                            # (rows, sequences)
                logits = _mark(logits, table[:, -1].expand_as(same), same, NEVER)
        return logits

    return ban


def minimum_length(length: int, ends: Iterable[int]) -> Filter:
    """None of `ends` while there are fewer than `length` tokens."""
    ban = banned(ends)
    return lambda tokens, logits: ban(tokens, logits) if tokens.shape[1] < length else logits


def forced(sequence: Sequence[int], start: int = 0) -> Filter:
    """Nothing but sequence[i] where there are start + i tokens."""

    def force(tokens: Tensor, logits: Tensor) -> Tensor:
        place = tokens.shape[1] - start
        if not 0 <= place < len(sequence):
            return logits
        return torch.full_like(logits, NEVER).index_fill(1, torch.tensor([sequence[place]], device=logits.device), 0.0)

    return force


def _mark(logits: Tensor, ids: Tensor, where: Tensor, value: float) -> Tensor:
    """Logits with `value` for those of ids (rows, n) where `where` (rows, n) is true; one column takes the others."""
    V = logits.shape[1]
    marked = torch.zeros(len(logits), V + 1, dtype=torch.bool, device=logits.device)
    marked.scatter_(1, torch.where(where, ids, V), True)
    return logits.masked_fill(marked[:, :V], value)


def compose(settings: Settings, prompt: list[int], ends: Iterable[int], vocab: int, first: int | None = None,
            spelled: Spelled | None = None) -> Filter:  # fmt: skip
    """All filters that the settings ask for, as one function of (tokens written after the prompt, logits).

    Penalties come before temperature and temperature before top-k and top-p, as everywhere in the field. What takes the
    likeliest needs none of the last. The penalty of repetitions, no_repeat and DRY see the prompt too. `first`: an id
    that must be written first. Raises SettingsError for an id that the model lacks.
    """
    spelled = spelled or Spelled()
    _check_ids("banned", settings.banned, vocab)
    _check_ids("logit_bias", [id for id, _ in settings.logit_bias], vocab)
    whole, written = _seeing_all(settings, spelled), _seeing_written(settings, ends, first, spelled)
    chain = [(each, True) for each in whole] + [(each, False) for each in written]
    if not likeliest(settings) and settings.strategy not in (*RANKING, "contrastive"):
        chain += [(each, False) for each in _narrowing(settings)]
    before = torch.tensor([prompt], dtype=torch.int64)

    def apply(written: Tensor, logits: Tensor) -> Tensor:
        written = written.to(logits.device)
        all_of_it = None
        for narrow, sees_prompt in chain:
            if sees_prompt and all_of_it is None:
                all_of_it = torch.cat([before.to(logits.device).expand(len(written), -1), written], dim=1)
            logits = narrow(all_of_it if sees_prompt else written, logits)
        return logits

    return apply


def likeliest(settings: Settings) -> bool:
    """Whether these settings take the likeliest token each time, whatever the temperature."""
    drawn = settings.strategy in ("sample", "speculative")
    return settings.strategy == "greedy" or (drawn and settings.temperature == 0)


def _check_ids(name: str, ids: Iterable[int], vocab: int) -> None:
    for id in ids:
        if id >= vocab:
            raise SettingsError(f"{name}: found the token id {id}, expected ids below the vocabulary's {vocab}")


def _seeing_all(s: Settings, spelled: Spelled) -> list[Filter]:
    """Those that see the prompt and what was written."""
    chain = [bias(s.logit_bias)] if s.logit_bias else []
    chain += [repetition_penalty(s.repetition_penalty)] if s.repetition_penalty != 1 else []
    chain += [no_repeat(s.no_repeat)] if s.no_repeat else []
    chain += [banned_sequences(spelled.sequences)] if spelled.sequences else []
    return chain + ([dry(s.dry, s.dry_base, s.dry_allowed, spelled.breakers)] if s.dry else [])


def _seeing_written(s: Settings, ends: Iterable[int], first: int | None, spelled: Spelled) -> list[Filter]:
    """Those that see what was written after the prompt only."""
    counted = s.presence_penalty or s.frequency_penalty
    chain = [count_penalty(s.presence_penalty, s.frequency_penalty)] if counted else []
    chain += [banned(s.banned)] if s.banned else []
    chain += [minimum_length(s.min_new, ends)] if s.min_new else []
    chain += [each if first is None else _behind(each, 1) for each in spelled.never]
    begins = (*([] if first is None else [first]), *spelled.begins)
    return chain + ([forced(begins)] if begins else [])


def _behind(filter: Filter, count: int) -> Filter:
    """The same filter, blind to the first `count` tokens."""
    return lambda tokens, logits: filter(tokens[:, count:], logits) if tokens.shape[1] >= count else logits


def _narrowing(s: Settings) -> list[Filter]:
    chain = [temperature(s.temperature)] if s.temperature not in (0, 1) else []
    chain += [top_k(s.top_k)] if s.top_k else []
    chain += [top_p(s.top_p)] if s.top_p < 1 else []
    chain += [min_p(s.min_p)] if s.min_p else []
    return chain + ([typical(s.typical)] if s.typical < 1 else [])
