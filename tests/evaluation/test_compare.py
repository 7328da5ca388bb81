"""The rivals: xz against the xz command's own arithmetic, n-grams against a calculation by hand."""

import lzma
from collections import Counter

import numpy as np
import pytest

from upwell.evaluation.compare import events, ngrams, probabilities, xz
from upwell.tokens.store import Store, write


def stored(folder, documents, vocab=50, text_bytes=100):
    write(folder, documents, vocab, 0, text_bytes=text_bytes)
    return Store(folder)


def test_xz_is_the_size_of_both_less_the_size_of_the_first():
    rng = np.random.default_rng(0)
    train, heldout = bytes(rng.integers(97, 107, 5000).tolist()), bytes(rng.integers(97, 107, 2000).tolist())
    sizes = [len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) for text in (train + heldout, train)]
    assert xz(train, heldout) == pytest.approx(8 * (sizes[0] - sizes[1]) / 2000, abs=0.02)
    assert 3.3 < xz(train, heldout) < 4.2  # ten letters by chance: log2(10) = 3.32
    assert xz(train, train[:2000]) < 0.2


def test_events_stay_inside_of_their_document(tmp_path):
    store = stored(tmp_path / "s", [[5, 6, 7], [8]])
    assert events(store, 3, len(store)).tolist() == [
        [0, 0, 5], [0, 5, 6], [5, 6, 7], [6, 7, 0], [0, 0, 8],
    ]  # fmt: skip


def test_bigrams_equal_a_calculation_by_hand():
    """Events (history, token) over the vocabulary 0 .. 3: a b, a b, a c, b c; discounts 0.5 each.

    Kneser-Ney's unigrams count distinct histories: b after a alone: 1; c after a and b: 2; three kinds in all.
    p1(b) = (1 - 0.5) / 3 + (0.5 + 0.5) / 3 / 4 = 0.25;  p1(c) = (2 - 0.5) / 3 + 1 / 12 = 7 / 12;  p1(other) = 1 / 12.
    p(b | a) = (2 - 0.5) / 3 + (0.5 + 0.5) / 3 * 0.25 = 7 / 12;  p(c | a) = 0.5 / 3 + 7 / 36 = 13 / 36.
    """
    a, b, c = 1, 2, 3
    known = np.array([[a, b], [a, b], [a, c], [b, c]])
    asked = np.array([[a, b], [a, c], [a, a], [b, c], [c, b]])
    found = probabilities(known, asked, 4)
    expected = [7 / 12, 13 / 36, 1 / 36, 0.5 + 0.5 * 7 / 12, 0.25]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def slow_probability(known, history, token, vocab):
    """The same definition with plain dictionaries, discounts handed in as 0.5."""
    if len(history) < 0:
        return 1 / vocab
    highest = len(history) + 1 == len(known[0])
    n = len(history) + 1
    grams = Counter(tuple(event[-n:]) for event in known)
    if not highest:
        grams = Counter(kind[1:] for kind in {tuple(event[-n - 1 :]) for event in known})
    after = {gram[-1]: count for gram, count in grams.items() if gram[:-1] == tuple(history)}
    lower = slow_probability(known, history[1:], token, vocab) if history else 1 / vocab
    total = sum(after.values())
    if not total:
        return lower
    return (max(after.get(token, 0) - 0.5, 0) + 0.5 * len(after) * lower) / total


def test_trigrams_equal_the_plain_definition():
    rng = np.random.default_rng(1)
    known = rng.integers(0, 5, (25, 3))
    known = np.concatenate([known[:12], known[:1]])  # too few kinds to estimate discounts: 0.5 each
    asked = rng.integers(0, 6, (60, 3))
    expected = [slow_probability(known.tolist(), event[:-1], event[-1], 6) for event in asked.tolist()]
    np.testing.assert_allclose(probabilities(known, asked, 6), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_probabilities_of_all_tokens_sum_to_one_after_any_history(order):
    rng = np.random.default_rng(2)
    known = np.minimum(rng.geometric(0.2, (3000, order)), 29)
    for history in [known[7, :-1], known[8, :-1] * 0 + 29, rng.integers(0, 30, order - 1)]:
        asked = np.array([[*history, token] for token in range(30)])
        found = probabilities(known, asked, 30)
        assert found.sum() == pytest.approx(1, abs=1e-12) and found.min() > 0


def test_longer_grams_do_better_on_text_with_structure_and_nothing_helps_on_chance(tmp_path):
    cycle = [[1 + (start + step) % 7 for step in range(40)] for start in range(30)]
    learnt, held = stored(tmp_path / "a", cycle[:25]), stored(tmp_path / "b", cycle[25:])
    bits = [ngrams(learnt, held, order) for order in (1, 2, 5)]
    assert bits[0] > 2 * bits[1] >= bits[2]


def test_bits_per_byte_are_total_bits_over_the_bytes_of_the_text(tmp_path):
    learnt, held = stored(tmp_path / "a", [[1, 2, 3]] * 5), stored(tmp_path / "b", [[1, 2], [3]], text_bytes=7)
    asked = events(held, 2, len(held))
    bits = -np.log2(probabilities(events(learnt, 2, len(learnt)), asked, 50)).sum()
    assert ngrams(learnt, held, 2) == pytest.approx(bits / 7) and len(asked) == len(held) - 1
