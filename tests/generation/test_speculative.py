"""Guessing changes no distribution: exact for n-grams, chi-square for drafts, on tables in place of a model."""

import itertools

import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.generation.draft import Drafting
from upwell.generation.engine import Engine, first, run
from upwell.generation.jobs import Job
from upwell.generation.session import Session
from upwell.generation.stop import Stop
from upwell.generation.strategies import greedy, sample, speculative
from upwell.generation.strategies.speculative import Lookup

V, NEW = 3, 3
OURS = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.2, 0.3, 0.5]]).log()     # the last: begins
DRAFT = torch.tensor([[0.2, 0.2, 0.6], [0.3, 0.6, 0.1], [0.0, 0.9, 0.1], [0.3, 0.3, 0.4]]).log()


def as_they_are(tokens, logits):
    return logits


def play(search, logits=OURS):
    """Its text and how many steps it took."""
    steps = 0
    try:
        step = next(search)
        while True:
            steps += 1
            step = search.send(logits[step.tokens] if step.tokens.dim() == 2 else logits[step.tokens])
    except StopIteration as end:
        return tuple(token.id for token in end.value[0].tokens), steps


def drafting(ids, most, generator, filters):
    """A draft whose next token depends on the last one."""
    guessed, shares, last = [], [], ids[-1]
    for _ in range(most):
        last = sample.draw(DRAFT[last], generator)
        guessed.append(last)
        shares.append(DRAFT[guessed[-2] if len(guessed) > 1 else ids[-1]].exp())
    return guessed, torch.stack(shares) if shares else None


def chi_square(counts, expected):
    return sum((counts.get(key, 0) - value) ** 2 / value for key, value in expected.items())


def expected(count):
    p = OURS.exp()
    return {ids: count * float(p[V, ids[0]] * p[ids[0], ids[1]] * p[ids[1], ids[2]])
            for ids in itertools.product(range(V), repeat=NEW)}


def counted(settings, count):
    found, steps = {}, 0
    for seed in range(count):
        search = speculative.search(OURS[V:], as_they_are, Stop(frozenset(), NEW), settings(seed))
        text, took = play(search)
        found[text], steps = found.get(text, 0) + 1, steps + took
    return found, steps


def test_texts_with_a_draft_are_distributed_as_without_and_take_fewer_steps():
    count = 3000
    found, steps = counted(lambda seed: speculative.Settings(1.0, seed, draft=drafting, guesses=2), count)
    assert chi_square(found, expected(count)) < 54.1       # 26 degrees of freedom, one in a thousand
    assert steps < 0.75 * (NEW - 1) * count


def test_a_draft_that_were_always_believed_would_be_seen():
    count, q = 3000, DRAFT.exp()
    wrong = {ids: count * float(OURS[V, ids[0]].exp() * q[ids[0], ids[1]] * q[ids[1], ids[2]])
             for ids in itertools.product(range(V), repeat=NEW)}
    assert chi_square(wrong, expected(count)) > 54.1


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_looked_up_guesses_give_the_very_text_of_plain_choice(temperature):
    saved = 0
    for seed in range(200):
        stop, before = Stop(frozenset(), 12), (0, 1, 1, 2, 0, 1)
        plain = greedy.search(OURS[V:], as_they_are, stop, greedy.Settings()) if temperature == 0 else sample.search(
            OURS[V:], as_they_are, stop, sample.Settings(seed))
        guessing = speculative.Settings(temperature, seed, 4, 2, before)
        text, steps = play(plain)
        again, fewer = play(speculative.search(OURS[V:], as_they_are, stop, guessing))
        assert again == text
        saved += steps - fewer
    assert saved > 0


def test_a_lookup_takes_the_longest_end_at_its_newest_place():
    look = Lookup((1, 2, 3, 9, 2, 3, 4, 5, 6), 2)
    assert look([], 5) == []
    assert look([1, 2], 3) == [3, 9, 2]
    assert look([1, 2, 3], 2) == [4, 5]             # 2 3 was last followed by 4, not by 9
    assert look([1, 2, 3, 7], 4) == []
    assert look([1, 2, 3, 7, 2], 1) == [3]          # the one token less


@pytest.mark.parametrize("seed", [None, 3])
def test_a_draft_keeps_in_step_with_the_text_beside_others_in_the_engine(seed):
    model, small = tiny_model(40, seed=1), tiny_model(40, seed=1, decoder_layers=1)
    prompt, stop = [3, 4, 5], Stop(frozenset([1]), 30)

    def begin(draft):
        settings = speculative.Settings(0 if seed is None else 1.0, seed, 4, draft=draft)
        return lambda logits: speculative.search(logits, as_they_are, stop, settings)

    session = Session(model, [prompt])
    alone = run(begin(Drafting(small, prompt))(first(session)), session)[0]
    engine = Engine(model)
    try:
        job = Job(prompt, begin(Drafting(small, prompt)), 30)
        other = Job([7], lambda logits: greedy.search(logits, as_they_are, stop, greedy.Settings()), 30)
        engine.submit(job), engine.submit(other)
        assert [token.id for tokens in job for token in tokens] == [token.id for token in alone.tokens]
        list(other)
    finally:
        engine.close()
    texts = Session(model, [[*prompt, *[token.id for token in alone.tokens[:-1]]]])
    assert alone.tokens[-1].logprob == pytest.approx(
        float(texts.logits[0].log_softmax(-1)[alone.tokens[-1].id]), abs=1e-4)


def test_a_draft_reads_only_what_is_new():
    model = tiny_model(40, seed=2)
    draft = Drafting(model, [3, 4, 5])
    guessed, shares = draft([7], 4, None, as_they_are)
    assert shares is None and len(guessed) == 4
    for ids in ([7, *guessed[:2], 9], [7, *guessed[:2], 9, 8], [7, 30]):
        with torch.inference_mode():
            want = model(torch.tensor([[3, 4, 5, *ids]]))[0, -1]
        got, q = draft(ids, 3, torch.Generator().manual_seed(1), as_they_are)
        torch.testing.assert_close(q[0].float(), want.softmax(-1), atol=1e-5, rtol=1e-4)
        assert len(got) == 3
    assert len(draft([5] * 124, 9, None, as_they_are)[0]) == 1      # 3 + 124 of 128 places are taken
