"""Adapters: what they compute, what learns, and the folder format of PEFT without PEFT."""

import json

import pytest
import torch

from upwell.errors import CheckpointError, SettingsError
from upwell.model import hub, lora, preset, quantize
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes

IDS = torch.arange(24).view(2, 12) % 61


def model(family: str = "llama", seed: int = 1):
    """A small model whose weights are all drawn anew, so that nothing is zero."""
    config = preset.config(Sizes(family, width=64, layers=2, heads=4), 61, 32, 0)
    made = preset.create(config, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.empty(p.shape).normal_(generator=generator))
    return made


def learnt(wrapped):
    """The same with adapters that have learnt something."""
    generator = torch.Generator().manual_seed(3)
    for part in lora.adapters(wrapped).values():
        part.b.data.normal_(std=0.2, generator=generator)
    return wrapped


def test_new_adapters_change_nothing_and_only_they_learn():
    plain, wrapped = model(), lora.wrap(model(), Lora(rank=4))
    assert torch.equal(wrapped(IDS), plain(IDS))
    wrapped(IDS).square().mean().backward()
    with_gradient = {name for name, p in wrapped.named_parameters() if p.grad is not None}
    assert with_gradient == {f"{name}.{kind}" for name in lora.adapters(wrapped) for kind in "ab"}
    assert len(with_gradient) == 2 * 2 * 7
    learning = [id(p) for p in wrapped.parameters() if p.grad is not None]
    assert [id(p) for p in lora.parameters(wrapped)] == learning


def test_an_adapter_adds_its_scaled_product():
    wrapped = learnt(lora.wrap(model(), Lora(("attn.q",), rank=4, alpha=6.0)))
    part = lora.adapters(wrapped)["decoder.blocks.0.attn.q"]
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(part(x), x @ (part.base.weight + 6.0 / 4 * part.b @ part.a).T)
    wide = lora.wrap(model(), Lora(rank=16, alpha=8.0, rslora=True))
    assert next(iter(lora.adapters(wide).values())).scale == 8.0 / 4


def test_a_seed_draws_the_same_adapters():
    one, same, other = (lora.wrap(model(), Lora(rank=4), seed) for seed in (5, 5, 6))
    name = "decoder.blocks.1.ffn.down"
    assert torch.equal(lora.adapters(one)[name].a, lora.adapters(same)[name].a)
    assert not torch.equal(lora.adapters(one)[name].a, lora.adapters(other)[name].a)


