"""The vocabularies of GPT-2 and o200k, as files of ranks ("base64 of a token, space, its rank"), become tokenizers.

They are for comparison: how many tokens do well-known vocabularies need for a text? A rank file tells which tokens
there are and in which order they were learnt; the merges follow from that. Source of the rules that cut text: tiktoken
(tiktoken_ext/openai_public.py).
"""

import base64
import binascii
import json

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from upwell.errors import DataError
from upwell.tokens.rules import byte_alphabet
from upwell.tokens.tokenizer import END, Tokenizer, beside

ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
BEFORE, LARGE, SMALL = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = "|".join(
    (
        f"{BEFORE}{LARGE}*{SMALL}+{ENDINGS}",
        f"{BEFORE}{LARGE}+{SMALL}*{ENDINGS}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
RULES = {"gpt2": GPT2, "o200k": O200K}
LAST = {"gpt2": 50_256, "o200k": 199_999}  # the id of the end-of-text token


def tokenizer(name: str, content: bytes) -> Tokenizer:
    """The tokenizer of that name ("gpt2" or "o200k") from its rank file. Raises DataError for a damaged one."""
    ranks = _read(name, content)
    spelled = {byte: letter for letter, byte in byte_alphabet().items()}

    def spell(token: bytes) -> str:
        return "".join(spelled[byte] for byte in token)

    merges = [tuple(map(spell, parts)) for token in sorted(ranks, key=ranks.get) if (parts := _parts(token, ranks))]
    vocabulary = {spell(token): rank for token, rank in ranks.items()} | {END: LAST[name]}
    made = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    split = pre_tokenizers.Split(Regex(RULES[name]), behavior="isolated")
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence([split, last]), decoders.ByteLevel()
    made.add_special_tokens([END])
    definition = json.dumps(json.loads(made.to_str()), ensure_ascii=False)
    return Tokenizer(definition, beside({"bos": END, "eos": END}), END)


def _read(name: str, content: bytes) -> dict[bytes, int]:
    try:
        pairs = [line.split() for line in content.splitlines() if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (ValueError, binascii.Error) as error:
        raise DataError(f"{name}: no file of ranks ({error}); expected lines of base64 and a number.") from None
    if sorted(ranks.values()) != list(range(len(ranks))) or not all(bytes([byte]) in ranks for byte in range(256)):
        raise DataError(f"{name}: found {len(ranks):,} ranks with gaps or without all bytes; expected a whole file.")
    return ranks


def _parts(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """The two older tokens that were merged into this one; [] for a byte, or where older ones cannot give it."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(parts[i] + parts[i + 1], len(ranks)) for i in range(len(parts) - 1)]
        at = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[at] >= ranks[token]:
            return []
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts if len(parts) == 2 else []
