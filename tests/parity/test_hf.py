"""The usual script's parts beside transformers: losses, steps, rates, evaluations and tokens are the same."""

import numpy as np
import pytest
import torch
import transformers

from tests.objectives import given
from upwell import hf
from upwell.model import hub, preset
from upwell.model.sizes import Sizes

TEXTS = ["The river flows to the sea.", "Anna sees Bern, and the sea is wide.", "A fine day by the river; a bad night.",
         "北京很大，海很宽。"]  # fmt: skip
# Their gradients are 0, and AdamW makes steps of their rounding; of answers a shift of all places says nothing.
NOISE = ("attention.self.key.bias", "c_attn.bias", "layer.1.output.LayerNorm.bias", "qa_outputs.bias")


def folder(path, config, tokenizer):
    """A folder of a model with weights of which every one matters."""
    model = given.model(config, dtype=torch.float32)
    return str(hub.save(hub.Checkpoint(model, tokenizer, config), path))


def encoder(path, head):
    tokenizer = given.wordpiece()
    return folder(path, given.encoder(tokenizer.vocab_size, head), tokenizer)


def decoder(path):
    tokenizer = given.bytes_with_chat()
    sizes = Sizes(family="llama", width=16, layers=2, heads=2)
    return folder(path, preset.config(sizes, tokenizer.vocab_size, 64, tokenizer.end), tokenizer)


def both(path):
    tokenizer = given.unigram()
    return folder(path, given.both(tokenizer.vocab_size), tokenizer)


def padded(tokenizer, **more):
    """TEXTS as rows with padding on the right."""
    found = tokenizer(TEXTS, padding=True, **more)
    return [{name: values[n] for name, values in found.items()} for n in range(len(TEXTS))]


def label_rows(tokenizer):
    return [one | {"labels": n % 2} for n, one in enumerate(padded(tokenizer))]


def several_rows(tokenizer):
    return [one | {"labels": [float(n % 2), 1.0 - n % 2]} for n, one in enumerate(padded(tokenizer))]


def pair_rows(tokenizer):
    found = tokenizer(TEXTS, TEXTS[::-1], padding=True)
    assert any(map(any, found["token_type_ids"]))
    return [{name: values[n] for name, values in found.items()} | {"labels": n % 2} for n in range(len(TEXTS))]


def token_rows(tokenizer):
    return [one | {"labels": [-100 if not real else id % 2 for id, real in zip(one["input_ids"], one["attention_mask"],
                                                                               strict=True)]}
            for one in padded(tokenizer)]  # fmt: skip


def span_rows(tokenizer):
    """Without padding: transformers lets it take a part of the probability."""
    rows = [{name: values[:6] for name, values in one.items()} for one in padded(tokenizer)]
    return [one | {"start_positions": 1 + n % 3, "end_positions": 2 + n % 3} for n, one in enumerate(rows)]


def masked_rows(tokenizer):
    return [one | {"labels": [id if place % 3 == 1 and real else -100
                              for place, (id, real) in enumerate(zip(one["input_ids"], one["attention_mask"],
                                                                     strict=True))]}
            for one in padded(tokenizer)]  # fmt: skip


def next_rows(tokenizer):
    return [one | {"labels": [id if real else -100 for id, real in zip(one["input_ids"], one["attention_mask"],
                                                                       strict=True)]}
            for one in padded(tokenizer)]  # fmt: skip


def seq2seq_rows(tokenizer):
    targets = tokenizer(TEXTS[::-1], padding=True)
    return [one | {"labels": [id if real else -100 for id, real in zip(targets["input_ids"][n],
                                                                       targets["attention_mask"][n], strict=True)]}
            for n, one in enumerate(padded(tokenizer))]  # fmt: skip


def bert(head):
    return lambda path: encoder(path, head)


WORKS = {
    "one label": ("SequenceClassification", bert("BertForSequenceClassification"), label_rows, 0.1),
    "several labels": ("SequenceClassification", bert("BertForSequenceClassification"), several_rows, 0.0),
    "pairs of texts": ("SequenceClassification", bert("BertForSequenceClassification"), pair_rows, 0.0),
    "tokens": ("TokenClassification", bert("BertForTokenClassification"), token_rows, 0.1),
    "answers": ("QuestionAnswering", bert("BertForQuestionAnswering"), span_rows, 0.0),
    "masked words": ("MaskedLM", bert("BertForMaskedLM"), masked_rows, 0.0),
    "next tokens": ("CausalLM", decoder, next_rows, 0.0),
    "a text from a text": ("Seq2SeqLM", both, seq2seq_rows, 0.0),
}  # fmt: skip


def arguments(library, path, **more):
    own = {"precision": "float32", "disable_tqdm": True} if library is hf else {"report_to": [], "disable_tqdm": True}
    return library.TrainingArguments(str(path), per_device_train_batch_size=len(TEXTS), save_strategy="no",
                                     use_cpu=True, **own, **more)  # fmt: skip


def trained(library, kind, place, rows, path, smoothing=0.0):
    """A Trainer after three steps, each of which sees all rows."""
    model = getattr(library, f"AutoModelFor{kind}").from_pretrained(place)
    args = arguments(library, path, num_train_epochs=3, learning_rate=1e-3, weight_decay=0.1, logging_steps=1,
                     label_smoothing_factor=smoothing, warmup_steps=2, lr_scheduler_type="cosine")  # fmt: skip
    trainer = library.Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows)
    return trainer, trainer.train()


