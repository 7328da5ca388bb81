"""Answers that stand in a text: where one begins and where it ends, or that there is none.

The encoder reads [CLS] question [SEP] text [SEP]; a text that is too long for the row is read in windows that overlap.
The answer is found in the text by its characters, the first time that it stands there, and by their tokens' offsets in
each window that holds all of it; in the other windows, and where the text does not answer, the first token of the row
is asked. The loss is that of transformers: half of the cross-entropies of both ends, over the row's own tokens.
Source: Devlin et al. 2019, arXiv 1810.04805; Rajpurkar, Jia, Liang 2018, arXiv 1806.03822.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from upwell.errors import DataError
from upwell.text import Document

from . import Example, Part, _heads
from ._frames import Frame
from ._rows import Bucketed, at_once, given, kept, of_task, width

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("encoder",)
TERMS = ("span",)


@dataclass(frozen=True)
class Settings:
    """How a long text is read."""

    stride: int = 128
    """Tokens by which two windows of a text overlap; at most half of a window."""
    lost: bool = False
    """An answer that does not stand in its text is asked as "no answer"; otherwise it is refused."""

    def __post_init__(self):
        if self.stride < 0:
            raise ValueError(f"stride is {self.stride}; expected 0 or more tokens")


class Batch(NamedTuple):
    """ids (B, T) int64 · mask (B, T) bool, False: padding · types (B, T) int64, 1 for the text and what closes it, or
    None for a model that knows no types · starts (B,) int64, ends (B,) int64: first and last token of the answer, both
    0 where the row has none."""

    ids: "Tensor"
    mask: "Tensor"
    types: "Tensor | None"
    starts: "Tensor"
    ends: "Tensor"


class Window(NamedTuple):
    """One row: its ids, where the text begins in them, and the tokens of the answer (0, 0: none).

    places: the characters (first, behind the last) of each token of the text · lost: the text has an answer that none
    of its windows holds whole; told by the first of them
    """

    ids: list[int]
    second: int
    start: int
    end: int
    places: list[tuple[int, int]]
    lost: bool


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config with a head that gives both ends of an answer; SettingsError or DataError where they do not fit."""
    _heads.check(config, part, SHAPES, "span")
    return config if config.head.kind == "span" else _heads.of_class(config, "ForQuestionAnswering")


# ---- windows ----


