"""The tokenizer verb: what it trains opens, and what it cannot is one sentence."""

from upwell import cli
from upwell.tokens.tokenizer import Tokenizer


def test_a_tokenizer_is_trained_and_its_fit_is_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("The quick brown fox jumps over the lazy dog. " * 50, encoding="utf-8")
    assert cli.main(["tokenizer", str(tmp_path / "a.txt"), "--out", str(tmp_path / "t"), "--vocab-size", "300"]) == 0
    told = capsys.readouterr().out
    assert "of 300 tokens" in told and "1 of 1 documents unchanged" in told
    assert Tokenizer.load(tmp_path / "t").decode(Tokenizer.load(tmp_path / "t").encode("quick")) == "quick"


def test_no_text_and_too_small_a_vocabulary_are_one_sentence(tmp_path, capsys):
    (tmp_path / "a.txt").write_text(" \n", encoding="utf-8")
    assert cli.main(["tokenizer", str(tmp_path / "a.txt"), "--out", str(tmp_path / "t")]) == 2
    assert "There is no text" in capsys.readouterr().err
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    assert cli.main(["tokenizer", str(tmp_path / "a.txt"), "--out", str(tmp_path / "t"), "--vocab-size", "9"]) == 2
    assert "at least 257" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()
