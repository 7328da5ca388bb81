"""A GGUF file, llama.cpp's format, becomes a Hugging Face folder with float32 weights.

    convert(path, folder)       # config.json, model.safetensors, tokenizer.json, chat_template.jinja and the rest

The blocks of quantised tensors are opened by the `gguf` package, everything else is read here: no number in the file is
believed before it is compared with the file's size. One tensor at a time is in memory. The tokenizer is made in
tokens/from_gguf.py.

Source: the GGUF specification of ggml (docs/gguf.md), and for the order of rows in LLaMA files llama.cpp's converter.
"""

import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from upwell.errors import CheckpointError, ServiceError

MAGIC, VERSIONS, STRING, ARRAY = b"GGUF", (2, 3), 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
MOST_AXES = 4

KINDS = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

# Facts under the architecture's name that are read here or that say nothing about the numbers.
KNOWN = frozenset("""
    context_length embedding_length block_count feed_forward_length vocab_size attention.head_count
    attention.head_count_kv attention.key_length attention.value_length attention.layer_norm_rms_epsilon
    attention.layer_norm_epsilon attention.sliding_window attention.causal rope.dimension_count rope.freq_base
    rope.scaling.type rope.scaling.factor rope.scaling.original_context_length rope.scaling.finetuned
    expert_count expert_used_count tensor_data_layout
""".split())

WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
BLOCK = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
STRETCH = "rope_freqs.weight"  # how much slower each pair of a LLaMA 3 turns


def convert(path, folder, allow: tuple[str, ...] = ()) -> "File":
    """Write what a GGUF file holds into a folder, and return the file. CheckpointError says what does not fit.

    allow: facts of the file that may be passed over although they are unknown.
    """
    from upwell import plugs
    from upwell.model import hub
    from upwell.tokens import from_gguf

    file, folder = File(path), Path(folder)
    config = hub.config_of(hf_config(file, allow))
    names = hf_names(file, [row.theirs for row in hub.table(config)])
    tokenizer, beside = from_gguf.tokenizer(file, config.context)
    hf = plugs.find("model/families", config.family).to_hf(config) | {"dtype": "float32"}
    ends = {"eos_token_id": sorted(hf_ends(file))} if hf_ends(file) else {}
    ids = {key: hf[key] for key in ("bos_token_id", "pad_token_id") if hf.get(key) is not None}
    _write(folder / "config.json", json.dumps(hf, indent=2) + "\n")
    _write(folder / "generation_config.json", json.dumps(ids | ends, indent=2) + "\n")
    _write(folder / "tokenizer.json", tokenizer)
    for name, text in beside.items():
        _write(folder / name, text)
    write_tensors(folder / "model.safetensors", file, names)
    return file


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


# ---- the file ----


@dataclass(frozen=True)
class Stored:
    """A tensor as it lies in the file."""

    kind: int
    """The number of its quantisation kind."""
    shape: tuple[int, ...]
    """As torch counts, the longest stride first."""
    start: int
    """Its first byte."""
    size: int
    """Its bytes."""


