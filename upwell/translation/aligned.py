"""Which part of a translation stands for which part of its source: by the decoder's attention to the encoder's text.

    ranges = Aligner(backend)(source, translation, spans, ids)  # spans of the source -> spans of the translation

A part that stands in both word for word is that part. Else the weights of all heads of all blocks are averaged, and a
part gets the stretch of the translation that looks at it most (Garg et al. 2019, arXiv 1909.02074, align by attention
as well). A model without an encoder shows no such weights; then a part stays at the same share of the text.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from ..generation.backend import Backend, Prompt

if TYPE_CHECKING:
    from torch import Tensor

Range = tuple[int, int]


class Aligner:
    """For one backend; what it knows of a pair of texts is computed when the first of their parts asks for it."""

    def __init__(self, backend: Backend):
        self.backend = backend

    def __call__(self, source: str, translation: str, parts: Sequence[Range], prompt: Prompt) -> list[Range]:
        """Where each part (begin, end) of the source stands in the translation. prompt: what the model read."""
        found, weights = [], None
        for begin, end in parts:
            words = source[begin:end].strip()
            if not words or not translation:
                found.append(shared(begin, begin, source, translation))
            elif _outside(source, begin, end):
                found.append((0, len(translation)))
            elif (at := _same(words, source, translation, begin)) is not None:
                found.append((at, at + len(words)))
            else:
                weights = weights if weights is not None else self._looks(source, translation, prompt)
                found.append(shared(begin, end, source, translation) if not weights
                             else looked_at(weights, begin, end, translation))  # fmt: skip
        return found

    def _looks(self, source: str, translation: str, prompt: Prompt) -> list[tuple[Range, list[tuple[Range, float]]]]:
        """For each token of the translation its place, and how much it looks at each token of the source; empty for a
        model that shows nothing."""
        backend = self.backend
        if not getattr(backend, "has_source", False) or not isinstance(prompt, list) or not hasattr(backend, "engine"):
            return []
        written = backend.tokenizer.encode(translation)
        if not written or len(written) >= backend.config.context:
            return []
        table = backend.engine.call(lambda model: attention(model, prompt, [*backend.start, *written[:-1]]))
        rows, columns = (places(backend, ids, text) for ids, text in ((written, translation), (prompt, source)))
        return [(row, list(zip(columns, weights, strict=True)))
                for row, weights in zip(rows, table.tolist(), strict=True)]  # fmt: skip


def attention(model, source: list[int], written: list[int]) -> "Tensor":
    """How much each place of the decoder looks at each token of the encoder's text: (T, S), float32, rows sum to 1."""
    import torch

    queries, keys, hooks = [], [], []
    blocks = [block.cross for block in model.decoder.blocks]
    for cross in blocks:
        hooks.append(cross.q.register_forward_hook(lambda _, __, y: queries.append(y[0].float())))
        hooks.append(cross.k.register_forward_hook(lambda _, __, y: keys.append(y[0].float())))
    try:
        with torch.inference_mode():
            model(torch.tensor([written], device=model.device), source=torch.tensor([source], device=model.device))
    finally:
        for hook in hooks:
            hook.remove()
    total = torch.zeros(len(written), len(source))
    for cross, q, k in zip(blocks, queries, keys, strict=True):
        d, groups = cross.head_dim, cross.heads // cross.kv_heads
        q, k = q.cpu().view(len(written), -1, d).transpose(0, 1), k.cpu().view(len(source), -1, d).transpose(0, 1)
        scale = d**-0.5 if cross.scale is None else cross.scale
        total += (q @ k.repeat_interleave(groups, 0).mT * scale).softmax(-1).mean(0)
    return total / len(blocks)


def places(backend: Backend, ids: Sequence[int], text: str) -> list[Range]:
    """Where each token stands in the text, whose end is that of the ids; a token in front of it has an empty place."""
    special = set(backend.tokenizer.special.values())
    sizes = [0 if token in special else len(backend.tokenizer.bytes_of(token)) for token in ids]
    letters = [len(sign.encode("utf-8")) for sign in text]
    before = sum(sizes) - sum(letters)
    at = {end: number for number, end in enumerate([0, *accumulate(letters)])}
    ends = [max(0, end - before) for end in [0, *accumulate(sizes)]]

    def place(end: int) -> int:
        while end not in at and end > 0:  # a token may end within a letter
            end -= 1
        return min(at.get(end, 0), len(text))

    return [(place(begin), place(end)) for begin, end in zip(ends, ends[1:], strict=False)]


def looked_at(weights: list, begin: int, end: int, translation: str) -> Range:
    """The stretch of the translation that looks more at this part of the source than at the rest, as whole words."""
    gains = []
    for _, looks in weights:
        inside = sum(weight for (first, last), weight in looks if first < end and last > begin and last > first)
        outside = sum(weight for (first, last), weight in looks if last > first) - inside
        gains.append(inside - outside)
    best, first = (float("-inf"), 0, 0), 0
    total = 0.0
    for number, gain in enumerate(gains):  # the stretch of the largest sum
        if total <= 0:
            total, first = 0.0, number
        total += gain
        best = max(best, (total, first, number))
    _, first, last = best
    return whole(weights[first][0][0], weights[last][0][1], translation)


def shared(begin: int, end: int, source: str, translation: str) -> Range:
    """The same share of the translation, as whole words."""
    ratio = len(translation) / max(1, len(source))
    return whole(round(begin * ratio), round(end * ratio), translation) if end > begin else (round(begin * ratio),) * 2


def whole(begin: int, end: int, text: str) -> Range:
    """The range grown to whole words, where a language writes words apart, and without space at its ends."""
    begin, end = max(0, min(begin, len(text))), max(0, min(end, len(text)))
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    while 0 < begin < len(text) and _joins(text[begin - 1]) and _joins(text[begin]):
        begin -= 1
    while 0 < end < len(text) and _joins(text[end - 1]) and _joins(text[end]):
        end += 1
    return begin, max(begin, end)


def _joins(sign: str) -> bool:
    """Whether a word goes on with it; a Chinese sign is a word by itself."""
    return (sign.isalnum() or sign == "_") and not "\u2e80" <= sign <= "\uffef"


def _outside(source: str, begin: int, end: int) -> bool:
    """Whether the part is the whole text but for its stops."""
    return not any(map(str.isalnum, source[:begin] + source[end:]))


def _same(words: str, source: str, translation: str, begin: int) -> int | None:
    """Where the same words stand in the translation: as the same one of several as in the source."""
    at, before = -1, source.count(words, 0, begin)
    if source.count(words) != translation.count(words):
        return None
    for _ in range(before + 1):
        at = translation.find(words, at + 1)
    return None if at < 0 else at
