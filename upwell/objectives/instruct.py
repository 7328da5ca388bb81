"""What the assistant says: chats written by the one chat template, learnt at the assistant's turns alone.

Several whole chats stand in a row, each of which sees itself only. What is learnt, with the token that ends a turn, is
what `Template.ids_and_mask` says, and the tokens are those that serving gives the model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from upwell.errors import CheckpointError, DataError
from upwell.text import Document
from upwell.text.chat import Template
from upwell.tokens.batches import Batch

from . import Example, Part, _heads, causal
from ._frames import Frame
from ._rows import Packed, given, kept, next_tokens, of_task, packed_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("decoder",)
TERMS = ("answer",)


@dataclass(frozen=True)
class Settings:
    """What becomes of long chats."""

    long: Literal["refuse", "cut", "drop"] = "refuse"
    """A chat that is longer than the context is refused; or loses its end, and is left out where nothing that is learnt
    remains; or is left out."""
    smoothing: float = 0.0
    """Share of each target that is spread over the whole vocabulary; measuring leaves it out."""

    def __post_init__(self):
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected 0 or more and less than 1")


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config as it is; SettingsError, DataError or CheckpointError where model and data do not fit."""
    config.check_next_token()
    _heads.check(config, part, SHAPES, "instruct")
    _needed(part.template, str(part.store.folder))
    return config


def same_template(found: Template | None, wanted: Template | None, folder) -> None:
    """CheckpointError where the chats of the data are written otherwise than those that the model in `folder` knows."""
    if wanted is not None and (found is None or found.hash != wanted.hash):
        raise CheckpointError(f"{folder}: its chat template ({wanted.hash[:12]}) is not the one of the data "
                              f"({found.hash[:12] if found else 'none'}); prepare the chats with --tokenizer {folder}")


def _needed(template: Template | None, place: str) -> Template:
    if template is None:
        raise DataError(f"{place}: found chats and no chat template to write them in; prepare them with --tokenizer "
                        "FOLDER, one with a template in it (`upwell tokenizer --chat` makes one)")  # fmt: skip
    return template


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Packed:
    """Rows of part.context tokens; .cut and .dropped say how many chats lost their end or were left out."""
    frame = Frame(part.tokenizer, part.config)
    table = kept(part, "instruct", [settings.long], {"ids": np.uint32, "learnt": np.uint8, "cut": np.uint8},
                 lambda: _rows(given(part, "chat"), part, frame, settings))  # fmt: skip
    whole = table["ids"].lengths > 0
    if not whole.any():
        raise DataError(f"{part.store.folder}: all {len(whole):,} chats are longer than {part.context:,} tokens; set a "
                        "longer context")  # fmt: skip
    kept_ones = np.flatnonzero(whole)

    def make(chosen: list[np.ndarray]) -> Batch:
        return next_tokens(table, [kept_ones[row] for row in chosen], part.context, frame.pad)

    sampler = Packed(table["ids"].lengths[kept_ones] - 1, part.context, seed, make)
    sampler.cut, sampler.dropped = int(table["cut"].values.sum()), int((~whole).sum())
    return sampler


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings) -> Iterator[tuple]:
    """A chat that is left out is an empty row, so that it can be counted."""
    room = part.context + 1  # the last token is a target only
    for document in documents:
        ids, learnt = _written(document, part.tokenizer, part.template, part.config)
        if len(ids) <= room:
            yield ids, learnt, [0]
        elif settings.long == "refuse":
            raise DataError(f"{document.source}: found a chat of {len(ids):,} tokens, expected at most {room:,}; set a "
                            "longer context, or --learn.long cut or drop")  # fmt: skip
        elif settings.long == "cut" and any(learnt[1:room]):
            yield ids[:room], learnt[:room], [1]
        else:
            yield [], [], [0]


def _written(document: Document, tokenizer, template: Template | None, config=None) -> tuple[list[int], list[bool]]:
    """The ids of a chat, and which are learnt; before one that the template begins plainly stands the first token."""
    try:
        ids, learnt = _needed(template, document.source).ids_and_mask(document.fields["messages"], tokenizer)
    except DataError as error:
        told = str(error)
        raise DataError(told if told.startswith(document.source) else f"{document.source}: {told}") from None
    if not any(learnt[1:]):
        raise DataError(f"{document.source}: found no token that the assistant says, expected one to learn")
    if template.plain:
        begin = tokenizer.end if config is None or config.bos is None else config.bos
        return [begin, *ids], [False, *learnt]
    return ids, learnt


# ---- learning ----


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many of the assistant's tokens a batch asks for."""
    return causal.counts(batch, settings)


def tokens(batch: Batch) -> int:
    """Tokens of chats, without empty places."""
    return packed_tokens(batch)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the assistant's tokens, (1,)."""
    from . import _entropy  # torch is needed only here

    hidden = model.hidden(batch.ids, documents=batch.documents)
    return _entropy.of_words(model, hidden, batch.targets, settings.smoothing)[None]


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each chat, learnt where the assistant speaks."""
    for document in of_task(documents, "chat"):
        yield Example(*_written(document, tokenizer, template), document.source)
