"""A tokenizer that learns a new language: more tokens behind the old ones, whose ids and meaning stay.

    extension = extend(tokenizer, texts, 2000)      # .tokenizer .parts .changed(old_texts)

The new texts are cut by the old tokenizer, and pairs of old tokens that often stand beside each other become new ones
(for wordpiece and unigram, characters that were unknown come first). So every new token is a sequence of old ones, from
which its embedding can begin (model.resize). A byte-level tokenizer makes all its old merges before any new one. Old
text therefore is cut as before, except where such a sequence stands in it, which then is one token; `changed` counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from upwell.errors import CheckpointError, DataError
from upwell.tokens import markers
from upwell.tokens.kinds import BYTES, NO_PIECE
from upwell.tokens.tokenizer import Tokenizer
from upwell.tokens.words import at_once, counted, letters

FIRST = 0x20000     # tokens are written as single characters from here on, none of which is white space
COVERED = 0.9995    # share of the new text's characters that become pieces
LONGEST = 16        # old tokens in one new one
WORDS = "\u2581+[^\u2581]*|[^\u2581]+"   # where a tokenizer has no rules of its own (SentencePiece's merges)
ABOVE = 1e-3        # a new piece of unigram is this much likelier than the pieces it is made of


@dataclass(frozen=True)
class Extension:
    """A tokenizer with more tokens than `old`."""

    old: Tokenizer
    tokenizer: Tokenizer
    parts: dict[int, tuple[int, ...]]
    """New id -> the old ids that its text was cut into; none for a special token and for what was unknown."""

    def changed(self, texts: Sequence[str]) -> dict[str, int]:
        """How many of these texts are cut otherwise than before, and their tokens before and now."""
        told = {"texts": len(texts), "cut_otherwise": 0, "tokens_before": 0, "tokens_now": 0}
        for some in at_once(texts):
            for before, now in zip(self.old.encode_batch(some), self.tokenizer.encode_batch(some), strict=True):
                told["cut_otherwise"] += before != now
                told["tokens_before"] += len(before)
                told["tokens_now"] += len(now)
        return told


def extend(old: Tokenizer, texts: Sequence[str], more: int, special: Sequence[str] = ()) -> Extension:
    """The tokenizer with at most `more` new tokens learnt from the texts, and new special tokens before them.

    Raises DataError where the texts give nothing new, CheckpointError for a kind of tokenizer that cannot be extended.
    """
    if more < 1:
        raise DataError(f"found {more} new tokens, expected 1 or more.")
    if old.kind not in ("BPE", "WordPiece", "Unigram"):
        raise CheckpointError(f"a tokenizer of the kind {old.kind} cannot grow; expected BPE, WordPiece or Unigram.")
    grown = _Grown(old)
    markers.check(special, list(grown.ids) if special else ())
    cut = old.inner.pre_tokenizer or pre_tokenizers.Split(Regex(WORDS), "isolated")
    words = counted(texts, old.inner.normalizer, cut)
    for token in special:
        grown.add_special(token)
    found = grown.add_letters(words, more // 2)
    grown.add_pairs(words, more - found)
    grown.add_letters(words, more + len(special) - len(grown.parts))  # where there were few pairs
    if len(grown.parts) == len(special):
        raise DataError("The text gives no new token: this tokenizer already has what stands often in it.")
    made = Tokenizer(grown.written(), old.beside, old.end)
    _check(old, made)
    return Extension(old, made, grown.parts)


class _Grown:
    """The definition of a tokenizer, token by token longer."""

    def __init__(self, old: Tokenizer):
        self.kind, self.next, self.definition = old.kind, old.vocab_size, json.loads(old.definition)
        self.model = self.definition["model"]
        self.ids: dict[str, int] = old.inner.get_vocab(with_added_tokens=True)
        self.parts: dict[int, tuple[int, ...]] = {}
        self.scores: dict[str, float] = dict(self.model["vocab"]) if self.kind == "Unigram" else {}
        self.merges = list(self.model.get("merges", []))
        self.bytes = [self.ids[byte] for byte in BYTES if byte in self.ids]
        self.unknown = {*self.bytes, self.ids.get(self.model.get("unk_token")), self.model.get("unk_id")} - {None}

    def add_special(self, token: str) -> None:
        """One special token, without parts: no text was ever cut for it."""
        plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        self.definition["added_tokens"].append({"id": self.next, "content": token, **plain, "special": True})
        self._add(token, (), NO_PIECE)

    def add_letters(self, words: Sequence[tuple[str, int]], most: int) -> int:
        """Frequent characters that were unknown, and their number; a byte-level tokenizer knows all."""
        if "ByteLevel" in str(self.definition["decoder"]):
            return 0
        least = min((score for score in self.scores.values() if score > NO_PIECE), default=0.0)
        behind = {letter for word, _ in words for letter in word[1:]} if self.kind == "WordPiece" else set()
        count = 0
        for letter in letters(words, COVERED):
            for piece in (letter, f"##{letter}") if letter in behind else (letter,):
                if piece not in self.ids and count < most:
                    of_bytes = [self.bytes[byte] for byte in letter.encode()] if len(self.bytes) == 256 else []
                    self._add(piece, of_bytes, least)
                    count += 1
        return count

    def add_pairs(self, words: Sequence[tuple[str, int]], most: int) -> None:
        """The pairs of tokens that merging finds in the words, each word written with one character a token."""
        model = tokenizers.Tokenizer.from_str(self.written()).model
        lines, seen = [], set()
        for word, count in words:
            ids = [token.id for token in model.tokenize(word)]
            if len(ids) > 1 and self.unknown.isdisjoint(ids):
                lines.append(("".join(chr(FIRST + id) for id in ids), count))
                seen.update(ids)
        pieces = {id: piece for piece, id in self.ids.items()}
        for left, right in _pairs(lines, len(seen) + most) if lines and most > 0 else []:
            self._merge(*([pieces[ord(letter) - FIRST] for letter in side] for side in (left, right)))

    def _merge(self, left: Sequence[str], right: Sequence[str]) -> None:
        """A new token from the pieces of two others."""
        begin, end = _spelled(left, self.kind), _spelled(right, self.kind)
        piece = _spelled([begin, end], self.kind)
        if piece in self.ids or begin not in self.ids or end not in self.ids:
            return
        score = self.scores[begin] + self.scores[end] + ABOVE if self.kind == "Unigram" else 0.0
        old = [part for one in (*left, *right) for part in self.parts.get(self.ids[one], (self.ids[one],))]
        self._add(piece, old, score)
        in_lists = not self.merges or isinstance(self.merges[0], list)
        self.merges.append([begin, end] if in_lists else f"{begin} {end}")

    def _add(self, piece: str, parts: Sequence[int], score: float) -> None:
        self.ids[piece], self.parts[self.next], self.scores[piece] = self.next, tuple(parts), score
        self.next += 1

    def written(self) -> str:
        """tokenizer.json. Special tokens stand in the model's vocabulary too, so that reading cannot move their ids."""
        pieces = {id: piece for piece, id in self.ids.items()}
        if self.kind == "Unigram":  # ids are places in a list: those without a piece get a name that no text has
            named = [pieces.get(id, f"<unused{id}>") for id in range(self.next)]
            self.model["vocab"] = [[piece, self.scores.get(piece, NO_PIECE)] for piece in named]
        else:
            self.model["vocab"] = {pieces[id]: id for id in sorted(pieces)}
        if self.kind == "BPE":
            self.model["merges"] = self.merges
        return json.dumps(self.definition, indent=2, ensure_ascii=False)


