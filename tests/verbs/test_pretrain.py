"""A new model of any shape, by the command: what is learnt, measured, planned, kept and refused."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

import upwell
from tests.verbs import folders
from tests.verbs.folders import SMALL
from upwell import cli, settings
from upwell.model import preset
from upwell.training import reckon, record, tensors
from upwell.verbs import pretrain


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return folders.folder(tmp_path_factory.mktemp("texts"), folders.plain, folders.bpe())


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return folders.folder(tmp_path_factory.mktemp("words"), folders.plain, folders.wordpiece())


def run(data, out, *more, steps=6):
    return cli.main(["pretrain", str(data), "--out", str(out), *SMALL, "--training.steps", str(steps),
                     "--evaluations", "2", *more])  # fmt: skip


def evaluations(out):
    return [line for line in record.read(out / "metrics.jsonl") if "evaluation" in line]


def test_masked_words_make_an_encoder_that_transformers_opens(words, tmp_path):
    assert run(words, tmp_path / "out", "--objective", "masked", "--learn.rate", "0.3") == 0
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    assert model.config.model_type == "bert"
    lines = record.read(tmp_path / "out" / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 7))
    assert {"norm", "rate", "tokens", "seconds", "tokens_per_second", "memory"} <= lines[0].keys()
    measured = evaluations(tmp_path / "out")[-1]["evaluation"]
    assert measured["loss"]["error"] > 0 and 0 <= measured["accuracy"]["value"] <= 1
    assert "  rate: 0.3" in (tmp_path / "out" / "upwell.yaml").read_text()


@pytest.mark.parametrize("path", sorted((Path(upwell.__file__).parent / "recipes" / "settings").glob("*.yaml")),
                         ids=lambda path: path.stem)  # fmt: skip
def test_each_file_of_settings_in_the_package_is_one_for_pretrain_and_its_model_can_be_made(path):
    words = ["prepared", "--config", str(path)]
    found = settings.parse(cli.settings_type(pretrain, words), words, "pretrain")
    sizes = found.sizes.of(("decoder",))
    config = preset.config(sizes, 32000, found.training.context, 0, {})
    named = {"one-gpu": 110e6, "eight-gpus": 1.0e9, "many-nodes": 6.7e9}
    if path.stem in named:
        assert reckon.weights(config).every == pytest.approx(named[path.stem], rel=0.1)


def test_two_terms_are_told_apart(words, tmp_path):
    assert run(words, tmp_path / "out", "--objective", "masked_next") == 0
    first = record.read(tmp_path / "out" / "metrics.jsonl")[0]
    assert sum(first["terms"].values()) == pytest.approx(first["loss"]) and len(first["terms"]) == 2
    assert len([name for name in evaluations(tmp_path / "out")[0]["evaluation"] if name.endswith(" loss")]) == 2
    assert {"accuracy", "next accuracy"} <= evaluations(tmp_path / "out")[0]["evaluation"].keys()


def test_pairs_make_an_encoder_decoder_whose_answers_are_compared(tmp_path):
    data = folders.folder(tmp_path / "pairs", folders.pair, folders.bpe())
    assert run(data, tmp_path / "out", "--objective", "pairs", "--answers", "4", "--model.family", "t5") == 0
    line = evaluations(tmp_path / "out")[-1]
    assert {"exact match", "word f1", "bleu", "chrf"} <= line["evaluation"].keys()
    assert set(line["samples"][0]) == {"prompt", "text", "reference"} and "version" in line["note"]
    transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "out")


@pytest.mark.parametrize("kind", ["spans", "infill"])
def test_damaged_texts_are_restored_and_what_is_right_is_counted(tmp_path, kind):
    from tests.objectives import corpora

    data = folders.folder(tmp_path / "data", folders.plain, corpora.unigram())
    assert run(data, tmp_path / "out", "--objective", "denoise", "--learn.kind", kind, "--answers", "2") == 0
    line = evaluations(tmp_path / "out")[-1]
    names = {"loss", "accuracy", "exact match", "written exact match", "word f1", "bleu", "chrf"}
    assert line["evaluation"].keys() == names and len(line["samples"]) == 2
    assert line["samples"][0]["reference"] and line["samples"][0]["prompt"]


def test_a_family_of_the_wrong_shape_is_refused_in_a_sentence(words, tmp_path, capsys):
    assert run(words, tmp_path / "out", "--objective", "masked", "--model.family", "llama") == 2
    assert "model.family is llama; this objective is learnt by bert, modernbert" in capsys.readouterr().err


def test_settings_of_another_objective_are_refused_and_its_own_are_in_the_help(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "out", "--learn.whole-words", "False") == 2
    assert "--learn.whole-words" in capsys.readouterr().err
    assert cli.main(["pretrain", "--objective", "masked", "--help"]) == 0
    assert "--learn.whole-words" in capsys.readouterr().out


def test_a_run_goes_on_from_a_model(texts, tmp_path):
    assert run(texts, tmp_path / "first") == 0
    words = ["pretrain", str(texts), "--from", str(tmp_path / "first"), "--out", str(tmp_path / "second"),
             *folders.TINY, "--training.steps", "6", "--evaluations", "1"]  # fmt: skip
    assert cli.main(words) == 0
    before, after = (evaluations(tmp_path / name)[-1]["evaluation"]["loss"]["value"] for name in ("first", "second"))
    assert after < before
    assert record.read(tmp_path / "second" / "metrics.jsonl")[0]["loss"] < before * 1.1


def test_the_probe_of_minutes_leaves_the_model_that_is_gone_on_with_alone(texts, tmp_path):
    assert run(texts, tmp_path / "first", "--evaluations", "0", steps=20) == 0
    losses = []
    for name, more in (("steps", ["--training.steps", "10"]), ("minutes", ["--minutes", "0.001"])):
        assert cli.main(["pretrain", str(texts), "--from", str(tmp_path / "first"), "--out", str(tmp_path / name),
                         *folders.TINY, "--evaluations", "0", *more]) == 0  # fmt: skip
        losses.append(record.read(tmp_path / name / "metrics.jsonl")[0]["loss"])
    assert losses[0] == losses[1]


def test_a_plan_tells_memory_time_tokens_and_cost_and_trains_nothing(texts, tmp_path, capsys):
    words = ["--plan", "--watts", "100", "--price", "2", "--training.precision", "float32"]
    assert run(texts, tmp_path / "out", *words) == 0
    told = capsys.readouterr().out
    for word in ("memory", "activations", "chosen", "float32", "tokens a second", "operations", "kWh", "price"):
        assert word in told
    assert not (tmp_path / "out").exists()


def test_a_memory_that_is_too_small_is_refused_before_anything_runs(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "out", "--memory", "0.00001") == 2
    assert "are needed even for micro-batches of 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_sequence_longer_than_the_positions_is_refused(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "first") == 0
    words = ["pretrain", str(texts), "--from", str(tmp_path / "first"), "--out", str(tmp_path / "second"),
             "--training.context", "64"]  # fmt: skip
    assert cli.main(words) == 2
    assert "reads at most 32 tokens" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "heldout"])
def test_an_empty_part_is_refused(name, tmp_path, capsys):
    data = tmp_path / "data"
    folders.folder(data, folders.plain, folders.bpe())
    index = json.loads((data / name / "index.json").read_text())
    (data / name / "index.json").write_text(json.dumps(index | {"documents": 0, "tokens": 0, "shards": []}))
    assert run(data, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert name in said and "Traceback" not in said and not (tmp_path / "out" / "state").exists()


def test_tokens_of_another_vocabulary_than_the_tokenizer_are_refused(texts, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.plain, folders.bpe())
    folders.wordpiece().save(data)
    assert run(data, tmp_path / "out") == 2
    assert "made with another tokenizer" in capsys.readouterr().err


def test_a_state_folder_that_was_interrupted_is_told_and_named(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "out") == 0
    state = next((tmp_path / "out" / "state").glob("step-*"))
    (state / "optimizer.safetensors").write_bytes(b"half")
    (tmp_path / "out" / "model.safetensors").unlink()
    assert run(texts, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(state) in said and "Traceback" not in said
    (state / "state.json").unlink()
    assert run(texts, tmp_path / "out") == 2
    assert "not a whole state" in capsys.readouterr().err


def test_other_data_in_the_same_folder_are_refused(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "out") == 0
    other = folders.folder(tmp_path / "other", folders.plain, folders.bpe(), seed=2)
    assert run(other, tmp_path / "out") == 2
    assert "holds a run with other settings (data." in capsys.readouterr().err


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_state_before_it(texts, tmp_path, capsys, monkeypatch):
    from upwell.objectives import causal

    real, calls = causal.loss, []

    def damaged(model, batch, options):
        calls.append(1)
        return real(model, batch, options) * (float("nan") if len(calls) > 5 else 1.0)

    monkeypatch.setattr(causal, "loss", damaged)
    assert run(texts, tmp_path / "out", "--training.micro-rows", "4", "--evaluations", "0") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the loss is nan" in said and "samples" in said and f"lies in {tmp_path / 'out' / 'suspects.txt'}" in said
    suspects = (tmp_path / "out" / "suspects.txt").read_text()
    assert suspects.count("# sample") == 4 and "<|endoftext|>" in suspects and "river" in suspects
    kept = next((tmp_path / "out" / "state").glob("step-*"))
    step = int(said.partition("step ")[2].split()[0])
    assert json.loads((kept / "state.json").read_text())["step"] == step - 1


def test_a_full_disk_while_saving_leaves_the_state_before(texts, tmp_path, capsys, monkeypatch):
    real, saves = tensors.write, []

    def full(path, found):
        saves.append(path)
        if len(saves) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, found)

    monkeypatch.setattr(tensors, "write", full)
    assert run(texts, tmp_path / "out", "--save-steps", "2") == 2
    assert "disk is full" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out" / "state").iterdir()] == ["step-00000002"]
    monkeypatch.setattr(tensors, "write", real)
    assert run(texts, tmp_path / "out", "--save-steps", "2") == 0


def test_a_full_disk_while_writing_metrics_is_one_sentence_and_the_same_command_goes_on(texts, tmp_path, capsys,
                                                                                        monkeypatch):  # fmt: skip
    real = record.Record.__call__

    def full(self, **line):
        if line["step"] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, **line)

    monkeypatch.setattr(record.Record, "__call__", full)
    assert run(texts, tmp_path / "out", "--save-steps", "2") == 2
    assert "no space is left on the disk" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(record.Record, "__call__", real)
    assert run(texts, tmp_path / "out", "--save-steps", "2") == 0
    assert "after step 2 of 6" in capsys.readouterr().err
    lines = record.read(tmp_path / "out" / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_at_the_end_keeps_the_last_step_and_the_same_command_writes_the_folder(texts, tmp_path, capsys,
                                                                                            monkeypatch):  # fmt: skip
    from upwell.model import hub

    real = hub.save

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "save", full)
    assert run(texts, tmp_path / "out") == 2
    assert "no space is left on the disk" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in (tmp_path / "out" / "state").iterdir()] == ["step-00000006"]
    monkeypatch.setattr(hub, "save", real)
    assert run(texts, tmp_path / "out") == 0
    assert (tmp_path / "out" / "model.safetensors").is_file() and not (tmp_path / "out" / ".lock").exists()


def test_a_second_run_in_the_same_folder_is_refused(texts, tmp_path, capsys, monkeypatch):
    from upwell import atomic

    (tmp_path / "out").mkdir()
    with atomic.alone(tmp_path / "out" / ".lock"):
        assert run(texts, tmp_path / "out") == 2
    assert "Another run is at work on" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out" / "state").exists() and not (tmp_path / "out" / "metrics.jsonl").exists()

    def lockless(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic, "_lock", lockless)
    assert run(texts, tmp_path / "out", steps=2) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit on files is POSIX's")
@pytest.mark.parametrize("room", [1000, 60_000, 200_000])
def test_a_disk_that_takes_only_so_much_leaves_no_half_file_and_one_sentence(texts, tmp_path, room):
    words = ["pretrain", str(texts), "--out", str(tmp_path / "out"), *SMALL, "--training.steps", "2"]
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
            "from upwell import cli; sys.exit(cli.main(sys.argv[2:]))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(room), *words], capture_output=True, text=True, timeout=120)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and "Traceback" not in said
    assert "disk is full" in said or "File too large" in said or "o space is left" in said, said
    assert not [path for path in (tmp_path / "out").rglob("*") if ".partial-" in path.name]
    assert cli.main(words) == 0


def test_it_stops_early_keeps_the_best_and_does_not_begin_again(texts, tmp_path, capsys, monkeypatch):
    from upwell.evaluation import Number, Scores, within

    told = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    monkeypatch.setattr(within, "measure", lambda *_: Scores({"loss": Number(next(told), 0.1)}, 1))
    words = ["--best", "loss", "--patience", "2", "--evaluations", "10"]
    assert run(texts, tmp_path / "out", *words, steps=20) == 0
    assert "Stopped early: 2 evaluations in a row were not better than loss 2.0000 of step 4" in capsys.readouterr().err
    assert [line["step"] for line in evaluations(tmp_path / "out")] == [2, 4, 6, 8]
    kept = json.loads(next((tmp_path / "out" / "state").glob("step-*/state.json")).read_text())["extra"]["best"]
    assert (kept["value"], kept["step"], kept["waited"]) == (2.0, 4, 2)
    assert (tmp_path / "out" / "best" / "model.safetensors").read_bytes() != (
        tmp_path / "out" / "model.safetensors").read_bytes()  # fmt: skip
    before = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert run(texts, tmp_path / "out", *words, steps=20) == 0
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == before


def test_a_measure_that_is_not_taken_is_named(texts, tmp_path, capsys):
    assert run(texts, tmp_path / "out", "--best", "f1") == 2
    assert "--best is 'f1'; this run measures loss, perplexity, bits per byte" in capsys.readouterr().err


def test_an_average_is_what_is_measured_and_written(texts, tmp_path):
    assert run(texts, tmp_path / "out", "--training.average", "0.9") == 0
    from safetensors.torch import load_file

    state = next((tmp_path / "out" / "state").glob("step-*"))
    average, weights = (load_file(state / f"{name}.safetensors") for name in ("average", "model"))
    from upwell.model import hub

    model = hub.load(tmp_path / "out").model
    assert torch.equal(model.embed.weight, average["embed.weight"])
    assert not torch.equal(average["embed.weight"], weights["embed.weight"])


def test_a_folder_of_raw_texts_is_told_to_be_prepared_first(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("The river is wide.")
    assert cli.main(["pretrain", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "is no prepared folder" in told and f"`upwell prepare {tmp_path}`" in told
