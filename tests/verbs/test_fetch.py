"""The fetch verb: the file's name alone on standard output, everything else beside it."""

import pytest

from upwell import catalog, cli


def test_without_a_name_the_catalogue_is_listed(capsys):
    assert cli.main(["fetch"]) == 0
    told = capsys.readouterr().out
    for name in catalog.names():
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
