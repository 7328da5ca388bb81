"""How likely a model finds a given text. Knows ids and no text."""

import torch

from .session import check_prompts

CHUNK = 256     # positions whose logits are held at once


@torch.inference_mode()
def logprobs_from(model, ids: list[int], first: int) -> list[float]:
    """Log-probability (natural logarithm) of each of ids[first:] after all ids before it; first is 1 or more."""
    check_prompts([ids], model.config.context, model.config.vocab)
    row = torch.tensor([ids], device=model.device)
    before, wanted = model.hidden(row)[0, first - 1 : -1], row[0, first:]
    values = []
    for hidden, targets in zip(before.split(CHUNK), wanted.split(CHUNK), strict=True):
        logits = model.logits(hidden).float()
        values += (logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
    return values
