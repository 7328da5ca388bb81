"""What the tokens of a vocabulary are as text: tables over all ids, so that rows of ids are judged with numpy.

Says which ids are special, where words begin (## pieces, pieces with a space, signs, digits), which bytes ids stand
for, and where Chinese words begin, as a segmenter cuts them. It knows no objective.
"""

import json
import re
from functools import cached_property

import numpy as np

from upwell.errors import DataError, SettingsError
from upwell.tokens.tokenizer import Tokenizer

USUAL = {"mask": ("[MASK]", "<mask>", "<|mask|>"), "cls": ("[CLS]",), "sep": ("[SEP]",), "pad": ("[PAD]", "<pad>"),
         "bos": ("<s>", "[BOS]"), "eos": ("</s>",)}  # fmt: skip
HAN = rb"(?:[\xe4-\xe9][\x80-\xbf]{2}|\xe3[\x90-\xbf][\x80-\xbf])"  # U+3400 to U+9FFF in UTF-8
OTHER, LETTER, DIGIT, WITHIN, APART = range(5)


class Spelling:
    """Tables over the vocabulary of a tokenizer.

    .special (V,) bool: special tokens and ids without a token · .plain: the other ids · .spaced: words are pieces that
    begin with a space which the text may not have had (WordPiece)
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.size, self.spaced = tokenizer.vocab_size, tokenizer.kind == "WordPiece"
        self.raw = [tokenizer.bytes_of(id) for id in range(self.size)]
        self.special = np.array([not raw for raw in self.raw])
        self.plain = np.flatnonzero(~self.special)
        self.first = np.array([_first(raw) for raw in self.raw], dtype=np.uint8)
        self.last = np.array([_last(raw) for raw in self.raw], dtype=np.uint8)

    def joins(self, ids: np.ndarray) -> np.ndarray:
        """ids (..., T) -> whether each goes on with the word of the one before it, bool (..., T)."""
        first, last = self.first[ids[..., 1:]], self.last[ids[..., :-1]]
        joined = np.zeros(ids.shape, dtype=bool)
        joined[..., 1:] = ((first == last) | (first == WITHIN)) & ~self.special[ids[..., :-1]]
        return joined

    def text(self, ids: np.ndarray) -> tuple[bytes, np.ndarray]:
        """The bytes of ids (N,) in a row, and where each begins, (N + 1,)."""
        lengths = self._lengths[ids]
        borders = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self._begins[ids] - borders[:-1], lengths) + np.arange(borders[-1])
        return self._flat[places].tobytes(), borders

    def chinese(self, ids: np.ndarray, cut) -> np.ndarray:
        """As `joins`, for the words of Chinese text alone: ids (N,) -> bool (N,). cut: text -> its words."""
        text, borders = self.text(ids)
        width = 4 if self.spaced else 3
        runs = list(re.finditer(rb"(?: " + HAN + rb")+" if self.spaced else HAN + rb"+", text))
        words = cut("\n".join(text[run.start() : run.end()].decode().replace(" ", "") for run in runs))
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        begins = np.zeros(int(lengths.sum()) + 1, dtype=bool)
        begins[np.cumsum(lengths) - lengths] = True
        inside = np.zeros(len(text) + 1, dtype=bool)  # bytes of a run that begin no word
        at = 0
        for run in runs:
            count = (run.end() - run.start()) // width
            held = np.ones((count, width), dtype=bool)
            held[:, 0] = ~begins[at : at + count]
            held[0, 0] = False
            inside[run.start() : run.end()] = held.ravel()
            at += count + 1
        return inside[borders[:-1]] & (self._lengths[ids] > 0)

    @cached_property
    def cased(self) -> bool:
        """Whether capital letters are told from small ones."""
        return self.tokenizer.encode("A") != self.tokenizer.encode("a")

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.array([len(raw) for raw in self.raw], dtype=np.int64)

    @cached_property
    def _begins(self) -> np.ndarray:
        return np.cumsum(self._lengths) - self._lengths

    @cached_property
    def _flat(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.raw), dtype=np.uint8)


def _first(raw: bytes) -> int:
    """What a token begins with, as far as it can go on with a word."""
    if raw and 0x80 <= raw[0] < 0xC0:
        return WITHIN  # the rest of a character
    return _class(raw.decode("utf-8", "replace")[:1])


def _last(raw: bytes) -> int:
    kind = _class(raw.decode("utf-8", "replace")[-1:])
    return APART if kind == OTHER else kind


def _class(character: str) -> int:
    if re.fullmatch(HAN, character.encode()):
        return OTHER
    return LETTER if character.isalpha() else DIGIT if character.isdigit() else OTHER


def named(tokenizer: Tokenizer, name: str) -> int | None:
    """The id of the token that the tokenizer's folder calls so ("mask", "cls", "sep", "pad"), or that is usual."""
    said = []
    for text in tokenizer.beside.values():
        try:
            found = json.loads(text).get(f"{name}_token")
        except (ValueError, AttributeError):
            continue  # a template is no JSON
        said.append(found.get("content") if isinstance(found, dict) else found)
    for token in (*said, *USUAL[name]):
        if token in tokenizer.special:
            return tokenizer.special[token]
    return None


def frame(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What stands before and behind a text that an encoder reads: [CLS] and [SEP], <s> and </s>, or the end token."""
    for before, behind in (("cls", "sep"), ("bos", "eos")):
        pair = named(tokenizer, before), named(tokenizer, behind)
        if None not in pair and pair[0] != pair[1]:
            return pair[:1], pair[1:]
    return (tokenizer.end,), ()


def mask_id(tokenizer: Tokenizer) -> int:
    """The id of the mask token, or DataError."""
    found = named(tokenizer, "mask")
    if found is None:
        raise DataError("The vocabulary has no mask token; expected [MASK] or <mask>: make the tokenizer with "
                        "`upwell tokenizer --kind wordpiece`, or with --special \"<mask>\".")  # fmt: skip
    return found


def segmenter():
    """A function from Chinese text to its words, by rjieba. SettingsError where that is not installed."""
    try:
        import rjieba
    except ImportError:
        raise SettingsError("Chinese words are found by the package rjieba, which is not installed: "
                            "pip install \"upwell[chinese]\", or leave --learn.chinese out.") from None  # fmt: skip
    return rjieba.cut
