import pytest
import torch

from upwell.errors import UpwellError
from upwell.generation.engine import run
from upwell.generation.session import Session
from upwell.generation.steps import Step
from upwell.generation.stop import Stop
from upwell.generation.strategies import greedy, sample

SHARES = torch.tensor([0.5, 0.25, 0.15, 0.1, 0.0])


def as_they_are(tokens, logits):
    return logits


def play(search, answers):
    """Send each of `answers` to a strategy; gives its steps and what it returns."""
    steps = [next(search)]
    try:
        for logits in answers:
            steps.append(search.send(logits))
    except StopIteration as end:
        return steps, end.value


def test_greedy_takes_the_likeliest_and_of_equals_the_first():
    rows = [torch.tensor([[0.0, 2.0, 2.0]]), torch.tensor([[5.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 9.0]])]
    steps, found = play(greedy.search(rows[0], as_they_are, Stop(frozenset({2}), 9), greedy.Settings()), rows[1:])
    assert [step.tokens.tolist() for step in steps] == [[1], [0]]
    assert [token.id for token in found[0].tokens] == [1, 0, 2] and found[0].finish == "stop"
    assert all(isinstance(step, Step) and step.parents.tolist() == [0] for step in steps)


def test_the_log_probability_is_the_models_own_before_the_filters():
    logits = SHARES.log()[None]
    search = greedy.search(logits, lambda tokens, given: given.index_fill(1, torch.tensor([0]), -torch.inf),
                           Stop(frozenset(), 1), greedy.Settings())
    _, found = play_to_end(search)
    assert found[0].tokens[0].id == 1
    assert found[0].tokens[0].logprob == pytest.approx(float(SHARES[1].log()))
    assert found[0].score == pytest.approx(float(SHARES[1].log()))


def play_to_end(search):
    with pytest.raises(StopIteration) as end:
        next(search)
    return None, end.value.value


def test_draws_follow_the_distribution_and_never_take_what_is_impossible():
    generator, count = torch.Generator().manual_seed(1), 20000
    logits = SHARES.log()
    drawn = torch.bincount(torch.tensor([sample.draw(logits, generator) for _ in range(count)]), minlength=5)
    expected = SHARES[:4] * count
    chi_square = ((drawn[:4] - expected) ** 2 / expected).sum()
    assert drawn[4] == 0
    assert chi_square < 16.27       # three degrees of freedom, one in a thousand



@pytest.mark.parametrize(("spot", "token"), [(0.0, 1), (1.0 - 2**-53, 3)])
def test_at_the_very_ends_of_the_line_impossible_tokens_stay_impossible(monkeypatch, spot, token):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor(spot, dtype=torch.float64))
    assert sample.draw(torch.tensor([0.0, 0.3, 0.3, 0.4, 0.0]).log(), None) == token


def test_the_same_seed_gives_the_same_text_and_another_one_another(model):
    def text(seed):
        session = Session(model, [[3, 4]], 0)
        return run(sample.search(session.logits, as_they_are, Stop(frozenset(), 20), sample.Settings(seed)), session)

    assert text(7) == text(7)
    assert text(7)[0].tokens != text(8)[0].tokens
    assert text(None)[0].tokens != text(None)[0].tokens


def test_a_strategy_whose_every_token_is_banned_says_so():
    search = greedy.search(SHARES.log()[None], lambda tokens, logits: torch.full_like(logits, -torch.inf),
                           Stop(frozenset(), 5), greedy.Settings())
    with pytest.raises(UpwellError, match="every token is banned"):
        next(search)


def test_the_driver_gives_what_the_strategy_returns_and_obeys_its_parents(model):
    def doubling(logits):
        logits = yield Step(torch.tensor([1, 2]), torch.tensor([0, 0]))
        assert logits.shape[0] == 2
        logits = yield Step(torch.tensor([3]), torch.tensor([1]))
        return logits

    session = Session(model, [[5, 6]], 0)
    last = run(doubling(session.logits), session)
    with torch.inference_mode():
        torch.testing.assert_close(last[0], model(torch.tensor([[5, 6, 2, 3]]))[0, -1], atol=1e-4, rtol=1e-4)
