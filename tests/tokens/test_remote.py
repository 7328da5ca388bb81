"""A store at an fsspec address gives what the same store in a folder gives, by byte ranges, in bounded memory."""

import json
import sys

import numpy as np
import pytest
import torch

from tests.tokens.stores import stored
from upwell.errors import DataError, ServiceError
from upwell.tokens import remote
from upwell.tokens.batches import Packed
from upwell.tokens.packing import BestFit
from upwell.tokens.store import Store

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def both(tmp_path):
    """The same store in a folder and in memory."""
    local, name = stored(tmp_path / "s", documents=300, shard_tokens=1000), f"store-{tmp_path.name}"
    memory = fsspec.filesystem("memory")
    for path in (tmp_path / "s").iterdir():
        memory.pipe_file(f"/{name}/{path.name}", path.read_bytes())
    yield local, f"memory://{name}"
    memory.rm(f"/{name}", recursive=True)


def test_every_slice_is_the_same(both):
    local, address = both
    far = Store(address)
    assert len(far) == len(local) > 3000 and np.array_equal(far.starts, local.starts)
    for start, stop in [(0, 0), (0, 1), (5, 990), (990, 1010), (0, len(local)), (len(local) - 1, len(local))]:
        assert np.array_equal(far.read(start, stop), local.read(start, stop))
    assert np.array_equal(far.document(17), local.document(17))


@pytest.mark.parametrize("sampler", [Packed, BestFit])
def test_batches_are_the_same(both, sampler):
    local, address = both
    near, far = (sampler(store, 32, 1).batch(3, 20) for store in (local, Store(address)))
    for ours, theirs in zip(near, far, strict=True):
        assert torch.equal(ours, theirs)


def test_a_file_address_works_too(both):
    local, _ = both
    far = Store(local.folder.resolve().as_uri())
    assert np.array_equal(far.read(0, len(far)), local.read(0, len(local)))


def test_the_cache_is_bounded_and_spares_reading_twice(both, monkeypatch):
    folder, reads = remote.Folder(both[1], block=100, blocks=3), []
    cat = folder._files.cat_file

    def noted(path, start, end):
        reads.append(start)
        return cat(path, start=start, end=end)

    monkeypatch.setattr(folder._files, "cat_file", noted)
    whole = folder.range("tokens-00000.bin", 0, 2000)
    assert whole == (both[0].folder / "tokens-00000.bin").read_bytes() and len(folder._kept) == 3
    reads.clear()
    assert folder.range("tokens-00000.bin", 1750, 1990) == whole[1750:1990] and reads == []
    assert folder.range("tokens-00000.bin", 0, 10) == whole[:10] and reads == [0]


def test_damage_and_absence_are_told_by_the_address(both):
    memory, name = fsspec.filesystem("memory"), both[1].removeprefix("memory://")
    memory.pipe_file(f"/{name}/tokens-00000.bin", b"123")
    with pytest.raises(DataError, match=f"memory://{name}/tokens-00000.bin has 3 bytes"):
        Store(both[1])
    index = json.loads(memory.cat_file(f"/{name}/index.json"))
    memory.pipe_file(f"/{name}/index.json", json.dumps(index | {"documents": 7}).encode())
    with pytest.raises(DataError, match="starts.npy does not agree"):
        Store(both[1])
    with pytest.raises(DataError, match="memory://nothing-here is no token store"):
        Store("memory://nothing-here")


def test_an_unknown_protocol_and_a_missing_fsspec_are_one_sentence(monkeypatch):
    with pytest.raises(ServiceError, match="nosuch://x cannot be opened"):
        Store("nosuch://x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ServiceError, match="pip install fsspec"):
        Store("memory://x")


def test_a_network_that_fails_is_one_sentence(both, monkeypatch):
    far = Store(both[1])

    def broken(*_, **__):
        raise TimeoutError("no answer")

    monkeypatch.setattr(far._files._files, "cat_file", broken)
    with pytest.raises(ServiceError, match="cannot be read .TimeoutError: no answer.; look at the network"):
        far.read(0, 10)
