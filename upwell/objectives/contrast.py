"""Texts that belong together come near each other, all others of the step apart: vectors for search.

Each text of a pair is asked for its partner among the partners of the whole step (InfoNCE), in both directions, with
hard negatives beside them where the data have some. The step's rows belong together, so the loop never cuts them: where
`micro` is set, vectors are computed in pieces whose inner numbers are computed again for the gradient, which is exact;
over several processes vectors are gathered with their gradients. A candidate that is the same text as the right one is
no negative. Source: van den Oord et al. 2018, arXiv 1807.03748; Henderson et al. 2017, arXiv 1705.00652 (in-batch
negatives); Gao et al. 2021, arXiv 2101.06983 (pieces).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from upwell.errors import SettingsError
from upwell.text import Document

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, encoded, given, kept, of_task, width, within

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder", "decoder")
TERMS = ("contrast",)
TOGETHER = True
CLASS = "Model"


@dataclass(frozen=True)
class Settings:
    """What is compared, and how sharply."""

    temperature: float = 0.05
    """Similarities are divided by it."""
    both: bool = True
    """Both texts of a pair are asked for the other one; otherwise the first is asked for the second."""
    negatives: int = 1
    """Hard negatives of a pair that are used, where the data have them."""
    pool: Literal["", "mean", "first", "last", "max"] = ""
    """How the tokens' vectors become the text's; "" keeps what the model has, else mean, or last for a decoder."""
    unit: bool = True
    """Vectors have the length 1, so that similarity is the cosine; for a model without such a head."""
    micro: int = 0
    """Texts whose vectors are computed at once; 0: all."""
    cut: bool = False
    """Texts that are longer than the context lose their ends; otherwise they are refused."""

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; expected more than 0, as 0.05")
        if self.negatives < 0 or self.micro < 0:
            raise ValueError("negatives or micro is below 0; expected 0 or more")


class Batch(NamedTuple):
    """left (B, S) and right (B, T) int64 with their masks, bool · hard (B, K, U) with its mask, which is empty where a
    pair has less than K, or None · keys (B, 2 + K) int64: equal for equal texts."""

    left: "Tensor"
    left_mask: "Tensor"
    right: "Tensor"
    right_mask: "Tensor"
    hard: "Tensor | None"
    hard_mask: "Tensor | None"
    keys: "Tensor"


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head that gives one vector a text; SettingsError or DataError where they do not fit."""
    _heads.check(config, part, SHAPES, "contrast")
    head = config.head
    if head.kind == "embed" and settings.pool in ("", head.pool):
        return config
    config = _heads.of_class(config, CLASS)
    if config.shape == "decoder" and settings.pool == "first":
        raise SettingsError("the first token of a decoder knows nothing of the others; take --learn.pool last or mean")
    pool = settings.pool or ("last" if config.shape == "decoder" else "mean")
    return config.with_(head=replace(config.head, kind="embed", pool=pool, unit=settings.unit), pooler=False)


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed:
    """One pair a row, pairs of about one length together; .cut says how many texts lost their ends."""
    frame = Frame(part.tokenizer, part.config)
    columns = {"left": np.uint32, "right": np.uint32, "hard": np.uint32, "hards": np.int32, "keys": np.int64,
               "cut": np.uint8}  # fmt: skip
    table = kept(part, "contrast", [settings.negatives, settings.cut], columns,
                 lambda: _rows(given(part, "pair"), part, frame, settings))  # fmt: skip
    sides = table["left"].lengths, table["right"].lengths
    most = int(table["hards"].lengths.max())

    def make(chosen: np.ndarray, together: np.ndarray) -> Batch:
        import torch

        texts = []
        for name, lengths in zip(("left", "right"), sides, strict=True):
            wide = width(lengths[together])
            texts += [table[name].filled(chosen, wide, frame.pad), np.arange(wide) < lengths[chosen][:, None]]
        texts += _hard(table, chosen, together, most, frame.pad) if most else [None, None]
        keys = table["keys"].filled(chosen, 2 + most, 0)
        return Batch(*(None if one is None else torch.from_numpy(one) for one in (*texts, keys)))

    sampler = Bucketed(sides[0] + sides[1], rows, seed, 2 * part.context, make)
    sampler.cut = int(table["cut"].values.sum())
    return sampler


def _hard(table, chosen: np.ndarray, together: np.ndarray, most: int, pad: int) -> list[np.ndarray]:
    """Hard negatives of these pairs (B, K, U), and their mask."""
    wide = width(np.concatenate([table["hards"][one] for one in together.tolist()] or [np.array([1])] + [[1]]))
    ids = np.full((len(chosen), most, wide), pad, dtype=np.int64)
    real = np.zeros(ids.shape, dtype=bool)
    for row, one in enumerate(chosen.tolist()):
        ends = np.cumsum(table["hards"][one])
        for place, (end, length) in enumerate(zip(ends.tolist(), table["hards"][one].tolist(), strict=True)):
            ids[row, place, :length] = table["hard"][one][end - length : end]
            real[row, place, :length] = True
    return [ids, real]


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings) -> Iterator[tuple]:
    room = part.context - frame.around
    for document, texts in encoded(documents, lambda one: _texts(one, settings), part.tokenizer):
        lines = [frame.one(within(ids, room, document, settings.cut)) for ids in texts]
        left, right, *hard = lines
        cut = sum(len(ids) > room for ids in texts)
        yield left, right, [id for ids in hard for id in ids], [len(ids) for ids in hard], keys_of(lines), [cut]


def _texts(document: Document, settings: Settings) -> list[str]:
    fields = document.fields
    return [fields["source"], fields["target"], *fields.get("negatives", [])[: settings.negatives]]


