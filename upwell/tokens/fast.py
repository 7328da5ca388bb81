"""Ids of many texts, several times faster than the `tokenizers` library gives them and equal to its own.

Contract: `of(inner).encode(texts)` gives exactly the ids of `inner.encode_batch_fast(texts, add_special_tokens=False)`,
for any texts, in any batches. `of` gives None for a tokenizer for which that is not known; its texts go through the
library, and so does every stretch of text with characters that this file does not know.

How: texts repeat their words, so what a word became is remembered, in LIMIT bytes.

1. A text is cut into words by the tokenizer's own rules in the spelling of Python's `re`, over characters that are
   letters, digits, signs or white space in every version of Unicode (KNOWN). New words go straight to the library's
   model: its pre-tokenizer would take half of the time.
2. A text with other characters is cut before each space that something visible follows. No rule in WORDS or CHUNKS lets
   a word hold a space behind its first character or looks back, so both sides have the ids that they have alone. What
   has such characters goes through the library, the rest as in 1. For a tokenizer with rules in CHUNKS all does.

Chinese is left to the library: its runs seldom repeat, and cutting them further in Python costs more than it saves.
This file knows no store. One object serves one thread; `rows` may run in another.
"""

import json
import re
from array import array
from collections.abc import Sequence
from itertools import chain, compress
from operator import not_

import numpy as np
import tokenizers

from upwell.tokens.rules import PIECES, SPACE, UNIGRAM_PIECES, byte_alphabet

LIMIT = 128 << 20  # bytes, about, that remembered words and their ids take; above it all are forgotten
ENTRY = 250        # bytes, about, of an entry besides four for each character and id: objects and places in a table

LETTERS = (
    "A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u017e\u0180-\u02af\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u04ff"
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u1e00-\u1eff\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3"
)
SIGNS = (
    "\\x00-\\x08\\x0e-\\x1f!-/:-@\\[-`{-\\x84\\x86-\\x9f\xa1-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7\u2010-\u2027"
    "\u2030-\u205e\u20a0-\u20b5\u2190-\u23ce\u2500-\u269c\ufffd"
)
DIGITS, BLANKS = "0-9", " \\t-\\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
KNOWN = re.compile(f"[{LETTERS}{SIGNS}{DIGITS}{BLANKS}]*")

# Behind a space before which a text is cut: no white space to anyone, nothing that NFKC turns into what begins with
# it, nor Unigram's sign for it, nor what is near to those.
BEHIND = (
    "[^\\s\\x1c-\\x1f\\x85\xa0\xa8\xaf\xb4\xb8\u02d8-\u02dd\u037a\u0384\u0385\u1680\u180e\u1fbd-\u1fc1\u1fcd-\u1fcf"
    f"\u1fdd-\u1fdf\u1fed-\u1fef\u1ffd\u1ffe\u2000-\u200f\u2017\u2028-\u202f\u203e\u205f-\u206f{SPACE}\u3000\u309b\u309c"
    "\ufb50-\ufdff\ufe00-\ufeff\uffa0\uffe3]"
)
CHUNK = re.compile(f" ?[^ ]*(?: (?!{BEHIND})[^ ]*)*")

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # ByteLevel's own
BERT = "white space and signs"  # BertPreTokenizer has no rules to read
CHUNKS = (UNIGRAM_PIECES, BERT)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
SPACES = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": False}


def _words() -> dict[str, str]:
    """Rules as tokenizer.json spells them -> the same for `re` and the characters of KNOWN."""
    L, N, S = LETTERS, DIGITS, BLANKS
    blank = f"[{S}]+(?![^{S}])|[{S}]+"
    lines = rf"[{S}]*[\r\n]+|{blank}"
    signs, before = rf" ?[^{S}{L}{N}]+", rf"[^\r\n{L}{N}]?"
    plain = rf" ?[{L}]+| ?[{N}]+|{signs}|{blank}"
    endings, others = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    theirs = rf"{endings}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
    return {
        PIECES: rf"'(?:[sdmtSDMT]|ll|LL|ve|VE|re|RE)(?![{L}])|{before}[{L}]+| ?[{N}]{{1,2}}|"
        rf"{signs}[\r\n]*|{lines}",
        GPT2: rf"'s|'t|'re|'ve|'m|'ll|'d|{plain}",
        # GPT-2's rules in another spelling; LLaMA 3's; those of Qwen 2 and 3
        GPT2.replace("'s|'t|'re|'ve|'m|'ll|'d", "'(?:[sdmt]|ll|ve|re)"): rf"'(?:[sdmt]|ll|ve|re)|{plain}",
        rf"{theirs}|\p{{N}}{{1,3}}|{others}": rf"{endings}|{before}[{L}]+|[{N}]{{1,3}}|{signs}[\r\n]*|{lines}",
        rf"{theirs}|\p{{N}}|{others}": rf"{endings}|{before}[{L}]+|[{N}]|{signs}[\r\n]*|{lines}",
    }  # fmt: skip


