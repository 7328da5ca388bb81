"""Buckets: whole documents of about one length, each once an epoch, and a share of a batch has its shape."""

import numpy as np
import pytest
import torch

from tests.tokens.stores import asked, expected, stored
from upwell.errors import DataError
from upwell.tokens.buckets import Bucketed, Deal, Pairs
from upwell.tokens.store import Store


def test_an_epoch_holds_every_document_whole_and_at_most_a_batch_twice(tmp_path):
    store = stored(tmp_path / "s", documents=101)
    drawn = Bucketed(store, 64, rows=8, seed=1)
    for epoch in range(2):
        found = [pair for step in range(drawn.deal.batches) for pair in
                 asked(drawn.batch((epoch * drawn.deal.batches + step) * 8, 8))]  # fmt: skip
        assert set(found) == set(expected(store))
        assert drawn.samples_per_epoch - 101 == 3


def test_a_batch_holds_documents_of_about_one_length(tmp_path):
    drawn = Bucketed(stored(tmp_path / "s", documents=400, longest=200), 256, rows=8, seed=1)
    assert drawn.padding() < 0.08
    widths = {drawn.batch(8 * step, 8).ids.shape[1] for step in range(drawn.deal.batches)}
    assert len(widths) > 5 and all(width % 8 == 0 for width in widths)


def test_padding_is_seen_by_nobody_and_asks_nothing(tmp_path):
    batch = Bucketed(stored(tmp_path / "s"), 64, rows=5, seed=0).batch(0, 5)
    assert torch.equal(batch.documents == 1, batch.targets == -100)
    assert torch.all(batch.ids[batch.documents == 1] == 0) and torch.all(batch.ids[:, 0] == 0)


def test_a_part_of_a_batch_is_that_part_of_it(tmp_path):
    drawn, again = (Bucketed(stored(tmp_path / name), 64, rows=6, seed=2) for name in "ab")
    whole = drawn.batch(60, 6)
    for ours, theirs in zip(again.samples(np.array([64, 62])), whole, strict=True):
        assert torch.equal(ours, theirs[[4, 2]])


def test_the_batches_of_another_epoch_are_dealt_anew():
    deal = Deal(np.array([10] * 40 + [90] * 40), rows=8, seed=0, step=8)
    both = deal.documents(np.arange(2 * deal.batches)).tolist()
    epochs = [{frozenset(batch) for batch in part} for part in (both[: deal.batches], both[deal.batches :])]
    assert deal.batches == 10 and epochs[0] != epochs[1]
    assert all(len({document // 40 for document in batch}) == 1 for epoch in epochs for batch in epoch)


def test_longer_documents_are_refused_by_number_and_cut_only_by_wish(tmp_path):
    store = stored(tmp_path / "s", documents=40, longest=30)
    longer = int((np.diff(store.starts) > 16).sum())
    with pytest.raises(DataError, match=f"{longer} of 40 documents are longer than the context of 16"):
        Bucketed(store, 16, rows=4, seed=0)
    assert Bucketed(store, 16, rows=4, seed=0, cut=True).batch(0, 40).ids.shape[1] <= 16


def test_pairs_stay_pairs_and_no_document_is_lost(tmp_path):
    source, target = stored(tmp_path / "a", seed=1), stored(tmp_path / "b", seed=2, first=3000)
    drawn, seen = Pairs(source, target, 64, rows=4, seed=0), set()
    for step in range(drawn.deal.batches):
        batch = drawn.batch(4 * step, 4)
        assert batch.source.shape == batch.source_mask.shape and batch.ids.shape == batch.targets.shape
        for row in range(4):
            read = batch.source[row][batch.source_mask[row]].tolist()
            said = batch.targets[row][batch.targets[row] != -100].tolist()
            number = next(n for n in range(40) if source.document(n).tolist() == read[:-1])
            assert read[-1] == said[-1] == 0 and target.document(number).tolist() == said[:-1]
            assert batch.ids[row, : len(said)].tolist() == [0, *said[:-1]]
            seen.add(number)
    assert seen == set(range(40))


def test_stores_that_are_no_pairs_are_refused(tmp_path):
    with pytest.raises(DataError, match="40 documents and .*41"):
        Pairs(stored(tmp_path / "a"), stored(tmp_path / "b", documents=41), 64, rows=4, seed=0)


def test_a_store_of_one_document_gives_full_batches(tmp_path):
    stored(tmp_path / "s", documents=1)
    assert len(Bucketed(Store(tmp_path / "s"), 64, rows=4, seed=0).batch(0, 4).ids) == 4
