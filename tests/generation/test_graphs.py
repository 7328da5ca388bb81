"""Steps that are recorded and replayed in memory that lasts are the steps that the model would do.

What a GPU records is tried here by a stand-in: it keeps the function and its tensors, and does it again at a replay, so
that every address and every shape is the recorded one.
"""

from functools import partial

import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.generation import graphs
from upwell.generation.engine import Engine
from upwell.generation.jobs import Job
from upwell.generation.session import Session
from upwell.generation.stop import Stop
from upwell.generation.strategies import beam, greedy
from upwell.model.cache import Cache
from upwell.model.lasting import Lasting

SHAPES = {
    "llama": {},
    "windowed": {"window": 8, "window_layers": (1,)},
    "learned places": {"positions": "learned"},
    "every head its own": {"kv_heads": 4},
}


class Stand:
    """A recorder that counts."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, step):
        made = step()
        self.recorded += 1

        def replay():
            self.replayed += 1
            return made.copy_(step())

        return replay


def settled(model, prompts, most=4, capacity=8):
    session, stand = Session(model, prompts), Stand()
    session.settle(graphs.Recorded(model, Lasting(model.config, most, capacity), stand))
    return session, stand


def stepped(session, tokens, parents=None):
    tokens = torch.tensor(tokens)
    return session.step(tokens, torch.arange(len(tokens)) if parents is None else torch.tensor(parents))


@pytest.mark.parametrize("shape", SHAPES)
def test_replayed_steps_give_the_logits_of_plain_ones(shape):
    model = tiny_model(50, context=600, **SHAPES[shape])
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    plain, (session, stand) = Session(model, prompts), settled(model, prompts)
    for number in range(30):
        tokens = [(7 * number + row) % 50 for row in range(3)]
        torch.testing.assert_close(stepped(session, tokens), stepped(plain, tokens), atol=1e-5, rtol=1e-5)
    assert stand.recorded >= 1 and stand.replayed > 10


def test_rows_that_come_go_and_change_places_are_told_apart():
    model = tiny_model(50, context=600)
    plain, (session, stand) = Session(model, [[1, 2], [3, 4, 5]]), settled(model, [[1, 2], [3, 4, 5]])
    generator = torch.Generator().manual_seed(3)
    for _ in range(60):
        if session.rows < 7 and int(torch.randint(3, (), generator=generator)) == 0:
            prompt = torch.randint(50, (int(torch.randint(1, 9, (), generator=generator)),), generator=generator)
            for each in (plain, session):
                each.join(Session(model, [prompt.tolist()]))
        rows = int(torch.randint(1, session.rows + 2, (), generator=generator))
        parents = torch.randint(session.rows, (rows,), generator=generator).tolist()
        tokens = torch.randint(50, (rows,), generator=generator).tolist()
        torch.testing.assert_close(
            stepped(session, tokens, parents), stepped(plain, tokens, parents), atol=1e-5, rtol=1e-5
        )
    assert stand.replayed > 5


def test_nothing_is_recorded_before_a_shape_was_asked_for_a_few_times():
    model = tiny_model(50)
    session, stand = settled(model, [[1]], capacity=64)
    for _ in range(graphs.FEW - 1):
        stepped(session, [2])
    assert stand.recorded == 0
    stepped(session, [2])
    assert stand.recorded == 1 and stand.replayed == 1


def test_a_model_that_cannot_be_recorded_goes_on_as_it_is(caplog):
    def refuses(step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    model = tiny_model(50)
    session = Session(model, [[1]])
    session.settle(graphs.Recorded(model, Lasting(model.config, 2, 64), refuses))
    plain = Session(model, [[1]])
    for _ in range(3 * graphs.FEW):
        torch.testing.assert_close(stepped(session, [2]), stepped(plain, [2]), atol=1e-5, rtol=1e-5)
    assert not session.recorded.works
    assert [record.message.count("not permitted") for record in caplog.records] == [1]


def test_what_grows_with_the_text_is_never_recorded():
    assert graphs.possible(tiny_model(10).config)
    assert not graphs.possible(tiny_model(10, encoder_layers=1, start=0).config)


def test_memory_that_lasts_keeps_its_addresses_until_it_is_full():
    config = tiny_model(10).config
    ground = Lasting(config, 3, 16)
    first = [part.data_ptr() for part in ground.ground[: len(ground.keys)]]
    for rows in (1, 2):
        ground.join(Cache(config, rows, 4))
    ground.reorder(torch.tensor([2, 0]))
    assert [part.data_ptr() for part in ground.keys] == first and ground.rows == 2 and ground.generation == 0
    ground.join(Cache(config, 2, 4))
    assert ground.rows == 4 and ground.generation == 1


def written(model, prompts, **how):
    """What an engine writes to each, greedily and by beams in turn."""
    engine, jobs, stop = Engine(model, rows=4, **how), [], Stop(frozenset(), 24)
    for number, prompt in enumerate(prompts):
        way, settings, width = (beam, beam.Settings(beams=3), 3) if number % 2 else (greedy, greedy.Settings(), 1)
        begin = partial(way.search, filters=lambda _, logits: logits, stop=stop, settings=settings)
        jobs.append(engine.submit(Job(prompt, begin, 24, width=width)))
    try:
        for job in jobs:
            list(job)
        return [[token.id for token in job.found[0].tokens] for job in jobs]
    finally:
        engine.close()


def test_an_engine_that_records_writes_what_one_writes_that_does_not():
    model, prompts = tiny_model(50, context=600), [[1, 2], [3], [4, 5, 6], [7, 8], [9], [2, 2]]
    stand = Stand()
    assert written(model, prompts, record=stand) == written(model, prompts)
    assert stand.replayed > 10
