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


def config(s: Sizes, vocab: int, context: int, end: int) -> Config:
    """The Config of a new model for `vocab` tokens, texts of `context` tokens and an end-of-text id."""
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    if s.family == "gpt2":
        return hub.config_of({
            "model_type": "gpt2", "vocab_size": vocab, "n_embd": s.width, "n_layer": s.layers, "n_head": s.heads,
            "n_inner": s.ffn_width or 4 * s.width, "n_positions": context, "tie_word_embeddings": s.tied,
            "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0, **ids,
        })  # fmt: skip
    gated = s.family != "nanochat"
    inner = 4 * s.width if not gated else -(-8 * s.width // 3 // 16) * 16
    return hub.config_of({
        "model_type": s.family, "vocab_size": vocab, "hidden_size": s.width, "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads or s.heads,
        "head_dim": s.width // s.heads, "intermediate_size": s.ffn_width or inner,
        "max_position_embeddings": context, "tie_word_embeddings": s.tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": s.theta}, **ids,
    })  # fmt: skip


def create(config: Config, seed: int, device="cpu") -> Transformer:
    """A model with its first weights, drawn from `seed`; the same on every device."""
    with torch.device("meta"):
        model = Transformer(config)
    model = model.to_empty(device=device)
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        p.data.copy_(first(config, name, p.shape, generator))
    return model


def first(c: Config, name: str, shape, generator: torch.Generator) -> torch.Tensor:
    """The first value of one parameter: norms 1, biases 0, matrices by the family's custom."""
    kind = name.split(".")[-2]
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if "norm" in kind:
        return torch.ones(shape)
    normal = torch.empty(shape).normal_(generator=generator)
    if c.family != "nanochat":
        deep = math.sqrt(2 * c.decoder_layers) if kind in ("o", "down") else 1.0
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
