"""A model, its cache and its rows: start with prompts, go on step by step. Knows no text and chooses nothing."""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import SettingsError
from ..model.cache import Cache, kept_as


class Session:
    """Rows that are read and written together.

    model       a Transformer; its config.context bounds every row
    prompts     token ids of each row, at least one each, of any lengths; where there is an encoder, what the decoder
                begins with, which is its start id alone if None
    capacity    tokens that each row has room for at first; more is made when needed
    sources     where there is an encoder: token ids of the text that each row is about
    hidden      keep the vectors of what was read last, for strategies that want them
    known       for each row the beginning of its prompt that need not be read again (prefixes.Prefix), or None
    whole       read all prompts at once; else `read` does it, piece by piece
    adapters    where the model has several: the number of each row's, 0 for none (see model.several)
    .logits     (rows, V) float32 after the last token of each row
    .hidden     (rows, T, D) of the T tokens that each row has read last, filled up on the right; None where not kept
    """

    @torch.inference_mode()
    def __init__(self, model, prompts: Sequence[Sequence[int]] | None, capacity: int = 0,
                 sources: Sequence[Sequence[int]] | None = None, hidden: bool = False, known: Sequence = (),
                 whole: bool = True, adapters: Sequence[int] | None = None):  # fmt: skip
        self.model, self.keeps, self.hidden, self.logits = model, hidden, None, None
        self.recorded = None
        if prompts is None:
            prompts = [[model.config.start]] * len(sources or ())
        check_prompts(prompts, model.config.context, model.config.vocab)
        check_sources(model.config, len(prompts), sources)
        longest = max(len(prompt) for prompt in prompts)
        room = min(max(capacity, longest + 1), model.config.context)
        kept = kept_as(model.config, model.device, model.dtype)
        self.cache = Cache(model.config, len(prompts), room, model.device, kept)
        begun = [0] * len(prompts)
        for row, prefix in enumerate(known):
            if prefix is not None:
                self.cache.recall(row, prefix.keys, prefix.values)
                begun[row] = len(prefix.ids)
        unread = [prompt[start:] for prompt, start in zip(prompts, begun, strict=True)]
        self._unread, self._left = (t.to(model.device) for t in side_by_side(unread))
        self.adapters = None if adapters is None or not any(adapters) else torch.tensor(adapters, device=model.device)
        self._about = {}
        if sources is not None:
            source, long = (t.to(model.device) for t in side_by_side(sources))
            places = torch.arange(source.shape[1], device=model.device)
            self._about = {"source": source, "source_mask": places < long[:, None]}
        if whole:
            self.read()

    @torch.inference_mode()
    def read(self, most: int = sys.maxsize) -> bool:
        """Read up to `most` more tokens of each prompt; whether that was all of them, so that there are logits."""
        ids, self._unread = self._unread[:, :most], self._unread[:, most:]
        now = self._left.clamp(max=ids.shape[1])
        self._left = self._left - now
        before, logits_before = self.hidden, self.logits
        logits = self._read(ids, None if bool((now == ids.shape[1]).all()) else now, last=True, **self._about)
        self._about = {}
        self.logits = logits if logits_before is None else torch.where((now > 0)[:, None], logits, logits_before)
        if self.hidden is not None and before is not None:
            self.hidden = torch.cat([before, self.hidden], 1)
        return not self._unread.shape[1]

    @property
    def rows(self) -> int:
        """How many texts are alive."""
        return len(self.logits)

    @torch.inference_mode()
    def step(self, tokens: Tensor, parents: Tensor, lengths: Tensor | None = None,
             back: Tensor | None = None) -> Tensor:  # fmt: skip
        """Row i becomes a copy of row parents[i] and reads tokens[i]; rows that are no parent are dropped.

        tokens and parents (new rows,) int64 -> logits (new rows, V) float32. With tokens (new rows, T) row i reads
        lengths[i] of its T tokens, default all, and logits are (new rows, T, V); back (new rows,): how many of the
        tokens that it read last it forgets before. SettingsError where a row is full.
        """
        device, context = self.cache.lengths.device, self.model.config.context
        self.cache.reorder(parents.to(device))
        if self.adapters is not None:
            self.adapters = self.adapters[parents.to(device)]
        if back is not None:
            self.cache.forget(back.to(device))
        several = tokens.dim() == 2
        ids = (tokens if several else tokens[:, None]).to(device)
        if lengths is None:
            longest = self.cache.longest + ids.shape[1]
        else:
            lengths = lengths.to(device)
            longest = int((self.cache.lengths + lengths).max())
        if longest > context:
            raise SettingsError(_too_long(longest, context, "the text"))
        logits = self._read(ids, lengths, last=not several)
        self.logits = logits if not several else logits[:, -1] if lengths is None else logits[
            torch.arange(len(ids), device=device), lengths - 1]  # fmt: skip
        return logits

    def _read(self, ids: Tensor, lengths: Tensor | None, last: bool, **about) -> Tensor:
        """Logits float32 of ids (rows, T): (rows, V) after the last of each row, or all (rows, T, V)."""
        self.hidden = None
        if hasattr(self.model, "choice"):
            self.model.choice.rows = self.adapters
        if self.recorded is not None and not self.keeps and self.adapters is None and lengths is None:
            found = self.recorded(ids) if last and ids.shape[1] == 1 else None
            if found is not None:
                return found
        if not self.keeps:
            return self.model(ids, cache=self.cache, lengths=lengths, last=last, **about).float()
        x = self.hidden = self.model.hidden(ids, cache=self.cache, lengths=lengths, **about)
        if last:
            at = torch.full((len(ids),), ids.shape[1], device=ids.device) if lengths is None else lengths
            x = x[torch.arange(len(ids), device=ids.device), at - 1]
        return self.model.read_out(x, ids).float()

    @torch.inference_mode()
    def settle(self, recorded) -> None:
        """Its rows lie in the memory of recorded steps (graphs.Recorded) from now on, in the place of all others."""
        recorded.cache.empty()
        recorded.cache.join(self.cache)
        self.cache, self.recorded = recorded.cache, recorded

    @torch.inference_mode()
    def join(self, other: "Session") -> None:
        """Take over the rows of another session of this model; they stand behind the own ones."""
        if self.adapters is not None or other.adapters is not None:
            self.adapters = torch.cat([self._numbers(), other._numbers()])
        self.cache.join(other.cache)
        self.logits = torch.cat([self.logits, other.logits])

    @torch.inference_mode()
    def leave(self, count: int) -> None:
        """The last `count` rows go."""
        if count:
            kept = torch.arange(self.rows - count, device=self.cache.lengths.device)
            self.cache.reorder(kept)
            self.logits = self.logits[kept]
            self.adapters = None if self.adapters is None else self.adapters[kept]

    def _numbers(self) -> Tensor:
        """The number of each row's adapter."""
        return torch.zeros(self.rows, dtype=torch.long) if self.adapters is None else self.adapters


