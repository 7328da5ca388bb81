"""Pairs: the loss is transformers' and its label smoother's, both directions are learnt, and bad pairs are told."""

import pytest
import torch
import transformers as hf
from torch.nn import functional as F
from transformers.trainer_pt_utils import LabelSmoother

from tests.objectives import given
from upwell.errors import DataError, SettingsError
from upwell.model import hub
from upwell.objectives import pairs

PAIRS = [{"en": "The sea is wide.", "zh": "海很宽。"}, {"en": "A fine day.", "zh": "今天天气很好。"},
         {"translation": {"en": "The river flows to the sea.", "zh": "河流入海。"}}]  # fmt: skip
USUAL = pairs.Settings()
BOTH = pairs.Settings(prefix="<2{target}>", both=True)


@pytest.fixture(scope="module")
def tokenizer():
    return given.unigram()


@pytest.fixture(scope="module")
def letters():
    return given.bytes_with_chat()


def ready(folder, records, tokenizer, config, settings=USUAL, **more):
    part = given.part(folder, records, tokenizer, **more)
    part = part._replace(config=pairs.fitted(config, part, settings))
    return part, given.model(part.config), pairs.samples(part, 2, 0, settings)


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_transformers_and_of_its_label_smoother(kind, smoothing, tokenizer, tmp_path):
    settings = pairs.Settings(smoothing=smoothing)
    config = given.both(tokenizer.vocab_size, kind)
    _, model, sampler = ready(tmp_path / "s", PAIRS, tokenizer, config, settings)
    hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path / "m")
    peer = hf.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m", dtype=torch.float64).eval()
    (batch,) = sampler.whole(3)
    theirs = peer(input_ids=batch.source, attention_mask=batch.source_mask.long(), labels=batch.targets)
    wanted = LabelSmoother(smoothing)(theirs, batch.targets) if smoothing else theirs.loss
    close = 1e-5 if kind == "t5" else 1e-6 if smoothing else 1e-10  # T5's norm and the smoother are float32 there
    ours = pairs.loss(model, batch, settings)[0] / pairs.counts(batch, settings)[0]
    assert abs(ours.item() - wanted.item()) < close


@pytest.mark.parametrize("shape", ["t5", "decoder"])
def test_the_loss_is_the_hand_calculation_pair_by_pair(shape, tokenizer, letters, tmp_path):
    tokens = tokenizer if shape == "t5" else letters
    config = given.both(tokens.vocab_size) if shape == "t5" else given.decoder(tokens.vocab_size)
    _, model, sampler = ready(tmp_path / "s", PAIRS, tokens, config)
    total = count = 0
    for one in ({"en": "The sea is wide.", "zh": "海很宽。"}, PAIRS[1], PAIRS[2]["translation"]):
        if shape == "t5":
            target = [*tokens.encode(one["zh"]), 2]
            ids = torch.tensor([[3, *target[:-1]]])
            logits = model(ids, source=torch.tensor([tokens.encode(one["en"])]))[0]
        else:
            source, target = [0, *tokens.encode(one["en"] + "\n")], [*tokens.encode(one["zh"]), 0]
            logits = model(torch.tensor([[*source, *target[:-1]]]))[0, len(source) - 1 :]
        total += F.cross_entropy(logits, torch.tensor(target), reduction="sum")
        count += len(target)
    batches = list(sampler.whole(3))
    assert sum(pairs.counts(one, USUAL)[0] for one in batches) == count
    assert torch.allclose(sum(pairs.loss(model, one, USUAL)[0] for one in batches), total, atol=1e-10)


@pytest.mark.parametrize("shape", ["t5", "bart", "decoder"])
def test_neither_micro_batches_nor_padding_nor_packing_change_loss_and_gradient(shape, tokenizer, letters, tmp_path):
    tokens = letters if shape == "decoder" else tokenizer
    config = given.decoder(tokens.vocab_size) if shape == "decoder" else given.both(tokens.vocab_size, shape)
    settings = pairs.Settings(smoothing=0.1)
    _, model, sampler = ready(tmp_path / "s", PAIRS, tokens, config, settings)
    (batch,) = sampler.whole(8)
    whole = given.learnt(pairs, model, [batch], settings)
    given.same(whole, given.learnt(pairs, model, given.cut(batch, 1), settings))
    given.without_padding(pairs, model, sampler, settings)
    alone = [next(pairs.samples(given.part(tmp_path / f"{n}", [one], tokens)._replace(config=config), 1, 0,
                                settings).whole(1)) for n, one in enumerate(PAIRS)]  # fmt: skip
    given.same(whole, given.learnt(pairs, model, alone, settings))


