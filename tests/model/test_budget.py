"""What a model costs, beside what the real one costs."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from upwell.model import budget, hub, preset, quantize
from upwell.model.cache import Cache
from upwell.model.sizes import Sizes
from upwell.model.transformer import Transformer

LLAMA = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "bos_token_id": 0,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}  # fmt: skip
BERT = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64}  # fmt: skip
T5 = {"model_type": "t5", "vocab_size": 97, "d_model": 48, "d_kv": 12, "d_ff": 80, "num_layers": 2, "num_heads": 4}
CONFIGS = {
    "nanochat": lambda: preset.config(Sizes("nanochat", 64, 2, 4), 97, 64, 0),
    "gpt2": lambda: preset.config(Sizes("gpt2", 64, 2, 4, tied=True), 97, 64, 0),
    "llama": lambda: hub.config_of({"model_type": "llama", **LLAMA}),
    "mistral-windowed": lambda: hub.config_of({"model_type": "mistral", **LLAMA, "sliding_window": 8}),
    "mixtral": lambda: hub.config_of({"model_type": "mixtral", **LLAMA, "num_local_experts": 4,
                                      "num_experts_per_tok": 2}),
    "bert": lambda: hub.config_of({"model_type": "bert", **BERT, "architectures": ["BertForMaskedLM"]}),
    "bert-classes": lambda: hub.config_of({"model_type": "bert", **BERT, "num_labels": 3,
                                           "architectures": ["BertForSequenceClassification"]}),
    "t5": lambda: hub.config_of({**T5, "tie_word_embeddings": False}),
}  # fmt: skip


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]()


def real(config):
    """A model with memory."""
    model, generator = Transformer(config), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1, generator=generator)
    return model.eval()


def run(model, batch, length):
    ids = torch.zeros(batch, length, dtype=torch.long)
    return model(ids, source=ids) if model.config.shape == "encoder-decoder" else model(ids)


def test_parameters_are_those_of_the_real_model(config):
    assert budget.parameters(config) == preset.count(real(config))


def test_the_lines_of_the_tree_add_up(config):
    parts = budget.tree(config)
    assert sum(p.total for p in parts if p.depth == 0) == budget.parameters(config)
    inside, block = [], next(i for i, p in enumerate(parts) if p.name.startswith("blocks"))
    for part in parts[block + 1 :]:
        if part.depth <= parts[block].depth:
            break
        inside += [part] if part.depth == parts[block].depth + 1 else []
    assert sum(p.total for p in inside) == parts[block].parameters


def test_equal_blocks_are_one_line_and_others_are_not():
    names = [p.name for p in budget.tree(CONFIGS["llama"]())]
    assert "blocks 0-2" in names and names.count("attn") == 1
    config = hub.config_of({"model_type": "qwen2", **LLAMA, "use_sliding_window": True, "sliding_window": 8,
                            "max_window_layers": 1})  # fmt: skip
    assert [p.name for p in budget.tree(config) if "blocks" in p.name] == ["blocks 0", "blocks 1-2"]


@pytest.mark.parametrize("length", [7, 24])
def test_operations_are_those_that_torch_counts(config, length):
    model, counter = real(config), FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        run(model, 1, length)
    c, found = config, budget.operations(config, length, length)
    blocks = c.encoder_layers + c.decoder_layers * (2 if c.shape == "encoder-decoder" else 1)
    whole = 4 * c.heads * c.head_dim * blocks * length**2  # torch's plain attention computes every pair
    assert counter.get_total_flops() == pytest.approx(found.matrices + whole, rel=1e-9 if not c.experts else 0.2)


@pytest.mark.parametrize(("tokens", "window"), [(1, None), (9, None), (9, 4), (9, 20), (9, 1)])
@pytest.mark.parametrize("causal", [True, False])
def test_seen_pairs_are_those_of_the_mask(tokens, window, causal):
    from upwell.model.masks import visible

    places = torch.arange(tokens)
    assert budget.seen(tokens, window, causal) == visible(places, places, causal, window).sum()


@pytest.mark.parametrize(("batch", "length"), [(2, 12), (3, 33)])
def test_what_is_kept_for_the_backward_pass_is_what_the_real_model_keeps(config, batch, length):
    if config.experts:
        config = config.with_(experts=0, experts_used=0)
    estimate = budget.training(config, "adamw", batch, length)["activations"]
    counted = budget.kept(real(config), batch, length)
    assert estimate == counted
    assert budget.training(config, "adamw", batch, length, low=True)["activations"] == budget.kept(
        real(config), batch, length, low=True
    )


def test_training_counts_the_optimizers_own_memory():
    from upwell.training import optim
    from upwell.training.settings import Optim

    config = CONFIGS["llama"]()
    for name in ("adamw", "muon"):
        model = real(config)
        optimizers = optim.build(model, Optim(name=name))
        run(model, 1, 4).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
        held = sum(t.numel() * 4 for key, t in optim.tensors(model, optimizers).items() if not key.endswith(".step"))
        assert budget.training(config, name, 1, 4)["optimizer"] == held


@pytest.mark.parametrize("kind", ["bfloat16", "int8", "int4"])
def test_bytes_of_weights_are_those_of_the_real_model(kind):
    for name in ("llama", "bert"):
        model = real(CONFIGS[name]().with_(width=64, head_dim=16, ffn_width=96)).to(torch.bfloat16)
        if kind != "bfloat16":
            model = quantize.quantize(model, quantize.Scheme(8 if kind == "int8" else 4))
        assert budget.weight_bytes(model.config, kind) == pytest.approx(quantize.size(model), rel=0.03)


def test_the_cache_is_that_of_the_real_model():
    for name in ("llama", "mistral-windowed"):
        cache = Cache(CONFIGS[name](), 3, 2000, dtype=torch.bfloat16)
        held = sum(t.numel() * t.element_size() for t in [*cache.keys, *cache.values])
        assert budget.serving(CONFIGS[name](), 3, 2000)["cache"] == held
    windowed = budget.serving(CONFIGS["mistral-windowed"](), 1, 100_000)["cache"]
    assert windowed < budget.serving(CONFIGS["llama"](), 1, 100_000)["cache"] / 100
