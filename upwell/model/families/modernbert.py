"""ModernBERT: an encoder with rotary positions, gated GELU, norms before each part, windows in two of three blocks.

Source: Warner et al. 2024, arXiv 2412.13663.
"""

from dataclasses import replace

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import (
    ACTIVATIONS,
    Keys,
    Row,
    head,
    hf_head,
    hf_ids,
    hf_rotary,
    ids,
    pairs,
    rotary_fields,
    same,
    stacked,
)  # fmt: skip

MODEL_TYPES = ("modernbert",)
TOP = {"dense": True, "dense_bias": False, "activation": "gelu", "norm": True, "bias": True}
HEADS = {
    "ModernBertModel": Head("none"), "ModernBertForMaskedLM": Head("masked", **TOP),
    "ModernBertForSequenceClassification": Head("classify", pool="first", **TOP),
    "ModernBertForTokenClassification": Head("tag", **TOP), "ModernBertForQuestionAnswering": Head("span", **TOP),
}  # fmt: skip
POOLS = {"cls": "first", "mean": "mean"}


def config(keys: Keys) -> Config:
    """From a config.json."""
    width, heads, layers = (keys.need(k) for k in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    if width % heads:
        raise CheckpointError(f"config.json: hidden_size {width} is not a multiple of num_attention_heads {heads}")
    for key in ("embedding_dropout", "mlp_dropout", "classifier_dropout"):
        keys.expect(key, 0.0, 0.0)
    for key in ("cls_token_id", "initializer_cutoff_factor", "deterministic_flash_attn", "sparse_prediction",
                "sparse_pred_ignore_index", "reference_compile", "repad_logits_with_grad"):  # fmt: skip
        keys(key)
    every = keys("global_attn_every_n_layers", 3)
    types = keys("layer_types", ["sliding_attention" if i % every else "full_attention" for i in range(layers)])
    both = keys("rope_parameters", {})
    wide = {"rope_theta": keys("global_rope_theta", 160000.0)} | dict(both.get("full_attention", {}))
    near = {"rope_theta": keys("local_rope_theta", 10000.0)} | dict(both.get("sliding_attention", {}))
    bias = keys("attention_bias", False)
    return Config(
        family="modernbert", kind="modernbert", head=top(keys), vocab=keys.need("vocab_size"), width=width,
        encoder_layers=layers, heads=heads, kv_heads=heads, head_dim=width // heads,
        ffn_width=keys.need("intermediate_size"), context=keys.need("max_position_embeddings"), positions="rotary",
        **rotary_fields(wide, keys("max_position_embeddings")), window_theta=float(near["rope_theta"]),
        window=keys("local_attention", 128) // 2,
        window_layers=tuple(i for i, name in enumerate(types) if name == "sliding_attention"),
        embed_norm=True, first_norm=False, norm="layer", norm_bias=keys("norm_bias", False),
        norm_eps=keys("norm_eps", 1e-5), qkv_bias=bias, out_bias=bias, ffn_bias=keys("mlp_bias", False),
        activation=ACTIVATIONS[keys.expect("hidden_activation", "gelu", *ACTIVATIONS)],
        tied=keys("tie_word_embeddings", True), attention_dropout=keys("attention_dropout", 0.0),
        init_std=keys("initializer_range", 0.02), **ids(keys),
    )  # fmt: skip


def top(keys: Keys) -> Head:
    """The head, whose build the config may vary."""
    found, pool = head(keys, HEADS), POOLS[keys.expect("classifier_pooling", "cls", *POOLS)]
    activation = ACTIVATIONS[keys.expect("classifier_activation", "gelu", *ACTIVATIONS)]
    own, bias = {"dense_bias": keys("classifier_bias", False), "activation": activation}, keys("decoder_bias", True)
    if found.kind == "none":
        return found
    if found.kind == "masked":
        return replace(found, **own, bias=bias)
    return replace(found, **own, pool=pool if found.kind == "classify" else "none")


def to_hf(c: Config) -> dict:
    """To a config.json."""
    names = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
    types = ["sliding_attention" if i in c.window_layers else "full_attention" for i in range(c.encoder_layers)]
    near = {"rope_type": "default", "rope_theta": c.window_theta}
    return {
        **hf_head(c, HEADS), "model_type": "modernbert", "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.encoder_layers, "num_attention_heads": c.heads, "intermediate_size": c.ffn_width,
        "max_position_embeddings": c.context, "hidden_activation": names[c.activation], "norm_eps": c.norm_eps,
        "rope_parameters": {"full_attention": hf_rotary(c), "sliding_attention": near}, "layer_types": types,
        "norm_bias": c.norm_bias, "attention_bias": c.qkv_bias, "mlp_bias": c.ffn_bias,
        "attention_dropout": c.attention_dropout, "local_attention": 2 * c.window,
        "decoder_bias": c.head.bias if c.head.kind == "masked" else True,
        "classifier_bias": c.head.dense_bias if c.head.dense else False,
        "classifier_activation": names[c.head.activation or "gelu"],
        "classifier_pooling": "mean" if c.head.pool == "mean" else "cls",
        "tie_word_embeddings": c.tied, "initializer_range": c.init_std, **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    normed = ("weight", "bias") if c.norm_bias else ("weight",)
    table = [same("embed.weight", "model.embeddings.tok_embeddings.weight")]
    table += pairs("encoder.", "model.", {"embed_norm": "embeddings.norm", "norm": "final_norm"}, *normed)
    for i in range(c.encoder_layers):
        ours, theirs = f"encoder.blocks.{i}.", f"model.layers.{i}."
        table += pairs(ours, theirs, ({"norm1": "attn_norm"} if i else {}) | {"norm2": "mlp_norm"}, *normed)
        for kind in ("weight", "bias") if c.qkv_bias else ("weight",):
            table += [stacked([f"{ours}attn.{p}.{kind}" for p in "qkv"], f"{theirs}attn.Wqkv.{kind}", transpose=False)]
            table += pairs(ours, theirs, {"attn.o": "attn.Wo"}, kind)
        for kind in ("weight", "bias") if c.ffn_bias else ("weight",):
            table += [stacked([f"{ours}ffn.gate.{kind}", f"{ours}ffn.up.{kind}"], f"{theirs}mlp.Wi.{kind}", False)]
            table += pairs(ours, theirs, {"ffn.down": "mlp.Wo"}, kind)
    return table + (head_rows(c, normed) if c.head.dense else [])


def head_rows(c: Config, normed: tuple[str, ...]) -> list[Row]:
    """What stands behind the last block."""
    table = pairs("", "", {"top.dense": "head.dense"}, "weight", *["bias"] * c.head.dense_bias)
    table += pairs("", "", {"top.norm": "head.norm"}, *normed)
    both = ("weight", "bias") if c.head.bias else ("weight",)
    if c.head.kind != "masked":
        return table + pairs("", "", {"head": "classifier"}, *both)
    own = [same("head_bias", "decoder.bias")] if c.head.bias else []
    return table + (own if c.tied else pairs("", "", {"head": "decoder"}, *both))
