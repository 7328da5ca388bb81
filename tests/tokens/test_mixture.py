"""Mixtures keep exact proportions, and ranks and workers together see exactly what one process sees."""

from itertools import islice

import numpy as np
import pytest
import torch

from tests.tokens.stores import stored
from upwell.errors import DataError
from upwell.tokens.batches import Packed
from upwell.tokens.buckets import Bucketed
from upwell.tokens.mixture import TURN, Mixture, Share, apportioned, of_worker
from upwell.tokens.packing import BestFit


def equal(one, other):
    return all(torch.equal(ours, theirs) for ours, theirs in zip(one, other, strict=True))


@pytest.fixture
def mixture(tmp_path):
    one, two = stored(tmp_path / "a", seed=1), stored(tmp_path / "b", seed=2, first=10_000)
    return Mixture({"a": (Packed(one, 16, 5), 3), "b": (BestFit(two, 16, 5), 1)}, seed=7)


def test_every_turn_has_each_source_in_exact_proportion(mixture):
    assert mixture.counts.tolist() == [7500, 2500]
    for turn in range(3):
        sources, _ = mixture.places(np.arange(turn * TURN, (turn + 1) * TURN))
        assert np.bincount(sources).tolist() == [7500, 2500]
        assert abs(int((sources[:1000] == 0).sum()) - 750) < 75  # also within a turn, by chance


def test_within_a_source_every_sample_comes_once(mixture):
    sources, inside = mixture.places(np.arange(2 * TURN))
    for source, count in enumerate(mixture.counts):
        assert sorted(inside[sources == source].tolist()) == list(range(2 * count))


def test_the_rows_of_a_mixture_are_its_sources_rows(mixture):
    batch, (sources, inside) = mixture.batch(50, 40), mixture.places(np.arange(50, 90))
    assert set(sources.tolist()) == {0, 1}
    for row in range(40):
        alone = mixture.samplers[sources[row]].batch(int(inside[row]), 1)
        assert equal([tensor[row : row + 1] for tensor in batch], alone)
    assert all((batch.ids[row] >= 10_000).any() == (sources[row] == 1) for row in range(40))


def test_sample_i_is_the_same_in_any_batch(mixture):
    assert equal([tensor[[5, 30]] for tensor in mixture.batch(0, 40)], mixture.samples(np.array([5, 30])))


def test_epochs_count_how_often_each_source_was_seen(mixture):
    told = mixture.epochs(TURN + 100)
    exact = np.bincount(mixture.places(np.arange(TURN + 100))[0])
    for name, n, sampler in zip("ab", exact, mixture.samplers, strict=True):
        assert told[name] == pytest.approx(n / sampler.samples_per_epoch)


@pytest.mark.parametrize(
    ("weights", "counts"), [([1, 1, 1], [4, 3, 3]), ([1], [10]), ([1e-9, 1], [1, 9]), ([0.25, 0.75], [3, 7]),
                            ([1e-9] * 8 + [1, 1], [1] * 10)])  # fmt: skip
def test_whole_numbers_in_proportion(weights, counts):
    assert sorted(apportioned(np.array(weights), 10).tolist()) == sorted(counts)
    assert apportioned(np.array(weights), 10).sum() == 10


def test_a_weight_that_is_no_weight_is_refused():
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(DataError, match="a: "):
            Mixture({"a": (None, weight)}, 0)


def test_sources_of_another_context_are_refused_by_name(tmp_path):
    store = stored(tmp_path / "a")
    with pytest.raises(DataError, match="long: rows of 32 tokens beside rows of 16"):
        Mixture({"short": (Packed(store, 16, 0), 1), "long": (Packed(store, 32, 0), 1)}, 0).batch(0, 50)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7, 12])
def test_the_shares_of_all_ranks_are_the_batch_of_one(tmp_path, mixture, ranks):
    store = stored(tmp_path / "c", documents=100)
    for sampler in (mixture, Packed(store, 16, 0), BestFit(store, 16, 0), Bucketed(store, 64, 12, 0)):
        parts = [Share(sampler, rank, ranks).batch(36, 12) for rank in range(ranks)]
        assert equal([torch.cat(column) for column in zip(*parts, strict=True)], sampler.batch(36, 12))


def test_a_run_goes_on_with_another_number_of_ranks_from_one_integer(tmp_path):
    sampler = Packed(stored(tmp_path / "c"), 16, 0)
    first = [Share(sampler, rank, 2).batch(0, 12) for rank in range(2)]
    later = [Share(sampler, rank, 3).batch(12, 12) for rank in range(3)]
    assert equal([torch.cat(column) for column in zip(*first, *later, strict=True)], sampler.batch(0, 24))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_together_give_the_batches_of_one_in_order(tmp_path, workers):
    sampler = Packed(stored(tmp_path / "c"), 16, 0)
    parts = [list(islice(of_worker(sampler.batch, 20, 4, worker, workers), 6 // workers)) for worker in range(workers)]
    merged = sorted((pair for part in parts for pair in part), key=lambda pair: pair[0])
    assert [first for first, _ in merged] == list(range(20, 44, 4))
    assert all(equal(batch, sampler.batch(first, 4)) for first, batch in merged)


def test_a_rank_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="rank 2 of 2"):
        Share(None, 2, 2)