def keys_of(lines: list[list[int]]) -> list[int]:
    """A number of 63 bits for each text, the same for the same tokens."""
    hashes = (hashlib.blake2b(np.array(ids, dtype=np.uint32).tobytes(), digest_size=8).digest() for ids in lines)
    return [int.from_bytes(one, "little") >> 1 for one in hashes]


# ---- learning ----


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many pairs a batch has."""
    return (len(batch.left),)


def tokens(batch: Batch) -> int:
    """Tokens of all texts, without padding."""
    masks = (batch.left_mask, batch.right_mask, batch.hard_mask)
    return sum(int(mask.sum()) for mask in masks if mask is not None)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Summed cross-entropy of the right partner among all of the step, (1,); both directions count half."""
    import torch
    from torch.nn import functional as F

    left, right, hard = (_wide(one) for one in _vectors(model, batch, settings))
    own = names(batch)[1]
    rank, sizes = _ranks(model, len(left), left.device)
    at = sum(sizes[:rank]) + torch.arange(len(left), device=left.device)
    lefts, rights, keys = (_gathered(one, rank, sizes) for one in (left, right, batch.keys[:, :2]))
    hards, hard_keys = _all(model, hard, own)

    def one_way(asking: "Tensor", answers: "Tensor", theirs: "Tensor") -> "Tensor":
        scores = asking @ answers.T / settings.temperature
        same = theirs[None] == theirs[at][:, None]
        same[torch.arange(len(at), device=at.device), at] = False
        return F.cross_entropy(scores.masked_fill(same, float("-inf")), at, reduction="sum")

    forward = one_way(left, torch.cat([rights, hards]), torch.cat([keys[:, 1], hard_keys]))
    if not settings.both:
        return forward[None]
    return ((forward + one_way(right, lefts, keys[:, 0])) / 2)[None]


def vectors(model, batch: Batch, settings: Settings) -> tuple["Tensor", "Tensor"]:
    """(the first texts' vectors (B, D), those of the second with the hard negatives behind them)."""
    import torch

    left, right, hard = _vectors(model, batch, settings)
    return left, torch.cat([right, hard])


def names(batch: Batch) -> tuple["Tensor", "Tensor"]:
    """Numbers that are equal for equal texts: those of the pairs (B, 2), those of the hard negatives that are there."""
    hard = batch.keys[:0, 0] if batch.hard is None else batch.keys[:, 2:][batch.hard_mask.any(2)]
    return batch.keys[:, :2], hard


def _vectors(model, batch: Batch, settings: Settings) -> tuple["Tensor", "Tensor", "Tensor"]:
    left = _embedded(model, batch.left, batch.left_mask, settings.micro)
    right = _embedded(model, batch.right, batch.right_mask, settings.micro)
    there = None if batch.hard is None else batch.hard_mask.any(2)
    if there is None or not there.any():  # of the graph all the same: other processes may have some
        return left, right, right[:0]
    return left, right, _embedded(model, batch.hard[there], batch.hard_mask[there], settings.micro)


def _embedded(model, ids: "Tensor", mask: "Tensor", micro: int) -> "Tensor":
    """ids (N, T) -> (N, D), in pieces of `micro` texts, of which the backward pass computes each again."""
    import torch
    from torch.utils.checkpoint import checkpoint

    causal = model.config.shape == "decoder"  # padding stands behind all tokens, which do not see it

    def one(ids: "Tensor", mask: "Tensor") -> "Tensor":
        return model.read_out(model.hidden(ids, mask=None if causal else mask), ids, mask)

    if not micro or len(ids) <= micro:
        return one(ids, mask)
    parts = zip(ids.split(micro), mask.split(micro), strict=True)
    return torch.cat([checkpoint(one, *part, use_reentrant=False) for part in parts])


def _wide(x: "Tensor") -> "Tensor":
    """float32 or wider, since similarities are compared finely."""
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


# ---- several processes ----


def _ranks(model, rows: int, device) -> tuple[int, list[int]]:
    """(this process, the rows of each); one alone where nothing is learnt, since the others may not measure now."""
    import torch

    dist = torch.distributed
    if not model.training or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return 0, [rows]
    found = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(found, torch.tensor([rows], device=device))
    return dist.get_rank(), [int(one) for one in found]


def _gathered(x: "Tensor", rank: int, sizes: list[int]) -> "Tensor":
    """The rows of all processes in order, with gradients to each one's own."""
    import torch
    from torch.distributed.nn.functional import all_gather

    if len(sizes) == 1:
        return x
    filled = torch.cat([x, x.new_zeros(max(sizes) - len(x), *x.shape[1:])])
    if x.requires_grad or x.is_floating_point():
        found = all_gather(filled)
    else:
        found = [torch.empty_like(filled) for _ in sizes]
        torch.distributed.all_gather(found, filled)
    return torch.cat([one[:size] for one, size in zip(found, sizes, strict=True)])


def _all(model, hard: "Tensor", keys: "Tensor") -> tuple["Tensor", "Tensor"]:
    """The hard negatives of all processes, and their keys."""
    rank, sizes = _ranks(model, len(hard), hard.device)
    if not any(sizes):
        return hard, keys
    return _gathered(hard, rank, sizes), _gathered(keys, rank, sizes)


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """The texts of each pair in their frames, of which nothing is a target; the part says which one it is."""
    frame = Frame(tokenizer)
    for document, texts in encoded(of_task(documents, "pair"), lambda one: _texts(one, settings), tokenizer):
        for number, ids in enumerate(texts):
            part = ("left", "right")[number] if number < 2 else f"hard {number - 1}"
            yield Example(frame.one(ids), [False] * (len(ids) + frame.around), document.source, part)
