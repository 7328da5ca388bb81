"""Chats: the loss is transformers' over labels that leave out the user, packing changes nothing, bad chats are told."""

import pytest
import torch
import transformers as hf

from tests.objectives import given
from tests.text import chats
from upwell.errors import CheckpointError, DataError, SettingsError
from upwell.model import hub
from upwell.objectives import instruct
from upwell.text.chat import Template, plain

SYSTEM = {"role": "system", "content": "Be kind."}
CHATS = [{"messages": chats.said("Where is the sea?", "In the west.")},
         {"messages": chats.said("海在哪里？", "海在西边。")},
         {"messages": [SYSTEM, *chats.said("a", "b"), *chats.said("c?", "the river")]},
         {"instruction": "How is the day?", "output": "A fine day by the river."}]  # fmt: skip
USUAL = instruct.Settings()


@pytest.fixture(scope="module")
def tokenizer():
    return given.bytes_with_chat()


def ready(folder, records, tokenizer, settings=USUAL, **more):
    part = given.part(folder, records, tokenizer, **{"template": given.CHATML, "context": 96} | more)
    config = given.decoder(tokenizer.vocab_size, context=96)
    part = part._replace(config=instruct.fitted(config, part, settings))
    return part, given.model(part.config), instruct.samples(part, 2, 0, settings)


def test_the_loss_is_that_of_transformers_over_the_assistants_tokens(tokenizer, tmp_path):
    part, model, sampler = ready(tmp_path / "s", CHATS, tokenizer)
    hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path / "m")
    peer = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float64).eval()
    total = count = 0
    for one in part.documents():
        ids, mask = given.CHATML.ids_and_mask(one.fields["messages"], tokenizer)
        ids = torch.tensor([ids])
        labels = torch.where(torch.tensor([mask]), ids, -100)
        logits = peer(input_ids=ids).logits[:, :-1]
        total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
        count += sum(mask)
    batches = list(sampler.whole(2))
    assert sum(instruct.counts(one, USUAL)[0] for one in batches) == count
    assert abs(sum(instruct.loss(model, one, USUAL)[0] for one in batches) - total).item() < 1e-9


def test_neither_packing_nor_micro_batches_nor_padding_change_loss_and_gradient(tokenizer, tmp_path):
    part, model, sampler = ready(tmp_path / "s", CHATS, tokenizer)
    packed = given.learnt(instruct, model, list(sampler.whole(8)), USUAL)
    (batch,) = sampler.whole(8)
    assert 1 < len(batch.ids) < len(CHATS)  # several in a row
    given.same(packed, given.learnt(instruct, model, given.cut(batch, 1), USUAL))
    alone = [next(instruct.samples(given.part(tmp_path / f"{n}", [one], tokenizer, template=given.CHATML,
                                              context=96), 1, 0, USUAL).whole(1)) for n, one in enumerate(CHATS)]
    given.same(packed, given.learnt(instruct, model, alone, USUAL))


def test_the_model_learns_what_the_assistant_says_and_to_stop(tokenizer, tmp_path):
    _, _, sampler = ready(tmp_path / "s", CHATS, tokenizer)
    said = set()
    for batch in sampler.whole(1):
        numbers = batch.documents[0][batch.targets[0] != -100].unique().tolist()
        said |= {tuple(batch.targets[0][(batch.targets[0] != -100) & (batch.documents[0] == n)].tolist())
                 for n in numbers}  # fmt: skip
    end = tokenizer.special["<|im_end|>"]
    assert (*tokenizer.encode("In the west."), end) in said and (*tokenizer.encode("海在西边。"), end) in said
    assert (*tokenizer.encode("b"), end, *tokenizer.encode("the river"), end) in said


def test_real_tokens_are_counted_without_empty_places(tokenizer, tmp_path):
    part, _, sampler = ready(tmp_path / "s", CHATS, tokenizer)
    written = [given.CHATML.ids(one.fields["messages"], tokenizer, False) for one in part.documents()]
    assert sum(map(instruct.tokens, sampler.whole(2))) == sum(len(ids) - 1 for ids in written)


LONG = {"messages": chats.said("a " * 20, "river " * 80)}
ASKED = {"messages": chats.said("river " * 120, "a")}


def test_a_chat_longer_than_the_row_is_refused_cut_or_dropped_and_counted(tokenizer, tmp_path):
    with pytest.raises(DataError, match="^a.jsonl:5: found a chat of [0-9]+ tokens, expected at most 97; set a longer"):
        ready(tmp_path / "s", [*CHATS, LONG], tokenizer)
    cut = ready(tmp_path / "s", [*CHATS, LONG, ASKED], tokenizer, instruct.Settings(long="cut"))[2]
    assert (cut.cut, cut.dropped) == (1, 1)
    dropped = ready(tmp_path / "s", [*CHATS, LONG, ASKED], tokenizer, instruct.Settings(long="drop"))[2]
    assert (dropped.cut, dropped.dropped) == (0, 2)
    count = [sum(instruct.counts(one, USUAL)[0] for one in sampler.whole(2)) for sampler in (cut, dropped)]
    assert count[0] > count[1]
    with pytest.raises(DataError, match="all 1 chats are longer than 96 tokens"):
        ready(tmp_path / "s", [ASKED], tokenizer, instruct.Settings(long="cut"))


@pytest.mark.parametrize(("records", "template", "told"), [
    ([*CHATS, {"text": "plain"}], given.CHATML, "^a.jsonl:5: found plain text, expected a chat"),
    ([], given.CHATML, "s holds no example; expected a chat or more"),
    (CHATS, None, "s: found chats and no chat template to write them in"),
    (CHATS, plain(), "^a.jsonl:1: the chat template writes no end token after"),
    ([{"messages": [*chats.said("a", "b"), *chats.said("c", "d")][1:]}],
     Template(chats.ALTERNATING, {"eos_token": "<|im_end|>"}),
     "^a.jsonl:1: the chat template refuses these messages: after user comes assistant"),
])  # fmt: skip
def test_chats_that_do_not_fit_are_one_sentence_with_the_place(records, template, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer, template=template)


def test_a_template_that_differs_from_the_models_is_refused():
    other = Template(chats.TAGGED, {"eos_token": "<|im_end|>"})
    instruct.same_template(given.CHATML, given.CHATML, "runs/x")
    instruct.same_template(given.CHATML, None, "runs/x")
    for found in (other, None):
        with pytest.raises(CheckpointError, match="^runs/x: its chat template .* is not the one of the data"):
            instruct.same_template(found, given.CHATML, "runs/x")


def test_a_model_that_does_not_write_is_refused(tokenizer, tmp_path):
    part = given.part(tmp_path / "s", CHATS, tokenizer, template=given.CHATML)
    with pytest.raises((SettingsError, CheckpointError)):
        instruct.fitted(given.encoder(tokenizer.vocab_size), part, USUAL)
