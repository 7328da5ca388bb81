"""A Trainer: what is due when, checkpoints, going on, datasets of all kinds, what it writes."""

import json
import math

import numpy as np
import pytest
import torch

from tests.hf import made
from upwell import hf
from upwell.cli import main
from upwell.hf import data, tasks

ROWS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return made.small(tmp_path_factory.mktemp("model") / "bert", dropout=0.1)


def rows_of(place, count=ROWS, seed=5):
    examples = made.topics(count, seed)
    found = hf.AutoTokenizer.from_pretrained(place)([one["text"] for one in examples], padding=True)
    return [{name: found[name][n] for name in found} | {"label": one["label"]} for n, one in enumerate(examples)]


def trainer(place, out, rows=None, kind="SequenceClassification", **more):
    hf.set_seed(1)
    model = getattr(hf, f"AutoModelFor{kind}").from_pretrained(place)
    usual = {"per_device_train_batch_size": 4, "precision": "float32", "disable_tqdm": True, "use_cpu": True}
    others = {name: more.pop(name) for name in ("compute_metrics", "callbacks", "data_collator", "processing_class",
                                                "preprocess_logits_for_metrics") if name in more}  # fmt: skip
    args = hf.TrainingArguments(str(out), **usual | more)
    rows = rows_of(place) if rows is None else rows
    return hf.Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows, **others)


def accuracy(prediction):
    said, labels = prediction
    return {"accuracy": (said.argmax(-1) == labels).mean()}


def weights(one):
    return {name: p.detach().clone() for name, p in one.model.transformer.named_parameters()}


def test_a_run_that_goes_on_from_a_checkpoint_is_the_unbroken_one(place, tmp_path):
    whole = trainer(place, tmp_path / "whole", max_steps=8, save_strategy="no", logging_steps=2)
    whole.train()
    part = trainer(place, tmp_path / "part", max_steps=8, save_steps=5, logging_steps=2)
    part.train()
    assert sorted(one.name for one in (tmp_path / "part").iterdir()) == ["checkpoint-5", "checkpoint-8"]
    again = trainer(place, tmp_path / "part", max_steps=8, save_strategy="no", logging_steps=2)
    found = again.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-5"))
    assert found.global_step == 8
    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(again)[name]), name
    lines = [[one["loss"] for one in each.state.log_history if "loss" in one] for each in (whole, again)]
    assert np.allclose(*lines) and len(lines[0]) == 4


def test_the_best_checkpoint_is_taken_and_the_others_go(place, tmp_path):
    values = iter([0.5, 0.9, 0.7, 0.6])
    one = trainer(place, tmp_path, max_steps=8, eval_strategy="steps", eval_steps=2, save_steps=2, save_total_limit=1,
                  load_best_model_at_end=True, metric_for_best_model="good",
                  compute_metrics=lambda prediction: {"good": next(values)})  # fmt: skip
    one.train()
    assert one.state.best_metric == 0.9 and one.state.best_global_step == 4
    assert one.state.best_model_checkpoint == str(tmp_path / "checkpoint-4")
    kept = hf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-4").transformer
    assert all(torch.equal(p, weights(one)[name]) for name, p in kept.named_parameters())
    assert {one.name for one in tmp_path.iterdir()} == {"checkpoint-4", "checkpoint-8"}
    assert json.loads((tmp_path / "checkpoint-8" / "trainer_state.json").read_text())["global_step"] == 8


def test_a_run_that_gets_no_better_stops_early(place, tmp_path):
    one = trainer(place, tmp_path, num_train_epochs=9, eval_strategy="epoch", save_strategy="best",
                  metric_for_best_model="good", compute_metrics=lambda prediction: {"good": 1.0},
                  callbacks=[hf.EarlyStoppingCallback(early_stopping_patience=2)])  # fmt: skip
    assert one.train().global_step == 3 * ROWS // 4
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-6"]


def test_logs_and_evaluations_come_when_they_are_due(place, tmp_path):
    one = trainer(place, tmp_path, num_train_epochs=2, logging_steps=4, eval_strategy="epoch", save_strategy="no",
                  compute_metrics=accuracy, logging_first_step=True)  # fmt: skip
    told = one.train()
    steps = [(entry["step"], "loss" in entry, "eval_accuracy" in entry) for entry in one.state.log_history[:-1]]
    assert steps == [(1, True, False), (4, True, False), (6, False, True), (8, True, False), (12, True, False),
                     (12, False, True)]  # fmt: skip
    assert one.state.log_history[-1]["train_loss"] == told.training_loss == told.metrics["train_loss"]
    assert 0.0 <= one.state.log_history[-2]["eval_accuracy"] <= 1.0


