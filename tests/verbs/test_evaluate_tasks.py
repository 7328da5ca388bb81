"""upwell evaluate --task translation and answers on tiny models: a run's way of asking is taken from its folder."""

import json

import pytest

from upwell import cli
from upwell.verbs import evaluate

WORDS = {"file": "Datei", "cell": "Zelle", "page": "Seite", "row": "Zeile", "table": "Tabelle", "window": "Fenster"}
TINY = ["--training.steps", "2", "--training.context", "64", "--training.rows", "4", "--model.width", "32",
        "--model.layers", "1", "--model.heads", "2", "--training.compile", "off", "--training.precision", "float32",
        "--evaluations", "0", "--samples", "0"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A translator of both directions that has learnt for two steps, and what it was prepared from."""
    pytest.importorskip("sacrebleu")
    folder = tmp_path_factory.mktemp("translate")
    pairs = []
    for number in range(400):
        english, german = list(WORDS.items())[number % 6]
        pairs.append({"source": f"Open the {english} {number} in the {number * 7}th folder.", "source_language": "en",
                      "target": f"Öffnen Sie {german} {number} im {number * 7}. Ordner.", "target_language": "de",
                      "title": f"page {number % 20}", "label": ("help", "menu")[number % 2],
                      "split": "test" if number % 20 < 2 else "train"})  # fmt: skip
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    given = [str(folder / "x.jsonl"), "--split", "given", "--near", "0", "--skip", "quality", "privacy", "language"]
    assert cli.main(["prepare", *given, "--out", str(folder / "p"), "--vocab-size", "320", "--workers", "1"]) == 0
    assert cli.main(["pretrain", str(folder / "p"), "--out", str(folder / "m"), "--objective", "pairs", "--learn.both",
                     "--learn.prefix", "{target}: ", "--model.family", "t5", *TINY]) == 0  # fmt: skip
    return folder


def test_no_document_of_a_pair_is_learnt_and_held_out(folder):
    titles = [{json.loads(line)["title"] for line in (folder / "p" / f"{part}.jsonl").read_text().splitlines()}
              for part in ("train", "heldout")]  # fmt: skip
    assert titles[1] == {"page 0", "page 1"} and not titles[0] & titles[1] and len(titles[0]) == 18


def test_both_directions_are_measured_by_domain_as_the_run_learnt_them(folder, capsys):
    assert evaluate.way_of(folder / "m").prefix == "{target}: " and evaluate.way_of(folder / "m").both
    words = ["evaluate", str(folder / "m"), "--task", "translation", "--items", "6", "--beams", "2"]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    counts = {(one["direction"], one["domain"]): one["sentences"] for one in found["groups"]}
    assert list(counts) == [(way, domain) for way in ("en to de", "de to en") for domain in ("", "help", "menu")]
    assert counts["en to de", ""] == 6 == counts["en to de", "help"] + counts["en to de", "menu"]
    assert "tok:13a" in found["signature"] and found["groups"][0]["copy chrf"]["value"] > 0
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "en to de" in shown and "tok:13a" in shown and "reference:" in shown


def test_chats_are_wanted_for_answers(folder, capsys):
    assert cli.main(["evaluate", str(folder / "m"), "--task", "answers"]) == 2
    assert "found no held-out chats to answer" in capsys.readouterr().err
