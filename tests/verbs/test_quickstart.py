"""The main job on a small text of its own, from text to samples; and what goes wrong on the way."""

import json
import os
import subprocess
import sys

import pytest
import transformers

from tests.training.conftest import texts
from upwell import cli

SMALL = ["--steps", "4", "--compile", "off", "--vocab-size", "300"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "notes.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(300)))
    return folder


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A finished quickstart: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("run") / "mine"
    words = [sys.executable, "-m", "upwell", "quickstart", "--corpus", str(corpus), "--out", str(out), *SMALL]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return out, done.stdout, done.stderr


def test_it_leaves_a_folder_that_transformers_opens_and_a_picture(run):
    out, _, _ = run
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert model.config.vocab_size == len(tokenizer)
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_it_ends_with_a_table_of_stages_and_two_commands(run):
    out, table, said = run
    for stage in ("fetch", "prepare", "pretrain", "evaluate", "compare", "write"):
        assert stage in table
    assert "bits per byte" in table and "xz" in table and "5-grams" in table
    assert f"upwell generate {out}" in said and f"upwell serve {out}" in said


def test_the_same_command_again_trains_nothing_and_says_the_same(run, corpus, capsys):
    out, _, _ = run
    before = (out / "model.safetensors").read_bytes()
    assert cli.main(["quickstart", "--corpus", str(corpus), "--out", str(out), *SMALL]) == 0
    assert (out / "model.safetensors").read_bytes() == before
    assert "Going on with" in capsys.readouterr().err


def test_the_same_steps_and_seed_give_the_same_loss(run, corpus, tmp_path):
    out, _, _ = run
    assert cli.main(["quickstart", "--corpus", str(corpus), "--out", str(tmp_path / "again"), *SMALL]) == 0

    def losses(folder):
        lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [line["loss"] for line in lines if "loss" in line]

    assert losses(tmp_path / "again") == losses(out) and len(losses(out)) == 4


def test_generate_and_evaluate_and_doctor_take_the_run(run, capsys):
    out, _, _ = run
    assert cli.main(["generate", str(out), "--prompt", "the river", "--max-new", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["usage"]["new"] <= 5
    assert cli.main(["evaluate", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bits per byte"]["value"] > 0
    assert cli.main(["doctor", str(out)]) == 0


def test_a_tenth_of_a_minute_is_turned_into_steps_that_are_printed_and_kept(corpus, tmp_path, capsys):
    words = ["quickstart", "--corpus", str(corpus), "--out", str(tmp_path / "out"), "--compile", "off"]
    assert cli.main([*words, "--vocab-size", "300", "--minutes", "0.02"]) == 0
    said = capsys.readouterr().err
    steps = int(said.split(" minutes are ")[1].split(" steps")[0].replace(",", ""))
    kept = json.loads(next((tmp_path / "out" / "state").glob("*/state.json")).read_text())
    assert kept["step"] == steps == kept["extra"]["chosen"]["steps"]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda folder: None, "holds no files"),
        (lambda folder: (folder / "few.txt").write_text("one line\n" * 10), "too little"),
        (lambda folder: (folder / "picture.png").write_bytes(b"\x89PNG" + bytes(range(256)) * 40), "picture.png"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_one_sentence_and_leaves_nothing(make, words, tmp_path, capsys):
    folder, out = tmp_path / "texts", tmp_path / "out"
    folder.mkdir()
    make(folder)
    assert cli.main(["quickstart", "--corpus", str(folder), "--out", str(out)]) == 2
    last = capsys.readouterr().err.strip()
    assert words in last and "Traceback" not in last
    assert not out.exists() or not any(out.iterdir())


def test_without_a_network_it_says_how_to_use_an_own_folder(tmp_path):
    environment = os.environ | {"UPWELL_CACHE": str(tmp_path / "cache"), "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
                                "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}  # fmt: skip
    words = [sys.executable, "-m", "upwell", "quickstart", "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 2 and "--corpus" in done.stderr and "Traceback" not in done.stderr


def test_minutes_that_are_no_time_are_refused(capsys):
    assert cli.main(["quickstart", "--minutes", "0"]) == 2
    assert "minutes is 0" in capsys.readouterr().err
