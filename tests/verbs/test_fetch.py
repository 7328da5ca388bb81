"""The fetch verb: the file's name alone on standard output, everything else beside it."""

from pathlib import Path

import pytest

from tests import gguf_files
from tests.generation.tiny import tiny_model
from upwell import catalog, cli, weights
from upwell.model import hub


def test_without_a_name_the_catalogue_is_listed(capsys):
    assert cli.main(["fetch"]) == 0
    told = capsys.readouterr().out
    for name in (*catalog.names(), *weights.names()):
        assert name in told


def test_a_corpus_in_the_cache_is_named_with_its_licence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "fetch", lambda name, language, say: tmp_path / f"{name}-{language}.jsonl")
    assert cli.main(["fetch", "wiki-intros", "--lang", "fr"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'wiki-intros-fr.jsonl'}\n"
    assert "CC BY-SA 4.0" in told.err and "9,955 articles" in told.err


def test_a_path_is_read_once_and_named(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("some text", encoding="utf-8")
    assert cli.main(["fetch", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path}\n" and "1 documents, 9 characters" in told.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["wiki-intro"], "did you mean wiki-intros"), (["wiki-intros", "--lang", "xx"], "it has en, fr, es")],
)
def test_an_unknown_name_or_language_names_the_known_ones(capsys, words, expected):
    assert cli.main(["fetch", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_model_of_the_catalogue_is_named_with_its_licence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "fetch", lambda name, say: tmp_path / name)
    assert cli.main(["fetch", "smollm2-135m"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'smollm2-135m'}\n" and "Licence: Apache-2.0" in told.err


def test_a_gguf_file_is_converted_once_into_the_cache(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gguf")
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    path = gguf_files.write(tmp_path / "some.gguf", gguf_files.model(), "Q8_0")
    assert cli.main(["fetch", str(path)]) == 0
    told = capsys.readouterr()
    folder = Path(told.out.strip())
    assert folder.name == "some" and (folder / "model.safetensors").is_file() and path.is_file()
    assert "Converting some.gguf" in told.err and "llama, 0.1 million parameters, float32; it opens" in told.err
    assert cli.main(["fetch", str(path)]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(folder) and "Converting" not in told.err


def test_a_models_folder_is_opened_and_what_does_not_fit_is_told(tmp_path, capsys):
    model = tiny_model(300, tied=True)
    folder = hub.save(hub.Checkpoint(model, None, model.config), tmp_path / "mine")
    assert cli.main(["fetch", str(folder)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{folder}\n" and "it opens" in told.err and "no tokenizer.json" in told.err
    (folder / "model.safetensors").write_bytes(b"short")
    assert cli.main(["fetch", str(folder)]) == 2
    assert "truncated or damaged" in capsys.readouterr().err


def test_lines_that_cannot_be_read_are_listed_with_the_verb_that_can_pass_over_them(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text("no\n" * 30, encoding="utf-8")
    assert cli.main(["fetch", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "a.jsonl:1: expected a JSON object" in told
    assert "--skip-unreadable of `upwell prepare`" in told and "--max-errors 30 of `upwell prepare`" in told