def _pairs(lines: Sequence[tuple[str, int]], size: int) -> list[tuple[str, str]]:
    """The merges over these words, each a pair of strings, in the order in which they were found."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, max_token_length=LONGEST, show_progress=False)
    inner.train_from_iterator((" ".join([line] * count) for line, count in lines), trainer)
    merges = json.loads(inner.to_str())["model"]["merges"]
    return [tuple(merge if isinstance(merge, list) else merge.split(" ")) for merge in merges]


def _spelled(pieces: Sequence[str], kind: str) -> str:
    """Pieces one behind the other as one piece."""
    if kind != "WordPiece":
        return "".join(pieces)
    return pieces[0] + "".join(piece.removeprefix("##") for piece in pieces[1:])


def _check(old: Tokenizer, new: Tokenizer) -> None:
    """The old tokens must be where they were, and no typed text may give a special one."""
    before, now = (one.inner.get_vocab(with_added_tokens=True) for one in (old, new))
    moved = [token for token, id in before.items() if now.get(token) != id]
    unknown = new.inner.encode("\U0010ffff", add_special_tokens=False).ids  # what an unknown word becomes anyway
    typed = [token for token, id in new.special.items() if id in new.encode(token) and id not in unknown]
    if moved or typed:
        raise CheckpointError(f"this tokenizer cannot grow: {(moved + typed)[0]!r} would get another id, or typed text "
                              "would become that special token; train a new one instead.")
