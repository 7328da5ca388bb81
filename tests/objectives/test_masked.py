"""Masked words: the shares, whole words, the same numbers again, and the loss beside one written out."""

import math

import numpy as np
import pytest
import torch

from tests.objectives import corpora
from upwell.errors import DataError, SettingsError
from upwell.model import hub
from upwell.objectives import _spelling, masked
from upwell.objectives._masking import SLACK
from upwell.text import Document

CONTEXT = 64


@pytest.fixture(scope="module")
def tokenizer():
    return corpora.wordpiece()


@pytest.fixture(scope="module")
def part(tokenizer, tmp_path_factory):
    return corpora.part(tmp_path_factory.mktemp("masked") / "s", tokenizer, corpora.texts(), CONTEXT)


def sampler(part, seed=1, **settings):
    return masked.samples(part, 8, seed, masked.Settings(**settings))


def restored(batch):
    """What stood in a batch before it was masked."""
    ids = batch.ids.clone()
    rows = torch.arange(len(ids))[:, None].expand_as(batch.places)
    asked = batch.targets != -100
    ids[rows[asked], batch.places[asked]] = batch.targets[asked]
    return ids


def within(share: float, wanted: float, count: int) -> bool:
    """Whether a share lies within five standard deviations of a binomial."""
    return abs(share - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / count)


@pytest.mark.parametrize("whole_words", [True, False])
def test_the_loss_is_the_one_written_out(part, whole_words):
    model = corpora.bert(part.tokenizer.vocab_size, CONTEXT)
    batch = sampler(part, whole_words=whole_words).batch(0, 4)
    settings = masked.Settings()
    x = model.encode(batch.ids, documents=batch.documents)
    logits = model.top.norm(torch.nn.functional.gelu(model.top.dense(x))) @ model.embed.weight.T + model.head_bias
    logp = logits - logits.exp().sum(-1, keepdim=True).log()
    asked = [(row, place, target) for row in range(4) for place, target in
             zip(batch.places[row].tolist(), batch.targets[row].tolist(), strict=True)]  # fmt: skip
    want = -sum(logp[row, place, target] for row, place, target in asked if target != -100)
    found = masked.loss(model, batch, settings)
    assert found.shape == (1,) and found.item() == pytest.approx(want.item(), rel=1e-12)
    assert masked.counts(batch, settings) == (int((batch.targets >= 0).sum()),)


def test_gradients_reach_every_weight_but_none_is_asked_for_unmasked_places(part):
    model = corpora.bert(part.tokenizer.vocab_size, CONTEXT)
    masked.loss(model, sampler(part).batch(0, 4), masked.Settings()).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("whole_words", [True, False])
def test_fifteen_in_a_hundred_are_asked_for(part, whole_words):
    asked = able = 0
    made = sampler(part, whole_words=whole_words)
    for first in range(0, 2000, 100):
        batch = made.batch(first, 100)
        asked += int((batch.targets != -100).sum())
        able += int((~torch.from_numpy(made.spelling.special)[restored(batch)]).sum())
    assert able > 50_000 and within(asked / able, 0.15, able)


def test_eighty_are_hidden_ten_replaced_ten_kept(part):
    made, shares = sampler(part), []
    for first in range(0, 3000, 100):
        batch = made.batch(first, 100)
        asked = batch.targets != -100
        now, true = batch.ids.gather(1, batch.places)[asked], batch.targets[asked]
        hidden, kept = now == made.masker.mask, now == true
        shares.append([hidden.sum(), (~hidden & ~kept).sum(), kept.sum(), len(now)])
        assert not torch.from_numpy(made.spelling.special)[now[~hidden]].any()
    hidden, other, kept, count = np.array(shares).sum(0).tolist()
    same = 0.1 / len(made.spelling.plain)  # another token by chance the same
    assert within(hidden / count, 0.8, count)
    assert within(other / count, 0.1 - same, count) and within(kept / count, 0.1 + same, count)


def test_other_shares_can_be_asked_for(part):
    made = sampler(part, rate=0.4, mask=0.0, random=1.0, whole_words=False)
    batch = made.batch(0, 500)
    asked = batch.targets != -100
    assert not (batch.ids == made.masker.mask).any()
    able = int((~torch.from_numpy(made.spelling.special)[restored(batch)]).sum())
    assert within(int(asked.sum()) / able, 0.4, able)


def test_special_tokens_are_never_masked(part):
    made = sampler(part)
    for batch in (made.batch(0, 300), *made.whole(16)):
        assert not torch.from_numpy(made.spelling.special)[batch.targets[batch.targets != -100]].any()


