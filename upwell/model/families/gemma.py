"""Gemma 2 and 3 (text): RMSNorms of 1 + w before and behind each part, scaled embeddings, windows in most blocks.

Gemma 2 caps scores and logits, Gemma 3 has norms over each head and a shorter wavelength in windowed blocks.
Source: Gemma team 2024 and 2025, arXiv 2408.00118 and 2503.19786.
"""

from ..config import Config
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, hf_rotary, ids, pairs, rotary, rotary_fields
from .llama import attention_rows, heads

MODEL_TYPES = ("gemma2", "gemma3_text")
HEADS = {
    "gemma2": heads("Gemma2"),
    "gemma3_text": {
        name.replace("Gemma3Model", "Gemma3TextModel").replace("Gemma3ForSeq", "Gemma3TextForSeq"): h
        for name, h in heads("Gemma3").items() if h.kind != "tag"
    },
}  # fmt: skip


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, width, query_heads = keys.need("model_type", str), keys.need("hidden_size"), keys.need("num_attention_heads")
    layers, bias = keys.need("num_hidden_layers"), keys("attention_bias", False)
    every = keys("sliding_window_pattern", keys("_sliding_window_pattern", 2 if kind == "gemma2" else 6))
    usual = ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(layers)]
    types = keys("layer_types", usual)
    keys.expect("use_bidirectional_attention", False, False)
    caps = (50.0, 30.0) if kind == "gemma2" else (None, None)
    score_cap, logit_cap = (
        keys(name, None if name in keys.hf else cap)
        for name, cap in zip(("attn_logit_softcapping", "final_logit_softcapping"), caps, strict=True)
    )
    return Config(
        family="gemma", kind=kind, head=head(keys, HEADS[kind]), vocab=keys.need("vocab_size"), width=width,
        decoder_layers=layers, heads=query_heads, kv_heads=keys("num_key_value_heads", query_heads),
        head_dim=keys("head_dim", 256), ffn_width=keys.need("intermediate_size"),
        context=keys.need("max_position_embeddings"), positions="rotary", **turning(keys, kind),
        embed_scale=width**0.5, norm_offset=1.0, norm_place="both", norm_eps=keys("rms_norm_eps", 1e-6),
        qk_norm="before" if kind == "gemma3_text" else "none", attention_cap=score_cap, logit_cap=logit_cap,
        attention_scale=keys("query_pre_attn_scalar", 256) ** -0.5, window=keys("sliding_window", 4096),
        window_layers=tuple(i for i, name in enumerate(types) if name == "sliding_attention"),
        activation=ACTIVATIONS[keys.expect("hidden_activation", "gelu_pytorch_tanh", *ACTIVATIONS)],
        qkv_bias=bias, out_bias=bias, tied=keys("tie_word_embeddings", True), init_std=keys("initializer_range", 0.02),
        attention_dropout=keys("attention_dropout", 0.0), **ids(keys),
    )  # fmt: skip


def turning(keys: Keys, kind: str) -> dict:
    """The rotary fields: Gemma 3 has one set for windowed blocks and one for the others."""
    if kind == "gemma2":
        return rotary(keys)
    theta, local, both = keys("rope_theta", 1e6), keys("rope_local_base_freq", 1e4), keys("rope_parameters", {})
    wide = {"rope_theta": theta} | dict(keys("rope_scaling", {})) | dict(both.get("full_attention", {}))
    near = {"rope_theta": local} | dict(both.get("sliding_attention", {}))
    return rotary_fields(wide, keys("max_position_embeddings")) | {"window_theta": float(near["rope_theta"])}


def to_hf(c: Config) -> dict:
    """To a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    activation = "gelu_pytorch_tanh" if c.activation == "gelu_tanh" else activation
    near = {"rope_type": "default", "rope_theta": c.window_theta}
    both = {"full_attention": hf_rotary(c), "sliding_attention": near}
    types = ["sliding_attention" if i in c.window_layers else "full_attention" for i in range(c.decoder_layers)]
    return {
        **hf_head(c, HEADS[c.kind]), "model_type": c.kind, "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim, "intermediate_size": c.ffn_width, "max_position_embeddings": c.context,
        "rope_parameters": hf_rotary(c) if c.kind == "gemma2" else both, "hidden_activation": activation,
        "rms_norm_eps": c.norm_eps, "query_pre_attn_scalar": scalar(c.attention_scale),
        "attn_logit_softcapping": c.attention_cap, "final_logit_softcapping": c.logit_cap, "layer_types": types,
        "sliding_window": c.window, "attention_bias": c.qkv_bias, "attention_dropout": c.attention_dropout,
        "tie_word_embeddings": c.tied, "initializer_range": c.init_std, **hf_ids(c),
    }  # fmt: skip


def scalar(scale: float) -> int | float:
    """The number whose inverse root is `scale`."""
    found = scale**-2
    return round(found) if abs(found - round(found)) < 1e-6 else found


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    more = {
        "norm2": "pre_feedforward_layernorm", "attn_norm": "post_attention_layernorm",
        "ffn_norm": "post_feedforward_layernorm", "ffn.gate": "mlp.gate_proj", "ffn.up": "mlp.up_proj",
        "ffn.down": "mlp.down_proj",
    }  # fmt: skip
    shared = [row for row in attention_rows(c) if row.ours != (ours + "norm2.weight",)]
    return shared + pairs(ours, theirs, more, "weight")
