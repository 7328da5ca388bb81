"""upwell translate over a translator that has learnt for two steps: what comes through is what is protected."""

import json
from types import SimpleNamespace

import pytest

from tests.verbs import folders
from tests.verbs.test_evaluate_tasks import folder  # noqa: F401 a fixture
from upwell import cli
from upwell.translation import asking
from upwell.verbs import translate


def run(model, *words: str) -> int:
    return cli.main(["translate", str(model), *words, "--beams", "2"])


@pytest.fixture
def model(folder):  # noqa: F811
    return folder / "m"


def test_a_run_says_which_languages_it_knows_also_without_its_data(model, tmp_path):
    assert "languages:" in (model / "upwell.yaml").read_text()
    assert asking.languages(model) == {("de", "en"), ("en", "de")}


def test_texts_come_back_in_their_order_with_what_is_protected(model, capsys):
    assert run(model, "--text", "Open %s.", "", "123", "Der Ordner ist offen.", "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["source"] for one in told] == ["Open %s.", "", "123", "Der Ordner ist offen."]
    assert "%s" in told[0]["text"] and told[2]["text"] == "123"
    assert (told[0]["from"], told[0]["to"], told[3]["from"]) == ("en", "de", "de") and 0 <= told[0]["confidence"] <= 1


def test_a_file_is_translated_beside_itself(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("upwell.translation.translator.looping", lambda text: False)  # two steps teach nothing else
    (tmp_path / "a.md").write_text("# Open the file\n\nThe [window](http://x.org) has 12 rows.\n", encoding="utf-8")
    assert run(model, "--file", str(tmp_path / "a.md"), "--from", "en", "--both", str(tmp_path / "both.html")) == 0
    made = (tmp_path / "a.de.md").read_text(encoding="utf-8")
    assert made.startswith("# ") and "](http://x.org)" in made and "12" in made
    assert "2 segments" in capsys.readouterr().err and (tmp_path / "both.html").is_file()


def test_a_folder_is_translated_into_another_one_and_what_is_wrong_is_told_last(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("upwell.translation.translator.Translator._wrong", lambda self, one: False)
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "a.txt").write_text("Open the file.")
    (tmp_path / "docs" / "deep" / "b.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nThe window\n")
    (tmp_path / "docs" / "c.bin").write_bytes(b"x")
    (tmp_path / "docs" / "b.txt").write_bytes(b"\xff\xff")
    assert run(model, "--file", str(tmp_path / "docs"), "--from", "en") == 2
    made = tmp_path / "docs.de"
    found = sorted(str(one.relative_to(made)) for one in made.rglob("*") if one.is_file())
    assert found == ["a.txt", "deep/b.srt"] and "b.txt: byte 0 is no UTF-8" in capsys.readouterr().err


def test_memory_and_terms_are_kept_to(model, tmp_path, capsys):
    (tmp_path / "terms.csv").write_text("window,Fenster\n")
    words = ["--text", "The window is open.", "--from", "en", "--glossary", str(tmp_path / "terms.csv"), "--memory",
             str(tmp_path / "memory.db"), "--json"]  # fmt: skip
    assert run(model, *words, "--tmx-out", str(tmp_path / "all.tmx")) == 0
    first = json.loads(capsys.readouterr().out)
    assert "Fenster" in first["text"] and not first["breaches"]
    assert run(model, *words) == 0
    assert json.loads(capsys.readouterr().out)["how"] == "memory"
    assert "<seg>The window is open.</seg>" in (tmp_path / "all.tmx").read_text(encoding="utf-8")


@pytest.mark.parametrize("words, said", [
    (["--text", "a", "--from", "en", "--to", "fr"], "it knows de to en, en to de"),
    (["--text", "这条河很宽。"], "looks like zh, which m does not know"),
    (["--text", "a", "--file", "b"], "both --text and --file"),
    (["--file", "nowhere.docx"], "no such file"),
    (["--text", "a", "--tmx-out", "x"], "--memory"),
    (["--text", "a", "--beams", "0"], "beams is 0"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence(model, words, said, capsys):
    assert cli.main(["translate", str(model), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_model_that_learnt_no_pairs_and_does_not_chat_is_refused(tmp_path, capsys):
    from tests.verbs.test_finetune import made

    plain = made(tmp_path, "llama", folders.bpe(()))
    assert cli.main(["translate", str(plain), "--text", "Open the file.", "--to", "zh"]) == 2
    told = capsys.readouterr()
    assert "has learnt no pairs of languages and is no chat model" in told.err and told.out == ""


def test_a_text_that_comes_back_as_it_was_is_told(model, capsys, monkeypatch):
    made = SimpleNamespace(text="Open it.", source="Open it.", how="pieces", best=(), breaches=())
    translate.show(translate.Settings(folder=model, target="de"), made, "en", "de")
    told = capsys.readouterr()
    assert told.out == "Open it.\n" and "came back as it was" in told.err
    copied = SimpleNamespace(text="123", source="123", how="copied", best=(), breaches=())
    translate.show(translate.Settings(folder=model, target="de"), copied, "en", "de")
    assert capsys.readouterr().err == ""
