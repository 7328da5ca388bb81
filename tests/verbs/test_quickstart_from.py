"""A firm's folder to a model that answers from it, on a tiny model and a made-up folder; and what goes wrong."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from upwell import cli
from upwell.model import hub, preset
from upwell.model.sizes import Sizes
from upwell.prepared import documents_of
from upwell.tokens import markers
from upwell.tokens.tokenizer import train

WORDS = ("pump valve seal shaft motor cable filter spring wheel gauge river field cellar winter summer water pressure "
         "quiet early heavy narrow clean lower raise turn watch carry drain repair measure often slowly twice").split()
NAMES = [first + last for first in ("dro", "kel", "mar", "pin", "sol", "tur", "vel") for last in
         ("gan", "lim", "nord", "pex", "rin", "tash")]  # fmt: skip
PRIVATE = "anna.berger@pumpenwerk-nord.de"
STAGES = ("clean", "index", "pairs", "before", "teach", "after")


def sentence(r):
    return " ".join(r.choices(WORDS, k=9)).capitalize() + "."


def page(name, r):
    """A page with a definition, a heading and a question."""
    inside = [" ".join(sentence(r) for _ in range(4)) for _ in range(3)]
    return (f"# The {name}\n\nA {name} is a machine that moves {' '.join(r.choices(WORDS, k=4))} up.\n\n{inside[0]}\n\n"
            f"## Cleaning the {name}\n\n{inside[1]}\n\n## Where is the {name} made?\n\nThe {name} is made in the "
            f"{' '.join(r.choices(WORDS, k=3))} works.\n\n{inside[2]}\n")  # fmt: skip


def firm(folder):
    """A folder of pages, one of which holds an address that is nobody's business."""
    r = random.Random(1)
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.md").write_text(page(name, r), encoding="utf-8")
    (folder / "who.md").write_text(page("whistle", r) + f"\nQuestions go to {PRIVATE} at any time of the day.\n")
    (folder / "picture.png").write_bytes(b"\x89PNG" + bytes(range(256)) * 9)
    return folder


