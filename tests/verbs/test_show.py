"""`upwell show` on folders and on sizes, as a person and as a machine reads it."""

import json

import pytest

from upwell.cli import main
from upwell.model import hub, preset
from upwell.model.sizes import Sizes


def test_a_new_model_is_shown_before_it_exists(capsys):
    assert main(["show", "llama", "--width", "64", "--layers", "3", "--heads", "4", "--kv-heads", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    config = preset.config(Sizes("llama", 64, 3, 4, 2), 4096, 256, 0)
    assert found["parameters"] == preset.count(preset.create(config, 1)) and found["length"] == 256
    assert sum(p["times"] * p["parameters"] for p in found["parts"] if p["depth"] == 0) == found["parameters"]
    assert found["serving_bytes"]["int4"]["weights"] < found["serving_bytes"]["bfloat16"]["weights"]


def test_a_folder_is_shown_as_tables(capsys, tmp_path):
    config = preset.config(Sizes("gpt2", 64, 2, 4), 97, 32, 0)
    model = preset.create(config, 1)
    hub.save(hub.Checkpoint(model, None, config), tmp_path)
    assert main(["show", str(tmp_path), "--batch", "2", "--optimizer", "adamw"]) == 0
    shown = capsys.readouterr().out
    assert f"{preset.count(model):,}" in shown and "blocks 0-1" in shown and "training, adamw" in shown


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["nonsense"], "neither a folder nor a family"), (["llama", "--batch", "0"], "batch is 0"),
     (["llama", "--width", "65"], "width 65 cannot")],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(capsys, argv, words):
    assert main(["show", *argv]) == 2
    assert words in capsys.readouterr().err
