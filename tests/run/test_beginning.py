"""What a model takes over from a folder with another head: what Hugging Face's files call by one name, no labels."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import transformers

from tests.verbs import folders
from upwell import cli
from upwell.model import hub, preset, quantize
from upwell.model.sizes import Sizes
from upwell.objectives import _heads
from upwell.run import beginning

LABELS = ("no", "yes")


def config_of(ending, labels=(), problem=None, family="bert"):
    """A small model of the class that ends so."""
    config = _heads.of_class(preset.config(Sizes(family, 32, 2, 2), 100, 16, 0), ending)
    return config.with_(head=replace(config.head, labels=labels, problem=problem)) if labels else config


def job(old, new, folder="base"):
    """A run from a model of one config to one of another."""
    model = preset.create(old, 1)
    return SimpleNamespace(base=hub.Checkpoint(model, None, old, folder), config=new)


def begun(job):
    return dict(preset.renewed(job.config, beginning.taken(job), 2).named_parameters())


def test_labels_after_masked_words_begin_with_nothing_of_the_words_head():
    one = job(config_of("ForMaskedLM"), config_of("ForSequenceClassification", LABELS))
    old, new = dict(one.base.model.named_parameters()), begun(one)
    assert not torch.equal(new["top.dense.weight"], old["top.dense.weight"])
    assert all(torch.equal(new[name], old[name]) for name in old if name.startswith(("embed.", "encoder.")))
    assert beginning.said(one) == ("New in the model, drawn from the seed: head, top.dense. Of base not taken over: "
                                   "head_bias, top.dense, top.norm.")  # fmt: skip


def test_labels_after_berts_two_heads_keep_its_pooler_as_transformers_does(tmp_path):
    old = config_of("ForPreTraining")
    one = job(old, config_of("ForSequenceClassification", LABELS))
    hub.save(one.base, tmp_path)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(begun(one)["top.dense.weight"], theirs.bert.pooler.dense.weight)
    assert beginning.said(one).startswith("New in the model, drawn from the seed: head. Of base not taken over: ")


def test_a_bare_bert_gives_its_pooler_too():
    one = job(config_of("Model"), config_of("ForSequenceClassification", LABELS))
    assert torch.equal(begun(one)["top.dense.weight"], one.base.model.pooler.dense.weight)
    assert beginning.said(one) == "New in the model, drawn from the seed: head."


def test_words_after_words_keep_their_head():
    one = job(config_of("ForMaskedLM"), config_of("ForPreTraining"))
    old, new = dict(one.base.model.named_parameters()), begun(one)
    assert all(torch.equal(new[name], old[name]) for name in old)
    assert beginning.said(one) == "New in the model, drawn from the seed: pair, pooler.dense."


def test_other_labels_have_a_new_head_and_the_same_ones_keep_it():
    old = config_of("ForSequenceClassification", LABELS)
    other = job(old, config_of("ForSequenceClassification", ("bad", "good")))
    assert not torch.equal(begun(other)["head.weight"], other.base.model.head.weight)
    assert beginning.said(other).endswith("drawn from the seed: head. Of base not taken over: head.")
    same = job(old, config_of("ForSequenceClassification", LABELS, "single_label_classification"))
    assert torch.equal(begun(same)["head.weight"], same.base.model.head.weight) and beginning.said(same) == ""
    problem = job(same.config, config_of("ForSequenceClassification", LABELS, "multi_label_classification"))
    assert not torch.equal(begun(problem)["head.weight"], problem.base.model.head.weight)


def test_tags_and_answers_share_no_head_though_both_have_two_outputs():
    one = job(config_of("ForTokenClassification", LABELS), config_of("ForQuestionAnswering"))
    assert one.base.model.head.weight.shape == begun(one)["head.weight"].shape
    assert not torch.equal(begun(one)["head.weight"], one.base.model.head.weight)


@pytest.mark.parametrize("ending", ["ForMaskedLM", "ForPreTraining"])
def test_words_after_labels_begin_with_nothing_of_the_labels(ending):
    one = job(config_of("ForSequenceClassification", LABELS), config_of(ending))
    new = begun(one)
    assert not torch.equal(new["top.dense.weight"], one.base.model.top.dense.weight)
    assert not new["head_bias"].any() and "head" in beginning.said(one)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_decoders_output_matrix_is_told_to_go(family):
    old = preset.config(Sizes(family, 32, 2, 2), 100, 16, 0)
    one = job(old, config_of("ForSequenceClassification", LABELS, family=family))
    kept, made = dict(one.base.model.named_parameters()), begun(one)
    assert all(torch.equal(made[name], kept[name]) for name in kept if name != "head.weight")
    assert "drawn from the seed: head." in beginning.said(one)
    assert old.tied or beginning.said(one).endswith("not taken over: head.")


def test_a_new_model_says_nothing():
    assert beginning.said(SimpleNamespace(base=None)) == ""


def test_a_folder_of_rounded_matrices_learns_from_their_numbers(tmp_path, capsys):
    tokenizer = folders.bpe()
    model = preset.create(preset.config(Sizes("llama", 64, 1, 2), tokenizer.vocab_size, 32, tokenizer.end), 1)
    rounded = quantize.quantize(model, quantize.Scheme(8))
    hub.save(hub.Checkpoint(rounded, tokenizer, rounded.config), tmp_path / "int8")
    data = folders.folder(tmp_path / "data", folders.plain, tokenizer)
    assert cli.main(["pretrain", str(data), "--from", str(tmp_path / "int8"), "--out", str(tmp_path / "out"),
                     *folders.TINY, "--training.steps", "1", "--evaluations", "0"]) == 0  # fmt: skip
    said = capsys.readouterr().err
    assert "has rounded matrices; they learn from those numbers in float32" in said and "New in" not in said
    before, after = (dict(one.named_parameters()) for one in (model, hub.load(tmp_path / "out").model))
    for name in before:  # one step of a warm-up is far smaller than a weight
        assert (before[name] - after[name]).abs().max() < 0.1 * before[name].abs().max(), name
