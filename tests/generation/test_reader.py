"""Texts that are only read: many requests together, each with its own answer, a bad one alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from upwell.errors import DataError
from upwell.generation.reader import AT_ONCE, Reader


class Bench:
    """Does functions one after the other, as an engine does, and counts how many texts are read at once."""

    def __init__(self):
        self.sizes, self.lock = [], threading.Lock()

    def call(self, function):
        with self.lock:
            return function(None)

    def read(self, texts):
        self.sizes.append(len(texts))
        if any(text == "bad" for text in texts):
            raise DataError("found bad, expected good")
        return [text.upper() for text in texts]


def test_every_request_gets_its_own_in_order():
    bench = Bench()
    reader = Reader(bench.call, bench.read)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reader, [[f"{n}a", f"{n}b", f"{n}c"] for n in range(40)]))
    assert found == [[f"{n}A", f"{n}B", f"{n}C"] for n in range(40)]
    assert sum(bench.sizes) == 120 and max(bench.sizes) <= AT_ONCE


def test_a_long_request_is_read_in_pieces_between_which_others_come():
    bench = Bench()
    assert Reader(bench.call, bench.read)(["x"] * (2 * AT_ONCE + 1)) == ["X"] * (2 * AT_ONCE + 1)
    assert bench.sizes == [AT_ONCE, AT_ONCE, 1]


def test_a_bad_text_fails_its_own_request_alone():
    bench = Bench()
    reader = Reader(bench.call, bench.read)
    held = threading.Event()
    bench.lock.acquire()  # all wait in line together
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(reader, texts) for texts in (["a"], ["b", "bad"], ["c"])]
        while len(reader._line) < 4:
            held.wait(0.001)
        bench.lock.release()
        assert asked[0].result(10) == ["A"] and asked[2].result(10) == ["C"]
        with pytest.raises(DataError, match="found bad"):
            asked[1].result(10)
    assert reader([]) == []


def test_what_ends_the_bench_reaches_who_asked():
    def closed(function):
        raise DataError("closed")

    with pytest.raises(DataError, match="closed"):
        Reader(closed, list)(["a"])
