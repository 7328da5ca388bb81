"""Which of two evaluations is better."""

import pytest

from upwell.errors import SettingsError
from upwell.evaluation import Number
from upwell.run.best import Best


def better(metric, first, second, losses=()):
    """Whether the second of two values counts as better."""
    best = Best({}, metric, 0)
    assert best.better(1, {metric: Number(first, 0.1)}, losses)
    return best.better(2, {metric: Number(second, 0.1)}, losses)


@pytest.mark.parametrize("metric", ["loss", "perplexity", "bits per byte", "squared error", "masked loss"])
def test_less_is_better_for_losses_and_errors(metric):
    assert better(metric, 2.0, 1.0, ("masked loss",)) and not better(metric, 1.0, 2.0, ("masked loss",))


@pytest.mark.parametrize("metric", ["accuracy", "f1", "exact match", "bleu", "chrf", "recall@1", "next accuracy"])
def test_more_is_better_for_all_else(metric):
    assert better(metric, 0.1, 0.2) and not better(metric, 0.2, 0.1)


def test_a_value_that_is_no_number_is_never_the_best():
    assert not Best({}, "loss", 0).better(1, {"loss": Number(float("nan"), 0.0)}, ())


def test_a_measure_is_found_however_it_is_written():
    best = Best({}, "Exact_Match", 2)
    assert best.better(1, {"exact match": Number(0.5, 0.1)}, ()) and best.memory["metric"] == "exact match"
    with pytest.raises(SettingsError, match="this run measures loss"):
        Best({}, "f1", 0).better(1, {"loss": Number(1.0, 0.1)}, ())
