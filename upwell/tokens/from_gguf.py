"""The tokenizer in the head of a GGUF file becomes a tokenizer.json, with what stands beside it in a folder.

    definition, beside = tokenizer(file, context)     # file.facts by name, file.path for messages, file.damaged(why)

A GGUF file names the rules by which text is cut before pieces are merged; rules that are not known here are refused,
because other ones would give wrong ids without a word. It knows nothing of the file's layout.

Source: llama.cpp's table of these rules (src/llama-vocab.cpp), and the tokenizer.json of the models that have them.
"""

import json
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from upwell.errors import CheckpointError

NORMAL, CONTROL, OWN, UNUSED = 1, 3, 4, 5  # kinds of tokens

# How text is cut before pairs are merged, by the name in the file. Digits alone, then as GPT-2 does:
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
GPT2 = ("gpt-2", "mpt", "olmo", "jais", "phi-2")
ENGLISH, REST = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS, SIGNS = r"[^\r\n\p{L}\p{N}]?\p{L}+", r" ?[^\s\p{L}\p{N}]+[\r\n]*"
LARGE, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{LARGE}*{SMALL}+|[^\r\n\p{{L}}\p{{N}}]?{LARGE}+{SMALL}*"
LLAMA3 = "|".join((ENGLISH, WORDS, r"\p{N}{1,3}", SIGNS, REST))
QWEN = "|".join((ENGLISH, WORDS, r"\p{N}", SIGNS, REST))
TEKKEN = "|".join((CASED, r"\p{N}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", REST))
CUTS = {
    "llama-bpe": LLAMA3, "llama3": LLAMA3, "llama-v3": LLAMA3, "falcon3": LLAMA3, "pixtral": LLAMA3,
    "smaug-bpe": LLAMA3, "tekken": TEKKEN, "qwen2": QWEN, "deepseek-r1-qwen": QWEN,
}  # fmt: skip
BEGUN = ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral")  # texts begin with the begin token by default
WHOLE_WORDS = (*BEGUN, "tekken")  # a word that is a token is not put together from pieces


def tokenizer(file, context: int) -> tuple[str, dict[str, str]]:
    """tokenizer.json, and the files beside it by name."""
    kind = file.facts.get("tokenizer.ggml.model")
    makers = {"gpt2": byte_level, "llama": sentencepiece}
    if kind not in makers:
        raise CheckpointError(f"{file.path}: its tokenizer is of the kind {kind!r}; upwell reads {', '.join(makers)}")
    tokens, kinds = vocabulary(file)
    named = {f"{name}_token": tokens[id] for name, id in special_ids(file, len(tokens)).items()}
    try:
        made = makers[kind](file, tokens, kinds)
        for number, special in ((CONTROL, True), (OWN, False)):
            each = [token for token, kind in zip(tokens, kinds, strict=True) if kind == number]
            made.add_tokens([AddedToken(token, special=special, normalized=False) for token in each])
        begin_texts(file, made, tokens)
    except CheckpointError:
        raise
    except Exception as error:  # the library raises a bare Exception for whatever it cannot use
        raise file.damaged(f"its tokenizer cannot be made: {error}") from None
    return made.to_str(pretty=True), hf_beside(file, named, context)


def hf_beside(file, named: dict[str, str], context: int) -> dict[str, str]:
    """tokenizer_config.json and the chat template."""
    template = file.facts.get("tokenizer.chat_template")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **named, "clean_up_tokenization_spaces": False,
              "add_prefix_space": False, "model_max_length": context}  # fmt: skip
    if not isinstance(template, str):
        return {"tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n"}
    config["chat_template"] = template
    told = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    return {"tokenizer_config.json": told, "chat_template.jinja": template}


def special_ids(file, count: int) -> dict[str, int]:
    """Ids of the begin, end, unknown and padding tokens, as far as the file names them."""
    found = {name: file.facts.get(f"tokenizer.ggml.{key}_token_id")
             for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))}  # fmt: skip
    for name, id in found.items():
        if id is not None and not (isinstance(id, int) and 0 <= id < count):
            raise file.damaged(f"the {name} token has the id {id} of {count}")
    return {name: id for name, id in found.items() if id is not None}


