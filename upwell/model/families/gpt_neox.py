"""GPT-NeoX (Pythia): attention and feed-forward side by side, LayerNorm, a quarter of each head turns.

Source: Black et al. 2022, arXiv 2204.06745. Queries, keys and values of a head stand together in one matrix.
"""

import torch

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, hf_rotary, ids, pairs, rotary_fields, same

MODEL_TYPES = ("gpt_neox",)
HEADS = {
    "GPTNeoXForCausalLM": Head(), "GPTNeoXModel": Head("none"),
    "GPTNeoXForSequenceClassification": Head("classify", pool="last"),
    "GPTNeoXForTokenClassification": Head("tag", bias=True), "GPTNeoXForQuestionAnswering": Head("span", bias=True),
}  # fmt: skip


def config(keys: Keys) -> Config:
    """From a config.json."""
    width, heads = keys.need("hidden_size"), keys.need("num_attention_heads")
    if width % heads:
        raise CheckpointError(f"config.json: hidden_size {width} is not a multiple of num_attention_heads {heads}")
    old = {"rope_theta": keys("rotary_emb_base", 10000), "partial_rotary_factor": keys("rotary_pct", 0.25)}
    values = old | dict(keys("rope_scaling", {})) | dict(keys("rope_parameters", {}))
    bias = keys("attention_bias", True)
    keys("classifier_dropout")
    return Config(
        family="gpt_neox", kind="gpt_neox", head=head(keys, HEADS), vocab=keys.need("vocab_size"), width=width,
        decoder_layers=keys.need("num_hidden_layers"), heads=heads, kv_heads=heads, head_dim=width // heads,
        ffn_width=keys.need("intermediate_size"), context=keys.need("max_position_embeddings"), positions="rotary",
        **rotary_fields(values, keys("max_position_embeddings")), norm="layer", norm_eps=keys("layer_norm_eps", 1e-5),
        norm_place="parallel" if keys("use_parallel_residual", True) else "before", gated=False,
        activation=ACTIVATIONS[keys.expect("hidden_act", "gelu", *ACTIVATIONS)], qkv_bias=bias, out_bias=bias,
        ffn_bias=True, tied=keys("tie_word_embeddings", False), dropout=keys("hidden_dropout", 0.0),
        attention_dropout=keys("attention_dropout", 0.0), init_std=keys("initializer_range", 0.02), **ids(keys),
    )  # fmt: skip


def to_hf(c: Config) -> dict:
    """To a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    return {
        **hf_head(c, HEADS), "model_type": "gpt_neox", "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads, "intermediate_size": c.ffn_width,
        "max_position_embeddings": c.context, "rotary_emb_base": c.rotary_theta, "rotary_pct": c.rotary_share,
        "rope_parameters": hf_rotary(c) | {"partial_rotary_factor": c.rotary_share}, "hidden_act": activation,
        "layer_norm_eps": c.norm_eps, "use_parallel_residual": c.norm_place == "parallel", "attention_bias": c.qkv_bias,
        "hidden_dropout": c.dropout, "attention_dropout": c.attention_dropout, "tie_word_embeddings": c.tied,
        "initializer_range": c.init_std, **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ours, theirs, both = "decoder.blocks.{i}.", "gpt_neox.layers.{i}.", ("weight", "bias")
    parts = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm", "ffn.up": "mlp.dense_h_to_4h",
             "ffn.down": "mlp.dense_4h_to_h"}  # fmt: skip
    biased = both if c.qkv_bias else both[:1]
    table = pairs(ours, theirs, parts, *both) + pairs(ours, theirs, {"attn.o": "attention.dense"}, *biased)
    table += [by_head([f"{ours}attn.{p}.{kind}" for p in "qkv"], f"{theirs}attention.query_key_value.{kind}", c.heads)
              for kind in biased]  # fmt: skip
    table += pairs("", "gpt_neox.", {"decoder.norm": "final_layer_norm"}, *both)
    table += [same("embed.weight", "gpt_neox.embed_in.weight")]
    own = {"classify": "score", "tag": "classifier", "span": "qa_outputs"}.get(c.head.kind)
    if own:
        return table + pairs("", "", {"head": own}, "weight", *["bias"] * c.head.bias)
    return table + ([same("head.weight", "embed_out.weight")] if c.head.kind == "language" and not c.tied else [])


def by_head(ours: list[str], theirs: str, heads: int) -> Row:
    """Queries, keys and values that they store head by head in one tensor."""

    def read(t: torch.Tensor) -> list[torch.Tensor]:
        parts = t.view(heads, 3, -1, *t.shape[1:])
        return [part.reshape(-1, *t.shape[1:]).contiguous() for part in parts.unbind(1)]

    def write(ts: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([t.view(heads, -1, *t.shape[1:]) for t in ts], 1).flatten(0, 2)

    return Row(tuple(ours), theirs, read, write)
