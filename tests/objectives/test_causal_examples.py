"""What the next-token objective asks of documents is what training really asks of them."""

import pytest

from tests.text import chats
from upwell import plugs
from upwell.errors import DataError
from upwell.objectives import causal
from upwell.text import Document
from upwell.text.chat import Template, plain
from upwell.text.examples import document
from upwell.tokens.batches import whole
from upwell.tokens.store import Store, write


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return chats.byte_level(tmp_path_factory.mktemp("tokenizer"))


def examples(documents, tokenizer, template=None):
    return list(causal.examples(documents, tokenizer, template, causal.Settings()))


def test_what_is_learnt_of_plain_texts_is_every_target_of_their_store(tokenizer, tmp_path):
    documents = [Document(text, f"a:{line}") for line, text in enumerate(chats.TEXTS)]
    found = examples(documents, tokenizer)
    texts = [tokenizer.encode(one.text) for one in documents]
    write(tmp_path / "s", texts, tokenizer.vocab_size, tokenizer.end, 100, tokenizer.hash)
    targets = [row for batch in whole(Store(tmp_path / "s"), 7) for row in batch.targets.flatten().tolist()]
    learnt = [id for one in found for id, yes in zip(one.ids, one.learnt, strict=True) if yes]
    assert learnt == [id for id in targets if id != -100] + [tokenizer.end]
    assert [one.source for one in found] == ["a:0", "a:1", "a:2"]


def test_a_chat_is_masked_by_the_template_that_serving_uses(tokenizer):
    template = Template(chats.CHATML, {"eos_token": "<|im_end|>"})
    messages = chats.CHATS[1]
    (found,) = examples([document({"messages": messages}, "c:1")], tokenizer, template)
    assert (found.ids, found.learnt) == template.ids_and_mask(messages, tokenizer)
    assert 0 < sum(found.learnt) < len(found.learnt)


def test_questions_labels_and_pairs_are_learnt_as_text(tokenizer):
    one = document({"en": "The sea is wide.", "zh": "世界"}, "p:1")
    (found,) = examples([one], tokenizer)
    assert found.ids[1:-1] == tokenizer.encode("The sea is wide.\n世界") and found.learnt == [False] + [True] * (
        len(found.ids) - 1)  # fmt: skip


def test_a_chat_without_a_template_is_an_error_that_names_it(tokenizer):
    with pytest.raises(DataError, match="^c.jsonl:7 is a chat, and the tokenizer's folder has no chat template"):
        examples([document({"messages": chats.said("a", "b")}, "c.jsonl:7")], tokenizer)


@pytest.mark.parametrize("template", [Template(chats.ALTERNATING, {"eos_token": "</s>"}), plain()])
def test_a_chat_that_a_template_refuses_is_an_error_that_names_it(tokenizer, template):
    twice = [{"role": "user", "content": "a"}, *chats.said("b", "c")]
    with pytest.raises(DataError, match="^c.jsonl:7: "):
        examples([document({"messages": twice}, "c.jsonl:7")], tokenizer, template)


def test_documents_are_taken_only_as_they_are_needed(tokenizer):
    def endless():
        while True:
            yield Document("The sea", "a")

    assert next(causal.examples(endless(), tokenizer, None, causal.Settings())).ids


def test_every_objective_shows_what_it_asks():
    for name in plugs.names("objectives"):
        room = plugs.find("objectives", name)
        assert callable(room.examples) and room.Settings()
