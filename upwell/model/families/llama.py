"""LLaMA, Mistral, Qwen 2 and 3, SmolLM: rotary positions, RMSNorm, gated SiLU.

Qwen2 has biases of queries, keys and values, Qwen3 norms over each head of queries and keys, Mistral and Qwen2 may see
through a window. Source: Touvron et al. 2023, arXiv 2302.13971; Jiang et al. 2023, arXiv 2310.06825; Qwen team 2024 and
2025, arXiv 2407.10671 and 2505.09388.
"""

from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, hf_rotary, ids, pairs, rotary, same

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
NAMES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}


def heads(name: str) -> dict[str, Head]:
    """The heads of transformers' decoders whose classes begin with `name`."""
    return {
        f"{name}ForCausalLM": Head(), f"{name}Model": Head("none"),
        f"{name}ForSequenceClassification": Head("classify", pool="last"),
        f"{name}ForTokenClassification": Head("tag", bias=True),
    }  # fmt: skip


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind = keys.need("model_type", str)
    bias = kind == "qwen2" or keys("attention_bias", False)
    return Config(
        **shape(keys, 128 if kind == "qwen3" else None), family="llama", kind=kind,
        head=head(keys, heads(NAMES[kind])), qk_norm="before" if kind == "qwen3" else "none", **window(keys, kind),
        qkv_bias=bias, out_bias=bias and kind != "qwen2", ffn_bias=kind == "llama" and keys("mlp_bias", False),
    )


def shape(keys: Keys, head_dim: int | None = None) -> dict:
    """The fields of Config that all decoders of this build share."""
    width, heads = keys.need("hidden_size"), keys.need("num_attention_heads")
    activation = keys.expect("hidden_act", "silu", *ACTIVATIONS)
    return {
        "vocab": keys.need("vocab_size"), "width": width, "decoder_layers": keys.need("num_hidden_layers"),
        "heads": heads, "kv_heads": keys("num_key_value_heads", heads),
        "head_dim": keys("head_dim", head_dim or width // heads), "ffn_width": keys.need("intermediate_size"),
        "context": keys.need("max_position_embeddings"), "positions": "rotary", **rotary(keys),
        "norm_eps": keys("rms_norm_eps", 1e-6), "activation": ACTIVATIONS[activation],
        "tied": keys("tie_word_embeddings", False), "attention_dropout": keys("attention_dropout", 0.0),
        "init_std": keys("initializer_range", 0.02), **ids(keys),
    }  # fmt: skip


def window(keys: Keys, kind: str) -> dict:
    """Which blocks are windowed."""
    layers = keys.need("num_hidden_layers")
    if kind == "mistral":
        size, first = keys("sliding_window", None if "sliding_window" in keys.hf else 4096), 0
    else:
        size, first = keys("sliding_window", 4096), keys("max_window_layers", 28)
        size = size if keys("use_sliding_window", False) else None
    usual = ["sliding_attention" if size and i >= first else "full_attention" for i in range(layers)]
    types = keys("layer_types", usual)
    windowed = tuple(i for i, name in enumerate(types) if name == "sliding_attention")
    return {"window": size, "window_layers": windowed} if windowed else {}


def to_hf(c: Config) -> dict:
    """To a config.json."""
    own = {"mlp_bias": c.ffn_bias} if c.kind == "llama" else {}
    own |= {} if c.kind in ("mistral", "qwen2") else {"attention_bias": c.qkv_bias}
    return hf_shape(c, heads(NAMES[c.kind])) | own | hf_window(c)


def hf_shape(c: Config, heads: dict[str, Head]) -> dict:
    """`shape` as keys of a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    return {
        **hf_head(c, heads), "model_type": c.kind, "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim, "intermediate_size": c.ffn_width, "max_position_embeddings": c.context,
        "rope_theta": c.rotary_theta, "rope_parameters": hf_rotary(c), "hidden_act": activation,
        "rms_norm_eps": c.norm_eps, "attention_dropout": c.attention_dropout, "tie_word_embeddings": c.tied,
        "initializer_range": c.init_std, **hf_ids(c),
    }  # fmt: skip


def hf_window(c: Config) -> dict:
    """`window` as keys of a config.json."""
    if c.kind == "llama":
        return {}
    if c.kind == "mistral":
        return {"sliding_window": c.window}
    types = ["sliding_attention" if i in c.window_layers else "full_attention" for i in range(c.decoder_layers)]
    first = min(c.window_layers, default=c.decoder_layers)
    return {"use_sliding_window": bool(c.window_layers), "sliding_window": c.window, "max_window_layers": first,
            "layer_types": types}  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ffn = {"ffn.gate": "mlp.gate_proj", "ffn.up": "mlp.up_proj", "ffn.down": "mlp.down_proj"}
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    return attention_rows(c) + pairs(ours, theirs, ffn, "weight", *["bias"] * c.ffn_bias)


def attention_rows(c: Config) -> list[Row]:
    """All but the feed-forwards."""
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    qkv, out = {f"attn.{p}": f"self_attn.{p}_proj" for p in "qkv"}, {"attn.o": "self_attn.o_proj"}
    norms = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
    qk = {"attn.q_norm": "self_attn.q_norm", "attn.k_norm": "self_attn.k_norm"} if c.qk_norm != "none" else {}
    table = pairs(ours, theirs, qkv | out | norms | qk, "weight")
    table += pairs(ours, theirs, (qkv if c.qkv_bias else {}) | (out if c.out_bias else {}), "bias")
    table += [same("embed.weight", "model.embed_tokens.weight"), same("decoder.norm.weight", "model.norm.weight")]
    return table + head_rows(c)


def head_rows(c: Config) -> list[Row]:
    """The output matrix."""
    if c.head.kind in ("classify", "tag"):
        return pairs("", "", {"head": "score"}, "weight", *["bias"] * c.head.bias)
    return [same("head.weight", "lm_head.weight")] if c.head.kind == "language" and not c.tied else []
