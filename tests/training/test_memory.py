"""What a process has freed goes back to the system when it holds twice what its steps take, and not before."""

import pytest

from upwell.training import memory


def held_after(sizes):
    """How often memory was given back, with these bytes held after each step."""
    given, left = [], iter(sizes)
    bounded = memory.Bounded(lambda: next(left), lambda: given.append(True))
    counts = []
    for _ in sizes:
        bounded()
        counts.append(len(given))
    return counts


def test_steps_that_hold_what_they_held_give_nothing_back():
    assert held_after([100] * 200)[-1] == 0


def test_memory_goes_back_when_it_has_doubled_and_steps_are_looked_at_anew():
    few = memory.FEW
    counts = held_after([100] * few + [200, 201] + [500] * few + [1000] * 5 + [1001])
    assert counts[few : few + 2] == [0, 1]
    assert counts[-2:] == [1, 2]


def test_where_the_system_does_not_say_what_is_held_nothing_happens():
    assert held_after([None] * 50)[-1] == 0


@pytest.mark.skipif(memory.resident() is None, reason="this system does not say what a process holds")
def test_the_process_says_what_it_holds():
    before = memory.resident()
    block = bytearray(1 << 26)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    assert memory.resident() - before > 1 << 25
    memory.trim()
