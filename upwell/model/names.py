"""Two-way rows between our tensor names and Hugging Face's, and the keys and tensors that may be passed over.

A row names one or more of our tensors and one of theirs, with a way there and a way back; a model that loads also
saves. `{i}` in a name stands for the number of the layer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CheckpointError

# Keys of a config.json that say nothing about the numbers that a decoder computes.
HARMLESS_KEYS = frozenset("""
    _name_or_path architectures auto_map dtype torch_dtype transformers_version use_cache model_type pretraining_tp
    initializer_range task_specific_params output_attentions output_hidden_states return_dict chunk_size_feed_forward
    id2label label2id problem_type is_encoder_decoder is_decoder add_cross_attention cross_attention_hidden_size
    tie_encoder_decoder finetuning_task gradient_checkpointing summary_type summary_use_proj summary_activation
    summary_proj_to_labels summary_first_dropout sep_token_id decoder_start_token_id pad_token_id bos_token_id
    eos_token_id tokenizer_class prefix num_labels
""".split())

# Tensors that old files carry although they can be computed.
HARMLESS_TENSORS = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")


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


def expand(rows: list[Row], layers: int) -> list[Row]:
    """Rows with `{i}` once for each layer, the others once."""
    return [r.at(i) for r in rows for i in (range(layers) if "{i}" in r.theirs else range(1))]


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


def rotary_theta(keys: Keys) -> float:
    """theta from the new (rope_parameters) or the old (rope_theta) place; scaled kinds are refused by name."""
    old, new = keys("rope_theta"), dict(keys("rope_parameters", {}))
    scaling = dict(keys("rope_scaling", {}))
    kind = new.get("rope_type") or scaling.get("rope_type") or scaling.get("type") or "default"
    if kind != "default":
        raise CheckpointError(f"config.json: rope_type is {kind!r}; upwell knows 'default' here")
    return float(new.get("rope_theta") or old or 10000.0)


def ids(keys: Keys) -> dict:
    """The three special ids, as fields of Config."""
    eos = keys("eos_token_id")
    eos = tuple(eos) if isinstance(eos, list) else eos
    return {"bos": keys("bos_token_id"), "eos": eos, "pad": keys("pad_token_id")}


def hf_ids(config) -> dict:
    """The three special ids, as keys of config.json."""
    eos = list(config.eos) if isinstance(config.eos, tuple) else config.eos
    return {"bos_token_id": config.bos, "eos_token_id": eos, "pad_token_id": config.pad}
