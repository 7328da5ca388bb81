"""Weights that are written one tensor after the other are the files that are written at once."""

import json
import weakref

import pytest
import torch
from safetensors.torch import load_file

from upwell.model import hub, preset, streamed
from upwell.model.sizes import Sizes


def made(family, **more):
    config = preset.config(Sizes(family=family, width=32, layers=2, heads=2, **more), 70, 16, 0)
    return preset.create(config, seed=3)


@pytest.mark.parametrize("family", ["nanochat", "llama", "gpt2", "bert", "modernbert", "t5", "bart"])
def test_a_streamed_folder_holds_the_same_tensors_and_settings(family, tmp_path):
    model = made(family)
    checkpoint = hub.Checkpoint(model, None, model.config)
    weights = model.state_dict()
    asked = []
    hub.save(checkpoint, tmp_path / "once")
    hub.save(checkpoint, tmp_path / "streamed", read=lambda name: asked.append(name) or weights[name])
    once, after = (load_file(tmp_path / part / "model.safetensors") for part in ("once", "streamed"))
    assert once.keys() == after.keys() and all(torch.equal(once[name], after[name]) for name in once)
    assert (tmp_path / "once/config.json").read_bytes() == (tmp_path / "streamed/config.json").read_bytes()
    assert asked == streamed.names(model.config) and sorted(asked) == sorted(weights)


def test_many_files_have_an_index_and_load_as_one(tmp_path):
    model = made("llama")
    weights = model.state_dict()
    hub.save(hub.Checkpoint(model, None, model.config), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    names = streamed.write(model.config, weights.__getitem__, tmp_path, torch.bfloat16, largest=20_000)
    index = json.loads((tmp_path / names[-1]).read_text())
    assert len(names) > 3 and set(index["weight_map"].values()) == set(names[:-1])
    assert all((tmp_path / name).stat().st_size < 25_000 for name in names)
    found = hub.load(tmp_path).model.state_dict()
    assert all(torch.equal(found[name], weights[name].bfloat16()) for name in weights)


def test_no_more_than_one_tensor_is_held(tmp_path):
    model = made("llama")
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    earlier = []

    def read(name):
        assert sum(found() is not None for found in earlier) <= 1  # the one before, until its name is taken
        found = torch.zeros(shapes[name])
        earlier.append(weakref.ref(found))
        return found

    streamed.write(model.config, read, tmp_path)
    assert len(earlier) == len(shapes) and (tmp_path / "model.safetensors").exists()
