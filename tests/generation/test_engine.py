import threading
import time

import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.errors import Busy, ServiceError, SettingsError, UpwellError
from upwell.generation.engine import Engine, run
from upwell.generation.jobs import Job, Line
from upwell.generation.session import Session
from upwell.generation.steps import Found, Step, Token
from upwell.generation.stop import Stop
from upwell.generation.strategies import beam, greedy, sample

VOCAB = 60


def as_they_are(tokens, logits):
    return logits


def job(prompt, seed=None, max_new=20, client=""):
    """Greedy without a seed, else sampled."""
    stop = Stop(frozenset(), max_new)
    if seed is None:
        return Job(prompt, lambda logits: greedy.search(logits, as_they_are, stop, greedy.Settings()), max_new, client)
    settings = sample.Settings(seed)
    return Job(prompt, lambda logits: sample.search(logits, as_they_are, stop, settings), max_new, client)


def ids(one):
    return [token.id for tokens in one for token in tokens]


def alone(model, one):
    session = Session(model, [one.prompt], 0)
    return [token.id for token in run(one.begin(session.logits), session)[0].tokens]


class Gate:
    """A model that stops before a step until it is let through, or raises, or gives NaN in chosen rows."""

    def __init__(self, model):
        self.model, self.config, self.device, self.dtype = model, model.config, model.device, model.dtype
        self.open, self.steps, self.rows = threading.Event(), 0, []
        self.open.set()
        self.fault, self.not_a_number = None, None

    def __call__(self, ids, **options):
        assert self.open.wait(20)
        self.steps += 1
        self.rows.append(len(ids))
        if self.fault and ids.shape[1] == 1:
            raise self.fault
        logits = self.model(ids, **options)
        if self.not_a_number is not None and ids.shape[1] == 1:
            logits[ids[:, 0] == self.not_a_number] = float("nan")
        return logits


@pytest.fixture(scope="module")
def small():
    return tiny_model(VOCAB)


@pytest.fixture
def gate(small):
    return Gate(small)


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def hold(gate, engine, jobs):
    """Submit jobs while the model stands still, so that they are together in the engine."""
    gate.open.clear()
    for one in jobs:
        engine.submit(one)
    gate.open.set()
    return jobs


@pytest.mark.parametrize("seeds", [[None] * 16, list(range(16))], ids=["greedy", "sampled"])
def test_sixteen_requests_together_write_what_each_writes_alone(small, gate, engine, seeds):
    prompts = [[1 + index] * (1 + 2 * index % 7) for index in range(16)]
    jobs = [job(prompt, seed, 10 + index) for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))]
    hold(gate, engine, jobs)
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
    assert max(gate.rows) > 8       # they did advance together


def test_requests_that_come_while_others_run_change_nothing_for_them(small, gate, engine):
    first = engine.submit(job([5, 6, 7], 3, 60))
    until(lambda: gate.steps > 5)
    later = [engine.submit(job([8, 9], seed, 30)) for seed in range(5)]
    assert ids(first) == alone(small, first)
    assert [ids(one) for one in later] == [alone(small, one) for one in later]


def test_a_cancelled_request_leaves_the_batch_at_the_next_step(gate, engine):
    long, other = hold(gate, engine, [job([1], max_new=120), job([2], max_new=120)])
    until(lambda: gate.steps > 3)
    gate.open.clear()
    until(lambda: len(engine.running) == 2)
    long.cancel()
    gate.open.set()
    before = len(ids(other))
    assert before == 120 and long.found is None
    until(lambda: not engine.running)
    assert engine._session is None
    assert gate.rows[-1] == 1


def test_who_cancels_in_line_is_never_read(gate, engine):
    gate.open.clear()
    engine.submit(job([1], max_new=2))
    until(lambda: engine.running or not engine.waiting)
    gone = engine.submit(job([2], max_new=2))
    gone.cancel()
    gate.open.set()
    assert ids(gone) == []
    until(lambda: not engine.running and not engine.waiting)
    assert max(gate.rows) == 1


def test_F1_a_step_that_raises_fails_the_requests_in_it_and_the_engine_goes_on(small, gate, engine):
    gate.fault = RuntimeError("a broken kernel")        # raised by steps, not by the reading of longer prompts
    jobs = hold(gate, engine, [job([1, 2], max_new=50), job([2, 3], max_new=50)])
    for one in jobs:
        with pytest.raises(ServiceError, match="RuntimeError: a broken kernel.*again"):
            ids(one)
    gate.fault = None
    again = engine.submit(job([9, 8], seed=5))
    assert ids(again) == alone(small, again)


def test_a_strategy_that_raises_fails_alone(small, gate, engine):
    def broken(logits):
        yield Step(logits.argmax(-1), torch.tensor([0]))
        raise ZeroDivisionError("by its own fault")

    bad, good = hold(gate, engine, [Job([1], broken, 20), job([2])])
    with pytest.raises(ServiceError, match="ZeroDivisionError: by its own fault"):
        ids(bad)
    assert ids(good) == alone(small, good)


