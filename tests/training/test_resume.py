"""A run that is killed goes on to the same curve, bit for bit."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from upwell.training import record

SMALL = ["--model.width", "32", "--model.layers", "2", "--model.heads", "2", "--training.context", "32",
         "--training.rows", "4", "--training.steps", "40", "--evaluations", "2", "--samples", "2",
         "--sample-tokens", "8"]  # fmt: skip


def command(prepared, out, *more):
    return [sys.executable, "-m", "upwell", "pretrain", str(prepared), "--out", str(out), *SMALL, *more]


def losses(folder):
    lines = record.read(folder / "metrics.jsonl")
    steps = [(line["step"], line["loss"], line["norm"]) for line in lines if "loss" in line]
    held = [(line["step"], line["evaluation"]) for line in lines if "evaluation" in line]
    return steps, held


def kill_after(process, path, steps, seconds=60):
    """kill -9 as soon as the metrics say that many steps."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and path.read_text().count('"loss"') >= steps:
            process.kill()
            break
        time.sleep(0.01)
    process.wait(timeout=30)


def check_resume(prepared, tmp_path, seed, *more):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(prepared, whole, *more), check=True, capture_output=True, timeout=300)
    at = random.Random(seed).randint(3, 30)
    first = subprocess.Popen(command(prepared, broken, "--save-steps", "3", *more), stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    kill_after(first, broken / "metrics.jsonl", at)
    assert first.returncode == -signal.SIGKILL and not (broken / "model.safetensors").exists()
    words = command(prepared, broken, "--save-steps", "3", *more)
    again = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "Going on with" in again.stderr, again.stderr
    assert losses(broken) == losses(whole)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_and_resumed_gives_the_unbroken_curve(prepared, tmp_path):
    check_resume(prepared, tmp_path, 1, "--training.compile", "off")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("seed", range(2, 6))
def test_killed_and_resumed_at_other_steps(prepared, tmp_path, seed):
    check_resume(prepared, tmp_path, seed, "--training.compile", "off")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_and_resumed_compiled_gives_the_unbroken_curve(prepared, tmp_path):
    check_resume(prepared, tmp_path, 6, "--training.compile", "wait")


RUN = """
import json, sys
import torch
from upwell import plugs
from upwell.run import going
from upwell.run.stop import Stopped
from upwell.settings import parse
from upwell.training import plan
words = json.loads(sys.argv[1])
settings = parse(plugs.find("verbs", "pretrain").kind(words), words, "pretrain")
before, stop = plan.used(), going.Run.stop
going.Run.stop = lambda run, asked: stop(run, asked or sys.argv[2] == str(run.state.step))
try:
    going.train(settings)
except Stopped:
    pass
print(json.dumps(plan.used() - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures a process by Linux's account")
def test_a_resume_takes_no_more_memory_than_an_unbroken_run(prepared, tmp_path):
    def peak(out, until):
        words = [str(prepared), "--out", str(tmp_path / out), "--model.width", "384", "--model.layers", "6",
                 "--model.heads", "6", "--training.context", "32", "--training.rows", "4", "--training.steps", "6",
                 "--training.compile", "off", "--training.average", "0.9", "--training.optim.name", "adamw",
                 "--evaluations", "0", "--samples", "0"]  # fmt: skip
        given = [sys.executable, "-c", RUN, json.dumps(words), str(until)]
        done = subprocess.run(given, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    whole, first, again = peak("whole", 0), peak("broken", 3), peak("broken", 0)
    print(f"{whole / 1e6:.0f} MB unbroken, {again / 1e6:.0f} MB resumed")
    assert first > 0 and again < 1.1 * whole  # its weights are 42 MB, all that is saved is 170


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to a child is POSIX")
def test_ctrl_c_saves_says_so_and_the_same_command_goes_on(prepared, tmp_path):
    words = command(prepared, tmp_path, "--training.compile", "off")
    first = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    path, end = tmp_path / "metrics.jsonl", time.monotonic() + 60
    while time.monotonic() < end and not (path.exists() and path.read_text().count('"loss"') >= 5):
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130 and "the same command goes on from there" in said and "Traceback" not in said
    again = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0 and "Going on with" in again.stderr
    steps, _ = losses(tmp_path)
    assert [step for step, *_ in steps] == list(range(1, 41))


def test_other_settings_in_the_same_folder_are_refused(prepared, tmp_path):
    from upwell import cli

    run = ["pretrain", str(prepared), "--out", str(tmp_path), *SMALL, "--training.compile", "off", "--samples", "0"]
    assert cli.main([*run, "--training.steps", "3"]) == 0
    before = (tmp_path / "model.safetensors").read_bytes()
    assert cli.main([*run, "--training.steps", "4"]) == 2
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_full_disk_while_saving_is_one_sentence_and_the_state_before_stays(prepared, tmp_path, monkeypatch, capsys):
    from upwell import cli
    from upwell.training import tensors

    run = ["pretrain", str(prepared), "--out", str(tmp_path), *SMALL, "--training.compile", "off", "--samples", "0"]
    real, saves = tensors.write, []

    def full_at_the_second_state(path, found):
        saves.append(path)
        if len(saves) == 3:  # weights, memory, weights
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, found)

    monkeypatch.setattr(tensors, "write", full_at_the_second_state)
    assert cli.main([*run, "--save-steps", "5"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "disk is full" in said and [p.name for p in (tmp_path / "state").iterdir()] == ["step-00000005"]
    monkeypatch.setattr(tensors, "write", real)
    assert cli.main([*run, "--save-steps", "5"]) == 0
    assert "Going on with" in capsys.readouterr().err


def test_a_metrics_line_cut_short_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n{"step": 3, "lo')
    log = record.Record(path, step=2)
    log(step=2, loss=1.4)
    log.close()
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [2.0, 1.4]
