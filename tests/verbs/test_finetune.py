"""A model that is there learns something of its own, by the command: whole, by adapters, in parts."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.verbs import folders
from tests.verbs.folders import TINY
from upwell import cli
from upwell.model import hub, preset
from upwell.model.sizes import Sizes
from upwell.tokens import markers
from upwell.training import record


def made(path, family, tokenizer, template=None):
    """A new model's folder."""
    special = {"pad": tokenizer.special.get("[PAD]", tokenizer.end)}
    config = preset.config(Sizes(family, 32, 2, 2), tokenizer.vocab_size, 64, tokenizer.end, special)
    return hub.save(hub.Checkpoint(preset.create(config, 1), tokenizer, config, None, template), path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("encoder"), "bert", folders.wordpiece())


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("decoder"), "llama", folders.bpe(markers.CHAT), markers.template())


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return folders.folder(tmp_path_factory.mktemp("reviews"), folders.label, folders.wordpiece())


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    return folders.chats(tmp_path_factory.mktemp("chats"))


def words(model, data, out, *more):
    return ["finetune", str(model), str(data), "--out", str(out), *TINY, "--evaluations", "1", *more]


def run(*given):
    return cli.main(words(*given))


def last(out):
    return [line for line in record.read(out / "metrics.jsonl") if "evaluation" in line][-1]["evaluation"]


def test_labels_are_known_from_the_data_and_learnt_and_transformers_reads_them(encoder, reviews, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(encoder, reviews, out, "--epochs", "8", "--training.optim.rate", "3e-3") == 0
    assert "so the objective is label" in capsys.readouterr().err
    assert last(out)["accuracy"]["value"] == 1.0 and last(out)["f1"]["value"] == 1.0
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert model.config.id2label == {0: "no", 1: "yes"}
    with torch.no_grad():
        scores = model.eval()(**tokenizer("great lovely fine the river runs", return_tensors="pt")).logits
    assert model.config.id2label[int(scores.argmax())] == "yes"


def test_adapters_are_written_as_peft_reads_them_beside_the_merged_model(encoder, reviews, tmp_path):
    out = tmp_path / "out"
    assert run(encoder, reviews, out, "--lora.rank", "4", "--lora.rate", "1e-2", "--epochs", "2") == 0
    bare = transformers.AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=2)
    theirs = peft.PeftModel.from_pretrained(bare, out / "adapter").eval()
    merged = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
    ids = torch.tensor([[2, 20, 30, 40, 3]])
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, merged(ids).logits, atol=1e-5)
    ours = load_file(out / "adapter" / "adapter_model.safetensors")
    assert any("lora_A" in name for name in ours) and any("classifier" in name for name in ours)
    assert sum(map(torch.Tensor.numel, ours.values())) < sum(map(torch.Tensor.numel, bare.state_dict().values())) / 2


@pytest.mark.parametrize("base", ["bfloat16", "int8", "int4"])
def test_adapters_learn_beside_matrices_that_are_held_narrower(encoder, reviews, tmp_path, base):
    out = tmp_path / "out"
    assert run(encoder, reviews, out, "--lora.rank", "4", "--lora.rate", "1e-2", "--epochs", "1", "--lora.base", base,
               "--lora.no-merge") == 0  # fmt: skip
    assert (out / "adapter" / "adapter_model.safetensors").is_file() and not (out / "model.safetensors").exists()
    lines = [line["loss"] for line in record.read(out / "metrics.jsonl") if "loss" in line]
    assert lines[-1] == lines[-1]


def test_what_is_new_and_what_is_not_taken_over_is_said(encoder, reviews, tmp_path, capsys):
    assert run(encoder, reviews, tmp_path / "out", "--epochs", "1") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"New in the model, drawn from the seed: head, top.dense. Of {encoder} not taken over: head_bias" in said
    assert run(tmp_path / "out", reviews, tmp_path / "again", "--epochs", "1") == 0
    assert "New in the model" not in capsys.readouterr().err


def long_reviews(path):
    """A prepared folder whose third learnt and first held-out text are too long."""
    r = random.Random(1)
    made = iter(range(99))

    def make(_):
        one = folders.label(r)
        if next(made) in (2, 48):
            text = one.fields["text"] + " river" * 40
            one = replace(one, text=text, fields=one.fields | {"text": text})
        return one

    return folders.folder(path, make, folders.wordpiece())


