"""What a model with a head says of single texts: labels, tags, answers that stand in a text, vectors.

    predictor = Predictor(checkpoint)           # CheckpointError for a model without such a head
    for found in predictor(asked): ...          # a dict for each Asked, in order, as JSON would write it

    head       a dict holds, beside "text"
    classify   label, score and scores {label: probability}; several at once: labels [...] and scores; numbers: value
    tag        words [{word, tag, score, start, end}], names [{kind, text, score, start, end}] where tags are B-x, I-x
    span       question, answer ("" for none), score, start, end
    embed      vector

A text is framed and cut into tokens as in training; one that is longer than the model reads is refused or cut. Scores
are probabilities. It knows no file and no command line.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError, DataError
from ..objectives import label, span, tag
from ..objectives._frames import Frame
from ..objectives._rows import at_once
from ..text import Document

HEADS = ("classify", "tag", "span", "embed")
WIDE = tag.WIDE.pattern
WORD = re.compile(rf"{WIDE}|(?:(?!{WIDE})\w)+(?:['’-](?:(?!{WIDE})\w)+)*|[^\w\s]")


class Asked(NamedTuple):
    """A text, a question about a context, or for labels a first text and a second one (context).

    words: the text where it is cut into words already; ids: for labels and vectors, where it is cut into tokens.
    """

    text: str
    context: str = ""
    words: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


class Predictor:
    """A checkpoint as a function of texts. rows: how many go through the model at once."""

    def __init__(self, checkpoint: Any, rows: int = 16, cut: bool = False):
        self.model, self.tokenizer, self.config = checkpoint.model, checkpoint.tokenizer, checkpoint.config
        self.rows, self.cut, self.head = rows, cut, checkpoint.config.head
        where = checkpoint.folder or "this model"
        if self.head.kind not in HEADS:
            writes = "it writes texts: `upwell generate`" if self.head.kind == "language" else "`upwell finetune` it"
            raise CheckpointError(f"{where} has the head {self.head.kind}; expected one for labels, tags, answers or "
                                  f"vectors ({', '.join(HEADS)}); {writes}")  # fmt: skip
        if self.tokenizer is None:
            raise CheckpointError(f"{where} has no tokenizer.json; copy it beside the weights")
        self.frame, self.space = Frame(self.tokenizer, self.config), tag.spaced(self.tokenizer)
        self.problem = self.head.problem or label.ONE

    def __call__(self, asked: Iterable[Asked]) -> Iterator[dict]:
        """What the model says of each, in order. DataError for one without a text, or longer than the model reads."""
        ways = {"classify": self.labels, "tag": self.tags, "span": self.spans, "embed": self.vectors}
        numbered = ((number, self.checked(number, one)) for number, one in enumerate(asked, start=1))
        for some in at_once(numbered, self.rows):
            with torch.inference_mode():
                yield from ways[self.head.kind](some)

    def checked(self, number: int, one: Asked) -> Asked:
        """What was asked; DataError where nothing is said."""
        if not one.text.strip() and not one.ids:
            raise DataError(f"text {number}: found an empty text; expected words")
        if self.head.kind == "span" and not one.context.strip():
            raise DataError(f"text {number}: found a question without a text that answers it; name one with --context")
        return one

    # ---- texts of one row each ----

    def framed(self, number: int, ids: list[int]) -> list[int]:
        """Ids in their frame, cut where that is allowed."""
        room = self.config.context - self.frame.around
        if len(ids) > room and not self.cut:
            raise DataError(f"text {number}: found {len(ids):,} tokens, expected at most {room:,}, which the model "
                            "reads; divide the text, or allow cutting (--cut)")  # fmt: skip
        return self.frame.one(ids[:room])

    def paired(self, number: int, first: list[int], second: list[int]) -> tuple[list[int], int]:
        """Two texts in their frame, the second cut where that is allowed, and where the second begins."""
        room = self.config.context - len(self.frame.two(first, [])[0])
        if len(second) > room and (not self.cut or room < 1):
            raise DataError(f"text {number}: found {len(first):,} and {len(second):,} tokens, expected at most "
                            f"{max(room, 0):,} in the second, since the model reads {self.config.context:,}; divide "
                            "the text, or allow cutting (--cut)")  # fmt: skip
        return self.frame.two(first, second[:room])

    def padded(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids (B, T) and which of them are real."""
        wide = max(map(len, rows))
        ids = torch.tensor([[*row, *[self.frame.pad] * (wide - len(row))] for row in rows], device=self.model.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.model.device)
        return ids, torch.arange(wide, device=self.model.device) < lengths[:, None]

    def outputs(self, rows: list[list[int]], seconds: list[int] | None = None) -> Tensor:
        """What the head gives for these rows, float32 or wider: (B, L), (B, D) or (B, T, L).

        seconds: where the second text of each row begins, where there are two.
        """
        ids, real = self.padded(rows)
        types = None
        if seconds is not None and self.config.token_types > 1:
            begins = torch.tensor(seconds, device=ids.device)
            types = (torch.arange(ids.shape[1], device=ids.device) >= begins[:, None]).long() * real
        found = self.model(ids, mask=real, types=types)
        return found.to(torch.promote_types(found.dtype, torch.float32)).cpu()

    def plainly(self, some: list[tuple[int, Asked]]) -> Tensor:
        """The outputs for whole texts."""
        encoded = self.tokenizer.encode_batch([one.text for _, one in some])
        encoded = [list(one.ids) or ids for (_, one), ids in zip(some, encoded, strict=True)]
        if not any(one.context for _, one in some):
            return self.outputs([self.framed(number, ids) for (number, _), ids in zip(some, encoded, strict=True)])
        seconds = self.tokenizer.encode_batch([one.context for _, one in some])
        rows = [self.paired(number, first, second) if one.context else (self.framed(number, first), self.config.context)
                for (number, one), first, second in zip(some, encoded, seconds, strict=True)]  # fmt: skip
        return self.outputs([row for row, _ in rows], [begin for _, begin in rows])

    def labels(self, some: list[tuple[int, Asked]]) -> Iterator[dict]:
        """Labels with probabilities, or numbers."""
        names = self.head.labels
        for (_, one), row in zip(some, self.plainly(some), strict=True):
            if self.problem == label.NUMBER:
                values = row.tolist()
                yield {"text": one.text, "value": values[0] if len(values) == 1 else values}
                continue
            several = self.problem == label.SEVERAL
            shares = (row.sigmoid() if several else row.softmax(0)).tolist()
            scores = dict(sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1]))
            best = next(iter(scores))
            said = {"labels": [name for name, share in scores.items() if share > 0.5]} if several else {"label": best}
            yield {"text": one.text, **said, **({} if several else {"score": scores[best]}), "scores": scores}

    def vectors(self, some: list[tuple[int, Asked]]) -> Iterator[dict]:
        """A vector a text."""
        for (_, one), row in zip(some, self.plainly(some), strict=True):
            yield {"text": one.text, "vector": row.tolist()}

    # ---- tags ----

    def tags(self, some: list[tuple[int, Asked]]) -> Iterator[dict]:
        """The tag of each word, read at its first piece, and the names that B- and I- tags make up."""
        rows, firsts, words = [], [], []
        for number, one in some:
            found = list(places(one))
            cut = self.tokenizer.encode_batch(tag.pieces([word for word, _, _ in found], self.space))
            begins = [0]
            for ids in cut:
                begins.append(begins[-1] + len(ids))
            row = self.framed(number, [id for ids in cut for id in ids])
            held = [at for at, ids in enumerate(cut)
                    if ids and begins[at] + len(self.frame.before) < len(row) - len(self.frame.behind)]  # fmt: skip
            rows.append(row)
            firsts.append([begins[at] + len(self.frame.before) for at in held])
            words.append([found[at] for at in held])
        for (_, one), first, said, row in zip(some, firsts, words, self.outputs(rows), strict=True):
            shares, best = row[first].softmax(-1).max(-1)
            known = [{"word": word, "tag": self.head.labels[at], "score": share, "start": start, "end": end}
                     for (word, start, end), at, share in zip(said, best.tolist(), shares.tolist(), strict=True)]
            yield {"text": one.text, "words": known, "names": list(names(known, one.text))}

    # ---- answers in a text ----

    def spans(self, some: list[tuple[int, Asked]]) -> Iterator[dict]:
        """The likeliest answer of each question; a long text is read in windows that overlap."""
        for number, one in some:
            fields = {"task": "answer", "question": one.text, "context": one.context, "answers": []}
            document = Document(one.context, f"text {number}", fields=fields)
            best, empty = (-math.inf, 0, 0, 0.0), (math.inf, 0.0)
            for window in span.windows(document, self.tokenizer, self.frame, self.config.context, span.Settings()):
                outputs = span.both(self.model, span._batch([window], self.frame, self.config, self.model.device))[0]
                found, none = answered(outputs.double().cpu(), window)
                best, empty = max(best, found), min(empty, none)
            score, start, end, share = best if best[0] > empty[0] else (empty[0], 0, 0, empty[1])
            said = {"answer": one.context[start:end], "score": share, "start": start, "end": end}
            yield {"question": one.text, **said, "text": one.context}


