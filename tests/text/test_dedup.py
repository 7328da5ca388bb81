"""Repetitions are found by their true similarity, compared with counting all pairs."""

import itertools
import json
import random
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from upwell.text import dedup, signatures
from upwell.text.runner import Local
from upwell.text.signatures import similarity

CHINESE = (
    "春江潮水连海平海上明月共潮生滟滟随波千万里何处春江无月明江流宛转绕芳甸月照花林皆似霰空里流霜不觉飞汀上白沙看不见"
)


class Repeat(NamedTuple):
    first: int
    similarity: float
    exact: bool


def duplicates(texts, threshold=0.8, block=50, parts=1):
    """Number of each text that repeats an earlier, kept one -> Repeat; `block` texts to a block."""
    with tempfile.TemporaryDirectory() as folder:
        stored = [stored_block(folder, texts[first : first + block], first) for first in range(0, len(texts), block)]
        found = dedup.repeats(stored, Local(1), Path(folder), threshold, parts)
    return {number: Repeat(int(found.first[number]), pytest.approx(float(found.similarity[number]), abs=1e-6),
                           found.state[number] == dedup.EXACT)
            for number in np.flatnonzero(found.state).tolist()}  # fmt: skip


def stored_block(folder, texts, first):
    path, keys = f"{folder}/{first:06}", dedup.Keys(near=True)
    lines = [json.dumps({"text": text, "source": "x"}).encode() + b"\n" for text in texts]
    Path(f"{path}.docs.jsonl").write_bytes(b"".join(lines))
    np.save(f"{path}.offset.npy", np.cumsum([0, *map(len, lines)]))
    keys.add([text.encode("utf-8", "surrogatepass") for text in texts], signatures.units(texts))
    keys.save(path)
    return dedup.Block(path, first, len(texts))


def sentences(seed, words=120, vocabulary=400):
    rng = random.Random(seed)
    return [f"word{rng.randrange(vocabulary)}" for _ in range(words)]


def changed(words, count, seed):
    rng, words = random.Random(seed), list(words)
    for place in rng.sample(range(len(words)), count):
        words[place] = f"other{rng.randrange(10**6)}"
    return words


def plain_similarity(one, other):
    """The same figure by sets of word tuples."""
    sets = [{tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_similarity_is_the_jaccard_index_of_five_word_shingles():
    for seed in range(10):
        one = sentences(seed)
        other = changed(one, seed, seed)
        assert similarity(" ".join(one), ", ".join(other).upper()) == pytest.approx(plain_similarity(one, other))


def test_exact_repetitions_are_found_whatever_the_white_space():
    found = duplicates(["a b  c", "x", "a\nb c", "A b c", "a b c"], threshold=1.0)
    assert found == {2: Repeat(0, 1.0, exact=True), 4: Repeat(0, 1.0, exact=True)}


def test_near_repetitions_are_found_like_by_comparing_all_pairs():
    """Random families of texts; greedy comparison of all pairs by true similarity is the judge."""
    texts = []
    for family in range(30):
        base = sentences(family)
        texts += [base] + [changed(base, count, family * 10 + count) for count in (1, 2, 4, 9)]
    random.Random(0).shuffle(texts)
    expected = {}
    for number, text in enumerate(texts):
        for earlier in range(number):
            if earlier not in expected and plain_similarity(text, texts[earlier]) >= 0.8:
                expected[number] = earlier
                break
    found = duplicates([" ".join(text) for text in texts])
    assert {number: repeat.first for number, repeat in found.items()} == expected
    assert all(repeat.similarity.expected >= 0.8 and not repeat.exact for repeat in found.values())
    assert len(expected) > 30


def test_chinese_is_compared_by_characters():
    other = CHINESE[:20] + "大" + CHINESE[21:]
    assert duplicates([CHINESE, other, CHINESE[::-1]]) == {1: Repeat(0, similarity(CHINESE, other), exact=False)}
    assert 0.8 < similarity(CHINESE, "，".join(other)) < 1


def test_texts_from_one_template_are_no_repetitions():
    texts = [f"{name} is a village in the district of {place}, {number} people." for name, place, number in zip(
        ["Abo", "Bevin", "Corra"], ["Leith", "Marr", "Nairn"], [10, 20, 30], strict=True)]  # fmt: skip
    assert duplicates(texts) == {}


def test_signs_and_empty_texts_do_not_match_each_other():
    assert duplicates(["...", "!?", "", "—"]) == {}
    assert duplicates(["", " "]) == {1: Repeat(0, 1.0, exact=True)}


def test_the_kept_text_is_never_itself_a_repetition_and_the_result_repeats():
    texts = [" ".join(changed(sentences(family), count, count)) for family in range(20) for count in (0, 1, 3, 6)]
    found = duplicates(texts)
    assert all(repeat.first not in found and repeat.first < number for number, repeat in found.items())
    assert list(found) == list(duplicates(texts)) == sorted(found)


def test_lone_surrogates_do_not_stop_it():
    assert duplicates(["a \ud800 b", "a \ud800 b"]) == {1: Repeat(0, 1.0, exact=True)}


def test_blocks_and_ranges_of_keys_do_not_change_the_result():
    texts = [" ".join(changed(sentences(family), count, count)) for family in range(20) for count in (0, 0, 1, 3, 6)]
    found = duplicates(texts)
    for block, parts in ((1, 1), (7, 3), (100, 16)):
        again = duplicates(texts, block=block, parts=parts)
        assert [(n, one.first, one.exact) for n, one in again.items()] == [
            (n, one.first, one.exact) for n, one in found.items()]  # fmt: skip


def test_sketches_estimate_the_similarity():
    one = sentences(1, words=600)
    for count in (5, 20, 60):
        other = changed(one, count, count)
        hashes, starts = signatures.shingles(signatures.units([" ".join(one), " ".join(other)]))
        first, second = signatures.sketches(hashes, starts)
        assert (first == second).mean() == pytest.approx(plain_similarity(one, other), abs=0.15)


def test_a_line_has_the_same_signature_wherever_it_stands_and_short_ones_have_none():
    texts = ["Share this page with friends\nshort", "x\n\nshare THIS page, with friends!\n分享这篇文章给朋友", "分享\n"]
    found = signatures.lines(signatures.units(texts)).tolist()
    assert [bool(line) for line in found] == [True, False, False, False, True, True, False, False]
    assert found[0] == found[4] != found[5]
    whole = signatures.lines(signatures.units(["\n".join(texts)] * 3)).tolist()
    assert whole == found * 3


def test_nothing_in_nothing_out():
    assert duplicates([]) == {}


def test_a_thousand_texts_of_one_family_do_not_take_for_ever():
    base = sentences(1)
    texts = [" ".join(changed(base, 12, seed)) for seed in range(1000)]
    found = duplicates(texts)
    for number, repeat in itertools.islice(found.items(), 5):
        assert similarity(texts[number], texts[repeat.first]) >= 0.8
