"""WHAT TO LEARN: one objective a file; each turns a model and a batch into a sum of losses and a count.

    objectives/x.py     Settings · loss(model, batch, settings) -> Loss

The sum and the count stay apart so that a step's loss does not change with the way it is cut into micro-batches.
An objective knows no file, no optimizer and no step.
"""

from typing import NamedTuple


class Loss(NamedTuple):
    """total: 0-d tensor, the summed loss in nats; count: over how many targets."""

    total: "object"
    count: int
