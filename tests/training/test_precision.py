"""Number formats, blocks that compute again, and dropout: what they may change and what not."""

import pytest
import torch

from upwell.errors import SettingsError
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.objectives import causal
from upwell.training import blocks, loop, precision, state
from upwell.training.parallel import Alone
from upwell.training.settings import Settings


def step(model, batch, s, dtype=torch.float32, scaler=None, seed=3):
    """(loss, gradients) of one step."""
    run = state.State(model, [], scaler=scaler)
    loop.dressed(run, s, dtype)
    done = loop.Pass(run, causal, causal.Settings(), s, dtype, Alone())(batch, seed)
    return done, {name: p.grad.clone() for name, p in model.named_parameters()}


def fresh(dropout=0.0):
    config = preset.config(Sizes(family="gpt2", width=32, layers=3, heads=2), 300, 32, 0).with_(dropout=dropout)
    return preset.create(config, seed=5)


@pytest.mark.parametrize("compile", ["off", pytest.param("wait", marks=pytest.mark.slow)])
def test_blocks_that_compute_again_give_the_same_bits_with_dropout_too(packed, compile):
    from upwell.training import compiling

    found = []
    for again in (False, True):
        model, s = fresh(), Settings(rows=4, context=32, dropout=0.3, checkpoint=again, micro_rows=2)
        if compile == "wait":
            loop.dressed(state.State(model, []), s, torch.float32)
            compiling.compile_blocks(model)
            s = Settings(rows=4, context=32, micro_rows=2)
        found.append(step(model, packed.batch(0, 4), s))
    (one, gradients), (other, again) = found
    assert one == other and all(torch.equal(gradients[name], again[name]) for name in gradients)


def test_blocks_that_compute_again_remember_less(packed):
    held = []
    for again in (False, True):
        model, seen = fresh(), []
        loop.dressed(state.State(model, []), Settings(checkpoint=again), torch.float32)

        def keep(t, seen=seen):
            seen.append(t.numel() * t.element_size())
            return t

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            causal.loss(model, packed.batch(0, 4), causal.Settings())
        held.append(sum(seen))
    assert held[1] < held[0] / 2


def test_dropout_of_the_settings_takes_the_place_of_the_configs(packed):
    plain, _ = step(fresh(), packed.batch(0, 4), Settings(rows=4))
    none, _ = step(fresh(0.3), packed.batch(0, 4), Settings(rows=4, dropout=0.0))
    some, _ = step(fresh(), packed.batch(0, 4), Settings(rows=4, dropout=0.3))
    config, _ = step(fresh(0.3), packed.batch(0, 4), Settings(rows=4))
    assert plain.loss == none.loss != some.loss == config.loss


def test_twins_of_dressed_models_are_plain(packed):
    import copy

    model = fresh()
    loop.dressed(state.State(model, []), Settings(checkpoint=True, dropout=0.5), torch.float32)
    shared = {id(t): t for t in model.state_dict(keep_vars=True).values()}
    for twin in (model.twin(), copy.deepcopy(model, shared).eval()):
        with torch.no_grad():
            model.decoder.blocks[0].norm1.weight += 0.1
            want = model.eval()(packed.batch(0, 2).ids)
            assert torch.equal(twin(packed.batch(0, 2).ids), want)
    assert blocks.blocks(model)[0].forward.args[-1] is blocks.blocks(model)[0]


def test_float16_overflows_cost_no_step_and_end_at_a_scale_that_fits(packed):
    model, scaler = fresh(), precision.Scaler(2.0**40)
    done, gradients = step(model, packed.batch(0, 4), Settings(rows=4), torch.float16, scaler)
    assert 1.0 <= scaler.scale < 2.0**40 and scaler.good == 1
    exact, want = step(fresh(), packed.batch(0, 4), Settings(rows=4))
    assert done.loss == pytest.approx(exact.loss, rel=5e-3) and done.loss != exact.loss
    for name, gradient in gradients.items():
        assert (gradient - want[name]).norm() < 0.03 * want[name].norm() + 1e-6, name


def test_the_scale_doubles_after_enough_steps_without_an_overflow():
    scaler = precision.Scaler(8.0, precision.Scaler.GROWS - 1)
    scaler.fits()
    assert (scaler.scale, scaler.good) == (16.0, 0)
    assert scaler.shrink() and scaler.scale == 8.0 and not precision.Scaler(1.0).shrink()


def test_float8_products_are_near_the_exact_ones():
    try:
        a = torch.ones(16, 16)
        precision.scaled(a, a, precision.NARROW)
    except (RuntimeError, NotImplementedError):
        pytest.skip("this torch multiplies no float8 on a CPU")
    generator = torch.Generator().manual_seed(1)
    plain = torch.nn.Linear(64, 48)
    narrow = torch.nn.Linear(64, 48)
    narrow.load_state_dict(plain.state_dict())
    narrow.__class__ = precision.Float8Linear
    x = torch.randn(4, 8, 64, generator=generator, requires_grad=True)
    slope, found = torch.randn(4, 8, 48, generator=generator), []
    for part in (plain, narrow):
        y = part(x)
        found.append((y, *torch.autograd.grad(y, (x, part.weight, part.bias), slope.to(y.dtype))))
    for want, got in zip(*found, strict=True):
        assert (got.float() - want).norm() < 0.08 * want.norm()
    assert not torch.equal(found[0][0], found[1][0].float())


def test_float8_takes_the_blocks_matrices_and_only_those_that_fit():
    model = preset.create(preset.config(Sizes(width=32, layers=1, heads=2, ffn_width=40), 304, 32, 0), 1)
    precision.narrow(model)
    kinds = {name: type(part).__name__ for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    assert kinds["decoder.blocks.0.attn.q"] == "Float8Linear" and kinds["head"] == "Linear"
    assert kinds["decoder.blocks.0.ffn.up"] == "Linear"  # 40 is no multiple of 16
    with pytest.raises(SettingsError, match="float8, which cpu does not have"):
        precision.resolve("float8", "cpu")