def test_what_is_cut_is_said_at_the_start_and_stands_in_the_record(encoder, tmp_path, capsys):
    data, out = long_reviews(tmp_path / "data"), tmp_path / "out"
    assert run(encoder, data, out) == 2
    assert "expected at most 30, so many places are in a row" in capsys.readouterr().err
    assert run(encoder, data, out, "--learn.cut", "--epochs", "1") == 0
    said = " ".join(capsys.readouterr().err.split())
    for name in ("learnt", "held out"):
        assert f"Of the {name} part 1 texts are longer than the context and lost their ends" in said
    lines = record.read(out / "metrics.jsonl")
    assert lines[0] == {"step": 0, "missing": {"learnt": {"cut": 1}, "held out": {"cut": 1}}}
    assert [line["step"] for line in lines if "loss" in line][0] == 1
    assert run(encoder, data, out, "--learn.cut", "--epochs", "1") == 0  # it is done; the record stays
    assert record.read(out / "metrics.jsonl") == lines


def test_chats_are_learnt_by_a_decoder_and_its_answers_are_shown(decoder, chats, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(decoder, chats, out, "--epochs", "2", "--training.optim.rate", "1e-3", "--answers", "4") == 0
    assert "so the objective is instruct" in capsys.readouterr().err
    assert {"loss", "exact match", "word f1", "bleu"} <= last(out).keys()
    line = [line for line in record.read(out / "metrics.jsonl") if "samples" in line][-1]
    assert line["samples"][0]["prompt"].startswith("user\nSay") or "Say" in line["samples"][0]["prompt"]
    assert line["samples"][0]["reference"] in folders.WORDS
    assert (out / "chat_template.jinja").read_text() == (chats / "chat_template.jinja").read_text()


def test_answers_in_texts_are_found_by_an_encoder(encoder, tmp_path):
    data = folders.folder(tmp_path / "data", folders.answer, folders.wordpiece())
    assert run(encoder, data, tmp_path / "out", "--objective", "span", "--epochs", "1") == 0
    assert set(last(tmp_path / "out")) == {"loss", "exact match", "f1"}
    transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")


def test_pairs_of_sentences_come_close_and_recall_is_measured(encoder, tmp_path):
    data = folders.folder(tmp_path / "data", folders.pair, folders.wordpiece())
    assert run(encoder, data, tmp_path / "out", "--objective", "contrast", "--epochs", "1") == 0
    assert 0 <= last(tmp_path / "out")["recall@1"]["value"] <= 1


def test_tagged_words_are_known_from_the_data_and_names_are_counted(encoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.tags, folders.wordpiece())
    assert run(encoder, data, tmp_path / "out", "--epochs", "6", "--training.optim.rate", "3e-3") == 0
    assert "so the objective is tag" in capsys.readouterr().err
    assert last(tmp_path / "out")["accuracy"]["value"] > 0.9 and last(tmp_path / "out")["f1"]["value"] > 0.5
    transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "out")


def test_a_student_learns_from_a_teacher_and_goes_on_after_a_stop(encoder, tmp_path):
    data = folders.folder(tmp_path / "data", folders.plain, folders.wordpiece())
    given = ["pretrain", str(data), "--out", str(tmp_path / "out"), *folders.SMALL, "--objective", "distil",
             "--learn.base", "masked", "--learn.teacher", str(encoder), "--training.steps", "4", "--model.layers", "1",
             "--evaluations", "1"]  # fmt: skip
    assert cli.main(given) == 0
    assert {"soft loss", "hard loss", "hidden loss", "accuracy"} <= last(tmp_path / "out").keys()
    assert cli.main(given) == 0
    transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")


def test_frozen_parts_stay_as_they_are_and_lower_layers_learn_slower(encoder, reviews, tmp_path):
    out = tmp_path / "out"
    assert run(encoder, reviews, out, "--freeze", "embed", "encoder.blocks.0", "--epochs", "1",
               "--training.optim.rate", "1e-3", "--training.optim.layer-decay", "0.1") == 0  # fmt: skip
    before, after = (hub.load(folder).model.state_dict() for folder in (encoder, out))
    moved = {name for name in before if name in after and before[name].shape == after[name].shape
             and not torch.equal(before[name], after[name])}  # fmt: skip
    assert not any(name.startswith(("embed.", "encoder.blocks.0.")) for name in moved)
    assert any(name.startswith("encoder.blocks.1.") for name in moved)


def test_steps_beside_epochs_are_told_not_to_count(encoder, reviews, tmp_path, capsys):
    assert run(encoder, reviews, tmp_path / "out", "--epochs", "0.5", "--training.steps", "7") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "--epochs 0.5 decides: 6 steps, not the 7 of --training.steps; --epochs 0 lets these count" in said
    assert run(encoder, reviews, tmp_path / "other", "--epochs", "0", "--training.steps", "3") == 0
    assert [line["step"] for line in record.read(tmp_path / "other" / "metrics.jsonl") if "loss" in line] == [1, 2, 3]


