"""Labels: the losses are transformers', no split of a batch changes them, and labels that do not fit are refused."""

import pytest
import torch
import transformers as hf
from torch.nn import functional as F

from tests.objectives import given
from upwell.errors import DataError, SettingsError
from upwell.model import hub
from upwell.objectives import label

ONE = [{"text": "A fine day by the river.", "label": "good"}, {"text": "A bad night.", "label": "bad"},
       {"text": "今天天气很好。", "label": "good"}, {"text": "海很宽。The sea is wide.", "label": "so-so"},
       {"text": "bad", "label": "bad"}]  # fmt: skip
SEVERAL = [{"text": "The river flows to the sea.", "labels": ["water", "land"]},
           {"text": "海很宽。", "labels": ["water"]}, {"text": "A fine day.", "labels": []}]  # fmt: skip
NUMBER = [{"text": "The sea is wide.", "label": 0.5}, {"text": "北京很大", "label": 3},
          {"text": "a day", "label": -1.25}]  # fmt: skip
TWO = [{"premise": "The river flows to the sea.", "hypothesis": "It is a day.", "label": "no"},
       {"text": "海在哪里？", "text_pair": "海在西边。", "label": "yes"},
       {"sentence1": "A fine day.", "sentence2": "A fine day by the river.", "label": "yes"}]  # fmt: skip
USUAL = label.Settings()


@pytest.fixture(scope="module")
def tokenizer():
    return given.wordpiece()


@pytest.fixture(scope="module")
def letters():
    return given.bytes_with_chat()


def ready(folder, records, tokenizer, config, settings=USUAL, **more):
    part = given.part(folder, records, tokenizer, **more)
    part = part._replace(config=label.fitted(config, part, settings))
    return part, given.model(part.config), label.samples(part, 2, 0, settings)


@pytest.mark.parametrize(("records", "problem"), [(ONE, "single_label_classification"),
                                                  (SEVERAL, "multi_label_classification"), (NUMBER, "regression"),
                                                  (TWO, "single_label_classification")])
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_the_loss_is_that_of_transformers(records, problem, shape, tokenizer, letters, tmp_path):
    encodes = shape == "encoder"
    tokens = tokenizer if encodes else letters
    config = (given.encoder if encodes else given.decoder)(tokens.vocab_size)
    part, model, sampler = ready(tmp_path / "s", records, tokens, config)
    assert part.config.head.problem == problem
    hub.save(hub.Checkpoint(model, tokens, model.config), tmp_path / "m")
    peer = hf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "m", dtype=torch.float64).eval()
    assert peer.config.problem_type == problem and list(peer.config.id2label.values()) == list(part.config.head.labels)
    for batch in sampler.whole(1):  # rows without padding: transformers looks for it by an id of its own
        real = batch.mask
        ids = batch.ids[real][None]
        labels = batch.labels.to(torch.float64) if batch.labels.is_floating_point() else batch.labels
        types = {} if batch.types is None else {"token_type_ids": batch.types[real][None]}
        theirs = peer(input_ids=ids, labels=labels, **types)
        ours = label.loss(model, batch, label.Settings()) / label.counts(batch, label.Settings())[0]
        assert abs(ours.item() - theirs.loss.item()) < 1e-10


def test_the_loss_of_one_label_is_the_hand_calculation_with_smoothing(tokenizer, tmp_path):
    settings = label.Settings(smoothing=0.2)
    _, model, sampler = ready(tmp_path / "s", ONE, tokenizer, given.encoder(tokenizer.vocab_size), settings)
    (batch,) = sampler.whole(8)
    shares = F.softmax(label.judged(model, batch), -1)
    wanted = torch.full_like(shares, 0.2 / 3).scatter_add(1, batch.labels[:, None], torch.full((5, 1), 0.8).double())
    assert torch.allclose(label.loss(model, batch, settings)[0], -(wanted * shares.log()).sum(), atol=1e-12)
    assert label.counts(batch, settings) == (5,)


