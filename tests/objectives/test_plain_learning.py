"""Every objective over plain documents learns in the one loop, whatever the micro-batches, eager and compiled."""

import pytest

from tests.objectives import corpora
from upwell import plugs
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.objectives import causal, denoise, masked, masked_next
from upwell.training import loop, optim
from upwell.training.settings import Optim, Schedule, Settings
from upwell.training.state import State

CONTEXT = 32
ASKED = {
    "causal": ("causal", corpora.bpe, "gpt2", causal.Settings(packing="fit", middle=0.5)),
    "masked": ("masked", corpora.wordpiece, "bert", masked.Settings()),
    "masked, modernbert": ("masked", corpora.wordpiece, "modernbert", masked.Settings()),
    "masked_next": ("masked_next", corpora.wordpiece, "bert", masked_next.Settings()),
    "spans": ("denoise", corpora.unigram, "t5", denoise.Settings()),
    "infill": ("denoise", corpora.unigram, "bart", denoise.Settings(kind="infill")),
}


def losses(asked, folder, **more):
    """Loss, terms and tokens after each step."""
    objective, make, family, settings = ASKED[asked]
    room, tokenizer = plugs.find("objectives", objective), make()
    part = corpora.part(folder / "s", tokenizer, corpora.code(), CONTEXT, kind="code")
    sizes = Sizes(family=family, width=32, layers=2, heads=2)
    config = room.fitted(preset.config(sizes, tokenizer.vocab_size, CONTEXT, tokenizer.end), part, settings)
    part, model = part._replace(config=config), preset.create(config, 3)
    run = Settings(rows=8, context=CONTEXT, schedule=Schedule(warmup=0, decay="constant"),
                   optim=Optim(name="adamw", rate=1e-2), **{"compile": "off", **more})  # fmt: skip
    found = []
    loop.train(State(model, optim.build(model, run.optim)), room.samples(part, 8, 1, settings), room, settings, run,
               every=[(1, lambda _, report: found.append(report))])  # fmt: skip
    return found


@pytest.mark.parametrize("asked", ASKED)
def test_the_loss_falls_and_micro_batches_give_the_same_first_step(asked, tmp_path):
    found = losses(asked, tmp_path, steps=20)
    objective = plugs.find("objectives", ASKED[asked][0])
    assert found[-1].loss < 0.8 * found[0].loss and tuple(found[0].terms) == objective.TERMS
    assert 0 < found[0].tokens <= 8 * CONTEXT * (2 if objective is denoise else 1)
    parts = losses(asked, tmp_path, steps=1, micro_rows=2)
    assert parts[0].loss == pytest.approx(found[0].loss, rel=1e-5) and parts[0].tokens == found[0].tokens


@pytest.mark.slow
@pytest.mark.parametrize("asked", ASKED)
def test_compiled_blocks_give_the_same_loss(asked, tmp_path):
    eager, compiled = losses(asked, tmp_path, steps=3), losses(asked, tmp_path, steps=3, compile="wait")
    for a, b in zip(eager, compiled, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
