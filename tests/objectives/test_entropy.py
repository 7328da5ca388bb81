"""The piecewise cross-entropy beside torch's own on whole logits."""

import pytest
import torch
from torch.nn import functional as F

from upwell.model import preset
from upwell.model.config import Head
from upwell.model.sizes import Sizes
from upwell.objectives import _entropy


def both(cap, piece, monkeypatch, bias=False, smoothing=0.0):
    monkeypatch.setattr(_entropy, "PIECE", piece)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 7, 6, generator=generator, dtype=torch.float64).requires_grad_()
    weight = (3 * torch.randn(11, 6, generator=generator, dtype=torch.float64)).requires_grad_()
    more = torch.randn(11, generator=generator, dtype=torch.float64).requires_grad_() if bias else None
    targets = torch.randint(11, (3, 7), generator=generator)
    targets[1, 2:5] = -100
    z = F.linear(hidden, weight, more)
    z = cap * torch.tanh(z / cap) if cap else z
    told = {"ignore_index": -100, "reduction": "sum", "label_smoothing": smoothing}
    plain = F.cross_entropy(z.flatten(0, 1), targets.flatten(), **told)
    inputs = [t for t in (hidden, weight, more) if t is not None]
    want = torch.autograd.grad(plain / 18, inputs)
    value = _entropy.summed(hidden, weight, targets, cap, more, smoothing)
    return plain, value, want, torch.autograd.grad(value / 18, inputs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cap", [None, 15.0, 2.0])
@pytest.mark.parametrize("piece", [11, 55, 1 << 20])
def test_sum_and_gradients_equal_torchs_in_any_pieces(cap, piece, bias, smoothing, monkeypatch):
    plain, value, want, got = both(cap, piece, monkeypatch, bias, smoothing)
    assert value.item() == pytest.approx(plain.item(), rel=1e-12)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_only_what_learns_has_a_gradient():
    hidden, weight, bias = torch.randn(4, 6), torch.randn(11, 6, requires_grad=True), torch.randn(11)
    value = _entropy.summed(hidden, weight, torch.tensor([1, 2, -100, 3]), None, bias)
    value.backward()
    assert weight.grad is not None and hidden.grad is None and bias.grad is None
    with torch.no_grad():
        assert torch.equal(_entropy.summed(hidden, weight, torch.tensor([1, 2, -100, 3]), None, bias), value)


def test_of_words_is_the_models_own_output_whatever_its_head():
    head = Head("language", dense=True, dense_bias=True, activation="gelu", norm=True, bias=True)
    c = preset.config(Sizes(width=32, layers=1, heads=2), 40, 16, 0).with_(head=head, logit_scale=0.5, logit_cap=3.0)
    model = preset.create(c, 1).double()
    for p in model.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    ids = torch.arange(24).view(2, 12)
    value = _entropy.of_words(model, model.hidden(ids), ids + 1)
    plain = F.cross_entropy(model(ids).flatten(0, 1), (ids + 1).flatten(), reduction="sum")
    assert value.item() == pytest.approx(plain.item(), rel=1e-12)


def test_under_autocast_only_the_products_are_narrow():
    hidden = torch.randn(4, 8, 32, generator=torch.Generator().manual_seed(2), requires_grad=True)
    weight = torch.randn(50, 32, generator=torch.Generator().manual_seed(3), requires_grad=True)
    targets = torch.randint(50, (4, 8), generator=torch.Generator().manual_seed(4))
    with torch.autocast("cpu", torch.bfloat16):
        value = _entropy.summed(hidden, weight, targets, 15.0)
    value.backward()
    exact = _entropy.summed(hidden.detach(), weight.detach(), targets, 15.0)
    assert value.dtype == torch.float32 and hidden.grad.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=2e-2) and value.item() != exact.item()


def test_a_fault_in_the_slope_would_be_seen(monkeypatch):
    right = _entropy.piece

    def wrong(z, targets, cap, smoothing):
        total, slope = right(z, targets, cap, smoothing)
        return total, slope * 1.001

    monkeypatch.setattr(_entropy, "piece", wrong)
    _, _, want, got = both(15.0, 55, monkeypatch)
    assert (got[1] - want[1]).abs().max() > 1e-5
