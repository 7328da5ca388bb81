"""BART, mBART and Marian: an encoder-decoder with LayerNorm, GELU or Swish and biases everywhere.

BART has norms behind each sum, mBART before each part and at the end; Marian's places are sine waves. Source: Lewis et
al. 2020, arXiv 1910.13461; Liu et al. 2020, arXiv 2001.08210; Junczys-Dowmunt et al. 2018, arXiv 1804.00344.
"""

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, ids, pairs, reshaped, same

MODEL_TYPES = ("bart", "mbart", "marian")
HEADS = {
    "bart": {"BartForConditionalGeneration": Head(bias=True), "BartModel": Head("none")},
    "mbart": {"MBartForConditionalGeneration": Head(bias=True), "MBartModel": Head("none")},
    "marian": {"MarianMTModel": Head(bias=True), "MarianModel": Head("none")},
}


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, width, query_heads = keys.need("model_type", str), keys.need("d_model"), keys.need("encoder_attention_heads")
    inner, first = keys.need("encoder_ffn_dim"), kind == "mbart"
    keys.expect("decoder_attention_heads", query_heads, query_heads), keys.expect("decoder_ffn_dim", inner, inner)
    if width % query_heads:
        raise CheckpointError(f"config.json: d_model {width} is not a multiple of its {query_heads} attention heads")
    keys.expect("normalize_before", first, first), keys.expect("add_final_layer_norm", first, first)
    keys.expect("normalize_embedding", kind != "marian", kind != "marian")
    if kind == "marian":
        keys.expect("share_encoder_decoder_embeddings", True, True)
        keys.expect("decoder_vocab_size", keys.need("vocab_size"), keys.need("vocab_size"))
        keys.expect("static_position_embeddings", True, True)
    for key in ("encoder_layerdrop", "decoder_layerdrop", "activation_dropout", "classifier_dropout", "classif_dropout",
                "num_hidden_layers", "max_length", "add_bias_logits", "extra_pos_embeddings"):  # fmt: skip
        keys(key)
    return Config(
        family="bart", kind=kind, head=head(keys, HEADS[kind]), vocab=keys.need("vocab_size"), width=width,
        encoder_layers=keys.need("encoder_layers"), decoder_layers=keys.need("decoder_layers"), heads=query_heads,
        kv_heads=query_heads, head_dim=width // query_heads, ffn_width=inner,
        context=keys.need("max_position_embeddings"), positions="sinusoidal" if kind == "marian" else "learned",
        position_offset=0 if kind == "marian" else 2, embed_norm=kind != "marian",
        embed_scale=width**0.5 if keys("scale_embedding", False) else 1.0, norm="layer", norm_eps=1e-5,
        norm_place="before" if first else "after", last_norm=first, gated=False, qkv_bias=True, out_bias=True,
        activation=ACTIVATIONS[keys.expect("activation_function", "gelu", *ACTIVATIONS)], ffn_bias=True,
        tied=keys("tie_word_embeddings", True), dropout=keys("dropout", 0.1), start=keys("decoder_start_token_id"),
        attention_dropout=keys("attention_dropout", 0.0), init_std=keys("init_std", 0.02), **ids(keys),
    )  # fmt: skip


def to_hf(c: Config) -> dict:
    """To a config.json, with what CTranslate2 wants in it."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    marian = c.kind == "marian"
    own = {"share_encoder_decoder_embeddings": True, "static_position_embeddings": True} if marian else {}
    return {
        **hf_head(c, HEADS[c.kind]), "model_type": c.kind, "vocab_size": c.vocab, "d_model": c.width,
        "encoder_layers": c.encoder_layers, "decoder_layers": c.decoder_layers, "encoder_attention_heads": c.heads,
        "decoder_attention_heads": c.heads, "encoder_ffn_dim": c.ffn_width, "decoder_ffn_dim": c.ffn_width,
        "max_position_embeddings": c.context, "scale_embedding": c.embed_scale != 1.0, "dropout": c.dropout,
        "activation_function": activation, "attention_dropout": c.attention_dropout, "init_std": c.init_std,
        "normalize_before": c.norm_place == "before", "normalize_embedding": c.embed_norm, "is_encoder_decoder": True,
        "tie_word_embeddings": c.tied, "decoder_start_token_id": c.start, **own, **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    both, table = ("weight", "bias"), [same("embed.weight", "model.shared.weight")]
    for side in ("encoder", "decoder"):
        theirs = f"model.{side}."
        names = {f"attn.{p}": f"self_attn.{p}_proj" for p in "qkv"} | {"attn.o": "self_attn.out_proj"}
        names |= {"norm1": "self_attn_layer_norm", "ffn.up": "fc1", "ffn.down": "fc2", "norm2": "final_layer_norm"}
        if side == "decoder":
            names |= {f"cross.{p}": f"encoder_attn.{p}_proj" for p in "qkv"}
            names |= {"cross.o": "encoder_attn.out_proj", "cross_norm": "encoder_attn_layer_norm"}
        table += pairs(side + ".blocks.{i}.", theirs + "layers.{i}.", names, *both)
        table += pairs(f"{side}.", theirs, {"embed_norm": "layernorm_embedding"} if c.embed_norm else {}, *both)
        table += pairs(f"{side}.", theirs, {"norm": "layer_norm"} if c.last_norm else {}, *both)
        table += [same(f"{side}.places.weight", f"{theirs}embed_positions.weight")] if c.positions == "learned" else []
    if c.head.kind != "language":
        return table
    table += [reshaped("head_bias" if c.tied else "head.bias", "final_logits_bias", (1, c.vocab))] * c.head.bias
    return table + ([] if c.tied else [same("head.weight", "lm_head.weight")])
