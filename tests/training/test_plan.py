"""What is reckoned before a run is what the run takes."""

import json
import subprocess
import sys

import pytest
import torch

from upwell.model import lora, preset
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes
from upwell.objectives import causal
from upwell.tokens.batches import Batch
from upwell.training import optim, plan
from upwell.training.settings import Optim, Settings

# The peak of a whole run of the command in a process of its own, from behind its imports, beside the plan's.
MEASURE = """
import json, sys
import torch
from upwell import plugs
from upwell.run import going, planning
from upwell.settings import parse
from upwell.training import plan
verb, *words = json.loads(sys.argv[1])
settings = parse(plugs.find("verbs", verb).kind(words), words, verb)
before = plan.used()
going.train(settings)
print(json.dumps(plan.used() - before))
"""
PLAN = """
import json, sys
from upwell import plugs
from upwell.run import planning
from upwell.settings import parse
verb, *words = json.loads(sys.argv[1])
print(json.dumps(planning.planned(parse(plugs.find("verbs", verb).kind(words), words, verb)).memory.peak))
"""
LARGE = ["--training.context", "128", "--training.rows", "16", "--training.steps", "4", "--training.compile", "off",
         "--evaluations", "0", "--samples", "0"]  # fmt: skip
SIZES = ["--model.width", "256", "--model.layers", "4", "--model.heads", "4"]


def result(code, words):
    done = subprocess.run([sys.executable, "-c", code, json.dumps(words)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.verbs import folders

    long = [folders.folder(tmp_path_factory.mktemp(name), folders.plain, tokenizer, counts=(400, 20))
            for name, tokenizer in (("bpe", folders.bpe()), ("words", folders.wordpiece()))]  # fmt: skip
    model = preset.create(preset.config(Sizes("llama", 256, 4, 4), folders.bpe().vocab_size, 128, 0), 1)
    from upwell.model import hub

    base = hub.save(hub.Checkpoint(model, folders.bpe(), model.config), tmp_path_factory.mktemp("base"))
    adapted = ["finetune", str(base), str(long[0]), "--objective", "causal", "--lora.rank", "8", "--epochs", "0"]
    return {"decoder": ["pretrain", str(long[0]), *SIZES],
            "encoder": ["pretrain", str(long[1]), "--objective", "masked", *SIZES], "lora": adapted}  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures a process by Linux's account")
@pytest.mark.parametrize("kind", ["decoder", pytest.param("encoder", marks=pytest.mark.slow),
                                  pytest.param("lora", marks=pytest.mark.slow)])  # fmt: skip
def test_the_memory_of_a_plan_is_that_of_the_run(data, tmp_path, kind):
    words = [*data[kind], *LARGE, "--out", str(tmp_path / "out")]
    measured, planned = result(MEASURE, words), result(PLAN, words)
    print(f"{kind}: {planned / 1e6:.0f} MB planned, {measured / 1e6:.0f} MB measured")
    assert measured > 150e6
    assert abs(planned - measured) < 0.15 * measured


def model_of(family="llama"):
    return preset.create(preset.config(Sizes(family, 64, 2, 2), 97, 32, 0), 1)


def batch(rows=8):
    ids = torch.randint(1, 97, (rows, 32), generator=torch.Generator().manual_seed(1))
    return Batch(ids, ids.roll(-1, 1), None)


@pytest.mark.parametrize("name", ["adamw", "muon", "adafactor", "sgd"])
def test_what_optimizers_remember_is_counted_to_the_byte(name):
    model = model_of()
    found = optim.build(model, Optim(name=name))
    held = sum(plan.bytes_of(t) for one in found for state in one.state.values() for key, t in state.items()
               if key != "step")  # fmt: skip
    assert plan.remembered(model, Optim(name=name)) == held


def test_a_look_changes_nothing_of_the_model():
    model, s = model_of(), Settings(rows=8, context=32, compile="off")
    before = {name: p.clone() for name, p in model.named_parameters()}
    plan.look(model, causal, causal.Settings(), batch(), s, torch.float32)
    plan.look(model, causal, causal.Settings(), batch(), Settings(rows=8, context=32, checkpoint=True), torch.float32)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())
    assert all("forward" not in vars(block) for block in model.decoder.blocks)


def test_only_what_learns_has_gradients():
    model = lora.wrap(model_of(), Lora(rank=2))
    found = plan.counted(model, Settings(optim=Optim(name="adamw")), batch())
    thin = sum(4 * p.numel() for p in lora.parameters(model))
    assert found[1] == thin and found[2] == 2 * thin and found[0] > 10 * thin


def look(row=100, fixed=50, lean=10):
    return lambda checkpoint: plan.Look(1000, 500, 700, 0, 20, 0, fixed, lean if checkpoint else row, 0.0)


def test_the_largest_micro_batch_that_fits_is_chosen_and_checkpointing_only_where_nothing_does():
    s = Settings(rows=8)
    sizes = (8, 4, 2, 1)
    assert plan.chosen(look(), s, 1e9, sizes)[:2] == (0, False)
    few = plan.chosen(look(row=1000), s, plan.predicted(look(row=1000)(False), s, 4).peak, sizes)
    assert few[:2] == (4, False) and few.fits
    again = plan.chosen(look(row=5000), s, plan.predicted(look()(True), s, 0).peak, sizes)
    assert again[:2] == (0, True)
    assert not plan.chosen(look(), s, 1000, sizes).fits
    assert plan.chosen(look(), s, 1e9, (2,)).micro_rows == 2


def test_micro_batches_hold_the_gradients_of_those_before_them():
    s = Settings(rows=8)
    whole, half = plan.predicted(look(row=0)(False), s, 8), plan.predicted(look(row=0)(False), s, 4)
    assert half.peak >= whole.peak and whole.gradients == half.gradients == 500


def test_a_look_measures_a_pass_as_it_is():
    model = preset.create(preset.config(Sizes("llama", 256, 4, 4), 97, 128, 0), 1)
    ids = torch.randint(1, 97, (16, 128), generator=torch.Generator().manual_seed(1))
    big, s = Batch(ids, ids.roll(-1, 1), None), Settings(rows=16, context=128, compile="off", micro_rows=0)
    found = plan.look(model, causal, causal.Settings(), big, s, torch.float32, seconds=60)
    whole = plan.one_pass(model, causal, causal.Settings(), big, s, torch.float32)
    assert found.fixed + 16 * found.row == pytest.approx(whole, rel=0.35)
