"""Compiled or not, the same numbers to rounding; without a compiler a run goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from upwell.model import lora
from upwell.model.lora_settings import Lora
from upwell.objectives import causal
from upwell.tokens.batches import Batch
from upwell.training import blocks, compiling, loop, optim
from upwell.training.settings import Settings
from upwell.training.state import State


def run(model, packed, mode, swap=None):
    s = Settings(steps=6, rows=4, context=32, compile=mode)
    state, losses, warnings = State(model, optim.build(model, s.optim), swap=swap), [], []
    every = [(1, lambda _, r: losses.append(r.loss))]
    loop.train(state, packed, causal, causal.Settings(), s, every=every, warn=warnings.append)
    return losses, warnings, state


def test_without_a_compiler_a_run_goes_on_with_one_line(model, packed, monkeypatch):
    def no_compiler(*_, **__):
        raise RuntimeError("no C++ compiler was found")

    def compile_blocks(model, dynamic):
        for block in model.decoder.blocks:
            block._compiled_call_impl = no_compiler

    monkeypatch.setattr(compiling, "compile_blocks", compile_blocks)
    losses, warnings, _ = run(model, packed, "wait")
    assert len(losses) == 6 and len(warnings) == 1 and "no C++ compiler was found" in warnings[0]


def test_a_helper_that_fails_leaves_the_run_eager(model, packed, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    dead.wait()
    monkeypatch.setattr(compiling, "start_helper", lambda *_: dead)
    losses, warnings, state = run(model, packed, "background")
    assert len(losses) == 6 and len(warnings) == 1 and state.swap is None


def test_the_step_of_the_swap_is_kept_and_repeated(model, packed, monkeypatch):
    began = []
    monkeypatch.setattr(compiling, "compile_blocks", lambda *_: began.append(True))
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    monkeypatch.setattr(compiling, "start_helper", lambda *_: done)
    _, _, state = run(model, packed, "background")
    assert state.swap == 0 and began == [True]
    compiler = compiling.Compiler(model, "background", 4)
    asked = [step for step in range(6) if compiler.before(step, lambda: None) is None and compiler.active]
    assert asked == [4, 5]


@pytest.mark.slow
def test_compiled_blocks_give_the_same_losses_to_rounding(model, packed):
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    eager, _, _ = run(model, packed, "off")
    model.load_state_dict(weights)
    compiled, warnings, state = run(model, packed, "wait")
    assert not warnings and state.swap == 0
    torch.testing.assert_close(torch.tensor(compiled), torch.tensor(eager), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_helper_process_compiles(model, packed):
    told = compiling.described(model, causal, causal.Settings(), packed.batch(0, 4), torch.float32, False)
    helper = compiling.start_helper(told)
    assert helper.wait(timeout=300) == 0 and not Path(told["batch"]).exists()


def test_the_helper_builds_the_model_that_trains(model, packed):
    lora.wrap(model, Lora(rank=4, dropout=0.1, targets=("attn.q", "ffn.up")), seed=1)
    blocks.drop(model, 0.2)
    blocks.remember_less(model)
    told = compiling.described(model, causal, causal.Settings(0.1), packed.batch(0, 4), torch.bfloat16, True)
    told = json.loads(json.dumps(told))
    other, batch = compiling.model_of(told), compiling.batch_of(told)
    assert [(n, p.shape, p.requires_grad, p.dtype) for n, p in other.named_parameters()] == [
        (n, p.shape, p.requires_grad, p.dtype) for n, p in model.named_parameters()]  # fmt: skip
    assert compiling.described_model(other) == compiling.described_model(model) and other.config == model.config
    assert batch._fields == Batch._fields and torch.equal(batch.ids, packed.batch(0, 4).ids)
    assert compiling.options_of(causal.Settings, told["options"]) == causal.Settings(0.1)
    assert not Path(told["batch"]).exists()


def test_what_cannot_be_told_to_a_helper_is_compiled_at_once(model, packed):
    class Own:
        loss = causal.loss

    assert compiling.described(model, Own, causal.Settings(), packed.batch(0, 4), torch.float32, False) is None
    assert compiling.Compiler(model, "background", None).swap == 0


def test_batches_of_several_widths_are_seen(packed):
    one = packed.batch(0, 4)
    assert not compiling.varied([one, packed.batch(4, 4)])
    assert compiling.varied([one, Batch(one.ids[:, :24], one.targets, one.documents)])
    assert not compiling.varied([one, Batch(one.ids, one.targets[:, :24], one.documents)])
