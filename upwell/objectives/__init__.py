"""WHAT TO LEARN: one objective a file; each turns a model and a batch into a sum of losses and a count.

    objectives/x.py     Settings · loss(model, batch, settings) -> Loss
                        · examples(documents, tokenizer, template, settings) -> Iterator[Example]: what the model is
                        asked of each document, for learning and for `upwell prepare --show x`

The sum and the count stay apart so that a step's loss does not change with the way it is cut into micro-batches.
An objective knows no file, no optimizer and no step.
"""

from typing import NamedTuple


class Loss(NamedTuple):
    """total: 0-d tensor, the summed loss in nats; count: over how many targets."""

    total: "object"
    count: int


class Example(NamedTuple):
    """What a model is asked of one document, or of one part of it.

    ids: tokens · learnt: as long, True for a token that is a target, False for one that is only read · source: of the
    document · part: what these tokens are where an objective has several rows for one document ("chosen", "rejected")
    """

    ids: list[int]
    learnt: list[bool]
    source: str = ""
    part: str = ""
