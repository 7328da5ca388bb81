"""nanochat: rotary positions turned the other way, weightless RMSNorm everywhere, norms on q and k after the rotation,
squared ReLU, a norm after the embedding and capped logits. Few parts, each cheap: the layout of our fast presets.

Source: transformers' NanoChatForCausalLM.
"""

from ..config import Config, Head
from ..names import Keys, Row, head, hf_head, hf_ids, hf_rotary, ids, pairs, rotary, same

MODEL_TYPES = ("nanochat",)
HEADS = {"NanoChatForCausalLM": Head(), "NanoChatModel": Head("none")}


def config(keys: Keys) -> Config:
    """From a config.json."""
    width, heads = keys.need("hidden_size"), keys.need("num_attention_heads")
    bias = keys("attention_bias", False)
    keys.expect("hidden_act", "relu2", "relu2")
    cap = keys("final_logit_softcapping", None if "final_logit_softcapping" in keys.hf else 15.0)
    return Config(
        family="nanochat", kind="nanochat", head=head(keys, HEADS), vocab=keys.need("vocab_size"), width=width,
        decoder_layers=keys.need("num_hidden_layers"), heads=heads, kv_heads=keys("num_key_value_heads", heads),
        head_dim=keys("head_dim", width // heads), ffn_width=keys.need("intermediate_size"),
        context=keys.need("max_position_embeddings"), positions="rotary", **rotary(keys),
        rotary_sign=-1, norm_weight=False, norm_eps=keys("rms_norm_eps", 1e-6), embed_norm=True, qk_norm="after",
        activation="relu2", gated=False, qkv_bias=bias, out_bias=bias, tied=keys("tie_word_embeddings", False),
        logit_cap=cap, attention_dropout=keys("attention_dropout", 0.0), init_std=keys("initializer_range", 0.02),
        **ids(keys),
    )


def to_hf(c: Config) -> dict:
    """To a config.json."""
    return {
        **hf_head(c, HEADS), "model_type": "nanochat", "vocab_size": c.vocab,
        "hidden_size": c.width, "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "intermediate_size": c.ffn_width,
        "max_position_embeddings": c.context, "hidden_act": "relu2", "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rotary_theta, "rope_parameters": hf_rotary(c),
        "attention_bias": c.qkv_bias, "attention_dropout": c.attention_dropout,
        "final_logit_softcapping": c.logit_cap, "tie_word_embeddings": c.tied, "initializer_range": c.init_std,
        **hf_ids(c),
    }


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    attn = {f"attn.{p}": f"self_attn.{p}_proj" for p in "qkvo"}
    ffn = {"ffn.up": "mlp.fc1", "ffn.down": "mlp.fc2"}
    table = pairs(ours, theirs, attn | ffn, "weight") + pairs(ours, theirs, attn if c.qkv_bias else {}, "bias")
    table += [same("embed.weight", "model.embed_tokens.weight")]
    return table + ([same("head.weight", "lm_head.weight")] if c.head.kind == "language" and not c.tied else [])
