"""How likely a model finds a given text. Knows ids and no text."""

import torch

from .session import check_prompts, check_sources

CHUNK = 256     # positions whose logits are held at once


@torch.inference_mode()
def logprobs_from(model, ids: list[int], first: int, source: list[int] | None = None) -> list[float]:
    """Log-probability (natural logarithm) of each of ids[first:] after all ids before it; first is 1 or more.

    source: what the encoder reads, where there is one.
    """
    check_sources(model.config, 1, None if source is None else [source])
    check_prompts([ids], model.config.context, model.config.vocab)
    row = torch.tensor([ids], device=model.device)
    about = {} if source is None else {"source": torch.tensor([source], device=model.device)}
    before, wanted = model.hidden(row, **about)[0, first - 1 : -1], row[0, first:]
    values = []
    for hidden, targets in zip(before.split(CHUNK), wanted.split(CHUNK), strict=True):
        logits = model.logits(hidden).float()
        values += (logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
    return values
