"""Mixtral and Qwen3-MoE: LLaMA's build with a mixture of feed-forwards, of which a router chooses a few a token.

Source: Jiang et al. 2024, arXiv 2401.04088; Qwen team 2025, arXiv 2505.09388.
"""

from ..config import Config
from ..names import Keys, Row, head, pairs
from .llama import attention_rows, heads, hf_shape, shape, window

MODEL_TYPES = ("mixtral", "qwen3_moe")
HEADS = {"mixtral": heads("Mixtral"), "qwen3_moe": heads("Qwen3Moe")}


def config(keys: Keys) -> Config:
    """From a config.json."""
    kind, layers = keys.need("model_type", str), keys.need("num_hidden_layers")
    for key in ("output_router_logits", "router_aux_loss_coef", "router_jitter_noise"):
        keys(key)
    used = keys("num_experts_per_tok", 2 if kind == "mixtral" else 8)
    if kind == "mixtral":
        own = {"experts": keys.need("num_local_experts"), "expert_width": keys.need("intermediate_size")}
        keys.expect("sliding_window", None, None)
    else:
        step, plain, bias = keys("decoder_sparse_step", 1), keys("mlp_only_layers", []), keys("attention_bias", False)
        keys("max_window_layers")
        experts = keys("num_local_experts") or keys.need("num_experts")
        keys("num_experts")
        own = {
            "experts": experts, "expert_width": keys.need("moe_intermediate_size"),
            "expert_norm": keys("norm_topk_prob", False), "qk_norm": "before", "qkv_bias": bias, "out_bias": bias,
            "dense_layers": tuple(i for i in range(layers) if i in plain or (i + 1) % step or not experts),
            **window(keys, kind),
        }  # fmt: skip
    return Config(**shape(keys), family="mixtral", kind=kind, head=head(keys, HEADS[kind]), experts_used=used, **own)


def to_hf(c: Config) -> dict:
    """To a config.json."""
    base = hf_shape(c, HEADS[c.kind]) | {"num_experts_per_tok": c.experts_used}
    if c.kind == "mixtral":
        return base | {"num_local_experts": c.experts, "sliding_window": None}
    return base | {
        "num_experts": c.experts, "moe_intermediate_size": c.expert_width, "norm_topk_prob": c.expert_norm,
        "decoder_sparse_step": 1, "mlp_only_layers": list(c.dense_layers), "attention_bias": c.qkv_bias,
        "use_sliding_window": bool(c.window_layers), "sliding_window": c.window,
        "max_window_layers": min(c.window_layers, default=c.decoder_layers),
    }  # fmt: skip


def rows(c: Config) -> list[Row]:
    """Our tensors and theirs."""
    table, mixtral = attention_rows(c), c.kind == "mixtral"
    room = "block_sparse_moe" if mixtral else "mlp"
    names = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    for i in range(c.decoder_layers):
        ours, theirs = f"decoder.blocks.{i}.ffn.", f"model.layers.{i}.{room}."
        if i in c.dense_layers:
            table += pairs(ours, theirs, dict(zip(("gate", "up", "down"), names, strict=True)), "weight")
            continue
        table += pairs(ours, theirs, {"router": "gate"}, "weight")
        for e in range(c.experts):
            parts = {f"experts.{e}.{a}": f"experts.{e}.{b}" for a, b in zip(("gate", "up", "down"), names, strict=True)}
            table += pairs(ours, theirs, parts, "weight")
    return table