def test_batches_add_up_to_one_step(place, tmp_path):
    one = trainer(place, tmp_path / "a", per_device_train_batch_size=8, max_steps=2, save_strategy="no")
    two = trainer(place, tmp_path / "b", per_device_train_batch_size=2, gradient_accumulation_steps=4, max_steps=2,
                  save_strategy="no")  # fmt: skip
    for each in (one, two):
        for part in (each.model.transformer.encoder, *each.model.transformer.encoder.blocks):
            part.dropout = torch.nn.Identity()
        each.train()
    for name, weight in weights(one).items():
        if not name.endswith("attn.k.bias"):  # its gradient is 0, and AdamW makes steps of its rounding
            assert torch.allclose(weight, weights(two)[name], atol=1e-6), name


class Own(torch.utils.data.Dataset):
    """A dataset of torch, with tensors in it, and columns that no model reads."""

    def __init__(self, rows, left=0):
        self.rows, self.left = rows, left

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        row = dict(self.rows[number])
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            row[name] = torch.tensor([0] * self.left + row[name])
        return row | {"labels": torch.tensor(row.pop("label")), "text": "of no use", "idx": number}


def test_datasets_of_all_kinds_and_padding_on_either_side_are_the_same_rows(place):
    rows = rows_of(place)
    plain = data.Rows.of(rows, tasks.LABELS)
    assert any(0 in row["attention_mask"] for row in rows)
    for other in (Own(rows), Own(rows, left=5)):
        found = data.Rows.of(other, tasks.LABELS)
        assert found.columns.keys() == plain.columns.keys()
        for name, values in found.columns.items():
            assert all(np.array_equal(a, b) for a, b in zip(values, plain.columns[name], strict=True))
    for row, ids in zip(rows, plain.columns["ids"], strict=True):
        assert ids.tolist() == [id for id, real in zip(row["input_ids"], row["attention_mask"], strict=True) if real]


