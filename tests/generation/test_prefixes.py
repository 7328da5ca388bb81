"""What was read once is not read again, a long prompt keeps nobody waiting, and neither changes what is written."""

import numpy as np
import pytest
import torch

from tests.generation.test_engine import VOCAB, Gate, alone, hold, ids, job, until, wide
from tests.generation.tiny import tiny_model
from upwell.errors import ServiceError
from upwell.generation import engine as engines
from upwell.generation.engine import Engine
from upwell.generation.prefixes import FEWEST, Prefixes, common
from upwell.generation.session import Session


class Counting(Gate):
    """A gate that knows how many tokens it read for each row and call."""

    def __init__(self, model):
        super().__init__(model)
        self.read = []

    def __call__(self, ids, **options):
        self.read.append(tuple(ids.shape))
        return super().__call__(ids, **options)


@pytest.fixture(scope="module")
def small():
    return tiny_model(VOCAB, context=512)


@pytest.fixture
def gate(small):
    return Counting(small)


def text(length, seed):
    return np.random.default_rng(seed).integers(1, VOCAB, length).tolist()


@pytest.mark.parametrize("seed", [None, 4], ids=["greedy", "sampled"])
def test_L6_a_prompt_that_begins_as_another_is_read_from_where_they_part(small, gate, engine, seed):
    shared = text(200, 1)
    ids(engine.submit(job(shared + text(9, 2))))
    gate.read.clear()
    second = engine.submit(job(shared + text(5, 3), seed))
    assert ids(second) == alone(small, second)
    assert gate.read[0] == (1, 5) and second.known == 200


def test_the_next_turn_of_a_talk_reads_only_what_is_new(small, gate, engine):
    first = engine.submit(job(text(60, 1), seed=1))
    answer = ids(first)
    until(lambda: not engine.running)
    gate.read.clear()
    second = engine.submit(job([*first.prompt, *answer, *text(7, 2)]))
    assert ids(second) == alone(small, second)
    assert gate.read[0] == (1, 8)       # the answer's last token was never read
    until(lambda: not engine.running)
    assert len(engine.prefixes) == 1    # the longer one knows all that the shorter one knew


def test_prompts_that_know_much_little_and_nothing_are_read_together(small, gate, engine):
    shared = text(150, 1)
    ids(engine.submit(job(shared)))
    jobs = [job(shared + text(20, 2)), job(text(40, 3)), job(shared[:90] + text(3, 4), seed=3), wide(shared, 3)]
    hold(gate, engine, jobs)
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
    assert [one.known for one in jobs] == [150, 0, 90, 149]


def test_what_was_not_asked_for_longest_makes_room(small):
    session = Session(small, [text(100, 1), text(100, 2), text(100, 3)])
    each = 100 * session.cache.per_token
    kept = Prefixes(2 * each)
    for row in (0, 1):
        kept.keep(text(100, row + 1), session.cache, row)
    assert kept.longest([*text(100, 1), 5]) is not None     # asked for again
    kept.keep(text(100, 3), session.cache, 2)
    assert kept.taken == 2 * each and len(kept) == 2
    assert kept.longest(text(100, 2)) is None and len(kept.longest(text(100, 1)).ids) == 99
    kept.keep(text(300, 4), session.cache, 0)               # wider than the room: nothing goes for it
    assert len(kept) == 2


@pytest.mark.parametrize("known", [0, 40])
def test_what_a_prefix_holds_is_what_reading_leaves(small, known):
    prompt = text(80, 5)
    whole = Session(small, [prompt])
    kept = Prefixes(1 << 20)
    kept.keep(prompt, whole.cache, 0)
    prefix = kept.longest(prompt[: known + 1] if known else prompt)
    assert len(prefix.ids) == (known or 79) and common(prefix.ids, np.array(prompt)) == len(prefix.ids)
    again = Session(small, [prompt], known=[prefix])
    torch.testing.assert_close(again.logits, whole.logits, atol=1e-4, rtol=1e-4)


def test_few_tokens_are_rather_read_again(small):
    session, kept = Session(small, [text(100, 1)]), Prefixes(1 << 20)
    kept.keep(text(100, 1)[: FEWEST - 1], session.cache, 0)
    assert len(kept) == 0
    kept.keep(text(100, 1), session.cache, 0)
    assert kept.longest(text(100, 1)[:FEWEST]) is None and kept.longest(text(100, 1)[: FEWEST + 1]) is not None


