"""The token store: what goes in comes out, across shards, and damage is named."""

import json

import numpy as np
import pytest

from upwell.errors import DataError, ServiceError
from upwell.tokens import store as store_room
from upwell.tokens.store import Store, write


def some_documents(count=50, vocab=300, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, vocab, rng.integers(1, 40)).tolist() for _ in range(count)]


def flat(documents, end=0):
    return [token for ids in documents for token in [end, *ids]]


@pytest.mark.parametrize("shard_tokens", [1 << 20, 64, 7])
def test_documents_come_back_whole_whatever_the_size_of_a_shard(tmp_path, shard_tokens):
    documents = some_documents()
    write(
        tmp_path / "s", iter(documents), 300, 0, text_bytes=123, tokenizer_hash="h", shard_tokens=shard_tokens
    )
    store = Store(tmp_path / "s")
    expected = flat(documents)
    assert len(store) == len(expected) and store.documents == 50
    assert store.read(0, len(store)).tolist() == expected
    assert [store.document(n).tolist() for n in range(50)] == documents
    for start, stop in [(0, 0), (5, 9), (60, 70), (len(expected) - 3, len(expected))]:
        assert store.read(start, stop).tolist() == expected[start:stop]
    assert (store.text_bytes, store.tokenizer, store.end, store.vocab_size) == (123, "h", 0, 300)
    assert len(list((tmp_path / "s").glob("*.bin"))) == -(-len(expected) // shard_tokens)


def test_small_buffers_write_the_same_bytes_as_one_large_one(tmp_path, monkeypatch):
    write(tmp_path / "one", some_documents(), 300, 0, shard_tokens=100)
    monkeypatch.setattr(store_room, "BUFFER_TOKENS", 30)
    write(tmp_path / "two", some_documents(), 300, 0, shard_tokens=100)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(("vocab", "kind"), [(65_536, "<u2"), (65_537, "<u4")])
def test_the_highest_id_of_a_vocabulary_survives(tmp_path, vocab, kind):
    write(tmp_path / "s", [[vocab - 1, 1]], vocab, 0)
    store = Store(tmp_path / "s")
    assert store.dtype.str == kind and store.read(0, 3).tolist() == [0, vocab - 1, 1]


@pytest.mark.parametrize("wrong", [300, -1])
def test_an_id_outside_of_the_vocabulary_is_refused_and_nothing_is_left(tmp_path, wrong):
    with pytest.raises(DataError, match=f"document 2: token {wrong} .*300"):
        write(tmp_path / "s", [[1, 2], [wrong]], 300, 0)
    assert list(tmp_path.iterdir()) == []


def test_no_documents_are_refused_and_the_old_store_stays(tmp_path):
    write(tmp_path / "s", [[1, 2]], 10, 0)
    with pytest.raises(DataError, match="no document"):
        write(tmp_path / "s", [], 10, 0)
    assert Store(tmp_path / "s").read(0, 3).tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_new_store_takes_the_place_of_the_old_one(tmp_path):
    write(tmp_path / "s", [[1, 2]], 10, 0, shard_tokens=1)
    write(tmp_path / "s", [[3]], 10, 0)
    assert Store(tmp_path / "s").read(0, 2).tolist() == [0, 3]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "index.json",
        "starts.npy",
        "tokens-00000.bin",
    ]


def full_disk(*_, allow_pickle):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_sentence_and_leaves_the_old_store_whole(tmp_path, monkeypatch):
    write(tmp_path / "s", [[1, 2]], 10, 0)
    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(ServiceError, match="The disk is full.*nothing was changed"):
        write(tmp_path / "s", [[3, 4]], 10, 0)
    assert Store(tmp_path / "s").read(0, 3).tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_ctrl_c_while_writing_leaves_the_old_store_whole(tmp_path):
    def stopped():
        yield [3]
        raise KeyboardInterrupt

    write(tmp_path / "s", [[1, 2]], 10, 0)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "s", stopped(), 10, 0)
    assert Store(tmp_path / "s").read(0, 3).tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def damage_shard(folder):
    with open(folder / "tokens-00000.bin", "r+b") as file:
        file.truncate(3)
    return "tokens-00000.bin has 3 bytes, index.json says 12"


def damage_starts(folder):
    (folder / "starts.npy").write_bytes(b"\x93NUMPY")
    return "starts.npy cannot be read"


def damage_index(folder):
    (folder / "index.json").write_text('{"tokens": 1', encoding="utf-8")
    return "index.json is not a whole index"


def damage_counts(folder):
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    (folder / "index.json").write_text(json.dumps(index | {"documents": 5}), encoding="utf-8")
    return "starts.npy does not agree"


def lose_shard(folder):
    (folder / "tokens-00000.bin").unlink()
    return "tokens-00000.bin is missing"


@pytest.mark.parametrize("damage", [damage_shard, damage_starts, damage_index, damage_counts, lose_shard])
def test_damage_is_told_by_the_name_of_the_file(tmp_path, damage):
    write(tmp_path / "s", [[1, 2], [3, 4]], 10, 0)
    expected = damage(tmp_path / "s")
    with pytest.raises(DataError, match=expected):
        Store(tmp_path / "s")


def test_a_folder_that_is_no_store_says_so(tmp_path):
    with pytest.raises(DataError, match="is no token store"):
        Store(tmp_path)
