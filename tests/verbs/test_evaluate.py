"""upwell evaluate: by groups of documents, and by what a model writes, on tiny models."""

import json

import pytest

from upwell import cli
from upwell.verbs import evaluate

RIVER = ["The river is wide.", "A boat goes down the river.", "The water is cold and clear.", "Fish swim in the water."]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model that has learnt two files for two steps; the folder with everything."""
    folder = tmp_path_factory.mktemp("evaluate")
    for name, kind in (("one", "en"), ("two", "fr")):
        texts = [" ".join(f"{kind} {line} {number}" for line in RIVER * 3) for number in range(90)]
        lines = [json.dumps({"text": text}) for text in texts]
        (folder / "texts").mkdir(exist_ok=True)
        (folder / "texts" / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert cli.main(["prepare", str(folder / "texts"), "--out", str(folder / "p"), "--vocab-size", "300", "--near", "0",
                     "--repeated", "0", "--heldout", "0.2", "--skip", "quality", "language"]) == 0  # fmt: skip
    assert cli.main(["pretrain", str(folder / "p"), "--out", str(folder / "m"), "--training.steps", "2",
                     "--training.context", "64", "--training.rows", "2", "--model.width", "32", "--model.layers", "1",
                     "--model.heads", "2", "--training.compile", "off", "--evaluations", "1", "--samples", "0",
                     "--training.precision", "float32"]) == 0  # fmt: skip
    return folder


def test_the_loss_by_source_makes_up_the_whole(run, capsys):
    assert cli.main(["evaluate", str(run / "m"), "--by", "source", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["by"]) == ["one.jsonl", "two.jsonl"]
    assert sum(one["tokens"] for one in found["by"].values()) == found["tokens"]
    mean = sum(one["tokens"] * one["loss"]["value"] for one in found["by"].values()) / found["tokens"]
    assert mean == pytest.approx(found["loss"]["value"], rel=0.02)  # bfloat16 may round
    assert cli.main(["evaluate", str(run / "m"), "--by", "kind"]) == 0
    shown = capsys.readouterr().out
    assert "By kind" in shown and "prose" in shown


def test_chats_are_wanted_where_answers_are_judged(run, capsys):
    assert cli.main(["evaluate", str(run / "m"), "--task", "parses"]) == 2
    assert "found no held-out chats to answer" in capsys.readouterr().err
    assert cli.main(["evaluate", str(run / "m"), "--task", "parses", "--by", "kind"]) == 2
    assert "by goes with the task loss" in capsys.readouterr().err


def test_files_are_named_without_what_all_share():
    names = ["/c/wiki/en-0123abcd.jsonl", "/c/wiki/fr-0123abcd.jsonl", "/c/kjv/en-0123abce.jsonl"]
    assert evaluate.short(names) == ["wiki/en", "wiki/fr", "kjv/en"]
    assert evaluate.short(["/c/a/x-0123abcd.jsonl", "/c/a/x-0123abce.jsonl", "/c/b/y"]) == [
        "a/x-0123abcd.jsonl", "a/x-0123abce.jsonl", "b/y"]  # fmt: skip
    assert evaluate.short(["/c/a.txt", "b/c.txt"]) == ["/c/a.txt", "b/c.txt"]  # one of the cache, one from here
    assert evaluate.short(["/c/a.txt"]) == ["/c/a.txt"] and evaluate.short(["a.txt", "b.txt"]) == ["a.txt", "b.txt"]
