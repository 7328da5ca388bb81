"""Ids of many texts, several times faster than the `tokenizers` library gives them and equal to its own.

Contract: `of(inner).encode(texts)` gives exactly the ids of `inner.encode_batch_fast(texts, add_special_tokens=False)`,
for any texts, in any batches. `of` gives None for a tokenizer for which that is not known; its texts go through the
library, and so does every stretch of text with characters that this file does not know.

How: texts repeat their words, so what a word became is remembered, in LIMIT bytes.

1. A text is cut into words by the tokenizer's own rules in the spelling of Python's `re`, over characters that are
   letters, ideographs, digits, signs or white space in every version of Unicode (KNOWN). New words go straight to the
   library's model: its pre-tokenizer would take half of the time.
2. Chinese has no spaces. It is cut also between two characters across which no token of the vocabulary reaches: no
   merge can cross there either, so both sides have the ids that they have alone.
3. A text with other characters is cut before each space that something visible follows. No rule in WORDS or CHUNKS lets
   a word hold a space behind its first character or looks back, so both sides have the ids that they have alone. What
   has such characters goes through the library, the rest as in 1. For a tokenizer with rules in CHUNKS all does.

This file knows no store. One object serves one thread; `rows` may run in another.
"""

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from operator import add, not_

import numpy as np
import tokenizers

from upwell.tokens.rules import PIECES, SPACE, UNIGRAM_PIECES, byte_alphabet

LIMIT = 128 << 20  # bytes, about, that remembered words and their ids take; above it all are forgotten
ENTRY = 250        # bytes, about, of an entry besides four for each character and id: objects and places in a table
PAIRS = 1 << 18    # pairs of characters of which it is remembered whether they may be cut apart
MARK = "\ue000"    # stands where Chinese is cut; no character of KNOWN

