"""Optimizers and schedules beside what they are defined by."""

import math

import pytest
import torch

from upwell.errors import CheckpointError, SettingsError
from upwell.model import lora, preset
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes
from upwell.training import optim, schedule
from upwell.training.settings import Optim, Schedule


def gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator) * 0.1


def test_orthogonal_makes_all_singular_values_about_one():
    x = torch.randn(3, 40, 24, generator=torch.Generator().manual_seed(1))
    for shape in (x, x.mT, torch.randn(2, 90, 16, generator=torch.Generator().manual_seed(4))):
        values = torch.linalg.svdvals(optim.orthogonal(shape))
        assert values.min() > 0.85 and values.max() < 1.15


def test_orthogonal_keeps_the_directions_of_its_matrix():
    for n in (30, 80):  # on the matrix itself, and in Gram space
        x = torch.randn(1, 16, n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        u, _, v = torch.linalg.svd(x[0], full_matrices=False)
        inside = u.T @ optim.orthogonal(x)[0] @ v.T
        assert (inside - torch.diag(inside.diag())).abs().max() < 1e-9


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
def test_muon_equals_torchs_own(monkeypatch):
    generator = torch.Generator().manual_seed(3)
    shapes = [(24, 16), (24, 16), (16, 40)]
    ours = [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    plain = ((3.4445, -4.7750, 2.0315),) * 5  # torch's rounds
    monkeypatch.setattr(optim, "ROUNDS", plain)
    monkeypatch.setattr(optim, "SAFETY", 1.0)
    a = optim.Muon([{"params": ours}], Optim(matrix_rate=0.02, weight_decay=0.1))
    b = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    for step in range(4):
        for x, y in zip(ours, theirs, strict=True):
            x.grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
            y.grad = x.grad.clone()
        a.step(), b.step()
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=0.02, atol=2e-3)  # torch multiplies in bfloat16


def test_every_parameter_has_one_optimizer(model):
    built = optim.build(model, Optim())
    held = [id(p) for o in built for g in o.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    inner = {id(p) for n, p in model.named_parameters() if ".blocks." in n and p.ndim == 2}
    assert {id(p) for g in built[1].param_groups for p in g["params"]} == inner


@pytest.mark.parametrize("name", ["muon", "adamw", "adafactor", "sgd"])
def test_what_optimizers_remember_comes_back(name, model):
    first = optim.build(model, Optim(name=name))
    for step in range(3):
        gradients(model, step)
        [o.step() for o in first]
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    kept = {n: t.clone() for n, t in optim.tensors(model, first).items()}
    gradients(model, 9)
    [o.step() for o in first]
    after = {n: p.detach().clone() for n, p in model.named_parameters()}
    model.load_state_dict(weights)
    second = optim.build(model, Optim(name=name))
    optim.restore(model, second, kept)
    gradients(model, 9)
    [o.step() for o in second]
    assert all(torch.equal(p, after[n]) for n, p in model.named_parameters())


def test_memory_of_another_optimizer_is_refused(model):
    first = optim.build(model, Optim(name="adamw"))
    gradients(model, 1)
    [o.step() for o in first]
    kept = optim.tensors(model, first)
    with pytest.raises(CheckpointError, match="muon.decoder"):
        optim.restore(model, optim.build(model, Optim(name="muon")), dict(kept))
    with pytest.raises(CheckpointError, match="is unknown"):
        optim.restore(model, optim.build(model, Optim(name="adamw")), kept | {"adamw.other.step": torch.zeros(1)})


def test_schedules_at_their_corners():
    linear = Schedule(warmup=4, decay="linear", final=0.1)
    values = [schedule.factor(step, 24, linear) for step in range(24)]
    assert values[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8]) and values[4] == 1.0
    assert values[14] == pytest.approx(0.55) and schedule.factor(24, 24, linear) == pytest.approx(0.1)
    cosine = Schedule(warmup=0, decay="cosine")
    assert schedule.factor(6, 24, cosine) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert schedule.factor(20, 24, Schedule(warmup=2, decay="constant")) == 1.0
    late = Schedule(warmup=0, decay="linear", cooldown=0.5)
    assert [schedule.factor(step, 20, late) for step in (0, 9, 10, 15)] == pytest.approx([1.0, 1.0, 1.0, 0.5])
    wsd = Schedule(warmup=0, decay="wsd")
    values = [schedule.factor(step, 100, wsd) for step in (0, 80, 85, 95)]
    assert values == pytest.approx([1.0, 1.0, 0.5, 1 - math.sqrt(0.75)])
    root = Schedule(warmup=8, decay="inverse_sqrt", final=0.2)
    values = [schedule.factor(step, 900, root) for step in (7, 8, 35, 80, 899)]
    assert values == pytest.approx([8 / 9, 1.0, 0.5, 1 / 3, 0.2])


def stepped(make, shapes, dtype=torch.float64, steps=5):
    """Parameters after a few steps with gradients that are always the same."""
    generator = torch.Generator().manual_seed(3)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]
    optimizer = make(params)
    for step in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step), dtype=dtype)
        optimizer.step()
    return params


