"""A text from a text: translation, summaries and whatever else turns one into another.

An encoder-decoder reads the source as its tokenizer frames it and writes the target; batches hold pairs of about one
length. A decoder reads source and target in one row, several pairs in a row, and learns the target alone. With `both`
each pair is also learnt the other way round; the prefix then tells the model which language is wanted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from upwell.errors import DataError, SettingsError
from upwell.text import Document
from upwell.tokens.batches import IGNORE, Batch
from upwell.tokens.buckets import PairBatch

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, Packed, given, kept, next_tokens, of_task, packed_tokens, width, within

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder-decoder", "decoder")
TERMS = ("target",)
LANGUAGES = ("{source}", "{target}")


@dataclass(frozen=True)
class Settings:
    """How a pair is asked."""

    prefix: str = ""
    """What stands before every source; {source} and {target} become its languages, as in "<2{target}>"."""
    both: bool = False
    """Learn each pair in both directions; the prefix has to name the {target} then."""
    between: str = "\n"
    """What stands between source and target where a decoder reads both."""
    smoothing: float = 0.0
    """Share of each target that is spread over the whole vocabulary (translation: 0.1); measuring leaves it out."""
    cut: bool = False
    """Texts that are longer than the context lose their ends; otherwise they are refused."""

    def __post_init__(self):
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected 0 or more and less than 1")
        if self.both and LANGUAGES[1] not in self.prefix:
            raise ValueError(f"prefix is {self.prefix!r} and both directions are to be learnt; expected {{target}} in "
                             "it, as in \"<2{target}> \", so that the model knows what to write")  # fmt: skip


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config as it is; SettingsError or DataError where model and data do not fit."""
    _heads.check(config, part, SHAPES, "pairs")
    if config.head.kind != "language":
        raise SettingsError(f"this {config.kind} model has the head {config.head.kind}; expected one that writes words")
    if config.shape == "encoder-decoder" and config.start is None:
        raise SettingsError(f"this {config.kind} model does not say with which id its decoder begins; add "
                            "decoder_start_token_id to its config.json")  # fmt: skip
    return config


# ---- pairs as ids ----


class Way:
    """How the pairs of a model are framed: for an encoder-decoder, or for a decoder where `config` is one."""

    def __init__(self, tokenizer, config: "Config | None", settings: Settings):
        self.tokenizer, self.settings = tokenizer, settings
        self.two = config is None or config.shape == "encoder-decoder"
        self.frame = Frame(tokenizer, config)
        self.start = tokenizer.end if config is None or config.start is None else config.start
        self.ends = {tokenizer.end} | (set() if config is None else config.ends)
        closing = tokenizer.encode_source("")[-1:]
        self.close = closing if closing and closing[0] in self.ends else [tokenizer.end]

    def directions(self, document: Document) -> Iterator[tuple[str, str, str]]:
        """(prefix, source, target) of each direction."""
        fields = document.fields
        names = ("source", "target"), ("target", "source")
        for one, other in names[: 1 + self.settings.both]:
            languages = [fields[f"{one}_language"], fields[f"{other}_language"]]
            prefix = self.settings.prefix
            for sign, language in zip(LANGUAGES, languages, strict=True):
                if sign in prefix and not language:
                    raise DataError(f"{document.source}: found a pair without languages, expected them for the prefix "
                                    f"{self.settings.prefix!r}; name them in the data")  # fmt: skip
                prefix = prefix.replace(sign, language)
            yield prefix, fields[one], fields[other]

    def source(self, prefix: str, text: str) -> list[int]:
        """What the encoder reads, or the beginning of a decoder's row. A prefix that is a special token becomes it."""
        special = self.tokenizer.special.get(prefix.strip())
        text = text if special is not None else prefix + text
        if not self.two:
            ids = self.tokenizer.encode(text + self.settings.between)
            return [*self.frame.before, *([] if special is None else [special]), *ids]
        ids = self.tokenizer.encode_source(text)
        return ids if special is None else [*ids[: self._opening(ids)], special, *ids[self._opening(ids) :]]

    def target(self, text: str) -> list[int]:
        """What is learnt: with the token that ends it."""
        if not self.two:
            return [*self.tokenizer.encode(text), *self.close]
        ids = self.tokenizer.encode_source(text)
        return ids if ids and ids[-1] in self.ends else [*ids, *self.close]

    def _opening(self, ids: list[int]) -> int:
        """How many special tokens begin a source."""
        special = set(self.tokenizer.special.values())
        return next((place for place, id in enumerate(ids) if id not in special), 0)


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed | Packed:
    """PairBatches of pairs of about one length, or for a decoder packed Batches; .cut says how many texts were cut."""
    way = Way(part.tokenizer, part.config, settings)
    columns = {"source": np.uint32, "ids": np.uint32, "learnt": np.uint8, "cut": np.uint8}
    table = kept(part, "pairs", [settings], columns,
                 lambda: _rows(given(part, "pair"), part.context, way, settings.cut))  # fmt: skip
    if way.two:
        sampler = _bucketed(table, part, rows, seed, way)
    else:
        sampler = Packed(table["ids"].lengths - 1, part.context, seed,
                         lambda chosen: next_tokens(table, chosen, part.context, way.frame.pad))  # fmt: skip
    sampler.cut = int(table["cut"].values.sum())
    return sampler