@pytest.mark.parametrize("records", [ONE, SEVERAL, NUMBER, TWO])
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_neither_micro_batches_nor_padding_change_loss_and_gradient(records, shape, tokenizer, letters, tmp_path):
    tokens = tokenizer if shape == "encoder" else letters
    config = (given.encoder if shape == "encoder" else given.decoder)(tokens.vocab_size)
    _, model, sampler = ready(tmp_path / "s", records, tokens, config)
    (batch,) = sampler.whole(8)
    whole = given.learnt(label, model, [batch], label.Settings())
    given.same(whole, given.learnt(label, model, given.cut(batch, 1, 2), label.Settings()))
    given.without_padding(label, model, sampler, label.Settings())


def test_names_of_labels_go_into_the_folder_in_their_order(tokenizer, tmp_path):
    config = given.encoder(tokenizer.vocab_size)
    part = given.part(tmp_path / "a", [{"text": "a", "label": n} for n in (10, 2, 1)], tokenizer)
    assert label.fitted(config, part, label.Settings()).head.labels == ("1", "2", "10")
    part = given.part(tmp_path / "b", [{"text": "a", "label": n} for n in (True, False)], tokenizer)
    assert label.fitted(config, part, label.Settings()).head.labels == ("false", "true")


def test_a_model_that_knows_the_labels_keeps_its_head(tokenizer, tmp_path):
    part = given.part(tmp_path / "a", ONE, tokenizer)
    config = label.fitted(given.encoder(tokenizer.vocab_size), part, label.Settings())
    fewer = given.part(tmp_path / "b", ONE[:2], tokenizer)
    assert label.fitted(config, fewer, label.Settings()).head.labels == ("bad", "good", "so-so")
    other = given.part(tmp_path / "c", [{"text": "a", "label": x} for x in "xy"], tokenizer)
    assert label.fitted(config, other, label.Settings()).head.labels == ("x", "y")


def test_every_sample_is_a_function_of_seed_and_number_and_whole_gives_each_text_once(tokenizer, tmp_path):
    part, _, sampler = ready(tmp_path / "s", ONE, tokenizer, given.encoder(tokenizer.vocab_size))
    again = label.samples(part, 2, 0, label.Settings())
    assert all(torch.equal(a, b) for a, b in zip(sampler.batch(6, 2)[:3], again.batch(6, 2)[:3], strict=True))
    assert sampler.samples_per_epoch == 6
    labels = torch.cat([batch.labels for batch in sampler.whole(2)])
    assert [part.config.head.labels[one] for one in labels] == [one["label"] for one in ONE]


