"""What `upwell predict` says is what transformers' pipelines say on equal weights."""

import json

import pytest
import torch
import transformers

from tests.verbs import folders
from upwell import cli
from upwell.evaluation.predict import Asked, Predictor
from upwell.model import hub, preset
from upwell.model.config import Head
from upwell.model.sizes import Sizes

TEXTS = ["good herons wait for silver fish", "bad dull bridges", "the river runs past quiet mills at dawn and past"]
CLASSES = {"classify": "ForSequenceClassification", "tag": "ForTokenClassification", "span": "ForQuestionAnswering"}


def model(path, kind, labels=(), problem=None, noise=0.3):
    """A BERT with such a head and noisy weights, as a folder."""
    from upwell.objectives import _heads

    tokenizer = folders.wordpiece()
    config = preset.config(Sizes("bert", 32, 2, 2), tokenizer.vocab_size, 64, tokenizer.end,
                           {"pad": tokenizer.special["[PAD]"]})  # fmt: skip
    if kind == "embed":
        config = config.with_(head=Head("embed", pool="mean", unit=True), pooler=False)
    else:
        config = _heads.of_class(config, CLASSES[kind])
        head = config.head
        config = config.with_(head=Head(**{**vars(head), "labels": tuple(labels), "problem": problem}))
    made = preset.create(config, 1)
    torch.manual_seed(2)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(torch.randn_like(p) * noise)
    return hub.save(hub.Checkpoint(made, tokenizer, config), path)


def predicted(folder, asked, **more):
    return list(Predictor(hub.load(folder, dtype=torch.float32), **more)(asked))


def pipeline(task, folder, **more):
    return transformers.pipeline(task, model=str(folder), tokenizer=str(folder), device="cpu", **more)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_labels_have_the_probabilities_of_the_pipeline(tmp_path, rows):
    folder = model(tmp_path, "classify", ("a", "b", "c"), "single_label_classification")
    theirs = pipeline("text-classification", folder, top_k=None)(TEXTS)
    for one, wanted in zip(predicted(folder, map(Asked, TEXTS), rows=rows), theirs, strict=True):
        assert one["label"] == wanted[0]["label"] and one["score"] == pytest.approx(wanted[0]["score"], abs=1e-5)
        assert one["scores"] == pytest.approx({each["label"]: each["score"] for each in wanted}, abs=1e-5)


@pytest.mark.slow
def test_several_labels_are_those_above_a_half_and_numbers_are_as_they_come(tmp_path):
    several = model(tmp_path / "several", "classify", ("a", "b", "c"), "multi_label_classification")
    theirs = pipeline("text-classification", several, top_k=None)(TEXTS)
    for one, wanted in zip(predicted(several, map(Asked, TEXTS)), theirs, strict=True):
        assert one["labels"] == [each["label"] for each in wanted if each["score"] > 0.5] and "label" not in one
        assert one["scores"] == pytest.approx({each["label"]: each["score"] for each in wanted}, abs=1e-5)
    number = model(tmp_path / "number", "classify", ("LABEL_0",), "regression")
    theirs = pipeline("text-classification", number, function_to_apply="none")(TEXTS)
    assert [one["value"] for one in predicted(number, map(Asked, TEXTS))] == pytest.approx(
        [one["score"] for one in theirs], abs=1e-4)  # fmt: skip


@pytest.mark.slow
def test_words_have_the_tags_of_the_pipeline_at_their_first_piece(tmp_path):
    folder = model(tmp_path, "tag", ("O", "B-X", "I-X"))
    theirs = pipeline("token-classification", folder, aggregation_strategy="none", ignore_labels=[])
    for one, text in zip(predicted(folder, map(Asked, TEXTS)), TEXTS, strict=True):
        starts = {each["start"]: each for each in theirs(text)}
        assert [word["word"] for word in one["words"]] == text.split()
        for word in one["words"]:
            wanted = starts[word["start"]]
            assert word["tag"] == wanted["entity"] and word["score"] == pytest.approx(float(wanted["score"]), abs=1e-5)
        for name in one["names"]:
            assert text[name["start"] : name["end"]] == name["text"] and name["kind"] == "X"


def test_given_words_keep_their_borders_and_chinese_characters_are_words(tmp_path):
    folder = model(tmp_path, "tag", ("O", "B-X"))
    (one,) = predicted(folder, [Asked("don't go", words=("don't", "go"))])
    assert [(word["word"], word["start"], word["end"]) for word in one["words"]] == [("don't", 0, 5), ("go", 6, 8)]
    from upwell.evaluation.predict import places

    assert [word for word, _, _ in places(Asked("He isn't in 北京, is he?"))] == [
        "He", "isn't", "in", "北", "京", ",", "is", "he", "?"]  # fmt: skip