def vocabulary(file) -> tuple[list[str], list[int]]:
    """Every token and its kind, by id."""
    tokens, kinds = (file.facts.get(f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise file.damaged("it has no list of tokens")
    kinds = [NORMAL] * len(tokens) if kinds is None else kinds
    if not isinstance(kinds, list) or len(kinds) != len(tokens):
        raise file.damaged(f"{len(tokens)} tokens, but not as many kinds of them")
    return tokens, kinds


def used(file, tokens: list[str], kinds: list[int]) -> dict[str, int]:
    """Token -> id, without the places that only fill up the embedding."""
    found = {token: id for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind != UNUSED}
    if len(found) != sum(kind != UNUSED for kind in kinds):
        raise file.damaged("a token stands there twice")
    return found


def byte_level(file, tokens: list[str], kinds: list[int]):
    """A tokenizer of GPT-2's kind: merges over bytes."""
    cut = file.facts.get("tokenizer.ggml.pre")
    if cut not in (*DIGITS, *GPT2, *CUTS):
        raise CheckpointError(f"{file.path}: its text is cut by the rules {cut!r}; upwell knows "
                              f"{', '.join(sorted((*DIGITS, *GPT2, *CUTS)))}, and others would give wrong ids")
    merges = [tuple(merge.split(" ", 1)) for merge in file.facts.get("tokenizer.ggml.merges", [])]
    made = Tokenizer(models.BPE(used(file, tokens, kinds), merges, ignore_merges=cut in WHOLE_WORDS))
    made.pre_tokenizer, made.decoder = splitter(cut), decoders.ByteLevel()
    if CUTS.get(cut) is QWEN:
        made.normalizer = normalizers.NFC()
    return made


def splitter(cut: str):
    """What cuts a text before pairs of bytes are merged."""
    if cut in CUTS:
        first = pre_tokenizers.Split(Regex(CUTS[cut]), behavior="isolated")
    else:
        first = pre_tokenizers.Digits(individual_digits=True) if cut in DIGITS else None
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut not in CUTS)
    return last if first is None else pre_tokenizers.Sequence([first, last])


def sentencepiece(file, tokens: list[str], kinds: list[int]):
    """A tokenizer of SentencePiece's kind: the pair that gives the best piece is merged first, the rest is bytes."""
    ids, scores = used(file, tokens, kinds), file.facts.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise file.damaged(f"{len(tokens)} tokens, but not as many scores")
    unknown, prefix = file.facts.get("tokenizer.ggml.unknown_token_id", 0), space_first(file)
    plain = {token: id for token, id in ids.items() if kinds[id] == NORMAL}
    merges = [(left, right) for _, _, left, right in sorted(pairs_of(plain, scores))]
    made = Tokenizer(models.BPE(ids, merges, unk_token=tokens[unknown], fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(" ", "\u2581")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), spaces]) if prefix else spaces
    back = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*back, *([decoders.Strip(" ", 1, 0)] if prefix else [])])
    return made


def space_first(file) -> bool:
    """Whether a space is put before each text."""
    return bool(file.facts.get("tokenizer.ggml.add_space_prefix", True))


def pairs_of(ids: dict[str, int], scores: list[float]) -> Iterator[tuple[float, int, str, str]]:
    """(rank, cut, left, right) of every way in which two pieces make a third."""
    for piece, id in ids.items():
        for cut in range(1, len(piece)):
            if piece[:cut] in ids and piece[cut:] in ids:
                yield -scores[id], cut, piece[:cut], piece[cut:]


def begin_texts(file, made, tokens: list[str]) -> None:
    """Let texts begin with the begin token where the file wants it."""
    usual = file.facts["tokenizer.ggml.model"] == "llama" or file.facts.get("tokenizer.ggml.pre") in BEGUN
    id = file.facts.get("tokenizer.ggml.bos_token_id")
    if id is None or not file.facts.get("tokenizer.ggml.add_bos_token", usual):
        return
    begin = tokens[id]
    made.post_processor = processors.TemplateProcessing(
        single=[begin, "$A"], pair=[begin, "$A", f"{begin}:1", "$B:1"], special_tokens=[(begin, id)]
    )
