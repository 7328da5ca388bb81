"""Masked words with the next sentence: pairs of one document or of two, rows that are full, and the loss."""

import numpy as np
import pytest
import torch

from tests.objectives import corpora
from tests.objectives.test_masked import restored, within
from upwell.errors import DataError, SettingsError
from upwell.objectives import masked_next
from upwell.text import Document

CONTEXT = 96


@pytest.fixture(scope="module")
def tokenizer():
    return corpora.wordpiece()


@pytest.fixture(scope="module")
def part(tokenizer, tmp_path_factory):
    return corpora.part(tmp_path_factory.mktemp("next") / "s", tokenizer, corpora.texts(), CONTEXT)


@pytest.fixture(scope="module")
def long(tokenizer, tmp_path_factory):
    """Few documents of many sentences."""
    together = corpora.texts(400)
    texts = [" ".join(text for text in together[n::16] if "。" not in text) for n in range(16)]
    return corpora.part(tmp_path_factory.mktemp("long") / "s", tokenizer, texts, CONTEXT)


def sampler(part, seed=1, **settings):
    return masked_next.samples(part, 8, seed, masked_next.Settings(**settings))


def parts_of(part, batch):
    """(first, second, answer) of every pair: places in the flat store of all its occurrences are found by text."""
    true, cls = restored(batch), part.tokenizer.special["[CLS]"]
    for row in range(len(true)):
        for number, answer in enumerate(batch.answers[row][batch.answers[row] != -100].tolist()):
            own = batch.documents[row] == number
            ids, types = true[row][own], batch.types[row][own]
            assert ids[0] == cls and batch.firsts[row, number] == own.nonzero()[0]
            yield ids[types == 0][1:-1].tolist(), ids[types == 1][:-1].tolist(), answer, ids, types


def test_the_loss_is_the_one_written_out(part):
    model = corpora.bert(part.tokenizer.vocab_size, CONTEXT, "BertForPreTraining")
    batch, settings = sampler(part).batch(0, 4), masked_next.Settings(weight=0.5)
    x = model.encode(batch.ids, types=batch.types, documents=batch.documents)
    logits = model.top.norm(torch.nn.functional.gelu(model.top.dense(x))) @ model.embed.weight.T + model.head_bias
    words = pairs = 0
    for row in range(4):
        for place, target in zip(batch.places[row].tolist(), batch.targets[row].tolist(), strict=True):
            if target != -100:
                words -= (logits[row, place] - logits[row, place].exp().sum().log())[target].item()
        for first, answer in zip(batch.firsts[row].tolist(), batch.answers[row].tolist(), strict=True):
            if answer != -100:
                pooled = torch.tanh(model.pooler.dense.weight @ x[row, first] + model.pooler.dense.bias)
                z = model.pair.weight @ pooled + model.pair.bias
                pairs -= (z[answer] - z.exp().sum().log()).item()
    found = masked_next.loss(model, batch, settings)
    assert found.tolist() == pytest.approx([words, 0.5 * pairs], rel=1e-12)
    assert masked_next.counts(batch, settings) == (int((batch.targets >= 0).sum()), int((batch.answers >= 0).sum()))


def test_every_weight_learns(part):
    model = corpora.bert(part.tokenizer.vocab_size, CONTEXT, "BertForPreTraining")
    masked_next.loss(model, sampler(part).batch(0, 4), masked_next.Settings()).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_half_of_the_second_parts_follow(long):
    answers = torch.cat([sampler(long).batch(first, 100).answers.flatten() for first in range(0, 3000, 100)])
    answers = answers[answers != -100]
    forced = 0.02  # what is left of a document is one sentence
    assert len(answers) > 3000 and abs(answers.float().mean() - 0.5) < 0.03 + forced


def test_other_shares_can_be_asked_for(long):
    answers = sampler(long, other=0.0).batch(0, 300).answers
    assert (answers == 1).sum() < 0.03 * (answers >= 0).sum()
    answers = sampler(long, other=1.0).batch(0, 300).answers
    assert (answers == 0).sum() == 0


