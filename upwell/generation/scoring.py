"""How likely a model finds a given text. Knows ids and no text."""

from collections.abc import Generator

import torch

from ..errors import SettingsError
from .session import Session, check_prompts
from .steps import Token, told

PIECE = 256  # tokens that are read at once, so that whoever shares the model need not wait long
Scoring = Generator[None, None, list[Token]]


@torch.inference_mode()
def logprobs_from(model, ids: list[int], first: int, source: list[int] | None = None) -> list[float]:
    """Log-probability (natural logarithm) of each of ids[first:] after all ids before it; first is 1 or more.

    source: what the encoder reads, where there is one.
    """
    work = tokens_from(model, ids, first, source)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return [token.logprob for token in end.value]


def tokens_from(model, ids: list[int], first: int, source: list[int] | None = None, top: int = 0,
                adapter: int = 0) -> Scoring:  # fmt: skip
    """The same in pieces, as Tokens: with the `top` likeliest ids at each place. It yields after every piece."""
    check_prompts([ids], model.config.context, model.config.vocab)
    if first < 1:
        raise SettingsError(f"first: found {first}, expected 1 or more: nothing stands before the first token")
    tokens: list[Token] = []
    if len(ids) == first:
        return tokens
    session = Session(model, [ids[:-1]], 0, None if source is None else [source], True, whole=False, adapters=[adapter])
    done, read = False, 0
    while not done:
        done = session.read(PIECE)
        hidden = session.hidden[0, read:]
        begin, read = max(read, first - 1), read + len(hidden)
        if begin < read:
            logits = model.logits(hidden[len(hidden) - (read - begin) :]).float()
            tokens += [told(row, token, top) for row, token in zip(logits, ids[begin + 1 : read + 1], strict=True)]
        yield
    return tokens
