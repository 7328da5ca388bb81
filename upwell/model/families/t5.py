"""T5 (1.0, 1.1, Flan) and mT5: relative positions as a bias on the scores, RMSNorm, no biases, scores not scaled.

Source: Raffel et al. 2020, arXiv 1910.10683; Xue et al. 2021, arXiv 2010.11934. Version 1.0 scales what the shared
output matrix reads, which config.json tells by tie_word_embeddings; 1.1 has an output matrix of its own.
"""

from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, ids, pairs, same

MODEL_TYPES = ("t5", "mt5")


def heads(kind: str) -> dict[str, Head]:
    """The heads of transformers' classes of this kind."""
    name = kind.upper()
    none = Head("none")
    return {f"{name}ForConditionalGeneration": Head(), f"{name}Model": none, f"{name}EncoderModel": none}


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, layers, width = keys.need("model_type", str), keys.need("num_layers"), keys.need("d_model")
    gate, _, curve = keys("feed_forward_proj", "relu").rpartition("-")
    for key in ("dense_act_fn", "is_gated_act", "initializer_factor", "classifier_dropout", "output_past"):
        keys(key)
    only = "EncoderModel" in (keys.hf.get("architectures") or [""])[0]
    tied = keys("tie_word_embeddings", True)
    return Config(
        family="t5", kind=kind, head=head(keys, heads(kind)), vocab=keys.need("vocab_size"), width=width,
        encoder_layers=layers, decoder_layers=0 if only else keys("num_decoder_layers", layers),
        heads=keys.need("num_heads"), kv_heads=keys.need("num_heads"), head_dim=keys.need("d_kv"),
        ffn_width=keys.need("d_ff"), context=keys("n_positions", 512), positions="relative",
        buckets=keys("relative_attention_num_buckets", 32),
        bucket_distance=keys("relative_attention_max_distance", 128),
        norm_eps=keys("layer_norm_epsilon", 1e-6), attention_scale=1.0, gated=gate == "gated",
        activation="gelu_tanh" if (gate, curve) == ("gated", "gelu") else ACTIVATIONS[curve], tied=True,
        logit_scale=width**-0.5 if keys("scale_decoder_outputs", tied) and kind == "t5" else 1.0,
        dropout=keys("dropout_rate", 0.1),
        attention_dropout=keys("dropout_rate", 0.1), start=keys("decoder_start_token_id", 0), **ids(keys),
    )  # fmt: skip


def to_hf(c: Config) -> dict:
    """To a config.json."""
    curve = "gelu" if c.gated and c.activation == "gelu_tanh" else c.activation.replace("gelu_tanh", "gelu_new")
    name = hf_head(c, heads(c.kind))
    if not c.decoder_layers:
        name = {"architectures": [next(name for name in heads(c.kind) if name.endswith("EncoderModel"))]}
    return {
        **name, "model_type": c.kind, "vocab_size": c.vocab, "d_model": c.width, "d_kv": c.head_dim,
        "d_ff": c.ffn_width, "num_layers": c.encoder_layers, "num_decoder_layers": c.decoder_layers or c.encoder_layers,
        "num_heads": c.heads, "relative_attention_num_buckets": c.buckets, "n_positions": c.context,
        "relative_attention_max_distance": c.bucket_distance, "feed_forward_proj": "gated-" * c.gated + curve,
        "layer_norm_epsilon": c.norm_eps, "dropout_rate": c.dropout, "is_encoder_decoder": bool(c.decoder_layers),
        "tie_word_embeddings": c.logit_scale != 1.0, "decoder_start_token_id": c.start, **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    table = [same("embed.weight", "shared.weight")]
    for side, last in (("encoder", 1), ("decoder", 2)):
        if side == "decoder" and not c.decoder_layers:
            continue
        theirs, ffn = side + ".block.{i}.layer.", f"{last}.DenseReluDense."
        names = {f"attn.{p}": f"0.SelfAttention.{p}" for p in "qkvo"} | {"norm1": "0.layer_norm"}
        names |= {"norm2": f"{last}.layer_norm", "ffn.down": f"{ffn}wo"}
        names |= {"ffn.gate": f"{ffn}wi_0", "ffn.up": f"{ffn}wi_1"} if c.gated else {"ffn.up": f"{ffn}wi"}
        if side == "decoder":
            names |= {f"cross.{p}": f"1.EncDecAttention.{p}" for p in "qkvo"} | {"cross_norm": "1.layer_norm"}
        table += pairs(side + ".blocks.{i}.", theirs, names, "weight")
        table += pairs(f"{side}.", f"{side}.", {"norm": "final_layer_norm"}, "weight")
        table += [same(f"{side}.bias.weight", f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")]
    return table + ([same("head.weight", "lm_head.weight")] if c.head.kind == "language" and not c.tied else [])