class File:
    """The head of a GGUF file: .facts by name, .tensors by name; `floats` reads one tensor."""

    def __init__(self, path):
        self.path = Path(path)
        self.length = self.path.stat().st_size
        try:
            with self.path.open("rb") as self._stream:
                self._head()
        except (UnicodeDecodeError, struct.error, KeyError) as error:
            raise self.damaged(error) from None

    def damaged(self, why) -> CheckpointError:
        """What to raise."""
        return CheckpointError(f"{self.path}: not a whole GGUF file ({why}); copy it again from its source")

    def _head(self) -> None:
        if self._take(4) != MAGIC:
            raise CheckpointError(f"{self.path}: found no GGUF file; expected one that begins with the letters GGUF")
        version = self._number("I")
        if version not in VERSIONS:
            raise CheckpointError(f"{self.path}: its GGUF version is {version}; upwell reads 2 and 3, little-endian")
        tensors, facts = self._number("Q"), self._number("Q")
        self.facts = {self._text(): self._value(self._number("I")) for _ in range(facts)}
        infos = [self._info() for _ in range(tensors)]
        align = self.facts.get("general.alignment", 32)
        if not isinstance(align, int) or align < 1:
            raise self.damaged(f"an alignment of {align!r}")
        begin = -(-self._stream.tell() // align) * align
        self.tensors = {name: self._stored(name, *info, begin) for name, *info in infos}

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count) if count <= self.length else b""
        if len(data) < count:
            raise self.damaged("it ends too early")
        return data

    def _number(self, code: str):
        return struct.unpack("<" + code, self._take(struct.calcsize("<" + code)))[0]

    def _text(self) -> str:
        return self._take(self._number("Q")).decode("utf-8")

    def _value(self, kind: int):
        if kind == STRING:
            return self._text()
        if kind != ARRAY:
            return self._number(SCALARS[kind])
        inner, count = self._number("I"), self._number("Q")
        if inner == STRING:
            return [self._text() for _ in range(count)]
        data = self._take(count * struct.calcsize("<" + SCALARS[inner]))
        return list(struct.unpack(f"<{count}{SCALARS[inner]}", data))

    def _info(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, kind, offset."""
        name, axes = self._text(), self._number("I")
        if axes > MOST_AXES:
            raise self.damaged(f"{name} has {axes} axes")
        shape = tuple(self._number("Q") for _ in range(axes))[::-1]
        return name, shape, self._number("I"), self._number("Q")

    def _stored(self, name: str, shape: tuple[int, ...], kind: int, offset: int, begin: int) -> Stored:
        block, size = quantisation(self.path, name, kind)
        count = math.prod(shape)
        if not count or not shape or shape[-1] % block:
            raise self.damaged(f"{name} has the shape {shape}, in blocks of {block}")
        stored = Stored(kind, shape, begin + offset, count // block * size)
        if stored.start + stored.size > self.length:
            raise self.damaged(f"it ends before {name} does")
        return stored

    def fact(self, name: str, kind: type = int, default=None):
        """A fact of the architecture, or `default`; CheckpointError where it is missing or something else."""
        full = f"{self.facts.get('general.architecture')}.{name}"
        value = self.facts.get(full, default)
        if type(value) is not kind and value is not default:
            raise CheckpointError(f"{self.path}: {full} is {str(value)[:40]}; expected {kind.__name__}")
        if value is None:
            raise CheckpointError(f"{self.path}: {full} is missing; it is needed to build the model")
        return value

    def floats(self, name: str) -> np.ndarray:
        """A tensor as float32."""
        stored = self.tensors[name]
        raw = np.fromfile(self.path, np.uint8, stored.size, offset=stored.start)
        dequantize, kinds = package("quants").dequantize, package("constants").GGMLQuantizationType
        try:
            values = dequantize(raw.reshape(*stored.shape[:-1], -1), kinds(stored.kind))
        except NotImplementedError:
            raise CheckpointError(f"{self.path}: {name} is of the kind {kinds(stored.kind).name}, which the gguf "
                                  "package cannot turn into numbers; take a file of another kind") from None
        if not np.isfinite(values).all():
            raise self.damaged(f"{name} holds numbers that are none")
        return values.astype(np.float32, copy=False).reshape(stored.shape)


def package(part: str):
    """A module of the `gguf` package."""
    import importlib

    try:
        return importlib.import_module(f"gguf.{part}")
    except ImportError as error:
        raise ServiceError(f"The gguf package is not installed here ({error}); `pip install gguf` brings it") from None


def quantisation(path: Path, name: str, kind: int) -> tuple[int, int]:
    """Values and bytes of one block."""
    constants = package("constants")
    try:
        return constants.GGML_QUANT_SIZES[constants.GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise CheckpointError(f"{path}: {name} is of the quantisation kind {kind}, which this version of the gguf "
                              "package does not know; `pip install --upgrade gguf`") from None


# ---- the model ----


def hf_config(file: File, allow: tuple[str, ...] = ()) -> dict:
    """The facts of a file as a config.json."""
    kind = file.facts.get("general.architecture")
    if kind not in KINDS:
        raise CheckpointError(f"{file.path}: its architecture is {kind!r}; from GGUF files upwell reads "
                              f"{', '.join(KINDS)}")
    check_facts(file, kind, allow)
    heads, width = file.fact("attention.head_count"), file.fact("embedding_length")
    special = {f"{name}_token_id": file.facts.get(f"tokenizer.ggml.{key}_token_id")
               for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}  # fmt: skip
    found = {
        "architectures": [KINDS[kind]], "model_type": kind, "hidden_size": width, "num_attention_heads": heads,
        "vocab_size": rows_of(file, "token_embd.weight"), "num_hidden_layers": file.fact("block_count"),
        "num_key_value_heads": file.fact("attention.head_count_kv", default=heads),
        "head_dim": file.fact("attention.key_length", default=width // max(1, heads)),
        "intermediate_size": file.fact("feed_forward_length"), "max_position_embeddings": file.fact("context_length"),
        "rms_norm_eps": shortest(file.fact("attention.layer_norm_rms_epsilon", float)),
        "rope_parameters": hf_rotary(file), "tie_word_embeddings": "output.weight" not in file.tensors, **special,
    }  # fmt: skip
    if kind == "llama":
        found["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    return found | hf_window(file, kind)


def check_facts(file: File, kind: str, allow: tuple[str, ...]) -> None:
    """Refuse what would change the numbers in a way that is not known here."""
    begin = f"{kind}."
    unknown = sorted({name.removeprefix(begin) for name in file.facts if name.startswith(begin)} - KNOWN)
    unknown = [begin + name for name in unknown if begin + name not in allow]
    if unknown:
        raise CheckpointError(f"{file.path}: unknown fact {', '.join(unknown)}; upwell would not know what it changes "
                              f"(to pass over it: --allow-key {unknown[0]})")
    if file.fact("expert_count", default=0):
        raise CheckpointError(f"{file.path}: a mixture of experts; upwell reads these from safetensors, not from GGUF")
    if file.facts.get("split.count", 1) not in (0, 1):
        raise CheckpointError(f"{file.path}: one of {file.facts['split.count']} parts; join them with "
                              "`llama-gguf-split --merge` first")
    if file.fact("block_count") > len(file.tensors):
        raise file.damaged(f"{file.fact('block_count')} blocks, but {len(file.tensors)} tensors")
    head = file.fact("attention.key_length", default=0)
    for name in ("attention.value_length", "rope.dimension_count"):
        if head and file.fact(name, default=head) != head:
            raise CheckpointError(f"{file.path}: {begin}{name} is {file.fact(name)}, but keys have {head} numbers; "
                                  "upwell reads files where they are equal")


def rows_of(file: File, name: str) -> int:
    """The first axis of a tensor."""
    if name not in file.tensors:
        raise CheckpointError(f"{file.path}: {name} is missing from the file; copy it again from its source")
    return file.tensors[name].shape[0]


def shortest(value: float) -> float:
    """The shortest number that is the same in float32: 1e-05 for what a float64 shows as 9.99999974e-06."""
    return float(str(np.float32(value)))


def hf_rotary(file: File) -> dict:
    """The rotary facts as rope_parameters."""
    theta = shortest(file.fact("rope.freq_base", float, 10000.0))
    found, kind = {"rope_theta": theta, "rope_type": "default"}, file.fact("rope.scaling.type", str, "none")
    if STRETCH in file.tensors:
        return found | llama3(file, theta)
    if kind == "none":
        return found
    if kind not in ("linear", "yarn"):
        raise CheckpointError(f"{file.path}: rope.scaling.type is {kind!r}; upwell reads none, linear and yarn")
    found |= {"rope_type": kind, "factor": shortest(file.fact("rope.scaling.factor", float))}
    if kind == "yarn":
        found["original_max_position_embeddings"] = file.fact("rope.scaling.original_context_length")
    return found


def llama3(file: File, theta: float, low=1.0, high=4.0, original=8192) -> dict:
    """LLaMA 3 keeps only the outcome of its scaling, so it is done again with its published numbers and compared."""
    given = file.floats(STRETCH).astype(np.float64)
    factor, pairs = float(given.max()), len(given)
    waves = 2 * np.pi * theta ** (np.arange(pairs) / pairs)
    smooth = np.clip((original / waves - low) / (high - low), 0, 1)
    if not np.allclose(1 / ((1 - smooth) / factor + smooth), given, rtol=1e-4):
        raise CheckpointError(f"{file.path}: {STRETCH} holds other numbers than LLaMA 3's scaling; "
                              "take the model as safetensors")
    return {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": original}  # fmt: skip


def hf_window(file: File, kind: str) -> dict:
    """A window over the last tokens: of the three only Mistral has one, and its files call themselves llama."""
    size = file.fact("attention.sliding_window", default=0)
    if not size:
        return {}
    if kind != "llama":
        return {"use_sliding_window": True, "sliding_window": size, "max_window_layers": 0}
    return {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": size}


def hf_ends(file: File) -> set[int]:
    """Ids that end an answer: the end of the text, and of a turn where that is another."""
    found = (file.facts.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot"))
    return {id for id in found if isinstance(id, int)}


def hf_names(file: File, wanted: list[str]) -> dict[str, str]:
    """{Hugging Face's name: name in the file} in the file's order; each must be there, and nothing else."""
    names = {hf_name(name) or name: name for name in file.tensors if name != STRETCH}
    for what, odd in (("missing from the file", set(wanted) - set(names)), ("unknown", set(names) - set(wanted))):
        if odd:
            raise CheckpointError(f"{file.path}: {what}: {', '.join(sorted(odd)[:5])} (facts and tensors do not fit)")
    return names


def hf_name(name: str) -> str | None:
    """Hugging Face's name for a tensor."""
    found = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name)
    if not found:
        return None
    layer, part, end = found.groups()
    theirs = WHOLE.get(part) if layer is None else BLOCK.get(part)
    return theirs and (f"{theirs}.{end}" if layer is None else f"model.layers.{layer}.{theirs}.{end}")


def halves_first(values: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's LLaMA keeps the two numbers that turn together side by side, Hugging Face half a head apart."""
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def write_tensors(path: Path, file: File, names: dict[str, str]) -> None:
    """Every tensor as float32 in one safetensors file, one after the other: memory holds one at a time."""
    read = partial(in_their_order, file) if file.facts["general.architecture"] == "llama" else file.floats
    sizes = {theirs: file.tensors[name].shape for theirs, name in names.items()}
    write_safetensors(path, sizes, (read(name) for name in names.values()))


def in_their_order(file: File, name: str) -> np.ndarray:
    """A tensor of a LLaMA file with the rows of queries and keys as Hugging Face has them."""
    values, heads = file.floats(name), file.fact("attention.head_count")
    if ".attn_k." in name:
        heads = file.fact("attention.head_count_kv", default=heads)
    if ".attn_q." not in name and ".attn_k." not in name:
        return values
    if len(values) % (2 * heads):
        raise CheckpointError(f"{file.path}: {name} has {len(values)} rows, which are no {heads} heads of pairs")
    return halves_first(values, heads)


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], values: Iterable[np.ndarray]) -> None:
    """The format in full: the length of a JSON head, the head, the numbers. Source: safetensors' README."""
    head, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        head[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for value in values:
            np.ascontiguousarray(value, "<f4").tofile(out)
