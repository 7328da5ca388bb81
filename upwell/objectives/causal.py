"""Next token: each token is predicted from those before it in its own document."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from . import Loss


@dataclass(frozen=True)
class Settings:
    """Nothing to choose yet."""


def loss(model, batch, settings: Settings) -> Loss:
    """Summed cross-entropy in nats over the targets of a Batch (ids, targets, documents); -100 asks nothing.

    batch.documents may be None where a row is one document.
    """
    logits = model(batch.ids, documents=batch.documents)
    return Loss(summed(logits, batch.targets), int((batch.targets != -100).sum()))


def summed(logits: Tensor, targets: Tensor) -> Tensor:
    """logits (B, T, V), targets (B, T) -> the sum of -log p(target), in float32."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100, reduction="sum")
