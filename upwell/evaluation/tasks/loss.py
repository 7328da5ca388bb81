"""How well a model predicts a held-out text: nats a token, perplexity, bits per byte.

Every token of the store is predicted once, from what stands before it in its own document and its own window of
`context` tokens. Bits per byte do not depend on the tokenizer: total nats / ln 2 / bytes of the text.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ...tokens.batches import whole
from ...tokens.store import Store
from .. import Number, Scores

PIECE = 1 << 22  # logits held at once


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
    sums, counts = [], []
    for losses, asked in windows(model, store, settings, dtype):
        sums.append(losses.sum(1))
        counts.append(asked.sum(1))
    return scores(torch.cat(sums), torch.cat(counts), store.text_bytes)


@torch.inference_mode()
def by_group(model, store: Store, groups: Sequence[int], sizes: Sequence[int], settings: Settings,
             dtype: torch.dtype = torch.float32) -> dict[int, Scores]:  # fmt: skip
    """The scores of `measure` for each group of documents.

    groups: each document's group; sizes: the bytes of its text. A document's nats are those of its tokens and of the
    token that ends it. Errors are standard errors over documents; NaN where there is only one.
    """
    place, sums, counts = 1, np.zeros(store.documents), np.zeros(store.documents, np.int64)
    for losses, asked in windows(model, store, settings, dtype):
        found = losses[asked].numpy()
        owner = np.searchsorted(store.starts, np.arange(place - 1, place - 1 + len(found)), side="right") - 1
        sums += np.bincount(owner, found, store.documents)
        counts += np.bincount(owner, minlength=store.documents)
        place += len(found)
    groups, sizes = np.asarray(groups), np.asarray(sizes)
    return {group: scores(torch.from_numpy(sums[groups == group]), torch.from_numpy(counts[groups == group]),
                          int(sizes[groups == group].sum()))
            for group in sorted({*groups.tolist()}) if counts[groups == group].any()}  # fmt: skip


def windows(model, store: Store, settings: Settings, dtype: torch.dtype) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(nats (B, T) float64, whether they are asked for (B, T)) of all windows of a store, in its order."""
    model.config.check_next_token()
    model.eval()
    context = settings.context or min(model.config.context, 1024)
    for batch in whole(store, context, settings.rows):
        ids, targets, documents = (t.to(model.device) for t in batch)
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            losses = nats(model, model.hidden(ids, documents=documents), targets)
        yield losses.cpu().double(), (targets != -100).cpu()  # not every device has float64


def nats(model, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The last block's vectors (B, T, D) and targets (B, T) -> nats of each target (B, T), 0 where it is -100.

    A piece of the logits at a time: all of them would take more memory than training does.
    """
    rows = max(1, PIECE // model.config.vocab)
    found = []
    for part, wanted in zip(hidden.flatten(0, 1).split(rows), targets.flatten().split(rows), strict=True):
        logits = model.logits(model.top(part, None, None)).float()
        found.append(F.cross_entropy(logits, wanted, ignore_index=-100, reduction="none"))
    return torch.cat(found).view(targets.shape)


def scores(sums: torch.Tensor, counts: torch.Tensor, text_bytes: int) -> Scores:
    """Sums of nats (N,) and counts of tokens (N,), of windows or documents -> Scores."""
    tokens, mean = int(counts.sum()), (sums.sum() / counts.sum()).item()
    spread = (sums - mean * counts).square().sum().sqrt().item() / tokens
    numbers = {"loss": Number(mean, spread), "perplexity": Number(math.exp(mean), math.exp(mean) * spread)}
    if text_bytes:
        scale = tokens / text_bytes / math.log(2)
        numbers["bits per byte"] = Number(mean * scale, spread * scale)
    return Scores(numbers, tokens)
