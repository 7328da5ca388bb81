"""Rounded weights: kernels beside the plain sum, rounding beside the best possible, folders there and back."""

import json

import pytest
import torch

from upwell.errors import CheckpointError
from upwell.model import compressed, hub, preset, quantize, rounded
from upwell.model.config import Head
from upwell.model.quantize import Scheme
from upwell.model.rounded import Int4, Int8
from upwell.model.sizes import Sizes

IDS = torch.arange(24).view(2, 12) % 61


def model(family: str = "llama", tied: bool = False, width: int = 64):
    """A small model."""
    sizes = Sizes(family, width, layers=2, heads=4, tied=tied, ffn_width=3 * width)
    made = preset.create(preset.config(sizes, 61, 32, 0), 1).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.empty(p.shape).normal_(generator=generator))
    return made


def drawn(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.empty(shape).normal_(generator=torch.Generator().manual_seed(seed)).to(dtype)


def far(a, b) -> float:
    return ((a.double() - b.double()).abs().max() / b.double().abs().max()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3, 4, 17, 64])
@pytest.mark.parametrize("shape", [(64, 96), (48, 64), (176, 160), (50, 64), (16, 32)])
def test_the_packed_products_equal_the_plain_ones(dtype, rows, shape):
    weight, x = drawn(*shape, seed=1, dtype=dtype), drawn(rows, shape[1], seed=2, dtype=dtype)
    for part in (Int8(*quantize.round8(weight)), Int4(*quantize.round4(weight, 32))):
        wanted = x.double() @ part.weight.double().T
        assert far(part(x), wanted) < 1.6e-2  # the kernels compute in bfloat16
        part.plain()
        assert far(part(x), wanted) < (1e-5 if dtype == torch.float32 else 1.6e-2)


def test_the_kernels_of_this_machine_are_used_where_there_are_any():
    part = Int4(*quantize.round4(drawn(64, 64), 32))
    assert part.kernel == ("cpu" if hasattr(torch, "_weight_int4pack_mm_for_cpu") else "plain")
    assert Int4(*quantize.round4(drawn(50, 64), 32)).kernel == "plain"


@pytest.mark.parametrize("shape", [(64, 96), (50, 64)])
def test_integers_come_out_of_the_packed_order_as_they_went_in(shape):
    q, scale, zero = quantize.round4(drawn(*shape), 32)
    assert torch.equal(Int4(q, scale, zero).q, q)


def test_int8_errs_by_half_a_step_at_most():
    weight = drawn(40, 64)
    part = Int8(*quantize.round8(weight))
    assert ((part.weight - weight).abs() <= weight.abs().amax(1, keepdim=True) / 127 / 2 * 1.001).all()


def test_int4_errs_less_than_a_grid_from_least_to_largest():
    weight = drawn(64, 256)
    blocks = weight.view(64, 8, 32)
    low, step = blocks.amin(-1, keepdim=True), (blocks.amax(-1, keepdim=True) - blocks.amin(-1, keepdim=True)) / 15
    naive = (((blocks - low) / step).round() * step + low).view_as(weight)
    errors = [(Int4(*quantize.round4(weight, 32, kind)).weight - weight).square().mean() for kind in (False, True)]
    centred = (blocks / (step := blocks.abs().amax(-1, keepdim=True) / 7)).round() * step
    assert errors[0] < (naive - weight).square().mean() and errors[1] < 0.9 * (centred - blocks).square().mean()
    assert rounded.plain4(*quantize.round4(torch.zeros(16, 32), 32)).abs().max() == 0


def test_zeros_stay_zeros():
    weight = drawn(32, 64)
    weight[3:9, 5:40] = 0
    assert (Int4(*quantize.round4(weight, 32)).weight[3:9, 5:40] == 0).all()


def test_blocks_of_a_gguf_file_keep_every_number():
    generator = torch.Generator().manual_seed(4)
    d, m = drawn(32, 3, seed=5).half().abs(), drawn(32, 3, seed=6).half()
    nibbles = torch.randint(0, 16, (32, 96), generator=generator, dtype=torch.uint8)
    part = Int4(nibbles.view(len(d), -1), d.float(), m.float())
    wanted = (d.double()[..., None] * nibbles.view(32, 3, 32).double() + m.double()[..., None]).view(32, 96)
    assert (part.weight.double() - wanted).abs().max() < 1e-6 and torch.equal(part.q, nibbles)
    x = drawn(2, 96, seed=7)
    assert far(part(x), x.double() @ wanted.T) < 1.6e-2
    part.plain()
    assert far(part(x), x.double() @ wanted.T) < 1e-5
    with pytest.raises(CheckpointError, match="GGUF"):
        part.stored()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "nanochat"])
def test_a_rounded_model_is_the_float_model_with_its_matrices_replaced(family, tied, bits):
    small = quantize.quantize(model(family, tied), Scheme(bits))
    same = model(family, tied)
    with torch.no_grad():
        for name, p in same.named_parameters():
            p.copy_(small.get_submodule(name.rpartition(".")[0]).weight if name.endswith(".weight") else p)
        assert far(small(IDS), same(IDS)) < 0.03
        assert far(small(IDS), model(family, tied)(IDS)) < (0.05 if bits == 8 else 0.6)
        assert far(quantize.plainly(small)(IDS), same(IDS)) < 1e-4
    assert small.dtype == torch.float32 and small.device.type == "cpu"


