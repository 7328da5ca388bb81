"""Every supervised objective learns in the one loop, and a run that stopped goes on bit for bit."""

import pytest
import torch

from tests.objectives import given
from upwell import plugs
from upwell.model import hub, preset
from upwell.objectives import contrast, distil, instruct, label, pairs, span, tag
from upwell.training import loop, optim
from upwell.training import state as states
from upwell.training.settings import Optim, Schedule, Settings

WORDS = "sea river day night town hill road house".split()
ASKED = {
    "label": [{"text": f"the {word} is {n}", "label": word} for word in WORDS[:2] for n in range(6)],
    "tag": [{"tokens": ["the", word, "is", "海"], "tags": ["O", "B-W", "O", "B-X"]} for word in WORDS],
    "span": [{"question": "what is it", "context": f"a {n} the {word} is wide", "answers": [word]}
             for n, word in enumerate(WORDS)],
    "pairs": [{"source": f"the {word}", "target": "海很宽。"} for word in WORDS],
    "instruct": [{"instruction": f"say {word}", "output": "the sea"} for word in WORDS],
    "contrast": [{"query": f"the {word}", "pos": f"{word} {word}"} for word in WORDS],
    "distil": [{"text": f"the {word} is wide and the sea is wide"} for word in WORDS],
}  # fmt: skip
SETTINGS = {"label": label.Settings(), "tag": tag.Settings(), "span": span.Settings(), "pairs": pairs.Settings(),
            "instruct": instruct.Settings(), "contrast": contrast.Settings(micro=3)}  # fmt: skip


def begun(objective, folder):
    """(part, config, settings) of a small model that can learn it."""
    decodes = objective in ("instruct", "distil")
    tokenizer = given.bytes_with_chat() if decodes else given.unigram() if objective == "pairs" else given.wordpiece()
    make = given.decoder if decodes else given.both if objective == "pairs" else given.encoder
    settings = SETTINGS.get(objective)
    if objective == "distil":
        teacher = given.model(given.decoder(tokenizer.vocab_size, width=24), dtype=torch.float32)
        hub.save(hub.Checkpoint(teacher, tokenizer, teacher.config), folder / "teacher")
        settings = distil.Settings(teacher=folder / "teacher", hidden=1.0)
    part = given.part(folder / "s", ASKED[objective], tokenizer, context=48, template=given.CHATML)
    room = plugs.find("objectives", objective)
    return part._replace(config=room.fitted(make(tokenizer.vocab_size), part, settings)), settings


def learnt(objective, folder, steps, settings_of_run, state=None):
    """(state, losses) after so many steps."""
    part, settings = begun(objective, folder)
    room = plugs.find("objectives", objective)
    if state is None:
        model = preset.create(part.config, 3)
        room = room.begun(model, settings) if hasattr(room, "begun") else room
        state = states.State(model, optim.build(model, settings_of_run.optim))
    else:
        state, room = state
    losses = []
    loop.train(state, room.samples(part, 8, 1, settings), room, settings, settings_of_run,
               every=[(1, lambda _, report: losses.append((report.loss, report.tokens)))])  # fmt: skip
    return state, losses, room


def run_settings(steps, **more):
    return Settings(steps=steps, rows=8, context=48, compile="off", schedule=Schedule(warmup=0, decay="constant"),
                    optim=Optim(name="adamw", rate=1e-2), **more)  # fmt: skip


@pytest.mark.parametrize("objective", ASKED)
def test_the_loss_falls_and_micro_batches_give_the_same_first_step(objective, tmp_path):
    _, losses, _ = learnt(objective, tmp_path, 25, run_settings(25))
    assert losses[-1][0] < 0.8 * losses[0][0] and 0 < losses[0][1] < losses[1][1]
    _, parts, _ = learnt(objective, tmp_path, 1, run_settings(1, micro_rows=2))
    assert parts[0][0] == pytest.approx(losses[0][0], rel=1e-5)


@pytest.mark.parametrize("objective", ["label", "distil"])
def test_a_run_that_stopped_goes_on_bit_for_bit(objective, tmp_path):
    _, whole, _ = learnt(objective, tmp_path, 8, run_settings(8))
    half, first, _ = learnt(objective, tmp_path, 4, run_settings(4))
    states.save(half, tmp_path / "run")
    part, settings = begun(objective, tmp_path)
    room, model = plugs.find("objectives", objective), preset.create(part.config, 9)
    room = room.begun(model, settings) if hasattr(room, "begun") else room
    again = states.State(model, optim.build(model, run_settings(8).optim))
    states.restore(again, states.newest(tmp_path / "run"))
    _, second, _ = learnt(objective, tmp_path, 8, run_settings(8), (again, room))
    assert first + second == whole