@torch.no_grad()
def theirs_by_hand(folder, question, context):
    """(answer, start, end, probability) by transformers' model: every span of the context tried, or none at [CLS]."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    given = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets, sides = given.pop("offset_mapping")[0].tolist(), given.sequence_ids(0)
    found = network(**given)
    asked = [0] + [at for at, side in enumerate(sides) if side == 1]
    shares = [logits[0, asked].softmax(0).tolist() for logits in (found.start_logits, found.end_logits)]
    spans = [(shares[0][a] * shares[1][b], a, b) for a in range(1, len(asked)) for b in range(a, len(asked))]
    share, a, b = max([*spans, (shares[0][0] * shares[1][0], 0, 0)])
    start, end = (offsets[asked[a]][0], offsets[asked[b]][1]) if a else (0, 0)
    return context[start:end], start, end, share


def test_answers_and_no_answers_are_those_of_transformers_model(tmp_path):
    folder, none = model(tmp_path, "span"), 0
    asked = [Asked(f"Which word is {word} ?", f"{text} and {word}") for text in TEXTS for word in folders.WORDS[:6]]
    for one, wanted in zip(predicted(folder, asked), asked, strict=True):
        answer, start, end, share = theirs_by_hand(folder, wanted.text, wanted.context)
        assert (one["answer"], one["start"], one["end"]) == (answer, start, end)
        assert one["score"] == pytest.approx(share, abs=1e-5)
        none += not answer
    assert none < len(asked), "some are answered"


def test_a_long_text_is_read_in_windows(tmp_path):
    folder = model(tmp_path, "span")
    context = " ".join(folders.WORDS * 8)
    (one,) = predicted(folder, [Asked("Which word ?", context)])
    assert context[one["start"] : one["end"]] == one["answer"]
    assert one["answer"] == "" or one["end"] <= len(context)


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    folder = model(tmp_path, "embed")
    wanted = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = torch.tensor([one["vector"] for one in predicted(folder, map(Asked, TEXTS), rows=2)])
    assert torch.allclose(found, torch.tensor(wanted), atol=1e-5)


def test_the_command_reads_files_and_prints_json_lines(tmp_path, capsys):
    folder = model(tmp_path / "model", "classify", ("a", "b"), "single_label_classification")
    (tmp_path / "new.txt").write_text("\n".join(TEXTS) + "\n\n")
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    found = []
    for name in ("new.txt", "new.jsonl"):
        assert cli.main(["predict", str(folder), "--file", str(tmp_path / name), "--json"]) == 0
        found.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert found[0] == found[1] and [one["text"] for one in found[0]] == TEXTS
    assert cli.main(["predict", str(folder), TEXTS[0], "--top", "1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{found[0][0]['label']} {found[0][0]['score']:.1%}" in said


def test_what_cannot_be_predicted_is_told_in_a_sentence(tmp_path, capsys):
    folder = model(tmp_path / "model", "classify", ("a", "b"), "single_label_classification")
    spans = model(tmp_path / "spans", "span")
    (tmp_path / "bad.jsonl").write_text('{"text": "river"}\n{"texts": 3}\n')
    for words, told in (
        ([str(folder), "river " * 80], "found 80 tokens, expected at most 62"), ([str(folder), " "], "an empty text"),
        ([str(spans), "Which ?"], "name one with --context"),
        ([str(folder), "x", "--file", "y"], "expected one of them"),
        ([str(folder), "--file", str(tmp_path / "bad.jsonl")], "bad.jsonl:2: expected an object"),
    ):  # fmt: skip
        assert cli.main(["predict", *words]) == 2
        said = capsys.readouterr().err
        assert told in " ".join(said.split()) and "Traceback" not in said
    assert cli.main(["predict", str(folder), "river " * 80, "--cut", "--json"]) == 0
    plain = preset.config(Sizes("llama", 32, 2, 2), 320, 64, 0, {})
    writer = hub.save(hub.Checkpoint(preset.create(plain, 1), folders.bpe(), plain), tmp_path / "writer")
    assert cli.main(["predict", str(writer), "x"]) == 2
    assert "it writes texts: `upwell generate`" in " ".join(capsys.readouterr().err.split())