def windows(document: Document, tokenizer, frame: Frame, context: int, settings: Settings) -> Iterator[Window]:
    """The rows of one question; DataError where no text fits beside it or the answer is not in its text."""
    question, text = document.fields["question"], document.fields["context"]
    asked, tokens = tokenizer.encode(question), tokenizer.cut(text)
    head = len(frame.two(asked, [])[0])
    room = context - head
    if room < min(len(tokens), 16) or room < 1:
        raise DataError(f"{document.source}: found a question of {len(asked):,} tokens, which leaves {max(room, 0):,} "
                        f"of {context:,} places for the text; set a longer context or leave it out")  # fmt: skip
    first, last = _answer(document, tokens, settings)
    begins = _begins(len(tokens), room, room - min(settings.stride, room // 2))
    held = [first is not None and begin <= first and last < begin + room for begin in begins]
    lost = any(one.strip() for one in document.fields["answers"]) and not any(held)
    for begin, inside in zip(begins, held, strict=True):
        some = tokens[begin : begin + room]
        ids, second = frame.two(asked, [id for id, _, _ in some])
        ends = (first + second - begin, last + second - begin) if inside else (0, 0)
        yield Window(ids, second, *ends, [(at, to) for _, at, to in some], lost and not begin)


def _begins(count: int, room: int, step: int) -> list[int]:
    """Where windows of `room` over so many tokens begin."""
    return [0, *(n * step for n in range(1, -(-max(count - room, 0) // step) + 1))]


def _answer(document: Document, tokens: list[tuple[int, int, int]], settings: Settings) -> tuple:
    """First and last token of the answer in the text; None where it has none."""
    answers, text = document.fields["answers"], document.fields["context"]
    begin, answer = next(((text.find(one.strip()), one.strip()) for one in answers if one.strip() in text), (-1, ""))
    if begin < 0:
        if answers and not settings.lost:
            raise DataError(f"{document.source}: found the answer {answers[0]!r}, which does not stand in its text; "
                            "correct it, or ask it as no answer (--learn.lost)")  # fmt: skip
        return None, None
    end = begin + len(answer)
    held = [number for number, (_, at, to) in enumerate(tokens) if at < end and to > begin and to > at]
    return (held[0], held[-1]) if held else (None, None)


# ---- batches ----


def samples(part: Part, rows: int, seed: int, settings: Settings) -> Bucketed:
    """One window a row, windows of about one length together; .lost says how many answers none of them holds."""
    frame, config = Frame(part.tokenizer, part.config), part.config
    typed = config is None or config.token_types > 1
    table = kept(part, "span", [settings], {"ids": np.uint32, "places": np.int32, "lost": np.uint8},
                 lambda: _rows(given(part, "answer"), part, frame, settings))  # fmt: skip
    lengths = table["ids"].lengths

    def make(chosen: np.ndarray, together: np.ndarray) -> Batch:
        import torch

        wide = width(lengths[together])
        ids, places = table["ids"].filled(chosen, wide, frame.pad), table["places"].filled(chosen, 3, 0)
        at, real = np.arange(wide), np.arange(wide) < lengths[chosen][:, None]
        types = torch.from_numpy(((at >= places[:, :1]) & real).astype(np.int64)) if typed else None
        starts, ends = (torch.from_numpy(places[:, side].copy()) for side in (1, 2))
        return Batch(torch.from_numpy(ids), torch.from_numpy(real), types, starts, ends)

    sampler = Bucketed(lengths, rows, seed, part.context, make)
    sampler.lost = int(table["lost"].values.sum())
    return sampler


def _rows(documents: Iterable[Document], part: Part, frame: Frame, settings: Settings) -> Iterator[tuple]:
    for document in documents:
        for one in windows(document, part.tokenizer, frame, part.context, settings):
            yield one.ids, [one.second, one.start, one.end], [one.lost]


# ---- learning ----


def counts(batch: Batch, settings: Settings) -> tuple[int]:
    """How many rows a batch has: each is asked once."""
    return (len(batch.starts),)


def loss(model, batch: Batch, settings: Settings) -> "Tensor":
    """Half of the summed cross-entropies of both ends, (1,)."""
    from torch.nn import functional as F

    outputs = both(model, batch)
    ends = (F.cross_entropy(outputs[..., side], places, reduction="sum")
            for side, places in enumerate((batch.starts, batch.ends)))  # fmt: skip
    return (sum(ends) / 2)[None]


def both(model, batch: Batch) -> "Tensor":
    """Logits of the first and the last token of the answer at each place: (B, T, 2), -inf where padding."""
    import torch

    outputs = model(batch.ids, mask=batch.mask, types=batch.types)
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    return outputs.masked_fill(~batch.mask[..., None], float("-inf"))


# ---- measuring ----


def answers(model, part: Part, rows: int, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """What the model answers to each question of a part, in order, and the answers that are right; "" is no answer.

    Of all windows of a text the likeliest span; none where in every window the first token is likelier.
    """
    frame, best, empty = Frame(part.tokenizer, part.config), (-math.inf, ""), math.inf
    for some in at_once(_asked(part, frame, settings), rows):
        batch = _batch([window for _, window, _ in some], frame, part.config, model.device)
        for (document, window, last), outputs in zip(some, both(model, batch).cpu(), strict=True):
            best = max(best, likeliest(outputs, window, document.fields["context"]), key=lambda one: one[0])
            empty = min(empty, float(outputs[0].sum()))
            if last:
                yield best[1] if best[0] > empty else "", document.fields["answers"]
                best, empty = (-math.inf, ""), math.inf


def _asked(part: Part, frame: Frame, settings: Settings) -> Iterator[tuple[Document, Window, bool]]:
    """Every window with its document, and whether it is the last one of it."""
    for document in given(part, "answer"):
        found = list(windows(document, part.tokenizer, frame, part.context, settings))
        yield from ((document, window, window is found[-1]) for window in found)


def _batch(some: list[Window], frame: Frame, config: "Config | None", device) -> Batch:
    """Windows as a Batch; the ends are those of the answers."""
    import torch

    wide = width(np.array([len(one.ids) for one in some]))
    ids, types = np.full((len(some), wide), frame.pad, dtype=np.int64), np.zeros((len(some), wide), dtype=np.int64)
    real = np.zeros(ids.shape, dtype=bool)
    for row, one in enumerate(some):
        ids[row, : len(one.ids)], real[row, : len(one.ids)] = one.ids, True
        types[row, one.second : len(one.ids)] = 1
    ends = np.array([[one.start, one.end] for one in some]).T.copy()
    typed = config is None or config.token_types > 1
    arrays = (ids, real, types if typed else None, *ends)
    return Batch(*(None if one is None else torch.from_numpy(one).to(device) for one in arrays))


def likeliest(outputs: "Tensor", window: Window, text: str) -> tuple[float, str]:
    """The score and the text of the likeliest span of the text's own tokens. outputs (T, 2): of the window."""
    n = len(window.places)
    if not n:
        return -math.inf, ""
    starts, ends = outputs[window.second : window.second + n].unbind(-1)
    scores = (starts[:, None] + ends[None]).masked_fill(outputs.new_ones(n, n).tril(-1).bool(), -math.inf)
    first, last = divmod(int(scores.argmax()), n)
    return float(scores[first, last]), text[window.places[first][0] : window.places[last][1]]


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """Each question with its text, learnt where the answer stands, or at the first token where there is none."""
    frame = Frame(tokenizer)
    for document in of_task(documents, "answer"):
        whole = len(tokenizer.encode(document.fields["question"])) + len(tokenizer.encode(document.fields["context"]))
        (one,) = windows(document, tokenizer, frame, whole + 64, settings)
        learnt = [one.start <= place <= one.end for place in range(len(one.ids))]
        yield Example(one.ids, learnt, document.source, "" if one.start else "no answer")
