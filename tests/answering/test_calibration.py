"""The score below which nothing is answered: by hand, at its edges, and kept beside an index."""

import json
import math
import random

import pytest

from upwell.answering import calibration
from upwell.answering.calibration import Calibration, Share, fitted, share, threshold
from upwell.errors import DataError


def test_A2_a_threshold_between_two_clear_groups_refuses_the_ones_and_none_of_the_others():
    found = threshold([0.8, 0.9, 0.7], [0.1, 0.2, 0.3])
    assert 0.3 < found.value < 0.7 and found.reached
    assert (found.refused.value, found.false_refusals.value) == (1.0, 0.0)


def test_A2_where_groups_overlap_the_most_even_point_is_taken():
    answerable = [n / 100 for n in range(40, 140)]      # 0.40 .. 1.39
    others = [n / 100 for n in range(-56, 44)]          # -0.56 .. 0.43
    found = threshold(answerable, others)
    assert found.reached and found.refused.value >= 0.95 and found.false_refusals.value <= 0.05
    assert abs(1 - found.refused.value - found.false_refusals.value) <= 0.011


def test_A2_what_cannot_be_reached_is_told():
    generator = random.Random(0)
    found = threshold([generator.random() for _ in range(500)], [generator.random() for _ in range(500)])
    assert not found.reached and found.refused.value >= 0.95 and found.false_refusals.value > 0.5


def test_A2_all_scores_alike_refuse_all():
    found = threshold([0.5] * 10, [0.5] * 10)
    assert not found.reached and found.value > 0.5 and found.refused.value == 1.0


def test_the_curve_never_falls_and_ends_at_its_edges():
    found = threshold([0.2, 0.6, 0.9], [0.0, 0.3, 0.7])
    assert [one.threshold for one in found.curve][:2] == [0.0, 0.01] and found.curve[-1].threshold == 1.0
    for a, b in zip(found.curve, found.curve[1:], strict=False):
        assert a.refused <= b.refused and a.false_refusals <= b.false_refusals
    assert found.curve[0][1:] == (0.0, 0.0) and found.curve[-1][1:] == (1.0, 1.0)


def test_a_share_has_wilsons_interval():
    # 50 of 100: centre (0.5 + 1.9208 / 100) / 1.038416, half width 1.96 sqrt(0.0025 + 0.96040e-4) / 1.038416
    found = share(50, 100)
    assert found.value == 0.5 and found[1:] == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert share(0, 20).low == 0.0 and 0.1 < share(0, 20).high < 0.2
    assert share(20, 20).high == 1.0 and share(0, 0) == Share(0.0, 0.0, 1.0)
    assert str(share(1, 2)) == "50.0% (9.5% to 90.5%)"


def signals(count, middle, seed):
    generator = random.Random(seed)
    return [{"cosine": generator.gauss(middle, 0.1), "coverage": generator.random()} for _ in range(count)]


def test_weights_find_the_signal_that_tells_and_pass_over_noise():
    how, limit = fitted(signals(200, 0.7, 1), signals(200, 0.2, 2), "letters", made="by hand")
    assert how.weights["cosine"] > 5 * abs(how.weights["coverage"]) and limit.reached
    assert set(how.weights) == {"cosine", "coverage"}
    assert how.confidence({"cosine": 0.9, "coverage": 0.5}) > how.threshold > how.confidence({"cosine": 0.1})
    assert (how.threshold, how.refused, how.encoder) == (limit.value, limit.refused, "letters")


def test_the_figures_do_not_come_from_the_questions_that_were_fitted_to():
    how, limit = fitted(signals(60, 0.5, 3), signals(60, 0.5, 4))  # nothing tells them apart
    assert not limit.reached and how.false_refusals.value > 0.5


def test_too_few_questions_are_refused():
    with pytest.raises(DataError, match="found 19 questions with an answer and 40 without one; expected at least 20"):
        fitted(signals(19, 0.7, 1), signals(40, 0.2, 2))
    with pytest.raises(DataError, match="needs both"):
        threshold([], [0.1])


def test_a_confidence_lies_between_0_and_1_whatever_the_signals():
    how = Calibration({"cosine": 1e9}, 0.0, 0.5)
    assert 0 <= how.confidence({"cosine": -1e9}) < how.confidence({}) == 0.5 < how.confidence({"cosine": 1e9}) <= 1


def test_it_is_kept_beside_an_index_and_found_again(tmp_path):
    how, _ = fitted(signals(40, 0.7, 1), signals(40, 0.2, 2), "letters", "marks", "reads", "40 and 40")
    how.save(tmp_path)
    assert calibration.load(tmp_path) == how
    assert calibration.of(tmp_path, "letters", "marks", "reads") == how
    assert calibration.of(tmp_path, "letters", "marks") != how and calibration.of(tmp_path, "other", "marks") != how
    assert calibration.load(tmp_path / "nowhere") is None
    built_in = calibration.BUILT_IN["minilm-l6"]
    assert calibration.of(None, "minilm-l6") == calibration.of(tmp_path, "minilm-l6") == built_in
    assert calibration.of(None, "") == calibration.BUILT_IN[""]
    assert calibration.of(None, "minilm-l6", cross="rerank") == calibration.BUILT_IN["minilm-l6+rerank"]
    assert calibration.of(None, "minilm-l6", cross="another") == built_in


@pytest.mark.parametrize("change", [
    lambda said: "no JSON", lambda said: [], lambda said: said | {"weights": {"colour": 1.0}},
    lambda said: said | {"bias": "x"},
    lambda said: said | {"threshold": math.nan}, lambda said: {k: v for k, v in said.items() if k != "refused"},
    lambda said: said | {"weights": [1]}, lambda said: said | {"refused": [1]},
])  # fmt: skip
def test_F7_a_damaged_file_is_one_sentence_that_names_it(tmp_path, change):
    how, _ = fitted(signals(40, 0.7, 1), signals(40, 0.2, 2))
    path = how.save(tmp_path)
    said = change(json.loads(path.read_text()))
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    with pytest.raises(DataError, match=r"answers\.json"):
        calibration.load(tmp_path)


@pytest.mark.parametrize("name", sorted(calibration.BUILT_IN))
def test_a_built_in_one_says_how_it_was_made(name):
    one = calibration.BUILT_IN[name]
    assert set(one.weights) <= set(calibration.SIGNALS) and 0 < one.threshold < 1 and one.made
    assert one.refused.low <= one.refused.value <= one.refused.high