def talker(folder, template=markers.template, head=None):
    """A tiny model that chats, badly."""
    r = random.Random(2)
    tokenizer = train([page(name, r) for name in NAMES], 400, special=markers.CHAT)
    config = preset.config(Sizes("llama", 32, 2, 2), tokenizer.vocab_size, 4096, tokenizer.end, {})
    return hub.save(hub.Checkpoint(preset.create(config, 1), tokenizer, config, None, template and template()), folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return firm(tmp_path_factory.mktemp("firm") / "docs")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return talker(tmp_path_factory.mktemp("talker"))


def words(model, corpus, out, *more):
    return ["quickstart", "--from", str(model), "--corpus", str(corpus), "--out", str(out), "--encoder", "none",
            "--steps", "3", "--questions", "6", *more]  # fmt: skip


@pytest.fixture(scope="module")
def run(model, corpus, tmp_path_factory):
    """A finished walk: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("run") / "mine"
    done = subprocess.run([sys.executable, "-m", "upwell", *words(model, corpus, out)], capture_output=True, text=True,
                          timeout=600, encoding="utf-8", env=os.environ | {"COLUMNS": "160"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, done.stdout, done.stderr


def lines(out):
    return [json.loads(line) for line in (out / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def texts(out):
    return {part: {one.source: one.text for one in documents_of(out / "data" / f"{part}.jsonl")}
            for part in ("train", "heldout")}  # fmt: skip


def stages(out):
    return json.loads((out / "firm.json").read_text(encoding="utf-8"))


def test_the_walk_ends_with_a_table_of_stages_measures_with_intervals_a_picture_and_two_commands(run):
    out, table, said = run
    for stage in STAGES:
        assert stage in table
    for measure in ("word F1: alone", "word F1: from passages", "word F1: best", "other subjects", "perplexity"):
        assert measure in table
    assert (out / "answers.png").read_bytes().startswith(b"\x89PNG")
    assert f"upwell serve {out / 'model'} --index {out / 'index'}" in said and "upwell ask" in said


def test_A1_every_question_has_its_answer_at_the_exact_place_and_every_citation_is_an_exact_span(run):
    out, _, _ = run
    stored = texts(out)
    assert len(lines(out)) > 60
    for one in lines(out):
        assert stored[one["part"]][one["source"]][one["start"] : one["end"]] == one["answer"]
    found = stages(out)["before"]["result"]["sentence"]
    assert found["citations"] == found["exact"] > 0


def test_no_document_is_both_learnt_from_and_asked_about(run):
    out, _, _ = run
    learnt = (out / "chats.jsonl").read_text(encoding="utf-8").splitlines()
    said = {one["messages"][0]["content"] for one in map(json.loads, learnt) if one["split"] == "train"}
    held = [one for one in lines(out) if one["part"] == "heldout"]
    assert held and not any(one["question"] in asked for one in held for asked in said)


def test_S8_personal_data_are_in_no_file_that_the_walk_leaves(run):
    out, _, _ = run
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 15
    assert not [path for path in files if PRIVATE.encode() in path.read_bytes()]
    assert "1 places with personal data" in stages(out)["clean"]["told"]


def test_the_same_command_again_repeats_no_stage(run, model, corpus, monkeypatch, capsys):
    out, table, _ = run
    monkeypatch.setenv("COLUMNS", "160")
    before = {path: path.read_bytes() for path in (out / "firm.json", out / "model" / "model.safetensors")}
    assert cli.main(words(model, corpus, out)) == 0
    assert {path: path.read_bytes() for path in before} == before
    said = capsys.readouterr()
    assert said.err.count("Done before") == 5 and said.out == table


def test_a_changed_folder_is_indexed_and_taught_anew_and_the_model_of_before_stays_aside(run, model, tmp_path, capsys):
    import shutil

    out, corpus = tmp_path / "again", firm(tmp_path / "docs")
    shutil.copytree(run[0], out)
    (corpus / f"{NAMES[0]}.md").unlink()
    assert cli.main(words(model, corpus, out)) == 0
    assert f"the model of before is now {out / 'model-before'}" in capsys.readouterr().err
    assert not any(NAMES[0] in source for part in texts(out).values() for source in part)
    from upwell.answering.index import Index

    with Index.open(out / "index") as index:
        assert not any(NAMES[0] in one.source for one in index.documents())


@pytest.mark.parametrize("stage", ["index", "pairs", "before", "teach", "after"])
def test_after_a_stop_in_any_stage_the_same_command_goes_on_there(run, model, corpus, tmp_path, monkeypatch, stage):
    from upwell.verbs import _firm

    out, done = tmp_path / "out", []
    name = "ask" if stage in ("before", "after") else stage

    def stopped(firm, *given):
        if stage != "after" or given == (out / "model",):
            raise KeyboardInterrupt
        return fake("before")

    def fake(name):
        done.append(name)
        return stages(run[0])[name]["result"], "made up"

    monkeypatch.setattr(_firm.Firm, "teach", lambda firm: ((out / "model").mkdir(), fake("teach"))[1])
    monkeypatch.setattr(_firm.Firm, "ask", lambda firm, model: fake("before" if model != out / "model" else "after"))
    with monkeypatch.context() as patch:
        patch.setattr(_firm.Firm, name, stopped)
        assert cli.main(words(model, corpus, out)) == 130
    there, before = set(stages(out)), done.copy()
    assert stage not in there and {*STAGES[: STAGES.index(stage)]} <= there
    assert cli.main(words(model, corpus, out)) == 0
    assert len(done) == len({*done}) == 3 and done[: len(before)] == before and {*stages(out)} >= {*STAGES}


def test_F6_a_kill_while_the_model_is_taught_loses_nothing_that_was_finished(model, corpus, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "upwell", *words(model, corpus, out)]
    command[command.index("--steps") + 1] = "60"
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        for _ in range(3000):
            if list((out / "model").glob("metrics.jsonl")) or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        process.wait()
    kept = (out / "firm.json").read_bytes()
    assert {"clean", "index", "pairs", "before", "steps"} <= {*json.loads(kept)} and b'"teach"' not in kept
    again = subprocess.run(command, capture_output=True, text=True, timeout=600, encoding="utf-8")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("Done before") == 3 and json.loads(kept)["before"] == stages(out)["before"]
    assert stages(out)["teach"]["result"]["steps"] == 60


def test_a_chinese_folder_is_indexed_and_answered_but_a_model_without_chinese_is_not_taught(model, tmp_path, capsys):
    folder, out = tmp_path / "docs", tmp_path / "out"
    folder.mkdir()
    r = random.Random(3)
    signs = "水泵阀门密封电机滤网弹簧压力河流田野冬天夏天清洁维修测量经常缓慢两次安静沉重狭窄"
    for number, name in enumerate("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉"):
        text = "\n\n".join("".join(r.choices(signs, k=120)) + "。" for _ in range(9))
        said = f"# {name}型水泵\n\n{name}型潜水泵是一种用来输送{''.join(r.choices(signs, k=6))}的机械。\n\n{text}\n"
        (folder / f"{number}.md").write_text(said, encoding="utf-8")
    assert cli.main(["quickstart", "--from", str(model), "--corpus", str(folder), "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "is not taught: the folder is Chinese" in said and f"--index {out / 'index'}" in said
    found = stages(out)["before"]["result"]
    assert set(found) == {"asked", "sentence"} and found["sentence"]["exact"] == found["sentence"]["citations"] > 0
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda folder: None, "holds no files"),
        (lambda folder: (folder / "few.md").write_text("one line\n" * 10), "too little"),
        (lambda folder: [(folder / f"{n}.txt").write_text(" ".join(random.Random(n).choices(WORDS, k=300)))
                         for n in range(30)], "found no sentence or heading"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_asked_about_is_one_sentence(make, told, model, tmp_path, capsys):
    folder = tmp_path / "docs"
    folder.mkdir()
    make(folder)
    assert cli.main(words(model, folder, tmp_path / "out")) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in last and "Traceback" not in last


def test_a_model_that_does_not_chat_is_one_sentence(corpus, tmp_path, capsys):
    plain = talker(tmp_path / "plain", template=None)
    assert cli.main(words(plain, corpus, tmp_path / "out")) == 2
    assert "found no chat template" in capsys.readouterr().err
    assert cli.main(words(tmp_path / "nowhere", corpus, tmp_path / "out")) == 2
    assert "nowhere" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_two_at_once_in_one_folder_are_told(run, model, corpus, capsys):
    from upwell.atomic import alone

    with alone(run[0] / ".firm.lock"):
        assert cli.main(words(model, corpus, run[0])) == 2
    assert "Another run is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--from", "x"], "--from needs --corpus"),
        (["--from", "x", "--corpus", "y", "--vocab-size", "300"], "for a new model"),
        (["--encoder", "none"], "go with --from"),
        (["--from", "x", "--corpus", "y", "--questions", "0"], "questions is 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, told, capsys):
    assert cli.main(["quickstart", *flags]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
