"""A state goes to disk and back whole, without a second copy, and never into a model that it does not fit."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from upwell.errors import CheckpointError, UpwellError
from upwell.model import lora
from upwell.model.lora_settings import Lora
from upwell.objectives import causal
from upwell.training import loop, state, tensors
from upwell.training.settings import Optim, Settings


def trained(model, packed, folder, **settings):
    s = Settings(**{"steps": 3, "rows": 4, "context": 32, "compile": "off"} | settings)
    run = state.begin(model, s)
    loop.train(run, packed, causal, causal.Settings(), s)
    state.save(run, folder)
    return run, s


def test_every_safetensors_reader_opens_what_is_written(tmp_path):
    given = {"a": torch.arange(12.0).view(3, 4), "b": torch.ones(5, dtype=torch.bfloat16), "c": torch.tensor(7.0),
             "d": torch.zeros(0, 3), "e": torch.arange(6).view(2, 3).T}  # fmt: skip
    tensors.write(tmp_path / "x.safetensors", given)
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == given.keys() and all(torch.equal(found[name], given[name]) for name in given)


def test_adapters_save_what_learns_and_the_hash_of_the_rest(model, packed, tmp_path):
    lora.wrap(model, Lora(rank=2), seed=1)
    run, s = trained(model, packed, tmp_path, optim=Optim(name="adamw"))
    found = state.newest(tmp_path)
    saved = load_file(found / "model.safetensors")
    assert saved and all(name.endswith((".a", ".b")) for name in saved)
    assert state.facts(found)["base"] == state.hash_of_frozen(model) != ""
    with torch.no_grad():
        model.embed.weight[0, 0] += 1e-3
    with pytest.raises(CheckpointError, match="not those that this run began with"):
        state.restore(state.begin(model, s), found)


@pytest.mark.parametrize(("name", "other", "says"), [
    ("adamw", {"optim": Optim(name="sgd")}, "sgd.*is missing"), ("adamw", {"average": 0.9}, "do not agree"),
])  # fmt: skip
def test_a_state_of_other_settings_is_refused(model, packed, tmp_path, name, other, says):
    trained(model, packed, tmp_path, optim=Optim(name=name))
    with pytest.raises(CheckpointError, match=says):
        state.restore(state.begin(model, Settings(**{"optim": Optim(name=name)} | other)), state.newest(tmp_path))


def test_a_state_that_is_there_is_not_written_again_and_another_one_of_the_step_is(model, packed, tmp_path):
    run, _ = trained(model, packed, tmp_path)
    path = state.newest(tmp_path)
    first = (path / "model.safetensors").stat().st_ino
    state.save(run, tmp_path)
    assert (path / "model.safetensors").stat().st_ino == first
    run.extra["more"] = 1
    state.save(run, tmp_path)
    assert state.facts(path)["extra"] == {"more": 1} and (path / "model.safetensors").stat().st_ino != first


def test_what_a_killed_save_left_half_written_is_cleared(model, packed, tmp_path):
    left = tmp_path / "state" / ".step-00000002.partial-123"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    trained(model, packed, tmp_path)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000003"]


def test_an_interrupted_folder_is_one_sentence(model, packed, tmp_path):
    run, s = trained(model, packed, tmp_path, optim=Optim(name="adamw"))
    found = state.newest(tmp_path)
    whole = (found / "optimizer.safetensors").read_bytes()
    (found / "optimizer.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="does not load"):
        state.restore(state.begin(model, s), found)
    (found / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match="says nothing of"):
        state.restore(state.begin(model, s), found)


def test_the_average_is_that_of_the_weights_and_the_twin_shows_it(model, packed, tmp_path):
    from upwell.training import averaging

    s = Settings(steps=4, rows=4, context=32, compile="off", average=0.6)
    run, seen = state.begin(model, s), [{n: p.detach().clone() for n, p in model.named_parameters()}]
    every = [(1, lambda now, _: seen.append({n: p.detach().clone() for n, p in model.named_parameters()}))]
    twin = averaging.shown(model.twin(), run.average)
    loop.train(run, packed, causal, causal.Settings(), s, every=every)
    want = seen[0]
    for step, weights in enumerate(seen[1:], start=1):
        kept = min(0.6, (1 + step) / (10 + step))
        want = {n: kept * want[n] + (1 - kept) * weights[n] for n in want}
    for name, p in twin.named_parameters():
        torch.testing.assert_close(p, want[name], rtol=1e-5, atol=1e-7)
        assert name != "head.weight" or not torch.equal(p, seen[-1][name])


PROBE = """
import json, resource, sys, torch
from pathlib import Path
from upwell.training import tensors
tensors.CHUNK = 1 << 23
size, path = 1 << 22, Path(sys.argv[1])
targets = {f"t{n}": torch.ones(size) for n in range(8)}
if not path.exists():
    tensors.write(path, targets)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
tensors.write(path.with_suffix(".again"), targets) if sys.argv[2] == "write" else tensors.fill(path, targets)
print(json.dumps([before, peak()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory in kilobytes is Linux's")
@pytest.mark.parametrize("way", ["write", "fill"])
def test_neither_way_holds_a_second_copy(tmp_path, way):
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    for _ in range(2):
        words = [sys.executable, str(probe), str(tmp_path / "x.safetensors"), way]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    before, after = json.loads(done.stdout)
    assert after - before < 50e6  # the tensors are 134 MB


class Jumping:
    """The next token, with a loss that is multiplied at one step."""

    TERMS, counts = causal.TERMS, staticmethod(causal.counts)

    def __init__(self, run, step, factor):
        self.run, self.step, self.factor = run, step, factor

    def loss(self, model, batch, options):
        value = causal.loss(model, batch, options)
        return value * (self.factor if self.run.step == self.step else 1.0)


def test_a_jump_of_the_loss_stops_before_the_step_and_names_it(model, packed):
    s = Settings(steps=30, rows=4, context=32, compile="off", spike=3.0)
    run = state.begin(model, s)
    with pytest.raises(loop.Unsound, match=r"step 25 \(samples 96 to 99\): the loss is .* more than 3 times"):
        loop.train(run, packed, Jumping(run, 24, 4.0), causal.Settings(), s)
    assert run.step == 24
    run = state.begin(model, s)
    loop.train(run, packed, Jumping(run, 3, 4.0), causal.Settings(), s)  # too early to know what is usual
    assert run.step == 30


def test_a_gradient_that_is_no_number_is_named_though_the_loss_is_one(model, packed):
    s = Settings(steps=3, rows=4, context=32, compile="off")
    run = state.begin(model, s)
    model.decoder.blocks[0].attn.q.weight.register_hook(lambda g: g * float("nan"))
    with pytest.raises(UpwellError, match="step 1 .*the gradient is nan; expected a number. The state before"):
        loop.train(run, packed, causal, causal.Settings(), s)