def test_what_follows_follows_in_the_text_and_what_does_not_is_from_another_document(part):
    store, made = part.store, sampler(part)
    flat = store.read(0, len(store)).astype(np.int64)
    numbers = np.arange(200)
    pairs, _ = made.paired(made.cursors(numbers), numbers, made.seed)
    document = np.searchsorted(store.starts, pairs.begin_a, side="right")
    other = np.searchsorted(store.starts, pairs.begin_b, side="right")
    assert ((document == other) == (pairs.answer == 0)).all()
    follows = pairs.answer == 0
    gap = pairs.begin_b - pairs.begin_a - pairs.a
    assert (gap[follows] >= 0).all() and (gap[follows] == 0).mean() > 0.3
    assert (pairs.a > 0).all() and (pairs.b > 0).all()
    found = list(parts_of(part, made.samples(numbers)))
    assert len(found) == len(pairs.row)
    for n, (a, b, answer, ids, types) in enumerate(found):
        assert a == flat[pairs.begin_a[n] : pairs.begin_a[n] + pairs.a[n]].tolist() and answer == pairs.answer[n]
        assert b == flat[pairs.begin_b[n] : pairs.begin_b[n] + pairs.b[n]].tolist()
        assert (ids == part.tokenizer.special["[SEP]"]).sum() == 2 and types.diff().ge(0).all()


def test_parts_begin_and_end_with_sentences_unless_they_are_cut(long):
    made, numbers = sampler(long), np.arange(300)
    pairs, _ = made.paired(made.cursors(numbers), numbers, made.seed)
    borders = set(made.sentences.tolist()) | set(long.store.starts.tolist())
    ends = [n in borders for n in (pairs.begin_a + pairs.a).tolist()]
    begins = [n in borders for n in pairs.begin_a.tolist()]
    assert np.mean(begins) > 0.6 and np.mean(ends) > 0.6