def test_where_a_ring_forgets_nothing_is_kept():
    small = tiny_model(VOCAB, context=512, window=16, window_layers=(0,))
    engine = Engine(small)
    try:
        jobs = [engine.submit(job(text(100, 1))), engine.submit(job(text(100, 1)))]
        assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
        assert len(engine.prefixes) == 0
    finally:
        engine.close()


# ---- long prompts ----


def test_others_go_on_while_a_long_prompt_is_read(small, gate, engine, monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 64)
    jobs = [job(text(3, 1), max_new=60), job(text(400, 2), max_new=5), job(text(4, 3), seed=1, max_new=30)]
    hold(gate, engine, jobs)
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]
    pieces = [number for number, (_, tokens) in enumerate(gate.read) if tokens in (64, 400 % 64)]
    assert len(pieces) == 7
    between = [gate.read[a + 1 : b] for a, b in zip(pieces, pieces[1:], strict=False)]
    assert all(any(tokens == 1 for _, tokens in some) for some in between)


def test_short_prompts_do_not_wait_for_a_long_one_before_them(small, gate, engine, monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 64)
    long, short = hold(gate, engine, [job(text(450, 2), max_new=5), job(text(4, 3), max_new=3)])
    assert ids(short) == alone(small, short) and ids(long) == alone(small, long)
    last = gate.read.index((1, 450 % 64))
    assert [tokens for _, tokens in gate.read[:last]].count(1) == 2  # its first token comes from its prompt


def test_who_cancels_while_its_prompt_is_read_is_read_no_further(gate, engine, monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 64)
    gate.open.clear()
    long = engine.submit(job(text(450, 2), max_new=5))
    until(lambda: gate.read)
    long.cancel()
    gate.open.set()
    assert ids(long) == []
    until(lambda: not engine.reading)
    assert gate.read == [(1, 64)]


def test_a_piece_that_raises_fails_its_prompt_alone(small, gate, engine, monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 64)
    good, bad = job(text(3, 1), max_new=60), job(text(400, 2), max_new=5)
    call = gate.model

    def failing(ids, **options):
        if ids.shape[1] == 64 and options["cache"].longest == 128:
            raise RuntimeError("out of memory")
        return call(ids, **options)

    gate.model = failing
    hold(gate, engine, [good, bad])
    with pytest.raises(ServiceError, match="out of memory"):
        ids(bad)
    assert ids(good) == alone(small, good)
    assert not engine.reading


# ---- no memory ----

FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:128] DefaultCPUAllocator: can't allocate memory: you tried to "
                    "allocate 1000000 bytes.")  # fmt: skip


class Full(Counting):
    """A model for which there is no memory in some of its readings."""

    fails = ()

    def __call__(self, ids, **options):
        logits = super().__call__(ids, **options)
        if len(self.read) in self.fails:
            raise FULL
        return logits


def test_F5_without_memory_what_is_remembered_goes_and_the_prompt_is_read_again(small):
    gate = Full(small)
    engine = Engine(gate)
    try:
        ids(engine.submit(job(text(90, 1), max_new=2)))
        until(lambda: not engine.running)
        gate.fails = (len(gate.read) + 1,)
        second = engine.submit(job(text(60, 2), max_new=4))
        assert ids(second) == alone(small, second)
        assert [tokens for _, tokens in gate.read[2:4]] == [60, 60]
        until(lambda: not engine.running)
        assert len(engine.prefixes) == 1
    finally:
        engine.close()


@pytest.mark.parametrize("at", ["reading", "step"])
def test_F5_where_that_is_not_enough_it_is_refused_and_nothing_is_held(small, at):
    gate = Full(small)
    engine = Engine(gate)
    try:
        gate.fails = (1,) if at == "reading" else (3,)
        with pytest.raises(ServiceError, match="no memory left for this request"):
            ids(engine.submit(job(text(60, 2), max_new=9)))
        until(lambda: not engine.running)
        assert engine._session is None and engine.prefixes.taken == 0
        again = engine.submit(job(text(60, 3), max_new=4))
        assert ids(again) == alone(small, again)
    finally:
        engine.close()


