import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.errors import SettingsError
from upwell.generation.session import Session

PROMPTS = [[5, 9, 2], [7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
CLOSE = dict(atol=1e-4, rtol=1e-4)


def whole(model, ids):
    """The trusted value: everything computed anew."""
    with torch.inference_mode():
        return model(torch.tensor([ids]))[0, -1]


def test_prompts_of_different_lengths_give_the_logits_that_each_gives_alone(model):
    logits = Session(model, PROMPTS, 4).logits
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, torch.stack([whole(model, p) for p in PROMPTS]), **CLOSE)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_cached_steps_give_the_logits_of_a_whole_new_reading(positions):
    model = tiny_model(50, positions=positions)
    session, texts = Session(model, PROMPTS, 0), [list(p) for p in PROMPTS]
    for step in range(30):          # beyond the first capacity
        tokens = torch.tensor([(7 * step + row) % 50 for row in range(3)])
        logits = session.step(tokens, torch.arange(3))
        texts = [text + [token] for text, token in zip(texts, tokens.tolist(), strict=True)]
    torch.testing.assert_close(logits, torch.stack([whole(model, t) for t in texts]), **CLOSE)
    assert session.cache.capacity >= 40


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_keys_are_kept_in_float32_on_a_cpu_where_every_head_has_its_own(kv_heads):
    """Attention of single queries is faster so; with shared heads it is not, and the room would double for nothing."""
    model = tiny_model(50, heads=4, kv_heads=kv_heads).to(torch.bfloat16)
    session = Session(model, PROMPTS, 4)
    assert session.cache.keys[0].dtype == (torch.float32 if kv_heads == 4 else torch.bfloat16)
    logits = session.step(torch.tensor([11, 12, 13]), torch.arange(3))
    expected = torch.stack([whole(model, [*p, t]) for p, t in zip(PROMPTS, (11, 12, 13), strict=True)])
    torch.testing.assert_close(logits, expected.float(), atol=0.05, rtol=0.05)


def test_parents_reorder_double_and_drop_rows(model):
    session = Session(model, PROMPTS, 20)
    logits = session.step(torch.tensor([11, 12, 13, 14]), torch.tensor([2, 0, 0, 2]))
    expected = [PROMPTS[2] + [11], PROMPTS[0] + [12], PROMPTS[0] + [13], PROMPTS[2] + [14]]
    torch.testing.assert_close(logits, torch.stack([whole(model, t) for t in expected]), **CLOSE)
    logits = session.step(torch.tensor([3]), torch.tensor([1]))
    assert session.rows == 1
    torch.testing.assert_close(logits[0], whole(model, PROMPTS[0] + [12, 3]), **CLOSE)


def test_rows_that_join_later_and_the_old_ones_stay_what_they_were(model):
    session = Session(model, PROMPTS[:1], 4)
    session.step(torch.tensor([8]), torch.tensor([0]))
    session.join(Session(model, PROMPTS[1:], 30))
    assert session.rows == 3
    logits = session.step(torch.tensor([1, 2, 3]), torch.arange(3))
    expected = [PROMPTS[0] + [8, 1], PROMPTS[1] + [2], PROMPTS[2] + [3]]
    torch.testing.assert_close(logits, torch.stack([whole(model, t) for t in expected]), **CLOSE)


def test_B5_a_prompt_longer_than_the_model_reads_names_both_numbers(model):
    with pytest.raises(SettingsError, match="129 tokens.*at most 128"):
        Session(model, [[1] * 129], 0)


def test_a_text_that_grows_beyond_what_the_model_reads_is_an_error_and_not_a_cut():
    model = tiny_model(50, context=8)
    session = Session(model, [[1] * 7], 0)
    session.step(torch.tensor([1]), torch.tensor([0]))
    with pytest.raises(SettingsError, match="9 tokens.*at most 8"):
        session.step(torch.tensor([1]), torch.tensor([0]))


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_B5_an_empty_prompt_is_refused(model, prompts):
    with pytest.raises(SettingsError, match="expected at least"):
        Session(model, prompts, 0)


@pytest.mark.parametrize("token", [-1, 10**6])
def test_B5_an_id_outside_of_the_vocabulary_is_named(model, token):
    with pytest.raises(SettingsError, match=f"{token}.*0 to {model.config.vocab - 1}"):
        Session(model, [[1, token]], 0)