def test_every_row_comes_once_an_epoch_in_an_order_of_the_seed(place):
    rows = data.Rows.of(rows_of(place), tasks.LABELS)
    config = hf.AutoModelForSequenceClassification.from_pretrained(place).transformer.config
    numbered = [np.array([number]) for number in range(ROWS)]
    rows.columns["labels"] = numbered
    seen = []
    for seed in (1, 2):
        sampler = data.Sampler(rows, tasks.LABELS, config, 4, seed)
        assert sampler.samples_per_epoch == ROWS
        steps = [sampler.samples(np.arange(4 * n, 4 * n + 4)).labels.tolist() for n in range(ROWS // 4)]
        assert sorted(sum(steps, [])) == list(range(ROWS))
        seen.append(steps)
    assert seen[0] != seen[1]


def test_masked_words_are_new_for_each_batch_and_the_same_again(place, tmp_path):
    tokenizer = hf.AutoTokenizer.from_pretrained(place)
    collator = hf.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5)
    rows = [{name: value for name, value in one.items() if name != "label"} for one in rows_of(place)]
    one = trainer(place, tmp_path, rows, "MaskedLM", data_collator=collator, max_steps=3, save_strategy="no",
                  learning_rate=1e-2, logging_steps=1)  # fmt: skip
    found = data.Rows.of(rows, tasks.MASKED, collator)
    sampler = data.Sampler(found, tasks.MASKED, one.config, 4, 1, collator)
    first, again, later = (sampler.samples(np.arange(n, n + 4)) for n in (0, 0, ROWS))
    assert torch.equal(first.ids, again.ids) and torch.equal(first.targets, again.targets)
    asked = first.targets != -100
    assert 0.3 < asked.sum() / first.mask.sum() < 0.7 and not torch.isin(
        first.targets[asked], torch.tensor(tokenizer.all_special_ids)).any()  # fmt: skip
    assert (first.ids[asked] == tokenizer.mask_token_id).float().mean() > 0.5
    assert first.targets.shape != later.targets.shape or not torch.equal(first.targets, later.targets)
    before = one.evaluate()["eval_loss"]
    one.train()
    assert one.evaluate()["eval_loss"] < before


def test_what_a_model_writes_is_what_is_measured(tmp_path):
    place = made.small(tmp_path / "t5", "t5")
    tokenizer = hf.AutoTokenizer.from_pretrained(place)
    found = tokenizer(["the river", "old mills wait"], text_target=["runs", "at dawn"])
    rows = [{name: found[name][n] for name in found} for n in range(2)]
    assert [tokenizer.decode(row["labels"], skip_special_tokens=True) for row in rows] == ["runs", "at dawn"]
    seen = []
    for beams in (1, 2):
        model = hf.AutoModelForSeq2SeqLM.from_pretrained(place)
        args = hf.Seq2SeqTrainingArguments(str(tmp_path / "out"), predict_with_generate=True, disable_tqdm=True,
                                           generation_max_length=5, generation_num_beams=beams, precision="float32")
        one = hf.Seq2SeqTrainer(model=model, args=args, eval_dataset=rows,
                                compute_metrics=lambda p: seen.append(p) or {"texts": len(p.predictions)})  # fmt: skip
        assert one.evaluate()["eval_texts"] == 2
    import transformers

    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(place)
    for row, said in zip(rows, seen[0].predictions, strict=True):
        wanted = theirs.generate(torch.tensor([row["input_ids"]]), max_new_tokens=5, do_sample=False)[0].tolist()
        assert said.tolist()[: len(wanted)] == wanted
    assert [one[one != -100].tolist() for one in seen[0].label_ids] == [row["labels"] for row in rows]


def test_metrics_of_fewer_numbers_and_of_several_datasets(place, tmp_path):
    one = trainer(place, tmp_path, compute_metrics=lambda p: {"share": float((p.predictions == p.label_ids).mean())},
                  preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1))  # fmt: skip
    said = one.predict(one.eval_dataset)
    assert said.predictions.shape == (ROWS,)
    assert said.metrics["test_share"] == (said.predictions == said.label_ids).mean()
    told = one.evaluate({"a": one.eval_dataset, "b": one.eval_dataset[:3]})
    assert {"eval_a_loss", "eval_b_loss", "eval_a_share"} <= told.keys()
    bare = [{name: value for name, value in row.items() if name != "label"} for row in one.eval_dataset]
    again = one.predict(bare)
    assert again.label_ids is None and np.array_equal(again.predictions, said.predictions)
    assert not any("loss" in name for name in again.metrics)


def test_the_folder_is_whole_with_names_of_labels_and_its_hashes(place, tmp_path):
    tokenizer = hf.AutoTokenizer.from_pretrained(place)
    model = hf.AutoModelForSequenceClassification.from_pretrained(place, id2label={0: "bad", 1: "good"})
    args = hf.TrainingArguments(str(tmp_path / "out"), max_steps=1, precision="float32", disable_tqdm=True,
                                save_strategy="no")  # fmt: skip
    one = hf.Trainer(model=model, args=args, train_dataset=rows_of(place), processing_class=tokenizer)
    one.train()
    one.save_model()
    tokenizer.pad_token = "[SEP]"
    tokenizer.save_pretrained(tmp_path / "out")
    assert main(["doctor", str(tmp_path / "out")]) == 0
    again = hf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert again.config.id2label == {0: "bad", 1: "good"} and again.config.num_labels == 2
    other = hf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", id2label={0: "x", 1: "y"})
    rows = hf.AutoTokenizer.from_pretrained(tmp_path / "out")(["a river", "mills"], padding=True, return_tensors="pt")
    assert torch.equal(again(**rows).logits, other(**rows).logits) and other.config.id2label == {0: "x", 1: "y"}
    one.save_state()
    one.save_metrics("train", {"train_loss": 1.0})
    assert json.loads((tmp_path / "out" / "train_results.json").read_text()) == {"train_loss": 1.0}


def test_frozen_parts_stay(place, tmp_path):
    one = trainer(place, tmp_path, max_steps=2, save_strategy="no", learning_rate=1e-2)
    for p in one.model.base_model.parameters():
        p.requires_grad = False
    before = weights(one)
    one.train()
    moved = {name for name, weight in weights(one).items() if not torch.equal(weight, before[name])}
    assert moved and all(name.startswith(("head", "top")) for name in moved)
    assert math.isclose(one.model.num_parameters(only_trainable=True), 16 * 16 + 16 + 2 * 16 + 2)
