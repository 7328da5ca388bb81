"""A LLaMA, Mistral or Qwen folder becomes a GGUF file, llama.cpp's format, weights and tokenizer in one.

    write(checkpoint, path, kind="f16")        # -> the weights as the file holds them, under Hugging Face's names

The format itself and its kinds of numbers are the `gguf` package's; which tensor has which name is `upwell.gguf`'s.

Source: llama.cpp's converter for the order of rows in LLaMA files, and its table of the rules by which text is cut.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upwell.atomic import new_file
from upwell.errors import CheckpointError
from upwell.gguf import BLOCK, STRETCH, WHOLE, package
from upwell.model import hub
from upwell.model.config import Config
from upwell.model.positions import llama3
from upwell.tokens import from_gguf

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
KINDS = ("f32", "f16", "bf16", "q8_0", "q4_1")
TEXTS = ("The year 1998 was good: it's over, isn't it?\n\n  def f(x):\n    return x + 12345",
         "Überall Straßen, 東京と大阪, naïve café; 3.14159 % [a-b] HELLO World  ",
         "I've 3 km\tto go...\r\nNow.")  # fmt: skip


def write(checkpoint: hub.Checkpoint, path, kind: str = "f16", cut: str = "") -> dict[str, Tensor]:
    """Write a file; gives its weights as float32 under Hugging Face's names, as a reader has to find them.

    cut: the name of the rules that cut text, where the tokenizer's own have none in GGUF; the nearest one then.
    Raises CheckpointError for what GGUF cannot hold.
    """
    c, model = checkpoint.config, checkpoint.model
    if checkpoint.tokenizer is None:
        raise CheckpointError(f"{checkpoint.folder}: no tokenizer.json; a GGUF file holds the tokenizer too")
    check(c)
    theirs = {name: t.float() for name, t in hub.to_theirs(model).items()}
    with new_file(path) as temporary:
        out = package("gguf_writer").GGUFWriter(str(temporary), ARCHITECTURES[c.kind])
        facts(out, checkpoint)
        tokenizer(out, checkpoint, cut)
        held = {name: tensor(out, c, name, t, kind) for name, t in theirs.items()}
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
    return held


def check(c: Config) -> None:
    """Refuse what the format, or llama.cpp behind it, would compute otherwise."""
    if c.kind not in ARCHITECTURES or c.head.kind != "language":
        raise CheckpointError(f"a {c.kind} model with the head {c.head.kind!r}; to GGUF upwell writes language models "
                              f"of the kinds {', '.join(ARCHITECTURES)}")
    if c.window_layers:
        raise CheckpointError("the model has windowed blocks, which llama.cpp's LLaMA and Qwen do not have; a GGUF "
                              "file of it would read long texts otherwise")
    if c.rotary_scaling is not None and c.rotary_scaling.kind not in ("linear", "yarn", "llama3"):
        raise CheckpointError(f"rotary scaling {c.rotary_scaling.kind!r} has no place in a GGUF file of this family")
    if c.activation != "silu":
        raise CheckpointError(f"the activation is {c.activation!r}; llama.cpp computes silu in this family")


def facts(out, checkpoint: hub.Checkpoint) -> None:
    """What the file says of the model."""
    c = checkpoint.config
    out.add_name(checkpoint.folder.name if checkpoint.folder else c.kind)
    for add, value in (
        (out.add_vocab_size, c.vocab), (out.add_context_length, c.context), (out.add_embedding_length, c.width),
        (out.add_block_count, c.decoder_layers), (out.add_feed_forward_length, c.ffn_width),
        (out.add_head_count, c.heads), (out.add_head_count_kv, c.kv_heads), (out.add_key_length, c.head_dim),
        (out.add_value_length, c.head_dim), (out.add_rope_dimension_count, c.head_dim),
        (out.add_rope_freq_base, c.rotary_theta), (out.add_layer_norm_rms_eps, c.norm_eps),
    ):  # fmt: skip
        add(value)
    s = c.rotary_scaling
    if s is not None and s.kind != "llama3":
        out.add_rope_scaling_type(getattr(package("constants").RopeScalingType, s.kind.upper()))
        out.add_rope_scaling_factor(s.factor)
        if s.original:
            out.add_rope_scaling_orig_ctx_len(s.original)
    if s is not None and s.kind == "llama3":
        plain = c.rotary_theta ** -(torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim)
        out.add_tensor(STRETCH, (1 / llama3(2 * torch.pi / plain, s)).numpy())


# ---- weights ----


def tensor(out, c: Config, name: str, value: Tensor, kind: str) -> Tensor:
    """Add one tensor under the file's name; gives it as the file holds it."""
    heads = {"q_proj": c.heads, "k_proj": c.kv_heads}.get(name.split(".")[-2])
    numbers, kinds, quants = value.numpy(), package("constants").GGMLQuantizationType, package("quants")
    chosen = kinds[kind.upper()] if numbers.ndim > 1 else kinds.F32
    if chosen.name.startswith("Q") and numbers.shape[-1] % 32:
        chosen = kinds.F16
    turned = heads is not None and ARCHITECTURES[c.kind] == "llama"
    ordered = np.ascontiguousarray(side_by_side(numbers, heads)) if turned else numbers
    out.add_tensor(file_name(name), quants.quantize(ordered, chosen), raw_dtype=chosen)
    held = quants.dequantize(quants.quantize(numbers, chosen), chosen)  # rounding knows no order of rows
    return torch.from_numpy(held.astype(np.float32)).view(value.shape)


