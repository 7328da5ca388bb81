"""Gradients that are written by hand, and random numbers drawn in fours, against torch's own ways."""

import pytest
import torch
from torch.nn import functional as F

from upwell.model import lora
from upwell.model.attention import SHORT, Attention, Gathered, Spread, Weighed
from upwell.model.blocks import gelu_tanh
from upwell.model.config import Config
from upwell.model.dropout import Dropout, kept
from upwell.model.norms import RMSNorm, Scaled

WIDE = {"dtype": torch.float64}


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    """Normal numbers that ask for gradients."""
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **WIDE)
    return drawn.requires_grad_(True)


def alike(ours, theirs, inputs) -> None:
    """Both functions give the same, and the same gradients."""
    slope = torch.randn(theirs(*inputs).shape, generator=torch.Generator().manual_seed(9), **WIDE)
    found = [torch.autograd.grad(one(*inputs), inputs, slope) for one in (ours, theirs)]
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kind", ["bias", "padding", "causal", "all"])
def test_attention_written_out_has_the_gradients_of_torchs_own(kind):
    q, k, v, bias = (numbers(2, 3, 5, 4, seed=n) for n in (1, 2, 3, 4))
    bias = numbers(1, 3, 5, 5, seed=4)
    real = torch.tensor([[[[True, True, True, False, False]]], [[[True] * 5]]])
    mask = {"bias": bias, "padding": real}.get(kind)
    inputs = [q, k, v, bias] if kind == "bias" else [q, k, v]
    alike(lambda q, k, v, *_: Weighed.apply(q, k, v, mask, kind == "causal", 0.5, 0.0),
          lambda q, k, v, *_: F.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal", scale=0.5),
          inputs)  # fmt: skip


@pytest.mark.parametrize("heads", [3, 1])
@pytest.mark.parametrize("tokens", [5, SHORT + 1])
def test_short_texts_in_bfloat16_are_written_out_and_stay_near_the_exact_gradients(heads, tokens, monkeypatch):
    """Scores are rounded to 8 bits: a few thousandths of the largest number, as torch's own kernel."""
    taken, apply = [], Weighed.apply
    monkeypatch.setattr(Weighed, "apply", lambda *inputs: taken.append(inputs[0].dtype) or apply(*inputs))
    layer = Attention(Config("llama", "llama", vocab=9, width=12, decoder_layers=1, heads=3, kv_heads=heads, head_dim=4,
                             ffn_width=8, context=9, positions="none"), True)  # fmt: skip
    q, k, v = (numbers(2, n, tokens, 4, seed=n + i) for i, n in enumerate((3, heads, heads)))
    slope = numbers(2, 3, tokens, 4, seed=9).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.attend(*(x.float() for x in (q, k, v)), None, True)
    assert taken == [torch.bfloat16] * (tokens <= SHORT)
    ours = torch.autograd.grad(found, (q, k, v), slope.to(found.dtype))
    exact = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != 3)
    for one, other in zip((found, *ours), (exact, *torch.autograd.grad(exact, (q, k, v), slope)), strict=True):
        assert (one - other).abs().max() < 0.02 * other.abs().max()


@pytest.mark.slow
def test_compiled_gelu_is_torchs_own():
    x = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 2**-8)):
        inputs = x.to(dtype).requires_grad_(True)
        ours = torch.compile(gelu_tanh)(inputs)
        exact = F.gelu(x.requires_grad_(True), approximate="tanh")
        assert (ours - exact).abs().max() <= near * 9
        slopes = torch.autograd.grad(ours.sum(), inputs)[0], torch.autograd.grad(exact.sum(), x)[0]
        assert (slopes[0] - slopes[1]).abs().max() <= 4 * near


def test_attention_with_dropout_leaves_out_what_was_drawn():
    q, k, v = (numbers(2, 3, 5, 4, seed=n) for n in (1, 2, 3))

    def ours(q, k, v):
        torch.manual_seed(3)
        return Weighed.apply(q, k, v, None, False, 0.5, 0.25)

    def theirs(q, k, v):
        torch.manual_seed(3)
        noise = kept((2, 3, 5, 5), 0.25, torch.float64)
        return ((q @ k.mT * 0.5).softmax(-1) * noise) @ v

    alike(ours, theirs, [q, k, v])


@pytest.mark.parametrize("weighted", [True, False])
def test_rms_norm_has_the_gradients_of_torchs_own(weighted):
    inputs = [numbers(3, 4, 6), *([numbers(6, seed=2)] if weighted else [])]
    alike(lambda x, w=None: Scaled.apply(x, w, 1e-5), lambda x, w=None: F.rms_norm(x, (6,), w, 1e-5), inputs)


def test_a_matrix_with_an_adapter_has_the_gradients_of_its_three_products():
    x, a, b = numbers(7, 5), numbers(2, 5, seed=2), numbers(4, 2, seed=3)
    weight = numbers(4, 5, seed=4).detach()
    alike(lambda x, a, b: lora.Product.apply(x, weight, a, b, 0.5), lambda x, a, b: x @ (weight + 0.5 * b @ a).T,
          [x, a, b])  # fmt: skip


def test_rows_are_laid_into_places_and_fetched_again():
    x, inside = numbers(3, 2), torch.tensor([4, 0, 2])
    assert torch.equal(Spread.apply(x, inside, 5)[inside], x)
    alike(lambda x: Gathered.apply(Spread.apply(x, inside, 5), inside), lambda x: x * 1, [x])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_its_share_and_the_mean(dtype):
    torch.manual_seed(1)
    found = kept((333, 333), 0.1, dtype)
    assert found.unique().tolist() == [0.0, float(torch.tensor(1 / 0.9, dtype=dtype))]
    share = float((found == 0).double().mean())
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / found.numel()) ** 0.5


def test_dropout_is_a_function_of_the_seed_and_nothing_in_evaluation():
    part, x = Dropout(0.5), torch.ones(50)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(part(x))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(part.eval()(x), x)


def test_places_of_one_draw_know_nothing_of_each_other():
    torch.manual_seed(1)
    dropped = (kept((4000, 4), 0.5, torch.float32) == 0).double()
    together = torch.corrcoef(dropped.T)
    assert (together - torch.eye(4)).abs().max() < 4 / 4000**0.5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tokens", [1, 3, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_without_a_gradient_is_torchs_own_whatever_the_number_of_tokens(tokens, dtype, weighted):
    config = Config("llama", "llama", vocab=9, width=32, decoder_layers=1, heads=2, kv_heads=2, head_dim=16,
                    ffn_width=8, context=64, positions="rotary", norm_weight=weighted,
                    norm_offset=0.5 * weighted)  # fmt: skip
    norm, random = RMSNorm(32, config).to(dtype), torch.Generator().manual_seed(1)
    x = torch.randn(1, tokens, 32, generator=random).to(dtype) * 3
    if weighted:
        norm.weight.data.copy_(torch.rand(32, generator=random))
    weight = norm.weight + 0.5 if weighted else None
    with torch.no_grad():
        expected = F.rms_norm(x, (32,), weight, config.norm_eps)
        torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=8e-3 if dtype == torch.bfloat16 else 1e-5)