def test_a_rounded_model_takes_less_memory_and_leaves_the_float_one_alone():
    large = model()
    before = {name: t.clone() for name, t in large.state_dict().items()}
    full, int8, int4 = (quantize.size(m) for m in (large, *(quantize.quantize(large, Scheme(b)) for b in (8, 4))))
    assert int8 < 0.28 * full and int4 < int8
    assert all(torch.equal(t, before[name]) for name, t in large.state_dict().items())


def test_a_cache_gives_the_same_as_reading_at_once():
    from upwell.model.cache import Cache

    small = quantize.plainly(quantize.quantize(model(), Scheme(4)))
    cache = Cache(small.config, 2, 12, small.device, small.dtype)
    steps = [small(IDS[:, t : t + 1], cache=cache) for t in range(12)]
    assert far(torch.cat(steps, 1), small(IDS)) < 1e-4


def test_a_matrix_that_no_group_divides_stays_float():
    small = quantize.quantize(model(width=40), Scheme(4))
    assert type(small.decoder.blocks[0].attn.q) is torch.nn.Linear


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("family", ["llama", "nanochat"])
@pytest.mark.parametrize("embedding", ["float", "int8"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_rounded_folder_comes_back_with_the_same_integers(family, bits, embedding, symmetric, tmp_path):
    small = quantize.quantize(model(family), Scheme(bits, embedding=embedding, symmetric=symmetric))
    hub.save(hub.Checkpoint(small, None, small.config), tmp_path)
    again = hub.load(tmp_path).model
    kind = Int8 if bits == 8 else Int4
    assert sum(isinstance(part, kind) for part in again.modules()) >= 2 * (7 if family == "llama" else 6)
    for name, part in again.named_modules():
        if isinstance(part, kind):
            pairs = zip(part.buffers(), small.get_submodule(name).buffers(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
    assert far(again(IDS), small(IDS)) < 1e-5
    said = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    assert said["format"] == "pack-quantized" and said["config_groups"]["group_0"]["weights"]["num_bits"] == bits


def test_a_layout_without_a_place_for_rounded_matrices_is_refused_by_name(tmp_path):
    small = quantize.quantize(model("gpt2"), Scheme(8))
    with pytest.raises(CheckpointError, match="c_attn.*pack-quantized"):
        hub.save(hub.Checkpoint(small, None, small.config), tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"quant_method": "gptq"}, "gptq"), ({"format": "marlin-24"}, "marlin-24"),
     ({"kv_cache_scheme": {"a": 1}}, "activations")],
)  # fmt: skip
def test_a_foreign_quantisation_is_refused_by_name(change, word, tmp_path):
    small = quantize.quantize(model(), Scheme(8))
    hub.save(hub.Checkpoint(small, None, small.config), tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["quantization_config"] |= change
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=word):
        hub.load(tmp_path)


def test_a_second_model_shares_the_weights():
    small = quantize.quantize(model(), Scheme(4))
    twin = small.twin()
    assert torch.equal(twin(IDS), small(IDS))
    assert twin.decoder.blocks[0].attn.q.packed.data_ptr() == small.decoder.blocks[0].attn.q.packed.data_ptr()


def test_integers_pack_as_the_layout_says():
    values = torch.tensor([[-8, 7, 0, 1, 2, 3, 4, 5, -1]], dtype=torch.int8)
    words = compressed.packed32(values, 4)
    assert words.tolist() == [[int("DCBA98F0", 16) - 2**32, 7]]
    assert torch.equal(compressed.unpacked32(words, 4, 9), values)


@torch.inference_mode()
def test_a_rounded_head_of_labels_is_neither_capped_nor_scaled():
    # A rounded model had its own copy of `logits`, which capped the scores of labels as if they were words.
    large = model()
    c = large.config.with_(logit_cap=0.5, logit_scale=0.1, tied=False)
    labels = preset.create(c.with_(head=Head("tag", labels=("a", "b", "c"), bias=True)), 1).eval()
    torch.nn.init.normal_(labels.head.weight, std=2.0, generator=torch.Generator().manual_seed(3))
    ids = torch.randint(0, c.vocab, (2, 9), generator=torch.Generator().manual_seed(2))
    want = labels(ids)
    assert want.abs().max() > 1
    assert (quantize.quantize(labels, Scheme(8))(ids) - want).abs().max() < 0.05 * want.abs().max()


def test_groups_that_lie_on_sixteen_points_keep_them_exactly():
    generator = torch.Generator().manual_seed(9)
    nibbles = torch.randint(0, 16, (48, 4, 32), generator=generator)
    nibbles[..., 0], nibbles[..., 1] = 0, 15
    step, least = (torch.rand(48, 4, generator=generator) / 50).half(), -(torch.rand(48, 4, generator=generator)).half()
    weight = (nibbles * step.float()[..., None] + least.float()[..., None]).flatten(1)
    q, scale, zero = quantize.points_of(weight, 32)
    assert torch.equal(q, nibbles.flatten(1).to(torch.uint8))
    assert torch.equal(scale, step.float()) and torch.equal(zero, least.float())
    assert torch.equal(rounded.Int4(q, scale, zero).weight, weight)
    assert quantize.points_of(weight + 1e-4 * torch.randn(weight.shape, generator=generator), 32) is None