def file_name(name: str) -> str:
    """The file's name of a tensor of theirs."""
    stem, end = name.rsplit(".", 1)
    whole, block = ({theirs: ours for ours, theirs in table.items()} for table in (WHOLE, BLOCK))
    if stem in whole:
        return f"{whole[stem]}.{end}"
    number, _, part = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{block[part]}.{end}"


def side_by_side(values: np.ndarray, heads: int) -> np.ndarray:
    """The two numbers that turn together side by side, as GGUF's LLaMA keeps them; (out, ...) with `heads` heads."""
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


# ---- the tokenizer ----


def tokenizer(out, checkpoint: hub.Checkpoint, cut: str) -> None:
    """The tokenizer's facts: tokens, their kinds, merges, and the name of the rules that cut text."""
    c, definition = checkpoint.config, json.loads(checkpoint.tokenizer.definition)
    model = definition["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise CheckpointError(f"{checkpoint.folder}: its tokenizer is no byte-level BPE; only these can be written")
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(cut_of(checkpoint, cut))
    tokens, kinds = vocabulary(definition, c.vocab)
    out.add_token_list(tokens)
    out.add_token_types(kinds)
    out.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in model["merges"]])
    end = min(c.ends) if c.ends else checkpoint.tokenizer.end
    for add, value in ((out.add_bos_token_id, c.bos), (out.add_eos_token_id, end), (out.add_pad_token_id, c.pad)):
        if value is not None:
            add(value)
    out.add_add_bos_token(begins(checkpoint))
    if checkpoint.template is not None:
        out.add_chat_template(checkpoint.template.sources["default"])


def begins(checkpoint: hub.Checkpoint) -> bool:
    """Whether tokenizer.json puts the begin token before a text."""
    return checkpoint.config.bos is not None and checkpoint.tokenizer.encode_source("a")[:1] == [checkpoint.config.bos]


def vocabulary(definition: dict, size: int) -> tuple[list[str], list[int]]:
    """Tokens by id and their kinds; places of the embedding without a token are filled up."""
    names = {id: token for token, id in definition["model"]["vocab"].items()}
    kinds = dict.fromkeys(names, from_gguf.NORMAL)
    for one in definition.get("added_tokens", []):
        names[one["id"]] = one["content"]
        kinds[one["id"]] = from_gguf.CONTROL if one["special"] else from_gguf.OWN
    if max(names) >= size:
        raise CheckpointError(f"the tokenizer has the id {max(names)}, the embedding {size} rows; they do not fit")
    return ([names.get(id, f"[PAD{id}]") for id in range(size)],
            [kinds.get(id, from_gguf.UNUSED) for id in range(size)])  # fmt: skip


def cut_of(checkpoint: hub.Checkpoint, wanted: str = "") -> str:
    """The name that GGUF has for the rules by which this tokenizer cuts text.

    CheckpointError names the nearest one where none cuts a few hard texts alike, and `wanted` is not that.
    """
    names = dict.fromkeys(("llama-bpe", "qwen2", "smollm", "gpt-2", "tekken", *from_gguf.CUTS, *from_gguf.DIGITS))
    if wanted and wanted not in (*names, *from_gguf.GPT2):
        raise CheckpointError(f"text is cut by no rules called {wanted!r} in GGUF; upwell knows {', '.join(names)}")
    if wanted:
        return wanted
    own = rules(json.loads(checkpoint.tokenizer.definition))
    named = next((name for name in names if rules(json.loads(cutting(checkpoint, name).to_str())) == own), None)
    if named is not None:
        return named
    found = {name: alike(checkpoint, name) for name in names}
    best = max(found, key=found.get)
    raise CheckpointError(f"the tokenizer cuts text by rules that GGUF has no name for; with the nearest, {best!r}, "
                          f"{found[best]:.0%} of the tokens of hard texts stay the same: --cut {best} accepts that")


def rules(definition: dict) -> str:
    """What a tokenizer.json says of cutting, in one spelling; offsets of tokens are nobody's business here."""
    said = json.dumps([definition.get("normalizer"), definition.get("pre_tokenizer")], sort_keys=True)
    return said.replace('"trim_offsets": false', '"trim_offsets": true')


def cutting(checkpoint: hub.Checkpoint, name: str):
    """The tokenizer with the rules of a name."""
    from tokenizers import Tokenizer, normalizers

    other = Tokenizer.from_str(checkpoint.tokenizer.definition)
    other.pre_tokenizer = from_gguf.splitter(name)
    other.normalizer = normalizers.NFC() if from_gguf.CUTS.get(name) is from_gguf.QWEN else None
    other.encode_special_tokens = True
    return other


def alike(checkpoint: hub.Checkpoint, name: str) -> float:
    """The share of tokens of a few hard texts that stay the same where they are cut by the rules of a name."""
    from difflib import SequenceMatcher

    other = cutting(checkpoint, name)
    pairs = [(checkpoint.tokenizer.encode(t), other.encode(t, add_special_tokens=False).ids) for t in TEXTS]
    blocks = [SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks() for a, b in pairs]
    return sum(block.size for each in blocks for block in each) / sum(len(ours) for ours, _ in pairs)


def default_path(folder: Path, kind: str) -> Path:
    """runs/mine -> runs/mine-f16.gguf."""
    return folder.with_name(f"{folder.name}-{kind}.gguf")
