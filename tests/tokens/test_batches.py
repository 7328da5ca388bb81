"""Batches: every sample is a pure function of (seed, i), and documents stay apart."""

import numpy as np
import pytest
import torch

from upwell.errors import DataError
from upwell.tokens.batches import Packed, permuted, whole
from upwell.tokens.store import Store, write


def stored(folder, documents=40, longest=30, seed=0, **more):
    """A store whose tokens can be told apart: token n of the flat store that begins no document is n + 1."""
    rng = np.random.default_rng(seed)
    lengths, position, ids = rng.integers(1, longest, documents), 0, []
    for length in lengths:
        ids.append(np.arange(position + 2, position + 2 + length))
        position += length + 1
    write(folder, ids, 60_000, 0, **more)
    return Store(folder)


def test_sample_i_is_the_same_alone_in_any_batch_and_in_a_new_process(tmp_path):
    store = stored(tmp_path / "s")
    packed, again = Packed(store, 8, seed=3), Packed(Store(tmp_path / "s"), 8, seed=3)
    whole_run = packed.batch(0, 200)
    for first, size in [(0, 1), (7, 3), (150, 50), (199, 1)]:
        part = again.batch(first, size)
        for ours, theirs in zip(part, whole_run, strict=True):
            assert torch.equal(ours, theirs[first : first + size])


def test_the_same_seed_gives_the_same_windows_for_ever(tmp_path):
    """Runs of older versions must resume on the same data: these figures may never change."""
    starts = Packed(stored(tmp_path / "s"), 8, seed=3).starts(0, 6)
    assert starts.tolist() == [568, 512, 352, 560, 128, 136]


def test_another_seed_gives_another_order(tmp_path):
    store = stored(tmp_path / "s")
    assert Packed(store, 8, 1).starts(0, 50).tolist() != Packed(store, 8, 2).starts(0, 50).tolist()


def test_an_epoch_holds_each_of_its_windows_once_and_the_next_has_other_cuts(tmp_path):
    packed = Packed(stored(tmp_path / "s"), 8, seed=5)
    n, phases = packed.samples_per_epoch, set()
    for epoch in range(6):
        starts = np.sort(packed.starts(epoch * n, n))
        assert np.all(np.diff(starts) == 8)
        assert starts[-1] + 9 <= len(packed.store)
        phases.add(int(starts[0]))
    assert len(phases) > 1 and max(phases) < 16


def test_shape_kind_and_shift_of_a_batch(tmp_path):
    batch = Packed(stored(tmp_path / "s"), 8, seed=0).batch(0, 5)
    assert batch.ids.shape == batch.targets.shape == batch.documents.shape == (5, 8)
    assert (batch.ids.dtype, batch.targets.dtype, batch.documents.dtype) == (
        torch.int64,
        torch.int64,
        torch.int32,
    )
    assert torch.equal(batch.ids[:, 1:], batch.targets[:, :-1])


@pytest.mark.parametrize("shard_tokens", [1 << 20, 11])
def test_documents_rise_exactly_where_the_end_token_stands(tmp_path, shard_tokens):
    batch = Packed(stored(tmp_path / "s", shard_tokens=shard_tokens), 16, seed=1).batch(0, 60)
    begins = (batch.ids == 0).int()
    begins[:, 0] = 0
    assert torch.equal(batch.documents, begins.cumsum(1).int())
    assert batch.documents.max() > 0


def test_no_target_lies_in_another_document_except_the_end_token_itself(tmp_path):
    store = stored(tmp_path / "s")
    batch = Packed(store, 16, seed=1).batch(0, 60)
    same = batch.documents[:, 1:] == batch.documents[:, :-1]
    assert torch.all(batch.targets[:, :-1][~same] == 0)
    assert torch.all(batch.targets[:, :-1][same] != 0)


def test_a_typed_end_token_inside_a_document_does_not_split_it(tmp_path):
    """Borders come from the index, not from the id."""
    write(tmp_path / "s", [[5, 0, 6, 7, 8, 9, 10]], 20, 0)
    batch = next(whole(Store(tmp_path / "s"), 7))
    assert batch.documents[0].tolist() == [0] * 7


@pytest.mark.parametrize("tokens", [9, 10, 16, 17, 18, 24, 25, 40])
def test_every_short_store_gives_windows_inside_of_it(tmp_path, tokens):
    write(tmp_path / "s", [list(range(1, tokens))], 100, 0)
    packed = Packed(Store(tmp_path / "s"), 8, seed=0)
    starts = packed.starts(0, 200)
    assert starts.min() >= 0 and starts.max() + 9 <= tokens
    covered = {start + step for start in starts.tolist() for step in range(9)}
    assert covered == set(range(tokens))


def test_a_store_too_short_for_one_sample_says_both_numbers(tmp_path):
    write(tmp_path / "s", [[1, 2, 3]], 10, 0)
    with pytest.raises(DataError, match=r"holds 4 tokens, too few for one sample of 4 \+ 1.*at most 3"):
        Packed(Store(tmp_path / "s"), 4, seed=0)


@pytest.mark.parametrize("context", [1, 5, 8, 1000])
@pytest.mark.parametrize("size", [1, 3])
def test_whole_asks_for_each_token_after_the_first_exactly_once(tmp_path, context, size):
    store = stored(tmp_path / "s", documents=9)
    seen, rows = [], 0
    for batch in whole(store, context, size):
        rows += len(batch.ids)
        asked = batch.targets != -100
        seen += batch.targets[asked].tolist()
        assert torch.all(batch.ids[~asked & (batch.ids != store.end)] >= 0)
        assert torch.all(batch.documents[:, 1:] >= batch.documents[:, :-1])
    assert seen == store.read(1, len(store)).tolist()
    assert rows == -(-(len(store) - 1) // context)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 100, 1023])
def test_permuted_is_a_permutation_of_every_size(count):
    for key in (1, 2, 2**64 - 1):
        result = permuted(np.arange(count), count, np.full(count, key, dtype=np.uint64))
        assert sorted(result.tolist()) == list(range(count))


def test_permuted_looks_like_chance():
    """Over many keys each number lands anywhere alike: a chi-squared far from what a pattern would give."""
    count, trials = 10, 5000
    keys = np.random.default_rng(0).integers(0, 2**63, trials).astype(np.uint64)
    for number in (0, 4, 9):
        landed = permuted(np.full(trials, number), count, keys)
        observed = np.bincount(landed, minlength=count)
        chi = ((observed - trials / count) ** 2 / (trials / count)).sum()
        assert chi < 27.9  # 9 degrees of freedom, p = 0.001


def test_neighbours_are_torn_apart():
    count = 10_000
    result = permuted(np.arange(count), count, np.full(count, 7, dtype=np.uint64))
    assert abs(np.corrcoef(np.arange(count), result)[0, 1]) < 0.05
    assert np.mean(np.abs(np.diff(result)) < 10) < 0.01
