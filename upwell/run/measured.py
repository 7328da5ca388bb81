"""A model as it is on the held-out part of a prepared folder, by any objective: nothing is trained.

    scores = measured(checkpoint, folder, "contrast", settings)     # UpwellError where they do not fit
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import plugs, prepared
from ..errors import DataError, SettingsError
from ..evaluation import Scores, within
from ..model.hub import Checkpoint
from ..objectives import Part
from ..tokens.store import Store
from ..training import precision

BY_HEAD = {"classify": "label", "tag": "tag", "span": "span", "embed": "contrast", "masked": "masked",
           "pretrain": "masked_next"}  # fmt: skip
"""The objective that a head has learnt."""
ROWS = 16


def measured(checkpoint: Checkpoint, data: Path, objective: str = "", options: Any = None, context: int = 0) -> Scores:
    """What the model says of the held-out part. objective: "" is the one of its head; context: 0 as much as it reads.

    Raises SettingsError for a model without the head that the objective needs, DataError for documents that are not
    of its task or, where it learns from plain text, for tokens of another tokenizer.
    """
    model, head = checkpoint.model, checkpoint.config.head
    objective = objective or BY_HEAD.get(head.kind, "causal")
    room = plugs.find("objectives", objective)
    options = room.Settings() if options is None else options
    store, own = Store(data / "heldout"), checkpoint.tokenizer
    if own is None or (objective not in BY_DOCUMENT and store.tokenizer != own.hash):
        raise DataError(f"{store.folder}: its tokens were made with another tokenizer than {checkpoint.folder} has; "
                        "prepare the text with --tokenizer of the model's folder")  # fmt: skip
    context = context or min(checkpoint.config.context, 512)
    part = Part(store, lambda: prepared.documents_of(data / "heldout.jsonl"), own, checkpoint.template, context)
    config = room.fitted(checkpoint.config, part, options)
    found = (config.head.kind, config.head.labels), (head.kind, head.labels)
    if found[0] != found[1]:
        raise SettingsError(f"{checkpoint.folder} has no head for the objective {objective} on these texts (it has "
                            f"{head.kind}); teach it: upwell finetune {checkpoint.folder} {data}")  # fmt: skip
    part = part._replace(config=replace(checkpoint.config, head=config.head))
    dtype = precision.resolve("auto", str(model.device))
    return within.measure(model.eval(), room, part, options, ROWS, dtype)


BY_DOCUMENT = ("label", "tag", "span", "contrast", "pairs", "instruct")
"""Objectives that cut the documents anew with the model's own tokens."""
