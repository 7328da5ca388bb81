"""Rows of examples: kept once, dealt so that every sample is a function of its number, and packed without a loss."""

import numpy as np
import pytest

from tests.objectives import given
from upwell.errors import DataError
from upwell.objectives import _rows
from upwell.objectives._frames import Frame


def made(count):
    return lambda: (([n] * (n % 5), [n]) for n in range(count))


COLUMNS = {"some": np.uint32, "one": np.int64}


@pytest.fixture(scope="module")
def tokenizer():
    return given.bytes_with_chat()


@pytest.fixture
def part(tokenizer, tmp_path):
    return given.part(tmp_path / "s", [{"text": "a", "label": "x"}], tokenizer, cache=tmp_path / "cache")


def test_a_kept_table_is_the_one_in_memory(part):
    on_disk = _rows.kept(part, "t", [1], COLUMNS, made(20))
    in_memory = _rows.kept(part._replace(cache=None), "t", [1], COLUMNS, made(20))
    again = _rows.kept(part, "t", [1], COLUMNS, None)  # not made anew
    for table in (in_memory, again):
        for name in COLUMNS:
            assert all(np.array_equal(on_disk[name][row], table[name][row]) for row in range(20))
            assert table[name].values.dtype == COLUMNS[name]
    assert on_disk["some"].lengths.tolist() == [n % 5 for n in range(20)]


@pytest.mark.parametrize("change", [{"context": 9}, {"template": given.CHATML}])
def test_another_context_template_or_setting_is_another_table(change, part):
    _rows.kept(part, "t", [1], COLUMNS, made(3))
    assert len(_rows.kept(part._replace(**change), "t", [1], COLUMNS, made(4))["one"].lengths) == 4
    assert len(_rows.kept(part, "t", [2], COLUMNS, made(5))["one"].lengths) == 5


def test_the_file_of_the_documents_decides_where_it_lies_beside_the_store(part, tmp_path):
    (tmp_path / "s.jsonl").write_text("one", encoding="utf-8")
    _rows.kept(part, "t", [1], COLUMNS, made(3))
    (tmp_path / "s.jsonl").write_text("two", encoding="utf-8")
    assert len(_rows.kept(part, "t", [1], COLUMNS, made(4))["one"].lengths) == 4


def test_a_fault_on_the_way_leaves_no_table_behind(part, tmp_path):
    def broken():
        yield [1], [1]
        raise DataError("a.jsonl:2: no")

    with pytest.raises(DataError):
        _rows.kept(part, "t", [1], COLUMNS, broken)
    assert not [path for path in (tmp_path / "cache").glob("**/*") if path.is_file()]


def test_a_table_that_was_cut_short_is_told(part, tmp_path):
    _rows.kept(part, "t", [1], COLUMNS, made(20))
    (file,) = (tmp_path / "cache").glob("*/some.bin")
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(DataError, match="some.bin has 156 bytes, expected 160; remove .* so that it is made anew"):
        _rows.kept(part, "t", [1], COLUMNS, None)


@pytest.mark.parametrize("count", [1, 5, 37])
def test_an_epoch_of_buckets_holds_every_example_and_any_sample_can_be_had_alone(count):
    lengths = np.arange(count) % 17 + 1
    sampler = _rows.Bucketed(lengths, 4, 3, 64, lambda chosen, together: (chosen, together))
    epoch = [sampler.batch(first, 4)[0] for first in range(0, sampler.samples_per_epoch, 4)]
    assert set(np.concatenate(epoch).tolist()) == set(range(count))
    for number in (0, 3, sampler.samples_per_epoch + 1):
        alone, together = sampler.samples(np.array([number]))
        assert alone[0] == sampler.batch(number // 4 * 4, 4)[0][number % 4]
        assert set(together) == set(sampler.batch(number // 4 * 4, 4)[0])
    assert np.concatenate([chosen for chosen, _ in sampler.whole(3)]).tolist() == list(range(count))


def test_packed_rows_hold_every_example_once_an_epoch_and_never_too_many_tokens():
    lengths = np.random.default_rng(0).integers(1, 31, 500)
    sampler = _rows.Packed(lengths, 32, 7, lambda rows: rows)
    epochs = [sampler.batch(n * sampler.samples_per_epoch, sampler.samples_per_epoch) for n in (0, 1)]
    for rows in (*epochs, [row for some in sampler.whole(7) for row in some]):
        assert sorted(np.concatenate(rows).tolist()) == list(range(500))
        assert all(lengths[row].sum() <= 32 for row in rows)
    assert [row.tolist() for row in epochs[0]] != [row.tolist() for row in epochs[1]]
    assert sum(lengths) / (sampler.samples_per_epoch * 32) > 0.95


def test_frames_are_those_of_the_tokenizers_own_files():
    words, letters = given.wordpiece(), given.bytes_with_chat()
    assert Frame(words).one(words.encode("the sea")) == words.encode_source("the sea")
    both, second = Frame(words).two(words.encode("the sea"), words.encode("海"))
    assert both == words.inner.encode("the sea", "海").ids and both[second:] == [*words.encode("海"), 3]
    assert Frame(letters).one([7]) == [0, 7] and Frame(letters).two([7], [8]) == ([0, 7, 0, 8], 3)
    assert Frame(words, given.decoder(words.vocab_size, end=4)).one([7]) == [4, 7]
