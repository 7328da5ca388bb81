"""Whole texts, one a row, of which a model gives one vector each: what `distil` compares where vectors are to be alike.

Of plain documents the text, of pairs both texts, of labels and questions their texts. It asks for nothing by itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.text import Document

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, encoded, kept, width, within

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder", "decoder")
PARTS = {"pair": ("source", "target"), "label": ("text",), "answer": ("question", "context")}


@dataclass(frozen=True)
class Settings:
    """What happens to long texts."""

    cut: bool = False
    """Texts that are longer than the context lose their ends; otherwise they are refused."""


class Batch(NamedTuple):
    """ids (B, T) int64 · mask (B, T) bool, False: padding."""

    ids: "Tensor"
    mask: "Tensor"


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head that gives a vector; SettingsError or DataError where model and data do not fit."""
    _heads.check(config, part, SHAPES, "distil")
    return config if config.head.kind == "embed" else _heads.of_class(config, "Model")


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed:
    """One text a row, texts of about one length together; .cut says how many lost their ends."""
    if part.documents is None:
        raise DataError(f"{part.store.folder}: its documents are not there; prepare the texts again")
    frame = Frame(part.tokenizer, part.config)
    table = kept(part, "vectors", [settings], {"ids": np.uint32, "cut": np.uint8},
                 lambda: _rows(part.documents(), part, frame, settings))  # fmt: skip
    lengths = table["ids"].lengths

    def make(chosen: np.ndarray, together: np.ndarray) -> Batch:
        import torch

        wide = width(lengths[together])
        real = np.arange(wide) < lengths[chosen][:, None]
        return Batch(torch.from_numpy(table["ids"].filled(chosen, wide, frame.pad)), torch.from_numpy(real))

    sampler = Bucketed(lengths, rows, seed, part.context, make)
    sampler.cut = int(table["cut"].values.sum())
    return sampler


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings) -> Iterator[tuple]:
    room = part.context - frame.around
    for document, texts in encoded(documents, texts_of, part.tokenizer):
        for ids in texts:
            shorter = within(ids, room, document, settings.cut)
            yield frame.one(shorter), [len(shorter) < len(ids)]


def texts_of(document: Document) -> list[str]:
    """The texts of a document that are compared."""
    fields = document.fields or {}
    return [fields[name] for name in PARTS.get(fields.get("task", ""), ())] or [document.text]


def counts(batch: Batch, settings: Settings) -> tuple[int, int]:
    """How many texts a batch has, and how many tokens they have."""
    return len(batch.ids), int(batch.mask.sum())


def vectors(model, hidden: "Tensor", batch: Batch) -> "Tensor":
    """One vector a text (B, D) out of the last block's, float32 or wider."""
    import torch

    found = model.read_out(hidden, batch.ids, batch.mask)
    return found.to(torch.promote_types(found.dtype, torch.float32))


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each text in its frame; no token is a target, all of it is one vector."""
    frame = Frame(tokenizer)
    for document, texts in encoded(documents, texts_of, tokenizer):
        for ids in texts:
            yield Example(frame.one(ids), [False] * (len(ids) + frame.around), document.source, "vector")
