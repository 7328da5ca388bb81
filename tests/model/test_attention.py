"""Every mask and shortcut beside softmax(Q K^T / sqrt(d)) V written out in float64, one query after the other."""

import math

import pytest
import torch

from upwell.model.attention import Attention, narrow, written
from upwell.model.config import Config
from upwell.model.masks import added, apart, flexible, runs, visible
from upwell.model.positions import RelativeBias

H, K, d, T = 4, 2, 8, 11
SHAPE = Config("llama", "llama", vocab=9, width=32, decoder_layers=1, heads=H, kv_heads=K, head_dim=d, ffn_width=8,
               context=64, positions="rotary")  # fmt: skip


def written_out(q, k, v, sees, scale=None, cap=None, bias=None):
    """(B, H, T, d), (B, K, S, d) twice, sees(row, query, key) -> bool: attention as the formula says it."""
    q, k, v = q.double(), k.double(), v.double()
    out = torch.zeros_like(q)
    for b in range(q.shape[0]):
        for h in range(H):
            for t in range(q.shape[2]):
                keys = [s for s in range(k.shape[2]) if sees(b, t, s)]
                scores = []
                for s in keys:
                    score = (q[b, h, t] @ k[b, h * K // H, s]).item() * (scale or 1 / math.sqrt(d))
                    score = score if cap is None else cap * math.tanh(score / cap)
                    scores.append(score + (0.0 if bias is None else bias[h, t, s].item()))
                weights = torch.tensor([math.exp(x - max(scores)) for x in scores], dtype=torch.float64)
                out[b, h, t] = (weights / weights.sum()) @ v[b, h * K // H, keys]
    return out


REAL = torch.tensor([[True] * 11, [False] * 3 + [True] * 8, [True] * 6 + [False] * 5])
DOCUMENTS = torch.tensor([[0] * 4 + [1] * 7, [0] * 11, [0] * 2 + [1] * 2 + [2] * 7])
CASES = {  # causal, window, padding, packing, and the same said in words
    "causal": (True, None, None, None, lambda b, t, s: s <= t),
    "bidirectional": (False, None, None, None, lambda b, t, s: True),
    "padded": (False, None, REAL, None, lambda b, t, s: REAL[b, s] or s == t),
    "causal-padded": (True, None, REAL, None, lambda b, t, s: s <= t and (REAL[b, s] or s == t)),
    "packed": (True, None, None, DOCUMENTS, lambda b, t, s: s <= t and DOCUMENTS[b, s] == DOCUMENTS[b, t]),
    "packed-both-ways": (False, None, None, DOCUMENTS, lambda b, t, s: DOCUMENTS[b, s] == DOCUMENTS[b, t]),
    "windowed": (True, 3, None, None, lambda b, t, s: t - 3 < s <= t),
    "windowed-both-ways": (False, 3, None, None, lambda b, t, s: abs(t - s) <= 3),
    "windowed-packed": (True, 4, None, DOCUMENTS,
                        lambda b, t, s: t - 4 < s <= t and DOCUMENTS[b, s] == DOCUMENTS[b, t]),
}  # fmt: skip


def parts(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(3, heads, T, d, generator=generator) for heads in (H, K, K)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cap", [None, 5.0])
def test_every_mask_is_what_its_words_say(case, cap):
    causal, window, real, documents, sees = CASES[case]
    q, k, v = parts(1)
    place = torch.arange(T)
    mask = visible(place, place, causal, window, real, documents)
    attention = Attention(SHAPE.with_(attention_cap=cap), causal)
    want = written_out(q, k, v, sees, cap=cap)
    assert (attention.attend(q, k, v, mask, causal) - want).abs().max() < 1e-5
    if case in ("causal", "bidirectional"):
        assert (attention.attend(q, k, v, None, causal) - want).abs().max() < 1e-5


@pytest.mark.parametrize("case", [name for name, (*_, documents, _) in CASES.items() if documents is not None])
@pytest.mark.parametrize("cap", [None, 5.0])
def test_flexattention_sees_the_same(case, cap):
    causal, window, real, documents, sees = CASES[case]
    q, k, v = parts(1)
    attention = Attention(SHAPE.with_(attention_cap=cap), causal)
    got = attention.attend(q, k, v, flexible(causal, window, real, documents), causal)
    assert (got - written_out(q, k, v, sees, cap=cap)).abs().max() < 1e-5


@pytest.mark.parametrize("window", [None, 3])
def test_texts_that_stand_in_one_row_see_themselves_only(window):
    q, k, v = (part[:1] for part in parts(5))
    got = Attention(SHAPE, False).attend(q, k, v, apart((4, 6, 1), False, window, None, "cpu"), False)
    ends = [4, 10, 11]
    text = [next(i for i, end in enumerate(ends) if t < end) for t in range(T)]
    want = written_out(q, k, v, lambda b, t, s: text[t] == text[s] and (window is None or abs(t - s) <= window))
    assert (got - want).abs().max() < 1e-5


@pytest.mark.parametrize("case", [name for name, (*_, documents, _) in CASES.items() if documents is not None])
@pytest.mark.parametrize("cap", [None, 5.0])
def test_packed_documents_laid_side_by_side_see_the_same(case, cap):
    causal, window, _, documents, sees = CASES[case]
    q, k, v = parts(1)
    attention = Attention(SHAPE.with_(attention_cap=cap), causal)
    got = attention.attend(q, k, v, apart(runs(documents), causal, window, None, "cpu"), causal)
    assert (got - written_out(q, k, v, sees, cap=cap)).abs().max() < 1e-5


def test_a_single_query_behind_a_cache_sees_its_row_only():
    q, k, v = parts(2)
    q, lengths = q[:, :, :1], [11, 5, 8]
    places = torch.tensor([[n - 1] for n in lengths])
    mask = visible(places, torch.arange(T), True)
    got = Attention(SHAPE, True).attend(q, k, v, mask, False)
    assert (got - written_out(q, k, v, lambda b, t, s: s < lengths[b])).abs().max() < 1e-5


def test_a_bias_on_the_scores_is_added_under_the_mask():
    q, k, v = parts(3)
    c = SHAPE.with_(positions="relative", buckets=8, bucket_distance=10, attention_scale=1.0)
    relative = RelativeBias(c, both_ways=False)
    torch.nn.init.normal_(relative.weight, generator=torch.Generator().manual_seed(4))
    place = torch.arange(T)
    bias = relative(place, place)
    mask = added(visible(place, place, True), bias[None])
    got = Attention(c, True).attend(q, k, v, mask, True)
    want = written_out(q, k, v, lambda b, t, s: s <= t, scale=1.0, bias=bias)
    assert (got - want).abs().max() < 1e-5


NARROW = {  # queries, keys, causal, mask: more than `written` takes at once, and not a multiple of it
    "causal": (150, 150, True, None),
    "causal, behind others": (70, 90, True, None),
    "everything": (65, 33, False, None),
    "a row's padding": (80, 80, False, (torch.arange(80) < torch.tensor([80, 17])[:, None])[:, None, None]),
    "a mask of its own": (70, 90, True, torch.ones(2, 1, 70, 90, dtype=torch.bool).tril(20)),
    "a bias by head": (70, 70, True, torch.randn(1, H, 70, 70, generator=torch.Generator().manual_seed(5))),
}


@pytest.mark.parametrize("case", NARROW)
def test_attention_in_bfloat16_some_queries_at_a_time_is_that_of_torch_in_float32(case):
    T, S, causal, mask = NARROW[case]
    random = torch.Generator().manual_seed(4)
    q, k, v = (torch.randn(2, heads, n, d, generator=random).bfloat16() for heads, n in ((H, T), (K, S), (K, S)))
    bias = mask.bfloat16() if mask is not None and mask.is_floating_point() else mask
    seen = torch.ones(T, S, dtype=torch.bool).tril(S - T) if causal and mask is None else bias
    wide = seen.float() if seen is not None and seen.is_floating_point() else seen
    expected = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), wide, enable_gqa=True)
    with torch.no_grad():
        assert narrow(q) and not narrow(q.float()) and not narrow(q[:, :, :1])
        attention = Attention(SHAPE, causal)
        torch.testing.assert_close(attention.attend(q, k, v, bias, causal).float(), expected, atol=0.03, rtol=0.03)
    assert written(q, k, v, bias, causal, d**-0.5).dtype == torch.bfloat16