SHAPES = [(6, 4), (5,), (3, 8)]


def test_adafactor_equals_the_one_of_transformers():
    from transformers.optimization import Adafactor as Theirs

    ours = stepped(lambda ps: optim.Adafactor([{"params": ps}], Optim(name="adafactor", rate=0.02)), SHAPES)
    more = {"lr": 0.02, "relative_step": False, "scale_parameter": True, "warmup_init": False}
    for a, b in zip(ours, stepped(lambda ps: Theirs(ps, **more), SHAPES), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_adafactor_equals_torchs_while_its_rate_is_below_the_root_of_the_step():
    s = Optim(name="adafactor", rate=0.02, weight_decay=0.1)
    ours = stepped(lambda ps: optim.Adafactor([{"params": ps}], s), SHAPES)
    theirs = stepped(lambda ps: torch.optim.Adafactor(ps, lr=0.02, weight_decay=0.1, eps=(1e-15, 1e-3)), SHAPES)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_with_its_memory_from_the_beginning_is_torchs(momentum, nesterov):
    s = Optim(name="sgd", rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.01)
    ours = stepped(lambda ps: optim.SGD([{"params": ps, "lr": 0.1, "weight_decay": 0.01}], s), SHAPES)
    more = {"lr": 0.1, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.01}
    for a, b in zip(ours, stepped(lambda ps: torch.optim.SGD(ps, **more), SHAPES), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_adamw_with_its_memory_from_the_beginning_is_torchs():
    s = Optim(name="adamw")
    ours = stepped(lambda ps: optim.AdamW([{"params": ps, "lr": 0.1, "weight_decay": 0.01}], s), SHAPES)
    more = {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.01}
    for a, b in zip(ours, stepped(lambda ps: torch.optim.AdamW(ps, **more), SHAPES), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15)


def rates(model, **settings):
    """name -> (peak rate, decay) of every parameter that learns."""
    found, names = {}, {id(p): n for n, p in model.named_parameters()}
    for optimizer in optim.build(model, Optim(**settings)):
        for group in optimizer.param_groups:
            found |= {names[id(p)]: (group["peak"], group["weight_decay"]) for p in group["params"]}
    return found


def test_decay_is_for_matrices_and_rates_go_by_name():
    config = preset.config(Sizes(family="gpt2", width=32, layers=2, heads=2, tied=False), 300, 32, 0)
    found = rates(preset.create(config, 1), name="adamw", rate=0.1, embed_rate=0.4, head_rate=0.2, weight_decay=0.01)
    assert found["embed.weight"] == (0.4, 0.01) and found["head.weight"] == (0.2, 0.01)
    assert found["decoder.blocks.0.attn.q.weight"] == (0.1, 0.01)
    assert found["decoder.blocks.0.attn.q.bias"] == found["decoder.norm.weight"] == (0.1, 0.0)


def test_rates_fall_from_layer_to_layer():
    config = preset.config(Sizes(width=32, layers=3, heads=2), 300, 32, 0)
    found = rates(preset.create(config, 1), name="muon", rate=1.0, matrix_rate=0.1, layer_decay=0.5)
    matrices = [found[f"decoder.blocks.{n}.attn.q.weight"][0] for n in range(3)]
    assert matrices == pytest.approx([0.0125, 0.025, 0.05])
    assert found["embed.weight"][0] == pytest.approx(0.0625) and found["head.weight"][0] == 1.0


@pytest.mark.parametrize("family, name, share", [("t5", "muon", 0.25), ("bart", "muon", 1.0), ("t5", "adamw", 1.0)])
def test_queries_learn_as_slowly_as_they_are_small_where_scores_are_not_divided(family, name, share):
    """T5 draws its queries smaller by the root of the heads' size, 16 here, in place of dividing the scores by it."""
    config = preset.config(Sizes(family=family, width=32, layers=1, heads=2), 100, 64, 0)
    found = rates(preset.create(config, 1), name=name, rate=0.5, matrix_rate=0.5, layer_decay=1.0)
    queries = [rate for part, (rate, _) in found.items() if part.endswith(".q.weight")]
    others = [rate for part, (rate, _) in found.items() if ".blocks." in part and not part.endswith(".q.weight")]
    assert len(queries) == 3 and set(queries) == {0.5 * share} and set(others) == {0.5}


def test_only_what_learns_has_an_optimizer(model):
    lora.wrap(model, Lora(rank=2), seed=1)
    found = rates(model, name="adamw")
    assert found and all(name.endswith((".a", ".b")) for name in found)
    model.requires_grad_(False)
    with pytest.raises(SettingsError, match="nothing learns"):
        optim.build(model, Optim())


def test_a_part_that_a_step_did_not_use_stays_as_it_is(model):
    for name in ("muon", "adamw", "adafactor", "sgd"):
        built, q = optim.build(model, Optim(name=name, weight_decay=0.1)), model.decoder.blocks[0].attn.q.weight
        gradients(model, 1)
        q.grad, before = None, q.detach().clone()
        [o.step() for o in built]
        assert torch.equal(q, before), name
