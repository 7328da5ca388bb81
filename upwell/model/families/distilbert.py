"""DistilBERT: BERT's blocks, half as many, without kinds of sentences.

Source: Sanh et al. 2019, arXiv 1910.01108.
"""

from dataclasses import replace

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, ids, pairs, same

MODEL_TYPES = ("distilbert",)
HEADS = {
    "DistilBertModel": Head("none"),
    "DistilBertForMaskedLM": Head("masked", dense=True, activation="gelu", norm=True, bias=True),
    "DistilBertForSequenceClassification": Head("classify", pool="first", dense=True, activation="relu", bias=True),
    "DistilBertForTokenClassification": Head("tag", bias=True),
    "DistilBertForQuestionAnswering": Head("span", bias=True),
}


def config(keys: Keys) -> Config:
    """From a config.json."""
    width, heads = keys.need("dim"), keys.need("n_heads")
    if width % heads:
        raise CheckpointError(f"config.json: dim {width} is not a multiple of n_heads {heads}")
    keys("sinusoidal_pos_embds"), keys("seq_classif_dropout"), keys("qa_dropout")
    activation = ACTIVATIONS[keys.expect("activation", "gelu", *ACTIVATIONS)]
    top, special = head(keys, HEADS), ids(keys)
    top = replace(top, activation=activation) if top.kind == "masked" else top
    special["pad"] = keys("pad_token_id", 0)
    return Config(
        family="distilbert", kind="distilbert", head=top, vocab=keys.need("vocab_size"), width=width,
        encoder_layers=keys.need("n_layers"), heads=heads, kv_heads=heads, head_dim=width // heads,
        ffn_width=keys.need("hidden_dim"), context=keys.need("max_position_embeddings"), positions="learned",
        embed_norm=True, norm="layer", norm_place="after", last_norm=False, norm_eps=1e-12, activation=activation,
        gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, tied=keys("tie_word_embeddings", True),
        dropout=keys("dropout", 0.1), attention_dropout=keys("attention_dropout", 0.1),
        init_std=keys("initializer_range", 0.02), **special,
    )  # fmt: skip


def to_hf(c: Config) -> dict:
    """To a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    return {
        **hf_head(c, HEADS), "model_type": "distilbert", "vocab_size": c.vocab, "dim": c.width,
        "n_layers": c.encoder_layers, "n_heads": c.heads, "hidden_dim": c.ffn_width,
        "max_position_embeddings": c.context, "activation": activation, "dropout": c.dropout,
        "attention_dropout": c.attention_dropout, "tie_word_embeddings": c.tied, "initializer_range": c.init_std,
        **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    both, base = ("weight", "bias"), "distilbert."
    blocks = {f"attn.{p}": f"attention.{p}_lin" for p in "qkv"}
    blocks |= {"attn.o": "attention.out_lin", "norm1": "sa_layer_norm", "ffn.up": "ffn.lin1", "ffn.down": "ffn.lin2",
               "norm2": "output_layer_norm"}  # fmt: skip
    table = [
        same("embed.weight", f"{base}embeddings.word_embeddings.weight"),
        same("encoder.places.weight", f"{base}embeddings.position_embeddings.weight"),
        *pairs("encoder.", f"{base}embeddings.", {"embed_norm": "LayerNorm"}, *both),
        *pairs("encoder.blocks.{i}.", base + "transformer.layer.{i}.", blocks, *both),
    ]
    if c.head.kind == "masked":
        table += pairs("", "", {"top.dense": "vocab_transform", "top.norm": "vocab_layer_norm"}, *both)
        own = [same("head_bias", "vocab_projector.bias")]
        return table + (own if c.tied else pairs("", "", {"head": "vocab_projector"}, *both))
    own = {"classify": {"top.dense": "pre_classifier", "head": "classifier"}, "tag": {"head": "classifier"},
           "span": {"head": "qa_outputs"}}  # fmt: skip
    return table + pairs("", "", own.get(c.head.kind, {}), *both)
