"""States that several processes write are whole or not there, fit any number of processes, and outlive a kill."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from upwell.errors import CheckpointError, ServiceError
from upwell.model import hub
from upwell.training import parallel, sharded, state


def neighbour(name):
    """A module beside this one; tests are no package."""
    spec = importlib.util.spec_from_file_location(f"training_{name}", Path(__file__).with_name(f"{name}.py"))
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


together, worker = neighbour("together"), neighbour("worker")
OPTIMIZERS = ["muon, nanochat", "adamw, bart", "adafactor, llama, tied", "sgd, t5", "muon, llama, adapted"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """One process's six steps: their losses and lengths, and the last weights."""
    folder = tmp_path_factory.mktemp("unbroken")
    return worker.train(folder, parallel.Alone(), average=0.9)["told"], load_file(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A folder with the state that two processes, each with half of the weights, saved after step 4 of 6."""
    folder = tmp_path_factory.mktemp("halfway")
    together.together(2, "train", folder, shards=2, save=2, until=4, average=0.9)
    return folder


@pytest.fixture
def resumed(halfway, tmp_path):
    """A copy of that folder to go on in."""
    shutil.copytree(halfway / "state", tmp_path / "state")
    return tmp_path


def check(told, folder, unbroken, first=4):
    assert [line[0] for line in told] == list(range(first + 1, 7))
    for ours, theirs in zip(told, unbroken[0][first:], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    weights = load_file(folder / "weights.safetensors")
    assert weights.keys() == unbroken[1].keys()
    assert all(torch.allclose(weights[name], unbroken[1][name], rtol=1e-4, atol=1e-5) for name in weights)


# ---- optimizers ----


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return folder, worker.optimizers(folder, parallel.Alone())


@pytest.mark.parametrize(
    "size, shards", [(2, 2), *(pytest.param(*way, marks=pytest.mark.slow) for way in ((2, 1), (4, 2), (3, 3)))])
def test_five_steps_of_every_optimizer_are_those_of_one_process(alone, tmp_path, size, shards):
    found = together.together(size, "optimizers", tmp_path, shards=shards)
    for key in OPTIMIZERS:
        assert all(each[key] == found[0][key] for each in found)
        for ours, theirs in zip(found[0][key], alone[1][key], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-10)
        ours, theirs = (load_file(folder / key / "weights.safetensors") for folder in (tmp_path, alone[0]))
        assert ours.keys() == theirs.keys()
        assert all(torch.allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-11) for name in theirs), key


# ---- on any number of processes ----


def test_a_state_has_a_file_of_each_process_and_older_ones_go(halfway):
    names = sorted(path.name for path in (halfway / "state").rglob("*"))
    assert names == ["rank-00000-of-00002.safetensors", "rank-00001-of-00002.safetensors", "state.json",
                     "step-00000004"]  # fmt: skip
    sizes = [path.stat().st_size for path in (halfway / "state").rglob("*.safetensors")]
    assert max(sizes) < 1.1 * min(sizes)
    assert state.newest(halfway).name == "step-00000004" and state.facts(state.newest(halfway))["step"] == 4


def test_two_halves_go_on_in_one_process(resumed, unbroken):
    check(worker.train(resumed, parallel.Alone(), average=0.9)["told"], resumed, unbroken)


@pytest.mark.slow
def test_two_halves_go_on_as_two_copies_and_their_state_in_one_process(resumed, unbroken):
    told = together.together(2, "train", resumed, shards=1, save=1, until=5, average=0.9)[0]["told"]
    assert told[0] == pytest.approx(unbroken[0][4], rel=1e-5)
    check(worker.train(resumed, parallel.Alone(), average=0.9)["told"], resumed, unbroken, first=5)


@pytest.mark.slow
@pytest.mark.parametrize("size, shards", [(2, 2), (3, 3), (4, 2), (4, 1)])
def test_two_halves_go_on_in_more_processes(resumed, unbroken, size, shards):
    check(together.together(size, "train", resumed, shards=shards, average=0.9)[0]["told"], resumed, unbroken)


def test_the_state_of_one_process_goes_on_in_two_halves(tmp_path, unbroken):
    s = worker.settings_of("muon", 6, average=0.9)
    one = state.begin(worker.model_of("nanochat", parallel.Alone()), s)

    def stop_and_save(one, report):
        if report.step == 3:
            state.save(one, tmp_path)
            raise worker.Left

    with pytest.raises(worker.Left):
        worker.loop.train(one, worker.Sampler(), worker.OBJECTIVE, None, s, every=[(1, stop_and_save)])
    assert (tmp_path / "state/step-00000003/optimizer.safetensors").exists()
    found = together.together(2, "train", tmp_path, shards=2, average=0.9)
    check(found[0]["told"], tmp_path, unbroken, first=3)


def test_an_ordinary_folder_is_written_from_a_state_tensor_by_tensor(halfway, tmp_path):
    model = worker.model_of("nanochat", parallel.Alone())
    checkpoint = hub.Checkpoint(model, None, model.config)
    with sharded.Reader(state.newest(halfway)) as reader:
        hub.save(checkpoint, tmp_path, read=lambda name: reader.whole(f"model.{name}"))
        expected = {name: reader.whole(f"model.{name}") for name in model.state_dict()}
    loaded = hub.load(tmp_path).model.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert not torch.equal(expected["embed.weight"], model.embed.weight)


# ---- what is not whole ----


def test_a_missing_file_is_named(resumed):
    path = state.newest(resumed)
    (path / "rank-00001-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="found 1 files of a state of 2"):
        worker.train(resumed, parallel.Alone(), average=0.9)


def test_a_damaged_file_is_named(resumed):
    path = state.newest(resumed) / "rank-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="rank-00001-of-00002.safetensors: truncated or damaged"):
        worker.train(resumed, parallel.Alone(), average=0.9)


def test_the_state_of_another_model_is_refused(resumed):
    with pytest.raises(CheckpointError, match="belongs to another model or optimizer"):
        worker.train(resumed, parallel.Alone(), optimizer="adamw", average=0.9)


def test_a_half_written_state_of_a_killed_run_is_cleared_and_never_read(tmp_path):
    left = tmp_path / "state/.step-00000009.partial-0000000abc"
    left.mkdir(parents=True)
    assert state.newest(tmp_path) is None
    sharded.Saver(tmp_path, parallel.Alone()).close()
    assert list((tmp_path / "state").iterdir()) == []


def test_a_full_disk_of_one_process_is_told_by_all_and_the_state_before_stays(tmp_path):
    ended = together.end(together.start(2, "train", tmp_path, shards=2, save=2, full=1))
    assert [code for code, *_ in ended] == [1, 1]
    said = [errors.strip().splitlines()[-1] for _, _, errors in ended]
    assert "another process could not write its part" in said[0] and "The disk is full" in said[1]
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000002"]


def test_one_process_saves_in_the_background_too(tmp_path):
    saver, group = sharded.Saver(tmp_path, parallel.Alone()), parallel.Alone()
    one = state.begin(worker.model_of("nanochat", group), worker.settings_of("muon", 3))
    before = one.model.embed.weight.detach().clone()
    saver.save(one)
    one.model.embed.weight.data.zero_()  # the run goes on; what is written is what was
    saver.close()
    with sharded.Reader(state.newest(tmp_path)) as reader:
        assert torch.equal(reader.whole("model.embed.weight"), before)


def test_a_folder_that_not_all_processes_see_is_refused(tmp_path):
    class Blind(parallel.Alone):
        def any(self, flag):
            return True

    with pytest.raises(ServiceError, match="a file system that all machines share"):
        sharded.Saver(tmp_path, Blind())


# ---- a process that dies ----


def launched(folder, restarts, **settings):
    """The command that torchrun is."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
             "--master-port", str(together.free_port()), "--max-restarts", str(restarts), "--monitor-interval", "0.2",
             str(together.WORKER), "train", str(folder), json.dumps(settings)]  # fmt: skip
    return subprocess.run(words, capture_output=True, text=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("shards", [1, 2])
def test_a_process_killed_in_the_middle_is_started_again_and_the_curve_is_the_unbroken_one(tmp_path, unbroken, shards):
    whole = together.together(2, "train", tmp_path / "whole", shards=shards, average=0.9)[0]["told"]
    done = launched(tmp_path, 2, shards=shards, save=2, dies=5, average=0.9)
    assert done.returncode == 0, done.stderr[-3000:]
    first = next(int(path.stem.removeprefix("from-")) for path in tmp_path.glob("from-*.json"))
    told = json.loads((tmp_path / f"from-{first}.json").read_text())
    assert first in (2, 4) and told == whole[first:]  # bit for bit, with as many processes
    check(told, tmp_path, unbroken, first)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_where_a_process_dies_the_others_end_with_one_sentence(tmp_path):
    begin = time.monotonic()
    ended = together.end(together.start(2, "train", tmp_path, shards=2, save=2, dies=5))
    assert ended[1][0] == -signal.SIGKILL and ended[0][0] == 1
    said = ended[0][2].strip().splitlines()[-1]
    assert said.startswith("SAID Process 0 of 2: another process of the run does not answer any more")
    assert "the same command goes on from it" in said and time.monotonic() - begin < 55  # at once, not after 600 s
    assert state.newest(tmp_path) is not None


@pytest.mark.slow
def test_where_a_process_is_silent_the_others_end_after_their_patience(tmp_path, monkeypatch):
    monkeypatch.setenv("PATIENCE", "0.3")
    processes = together.start(2, "silent", tmp_path)
    try:
        _, said = processes[0].communicate(timeout=90)
    finally:
        together.end(processes[1:], 0.1) if processes[1].poll() is not None else processes[1].kill()
        processes[1].wait()
    assert processes[0].returncode == 1 and "does not answer any more" in said.strip().splitlines()[-1]
