"""GPT-2: learned positions, LayerNorm, GELU, biases everywhere, output tied to the embedding.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". Matrices are stored as (in, out).
"""

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import Keys, Row, head, hf_head, hf_ids, ids, pairs, same, stacked, transposed

MODEL_TYPES = ("gpt2",)
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu"}
HEADS = {
    "GPT2LMHeadModel": Head(), "GPT2Model": Head("none"), "GPT2ForTokenClassification": Head("tag", bias=True),
    "GPT2ForSequenceClassification": Head("classify", pool="last"),
}  # fmt: skip


def config(keys: Keys) -> Config:
    """From a config.json."""
    width, heads = keys.need("n_embd"), keys.need("n_head")
    if width % heads:
        raise CheckpointError(f"config.json: n_embd {width} is not a multiple of n_head {heads}")
    dropouts = {keys("embd_pdrop", 0.1), keys("resid_pdrop", 0.1)}
    if len(dropouts) > 1:
        raise CheckpointError("config.json: embd_pdrop and resid_pdrop differ; upwell has one dropout for both")
    keys.expect("scale_attn_weights", True, True)
    keys.expect("scale_attn_by_inverse_layer_idx", False, False)
    keys("n_ctx"), keys("reorder_and_upcast_attn")
    return Config(
        family="gpt2", kind="gpt2", head=head(keys, HEADS),
        vocab=keys.need("vocab_size"), width=width, decoder_layers=keys.need("n_layer"),
        heads=heads, kv_heads=heads, head_dim=width // heads, ffn_width=keys("n_inner", 4 * width),
        context=keys.need("n_positions"), positions="learned", norm="layer",
        norm_eps=keys("layer_norm_epsilon", 1e-5), gated=False, qkv_bias=True, out_bias=True, ffn_bias=True,
        activation=ACTIVATIONS[keys.expect("activation_function", "gelu_new", *ACTIVATIONS)],
        tied=keys("tie_word_embeddings", True), dropout=dropouts.pop(), attention_dropout=keys("attn_pdrop", 0.1),
        init_std=keys("initializer_range", 0.02), **ids(keys),
    )


def to_hf(c: Config) -> dict:
    """To a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    return {
        **hf_head(c, HEADS), "model_type": "gpt2", "vocab_size": c.vocab, "n_embd": c.width,
        "n_layer": c.decoder_layers, "n_head": c.heads, "n_inner": c.ffn_width, "n_positions": c.context,
        "layer_norm_epsilon": c.norm_eps, "activation_function": activation, "tie_word_embeddings": c.tied,
        "embd_pdrop": c.dropout, "resid_pdrop": c.dropout, "attn_pdrop": c.attention_dropout,
        "initializer_range": c.init_std, **hf_ids(c),
    }


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    ours, theirs = "decoder.blocks.{i}.", "transformer.h.{i}."
    table = [same("embed.weight", "transformer.wte.weight"), same("decoder.places.weight", "transformer.wpe.weight")]
    for kind, matrix in (("weight", True), ("bias", False)):
        row = transposed if matrix else same
        table += [
            same(f"{ours}norm1.{kind}", f"{theirs}ln_1.{kind}"),
            stacked([f"{ours}attn.{p}.{kind}" for p in "qkv"], f"{theirs}attn.c_attn.{kind}", transpose=matrix),
            row(f"{ours}attn.o.{kind}", f"{theirs}attn.c_proj.{kind}"),
            same(f"{ours}norm2.{kind}", f"{theirs}ln_2.{kind}"),
            row(f"{ours}ffn.up.{kind}", f"{theirs}mlp.c_fc.{kind}"),
            row(f"{ours}ffn.down.{kind}", f"{theirs}mlp.c_proj.{kind}"),
            same(f"decoder.norm.{kind}", f"transformer.ln_f.{kind}"),
        ]
    if c.head.kind in ("classify", "tag"):
        own = {"head": "score" if c.head.kind == "classify" else "classifier"}
        return table + pairs("", "", own, "weight", *["bias"] * c.head.bias)
    return table + ([same("head.weight", "lm_head.weight")] if c.head.kind == "language" and not c.tied else [])
