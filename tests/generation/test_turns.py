"""Several engines in one thread: each gets its turn, and the end of one is not the end of the others."""

import threading

import pytest

from tests.generation.test_engine import Gate, alone, ids, job, small  # noqa: F401 (small is a fixture)
from upwell.errors import ServiceError
from upwell.generation.engine import Engine
from upwell.generation.turns import Turns


def engines_threads():
    return [thread for thread in threading.enumerate() if thread.name == "upwell-engine"]


def test_engines_that_share_their_turns_write_what_each_writes_alone_in_one_thread(small):  # noqa: F811
    before, turns = len(engines_threads()), Turns()
    engines = [Engine(small, rows=4, turns=turns) for _ in range(3)]
    try:
        assert len(engines_threads()) == before + 1
        jobs = [engines[n % 3].submit(job([n + 1, 7], max_new=30)) for n in range(15)]
        assert [ids(one) for one in jobs] == [alone(small, job([n + 1, 7], max_new=30)) for n in range(15)]
    finally:
        for engine in engines:
            engine.close()
    assert len(engines_threads()) == before


class Once:
    """One that ends at its first turn."""

    def wants(self):
        return True

    def turn(self):
        return False

    def end(self):
        pass


def test_the_thread_is_gone_when_the_last_one_has_left():
    for _ in range(300):  # a process that ends while its thread is on its way out is aborted
        turns, before = Turns(), set(engines_threads())
        one = Once()
        turns.join(one)
        turns.wait_without(one)
        turns.wait_without(one)  # a second time is no harm
        assert set(engines_threads()) <= before


def test_one_that_closes_leaves_the_others_at_work(small):  # noqa: F811
    turns = Turns()
    one, other = Engine(small, turns=turns), Engine(small, turns=turns)
    running = other.submit(job([3], max_new=60))
    one.close()
    with pytest.raises(ServiceError, match="closed"):
        one.submit(job([1]))
    assert ids(running) == alone(small, job([3], max_new=60))
    other.close()
    third = Engine(small, turns=turns)  # the thread begins anew
    assert ids(third.submit(job([5]))) == alone(small, job([5]))
    third.close()


def test_one_that_breaks_tells_its_requests_and_leaves_the_others_at_work(small, monkeypatch, caplog):  # noqa: F811
    turns, gate = Turns(), Gate(small)
    gate.open.clear()
    broken, sound = Engine(gate, turns=turns), Engine(small, turns=turns)
    lost = broken.submit(job([1]))
    monkeypatch.setattr(broken, "_admit", lambda: 1 / 0)
    monkeypatch.setattr(broken, "_step", lambda: 1 / 0)
    gate.open.set()
    with pytest.raises(ServiceError, match="closed before"):
        ids(lost)
    assert not broken.alive and "ZeroDivisionError" in caplog.text
    assert ids(sound.submit(job([5]))) == alone(small, job([5]))
    sound.close()
    broken.close()


def test_a_call_that_is_a_generator_is_done_in_pieces_between_steps(small):  # noqa: F811
    gate = Gate(small)
    engine = Engine(gate)
    seen = []

    def work(model):
        for _ in range(5):
            seen.append(gate.steps)
            yield
        return "done"

    running = engine.submit(job([1], max_new=50))
    next(iter(running))
    assert engine.call(work) == "done"
    assert len(ids(running)) >= 40 and len(set(seen)) == 5, "a step of the others stands between two pieces"
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda model: (1 / 0 for _ in range(3)))
    engine.close()