def _rows(documents: Iterable[Document], context: int, way: Way, cut: bool) -> Iterator[tuple]:
    for document in documents:
        for prefix, one, other in way.directions(document):
            source, target = way.source(prefix, one), way.target(other)
            if way.two:
                lines = within(source, context, document, cut), within(target, context, document, cut)
                yield *lines, [], [len(source) > context or len(target) > context]
            else:
                whole = within([*source, *target], context + 1, document, cut)
                if len(whole) <= len(source):
                    raise DataError(f"{document.source}: found a source of {len(source):,} tokens, which leaves no "
                                    f"place for the target in {context:,}; set a longer context")  # fmt: skip
                learnt = [False] * len(source) + [True] * (len(whole) - len(source))
                yield [], whole, learnt, [len(source) + len(target) > context + 1]


def _bucketed(table, part: Part, rows: int, seed: int, way: Way) -> Bucketed:
    lengths = table["source"].lengths, table["ids"].lengths

    def make(chosen: np.ndarray, together: np.ndarray) -> PairBatch:
        import torch

        wide = [width(one[together]) for one in lengths]
        source = table["source"].filled(chosen, wide[0], way.frame.pad)
        targets = table["ids"].filled(chosen, wide[1], IGNORE)
        ids = np.concatenate([np.full((len(chosen), 1), way.start), targets[:, :-1]], axis=1)
        ids[ids == IGNORE] = way.frame.pad
        real = np.arange(wide[0]) < lengths[0][chosen][:, None]
        return PairBatch(*map(torch.from_numpy, (source, real, ids, targets)))

    return Bucketed(lengths[0] + lengths[1], rows, seed, 2 * part.context, make)


# ---- learning ----


def counts(batch: PairBatch | Batch, settings: Settings) -> tuple[int]:
    """How many tokens of targets a batch asks for."""
    return (int((batch.targets != IGNORE).sum()),)


def tokens(batch: PairBatch | Batch) -> int:
    """Tokens of sources and targets, without padding."""
    if isinstance(batch, PairBatch):
        return int(batch.source_mask.sum()) + int((batch.targets != IGNORE).sum())
    return packed_tokens(batch)


def loss(model, batch: PairBatch | Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy in nats over the targets, (1,)."""
    from . import _entropy  # torch is needed only here

    if isinstance(batch, PairBatch):
        hidden = model.hidden(batch.ids, mask=batch.targets != IGNORE, source=batch.source,
                              source_mask=batch.source_mask)  # fmt: skip
    else:
        hidden = model.hidden(batch.ids, documents=batch.documents)
    return _entropy.of_words(model, hidden, batch.targets, settings.smoothing)[None]


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each pair as an encoder-decoder is asked: the source, which is read, then the target, which is learnt."""
    way = Way(tokenizer, None, settings)
    for document in of_task(documents, "pair"):
        for number, (prefix, one, other) in enumerate(way.directions(document)):
            source, target = way.source(prefix, one), way.target(other)
            languages = [document.fields[f"{side}_language"] or side for side in ("source", "target")]
            named = " to ".join(languages[::-1] if number else languages)
            yield Example([*source, *target], [False] * len(source) + [True] * len(target), document.source, named)