def test_arrays_are_kept_and_made_anew_when_the_data_change(tokenizer, tmp_path):
    cache = tmp_path / "cache"
    first = ready(tmp_path / "a", ONE, tokenizer, given.encoder(tokenizer.vocab_size), cache=cache)[2]
    again = ready(tmp_path / "a", ONE, tokenizer, given.encoder(tokenizer.vocab_size), cache=cache)[2]
    assert len(list(cache.iterdir())) == 1
    assert all(torch.equal(a, b) for a, b in zip(first.batch(0, 2)[:3], again.batch(0, 2)[:3], strict=True))
    changed = [*ONE[:-1], {"text": "bad", "label": "good"}]
    ready(tmp_path / "a", changed, tokenizer, given.encoder(tokenizer.vocab_size), cache=cache)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(("records", "settings", "told"), [
    ([*ONE, {"text": "a", "label": ["x"]}], label.Settings(),
     "^a.jsonl:6: found the label .'x'. .a list of labels., expected one as that of a.jsonl:1"),
    (ONE[:1], label.Settings(), "^a.jsonl:1: found the label good alone, expected two or more"),
    (ONE, label.Settings(problem="number"), "^a.jsonl:1: found the label 'good', expected a number"),
    (SEVERAL, label.Settings(problem="one"), "^a.jsonl:1: found 2 labels, expected one; take --learn.problem several"),
    ([{"text": "a", "label": "0.5"}, {"text": "b", "label": "nan"}], label.Settings(problem="number"),
     "^a.jsonl:2: found the label 'nan', expected a number"),
    ([{"text": "a", "label": [0.5, 0.25]}, {"text": "b", "label": 0.5}], label.Settings(),
     "^a.jsonl:1: found 1 to 2 numbers a text"),
    ([*ONE, {"text": "plain"}], label.Settings(), "^a.jsonl:6: found plain text, expected a text with a label"),
    ([], label.Settings(), "s holds no example; expected a text with a label or more"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_one_sentence_with_the_place(records, settings, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer, given.encoder(tokenizer.vocab_size), settings)


def test_a_held_out_label_that_was_not_learnt_is_refused(tokenizer, tmp_path):
    part, _, _ = ready(tmp_path / "s", ONE, tokenizer, given.encoder(tokenizer.vocab_size))
    held = given.part(tmp_path / "h", [{"text": "a", "label": "odd"}], tokenizer, name="heldout.jsonl")
    with pytest.raises(DataError, match="^heldout.jsonl:1: found the label 'odd', expected one that the model learns: "
                                        "bad, good, so-so"):  # fmt: skip
        label.samples(held._replace(config=part.config), 2, 0, label.Settings())


def test_a_text_longer_than_the_row_is_refused_or_cut_and_counted(tokenizer, tmp_path):
    long = [*ONE, {"text": "a day " * 40, "label": "good"}]
    with pytest.raises(DataError, match="^a.jsonl:6: found 80 tokens, expected at most 46, so many places"):
        ready(tmp_path / "s", long, tokenizer, given.encoder(tokenizer.vocab_size))
    settings = label.Settings(cut=True)
    sampler = ready(tmp_path / "s", long, tokenizer, given.encoder(tokenizer.vocab_size), settings)[2]
    *_, last = sampler.whole(1)
    assert sampler.cut == 1 and last.mask.sum() == 48


def test_two_texts_are_read_as_their_tokenizer_writes_them(tokenizer, tmp_path):
    part, _, sampler = ready(tmp_path / "s", TWO, tokenizer, given.encoder(tokenizer.vocab_size))
    for batch, one in zip(sampler.whole(1), TWO, strict=True):
        first, second = (one[key] for key in list(one)[:2])
        theirs = tokenizer.inner.encode(first, second)
        real = batch.mask[0]
        assert batch.ids[0][real].tolist() == theirs.ids and batch.types[0][real].tolist() == theirs.type_ids
        assert not batch.types[0][~real].any()
    shown = list(label.examples(part.documents(), tokenizer, None, USUAL))
    assert [one.ids for one in shown] == [tokenizer.inner.encode(*list(one.values())[:2]).ids for one in TWO]


def test_of_two_texts_the_second_is_cut_and_a_first_one_that_fills_the_row_is_refused(tokenizer, tmp_path):
    long = [*TWO, {"text": "a day", "text_pair": "a day " * 40, "label": "no"}]
    with pytest.raises(DataError, match="^a.jsonl:4: found 80 tokens, expected at most 43, so many places"):
        ready(tmp_path / "s", long, tokenizer, given.encoder(tokenizer.vocab_size))
    sampler = ready(tmp_path / "s", long, tokenizer, given.encoder(tokenizer.vocab_size), label.Settings(cut=True))[2]
    *_, last = sampler.whole(1)
    assert sampler.cut == 1 and last.mask.sum() == 48 and last.types.sum() == 44
    long = [*TWO, {"text": "a day " * 40, "text_pair": "a day", "label": "no"}]
    with pytest.raises(DataError, match="^a.jsonl:4: found a first text of 80 tokens, which leaves no place"):
        ready(tmp_path / "t", long, tokenizer, given.encoder(tokenizer.vocab_size), label.Settings(cut=True))


def test_rows_longer_than_the_positions_and_other_shapes_are_refused(tokenizer, tmp_path):
    part = given.part(tmp_path / "s", ONE, tokenizer, context=65)
    with pytest.raises(SettingsError, match="positions for 64; set a context of at most 64"):
        label.fitted(given.encoder(tokenizer.vocab_size), part, label.Settings())
    with pytest.raises(SettingsError, match="wants a model of the shape encoder or decoder"):
        label.fitted(given.both(tokenizer.vocab_size), part, label.Settings())
    with pytest.raises(DataError, match="prepare the text with the model's own tokenizer"):
        label.fitted(given.encoder(20), part._replace(context=48), label.Settings())


def test_several_labels_of_a_text_are_marked_and_none_is_no_label(tokenizer, tmp_path):
    part, _, sampler = ready(tmp_path / "s", SEVERAL, tokenizer, given.encoder(tokenizer.vocab_size))
    (batch,) = sampler.whole(3)
    assert part.config.head.labels == ("land", "water")
    assert batch.labels.tolist() == [[1, 1], [0, 1], [0, 0]]