def test_a_strategy_that_finds_nothing_fails_alone(small, gate, engine):
    def empty(logits):
        yield Step(logits.argmax(-1), torch.tensor([0]))
        return []

    bad, good = hold(gate, engine, [Job([1], empty, 20), job([2])])
    with pytest.raises(UpwellError, match="found no text"):
        ids(bad)
    assert ids(good) == alone(small, good)


def test_F4_logits_that_are_no_numbers_fail_that_request_alone_and_by_name(small, gate, engine):
    good = job([2], max_new=12)
    expected = alone(small, good)
    poison = next(token for token in range(VOCAB) if token not in expected)

    def poisoned(logits):
        while True:
            yield Step(torch.tensor([poison]), torch.tensor([0]))

    gate.not_a_number = poison
    bad, good = hold(gate, engine, [Job([1], poisoned, 20), good])
    with pytest.raises(UpwellError, match="logits that are no numbers"):
        ids(bad)
    assert ids(good) == expected


def test_a_strategy_may_hold_several_rows_beside_others_of_one(small, gate, engine):
    def two_rows(logits):
        yield Step(torch.tensor([3, 4]), torch.tensor([0, 0]))
        last = yield Step(torch.tensor([5, 6]), torch.tensor([1, 0]))
        seen.append(last.clone())
        return [Found(0.0, (Token(1, 0.0),), "stop")]

    seen = []
    neighbours = [job([7, 8], max_new=15), job([9], max_new=15)]
    wide = Job([1, 2], two_rows, 20)
    hold(gate, engine, [neighbours[0], wide, neighbours[1]])
    assert ids(wide) == [1]
    with torch.inference_mode():
        expected = small(torch.tensor([[1, 2, 4, 5], [1, 2, 3, 6]]))[:, -1]
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-4)
    assert [ids(one) for one in neighbours] == [alone(small, one) for one in neighbours]


def wide(prompt, beams, max_new=20):
    settings = beam.Settings(beams)
    stop = Stop(frozenset([1]), max_new)
    return Job(prompt, lambda logits: beam.search(logits, as_they_are, stop, settings), max_new, width=beams)


def test_beam_searches_and_others_together_write_what_each_writes_alone(small, gate, engine):
    jobs = [wide([3, 4], 4), job([5]), wide([6], 5), job([7, 8, 9], 3), wide([9] * 7, 3), job([2], 1, 40)]
    hold(gate, engine, jobs)
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
    assert max(gate.rows) > 8


def test_no_more_rows_are_at_work_than_there_may_be_and_who_wants_more_works_alone(small, gate, engine):
    jobs = [wide([3, number], 6) for number in range(2, 9)] + [wide([4], 40)]
    hold(gate, engine, jobs)
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
    assert sorted(set(gate.rows))[-1] == 40 and max(rows for rows in gate.rows if rows <= 16) <= 12


def test_a_source_is_wanted_by_an_encoder_and_by_nothing_else(engine):
    with pytest.raises(SettingsError, match="no source, found some"):
        engine.submit(Job([1], lambda logits: None, 5, source=[1, 2]))


def test_a_full_line_is_busy_and_says_so(gate, small):
    engine = Engine(gate, rows=1, waiting=2)
    gate.open.clear()
    try:
        engine.submit(job([1], max_new=50))
        until(lambda: not engine.waiting)
        engine.submit(job([2]))
        engine.submit(job([3])).cancel()
        engine.submit(job([4]))             # takes the place of the one that has gone
        with pytest.raises(Busy, match="2 requests are waiting"):
            engine.submit(job([5]))
    finally:
        gate.open.set()
        engine.close()


def test_clients_take_turns():
    line = Line(10)
    for name, client in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"), ("b2", "b")]:
        line.put(job([1], client=client))
        line._clients[client][-1].name = name
    assert [line.take().name for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_prompt_that_does_not_fit_is_refused_before_it_waits(engine):
    with pytest.raises(SettingsError, match="100 tokens and max_new asks for 29, together 129, .* at most 128"):
        engine.submit(job([1] * 100, max_new=29))
    assert len(ids(engine.submit(job([1] * 100, max_new=28)))) == 28


def test_a_call_runs_between_steps_and_gives_its_value_or_its_error(engine, gate):
    running = engine.submit(job([1], max_new=60))
    assert engine.call(lambda model: model.config.vocab) == VOCAB
    with pytest.raises(KeyError):
        engine.call(lambda model: {}["missing"])
    assert len(ids(running)) == 60


def test_closing_fails_what_runs_and_what_waits_and_refuses_what_comes(gate):
    engine = Engine(gate, rows=1)
    gate.open.clear()
    running, waiting = engine.submit(job([1], max_new=100)), engine.submit(job([2]))
    closer = threading.Thread(target=engine.close)
    closer.start()
    until(lambda: engine._closing)
    gate.open.set()
    closer.join(20)
    for one in (running, waiting):
        with pytest.raises(ServiceError, match="closed"):
            ids(one)
    with pytest.raises(ServiceError, match="closed"):
        engine.submit(job([3]))
