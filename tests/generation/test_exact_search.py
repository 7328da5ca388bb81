"""Wide searches beside a look at every text that there is, on tables in place of a model."""

import itertools

import pytest
import torch

from upwell.errors import SettingsError, UpwellError
from upwell.generation.stop import Stop
from upwell.generation.strategies import beam, constrained, diverse

V, LONGEST, END = 4, 4, 3


def table(seed):
    """Logits (LONGEST, V + 1, V): at each place, after each token, and at the beginning."""
    return 2 * torch.randn(LONGEST, V + 1, V, generator=torch.Generator().manual_seed(seed))


def as_they_are(tokens, logits):
    return logits


def play(module, logits, **settings):
    """What a strategy finds where the next token depends on its place and on the last one."""
    search = module.search(logits[0, V:], as_they_are, Stop(frozenset([END]), LONGEST), module.Settings(**settings))
    try:
        step = next(search)
        for place in range(1, LONGEST + 1):
            step = search.send(logits[place][step.tokens])
    except StopIteration as end:
        return end.value


def every(logits, power):
    """All texts with their scores, best first."""
    logp, found = logits.log_softmax(-1), []
    for length in range(1, LONGEST + 1):
        for ids in itertools.product(range(V), repeat=length):
            if END in ids[:-1] or (ids[-1] != END and length < LONGEST):
                continue
            before = (V, *ids[:-1])
            score = sum(logp[at, before[at], ids[at]].item() for at in range(length))
            found.append((score / length**power, ids))
    return sorted(found, reverse=True)


def ids(found):
    return tuple(token.id for token in found.tokens)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_wide_beam_ranks_all_texts_as_a_look_at_every_one_does(seed, power):
    found = play(beam, table(seed), beams=300, length_power=power, early_stopping="never")
    expected = every(table(seed), power)
    assert [ids(one) for one in found] == [text for _, text in expected]
    assert [one.score for one in found] == pytest.approx([score for score, _ in expected], abs=1e-5)


PHRASES = [(((0, 1),),), (((1,), (2, 2)),), (((0, 1),), ((2,),))]


def holds(text, phrases):
    return all(any(text[at : at + len(s)] == s for s in phrase for at in range(len(text))) for phrase in phrases)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("phrases", PHRASES, ids=str)
def test_a_wide_constrained_beam_finds_the_best_texts_of_those_that_hold_the_phrases(seed, phrases):
    found = play(constrained, table(seed), beams=300, phrases=phrases, early_stopping="never")
    expected = [text for _, text in every(table(seed), 1.0) if holds(text, phrases)]
    assert [ids(one) for one in found] == expected


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("beams", [1, 2, 3])
def test_however_narrow_every_constrained_text_holds_its_phrases(seed, beams):
    found = play(constrained, table(seed), beams=beams, phrases=(((0, 1),), ((2,),)))
    assert found and all(holds(ids(one), (((0, 1),), ((2,),))) for one in found)


def test_without_phrases_constrained_is_beam_search():
    for seed in range(5):
        assert play(constrained, table(seed), beams=3) == play(beam, table(seed), beams=3)


def test_one_group_is_beam_search_and_more_groups_begin_differently():
    for seed in range(5):
        assert play(diverse, table(seed), beams=3, groups=1) == play(beam, table(seed), beams=3)
        assert len({ids(one)[0] for one in play(diverse, table(seed), beams=3, groups=3, diversity=99.0)}) == 3


def test_phrases_that_do_not_fit_are_an_error_with_both_numbers():
    with pytest.raises(SettingsError, match="must appear has 5 tokens, but max_new is 4"):
        play(constrained, table(0), phrases=(((0, 1, 2, 0, 1),),))


def test_phrases_that_may_not_be_written_are_an_error():
    def without_0(tokens, logits):
        return logits.index_fill(1, torch.tensor([0]), -torch.inf)

    settings = constrained.Settings(phrases=(((0,),),))
    search = constrained.search(table(0)[0, V:], without_0, Stop(frozenset([END]), LONGEST), settings)
    with pytest.raises(UpwellError, match="no text had room for all that must appear"):
        step = next(search)
        while True:
            step = search.send(table(0)[0][step.tokens])


def test_a_broken_phrase_falls_back_to_the_longest_beginning_that_its_end_is():
    state = constrained.Wanting((((0, 0, 1),),))
    for id, lacks in ((0, 2), (0, 1), (0, 1), (2, 3), (0, 2), (0, 1), (1, 0), (2, 0)):
        state = state.then(id)
        assert state.lacks == lacks
