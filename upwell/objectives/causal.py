"""Next token: each token is predicted from those before it in its own document.

For code a share of the documents may be learnt with their middle last (fill in the middle: Bavarian et al. 2022, arXiv
2207.14255), so that a model can fill a gap where somebody writes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from upwell.errors import DataError
from upwell.text import Document
from upwell.tokens.batches import Batch, Packed, whole
from upwell.tokens.packing import BestFit

from . import Example, Part, _heads

if TYPE_CHECKING:
    from torch import Tensor

SHAPES = ("decoder",)
TERMS = ("next",)


@dataclass(frozen=True)
class Settings:
    """How the next token is learnt."""

    smoothing: float = 0.0
    """Share of each target that is spread over the whole vocabulary; measuring leaves it out."""
    packing: Literal["windows", "fit"] = "windows"
    """windows: of the text as it goes on, cut anywhere; fit: whole documents, several in a row, cut only where one is
    longer than a row."""
    middle: float = 0.0
    """Share of documents whose middle is learnt last, from what is on both sides, so that a model can fill a gap."""
    middle_of: Literal["code", "all"] = "code"
    """Which documents that may be."""
    suffix_first: float = 0.5
    """Share of these in which what follows the gap is read before what precedes it."""

    def __post_init__(self):
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected 0 or more and less than 1")
        if not 0 <= self.middle <= 1 or not 0 <= self.suffix_first <= 1:
            raise ValueError(f"middle is {self.middle} and suffix_first {self.suffix_first}; expected shares of 0 to 1")


class Rows:
    """Rows of a store by the settings; where it is one document, no borders are told."""

    def __init__(self, part: Part, seed: int, settings: Settings):
        self.part = part
        packing = Packed if settings.packing == "windows" else BestFit
        self.packed = packing(part.store, part.context, seed)
        self.samples_per_epoch = self.packed.samples_per_epoch
        self.samples_of = self.packed.samples
        if settings.middle:
            from ._middle import Middle

            self.samples_of = Middle(part, self.packed, seed, settings).samples

    def batch(self, first: int, size: int) -> Batch:
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray) -> Batch:
        """The samples of these numbers (B,) as a Batch."""
        return self._told(self.samples_of(numbers))

    def whole(self, size: int) -> Iterator[Batch]:
        """Every token after the first as a target once, in order and as it stands in the text."""
        return map(self._told, whole(self.part.store, self.part.context, size))

    def _told(self, batch: Batch) -> Batch:
        return batch if self.part.store.documents > 1 else batch._replace(documents=None)


def fitted(config, part: Part, settings: Settings):
    """The config as it is; CheckpointError where the model does not predict the next token, SettingsError or DataError
    where model and data do not fit."""
    config.check_next_token()
    _heads.check_data(config, part)
    if settings.middle:
        from ._middle import signs

        signs(part.tokenizer)
    return config


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Rows:
    """Rows of part.context tokens."""
    return Rows(part, seed, settings)


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many targets a batch asks for."""
    return (int((batch.targets != -100).sum()),)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the targets of a Batch (ids, targets, documents), (1,); -100 asks nothing.

    batch.documents may be None where a row is one document.
    """
    from . import _entropy  # torch is needed only here

    hidden = model.hidden(batch.ids, documents=batch.documents)
    return _entropy.of_words(model, hidden, batch.targets, settings.smoothing)[None]


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """The tokens of each document, and which of them are learnt.

    Plain text begins with the end-of-text token, which is only read, and closes with it, which is learnt; so are
    questions, labels and pairs, whose text is their parts one below the other. Of a chat, written by the chat
    template, what the assistant says is learnt. DataError names a chat that the template refuses.
    """
    moving = None
    if settings.middle:
        from ._middle import Moving

        moving = Moving(tokenizer, settings)
    for number, document in enumerate(documents):
        if document.fields and document.fields["task"] == "chat":
            yield Example(*_chat(document, tokenizer, template), document.source)
        else:
            body = tokenizer.encode(document.text)
            if moving is not None and (settings.middle_of == "all" or document.kind == "code"):
                body = moving.document(body, number)
            ids = [tokenizer.end, *body, tokenizer.end]
            yield Example(ids, [False] + [True] * (len(ids) - 1), document.source)


def _chat(document: Document, tokenizer, template) -> tuple[list[int], list[bool]]:
    if template is None:
        raise DataError(f"{document.source} is a chat, and the tokenizer's folder has no chat template to write it "
                        "in; name one that has one (`upwell tokenizer --chat` makes it)")  # fmt: skip
    try:
        return template.ids_and_mask(document.fields["messages"], tokenizer)
    except DataError as error:
        raise DataError(f"{document.source}: {error}") from None
