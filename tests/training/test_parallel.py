"""A step is the same step on any number of processes, whether each holds the weights or all of them together."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from upwell.errors import SettingsError
from upwell.training import parallel


def neighbour(name):
    """A module beside this one; tests are no package."""
    spec = importlib.util.spec_from_file_location(f"training_{name}", Path(__file__).with_name(f"{name}.py"))
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


together, worker = neighbour("together"), neighbour("worker")
WAYS = [(2, 1), (2, 2), *(pytest.param((size, shards), marks=pytest.mark.slow) for size, shards in
        ((4, 1), (4, 4), (4, 2), (3, 3)))]  # fmt: skip
"""Processes, and how many of them divide one copy of the weights."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds, without micro-batches."""
    folder, group = tmp_path_factory.mktemp("alone"), parallel.Alone()
    return folder, {"gradients": worker.gradients(folder, group, micro=0), "opened": worker.opened(folder, group)}


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[0]} processes, {way[1]} shards")
def several(request, tmp_path_factory):
    """What several find: their folder, and what each gives back."""
    folder = tmp_path_factory.mktemp("several")
    return folder, together.together(request.param[0], "step", folder, shards=request.param[1])


def test_loss_length_and_gradients_are_those_of_one_process(alone, several):
    (one, expected), (folder, found) = alone, several
    assert all(each["gradients"] == found[0]["gradients"] for each in found)
    for key, (loss, norm, tokens, names) in expected["gradients"].items():
        near, said = 1e-10 if "float64" in key else 1e-5, found[0]["gradients"][key]
        assert said[:2] == pytest.approx([loss, norm], rel=near) and said[2:] == [tokens, names]
        ours, theirs = load_file(folder / f"{key}.safetensors"), load_file(one / f"{key}.safetensors")
        largest = max(slope.abs().max() for slope in theirs.values())
        for name in names:
            scale = max(theirs[name].abs().max(), largest / 100)  # some, such as biases of keys, are 0 but for rounding
            assert (ours[name] - theirs[name]).abs().max() <= near * scale, (key, name)


def test_numbers_are_summed_told_and_shared(several):
    found = [each["numbers"] for each in several[1]]
    size = len(found)
    assert [one["rank"] for one in found] == list(range(size))
    assert all(one["total"] == [size * (size - 1) / 2, size] for one in found)
    assert all(one["told"] == 3.5 and one["any"] == [True, False] for one in found)
    assert sum((one["share"] for one in found), []) == list(range(7))
    assert {len(one["pieces"]) for one in found} == {-(-7 // size)}
    rows = [sum(stop - start for start, stop in one["pieces"]) for one in found]
    assert rows == [len(one["share"]) for one in found]  # with an empty piece where there are fewer


def test_a_model_can_be_called_in_any_way_between_two_steps(alone, several):
    for each in several[1]:
        assert each["opened"] == pytest.approx(alone[1]["opened"], rel=1e-5)


@pytest.mark.parametrize("rows, micro", [(8, 0), (8, 3), (1, 1), (5, 2)])
def test_pieces_of_one_process_cover_its_rows(rows, micro):
    pieces = parallel.Alone().pieces(rows, micro)
    assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(rows))
    assert all(piece.stop - piece.start <= (micro or rows) for piece in pieces)


def test_fewer_rows_than_processes_are_refused():
    group = parallel.Alone()
    group.size = 3
    with pytest.raises(SettingsError, match="rows is 2; expected at least one row for each of 3"):
        group.share(2)


def test_shards_that_do_not_divide_the_processes_are_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingsError, match="shards is 3; expected .* divisor of 4"):
        parallel.join("cpu", shards=3)


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    group = parallel.join("cpu", shards=0)
    assert (group.rank, group.size, group.main, group.total([2]), group.any(1)) == (0, 1, True, [2.0], True)


def test_matrices_are_handed_whole_to_a_function_where_they_are_not_divided():
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(parallel.together(x, x[0], lambda t: t * 2), x * 2)
