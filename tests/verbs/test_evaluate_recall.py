"""A model as it is on held-out pairs: what a run measures, without a run; and what has no such head is refused."""

import json

import torch

from tests.objectives import given
from tests.verbs import folders
from upwell import cli, prepared
from upwell.evaluation import within
from upwell.model import hub
from upwell.objectives import Part, contrast
from upwell.tokens.store import Store


def test_recall_of_a_folder_is_what_a_run_measures(tmp_path, capsys):
    tokenizer = folders.wordpiece()
    data = folders.folder(tmp_path / "data", folders.pair, tokenizer)
    held = Part(Store(data / "heldout"), lambda: prepared.documents_of(data / "heldout.jsonl"), tokenizer, None, 32)
    config = contrast.fitted(given.encoder(tokenizer.vocab_size), held, contrast.Settings())
    model = given.model(config, dtype=torch.float32)
    hub.save(hub.Checkpoint(model, tokenizer, config), tmp_path / "model")
    assert cli.main(["evaluate", str(tmp_path / "model"), "--data", str(data), "--task", "recall", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = within.measure(model, contrast, held._replace(config=config), contrast.Settings()).numbers
    assert found["pairs"] == 12 and {"recall@1", "back recall@10"} <= wanted.keys()
    for name in ("recall@1", "recall@10", "back recall@1", "back recall@10"):
        assert abs(found[name]["value"] - wanted[name].value) <= 1 / 12  # a product in bfloat16 may change one place


def test_a_model_that_gives_no_vectors_is_refused(tmp_path, capsys):
    tokenizer = folders.wordpiece()
    data = folders.folder(tmp_path / "data", folders.pair, tokenizer)
    model = given.model(given.encoder(tokenizer.vocab_size), dtype=torch.float32)
    hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path / "words")
    assert cli.main(["evaluate", str(tmp_path / "words"), "--data", str(data), "--task", "recall"]) == 2
    assert "has no head for the objective contrast on these texts (it has masked)" in capsys.readouterr().err
