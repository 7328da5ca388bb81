"""BERT, RoBERTa and XLM-RoBERTa: blocks that see both ways, norms behind each sum, learned positions.

RoBERTa counts places from behind its padding id and has no kinds of sentences to speak of. Source: Devlin et al. 2019,
arXiv 1810.04805; Liu et al. 2019, arXiv 1907.11692; Conneau et al. 2020, arXiv 1911.02116.
"""

from dataclasses import replace

from ...errors import CheckpointError
from ..config import Config, Head
from ..names import ACTIVATIONS, Keys, Row, head, hf_head, hf_ids, ids, pairs, same

MODEL_TYPES = ("bert", "roberta", "xlm-roberta")
PREFIX = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta"}


def heads(name: str) -> dict[str, Head]:
    """The heads of transformers' classes that begin with `name`."""
    words = Head("masked", dense=True, activation="gelu", norm=True, bias=True)
    both = {f"{name}ForPreTraining": replace(words, kind="pretrain")} if name == "Bert" else {}
    return {
        f"{name}Model": Head("none"), f"{name}ForMaskedLM": words, **both,
        f"{name}ForSequenceClassification": Head("classify", pool="first", dense=True, activation="tanh", bias=True),
        f"{name}ForTokenClassification": Head("tag", bias=True), f"{name}ForQuestionAnswering": Head("span", bias=True),
    }  # fmt: skip


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, width, query_heads = keys.need("model_type", str), keys.need("hidden_size"), keys.need("num_attention_heads")
    if width % query_heads:
        raise CheckpointError(f"config.json: hidden_size {width} is not a multiple of {query_heads} attention heads")
    keys.expect("position_embedding_type", "absolute", "absolute")
    keys("classifier_dropout"), keys.expect("is_decoder", False, False)
    activation = ACTIVATIONS[keys.expect("hidden_act", "gelu", *ACTIVATIONS)]
    top, special = head(keys, heads(PREFIX[kind])), ids(keys)
    if top.kind in ("masked", "pretrain") and kind == "bert":
        top = replace(top, activation=activation)
    special["pad"] = keys("pad_token_id", 0 if kind == "bert" else 1)
    offset = 0 if kind == "bert" else special["pad"] + 1
    return Config(
        family="bert", kind=kind, head=top, pooler=top.kind in ("none", "pretrain"), vocab=keys.need("vocab_size"),
        width=width, encoder_layers=keys.need("num_hidden_layers"), heads=query_heads, kv_heads=query_heads,
        head_dim=width // query_heads, ffn_width=keys.need("intermediate_size"), positions="learned",
        context=keys.need("max_position_embeddings") - offset, position_offset=offset,
        token_types=keys("type_vocab_size", 2), embed_norm=True, norm="layer", norm_place="after", last_norm=False,
        norm_eps=keys("layer_norm_eps", 1e-12), activation=activation, gated=False, qkv_bias=True, out_bias=True,
        ffn_bias=True, tied=keys("tie_word_embeddings", True), dropout=keys("hidden_dropout_prob", 0.1),
        attention_dropout=keys("attention_probs_dropout_prob", 0.1), init_std=keys("initializer_range", 0.02),
        **special,
    )  # fmt: skip


def to_hf(c: Config) -> dict:
    """To a config.json."""
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == c.activation)
    return {
        **hf_head(c, heads(PREFIX[c.kind])), "model_type": c.kind, "vocab_size": c.vocab, "hidden_size": c.width,
        "num_hidden_layers": c.encoder_layers, "num_attention_heads": c.heads, "intermediate_size": c.ffn_width,
        "max_position_embeddings": c.context + c.position_offset, "type_vocab_size": c.token_types,
        "hidden_act": activation, "layer_norm_eps": c.norm_eps, "hidden_dropout_prob": c.dropout,
        "attention_probs_dropout_prob": c.attention_dropout, "tie_word_embeddings": c.tied,
        "position_embedding_type": "absolute", "initializer_range": c.init_std, **hf_ids(c),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    base, both = "bert." if c.kind == "bert" else "roberta.", ("weight", "bias")
    blocks = {
        "attn.q": "attention.self.query", "attn.k": "attention.self.key", "attn.v": "attention.self.value",
        "attn.o": "attention.output.dense", "norm1": "attention.output.LayerNorm", "ffn.up": "intermediate.dense",
        "ffn.down": "output.dense", "norm2": "output.LayerNorm",
    }  # fmt: skip
    table = [
        same("embed.weight", f"{base}embeddings.word_embeddings.weight"),
        same("encoder.places.weight", f"{base}embeddings.position_embeddings.weight"),
        same("encoder.types.weight", f"{base}embeddings.token_type_embeddings.weight"),
        *pairs("encoder.", f"{base}embeddings.", {"embed_norm": "LayerNorm"}, *both),
        *pairs("encoder.blocks.{i}.", base + "encoder.layer.{i}.", blocks, *both),
        *pairs("", base, {"pooler.dense": "pooler.dense"} if c.pooler else {}, *both),
    ]
    return table + (bert_head(c) if c.kind == "bert" else roberta_head(c))


def bert_head(c: Config) -> list[Row]:
    """What stands behind the last block of a BERT."""
    both, kind = ("weight", "bias"), c.head.kind
    if kind in ("masked", "pretrain"):
        names = {"top.dense": "transform.dense", "top.norm": "transform.LayerNorm"}
        table = pairs("", "cls.predictions.", names, *both)
        table += pairs("", "cls.", {"pair": "seq_relationship"} if kind == "pretrain" else {}, *both)
        if c.tied:
            return [*table, same("head_bias", "cls.predictions.bias")]
        return table + pairs("", "cls.predictions.", {"head": "decoder"}, *both)
    if kind == "classify":
        return pairs("", "", {"top.dense": "bert.pooler.dense", "head": "classifier"}, *both)
    return pairs("", "", {"tag": {"head": "classifier"}, "span": {"head": "qa_outputs"}}.get(kind, {}), *both)


def roberta_head(c: Config) -> list[Row]:
    """What stands behind the last block of a RoBERTa."""
    both, kind = ("weight", "bias"), c.head.kind
    if kind == "masked":
        table = pairs("", "lm_head.", {"top.dense": "dense", "top.norm": "layer_norm"}, *both)
        if c.tied:
            return [*table, same("head_bias", "lm_head.bias")]
        return table + pairs("", "lm_head.", {"head": "decoder"}, *both)
    if kind == "classify":
        return pairs("", "classifier.", {"top.dense": "dense", "head": "out_proj"}, *both)
    return pairs("", "", {"tag": {"head": "classifier"}, "span": {"head": "qa_outputs"}}.get(kind, {}), *both)
