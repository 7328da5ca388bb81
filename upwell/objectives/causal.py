"""Next token: each token is predicted from those before it in its own document."""

from dataclasses import dataclass

from . import Loss, _entropy


@dataclass(frozen=True)
class Settings:
    """Nothing to choose yet."""


def loss(model, batch, settings: Settings) -> Loss:
    """Summed cross-entropy in nats over the targets of a Batch (ids, targets, documents); -100 asks nothing.

    batch.documents may be None where a row is one document.
    """
    model.config.check_next_token()
    hidden = model.hidden(batch.ids, documents=batch.documents)
    total = _entropy.summed(hidden, model.output_weight, batch.targets, model.config.logit_cap)
    return Loss(total, int((batch.targets != -100).sum()))