def test_a_beginning_of_no_parameter_is_named(encoder, reviews, tmp_path, capsys):
    assert run(encoder, reviews, tmp_path / "out", "--freeze", "decoder") == 2
    assert "no parameter of this model begins with 'decoder'" in capsys.readouterr().err


def test_texts_of_another_tokenizer_are_cut_anew(decoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.plain, folders.wordpiece())
    assert run(decoder, data, tmp_path / "out", "--objective", "causal", "--epochs", "1") == 0
    assert "its texts are cut anew with the model's" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out" / "state")  # as where a run died before its first state
    (tmp_path / "out" / "model.safetensors").unlink()
    other = folders.folder(tmp_path / "other", folders.plain, folders.wordpiece(), seed=2)
    assert run(decoder, other, tmp_path / "out", "--objective", "causal", "--epochs", "1") == 0
    assert "its texts are cut anew with the model's" in capsys.readouterr().err


def test_data_that_leave_it_open_ask_for_an_objective(decoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.plain, folders.bpe())
    assert run(decoder, data, tmp_path / "out") == 2
    assert "does not tell for sure what is to be learnt" in capsys.readouterr().err


def test_another_chat_template_than_the_models_is_refused(decoder, chats, tmp_path, capsys):
    data = folders.chats(tmp_path / "data")
    path = data / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_start|>", "<|im_start|> "))
    manifest = json.loads((data / "manifest.json").read_text())
    from upwell.text.chat import Template

    (data / "manifest.json").write_text(json.dumps(manifest | {"template": Template.load(data).hash}))
    assert run(decoder, data, tmp_path / "out") == 2
    assert "prepared with another chat template" in capsys.readouterr().err


def test_a_chat_template_that_was_changed_after_preparing_is_refused(decoder, tmp_path, capsys):
    data = folders.chats(tmp_path / "data")
    path = data / "chat_template.jinja"
    path.write_text(path.read_text() + " ")
    assert run(decoder, data, tmp_path / "out") == 2
    assert "is not the one that its tokens were written with; prepare it again" in capsys.readouterr().err


def test_a_tokenizer_with_more_ids_than_its_model_is_refused(encoder, reviews, tmp_path, capsys):
    shutil.copytree(encoder, tmp_path / "model")
    given = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    vocab = given["model"]["vocab"]
    given["model"]["vocab"] = vocab | {f"more{n}": len(vocab) + n for n in range(9)}
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(given))
    assert run(tmp_path / "model", reviews, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "they do not belong together" in " ".join(said.split()) and "Traceback" not in said


def test_labels_that_do_not_fit_are_named_with_their_place(encoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.label, folders.wordpiece())
    lines = (data / "heldout.jsonl").read_text().replace('"yes"', '"maybe"')
    (data / "heldout.jsonl").write_text(lines)
    assert run(encoder, data, tmp_path / "out", "--objective", "label") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "maybe" in said and "Traceback" not in said


def test_an_objective_of_another_shape_is_refused(encoder, chats, tmp_path, capsys):
    assert run(encoder, chats, tmp_path / "out", "--objective", "instruct") == 2
    assert "this bert model has the shape encoder" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_with_adapters_average_and_best_it_goes_on_to_the_unbroken_curve(encoder, reviews, tmp_path):
    more = ["--lora.rank", "2", "--epochs", "2", "--training.average", "0.9", "--best", "accuracy", "--patience", "50",
            "--evaluations", "4", "--save-steps", "2"]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(encoder, reviews, whole, *more) == 0
    first = subprocess.Popen([sys.executable, "-m", "upwell", *words(encoder, reviews, broken, *more)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    path, at, end = broken / "metrics.jsonl", random.Random(3).randint(4, 20), time.monotonic() + 120
    while time.monotonic() < end and first.poll() is None:
        if path.exists() and path.read_text().count('"norm"') >= at:
            first.kill()
            break
        time.sleep(0.005)
    first.wait(timeout=30)
    assert first.returncode == -signal.SIGKILL
    assert run(encoder, reviews, broken, *more) == 0
    same = [[(line["step"], line.get("loss"), line.get("norm"), line.get("evaluation"))
             for line in record.read(folder / "metrics.jsonl")] for folder in (whole, broken)]  # fmt: skip
    assert same[0] == same[1]
    for name in ("model.safetensors", "adapter/adapter_model.safetensors", "best/model.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
