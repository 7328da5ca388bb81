"""Optimizers and schedules beside what they are defined by."""

import math

import pytest
import torch

from upwell.errors import CheckpointError
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


@pytest.mark.parametrize("name", ["muon", "adamw"])
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