LETTERS = (
    "A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u017e\u0180-\u02af\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u04ff"
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u1e00-\u1eff\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3"
)
HAN = "\u3400-\u4db5\u4e00-\u9fa5\U00020000-\U0002a6d6"
STOPS = "\u3001\u3002\u3008-\u3011\u3014\u3015\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff3d"
SIGNS = (
    "\\x00-\\x08\\x0e-\\x1f!-/:-@\\[-`{-\\x84\\x86-\\x9f\xa1-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7\u2010-\u2027"
    "\u2030-\u205e\u20a0-\u20b5\u2190-\u23ce\u2500-\u269c\ufffd" + STOPS
)
DIGITS, BLANKS = "0-9", " \\t-\\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
KNOWN = re.compile(f"[{LETTERS}{HAN}{SIGNS}{DIGITS}{BLANKS}]*")
CHINESE = re.compile(f"[{HAN}{STOPS}]{{4,}}")
IS_HAN = re.compile(f"[{HAN}]")

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
    L, N, S = LETTERS + HAN, DIGITS, BLANKS
    blank = f"[{S}]+(?![^{S}])|[{S}]+"
    lines = rf"[{S}]*[\r\n]+|{blank}"
    signs, before = rf" ?[^{S}{L}{N}{MARK}]+", rf"[^\r\n{L}{N}{MARK}]?"
    plain = rf" ?[{L}]+| ?[{N}]+|{signs}|{blank}"
    endings, others = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    theirs = rf"{endings}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
    return {
        PIECES: rf"'(?:[sdmtSDMT]|ll|LL|ve|VE|re|RE)(?![{L}])|[{HAN}]+|{before}[{LETTERS}]+| ?[{N}]{{1,2}}|"
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
    return Fast(inner, WORDS[rules], _Cuts(model)) if whole else Fast(inner)


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

    words, cuts: rules for `re` and where Chinese is cut, of a byte-level tokenizer. Without them all goes in chunks.
    """

    def __init__(self, inner: tokenizers.Tokenizer, words: str | None = None, cuts: "_Cuts | None" = None):
        self._inner, self._bare = inner, tokenizers.Tokenizer(inner.model)
        self._find, self._cuts = re.compile(words).findall if words else None, cuts
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
        if text.isascii():
            return self._find(text)
        if KNOWN.fullmatch(text):
            return self._find(CHINESE.sub(self._marked, text))
        return [word for chunk in CHUNK.findall(text) for word in self._cut_chunk(chunk)]

    def _cut_chunk(self, chunk: str) -> list[str]:
        known = chunk.isascii() or KNOWN.fullmatch(chunk)
        return self._find(CHINESE.sub(self._marked, chunk)) if known else [chunk]

    def _marked(self, found: re.Match) -> str:
        run = found[0]
        return run[0] + "".join(map(self._cuts.__getitem__, map(add, run, run[1:])))

    def _of_words(self, words: Sequence[str]) -> list[bytes]:
        known = [word.isascii() or bool(KNOWN.fullmatch(word)) for word in words]
        plain = iter(_bytes(self._bare, [self._spelled(word) for word in compress(words, known)]))
        strange = iter(_bytes(self._inner, list(compress(words, map(not_, known)))))
        return [next(plain) if ours else next(strange) for ours in known]

    def _spelled(self, word: str) -> str:
        """A word as the vocabulary spells its bytes."""
        return word.encode().decode("latin-1").translate(self._letters)


def _bytes(inner: tokenizers.Tokenizer, texts: Sequence[str]) -> list[bytes]:
    """The library's ids of each text, four bytes each."""
    found = inner.encode_batch_fast(texts, add_special_tokens=False) if texts else []
    return [array("I", one.ids).tobytes() for one in found]


class _Cuts(dict):
    """Two neighbours -> the second, behind MARK where they may be cut apart: no token reaches across.

    Both are ideographs, or one is and the other a full-width stop: there a word ends, or a run of letters goes on.
    """

    def __init__(self, model: dict):
        super().__init__()
        letters = byte_alphabet()
        plain = not (model["ignore_merges"] or model["continuing_subword_prefix"] or model["end_of_word_suffix"])
        self._model = model["vocab"] if plain and letters.keys() <= model["vocab"].keys() else None
        self._across: dict[bytes, set[bytes]] | None = None
        self._sides: dict[str, tuple[set[bytes], list[bytes], bool]] = {}

    def __missing__(self, pair: str) -> str:
        if len(self) >= PAIRS:
            self.clear()
        self[pair] = marked = f"{MARK}{pair[1]}" if self._free(*pair) else pair[1]
        return marked

    def _free(self, first: str, second: str) -> bool:
        if self._model is None:
            return False
        follow, _, one_is_han = self._sides.get(first) or self._side(first)
        _, begins, other_is_han = self._sides.get(second) or self._side(second)
        return (one_is_han or other_is_han) and follow.isdisjoint(begins)

    def _side(self, letter: str) -> tuple[set[bytes], list[bytes], bool]:
        """What tokens hold behind this character, how its own bytes begin, and whether it is an ideograph."""
        if self._across is None:
            self._across = _across(self._model)
        if len(self._sides) >= PAIRS:
            self._sides.clear()
        spelled = letter.encode()
        follow = set().union(*(self._across.get(spelled[at:], ()) for at in range(len(spelled))))
        begins = [spelled[: at + 1] for at in range(len(spelled))]
        self._sides[letter] = side = follow, begins, bool(IS_HAN.match(letter))
        return side


def _across(vocabulary: Iterable[str]) -> dict[bytes, set[bytes]]:
    """For each border between characters inside a token: what it holds of the one before -> of the one behind."""
    found: dict[bytes, set[bytes]] = {}
    for token in _tokens(vocabulary):
        begins = [at for at, byte in enumerate(token) if byte & 0xC0 != 0x80]
        for before, at, behind in zip([0, *begins], begins, [*begins[1:], len(token)], strict=False):
            if at > 0:
                found.setdefault(token[before:at], set()).add(token[at:behind])
    return found


def _tokens(vocabulary: Iterable[str]) -> Iterator[bytes]:
    """The bytes of the tokens that hold the beginning of an ideograph or a stop and something before it."""
    letters = byte_alphabet()
    leading = re.compile("." + "[" + "".join(letter for letter, byte in letters.items() if byte >= 0xE3) + "]")
    for piece in vocabulary:
        if leading.search(piece) and all(letter in letters for letter in piece):  # others come from no merge
            yield bytes(letters[letter] for letter in piece)