def test_words_are_masked_whole_or_not_at_all(part, tokenizer):
    made = sampler(part)
    pieces = {id for token, id in tokenizer.inner.get_vocab().items() if token.startswith("##")}
    batch, halves, several, cls = made.batch(0, 300), 0, 0, tokenizer.special["[CLS]"]
    true = restored(batch)
    for row in range(300):
        asked = set(batch.places[row][batch.targets[row] != -100].tolist())
        words: list[list[int]] = []
        for place, id in enumerate(true[row].tolist()):
            if id in pieces and true[row][place - 1] != cls:  # a row may begin within a word
                words[-1].append(place)
            else:
                words.append([place])
        halves += sum(0 < len(asked & set(word)) < len(word) for word in words)
        several += sum(len(word) > 1 and set(word) <= asked for word in words)
    assert halves == 0 and several > 100


def test_without_whole_words_pieces_are_masked_alone(part, tokenizer):
    batch = sampler(part, whole_words=False).batch(0, 50)
    true = restored(batch)
    pieces = torch.tensor([id for token, id in tokenizer.inner.get_vocab().items() if token.startswith("##")])
    follows = torch.isin(true, pieces)
    asked = torch.zeros_like(follows).scatter_(1, batch.places, batch.targets != -100)
    assert (follows[:, 1:] & (asked[:, 1:] != asked[:, :-1])).any()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_chinese_words_are_whole_as_the_segmenter_cuts_them(kind, tmp_path):
    rjieba = pytest.importorskip("rjieba")
    tokenizer = corpora.wordpiece() if kind == "wordpiece" else corpora.bpe(("<mask>",))
    texts = [text for text in corpora.texts() if "。" in text]
    made = sampler(corpora.part(tmp_path / "s", tokenizer, texts, 512, cache=tmp_path / "c"), chinese=True)
    assert [path.name.split("-")[0] for path in (tmp_path / "c").iterdir()] == ["words"]
    whole = 0
    for number in range(20):
        batch = made.samples(np.array([number]))
        true, asked = restored(batch)[0], torch.zeros(512, dtype=torch.bool)
        asked[batch.places[batch.targets != -100]] = True
        for document in range(int(batch.documents.max())):
            own = (batch.documents[0] == document).nonzero().flatten().tolist()
            marks = [(character, bool(asked[place])) for place in own for character in
                     tokenizer.bytes_of(int(true[place])).decode("utf-8", "replace").strip()]  # fmt: skip
            text, at = "".join(character for character, _ in marks), 0
            if "\ufffd" in text:
                continue
            for word in rjieba.cut(text):
                states = {state for _, state in marks[at : at + len(word)]}
                assert len(states) == 1, (word, text)
                whole += len(word) > 1 and states == {True}
                at += len(word)
    assert whole > 20


def test_the_words_of_bytes_and_spaces_begin_where_a_space_or_a_sign_does():
    tokenizer = corpora.bpe()
    ids = np.array(tokenizer.encode("The unforgettable river, 12345 birds! 你好"))
    spelling = _spelling.Spelling(tokenizer)
    words, joins = [], spelling.joins(ids)
    for id, joined in zip(ids.tolist(), joins.tolist(), strict=True):
        piece = tokenizer.bytes_of(id)
        words.append(words.pop() + piece if joined else piece)
    assert [word.decode() for word in words] == ["The", " unforgettable", " river", ",", " 12345", " birds", "!", " ",
                                                 "你", "好"]  # fmt: skip


def test_a_sample_is_a_function_of_seed_and_number(part):
    corpora.pure(lambda seed: sampler(part, seed))


def test_whole_visits_every_token_once_and_is_always_the_same(part):
    made = sampler(part)
    ids = torch.cat([restored(batch)[batch.documents >= 0].flatten() for batch in made.whole(7)])
    plain = ids[~torch.from_numpy(made.spelling.special)[ids]]
    everything = torch.from_numpy(part.store.read(0, len(part.store)).astype(np.int64))
    everything = everything[~torch.from_numpy(made.spelling.special)[everything]]
    assert torch.equal(plain.sort().values, everything.sort().values)
    for a, b in zip(made.whole(7), sampler(part, seed=9).whole(7), strict=True):
        assert corpora.same(a, b)
    one, other = ([torch.cat([batch[2] for batch in made.whole(size)]) for size in (5, 16)])
    assert torch.equal(one, other)


