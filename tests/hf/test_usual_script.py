"""The usual script runs as it is on folders of upwell's, and with one import changed; what it writes opens in both."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import upwell
from tests.hf import made
from upwell import hf, weights

SCRIPT = Path(__file__).with_name("usual_script.py")
CHANGED = "from upwell.hf import"
TEXTS = ["the river runs good and fine", "a dull and poor mill", "herons"]


def run(script, model, data, out, longest=32, environment=None):
    """Run a script on 200 examples; gives what it prints at its end, and all that it says."""
    words = [script, model, data / "train.jsonl", data / "test.jsonl", out, longest]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, encoding="utf-8",
                          env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = made.topics(260)
    made.lines(folder / "train.jsonl", rows[:200])
    made.lines(folder / "test.jsonl", rows[200:])
    return folder


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The script with its import replaced."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count("from transformers import") == 1
    path = tmp_path_factory.mktemp("script") / "changed.py"
    path.write_text(text.replace("from transformers import", CHANGED), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An environment in which transformers and datasets cannot be imported."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("transformers", "datasets"):
        (folder / f"{name}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(upwell.__file__).parents[1])])}


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return made.pretrained(tmp_path_factory.mktemp("masked"), "masked")


def opens_equally(folder):
    """The same logits in upwell and in transformers, padding included."""
    import transformers

    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    checkpoint = upwell.load(folder)
    with torch.no_grad():
        ours = checkpoint.model(rows["input_ids"], mask=rows["attention_mask"].bool())
        assert torch.allclose(theirs(**rows).logits, ours, atol=1e-5)
    assert checkpoint.config.head.labels == ("LABEL_0", "LABEL_1")
    assert checkpoint.config.head.problem == "single_label_classification"


def learnt(told):
    assert {"eval_loss", "eval_accuracy", "eval_runtime", "train_loss", "train_runtime", "epoch"} <= told.keys()
    assert told["epoch"] == 3


def test_the_script_runs_on_a_masked_model_of_upwells(tmp_path, data, masked):
    told, said = run(SCRIPT, masked, data, tmp_path / "out")
    learnt(told)
    complaints = [line for line in said.splitlines() if "[transformers]" in line and "LOAD REPORT" not in line]
    assert complaints == []
    opens_equally(tmp_path / "out")


def test_the_script_runs_with_one_import_changed_where_transformers_is_not(tmp_path, data, changed, alone, masked):
    told, _ = run(changed, masked, data, tmp_path / "out", environment=alone)
    learnt(told)
    opens_equally(tmp_path / "out")


@pytest.mark.slow
def test_both_scripts_run_on_a_causal_model_of_upwells(tmp_path, data, changed):
    folder = made.pretrained(tmp_path, "causal")
    for number, script in enumerate((SCRIPT, changed)):
        learnt(run(script, folder, data, tmp_path / f"{number}")[0])
        opens_equally(tmp_path / f"{number}")


@pytest.mark.slow
def test_both_scripts_run_on_minilm_and_learn_two_topics(tmp_path, data, changed):
    folder = weights.fetch("minilm-l6", print)
    for number, script in enumerate((SCRIPT, changed)):
        told = run(script, folder, data, tmp_path / f"{number}", longest=16)[0]
        learnt(told)
        assert told["eval_accuracy"] > 0.9
        opens_equally(tmp_path / f"{number}")


def test_a_text_that_is_too_long_is_cut_to_what_the_model_reads(tmp_path):
    import transformers

    folder = made.small(tmp_path / "a")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer("river " * 90, truncation=True)["input_ids"]) == 64
    pair = tokenizer("river", "mill")
    assert pair["token_type_ids"][0] == 0 and pair["token_type_ids"][-1] == 1


def test_nothing_of_it_imports_transformers_or_datasets():
    for file in Path(hf.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.split(".")[0] for name in names} & {"transformers", "datasets", "accelerate"}, file
