import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from upwell import cli
from upwell.model.hub import sha256
from upwell.verbs import doctor


@pytest.fixture
def folder(tmp_path):
    """A small model's folder as upwell writes it."""
    made = tmp_path / "model"
    (made / "state").mkdir(parents=True)
    save_file({"embed.weight": np.ones((8, 4), np.float32)}, made / "model.safetensors")
    save_file({"step": np.ones(3, np.float32)}, made / "state" / "optim.safetensors")
    (made / "config.json").write_text("{}", encoding="utf-8")
    files = ("model.safetensors", "config.json")
    lines = "".join(f"  {name}: {sha256(made / name)}\n" for name in files)
    (made / "upwell.yaml").write_text(f"seed: 1\nfiles:\n{lines}", encoding="utf-8")
    return made


def said(folder, capsys) -> str:
    assert cli.main(["doctor", str(folder)]) == 2
    return capsys.readouterr().err


def test_a_whole_folder_is_found_whole(folder, capsys):
    assert cli.main(["doctor", str(folder)]) == 0
    assert "2 files have the SHA-256 of upwell.yaml, 2 headers are sound" in capsys.readouterr().err


@pytest.mark.parametrize("position", [0, 9, -1])
def test_one_flipped_bit_is_found(folder, capsys, position):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[position] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    found = said(folder, capsys)
    assert f"{folder / 'model.safetensors'}: its SHA-256 is" in found and found.count("\n") == 1


def test_a_truncated_a_missing_and_an_unlisted_damaged_file_are_all_named(folder, capsys):
    for name in ("model.safetensors", "state/optim.safetensors"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    (folder / "config.json").unlink()
    lines = said(folder, capsys).splitlines()
    assert len(lines) == 3
    assert "model.safetensors: its SHA-256 is" in lines[0]
    assert "config.json: the file is missing; copy the folder again." in lines[1]
    assert "optim.safetensors: the safetensors header does not fit the file" in lines[2]


def test_a_folder_without_hashes_has_its_headers_checked(folder, capsys):
    (folder / "upwell.yaml").unlink()
    assert cli.main(["doctor", str(folder)]) == 0
    assert "a flipped bit would not have been seen" in capsys.readouterr().err
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    assert "model.safetensors: the safetensors header" in said(folder, capsys)


def test_what_is_no_model_folder_is_one_sentence(tmp_path, capsys):
    assert "there is no such folder" in said(tmp_path / "none", capsys)
    assert "it is no model's folder" in said(tmp_path, capsys)


@pytest.mark.parametrize(
    "text", ["files: [", "files: 3", "- a", "\x00", "files:\n  ../outside: abc\n", "files:\n  config.json: 5\n"]
)
def test_a_damaged_list_of_hashes_is_one_sentence(folder, capsys, text):
    (folder / "upwell.yaml").write_text(text, encoding="utf-8")
    found = said(folder, capsys)
    assert "upwell.yaml" in found and "damaged" in found and found.count("\n") == 1


def test_the_table_of_this_machine_names_what_matters(capsys):
    assert cli.main(["doctor"]) == 0
    table = capsys.readouterr().out
    for word in ("Python", "torch", "cores", "memory", "float32", "bfloat16", "compiler", "disk", "cache"):
        assert word in table
    rates = [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) GFLOP/s", table)]
    assert len(rates) == 2 and min(rates) >= 1


def test_a_cache_that_cannot_be_written_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    assert not doctor.writable(blocked)
    assert doctor.writable(tmp_path / "not" / "there" / "yet")


def test_a_hash_fault_shows_no_traceback_in_a_real_process(folder):
    (folder / "config.json").write_text("{ }", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "upwell", "doctor", str(folder)], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr and "config.json: its SHA-256" in done.stderr
