"""The loss of a step does not depend on how the step is computed."""

import pytest
import torch

from upwell.errors import UpwellError
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.objectives import causal
from upwell.tokens.batches import Batch
from upwell.training import loop, optim
from upwell.training.parallel import Alone
from upwell.training.settings import Optim, Settings
from upwell.training.state import State


def loss(model, batch):
    return causal.loss(model, batch, causal.Settings())[0]


def gradients(model, batch, **settings):
    s = Settings(rows=len(batch.ids), compile="off", **settings)
    done = loop.Pass(State(model, []), causal, causal.Settings(), s, torch.float32, Alone())(batch, seed=1)
    return done.loss, done.norm, {n: p.grad.clone() for n, p in model.named_parameters()}


def test_micro_batches_change_neither_loss_nor_gradients(model, packed):
    model = model.double()
    batch = packed.batch(0, 12)
    batch.targets[3:, 20:] = -100  # pieces with unequal numbers of targets
    whole = gradients(model, batch, clip=0.0)
    for rows in (1, 4, 6):
        parts = gradients(model, batch, clip=0.0, micro_rows=rows)
        assert parts[0] == pytest.approx(whole[0], rel=1e-10)
        for name, gradient in whole[2].items():
            torch.testing.assert_close(parts[2][name], gradient, rtol=1e-10, atol=1e-13, msg=name)


def test_packed_documents_have_the_loss_of_each_document_alone(model, packed):
    model, batch = model.double(), packed.batch(5, 4)
    together = loss(model, batch).item()
    alone = 0.0
    for row in range(4):
        for document in batch.documents[row].unique():
            part = [t[row, batch.documents[row] == document][None] for t in (batch.ids, batch.targets)]
            alone += loss(model, Batch(*part, None)).item()
    assert batch.documents.max() > 0
    assert together == pytest.approx(alone, rel=1e-10)


def test_the_loss_is_the_cross_entropy_by_hand(model, packed):
    batch = packed.batch(0, 2)
    batch.targets[0, :5] = -100
    logits = model(batch.ids, documents=batch.documents).double().log_softmax(-1)
    asked = [(b, t) for b in range(2) for t in range(32) if batch.targets[b, t] >= 0]
    by_hand = [-logits[b, t, batch.targets[b, t]].item() for b, t in asked]
    assert causal.counts(batch, causal.Settings()) == (len(by_hand),) == (59,)
    assert loss(model, batch).item() == pytest.approx(sum(by_hand), rel=1e-5)


def test_clipping_shortens_the_gradient_to_the_limit(model, packed):
    batch = packed.batch(0, 4)
    _, norm, _ = gradients(model, batch, clip=0.0)
    _, told, clipped = gradients(model, batch, clip=norm / 3)
    length = torch.stack([g.norm() for g in clipped.values()]).norm().item()
    assert told == pytest.approx(norm, rel=1e-5) and length == pytest.approx(norm / 3, rel=1e-4)


def trained(packed, steps=12, **settings):
    s = Settings(steps=steps, rows=4, context=32, compile="off", **settings)
    model = preset.create(preset.config(Sizes(width=32, layers=2, heads=2), 300, 32, 0), seed=5)
    seen = []
    state = State(model, optim.build(model, s.optim))
    every = [(1, lambda _, r: seen.append(r.loss)), (5, lambda _, r: seen.append(r.step))]
    loop.train(state, packed, causal, causal.Settings(), s, every=every)
    return seen


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_training_learns_and_repeats_bit_for_bit(name, packed):
    first, second = (trained(packed, 40, optim=Optim(name=name, rate=1e-2)) for _ in range(2))
    assert first == second
    assert first[-2] < 0.75 * first[0]


def test_bfloat16_products_learn_the_same_to_their_precision(packed):
    curves = []
    for dtype in (torch.float32, torch.bfloat16):
        s = Settings(steps=15, rows=4, context=32, compile="off")
        model = preset.create(preset.config(Sizes(width=32, layers=2, heads=2), 300, 32, 0), seed=5)
        losses, state = [], State(model, optim.build(model, s.optim))
        every = [(1, lambda _, r, losses=losses: losses.append(r.loss))]
        loop.train(state, packed, causal, causal.Settings(), s, dtype, every)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        curves.append(torch.tensor(losses))
    assert not torch.equal(*curves)
    torch.testing.assert_close(*curves, rtol=0.03, atol=0.0)


def test_periodic_work_is_done_every_nth_step_and_after_the_last(packed):
    seen = trained(packed)
    assert [x for x in seen if isinstance(x, int)] == [5, 10, 12]


def test_dropout_is_a_function_of_seed_and_step(packed):
    config = preset.config(Sizes(family="gpt2", width=32, layers=2, heads=2), 300, 32, 0).with_(dropout=0.3)

    def run(first, last, state=None):
        s = Settings(steps=last, rows=4, context=32, compile="off")
        if state is None:
            model = preset.create(config, seed=5)
            state = State(model, optim.build(model, s.optim))
        losses = []
        loop.train(state, packed, causal, causal.Settings(), s, every=[(1, lambda _, r: losses.append(r.loss))])
        return losses, state

    # the constant schedule of a shorter run differs, so only the first losses of each part are compared
    unbroken, _ = run(0, 6)
    again, state = run(0, 6)
    assert unbroken == again and len(set(unbroken)) == 6


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_state(model, packed):
    s = Settings(steps=5, rows=4, context=32, compile="off")
    state = State(model, optim.build(model, s.optim))

    class Poisoned:
        TERMS, counts = causal.TERMS, staticmethod(causal.counts)

        @staticmethod
        def loss(model, batch, options):
            return causal.loss(model, batch, options) * (float("nan") if state.step == 2 else 1.0)

    before = []
    keep = [(1, lambda st, _: before.append({n: p.clone() for n, p in st.model.named_parameters()}))]
    with pytest.raises(UpwellError, match=r"step 3 \(samples 8 to 11\): the loss is nan"):
        loop.train(state, packed, Poisoned, causal.Settings(), s, every=keep)
    assert state.step == 2
    for name, p in model.named_parameters():
        assert torch.equal(p, before[-1][name]), name
