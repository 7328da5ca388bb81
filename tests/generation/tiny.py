"""Models that are small, random, and have opinions: weights so large that every mistake shows."""

import torch

from upwell.model.config import Config
from upwell.model.transformer import Transformer


def tiny_model(vocab, context=128, seed=0, **changes):
    shape = dict(width=32, decoder_layers=2, heads=4, kv_heads=2, head_dim=8, ffn_width=64, positions="rotary")
    model = Transformer(Config("llama", "llama", vocab=vocab, context=context, **(shape | changes)))
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    return model.eval()
