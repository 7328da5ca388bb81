"""`upwell index` from the command line: made, brought up to date, listed, and what is wrong in one sentence."""

import json
import os
from pathlib import Path

import pytest

from tests.translation.test_pdf import made as pdf
from tests.verbs.test_predict import model
from upwell import cli
from upwell.answering.asking import Asker, Settings
from upwell.answering.index import Index
from upwell.answering.search import Searcher


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/hours.md").write_text("# Hours\n\nWe open at nine. Write to anna.berg@nordwind.de for more.\n")
    Path("docs/river.txt").write_text("The river is wide.\n")
    return tmp_path


def run(*words: str) -> int:
    return cli.main(["index", *words])


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_the_same_command_makes_an_index_and_brings_it_up_to_date(texts, capsys):
    assert run("docs", "--encoder", "none") == 0
    shown = capsys.readouterr()
    rows = [line.strip("│").split("│") for line in shown.out.splitlines() if line.startswith("│")]
    found = {name.strip(): value.strip() for name, value in rows}
    assert (found["added"], found["all documents"], found["all passages"], found["encoder"]) == ("2", "2", "2", "none")
    assert 'upwell ask "..."' in shown.err
    Path("docs/river.txt").write_text("The lake is deep.\n")
    Path("docs/new.txt").write_text("A bridge.\n")
    assert run("docs", "--encoder", "none", "--json") == 0
    found = told(capsys)
    assert (found["added"], found["changed"], found["removed"], found["same"]) == (1, 1, 0, 1)
    assert found["all_documents"] == found["all_passages"] == 3 and found["bytes"] > 0 and found["encoder"] == ""


def test_vectors_come_from_a_folder_and_later_calls_take_the_index_s_own(texts, capsys):
    encoder = model(texts / "vectors", "embed")
    assert run("docs", "--encoder", str(encoder), "--json") == 0
    assert told(capsys)["encoder"] == encoder.name
    Path("docs/new.txt").write_text("A bridge over the river.\n")
    assert run("docs", "--json") == 0
    found = told(capsys)
    assert found["encoder"] == encoder.name and found["added"] == 1
    with Index.open("index") as index:
        assert index.encoder_folder == str(encoder.absolute()) and len(index._load().vectors) == 3
    assert run("docs", "--encoder", "none") == 2
    assert f"its vectors come from {encoder.name}" in capsys.readouterr().err


def test_a_model_without_vectors_is_told(texts, capsys):
    assert run("docs", "--encoder", str(model(texts / "labels", "classify", ("no", "yes")))) == 2
    assert "has no embeddings" in capsys.readouterr().err


def test_documents_are_listed_and_removed_by_name(texts, capsys):
    assert run("docs", "--encoder", "none", "--collection", "support") == 0
    capsys.readouterr()
    assert run("--list", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["source"], one["collection"]) for one in lines] == [("docs/hours.md", "support"),
                                                                     ("docs/river.txt", "support")]  # fmt: skip
    assert run("--remove", "docs/river.txt") == 2 and "it is in the collection support" in capsys.readouterr().err
    assert run("--remove", "docs/none.txt") == 2 and "--list shows their names" in capsys.readouterr().err
    assert run("--remove", "docs/river.txt", "--collection", "support", "--list") == 0
    shown = capsys.readouterr()
    assert "1 document of" in shown.err and "docs/hours.md" in shown.out and "river" not in shown.out


def test_personal_data_stays_unless_it_is_asked_to_be_masked(texts, capsys):
    assert run("docs", "--encoder", "none") == 0
    with Index.open("index") as index:
        assert "anna.berg@nordwind.de" in index.text(index.documents()[0].id)
    assert run("docs", "--encoder", "none", "--personal", "mask") == 0
    with Index.open("index") as index:
        text = index.text(index.documents()[0].id)
        assert "anna" not in text and "<EMAIL>" in text
    assert not [one.name for one in Path("index").iterdir() if b"anna.berg" in one.read_bytes()]
    Path("docs/new.txt").write_text("Write to anna.berg@nordwind.de, too.", encoding="utf-8")
    assert run("docs", "--encoder", "none") == 0  # what was asked for once holds on
    with Index.open("index") as index:
        assert all("anna" not in index.text(one.id) for one in index.documents())
    assert run("docs", "--encoder", "none", "--personal", "keep") == 0
    with Index.open("index") as index:
        assert "anna" in index.text(index.documents()[0].id)


def test_pages_are_known_where_personal_data_is_masked(texts):
    Path("docs/book.pdf").write_bytes(pdf(*([(60, 700, 11, f"Page {number}: write to anna.berg{number}@nordwind.de.")]
                                            for number in range(1, 40))))  # fmt: skip
    assert run("docs/book.pdf", "--encoder", "none", "--personal", "mask") == 0
    with Index.open("index") as index:
        found = index.passages(index.newest(100))
    assert all(f"Page {one.page}: write to <EMAIL>" in one.text for one in found)
    assert len({one.page for one in found}) > 1


def test_a_citation_names_the_page_on_which_it_stands(texts, capsys):
    Path("docs/house.pdf").write_bytes(pdf([(60, 700, 11, "The cellar is dry.")],
                                           [(60, 700, 11, "The fire alarm is tested on Mondays.")]))  # fmt: skip
    assert run("docs/house.pdf", "--encoder", "none") == 0
    with Index.open("index") as index:
        (passage,) = index.passages(index.newest(9))
        answer = Asker(Searcher(index), settings=Settings(threshold=0.0)).ask("When is the fire alarm tested?")
    assert passage.page == 1 and answer.citations[0].page == 2 and "Mondays" in answer.citations[0].text


def test_what_cannot_be_read_is_told_and_the_rest_is_indexed(texts, capsys):
    Path("docs/broken.pdf").write_bytes(b"%PDF-1.4 no more")
    assert run("docs", "--encoder", "none") == 2
    shown = capsys.readouterr()
    assert "broken.pdf" in shown.err and "all documents" in shown.out and "Traceback" not in shown.err
    assert run("docs", "--encoder", "none", "--skip-unreadable") == 0
    assert "passed over" in capsys.readouterr().err


def test_pictures_are_passed_over_and_counted(texts, capsys):
    Path("docs/map.PNG").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    assert run("docs", "--encoder", "none") == 0
    assert "1 files of pictures" in capsys.readouterr().err


@pytest.mark.parametrize("words, said", [
    ([], "nothing to do"),
    (["nowhere"], "does not exist"),
    (["empty", "--encoder", "none"], "holds no files"),
    (["--list"], "found no index there"),
    (["--remove", "x"], "found no index there"),
    (["docs", "--encoder", "no/such/model"], "no such folder"),
    (["docs", "--encoder", "x", "--base-url", "http://127.0.0.1:9", "--model", "m"], "both --encoder and --base-url"),
    (["docs", "--encoder", "none", "--out", "docs/river.txt"], "no folder can be made"),
    (["docs", "--encoder", "none", "--collection", "sales, support"], "without spaces and commas"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence(texts, words, said, capsys):
    os.mkdir("empty")
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not Path("index").exists()
