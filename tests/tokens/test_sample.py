"""The sample of a corpus: bounded, the same in any order, and whole where it fits."""

import random

from upwell.tokens import sample as sample_room
from upwell.tokens.sample import sampled

TEXTS = [(f"text {n} " + "x" * (n % 37), n) for n in range(500)]


def test_the_same_texts_in_any_order_give_the_same_sample():
    first = sampled(TEXTS, 3000)
    for seed in range(5):
        mixed = random.Random(seed).sample(TEXTS, len(TEXTS))
        assert sorted(sampled(mixed, 3000).texts) == sorted(first.texts)
    assert 2500 < first.kept <= 3000 and first.documents == 500
    assert "of 500 documents" in first.told and "lowest hashes" in first.told


def test_texts_keep_their_order_and_their_labels():
    found = sampled(TEXTS, 3000)
    assert found.labels == sorted(found.labels)
    assert [TEXTS[label][0] for label in found.labels] == found.texts


def test_a_larger_room_holds_the_smaller_sample():
    assert set(sampled(TEXTS, 2000).texts) < set(sampled(TEXTS, 4000).texts)


def test_what_fits_is_kept_whole_and_unchanged():
    found = sampled(TEXTS, 10**9)
    assert found.texts == [text for text, _ in TEXTS] and found.told.startswith("all of it: 500 documents")


def test_repeated_texts_are_all_there_or_none():
    for room in range(100, 2000, 100):
        found = sampled([("same text", None)] * 50 + TEXTS[:50], room)
        assert found.texts.count("same text") in (0, 50)


def test_a_long_text_counts_piece_by_piece_and_is_whole_again_where_all_fit(monkeypatch):
    monkeypatch.setattr(sample_room, "PIECE", 100)
    long = "".join(f"line {n}\n" for n in range(100))
    assert sampled([(long, "a")], 10**6).texts == [long]
    part = sampled([(long, "a")], 500)
    assert part.texts and all(text in long for text in part.texts) and part.kept <= 500


def test_half_a_surrogate_pair_is_no_crash():
    assert sampled([("\ud800", None)], 100).texts == ["\ud800"]
