"""Matrices in the order of the CPU's product give what they gave before."""

import pytest
import torch

from upwell.model import laid, preset, quantize
from upwell.model.cache import Cache
from upwell.model.rounded import Int4, Int8
from upwell.model.sizes import Sizes

pytestmark = pytest.mark.skipif(not laid.possible(), reason="this torch has no such product")
FAMILIES = {"gpt2": {"tied": True}, "llama": {"kv_heads": 2}, "llama, tied": {"tied": True}, "t5": {}, "bart": {}}


def model_of(name: str):
    family = name.partition(",")[0]
    config = preset.config(Sizes(family=family, width=64, layers=2, heads=4, **FAMILIES[name]), 120, 64, 0)
    model, random = preset.create(config, seed=1), torch.Generator().manual_seed(2)
    for p in model.parameters():
        p.data.copy_(torch.randn(p.shape, generator=random) * 0.2)
    return model.eval()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("rows, length", [(1, 1), (3, 1), (2, 17)])
def test_a_model_that_is_laid_out_is_as_near_to_float32_as_the_plain_one(name, rows, length):
    exact = model_of(name)
    plain = model_of(name).bfloat16()
    other = laid.lay_out(plain)
    ids = torch.randint(0, 120, (rows, length), generator=torch.Generator().manual_seed(3))
    about = {"source": ids} if exact.encoder is not None else {}
    with torch.inference_mode():
        expected, before, found = (one(ids, **about).double() for one in (exact, plain, other))
    assert other is not plain and (found - expected).abs().max() < 2 * (before - expected).abs().max() + 1e-3
    assert (found - before).abs().max() < 0.05 * expected.abs().max()


def test_it_reads_on_behind_a_cache_and_shares_what_is_no_matrix():
    plain = model_of("llama").bfloat16()
    other = laid.lay_out(plain)
    assert other.embed.weight.data_ptr() == plain.embed.weight.data_ptr()
    ids = torch.randint(0, 120, (2, 9), generator=torch.Generator().manual_seed(3))
    cache = Cache(other.config, 2, 16, other.device, other.dtype)
    with torch.inference_mode():
        other(ids[:, :8], cache=cache)
        step, whole = other(ids[:, 8:], cache=cache)[:, -1], other(ids)[:, -1]
    torch.testing.assert_close(step, whole, atol=0.1, rtol=0.05)
    assert other.device.type == "cpu" and other.dtype == torch.bfloat16


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", FAMILIES)
def test_rounded_models_compute_with_fewer_matrices_what_they_did(name, bits):
    small = quantize.quantize(model_of(name), quantize.Scheme(bits))
    other = laid.lay_out(small)
    ids = torch.randint(0, 120, (2, 7), generator=torch.Generator().manual_seed(3))
    about = {"source": ids} if small.encoder is not None else {}
    with torch.inference_mode():
        torch.testing.assert_close(other(ids, **about), small(ids, **about), atol=1e-2, rtol=1e-2)
    count = [sum(isinstance(part, Int4 | Int8) for part in one.modules()) for one in (small, other)]
    assert count[1] < count[0] and small.decoder.blocks[0].attn.q is not None


def test_the_matrix_comes_back():
    weight = torch.randn(48, 64).bfloat16()
    assert torch.equal(laid.Laid(weight, None).weight, weight)


def test_where_it_gains_nothing_the_model_stays(monkeypatch):
    model = model_of("llama")
    assert laid.lay_out(model) is model     # float32
    monkeypatch.setattr(laid, "possible", lambda: False)
    narrow = model.bfloat16()
    assert laid.lay_out(narrow) is narrow