def test_merged_unmerged_and_unwrapped_models_agree():
    plain, wrapped = model(), learnt(lora.wrap(model(), Lora(rank=4)))
    logits = wrapped(IDS)
    assert (logits - plain(IDS)).abs().max() > 0.1
    torch.testing.assert_close(lora.merge(wrapped)(IDS), logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(lora.unmerge(wrapped)(IDS), logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(lora.unwrap(lora.merge(wrapped))(IDS), logits, rtol=1e-4, atol=1e-4)
    assert lora.adapters(wrapped) == {} and type(wrapped.decoder.blocks[0].attn.q) is torch.nn.Linear
    assert dict(wrapped.named_parameters()).keys() == dict(plain.named_parameters()).keys()


def test_a_model_unwrapped_without_merging_is_as_it_was():
    plain, wrapped = model(), learnt(lora.wrap(model(), Lora(rank=4)))
    assert torch.equal(lora.unwrap(wrapped)(IDS), plain(IDS))


@pytest.mark.parametrize("bits", [8, 4])
def test_adapters_learn_on_rounded_matrices_as_on_the_same_float_ones(bits):
    rounded = quantize.quantize(model(), quantize.Scheme(bits, embedding="float"))
    quantize.plainly(rounded)
    floating = model()
    for name, part in rounded.named_modules():
        if isinstance(part, (quantize.Int8, quantize.Int4)):
            floating.get_submodule(name).weight.data = part.weight
    for one in (rounded, floating):
        learnt(lora.wrap(one, Lora(rank=4)))
        one(IDS).square().mean().backward()
    torch.testing.assert_close(rounded(IDS), floating(IDS), rtol=1e-3, atol=1e-3)
    for name, part in lora.adapters(rounded).items():
        torch.testing.assert_close(part.a.grad, lora.adapters(floating)[name].a.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(lora.unwrap(lora.merge(rounded))(IDS), floating(IDS), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "nanochat"])
@pytest.mark.parametrize("targets", [(), ("attn.q", "attn.v"), ("ffn.down",)])
def test_a_saved_adapter_comes_back(family, targets, tmp_path):
    wrapped = learnt(lora.wrap(model(family), Lora(targets, rank=4, dropout=0.25)))
    lora.save(wrapped, tmp_path, "some/base")
    again = lora.load(model(family), tmp_path)
    torch.testing.assert_close(again(IDS), wrapped(IDS), rtol=1e-5, atol=1e-5)
    said = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert said["base_model_name_or_path"] == "some/base" and said["lora_dropout"] == 0.25


def test_an_adapter_read_from_one_fused_matrix_is_written_as_the_same_one(tmp_path):
    wrapped = learnt(lora.wrap(model("gpt2"), Lora(("attn.q", "attn.k", "attn.v"), rank=4)))
    for block in wrapped.decoder.blocks:
        block.attn.k.a.data, block.attn.v.a.data = block.attn.q.a.data.clone(), block.attn.q.a.data.clone()
    config, tensors = lora.to_peft(wrapped)
    name = "base_model.model.transformer.h.0.attn.c_attn"
    assert tensors[f"{name}.lora_A.weight"].shape == (4, 64) and tensors[f"{name}.lora_B.weight"].shape == (192, 4)
    assert config["fan_in_fan_out"] and config["target_modules"] == ["c_attn"]
    other = learnt(lora.wrap(model("gpt2"), Lora(("attn.q", "attn.v"), rank=4)))
    assert lora.to_peft(other)[1][f"{name}.lora_A.weight"].shape == (8, 64)


def test_modules_that_learn_whole_are_saved_beside_the_adapters(tmp_path):
    wrapped = learnt(lora.wrap(model(), Lora(("attn.q",), rank=2, whole=("head",))))
    wrapped.head.weight.data.add_(1.0)
    lora.save(wrapped, tmp_path)
    again = lora.load(model(), tmp_path)
    torch.testing.assert_close(again(IDS), wrapped(IDS))
    assert any(p is again.head.weight for p in lora.parameters(again))
    assert json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))["modules_to_save"] == ["lm_head"]


def test_what_is_not_there_is_named():
    with pytest.raises(SettingsError, match="attn.qq.*attn.q, "):
        lora.wrap(model(), Lora(("attn.qq",)))
    with pytest.raises(SettingsError, match="'hat'"):
        lora.wrap(model(), Lora(whole=("hat",)))
    with pytest.raises(SettingsError, match="already"):
        lora.wrap(lora.wrap(model(), Lora()), Lora())


@pytest.mark.parametrize(
    ("change", "word"),
    [({"use_dora": True}, "use_dora"), ({"bias": "all"}, "bias"), ({"peft_type": "IA3"}, "IA3"),
     ({"init_lora_weights": "pissa"}, "pissa"), ({"layer_replication": [[0, 1]]}, "layer_replication")],
)  # fmt: skip
def test_a_setting_that_changes_something_unknown_is_refused_by_name(change, word, tmp_path):
    lora.save(lora.wrap(model(), Lora(rank=2)), tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(CheckpointError, match=word):
        lora.load(model(), tmp_path)


def test_an_adapter_of_another_model_is_refused_by_name(tmp_path):
    lora.save(lora.wrap(model(), Lora(rank=2)), tmp_path)
    with pytest.raises(CheckpointError, match="down_proj"):
        lora.load(model("gpt2"), tmp_path)
    small = preset.create(preset.config(Sizes("llama", width=32, layers=2, heads=4), 61, 32, 0), 1)
    with pytest.raises(CheckpointError, match="does not fit"):
        lora.load(small, tmp_path)


def test_a_row_that_mixes_outputs_is_refused_by_name():
    from upwell.model.names import Row

    row = Row(("decoder.blocks.0.attn.q.weight",), "mixed.weight", lambda t: [t], lambda ts: ts[0] + ts[0].flip(0))
    with pytest.raises(CheckpointError, match="mixed"):
        lora.order(row, [8])


def test_a_merged_model_is_saved_as_a_plain_folder(tmp_path):
    wrapped = lora.unwrap(lora.merge(learnt(lora.wrap(model(), Lora(rank=2)))))
    hub.save(hub.Checkpoint(wrapped, None, wrapped.config), tmp_path)
    torch.testing.assert_close(hub.load(tmp_path).model(IDS), wrapped(IDS))
