"""How well a model predicts a held-out text: nats a token, perplexity, bits per byte.

Every token of the store is predicted once, from what stands before it in its own document and its own window of
`context` tokens. Bits per byte do not depend on the tokenizer: total nats / ln 2 / bytes of the text.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ...tokens.batches import whole
from ...tokens.store import Store
from .. import Number, Scores


@dataclass(frozen=True)
class Settings:
    """How the text is read."""

    context: int = 0
    """Tokens in a window; 0: as many as the model reads."""
    rows: int = 16
    """Windows at once."""


@torch.inference_mode()
def measure(model, store: Store, settings: Settings, dtype: torch.dtype = torch.float32) -> Scores:
    """Scores "loss" (nats a token), "perplexity" and, where the store knows its bytes, "bits per byte".

    Errors are standard errors over windows, weighted by their tokens. dtype is the format of matrix products.
    """
    model.config.check_next_token()
    model.eval()
    context = settings.context or min(model.config.context, 1024)
    sums, counts = [], []
    for batch in whole(store, context, settings.rows):
        ids, targets, documents = (t.to(model.device) for t in batch)
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            logits = model(ids, documents=documents).float()
        losses = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100, reduction="none")
        sums.append(losses.cpu().double().sum(1))  # not every device has float64
        counts.append((targets != -100).sum(1).cpu())
    return scores(torch.cat(sums), torch.cat(counts), store.text_bytes)


def scores(sums: torch.Tensor, counts: torch.Tensor, text_bytes: int) -> Scores:
    """Window sums of nats (N,) and token counts (N,) -> Scores."""
    tokens, mean = int(counts.sum()), (sums.sum() / counts.sum()).item()
    spread = (sums - mean * counts).square().sum().sqrt().item() / tokens
    numbers = {"loss": Number(mean, spread), "perplexity": Number(math.exp(mean), math.exp(mean) * spread)}
    if text_bytes:
        scale = tokens / text_bytes / math.log(2)
        numbers["bits per byte"] = Number(mean * scale, spread * scale)
    return Scores(numbers, tokens)