WORDS = _words()


def of(inner: tokenizers.Tokenizer) -> "Fast | None":
    """The fast way of a tokenizer, or None where there is none."""
    definition = json.loads(inner.to_str())
    model, rules, normalizer = definition["model"], _rules(definition["pre_tokenizer"]), definition["normalizer"]
    if not rules or model.get("dropout") or not inner.encode_special_tokens or not _local(normalizer, rules):
        return None
    if any(not token["special"] for token in definition["added_tokens"]):
        return None
    whole = rules in WORDS and model["type"] == "BPE" and normalizer is None
    return Fast(inner, WORDS[rules] if whole else None)


def _rules(cut: dict | None) -> str:
    """What WORDS or CHUNKS call the rules of a tokenizer.json's pre_tokenizer; "" for others."""
    if cut == {"type": "BertPreTokenizer"}:
        return BERT
    parts = cut["pretokenizers"] if cut and cut["type"] == "Sequence" else [cut or {}]
    parts = [{key: value for key, value in part.items() if key != "trim_offsets"} for part in parts]
    for rules in (*WORDS, UNIGRAM_PIECES):
        split = {"type": "Split", "pattern": {"Regex": rules}, "behavior": "Isolated", "invert": False}
        if parts == ([SPACES, split] if rules == UNIGRAM_PIECES else [split, BYTES]):
            return rules
    return GPT2 if parts == [BYTES | {"use_regex": True}] else ""


def _local(normalizer: dict | None, rules: str) -> bool:
    """Whether the parts of a text before and behind a cut are normalised as in the whole text."""
    known = {"NFC", "NFKC", "NFD", "NFKD", "Lowercase"} | ({"BertNormalizer"} if rules == BERT else set())
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    return all(step["type"] in known for step in steps)


class Fast:
    """.encode(texts) -> one array (uint32) of ids for each text; the same in two halves: .rows(*.learnt(texts)).

    words: the rules of a byte-level tokenizer for `re`; None: all goes in chunks.
    """

    def __init__(self, inner: tokenizers.Tokenizer, words: str | None = None):
        self._inner, self._bare = inner, tokenizers.Tokenizer(inner.model)
        self._find = re.compile(words).findall if words else None
        self._letters = {byte: letter for letter, byte in byte_alphabet().items()}
        self._ids: dict[str, bytes] = {}
        self._held = 0

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each text, without begin or end tokens."""
        return self.rows(*self.learnt(texts))

    def learnt(self, texts: Sequence[str]) -> tuple[list[list[str]], dict[str, bytes]]:
        """The words of each text, and a table of at least their ids."""
        cut, ids = [self._cut(text) for text in texts], self._ids
        new = list(set(chain.from_iterable(cut)).difference(ids))
        found = self._of_words(new) if self._find else _bytes(self._inner, new)
        ids.update(zip(new, found, strict=True))
        self._held += ENTRY * len(new) + 4 * sum(map(len, new)) + sum(map(len, found))
        if self._held > LIMIT:
            self._ids, self._held = {}, 0
        return cut, ids

    @staticmethod
    def rows(cut: list[list[str]], ids: dict[str, bytes]) -> list[np.ndarray]:
        """Ids of each text from those of its words."""
        return [np.frombuffer(b"".join(map(ids.__getitem__, words)), dtype=np.uint32) for words in cut]

    def _cut(self, text: str) -> list[str]:
        if self._find is None:
            return CHUNK.findall(text)
        if _known(text):
            return self._find(text)
        pieces = ((chunk, _known(chunk)) for chunk in CHUNK.findall(text))
        return [word for chunk, known in pieces for word in (self._find(chunk) if known else (chunk,))]

    def _of_words(self, words: Sequence[str]) -> list[bytes]:
        known = [_known(word) for word in words]
        plain = iter(_bytes(self._bare, [self._spelled(word) for word in compress(words, known)]))
        strange = iter(_bytes(self._inner, list(compress(words, map(not_, known)))))
        return [next(plain) if ours else next(strange) for ours in known]

    def _spelled(self, word: str) -> str:
        """A word as the vocabulary spells its bytes."""
        return word.encode().decode("latin-1").translate(self._letters)


def _known(text: str) -> bool:
    return text.isascii() or KNOWN.fullmatch(text) is not None


def _bytes(inner: tokenizers.Tokenizer, texts: Sequence[str]) -> list[bytes]:
    """The library's ids of each text, four bytes each."""
    found = inner.encode_batch_fast(texts, add_special_tokens=False) if texts else []
    return [array("I", one.ids).tobytes() for one in found]
