"""The piecewise cross-entropy beside torch's own on whole logits."""

import pytest
import torch
from torch.nn import functional as F

from upwell.objectives import _entropy


def both(cap, piece, dtype=torch.float64, monkeypatch=None):
    monkeypatch.setattr(_entropy, "PIECE", piece)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 7, 6, generator=generator, dtype=dtype).requires_grad_()
    weight = (3 * torch.randn(11, 6, generator=generator, dtype=dtype)).requires_grad_()
    targets = torch.randint(11, (3, 7), generator=generator)
    targets[1, 2:5] = -100
    z = hidden @ weight.T
    z = cap * torch.tanh(z / cap) if cap else z
    plain = F.cross_entropy(z.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    want = torch.autograd.grad(plain / 18, (hidden, weight))
    value = _entropy.summed(hidden, weight, targets, cap)
    return plain, value, want, torch.autograd.grad(value / 18, (hidden, weight))


@pytest.mark.parametrize("cap", [None, 15.0, 2.0])
@pytest.mark.parametrize("piece", [11, 55, 1 << 20])
def test_sum_and_gradients_equal_torchs_in_any_pieces(cap, piece, monkeypatch):
    plain, value, want, got = both(cap, piece, monkeypatch=monkeypatch)
    assert value.item() == pytest.approx(plain.item(), rel=1e-12)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


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

    def wrong(z, targets, cap):
        total, slope = right(z, targets, cap)
        return total, slope * 1.001

    monkeypatch.setattr(_entropy, "piece", wrong)
    _, _, want, got = both(15.0, 55, monkeypatch=monkeypatch)
    assert (got[1] - want[1]).abs().max() > 1e-5