@pytest.mark.parametrize("work", WORKS)
def test_three_steps_are_those_of_transformers_trainer(tmp_path, work):
    kind, make, rows_of, smoothing = WORKS[work]
    place = make(tmp_path / "model")
    rows = rows_of(hf.AutoTokenizer.from_pretrained(place))
    (theirs, told), (ours, said) = (trained(library, kind, place, rows, tmp_path / library.__name__, smoothing)
                                    for library in (transformers, hf))  # fmt: skip
    for one, other in zip(theirs.state.log_history[:3], ours.state.log_history[:3], strict=True):
        assert one["step"] == other["step"] and one["epoch"] == other["epoch"]
        assert one["learning_rate"] == pytest.approx(other["learning_rate"], abs=1e-12)
        assert one["loss"] == pytest.approx(other["loss"], abs=2e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
    assert told.global_step == said.global_step == 3
    assert told.training_loss == pytest.approx(said.training_loss, abs=2e-5)
    ours.save_model(tmp_path / "saved")
    opened = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(tmp_path / "saved").state_dict()
    for name, weight in theirs.model.state_dict().items():
        if not name.endswith(NOISE[: None if work == "answers" else 2]):
            assert torch.allclose(weight, opened[name], atol=1e-5), name
    before = hub.load(place).model.embed.weight.detach()
    assert float((before - ours.model.transformer.embed.weight.detach()).abs().max()) > 1e-4


def arrays(found):
    """One array, or several; behind logits transformers also gives what the encoder said."""
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("work", WORKS)
def test_evaluations_and_predictions_are_those_of_transformers_trainer(tmp_path, work):
    kind, make, rows_of, _ = WORKS[work]
    place = make(tmp_path / "model")
    rows = rows_of(hf.AutoTokenizer.from_pretrained(place))
    found = {}
    for library in (transformers, hf):
        model = getattr(library, f"AutoModelFor{kind}").from_pretrained(place)
        trainer = library.Trainer(model=model, args=arguments(library, tmp_path), eval_dataset=rows)
        found[library] = trainer.evaluate(), trainer.predict(rows)
    (theirs, said), (ours, told) = found.values()
    assert theirs["eval_loss"] == pytest.approx(ours["eval_loss"], abs=1e-5)
    assert said.metrics.keys() - {"test_model_preparation_time"} == told.metrics.keys()
    assert theirs.keys() - {"eval_model_preparation_time", "epoch"} == ours.keys() - {"epoch"}
    for one, other in zip(arrays(said.predictions), arrays(told.predictions), strict=False):
        assert one.shape == other.shape
        real = other != -100
        assert real.any() and np.allclose(one[real], other[real], atol=1e-5)
    if work != "next tokens":  # the first label of a row is never asked
        assert np.array_equal(np.array(said.label_ids), np.array(told.label_ids))


@pytest.mark.parametrize("asked", [{}, {"truncation": True, "max_length": 7, "padding": "max_length"},
                                   {"padding": True, "pad_to_multiple_of": 8}, {"add_special_tokens": False},
                                   {"truncation": True, "max_length": 8, "stride": 2, "return_offsets_mapping": True,
                                    "return_overflowing_tokens": True}])  # fmt: skip
@pytest.mark.parametrize("make", [bert("BertForMaskedLM"), decoder, both], ids=["wordpiece", "bytes", "unigram"])
def test_texts_become_the_rows_of_transformers_tokenizer(tmp_path, make, asked):
    place = make(tmp_path / "model")
    theirs, ours = (library.AutoTokenizer.from_pretrained(place) for library in (transformers, hf))
    ours.pad_token = theirs.pad_token = ours.pad_token or theirs.eos_token
    assert dict(theirs(TEXTS, **asked)) == dict(ours(TEXTS, **asked))
    assert dict(theirs(TEXTS[0], **asked)) == dict(ours(TEXTS[0], **asked))
    if "stride" not in asked:
        assert dict(theirs(TEXTS, TEXTS[::-1], **asked)) == dict(ours(TEXTS, TEXTS[::-1], **asked))
    words = [text.split() for text in TEXTS]
    one, other = (each(words, is_split_into_words=True, **asked) for each in (theirs, ours))
    assert dict(one) == dict(other) and one.word_ids(1) == other.word_ids(1)
    ids = ours(TEXTS[1])["input_ids"]
    assert theirs.decode(ids, skip_special_tokens=True) == ours.decode(ids, skip_special_tokens=True)
    assert theirs.model_max_length == ours.model_max_length == 64


def test_the_rates_of_a_run_are_those_of_get_scheduler():
    from upwell.training.schedule import factor

    for name in ("linear", "cosine", "constant", "constant_with_warmup"):
        for warmup in (0, 1, 7):
            args = hf.TrainingArguments("x", lr_scheduler_type=name, warmup_steps=warmup, learning_rate=0.5)
            s = args.settings(20)
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
            scheduler = transformers.get_scheduler(name, optimizer, warmup, 20)
            for step in range(20):
                assert scheduler.get_last_lr()[0] == pytest.approx(0.5 * factor(step, 20, s.schedule), abs=1e-12)
                optimizer.step()
                scheduler.step()


def test_defaults_are_those_of_transformers():
    import dataclasses

    for kind in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        own = {"precision", "warmup_ratio"}
        theirs = {one.name: one.default for one in dataclasses.fields(getattr(transformers, kind))}
        for one in dataclasses.fields(getattr(hf, kind)):
            if one.name not in own:
                assert theirs[one.name] == one.default, one.name
