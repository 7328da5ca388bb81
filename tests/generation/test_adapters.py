"""One engine, several adapters: whoever asks gets the adapter that was asked for, alone or beside the others."""

import pytest
import torch

from tests.generation.test_engine import alone, ids, job
from tests.generation.tiny import tiny_model
from tests.model.test_several import adapter
from upwell.generation.engine import Engine
from upwell.generation.scoring import tokens_from
from upwell.model import several

VOCAB = 40
PROMPT = [int(n) for n in torch.randint(VOCAB, (50,), generator=torch.Generator().manual_seed(5))]


@pytest.fixture
def models(tmp_path):
    """The model with two adapters, and those three models by themselves."""
    base = tiny_model(VOCAB, context=256).requires_grad_(False)
    one, alone1 = adapter(base, tmp_path / "one", 1)
    two, alone2 = adapter(base, tmp_path / "two", 2)
    both = several.attach(base.twin(), [several.read(base, one), several.read(base, two)])
    return both, (base, alone1, alone2)


def asked(number, prompt, max_new=12):
    made = job(prompt, max_new=max_new)
    made.adapter = number
    return made


def test_rows_of_different_adapters_advance_together(models):
    both, apart = models
    engine = Engine(both, rows=16)
    try:
        jobs = [engine.submit(asked(number % 3, PROMPT[: 5 + number], 12)) for number in range(12)]
        assert [ids(one) for one in jobs] == [alone(apart[n % 3], job(PROMPT[: 5 + n], max_new=12)) for n in range(12)]
    finally:
        engine.close()


def test_what_one_adapter_has_read_is_no_beginning_for_another(models):
    both, apart = models
    engine = Engine(both, rows=1)
    try:
        for number in (0, 1, 2, 1):
            one = engine.submit(asked(number, PROMPT))
            assert ids(one) == alone(apart[number], job(PROMPT, max_new=12))
        assert one.known > 32, "the same adapter goes on from what it has read"
    finally:
        engine.close()


def test_scores_are_those_of_the_adapter(models):
    both, apart = models
    engine = Engine(both, rows=2)
    try:
        for number in (1, 0, 2):
            found = engine.call(lambda model, n=number: tokens_from(model, PROMPT, 1, adapter=n))
            logits = apart[number](torch.tensor([PROMPT[:-1]]))[0].log_softmax(-1)
            wanted = logits.gather(1, torch.tensor(PROMPT[1:])[:, None])[:, 0].tolist()
            assert [token.logprob for token in found] == pytest.approx(wanted, abs=1e-3)
    finally:
        engine.close()