def test_F5_where_there_is_no_memory_to_remember_nothing_is_and_requests_go_on(small, gate, engine, monkeypatch):
    def full(*_):
        raise FULL

    monkeypatch.setattr(engine.prefixes, "keep", full)
    jobs = [engine.submit(job(text(60, n), max_new=5)) for n in range(3)]
    assert [ids(one) for one in jobs] == [alone(small, one) for one in jobs]


def test_closing_fails_what_is_being_read(gate, monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 16)
    engine = Engine(gate)
    gate.open.clear()
    long = engine.submit(job(text(450, 2), max_new=5))
    until(lambda: gate.read)
    engine._closing = True
    gate.open.set()
    with pytest.raises(ServiceError, match="closed"):
        ids(long)
    engine.close()


# ---- deterministic mode ----


class Rounding(Counting):
    """A model whose last bits depend on the shape of what it computes, as matrix products do."""

    def __call__(self, ids, **options):
        logits = super().__call__(ids, **options)
        shape = torch.Generator().manual_seed(ids.numel())
        return logits + 3 * torch.randn(logits.shape[-1], generator=shape)


def test_L7_in_deterministic_mode_a_request_gets_the_same_alone_and_beside_fifteen_others(small):
    jobs = [job(text(4 + 37 * n % 90, n), seed=n if n % 2 else None, max_new=10 + 3 * n) for n in range(16)]
    found = []
    for one_by_one in (True, False):
        gate = Rounding(small)
        engine = Engine(gate, rows=16, deterministic=True)
        again = [job(one.prompt, n if n % 2 else None, one.max_new) for n, one in enumerate(jobs)]
        try:
            found.append([ids(engine.submit(one)) for one in again] if one_by_one
                         else [ids(one) for one in hold(gate, engine, again)])  # fmt: skip
        finally:
            engine.close()
        assert {rows for rows, tokens in gate.read if tokens == 1} == {16}
    assert found[0] == found[1]


def test_L7_without_it_the_same_requests_may_differ(small):
    """What the test above would see: rounding that depends on the others reaches the text."""
    jobs = [job(text(4 + n, n), max_new=30) for n in range(16)]
    gate = Rounding(small)
    engine = Engine(gate, rows=16)
    try:
        found = [ids(one) for one in hold(gate, engine, jobs)]
        again = [ids(engine.submit(job(one.prompt, max_new=30))) for one in jobs]
    finally:
        engine.close()
    assert found != again


def test_deterministic_requests_that_come_later_change_nothing_for_those_at_work(small):
    gate = Rounding(small)
    engine = Engine(gate, rows=4, deterministic=True)
    try:
        alone_ = ids(engine.submit(job(text(9, 1), max_new=60)))
        first = engine.submit(job(text(9, 1), max_new=60))
        until(lambda: first.shown > 5)
        others = [engine.submit(job(text(5, n), max_new=4 * n)) for n in range(2, 9)]
        assert ids(first) == alone_ and [len(ids(one)) for one in others] == [4 * n for n in range(2, 9)]
    finally:
        engine.close()


def test_L7_masked_rows_see_as_many_keys_alone_as_beside_longer_ones_and_what_they_saw_before(small):
    prompts = [text(5, 1), text(70, 2), text(150, 3)]
    plain, beside = Session(small, prompts), Session(small, prompts)
    beside.cache.masked = True
    tokens, rows = torch.tensor([4, 5, 6]), torch.arange(3)
    expected, found = plain.step(tokens, rows), beside.step(tokens, rows)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert [(group.tolist(), size) for group, size in beside.cache.groups] == [([0], 64), ([1], 128), ([2], 192)]
    alone_ = Session(small, prompts[:1])
    alone_.cache.masked = True
    alone_.step(tokens[:1], rows[:1])
    assert [(group.tolist(), size) for group, size in alone_.cache.groups] == [([0], 64)]


def test_deterministic_mode_is_refused_where_sources_are_read_together():
    from types import SimpleNamespace

    from upwell.errors import SettingsError
    from upwell.generation.backend import Local
    from upwell.model.hub import Checkpoint
    from upwell.tokens.tokenizer import train

    tokenizer = train(["a b c"] * 10, 280)
    config = SimpleNamespace(shape="encoder-decoder", bos=None, ends=frozenset(), vocab=280)
    with pytest.raises(SettingsError, match="deterministic: found model, a model with an encoder"):
        Local(Checkpoint(SimpleNamespace(config=config), tokenizer, config, None), deterministic=True)