def answered(outputs: Tensor, window: span.Window) -> tuple[tuple[float, int, int, float], tuple[float, float]]:
    """(score, first character, behind the last, probability) of the likeliest answer; score, probability of no answer.

    outputs (T, 2): of the window. Probabilities are those of its first token, which says "no answer", and of the text.
    """
    n = len(window.places)
    text = outputs[window.second : window.second + n]
    shares = torch.cat([outputs[:1], text]).softmax(0)
    none = float(outputs[0].sum()), float(shares[0].prod())
    if not n:
        return (-math.inf, 0, 0, 0.0), none
    starts, ends = text.unbind(-1)
    scores = (starts[:, None] + ends[None]).masked_fill(outputs.new_ones(n, n).tril(-1).bool(), -math.inf)
    first, last = divmod(int(scores.argmax()), n)
    share = float(shares[first + 1, 0] * shares[last + 1, 1])
    return (float(scores[first, last]), window.places[first][0], window.places[last][1], share), none


def places(one: Asked) -> Iterator[tuple[str, int, int]]:
    """(word, first character, behind the last): the words that were given, else those of the text."""
    if not one.words:
        yield from ((found.group(), *found.span()) for found in WORD.finditer(one.text))
        return
    at = 0
    for word in one.words:
        at = max(one.text.find(word, at), 0)
        yield word, at, at + len(word)
        at += len(word)


def names(words: list[dict], text: str) -> Iterator[dict]:
    """Names out of B-x and I-x; an I- that goes on nothing begins one. score: the lowest of its words."""
    held: list[dict] = []
    for word in [*words, None]:
        side, _, kind = (word["tag"] if word else "O").partition("-")
        goes_on = held and side == "I" and kind == held[0]["tag"].partition("-")[2]
        if held and not goes_on:
            start, end = held[0]["start"], held[-1]["end"]
            yield {"kind": held[0]["tag"].partition("-")[2], "text": text[start:end],
                   "score": min(one["score"] for one in held), "start": start, "end": end}  # fmt: skip
            held = []
        if side in ("B", "I") and kind:
            held.append(word)
