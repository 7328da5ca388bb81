"""Who computes has the cores to itself."""

import os
import subprocess
import sys

import pytest

LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="only Linux tells of its libraries")
CODE = """
import os, threading, torch
torch.set_num_threads(3)
a = torch.ones(512, 512)
count = lambda: len(os.listdir("/proc/self/task"))
a @ a, a.repeat(40, 1).exp()
before = count()
from upwell.generation.threads import give_up_team
told = give_up_team()
after = count()
b = a @ a
print(told, before - after, bool((b == 512).all()))
"""


@LINUX
def test_a_team_ends_and_is_made_again_where_its_thread_computes_again():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True,
                           env=os.environ | {"OMP_NUM_THREADS": "3"})  # fmt: skip
    assert found.stdout.split() == ["True", "2", "True"]


def test_elsewhere_nothing_happens(monkeypatch, tmp_path):
    from upwell.generation import threads

    monkeypatch.setattr(threads, "MAPS", tmp_path / "none")
    assert threads.give_up_team() is False