def test_texts_stand_in_frames_each_a_document_of_its_own(part, tokenizer):
    batch = sampler(part).batch(0, 20)
    cls, sep = tokenizer.special["[CLS]"], tokenizer.special["[SEP]"]
    true = restored(batch)
    assert int(batch.real.sum()) == int((true != tokenizer.special["[PAD]"]).sum())
    for row in range(20):
        for document in range(int(batch.documents[row].max()) + 1):
            own = true[row][batch.documents[row] == document]
            assert (own == tokenizer.special["[PAD]"]).all() or own[0] == cls and own[-1] == sep


def test_rows_are_full(part):
    made = sampler(part)
    share = sum(masked.tokens(batch) for batch in made.whole(16)) / (made.samples_per_epoch * CONTEXT)
    assert share > 0.97


def test_a_tokenizer_without_frames_begins_texts_with_its_end_token(tmp_path):
    tokenizer = corpora.bpe(("<mask>",))
    batch = sampler(corpora.part(tmp_path / "s", tokenizer, corpora.texts(50), 64)).batch(0, 8)
    first = torch.cat([torch.ones(8, 1, dtype=torch.bool), batch.documents[:, 1:] != batch.documents[:, :-1]], 1)
    assert (restored(batch)[first] == tokenizer.end).all()


def test_a_vocabulary_without_a_mask_is_refused(tmp_path):
    tokenizer = corpora.bpe(())
    part = corpora.part(tmp_path / "s", tokenizer, corpora.texts(50), 64)
    with pytest.raises(DataError, match="^The vocabulary has no mask token; expected"):
        sampler(part)
    with pytest.raises(DataError, match="^The vocabulary has no mask token; expected"):
        masked.fitted(corpora.bert(tokenizer.vocab_size, 64).config, part, masked.Settings())


def test_texts_longer_than_the_positions_are_refused(part):
    with pytest.raises(SettingsError, match="found texts of 64 tokens, but this bert model has positions for 32"):
        masked.fitted(corpora.bert(part.tokenizer.vocab_size, 32).config, part, masked.Settings())


def test_a_model_of_another_shape_or_a_smaller_vocabulary_is_refused(part):
    gpt2 = {"model_type": "gpt2", "vocab_size": 300, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}
    with pytest.raises(SettingsError, match="masked wants a model of the shape encoder; this gpt2 model has the shape"):
        masked.fitted(hub.config_of(gpt2), part, masked.Settings())
    with pytest.raises(DataError, match="the tokenizer has .* tokens and the model 50; prepare the text"):
        masked.fitted(corpora.bert(50, 64).config, part, masked.Settings())


@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification", "BertForPreTraining"])
def test_a_model_with_another_head_gets_the_one_for_masked_words(part, kind):
    config = corpora.bert(part.tokenizer.vocab_size, 64, kind).config
    wanted = corpora.bert(part.tokenizer.vocab_size, 64).config
    assert masked.fitted(config, part, masked.Settings()) == wanted


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.5}, {"mask": 0.9, "random": 0.2}])
def test_shares_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        masked.Settings(**wrong)


def test_a_segmenter_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rjieba", None)
    with pytest.raises(SettingsError, match="rjieba, which is not installed: pip install"):
        _spelling.segmenter()


def test_a_row_has_no_more_places_than_its_share_and_a_little(part):
    assert sampler(part).masker.places == math.ceil(0.15 * (CONTEXT - 2)) + SLACK


def test_examples_show_the_masks(tokenizer):
    (found,) = masked.examples([Document(corpora.texts(1)[0] * 5, "a:1")], tokenizer, None, masked.Settings())
    assert found.source == "a:1" and 0 < sum(found.learnt) < len(found.ids) / 4
    assert tokenizer.special["[MASK]"] in found.ids


def test_the_accuracy_is_that_of_counting_in_any_pieces(part, monkeypatch):
    from upwell.objectives import _entropy

    model, batch = corpora.bert(part.tokenizer.vocab_size, CONTEXT), sampler(part).batch(0, 4)
    said = model(batch.ids, documents=batch.documents).argmax(-1)
    asked = batch.targets != -100
    batch.targets[:, ::2] = torch.where(asked, said.gather(1, batch.places), -100)[:, ::2]  # some are right
    right = ((said.gather(1, batch.places) == batch.targets) & asked).sum(1)
    monkeypatch.setattr(_entropy, "PIECE", 3 * part.tokenizer.vocab_size)
    found = masked.scored(model, batch, part, masked.Settings())
    assert list(found) == ["accuracy"] and 0 < right.sum() < asked.sum()
    assert torch.equal(found["accuracy"][0], right) and torch.equal(found["accuracy"][1], asked.sum(1))
