"""`upwell prepare --show OBJECTIVE` prints what objectives over plain documents ask for."""

import json

import pytest

from tests.objectives import corpora
from upwell.cli import main
from upwell.tokens.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Files of prose and code."""
    folder = tmp_path_factory.mktemp("texts")
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in corpora.texts(30))
    (folder / "prose.jsonl").write_text(lines, encoding="utf-8")
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("\n\n".join(corpora.code(5)), encoding="utf-8")
    return folder


def shown(capsys, *arguments) -> str:
    assert main(["prepare", *map(str, arguments)]) in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("objective", "make", "signs"),
    [("masked", corpora.wordpiece, ["[[[MASK]]]", "((", "[CLS]"]),
     ("masked_next", corpora.wordpiece, ["the second part follows", "the second part is from another document"]),
     ("denoise", corpora.unigram, ["read", "written", "((<extra_id_0>))", "[[<extra_id_0>]]"]),
     ("causal", corpora.bpe, ["((<|endoftext|>))"])],
)  # fmt: skip
def test_an_objective_is_shown_token_by_token(objective, make, signs, texts, tmp_path, capsys):
    make().save(tmp_path / "tokenizer")
    out = shown(capsys, texts, "--tokenizer", tmp_path / "tokenizer", "--show", objective)
    assert f"objective {objective}" in out and all(sign in out for sign in signs), out[:3000]


def test_a_vocabulary_that_lacks_a_sign_is_a_sentence(texts, tmp_path, capsys):
    corpora.bpe(()).save(tmp_path / "tokenizer")
    for objective, said in (("masked", "no mask token"), ("denoise", "no sentinels")):
        command = ["prepare", str(texts), "--tokenizer", str(tmp_path / "tokenizer"), "--show", objective]
        assert main(command) == 2 and said in capsys.readouterr().err


def test_upwell_tokenizer_adds_the_signs(texts, tmp_path, capsys):
    assert not main(["tokenizer", str(texts), "--kind", "unigram", "--vocab-size", "600", "--sentinels", "20", "--mask",
                     "--middle", "--out", str(tmp_path / "t")])  # fmt: skip
    special = Tokenizer.load(tmp_path / "t").special
    assert {"<extra_id_0>", "<extra_id_19>", "<mask>", "<|fim_middle|>"} <= set(special)
    assert "<extra_id_20>" not in special
    capsys.readouterr()
    assert main(["tokenizer", str(texts), "--kind", "wordpiece", "--mask"]) == 2
    assert "wordpiece has [MASK]" in capsys.readouterr().err