@pytest.mark.parametrize("shape", ["t5", "decoder"])
def test_both_directions_are_learnt_and_a_special_token_says_which(shape, letters, tmp_path):
    config = given.both(letters.vocab_size, end=0, pad=0) if shape == "t5" else given.decoder(letters.vocab_size)
    part, _, sampler = ready(tmp_path / "s", PAIRS, letters, config, BOTH)
    to = letters.special["<2zh>"], letters.special["<2en>"]
    found = list(pairs.examples(part.documents(), letters, None, BOTH))
    assert len(found) == 6 and [one.part for one in found[:2]] == ["en to zh", "zh to en"]
    assert [one.ids[0] for one in found] == [*to, *to, *to]
    said = {letters.decode(batch.targets[row][batch.targets[row] != -100].tolist())
            for batch in sampler.whole(1) for row in range(1)}  # fmt: skip
    if shape == "t5":
        assert {"海很宽。", "The sea is wide.", "A fine day."} <= said


def test_a_prefix_in_words_is_read_with_the_source(tokenizer, tmp_path):
    settings = pairs.Settings(prefix="translate {source} to {target}: ")
    _, _, sampler = ready(tmp_path / "s", PAIRS[:1], tokenizer, given.both(tokenizer.vocab_size), settings)
    (batch,) = sampler.whole(1)
    assert tokenizer.decode(batch.source[0][batch.source_mask[0]].tolist()) == "translate en to zh: The sea is wide."


def test_a_target_in_the_frame_of_its_tokenizer_is_learnt_as_transformers_does(tmp_path):
    from tokenizers import processors

    from upwell.tokens.tokenizer import Tokenizer

    plain = given.unigram()
    inner = type(plain.inner).from_str(plain.definition)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>",
                                                         special_tokens=[("<s>", 1), ("</s>", 2)])  # fmt: skip
    framed = Tokenizer(inner.to_str(), plain.beside, "</s>")
    _, _, sampler = ready(tmp_path / "s", PAIRS[:1], framed, given.both(framed.vocab_size, "bart"))
    (batch,) = sampler.whole(1)
    words = framed.encode("海很宽。")
    assert batch.targets[0][batch.targets[0] != -100].tolist() == [1, *words, 2]
    assert batch.ids[0, : len(words) + 2].tolist() == [2, 1, *words]
    assert batch.source[0][batch.source_mask[0]].tolist() == [1, *framed.encode("The sea is wide."), 2]


def test_real_tokens_are_those_of_sources_and_targets(tokenizer, letters, tmp_path):
    _, _, sampler = ready(tmp_path / "a", PAIRS, tokenizer, given.both(tokenizer.vocab_size))
    texts = [text for one in PAIRS for text in one.get("translation", one).values()]
    assert sum(map(pairs.tokens, sampler.whole(2))) == sum(map(len, map(tokenizer.encode, texts))) + 3
    _, _, sampler = ready(tmp_path / "b", PAIRS, letters, given.decoder(letters.vocab_size))
    assert sum(map(pairs.tokens, sampler.whole(2))) == sum(len(letters.encode(text)) for text in texts) + 6


@pytest.mark.parametrize(("records", "settings", "told"), [
    ([*PAIRS, {"text": "a", "label": 1}], USUAL, "^a.jsonl:4: found a text with a label, expected a pair of texts"),
    ([], USUAL, "s holds no example; expected a pair of texts or more"),
    ([*PAIRS, {"source": "a", "target": "b"}], BOTH, "^a.jsonl:4: found a pair without languages"),
    ([*PAIRS, {"source": "a", "target": "a " * 100}], USUAL, "^a.jsonl:4: found [0-9]+ tokens, expected at most 48"),
])  # fmt: skip
def test_pairs_that_do_not_fit_are_one_sentence_with_the_place(records, settings, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer, given.both(tokenizer.vocab_size), settings)


def test_long_texts_are_cut_where_that_is_allowed_and_a_source_that_fills_the_row_is_told(tokenizer, letters, tmp_path):
    settings, long = pairs.Settings(cut=True), {"source": "a " * 100, "target": "b"}
    config = given.both(tokenizer.vocab_size)
    assert ready(tmp_path / "s", [*PAIRS, long], tokenizer, config, settings)[2].cut == 1
    with pytest.raises(DataError, match="^a.jsonl:4: found a source of [0-9]+ tokens, which leaves no place for the t"):
        ready(tmp_path / "t", [*PAIRS, long], letters, given.decoder(letters.vocab_size), settings)


def test_settings_and_models_that_cannot_be_are_told(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="expected {target} in it"):
        pairs.Settings(both=True)
    part = given.part(tmp_path / "s", PAIRS, tokenizer)
    with pytest.raises(SettingsError, match="wants a model of the shape encoder-decoder or decoder"):
        pairs.fitted(given.encoder(tokenizer.vocab_size), part, USUAL)
    with pytest.raises(SettingsError, match="does not say with which id its decoder begins"):
        pairs.fitted(given.both(tokenizer.vocab_size).with_(start=None), part, USUAL)
