"""How well a tokenizer fits its texts: tokens by language and kind, what does not come back, tokens that are no use.

`report` gives plain numbers and strings, ready for JSON. A word is a run of letters and digits; each Chinese or
Japanese character is one. Knows no file and no screen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from upwell.tokens.kinds import BYTES
from upwell.tokens.tokenizer import Tokenizer
from upwell.tokens.words import at_once

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
WORD = re.compile(f"[{CJK}]|[^\\W{CJK}]+")
RARE = 5
SHOWN = 40
AROUND = (("", ""), ("", "a"), ("a", ""), ("", " "), (" ", ""), ("", "\n"), ("\n", ""), ("1", ""), ("", "1"), (".", ""),
          ("", "."), ("字", ""), ("", "字"), ("a", " a"), ("\n", "a"))  # fmt: skip
PREFIXES = 400

Group = tuple[str, str]
"""(language, kind)."""


def report(tokenizer: Tokenizer, texts: Sequence[str], groups: Sequence[Group],
           others: Mapping[str, Tokenizer] | None = None) -> dict[str, Any]:  # fmt: skip
    """Everything about a tokenizer on these texts, of which groups says the language and kind of each.

    others: well-known tokenizers by name, measured on the same texts.
    """
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    rows = [_row(group, [text for text, its in zip(texts, groups, strict=True) if its == group], tokenizer,
                 others or {}, counts) for group in sorted(set(groups))]  # fmt: skip
    return {
        "tokenizer": {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "special": sorted(tokenizer.special),
                      "hash": tokenizer.hash},
        "groups": rows,
        "round_trip": {"bytes": _bytes_back(tokenizer), "documents": _texts_back(tokenizer, texts)},
        "tokens": _tokens(tokenizer, counts),
    }  # fmt: skip


def _row(group: Group, texts: list[str], tokenizer: Tokenizer, others: Mapping[str, Tokenizer],
         counts: np.ndarray) -> dict[str, Any]:  # fmt: skip
    size, words = sum(len(text.encode()) for text in texts), sum(len(WORD.findall(text)) for text in texts)
    used = np.zeros(len(counts), dtype=np.int64)
    for ids in _encoded(tokenizer, texts):
        used += np.bincount(ids, minlength=len(counts))
    counts += used
    theirs = {name: sum(map(len, _encoded(other, texts))) for name, other in others.items()}
    measured = {name: _ratios(size, words, tokens) for name, tokens in theirs.items()}
    return {"language": group[0], "kind": group[1], "documents": len(texts), "bytes": size, "words": words,
            **_ratios(size, words, int(used.sum())), "others": measured}  # fmt: skip


def _ratios(size: int, words: int, tokens: int) -> dict[str, float]:
    return {"tokens": tokens, "bytes_per_token": round(size / max(tokens, 1), 4),
            "tokens_per_word": round(tokens / max(words, 1), 4)}  # fmt: skip


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[np.ndarray]:
    for some in at_once(texts):
        yield np.array([id for ids in tokenizer.encode_batch(some) for id in ids], dtype=np.int64)


# ---- there and back ----


def _bytes_back(tokenizer: Tokenizer) -> dict[str, Any]:
    """For each byte that UTF-8 has (243 of the 256): does a character that holds it come back?"""
    second = {0xED: 0x9F, 0xF4: 0x8F}  # where the usual second byte would give no character
    characters = {byte: chr(byte) for byte in range(0x80)}
    characters |= {byte: bytes([0xC3, byte]).decode() for byte in range(0x80, 0xC0)}
    for lead in range(0xC2, 0xF5):
        more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
        characters[lead] = bytes([lead, second.get(lead, 0xA1), 0xA1, 0xA1][: more + 1]).decode()
    lost = [byte for byte, text in sorted(characters.items()) if tokenizer.decode(tokenizer.encode(text)) != text]
    return {"exact": len(characters) - len(lost), "of": len(characters), "lost": [f"{byte:02x}" for byte in lost]}


def _texts_back(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Any]:
    exact, spaced, first = 0, 0, ""
    for some in at_once(texts):
        for text, ids in zip(some, tokenizer.encode_batch(some), strict=True):
            back = tokenizer.decode(ids)
            exact += back == text
            if back != text:
                alike = "".join(back.split()) == "".join(text.split())
                spaced += alike
                first = first or _difference(text, back)
    return {"exact": exact, "but_for_white_space": spaced, "of": len(texts), "first_difference": first}


def _difference(text: str, back: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    return f"character {at}: {text[max(0, at - 10) : at + 20]!r} came back as {back[max(0, at - 10) : at + 20]!r}"


# ---- tokens that are no use ----


def _tokens(tokenizer: Tokenizer, counts: np.ndarray) -> dict[str, Any]:
    """Tokens by how often they came; special tokens and single bytes are there for other reasons."""
    vocabulary = {id: piece for piece, id in tokenizer.inner.get_vocab(with_added_tokens=True).items()}
    apart = {id for id, piece in vocabulary.items() if piece in set(BYTES) or len(tokenizer.bytes_of(id)) < 2}
    learnt = sorted(set(vocabulary) - apart)
    unseen = [id for id in learnt if not counts[id]]
    dead = unreachable(tokenizer, unseen)
    return {
        "learnt": len(learnt), "seen": len(learnt) - len(unseen), "unseen": len(unseen),
        "rare": sum(0 < int(counts[id]) < RARE for id in learnt), "rare_means": f"1 to {RARE - 1} times",
        "unreachable": len(dead),
        "unreachable_tokens": [{"id": id, "text": _shown(tokenizer, id)} for id in islice(dead, SHOWN)],
    }  # fmt: skip


def unreachable(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Those of the ids that no text gives.

    BPE and Unigram: the model itself cuts the token's spelling into others, so its merges cannot fire or a likelier way
    always wins; or the rules that cut text never leave it whole, in a dozen surroundings. WordPiece: it is not found
    alone, or behind any of the first characters of words.
    """
    spelling = {id: piece for piece, id in tokenizer.inner.get_vocab(with_added_tokens=True).items()}
    first = [piece for piece in spelling.values() if len(piece) == 1 and piece.isalnum()][:PREFIXES]
    return [id for id in ids if not _reached(tokenizer, id, spelling[id], first)]


def _reached(tokenizer: Tokenizer, id: int, piece: str, first: Sequence[str]) -> bool:
    model = tokenizer.inner.model
    if tokenizer.kind == "WordPiece" and piece.startswith("##"):
        return any(token.id == id for letter in first for token in model.tokenize(letter + piece[2:]))
    if [token.id for token in model.tokenize(piece)] != [id]:
        return False
    content = tokenizer.bytes_of(id)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return _within_text(content)  # parts of characters: its merges fire, and no rule cuts within characters
    text = text.removeprefix(" ") if tokenizer.kind == "WordPiece" else text
    return any(id in tokenizer.encode(before + text + behind) for before, behind in AROUND)


def _within_text(content: bytes) -> bool:
    """Whether some text has these bytes: the end of a character, whole characters, the beginning of one."""
    following = next((at for at, byte in enumerate(content) if not 0x80 <= byte < 0xC0), len(content))
    try:
        content[following:].decode("utf-8")
    except UnicodeDecodeError as error:
        return following < 4 and error.reason == "unexpected end of data"
    return following < 4


def _shown(tokenizer: Tokenizer, id: int) -> str:
    return tokenizer.bytes_of(id).decode("utf-8", errors="backslashreplace")
