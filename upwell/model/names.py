"""Two-way rows between our tensor names and Hugging Face's, and the keys and tensors that may be passed over.

A row names one or more of our tensors and one of theirs, with a way there and a way back; a model that loads also
saves. `{i}` in a name stands for the number of the layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..errors import CheckpointError
from .config import Config, Head, Scaling

# Keys of a config.json that say nothing about the numbers that a model computes.
HARMLESS_KEYS = frozenset("""
    _name_or_path architectures auto_map dtype torch_dtype transformers_version use_cache model_type pretraining_tp
    initializer_range task_specific_params output_attentions output_hidden_states return_dict chunk_size_feed_forward
    id2label label2id problem_type is_encoder_decoder is_decoder add_cross_attention cross_attention_hidden_size
    tie_encoder_decoder finetuning_task gradient_checkpointing summary_type summary_use_proj summary_activation
    summary_proj_to_labels summary_first_dropout sep_token_id decoder_start_token_id pad_token_id bos_token_id
    eos_token_id tokenizer_class prefix num_labels _attn_implementation
    max_length min_length num_beams early_stopping length_penalty no_repeat_ngram_size bad_words_ids do_sample top_k
    top_p temperature repetition_penalty forced_bos_token_id forced_eos_token_id
""".split())

# Tensors that old files carry although they can be computed.
HARMLESS_TENSORS = (
    ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq",
    "embeddings.position_ids", "EncDecAttention.relative_attention_bias.weight", "embed_positions.weight",
)  # fmt: skip

# Second names under which files carry the embedding, or the bias of the output, once more.
COPIES = (
    "embed_tokens.weight", "lm_head.weight", "decoder.weight", "decoder.bias", "embed_out.weight", "projector.weight",
)  # fmt: skip

# What stands before the names of a model without a head in the file of one with a head.
BASES = ("model.", "transformer.", "bert.", "roberta.", "distilbert.", "gpt_neox.")

ACTIVATIONS = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "silu": "silu",
    "swish": "silu", "relu": "relu", "relu2": "relu2", "tanh": "tanh",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One tensor of theirs and the tensors of ours that it becomes."""

    ours: tuple[str, ...]
    theirs: str
    read: Callable[[Tensor], list[Tensor]]
    """Their tensor -> ours, in order."""
    write: Callable[[list[Tensor]], Tensor]
    """Our tensors -> theirs."""

    def at(self, layer: int) -> "Row":
        """The row of one layer."""
        named = tuple(name.format(i=layer) for name in self.ours)
        return Row(named, self.theirs.format(i=layer), self.read, self.write)


def same(ours: str, theirs: str) -> Row:
    """The same numbers under another name."""
    return Row((ours,), theirs, lambda t: [t], lambda ts: ts[0])


def reshaped(ours: str, theirs: str, shape: tuple[int, ...]) -> Row:
    """A vector that they store in another shape."""
    return Row((ours,), theirs, lambda t: [t.reshape(-1)], lambda ts: ts[0].reshape(shape))


def transposed(ours: str, theirs: str) -> Row:
    """A matrix that they store as (in, out)."""
    return Row((ours,), theirs, lambda t: [t.T.contiguous()], lambda ts: ts[0].T.contiguous())


def stacked(ours: list[str], theirs: str, transpose: bool) -> Row:
    """Several equal tensors of ours that they store as one, one above the other (of (out, in) matrices)."""

    def read(t: Tensor) -> list[Tensor]:
        return [part.contiguous() for part in (t.T if transpose else t).chunk(len(ours))]

    def write(ts: list[Tensor]) -> Tensor:
        whole = torch.cat(ts)
        return (whole.T if transpose else whole).contiguous()

    return Row(tuple(ours), theirs, read, write)


def pairs(ours: str, theirs: str, names: dict[str, str], *kinds: str) -> list[Row]:
    """`same` for each name of ours and theirs behind a beginning, once for each kind ("weight", "bias")."""
    return [same(f"{ours}{a}.{kind}", f"{theirs}{b}.{kind}") for a, b in names.items() for kind in kinds]


def expand(rows: list[Row], c: Config) -> list[Row]:
    """Rows with `{i}` once for each layer of their stack, the others once; without a head also without the base."""
    every = []
    for row in rows:
        layers = c.encoder_layers if row.ours[0].startswith("encoder.") else c.decoder_layers
        every += [row.at(i) for i in (range(layers) if "{i}" in row.theirs else range(1))]
    headless = c.head.kind in ("none", "embed")
    return [replace(row, theirs=bare(row.theirs)) for row in every] if headless else every


def bare(name: str) -> str:
    """A tensor's name as a model without a head has it."""
    return next((name.removeprefix(base) for base in BASES if name.startswith(base)), name)


class Keys:
    """A config.json that is read key by key, so that what nobody read can be refused."""

    def __init__(self, hf: dict):
        self.hf = dict(hf)
        self.read: set[str] = set()

    def __call__(self, name: str, default=None):
        """The value of a key, or the default where it is absent or null."""
        self.read.add(name)
        value = self.hf.get(name)
        return default if value is None else value

    def need(self, name: str, kind: type = int):
        """The value of a key that a model cannot do without."""
        value = self(name)
        if value is None:
            raise CheckpointError(f"config.json: {name} is missing; it is needed to build the model")
        if type(value) is not kind:
            raise CheckpointError(f"config.json: {name} is {value!r}; expected {kind.__name__}")
        return value

    def expect(self, name: str, default, *allowed):
        """A key of which only some values are known."""
        value = self(name, default)
        if value not in allowed:
            known = " or ".join(repr(a) for a in allowed)
            raise CheckpointError(f"config.json: {name} is {value!r}; upwell knows {known} here")
        return value

    def unread(self) -> list[str]:
        """Keys that neither the family nor the list of harmless ones knows."""
        return sorted(set(self.hf) - self.read - HARMLESS_KEYS)


