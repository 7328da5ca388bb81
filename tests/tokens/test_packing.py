"""Best-fit packing: every document whole, once an epoch, apart from its neighbours, and little room is wasted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.stores import asked, expected, stored
from upwell.errors import DataError
from upwell.tokens.packing import BestFit, best_fit
from upwell.tokens.store import Store, write


@pytest.mark.parametrize(("context", "longest", "look"), [(32, 30, 4096), (16, 30, 4096), (64, 30, 5), (7, 40, 3)])
@pytest.mark.parametrize("shard_tokens", [1 << 20, 11])
def test_an_epoch_asks_for_every_token_of_every_document_once(tmp_path, context, longest, look, shard_tokens):
    store = stored(tmp_path / "s", longest=longest, shard_tokens=shard_tokens)
    packed = BestFit(store, context, seed=1, look=look)
    for epoch in range(2):
        n = packed.samples_per_epoch
        assert sorted(asked(packed.batch(epoch * n, n))) == expected(store)


def test_no_document_that_fits_is_cut_and_each_has_a_number_of_its_own(tmp_path):
    store = stored(tmp_path / "s")
    batch = BestFit(store, 32, seed=0).batch(0, BestFit(store, 32, seed=0).samples_per_epoch)
    for ids, targets, documents in zip(*batch, strict=True):
        begins = (ids == 0) & (targets != -100)
        assert documents.tolist() == (begins.cumsum(0) - 1 + (targets == -100).int()).tolist()
    assert int(((batch.ids == 0) & (batch.targets != -100)).sum()) == store.documents


def test_empty_places_ask_nothing_and_are_a_document_of_their_own(tmp_path):
    write(tmp_path / "s", [[5, 6], [7, 8, 9]], 20, 0)
    batch = BestFit(Store(tmp_path / "s"), 8, seed=0).batch(0, 1)
    assert batch.ids.tolist() == [[0, 5, 6, 0, 7, 8, 9, 0]]
    assert batch.targets.tolist() == [[5, 6, 0, 7, 8, 9, 0, -100]]
    assert batch.documents.tolist() == [[0, 0, 0, 1, 1, 1, 1, 2]]


def test_a_longer_document_is_cut_into_rows_and_its_rest_is_packed(tmp_path):
    write(tmp_path / "s", [list(range(1, 12)), [50]], 60, 0)
    packed = BestFit(Store(tmp_path / "s"), 5, seed=0)
    rows = sorted(packed.batch(0, packed.samples_per_epoch).ids.tolist())
    assert rows == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 0, 50, 0]]
    assert packed.cut == 1 and packed.padding == pytest.approx(1 / 15)


def test_sample_i_is_the_same_alone_in_any_batch_and_in_a_new_process(tmp_path):
    packed = BestFit(stored(tmp_path / "s"), 16, seed=3)
    again, run = BestFit(Store(tmp_path / "s"), 16, seed=3), packed.batch(0, 150)
    for numbers in ([0], [7, 8, 9], [149, 3, 77]):
        for ours, theirs in zip(again.samples(np.array(numbers)), run, strict=True):
            assert torch.equal(ours, theirs[numbers])


def test_another_epoch_and_another_seed_have_another_order(tmp_path):
    store = stored(tmp_path / "s", documents=200)
    one, two = BestFit(store, 32, 1), BestFit(store, 32, 2)
    n = one.samples_per_epoch
    assert not torch.equal(one.batch(0, n).ids, one.batch(n, n).ids)
    assert not torch.equal(one.batch(0, n).ids, two.batch(0, n).ids)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_rows_never_overflow_and_no_two_of_them_could_be_one(lengths):
    rows = best_fit(np.array(lengths), 20)
    sums = np.bincount(rows, weights=lengths)
    assert sums.max() <= 20 and sums.min() > 0
    assert len(sums) < 2 or np.sort(sums)[:2].sum() > 20


def test_best_fit_finds_the_tightest_row():
    assert best_fit(np.array([6, 5, 5, 4]), 10).tolist() == [0, 1, 1, 0]
    assert best_fit(np.array([7, 6, 3, 4]), 10).tolist() == [0, 1, 0, 1]


def test_documents_of_usual_lengths_waste_less_than_two_in_a_hundred(tmp_path):
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(5.5, 1.0, 3000), 1, 5000).astype(int)
    write(tmp_path / "s", (np.ones(n, dtype=int) for n in lengths), 10, 0)
    assert BestFit(Store(tmp_path / "s"), 1024, seed=0).padding < 0.02


def test_a_packed_row_gives_each_document_the_logits_it_has_alone(tmp_path):
    from upwell.model import preset
    from upwell.model.sizes import Sizes

    store = stored(tmp_path / "s", documents=6, longest=9)
    model = preset.create(preset.config(Sizes(width=32, layers=2, heads=2), 60_000, 32, 0), 0).eval()
    batch = BestFit(store, 32, seed=0).batch(0, 1)
    with torch.no_grad():
        packed = model(batch.ids, documents=batch.documents)[0]
        for number in batch.documents[0].unique().tolist():
            own = batch.documents[0] == number
            torch.testing.assert_close(packed[own], model(batch.ids[0, own][None])[0], atol=1e-5, rtol=1e-4)


def test_a_context_of_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="context of 0"):
        BestFit(stored(tmp_path / "s"), 0, seed=0)