def test_one_in_ten_aims_at_a_short_text(long):
    def short(share):
        made, numbers = sampler(long, short=share), np.arange(2000)
        pairs, _ = made.paired(made.cursors(numbers), numbers, made.seed)
        first = np.unique(pairs.row, return_index=True)[1]
        return np.mean((pairs.a + pairs.b)[first] < CONTEXT // 2)

    usual = short(0.0)
    assert 0.02 < short(0.1) - usual < 0.1 and short(1.0) > 0.3


def test_fifteen_in_a_hundred_are_masked_and_no_special_token_is(part):
    made = sampler(part)
    asked = able = 0
    for first in range(0, 1000, 100):
        batch = made.batch(first, 100)
        targets = batch.targets[batch.targets != -100]
        assert not torch.from_numpy(made.spelling.special)[targets].any()
        asked += len(targets)
        able += int((~torch.from_numpy(made.spelling.special)[restored(batch)]).sum())
    assert within(asked / able, 0.15, able)


def test_rows_are_full(part, long):
    for one, least in ((part, 0.93), (long, 0.99)):
        batch = sampler(one).batch(0, 200)
        assert masked_next.tokens(batch) / (200 * CONTEXT) > least


def test_a_sample_is_a_function_of_seed_and_number(part):
    corpora.pure(lambda seed: sampler(part, seed))


def test_whole_visits_every_sentence_once_and_is_always_the_same(part):
    made = sampler(part)
    cursor, number, seen = np.zeros(1, dtype=np.int64), 0, []
    while cursor[0] < len(made.sentences):
        before = int(cursor[0])
        pairs, cursor = made.paired(cursor, np.array([number]), 0x5EED, through=False)
        seen += [made.sentences[n] for n in range(before, int(cursor[0]))]
        number += 1
    assert seen == made.sentences.tolist()
    batches = list(made.whole(7))
    assert sum(len(batch.ids) for batch in batches) == number
    for a, b in zip(batches, sampler(part, seed=9).whole(7), strict=True):
        assert corpora.same(a, b)
    one = torch.cat([batch.targets for batch in made.whole(3)])
    assert torch.equal(one, torch.cat([batch.targets for batch in batches]))


def test_the_index_of_sentences_is_kept(tokenizer, tmp_path):
    part = corpora.part(tmp_path / "s", tokenizer, corpora.texts(40), CONTEXT, cache=tmp_path / "cache")
    first, again = sampler(part), sampler(part)
    assert isinstance(again.sentences, np.memmap) and corpora.same(first.batch(0, 4), again.batch(0, 4))
    assert corpora.same(first.batch(0, 4), sampler(part._replace(cache=None)).batch(0, 4))


def test_what_does_not_fit_is_said_in_a_sentence(part, tokenizer, tmp_path):
    settings, config = masked_next.Settings(), corpora.bert(tokenizer.vocab_size, CONTEXT).config
    assert masked_next.fitted(config, part, settings) == corpora.bert(
        tokenizer.vocab_size, CONTEXT, "BertForPreTraining").config  # fmt: skip
    with pytest.raises(SettingsError, match="does not tell a first sentence from a second"):
        masked_next.fitted(config.with_(token_types=1), part, settings)
    with pytest.raises(SettingsError, match="has no head for this objective"):
        masked_next.fitted(_distil(tokenizer.vocab_size).with_(token_types=2), part, settings)
    with pytest.raises(SettingsError, match="positions for 32"):
        masked_next.fitted(corpora.bert(tokenizer.vocab_size, 32).config, part, settings)
    one = corpora.part(tmp_path / "one", tokenizer, corpora.texts(1), CONTEXT)
    with pytest.raises(DataError, match="holds 1 document; expected two or more"):
        sampler(one)
    other = corpora.bpe(("<mask>",))
    with pytest.raises(DataError, match=r"written \[CLS\] A \[SEP\] B \[SEP\], and the vocabulary has no such tokens"):
        sampler(corpora.part(tmp_path / "two", other, corpora.texts(20), CONTEXT))


def _distil(vocab):
    from upwell.model import hub

    return hub.config_of({"model_type": "distilbert", "vocab_size": vocab, "dim": 32, "n_layers": 1, "n_heads": 2,
                          "hidden_dim": 32, "max_position_embeddings": CONTEXT})  # fmt: skip


def test_examples_show_pairs(tokenizer):
    documents = [Document(text, "a") for text in corpora.texts(20)]
    found = list(masked_next.examples(documents, tokenizer, None, masked_next.Settings()))
    assert {one.part for one in found} == {"the second part is from another document", "the second part follows"}
    assert all(one.ids[0] == tokenizer.special["[CLS]"] for one in found) and any(any(one.learnt) for one in found)
    assert list(masked_next.examples([], tokenizer, None, masked_next.Settings())) == []


def test_both_accuracies_are_those_of_counting(part):
    model = corpora.bert(part.tokenizer.vocab_size, CONTEXT, "BertForPreTraining")
    batch, right = sampler(part).batch(0, 6), 0
    hidden = model.hidden(batch.ids, documents=batch.documents, types=batch.types)
    for row in range(6):
        for first, answer in zip(batch.firsts[row].tolist(), batch.answers[row].tolist(), strict=True):
            pooled = torch.tanh(model.pooler.dense(hidden[row, first]))
            right += int(answer != -100 and int(model.pair(pooled).argmax()) == answer)
    found = masked_next.scored(model, batch, part, masked_next.Settings())
    assert set(found) == {"accuracy", "next accuracy"}
    assert (int(found["next accuracy"][0].sum()), int(found["next accuracy"][1].sum())) == (
        right, int((batch.answers != -100).sum()))  # fmt: skip
    assert int(found["accuracy"][1].sum()) == int((batch.targets != -100).sum())
