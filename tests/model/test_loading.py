"""Opening a folder: what is asked for is what memory holds."""

import subprocess
import sys

import pytest
import torch

from upwell.model import hub, preset
from upwell.model.config import Config

CODE = """
import resource, sys, torch
from upwell.model import hub

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

dtype = getattr(torch, sys.argv[3])
hub.load(sys.argv[1], dtype=dtype)
before = peak()
model = hub.load(sys.argv[2], dtype=dtype).model
sum(float(p.flatten()[::512].float().sum()) for p in model.parameters())  # touch every page
print((peak() - before) / sum(p.numel() * p.element_size() for p in model.parameters()))
"""


def folder_of(width: int, path):
    c = Config("llama", "llama", vocab=8000, width=width, decoder_layers=6, heads=8, kv_heads=8, head_dim=width // 8,
               ffn_width=4 * width, context=64, positions="rotary")  # fmt: skip
    hub.save(hub.Checkpoint(preset.create(c, 1), None, c), path)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by the resource module")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_holds_little_more_than_the_weights_in_their_final_type(dtype, tmp_path):
    small, large = folder_of(64, tmp_path / "small"), folder_of(768, tmp_path / "large")
    command = [sys.executable, "-c", CODE, str(small), str(large), dtype]
    share = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert share < 1.15


def test_a_converted_model_has_the_rounded_numbers_of_the_file(tmp_path):
    folder = folder_of(64, tmp_path / "small")
    whole, half = hub.load(folder).model, hub.load(folder, dtype=torch.bfloat16).model
    for name, weight in half.state_dict().items():
        assert torch.equal(weight, whole.state_dict()[name].bfloat16())
