"""kill -9 at ten steps, in the midst of saving and of updating too: the curve and every saved number stay the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "killed.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="fork and SIGKILL are POSIX")


def told(data, out, variant, compile, kills):
    """(what was killed, everything else that was printed)."""
    words = [sys.executable, str(WORKER), str(data), str(out), variant, compile, str(kills)]
    root = str(WORKER.parents[2])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    parts = [line for line in lines if isinstance(line, dict) and "killed" in line]
    return parts, [line for line in lines if line not in parts]


def check(prepared, tmp_path, variant, compile, kills):
    _, whole = told(prepared, tmp_path / "whole", variant, compile, 0)
    parts, broken = told(prepared, tmp_path / "broken", variant, compile, kills)
    assert [part["killed"] for part in parts] == [True] * kills + [False]
    assert broken == whole and len(whole) == 25 and "optimizer.safetensors" in whole[-1]


@pytest.mark.parametrize("variant", ["muon", "adapters"])
def test_killed_ten_times_the_curve_and_the_state_are_those_of_the_unbroken_run(prepared, tmp_path, variant):
    check(prepared, tmp_path, variant, "off", 10)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["adafactor", "float16", "widths"])
def test_killed_ten_times_with_other_optimizers_precisions_and_widths(prepared, tmp_path, variant):
    check(prepared, tmp_path, variant, "off", 10)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "kills"), [("adapters", 10), ("muon", 3), ("widths", 3), ("adafactor", 3)])
def test_killed_compiled_the_curve_is_the_unbroken_one(prepared, tmp_path, variant, kills):
    check(prepared, tmp_path, variant, "wait", kills)
