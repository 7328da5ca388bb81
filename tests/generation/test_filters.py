import pytest
import torch

from upwell.errors import SettingsError
from upwell.generation import filters
from upwell.generation.settings import Settings

NONE = torch.zeros(1, 0, dtype=torch.int64)
LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-1.0, 3.0, 3.0, 0.5]])
TOKENS = torch.tensor([[0, 3], [1, 1]])


def kept(logits):
    return [[i for i, value in enumerate(row) if value > filters.NEVER] for row in logits.tolist()]


def test_top_k_keeps_the_likeliest_and_what_ties_with_the_last_of_them():
    assert kept(filters.top_k(1)(TOKENS, LOGITS)) == [[0], [1, 2]]
    assert kept(filters.top_k(99)(TOKENS, LOGITS)) == [[0, 1, 2, 3]] * 2


def test_top_p_keeps_the_fewest_that_reach_the_share_and_at_least_one():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert kept(filters.top_p(0.6)(NONE, logits)) == [[0, 1]]
    assert kept(filters.top_p(0.9)(NONE, logits)) == [[0, 1, 2]]
    assert kept(filters.top_p(1e-9)(NONE, logits)) == [[0]]


def test_the_repetition_penalty_lowers_what_was_said_once_however_often_it_was_said():
    expected = torch.tensor([[1.0, 1.0, 0.0, -2.0], [-1.0, 1.5, 3.0, 0.5]])
    assert torch.equal(filters.repetition_penalty(2.0)(TOKENS, LOGITS), expected)


def test_a_forced_token_is_the_only_one_at_its_place():
    assert kept(filters.forced([2], 2)(TOKENS, LOGITS)) == [[2], [2]]
    assert torch.equal(filters.forced([2], 3)(TOKENS, LOGITS), LOGITS)


def test_greedy_choice_and_beam_search_are_not_narrowed_and_a_draw_is():
    for strategy, left in (("greedy", [0, 1, 2, 3]), ("beam", [0, 1, 2, 3]), ("sample", [0])):
        narrow = filters.compose(Settings(strategy=strategy, top_k=1, temperature=0.5), [1], [], 4)
        assert kept(narrow(NONE, LOGITS[:1])) == [left]
    assert filters.likeliest(Settings(temperature=0))
    assert not filters.likeliest(Settings(strategy="beam", temperature=0))


def test_a_minimum_length_bans_the_ends_until_it_is_reached():
    assert kept(filters.minimum_length(3, [0, 2])(TOKENS, LOGITS)) == [[1, 3]] * 2
    assert torch.equal(filters.minimum_length(2, [0, 2])(TOKENS, LOGITS), LOGITS)


@pytest.mark.parametrize(
    "one",
    [filters.temperature(0.5), filters.top_k(2), filters.top_p(0.5), filters.repetition_penalty(1.5),
     filters.banned([1]), filters.minimum_length(9, [1]), filters.min_p(0.5), filters.typical(0.4),
     filters.count_penalty(0.5, 0.25), filters.no_repeat(1), filters.dry(1.0, 2.0, 1), filters.bias([(2, 1.0)]),
     filters.banned_sequences([[1, 2], [3]]), filters.forced([0, 1, 2])],
)  # fmt: skip
def test_a_filter_changes_neither_what_it_is_given_nor_the_rows_beside(one):
    logits, tokens = LOGITS.clone(), TOKENS.clone()
    both = one(tokens, logits)
    assert torch.equal(logits, LOGITS) and torch.equal(tokens, TOKENS)
    for row in range(2):
        assert torch.equal(one(TOKENS[row : row + 1], LOGITS[row : row + 1])[0], both[row])


def test_the_composition_penalises_the_prompt_too_and_narrows_after_the_temperature():
    settings = Settings(temperature=0.5, top_k=2, repetition_penalty=2.0)
    given = filters.compose(settings, [0], ends=[], vocab=4)(torch.tensor([[3]]), LOGITS[:1])
    by_hand = filters.repetition_penalty(2.0)(torch.tensor([[0, 3]]), LOGITS[:1])
    by_hand = filters.top_k(2)(TOKENS[:1], by_hand / 0.5)
    assert torch.equal(given, by_hand)


