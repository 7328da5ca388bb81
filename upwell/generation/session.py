"""A model, its cache and its rows: start with prompts, go on step by step. Knows no text and chooses nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import SettingsError
from ..model.cache import Cache


class Session:
    """Rows that are read and written together.

    model       a Transformer; its config.context bounds every row
    prompts     token ids of each row, at least one each, of any lengths
    capacity    tokens that each row has room for at first; more is made when needed
    .logits     (rows, V) float32 after the last token of each row
    """

    @torch.inference_mode()
    def __init__(self, model, prompts: Sequence[Sequence[int]], capacity: int = 0):
        self.model = model
        check_prompts(prompts, model.config.context, model.config.vocab)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.as_tensor(prompt)
        room = min(max(capacity, ids.shape[1] + 1), model.config.context)
        self.cache = Cache(model.config, len(prompts), room, model.device, model.dtype)
        uneven = None if len(set(lengths.tolist())) == 1 else lengths.to(model.device)
        self.logits = model(ids.to(model.device), cache=self.cache, lengths=uneven, last=True).float()

    @property
    def rows(self) -> int:
        """How many texts are alive."""
        return len(self.logits)

    @torch.inference_mode()
    def step(self, tokens: Tensor, parents: Tensor) -> Tensor:
        """Row i becomes a copy of row parents[i] and reads tokens[i]; rows that are no parent are dropped.

        tokens and parents (new rows,) int64 -> logits (new rows, V) float32. SettingsError where a row is full.
        """
        device = self.cache.lengths.device
        self.cache.reorder(parents.to(device))
        if self.cache.longest >= self.model.config.context:
            raise SettingsError(_too_long(self.cache.longest + 1, self.model.config.context, "the text"))
        self.logits = self.model(tokens.to(device)[:, None], cache=self.cache, last=True).float()
        return self.logits

    @torch.inference_mode()
    def join(self, other: "Session") -> None:
        """Take over the rows of another session of this model; they stand behind the own ones."""
        self.cache.join(other.cache)
        self.logits = torch.cat([self.logits, other.logits])


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
