"""Tags of words: the loss is transformers', words keep their pieces, and tags that do not fit are refused."""

import pytest
import torch
import transformers as hf
from torch.nn import functional as F

from tests.objectives import given
from upwell.errors import DataError
from upwell.model import hub
from upwell.objectives import tag
from upwell.text.examples import document

TAGGED = [{"tokens": ["Anna", "sees", "Bern", "."], "ner_tags": ["B-PER", "O", "B-LOC", "O"]},
          {"tokens": ["北", "京", "很", "大"], "ner_tags": ["B-LOC", "I-LOC", "O", "O"]},
          {"tokens": ["The", "river"], "ner_tags": ["O", "O"]}]  # fmt: skip
USUAL = tag.Settings()


@pytest.fixture(scope="module")
def tokenizer():
    return given.wordpiece()


@pytest.fixture(scope="module")
def letters():
    return given.bytes_with_chat()


def ready(folder, records, tokenizer, config, settings=USUAL, **more):
    part = given.part(folder, records, tokenizer, **more)
    part = part._replace(config=tag.fitted(config, part, settings))
    return part, given.model(part.config), tag.samples(part, 2, 0, settings)


@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_the_loss_is_that_of_transformers(shape, tokenizer, letters, tmp_path):
    tokens = tokenizer if shape == "encoder" else letters
    config = (given.encoder if shape == "encoder" else given.decoder)(tokens.vocab_size)
    part, model, sampler = ready(tmp_path / "s", TAGGED, tokens, config)
    hub.save(hub.Checkpoint(model, tokens, model.config), tmp_path / "m")
    peer = hf.AutoModelForTokenClassification.from_pretrained(tmp_path / "m", dtype=torch.float64).eval()
    assert list(peer.config.id2label.values()) == ["O", "B-LOC", "I-LOC", "B-PER"]
    (batch,) = sampler.whole(8)
    theirs = peer(input_ids=batch.ids, attention_mask=batch.mask.long(), labels=batch.targets)
    ours = (tag.loss(model, batch, USUAL)[0] / tag.counts(batch, USUAL)[0]).item()
    finely = F.cross_entropy(theirs.logits.flatten(0, 1), batch.targets.flatten()).item()
    assert abs(ours - finely) < 1e-10 and abs(ours - theirs.loss.item()) < 1e-6  # theirs goes through float32


def test_the_loss_is_the_hand_calculation_with_smoothing(tokenizer, tmp_path):
    settings = tag.Settings(smoothing=0.1)
    _, model, sampler = ready(tmp_path / "s", TAGGED, tokenizer, given.encoder(tokenizer.vocab_size), settings)
    (batch,) = sampler.whole(8)
    logp = F.log_softmax(model(batch.ids, mask=batch.mask), -1)
    wanted = total = 0
    for row, place in (batch.targets != -100).nonzero().tolist():
        right = logp[row, place, batch.targets[row, place]]
        total += -0.9 * right - 0.1 * logp[row, place].mean()
        wanted += 1
    assert torch.allclose(tag.loss(model, batch, settings)[0], total) and tag.counts(batch, settings) == (wanted,)
    assert wanted == sum(len(one["tokens"]) for one in TAGGED)


@pytest.mark.parametrize("shape", ["encoder", "decoder"])
@pytest.mark.parametrize("every", [False, True])
def test_neither_micro_batches_nor_padding_change_loss_and_gradient(shape, every, tokenizer, letters, tmp_path):
    tokens, settings = tokenizer if shape == "encoder" else letters, tag.Settings(every=every)
    config = (given.encoder if shape == "encoder" else given.decoder)(tokens.vocab_size)
    _, model, sampler = ready(tmp_path / "s", TAGGED, tokens, config, settings)
    (batch,) = sampler.whole(8)
    whole = given.learnt(tag, model, [batch], settings)
    given.same(whole, given.learnt(tag, model, given.cut(batch, 1, 2), settings))
    given.without_padding(tag, model, sampler, settings)


@pytest.mark.parametrize("kind", ["wordpiece", "bytes_with_chat", "unigram"])
def test_the_first_piece_of_a_word_learns_and_pieces_never_belong_to_two_words(kind, tmp_path):
    tokenizer = getattr(given, kind)()
    words = ["Anna", "sees", "北", "京", "海", ","]
    one = document({"tokens": words, "tags": list("ABCDEF")}, "a:1")
    (found,) = tag.examples([one], tokenizer, None, USUAL)
    body = [id for id in found.ids if id not in tokenizer.special.values()]
    firsts = [place for place, yes in enumerate(found.learnt) if yes]
    assert len(firsts) == len(words)
    for word, begin, end in zip(words, firsts, [*firsts[1:], len(found.ids)], strict=True):
        pieces = [id for id in found.ids[begin:end] if id in body]
        assert tokenizer.decode(pieces).strip().replace(" ", "") in (word, word.lower())
    (whole,) = tag.examples([one], tokenizer, None, tag.Settings(every=True))
    assert whole.ids == found.ids and sum(whole.learnt) == len(body)


def test_words_have_the_pieces_that_they_have_in_a_text(letters):
    words = ["The", "river", "flows", "to", "the", "sea"]
    one = document({"tokens": words, "tags": [0] * 6}, "a:1")
    (found,) = tag.examples([one], letters, None, USUAL)
    assert found.ids[1:] == letters.encode("The river flows to the sea")


def test_whole_numbers_are_names_in_their_order(tokenizer, tmp_path):
    records = [{"tokens": ["a", "b", "c"], "tags": [10, 9, 0]}]
    part = given.part(tmp_path / "s", records, tokenizer)
    assert tag.fitted(given.encoder(tokenizer.vocab_size), part, USUAL).head.labels == ("0", "9", "10")


def test_a_held_out_tag_that_was_not_learnt_is_refused(tokenizer, tmp_path):
    part, _, _ = ready(tmp_path / "s", TAGGED, tokenizer, given.encoder(tokenizer.vocab_size))
    held = given.part(tmp_path / "h", [{"tokens": ["a"], "tags": ["B-ORG"]}], tokenizer, name="h.jsonl")
    with pytest.raises(DataError, match="^h.jsonl:1: found the tag 'B-ORG', expected one that the model learns: O, B"):
        tag.samples(held._replace(config=part.config), 2, 0, USUAL)


@pytest.mark.parametrize(("records", "told"), [
    ([*TAGGED, {"text": "a", "label": 1}], "^a.jsonl:4: found a text with a label, expected words with tags"),
    ([], "s holds no example; expected words with tags or more"),
    ([*TAGGED, {"tokens": ["a"] * 60, "tags": ["O"] * 60}], "^a.jsonl:4: found 60 tokens, expected at most 46"),
])  # fmt: skip
def test_what_does_not_fit_is_one_sentence_with_the_place(records, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer, given.encoder(tokenizer.vocab_size))


def test_a_long_text_is_cut_where_that_is_allowed_and_counted(tokenizer, tmp_path):
    long = [*TAGGED, {"tokens": ["a"] * 60, "tags": ["O"] * 60}]
    sampler = ready(tmp_path / "s", long, tokenizer, given.encoder(tokenizer.vocab_size), tag.Settings(cut=True))[2]
    *_, last = sampler.whole(1)
    assert sampler.cut == 1 and (last.targets != -100).sum() == 46
