"""A small model that guesses what a large one will write: its own session, kept in step with the text.

It runs in the engine's thread, a token at a time. Knows ids and no text.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..model.cache import CHUNK
from .session import Session
from .strategies.sample import draw


class Drafting:
    """Guesses for one request.

    model       a decoder with the vocabulary of the model whose text it is
    prompt      token ids that the text goes on from
    source      where there is an encoder: token ids of the text that it reads
    """

    def __init__(self, model, prompt: Sequence[int], source: Sequence[int] | None = None):
        self.model, self.prompt, self.source = model, list(prompt), source
        self._session: Session | None = None
        self._read: list[int] = []      # written ids that the session has read

    def __call__(self, ids: list[int], most: int, generator: torch.Generator | None, filters: Callable):
        """Up to `most` ids that may follow `ids`, and (guesses, V) the distributions that they were drawn from.

        Without a generator the likeliest, and None in place of distributions. filters: as those of a strategy.
        """
        most = min(most, self.model.config.context - len(self.prompt) - len(ids))
        logits = self._catch_up(ids) if most > 0 else None
        guessed: list[int] = []
        shares: list[Tensor] = []
        while len(guessed) < most:
            allowed = filters(torch.tensor([[*ids, *guessed]]), logits)[0]
            if allowed.max() == float("-inf"):
                break
            guessed.append(int(allowed.argmax()) if generator is None else draw(allowed, generator))
            shares.append(allowed.cpu().double().softmax(-1))
            if len(guessed) < most:
                logits = self._session.step(torch.tensor([guessed[-1]]), torch.tensor([0]))
                self._read.append(guessed[-1])
        return guessed, None if generator is None or not guessed else torch.stack(shares)

    def _catch_up(self, ids: list[int]) -> Tensor:
        """Logits (1, V) after `ids`: what was guessed wrongly is forgotten, what is new is read."""
        known = min(len(ids) - 1, len(self._read))      # at least one is read anew: the logits come with it
        same = next((at for at in range(known) if ids[at] != self._read[at]), known)
        back = len(self._read) - same
        if self._session is None or back > CHUNK // 2:
            begin, source = [[*self.prompt, *ids]], None if self.source is None else [self.source]
            self._session = Session(self.model, begin, len(begin[0]) + 64, source)
            logits = self._session.logits
        else:
            logits = self._session.step(torch.tensor([ids[same:]]), torch.tensor([0]), back=torch.tensor([back]))[:, -1]
        self._read = list(ids)
        return logits