def side_by_side(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids (rows, longest), filled up with 0 on the right, and the length of each row (rows,)."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.as_tensor(row)
    return ids, lengths


def check_sources(config, rows: int, sources: Sequence[Sequence[int]] | None) -> None:
    """SettingsError where a model with an encoder has no source for each row, or one without has some."""
    if (sources is None) == (config.shape == "encoder-decoder"):
        wants = "a source for each row, found none" if sources is None else "no source, found some: it has no encoder"
        raise SettingsError(f"this {config.kind} model wants {wants}")
    if config.shape == "encoder":
        raise SettingsError(f"this {config.kind} model is an encoder and writes no text; take a decoder")
    if sources is not None:
        if len(sources) != rows:
            raise SettingsError(f"found {len(sources)} sources for {rows} rows, expected one each")
        check_prompts(sources, sys.maxsize if config.positions == "relative" else config.context, config.vocab)


def check_prompts(prompts: Sequence[Sequence[int]], context: int, vocab: int, max_new: int = 0) -> None:
    """SettingsError, naming both numbers, for a prompt that is empty, too long, or has ids that the model lacks."""
    if not prompts:
        raise SettingsError("found no prompt, expected at least one")
    for prompt in prompts:
        if not len(prompt):
            raise SettingsError("found a prompt of 0 tokens, expected at least 1: begin with the end-of-text token")
        if min(prompt) < 0 or max(prompt) >= vocab:
            wrong = next(token for token in prompt if not 0 <= token < vocab)
            raise SettingsError(f"found the token id {wrong}, expected ids from 0 to {vocab - 1}")
        if len(prompt) + max_new > context:
            raise SettingsError(_too_long(len(prompt), context, "the prompt", max_new))


def _too_long(found: int, context: int, what: str, max_new: int = 0) -> str:
    if not max_new or found >= context:
        return f"{what} has {found} tokens, but the model reads at most {context}; shorten it"
    return (f"{what} has {found} tokens and max_new asks for {max_new}, together {found + max_new}, but the model "
            f"reads at most {context}; shorten it or set max_new to {context - found} or less")