SCALING = {
    "factor": "factor", "original": "original_max_position_embeddings", "attention": "attention_factor",
    "low": "low_freq_factor", "high": "high_freq_factor", "fast": "beta_fast", "slow": "beta_slow", "mscale": "mscale",
    "mscale_all": "mscale_all_dim", "truncate": "truncate", "short": "short_factor", "long": "long_factor",
}  # fmt: skip


def rotary(keys: Keys, theta: float = 10000.0, share: float = 1.0) -> dict:
    """The rotary fields of Config, from the new place (rope_parameters) or the old ones (rope_theta, rope_scaling)."""
    old = {"rope_theta": keys("rope_theta", theta), "partial_rotary_factor": keys("partial_rotary_factor", share)}
    original = keys("original_max_position_embeddings")
    values = old | dict(keys("rope_scaling", {})) | dict(keys("rope_parameters", {}))
    if original is not None:
        values.setdefault("original_max_position_embeddings", original)
    return rotary_fields(values, keys("max_position_embeddings"))


def rotary_fields(values: dict, context: int | None) -> dict:
    """The rotary fields of Config, from one dictionary of rope parameters."""
    values = dict(values)
    theta, share = float(values.pop("rope_theta")), float(values.pop("partial_rotary_factor", 1.0))
    old, kind = values.pop("type", "default"), values.pop("rope_type", None)
    kind = kind or old
    found = {"rotary_theta": theta, "rotary_share": share}
    if kind == "default":
        return found
    known = {"linear", "dynamic", "yarn", "llama3", "longrope"}
    if kind not in known:
        raise CheckpointError(f"config.json: rope_type is {kind!r}; upwell knows default, {', '.join(sorted(known))}")
    unknown = sorted(set(values) - set(SCALING.values()))
    if unknown:
        raise CheckpointError(f"config.json: unknown key {', '.join(unknown)} in the rope parameters")
    given = {ours: values[theirs] for ours, theirs in SCALING.items() if values.get(theirs) is not None}
    given |= {name: tuple(map(float, given[name])) for name in ("short", "long") if name in given}
    if kind in ("yarn", "llama3", "longrope"):
        given.setdefault("original", context)
    need = {"longrope": ["short", "long"], "yarn": []}
    for name in need.get(kind, ["factor"]):
        if name not in given:
            raise CheckpointError(f"config.json: {SCALING[name]} is missing; {kind} rotary scaling needs it")
    return found | {"rotary_scaling": Scaling(kind=kind, **given)}


def hf_rotary(c: Config) -> dict:
    """The rotary fields of Config as rope parameters."""
    values = {"rope_type": "default", "rope_theta": c.rotary_theta}
    if c.rotary_share != 1.0:
        values["partial_rotary_factor"] = c.rotary_share
    s = c.rotary_scaling
    if s is None:
        return values
    told = {f.name: getattr(s, f.name) for f in fields(Scaling) if f.name != "kind" and getattr(s, f.name) != f.default}
    if s.kind == "llama3":
        told |= {"low": s.low, "high": s.high}
    told = {SCALING[name]: list(v) if isinstance(v, tuple) else v for name, v in told.items()}
    return values | {"rope_type": s.kind} | told


def head(keys: Keys, heads: dict[str, Head]) -> Head:
    """The head that `architectures` names, of those that a family has; the first of them where nothing is named."""
    named = (keys.hf.get("architectures") or [next(iter(heads))])[0]
    if named not in heads:
        raise CheckpointError(f"config.json: architectures is {named!r}; upwell knows {', '.join(heads)} here")
    found = heads[named]
    if found.kind not in ("classify", "tag"):
        return found
    names = keys.hf.get("id2label") or {i: f"LABEL_{i}" for i in range(keys.hf.get("num_labels") or 2)}
    labels = tuple(str(names[i]) for i in sorted(names, key=int))
    return replace(found, labels=labels, problem=keys.hf.get("problem_type"))


def hf_head(c: Config, heads: dict[str, Head]) -> dict:
    """The head as keys of config.json."""
    alike = [name for name, h in heads.items() if h.kind == c.head.kind]
    alike += [name for name, h in heads.items() if h.kind == "none"] if c.head.kind == "embed" else []
    name = next(iter(alike), None)
    if name is None:
        raise CheckpointError(f"a {c.kind} model has no head of the kind {c.head.kind!r}; it has {', '.join(heads)}")
    if not c.head.labels:
        return {"architectures": [name]}
    labels = dict(enumerate(c.head.labels))
    problem = {} if c.head.problem is None else {"problem_type": c.head.problem}
    numbers = {label: i for i, label in labels.items()}
    return {"architectures": [name], "id2label": {str(i): label for i, label in labels.items()}, "label2id": numbers,
            **problem}  # fmt: skip


def ids(keys: Keys) -> dict:
    """The three special ids, as fields of Config."""
    eos = keys("eos_token_id")
    eos = tuple(eos) if isinstance(eos, list) else eos
    return {"bos": keys("bos_token_id"), "eos": eos, "pad": keys("pad_token_id")}


def hf_ids(config) -> dict:
    """The three special ids, as keys of config.json."""
    eos = list(config.eos) if isinstance(config.eos, tuple) else config.eos
    return {"bos_token_id": config.bos, "eos_token_id": eos, "pad_token_id": config.pad}
