"""What upwell.hf does not know is refused by name, in one sentence."""

import pytest

from tests.hf import made
from upwell import hf
from upwell.errors import UpwellError


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return made.small(tmp_path_factory.mktemp("model") / "bert")


def model(place, **more):
    return hf.AutoModelForSequenceClassification.from_pretrained(place, **more)


def args(**more):
    return hf.TrainingArguments("x", **more)


def rows(place, **more):
    found = hf.AutoTokenizer.from_pretrained(place)(["a river", "mills"])
    return [{name: found[name][n] for name in found} | {"labels": n} | more for n in range(2)]


def trained(place, data, **more):
    one = hf.Trainer(model=model(place), args=args(disable_tqdm=True, save_strategy="no"), train_dataset=data, **more)
    return one.train()


class Weighted(hf.Trainer):
    def compute_loss(self, model, inputs):
        raise AssertionError("never called")


CASES = {
    "an argument": (lambda place: args(deepspeed="a.json"), "upwell does not know deepspeed"),
    "a misspelt argument": (lambda place: args(learning_rte=1e-5), "learning_rte, did you mean learning_rate?"),
    "an argument of old": (lambda place: args(evaluation_strategy="epoch"), "did you mean eval_strategy?"),
    "an optimizer": (lambda place: args(optim="adafactor"), "optim is 'adafactor'; upwell knows 'adamw_torch_fused'"),
    "a schedule": (lambda place: args(lr_scheduler_type="polynomial"), "lr_scheduler_type is 'polynomial'"),
    "a hub": (lambda place: args(push_to_hub=True), "push_to_hub is True; upwell knows False"),
    "two formats": (lambda place: args(bf16=True, fp16=True), "both bf16 and fp16"),
    "no rows a step": (lambda place: args(per_device_train_batch_size=0), "per_device_train_batch_size is 0"),
    "no epochs": (lambda place: args(num_train_epochs=0), "num_train_epochs is 0"),
    "the best without evaluations": (lambda place: args(load_best_model_at_end=True), "checkpoint of every"),
    "a way to open": (lambda place: model(place, device_map="auto"), "upwell does not know device_map"),
    "a format of weights": (lambda place: model(place, dtype="float16"), "dtype is 'float16'"),
    "names that do not fit": (lambda place: model(place, num_labels=3, id2label={0: "a", 1: "b"}), "num_labels is 3"),
    "a head without words": (lambda place: hf.AutoModelForCausalLM.from_pretrained(place), "of the shape encoder"),
    "no folder": (lambda place: model("nowhere/there/x"), "no such folder"),
    "a setting of a config": (lambda place: setattr(model(place).config, "id2label", {}), "id2label cannot be set"),
    "labels for a forward pass": (lambda place: model(place)(None, labels=1), "does not know labels"),
    "a way to cut": (lambda place: hf.AutoTokenizer.from_pretrained(place)("a", return_tokens=1), "return_tokens, did"),
    "rows that differ": (lambda place: hf.AutoTokenizer.from_pretrained(place)(["a", "the river"], return_tensors="pt"),
                         "ask for padding=True"),
    "a Trainer's argument": (lambda place: trained(place, rows(place), optimizers=(None, None)), "not know optimizers"),
    "a callback": (lambda place: trained(place, rows(place), callbacks=[object()]), "callbacks: upwell does not know"),
    "a loss of one's own": (lambda place: Weighted(model=model(place), args=args()), "never calls compute_loss"),
    "another library's model": (lambda place: hf.Trainer(model=object()), "found a model of the type object"),
    "no dataset": (lambda place: trained(place, None), "found no dataset"),
    "an empty dataset": (lambda place: trained(place, []), "a dataset without rows"),
    "rows without ids": (lambda place: trained(place, [{"text": "a"}]), "expected input_ids"),
    "rows without labels": (lambda place: trained(place, [{"input_ids": [2, 3]}]), "labels is missing"),
    "a label too high": (lambda place: trained(place, rows(place, labels=2)), "found the label 2, expected 0 to 1"),
    "positions of one's own": (lambda place: trained(place, rows(place, position_ids=[0])), "not read position_ids"),
    "a row that is too long": (lambda place: trained(place, rows(place, input_ids=[5] * 65, attention_mask=[1] * 65,
                                                                 token_type_ids=[0] * 65)), "positions for 64"),
    "ids of another tokenizer": (lambda place: trained(place, rows(place, input_ids=[9999], attention_mask=[1],
                                                                   token_type_ids=[0])), "a token id that the model"),
    "smoothing of answers": (lambda place: hf.Trainer(
        model=hf.AutoModelForQuestionAnswering.from_pretrained(place), args=args(label_smoothing_factor=0.1)),
        "label_smoothing_factor is 0.1"),
    "no checkpoint": (lambda place: hf.Trainer(model=model(place), args=args(), train_dataset=rows(place)).train(
        resume_from_checkpoint=True), "no checkpoint to go on from"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_by_name(place, case):
    wrong, told = CASES[case]
    with pytest.raises(UpwellError) as found:
        wrong(place)
    assert told in str(found.value) and "\n" not in str(found.value)


def test_an_unknown_argument_is_a_type_error_as_in_python():
    with pytest.raises(TypeError, match="deepspeed"):
        args(deepspeed="a.json")


def test_another_number_of_labels_wants_to_be_meant(place, tmp_path):
    model(place, num_labels=3).save_pretrained(tmp_path)
    with pytest.raises(UpwellError, match="its head has 3 labels and 2 are asked for"):
        model(tmp_path, num_labels=2)
    assert model(tmp_path, num_labels=2, ignore_mismatched_sizes=True).config.num_labels == 2
    assert model(tmp_path).config.num_labels == 3


def test_a_name_of_transformers_that_is_not_here_is_told():
    with pytest.raises(AttributeError, match="no TrainerCallback"):
        _ = hf.TrainerCallback


def test_a_decoder_is_told_what_fills_its_rows(tmp_path):
    found = model(made.small(tmp_path / "gpt2", "gpt2"))
    found.config.pad_token_id = 7
    found.config.use_cache = False
    assert found.config.pad_token_id == 7
