"""LLaMA and Qwen3: rotary positions, RMSNorm, gated SiLU. Qwen3 adds norms over each head of queries and keys.

Source: Touvron et al. 2023, arXiv 2302.13971; Qwen team 2025, arXiv 2505.09388.
"""

from ..config import Config
from ..names import Keys, Row, hf_ids, ids, rotary_theta, same

MODEL_TYPES = ("llama", "qwen3")
CLASSES = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, width, heads = keys.need("model_type", str), keys.need("hidden_size"), keys.need("num_attention_heads")
    bias = keys("attention_bias", False)
    keys.expect("hidden_act", "silu", "silu")
    keys.expect("use_sliding_window", False, False)
    layers = keys.need("num_hidden_layers")
    keys.expect("layer_types", ["full_attention"] * layers, ["full_attention"] * layers)
    keys("sliding_window"), keys("max_window_layers")
    return Config(
        family="llama", kind=kind, vocab=keys.need("vocab_size"), width=width,
        decoder_layers=layers, heads=heads, kv_heads=keys("num_key_value_heads", heads),
        head_dim=keys("head_dim", 128 if kind == "qwen3" else width // heads), ffn_width=keys.need("intermediate_size"),
        context=keys.need("max_position_embeddings"), positions="rotary", rotary_theta=rotary_theta(keys),
        norm_eps=keys("rms_norm_eps", 1e-6), qk_norm="before" if kind == "qwen3" else "none",
        qkv_bias=bias, out_bias=bias, ffn_bias=keys("mlp_bias", False), tied=keys("tie_word_embeddings", False),
        attention_dropout=keys("attention_dropout", 0.0), init_std=keys("initializer_range", 0.02), **ids(keys),
    )


def to_hf(c: Config) -> dict:
    """To a config.json."""
    only_llama = {"mlp_bias": c.ffn_bias} if c.kind == "llama" else {}
    return {
        "architectures": [CLASSES[c.kind]], "model_type": c.kind, "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim, "intermediate_size": c.ffn_width, "max_position_embeddings": c.context,
        "rope_theta": c.rotary_theta, "rope_parameters": {"rope_type": "default", "rope_theta": c.rotary_theta},
        "hidden_act": "silu", "rms_norm_eps": c.norm_eps, "attention_bias": c.qkv_bias, **only_llama,
        "attention_dropout": c.attention_dropout, "tie_word_embeddings": c.tied, "initializer_range": c.init_std,
        **hf_ids(c),
    }


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    qkv = [(f"attn.{p}", f"self_attn.{p}_proj") for p in "qkv"]
    ffn = [("ffn.gate", "mlp.gate_proj"), ("ffn.up", "mlp.up_proj"), ("ffn.down", "mlp.down_proj")]
    out = [("attn.o", "self_attn.o_proj")]
    norms = [("norm1", "input_layernorm"), ("norm2", "post_attention_layernorm")]
    norms += [("attn.q_norm", "self_attn.q_norm"), ("attn.k_norm", "self_attn.k_norm")] if c.qk_norm != "none" else []
    table = [same(ours + a + ".weight", theirs + b + ".weight") for a, b in qkv + out + ffn + norms]
    biased = qkv * c.qkv_bias + out * c.out_bias + ffn * c.ffn_bias
    table += [same(ours + a + ".bias", theirs + b + ".bias") for a, b in biased]
    table += [same("embed.weight", "model.embed_tokens.weight"), same("decoder.norm.weight", "model.norm.weight")]
    return table + ([] if c.tied else [same("head.weight", "lm_head.weight")])