def test_the_minimum_counts_new_tokens_and_not_the_prompt():
    chain = filters.compose(Settings(min_new=2, temperature=1), [1, 1, 1], ends=[0], vocab=4)
    assert kept(chain(NONE, LOGITS[:1])) == [[1, 2, 3]]
    assert kept(chain(torch.tensor([[1, 2]]), LOGITS[:1])) == [[0, 1, 2, 3]]


def test_without_wishes_and_for_the_likeliest_token_logits_stay_as_they_are():
    for settings in (Settings(temperature=1), Settings(temperature=0, top_k=3), Settings(strategy="greedy", top_p=0.1)):
        assert torch.equal(filters.compose(settings, [1], ends=[0], vocab=4)(NONE, LOGITS[:1]), LOGITS[:1])


def test_a_banned_id_beyond_the_vocabulary_is_named():
    with pytest.raises(SettingsError, match="token id 4.*vocabulary's 4"):
        filters.compose(Settings(banned=(1, 4)), [1], ends=[], vocab=4)


def test_presence_counts_once_and_frequency_each_time():
    expected = LOGITS - torch.tensor([[0.75, 0.0, 0.0, 0.75], [0.0, 1.0, 0.0, 0.0]])
    assert torch.equal(filters.count_penalty(0.5, 0.25)(TOKENS, LOGITS), expected)


def test_counted_penalties_see_what_was_written_only_and_the_others_the_prompt_too():
    both = filters.compose(Settings(presence_penalty=1.0, no_repeat=1), [0, 3], ends=[], vocab=4)
    assert kept(both(torch.tensor([[1]]), LOGITS[:1])) == [[2]]
    counted = filters.compose(Settings(temperature=0, presence_penalty=1.0), [0, 3], ends=[], vocab=4)
    assert torch.equal(counted(torch.tensor([[1]]), LOGITS[:1]), LOGITS[:1] - torch.tensor([[0.0, 1.0, 0.0, 0.0]]))


def slow_dry(ids, logits, strength, base, allowed, breakers):
    """A walk over every earlier place of the last token, as its inventor describes it."""
    costs = {}
    for place in range(len(ids) - 1):
        n = 0
        while n <= place and ids[place - n] == ids[-1 - n] and ids[-1 - n] not in breakers:
            n += 1
        if n >= allowed and ids[place + 1] not in breakers:
            costs[ids[place + 1]] = max(costs.get(ids[place + 1], 0.0), strength * base ** (n - allowed))
    return [value - costs.get(id, 0.0) for id, value in enumerate(logits)]


@pytest.mark.parametrize("allowed", [1, 2, 4])
@pytest.mark.parametrize("breakers", [(), (2,)])
def test_dry_costs_what_a_walk_over_all_places_says(allowed, breakers):
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(0, 3, (200, 30), generator=generator)
    logits = torch.randn(200, 6, generator=generator)
    found = filters.dry(0.8, 1.75, allowed, breakers)(tokens, logits)
    expected = [slow_dry(ids, row, 0.8, 1.75, allowed, breakers)
                for ids, row in zip(tokens.tolist(), logits.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert not torch.equal(found, logits)


def test_a_text_begins_with_what_is_forced_and_is_free_behind_it():
    force = filters.forced([2, 0])
    assert kept(force(NONE, LOGITS[:1])) == [[2]]
    assert kept(force(torch.tensor([[2]]), LOGITS[:1])) == [[0]]
    assert torch.equal(force(torch.tensor([[2, 0]]), LOGITS[:1]), LOGITS[:1])


def test_a_bias_for_an_id_beyond_the_vocabulary_is_named():
    with pytest.raises(SettingsError, match="logit_bias: found the token id 4"):
        filters.compose(Settings(logit_bias=((4, 1.0),)), [1], ends=[], vocab=4)
