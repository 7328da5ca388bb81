"""A new model from a few sizes, always in a layout that a transformers class opens, and its first weights.

The sizes become a config.json of the family, and that becomes the Config: what cannot be saved cannot be asked for.
"""

import math

import torch
from torch import nn

from . import hub
from .config import Config
from .sizes import Sizes
from .transformer import Transformer


def config(s: Sizes, vocab: int, context: int, end: int, special: dict[str, int] | None = None) -> Config:
    """The Config of a new model for `vocab` tokens, texts of `context` tokens and an end-of-text id.

    special: ids of a tokenizer by what they are for ("pad"), where it has more than the end-of-text token.
    """
    pad = (special or {}).get("pad", end)
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": pad}
    made = LAYOUTS.get(s.family, llama)(s, {"vocab_size": vocab, **ids}, context)
    config = hub.config_of(made)
    return config.with_(tied=s.tied or s.family in TIED) if config.encoder_layers else config


def llama(s: Sizes, known: dict, context: int) -> dict:
    """config.json of nanochat, LLaMA and Qwen 3."""
    family = "nanochat" if s.family == "auto" else s.family
    inner = 4 * s.width if family == "nanochat" else -(-8 * s.width // 3 // 16) * 16
    return known | {
        "model_type": family, "hidden_size": s.width, "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads or s.heads,
        "head_dim": s.width // s.heads, "intermediate_size": s.ffn_width or inner,
        "max_position_embeddings": context, "tie_word_embeddings": s.tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": s.theta},
    }  # fmt: skip


def gpt2(s: Sizes, known: dict, context: int) -> dict:
    """config.json of GPT-2."""
    return known | {
        "model_type": "gpt2", "n_embd": s.width, "n_layer": s.layers, "n_head": s.heads,
        "n_inner": s.ffn_width or 4 * s.width, "n_positions": context, "tie_word_embeddings": s.tied,
        "embd_pdrop": s.dropout, "resid_pdrop": s.dropout, "attn_pdrop": 0.0,
    }  # fmt: skip


def bert(s: Sizes, known: dict, context: int) -> dict:
    """config.json of BERT; its output matrix is always the embedding."""
    return known | {
        "model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": s.width,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "intermediate_size": s.ffn_width or 4 * s.width,
        "max_position_embeddings": context, "tie_word_embeddings": True, "hidden_dropout_prob": s.dropout,
        "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip


def modernbert(s: Sizes, known: dict, context: int) -> dict:
    """config.json of ModernBERT."""
    return known | {
        "model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"], "hidden_size": s.width,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads,
        "intermediate_size": s.ffn_width or -(-8 * s.width // 3 // 16) * 16, "max_position_embeddings": context,
        "tie_word_embeddings": True, "global_rope_theta": s.theta, "local_rope_theta": s.theta,
    }  # fmt: skip


def t5(s: Sizes, known: dict, context: int) -> dict:
    """config.json of T5 1.1, whose decoder begins with the padding id."""
    return known | {
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": s.width,
        "d_kv": s.width // s.heads, "d_ff": s.ffn_width or -(-8 * s.width // 3 // 16) * 16, "num_layers": s.layers,
        "num_decoder_layers": s.layers, "num_heads": s.heads, "n_positions": context,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "dropout_rate": s.dropout,
        "is_encoder_decoder": True, "decoder_start_token_id": known["pad_token_id"],
    }  # fmt: skip


def bart(s: Sizes, known: dict, context: int) -> dict:
    """config.json of BART, whose decoder begins with the end-of-text token; its output matrix is the embedding."""
    inner = s.ffn_width or 4 * s.width
    return known | {
        "model_type": "bart", "architectures": ["BartForConditionalGeneration"], "d_model": s.width,
        "encoder_layers": s.layers, "decoder_layers": s.layers, "encoder_attention_heads": s.heads,
        "decoder_attention_heads": s.heads, "encoder_ffn_dim": inner, "decoder_ffn_dim": inner,
        "max_position_embeddings": context, "tie_word_embeddings": True, "dropout": s.dropout,
        "is_encoder_decoder": True, "decoder_start_token_id": known["eos_token_id"],
    }  # fmt: skip


LAYOUTS = {"gpt2": gpt2, "bert": bert, "modernbert": modernbert, "t5": t5, "bart": bart}
TIED = ("bert", "modernbert", "bart")


def create(config: Config, seed: int, device="cpu") -> Transformer:
    """A model with its first weights, drawn from `seed`; the same on every device."""
    return renewed(config, {}, seed, device)


def renewed(config: Config, known: dict[str, torch.Tensor], seed: int, device="cpu") -> Transformer:
    """A model with the known weights that fit by name and shape; the others, such as a new head's, are first ones."""
    with torch.device("meta"):
        model = Transformer(config)
    generator, state = torch.Generator().manual_seed(seed), {}
    for name, p in model.named_parameters():
        if name in known and known[name].shape == p.shape:
            state[name] = known[name].to(device)
        else:
            state[name] = first(config, name, p.shape, generator).to(device)
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(True)


def first(c: Config, name: str, shape, generator: torch.Generator) -> torch.Tensor:
    """The first value of one parameter: norms 1, biases 0, matrices by the family's custom."""
    kind = name.split(".")[-2] if "." in name else name
    if name.endswith(".bias") or kind == "head_bias":
        return torch.zeros(shape)
    if "norm" in kind:
        return torch.full(shape, 1.0 - c.norm_offset)
    normal = torch.empty(shape).normal_(generator=generator)
    if c.family != "nanochat":
        deep = math.sqrt(2 * c.layers) if kind in ("o", "down") else 1.0
        return normal * (c.init_std / deep)
    if kind in ("o", "down"):  # each block begins as the identity
        return torch.zeros(shape)
    if kind == "embed" and not c.tied:
        return normal
    if kind in ("head", "embed"):
        return normal * 1e-3
    return normal / math.sqrt(shape[1])


def count(model: nn.Module) -> int:
    """How many numbers a model learns."""
    return sum(p.numel() for p in model.parameters())
