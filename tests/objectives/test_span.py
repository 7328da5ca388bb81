"""Answers in a text: the loss is transformers', answers are where their characters are, a long text is read whole."""

import pytest
import torch
import transformers as hf
from torch.nn import functional as F

from tests.objectives import given
from upwell.errors import DataError
from upwell.model import hub
from upwell.objectives import span
from upwell.objectives._frames import Frame
from upwell.text.examples import document

ASKED = [{"question": "How is the sea?", "context": "The river flows to the sea, and the sea is wide.",
          "answers": {"text": ["wide"], "answer_start": [43]}},
         {"question": "海在哪里？", "context": "北京很大。海在西边。", "answers": ["西边"]},
         {"question": "Where is Bern?", "context": "The sea is wide.", "answers": []}]  # fmt: skip
USUAL = span.Settings()


@pytest.fixture(scope="module")
def tokenizer():
    return given.wordpiece()


def ready(folder, records, tokenizer, settings=USUAL, config=None, **more):
    part = given.part(folder, records, tokenizer, **{"context": 64} | more)
    config = config or given.encoder(tokenizer.vocab_size, context=part.context)
    part = part._replace(config=span.fitted(config, part, settings))
    return part, given.model(part.config), span.samples(part, 2, 0, settings)


def test_the_loss_is_that_of_transformers(tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", ASKED, tokenizer)
    hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path / "m")
    peer = hf.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "m", dtype=torch.float64).eval()
    for batch in sampler.whole(1):
        real = batch.mask[0]
        theirs = peer(input_ids=batch.ids[:, real], token_type_ids=batch.types[:, real], start_positions=batch.starts,
                      end_positions=batch.ends)  # fmt: skip
        assert abs(span.loss(model, batch, USUAL).item() - theirs.loss.item()) < 1e-10


def test_the_loss_is_the_hand_calculation(tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", ASKED, tokenizer)
    (batch,) = sampler.whole(3)
    total = 0
    for row, (start, end) in enumerate(zip(batch.starts, batch.ends, strict=True)):
        real = batch.mask[row]
        outputs = model(batch.ids[row : row + 1, real], types=batch.types[row : row + 1, real])[0]
        logp = F.log_softmax(outputs, 0)
        total -= (logp[start, 0] + logp[end, 1]) / 2
    assert torch.allclose(span.loss(model, batch, USUAL)[0], total, atol=1e-12)
    assert span.counts(batch, USUAL) == (3,)


def test_neither_micro_batches_nor_padding_change_loss_and_gradient(tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", ASKED, tokenizer)
    (batch,) = sampler.whole(8)
    whole = given.learnt(span, model, [batch], USUAL)
    given.same(whole, given.learnt(span, model, given.cut(batch, 1, 2), USUAL))
    given.without_padding(span, model, sampler, USUAL)


def test_the_row_is_that_of_the_tokenizers_own_pairs(tokenizer, tmp_path):
    part, _, sampler = ready(tmp_path / "s", ASKED, tokenizer)
    (batch,) = sampler.whole(8)
    for row, one in enumerate(ASKED):
        found = tokenizer.inner.encode(one["question"], one["context"], add_special_tokens=True)
        assert batch.ids[row][batch.mask[row]].tolist() == found.ids
        assert batch.types[row][batch.mask[row]].tolist() == found.type_ids


@pytest.mark.parametrize("kind", ["wordpiece", "bytes_with_chat", "unigram"])
def test_the_tokens_of_an_answer_say_it(kind, tmp_path):
    tokenizer = getattr(given, kind)()
    part, _, sampler = ready(tmp_path / "s", ASKED, tokenizer, context=160)
    (batch,) = sampler.whole(3)
    said = [tokenizer.decode(ids[start : end + 1].tolist()).replace(" ", "")
            for ids, start, end in zip(batch.ids, batch.starts, batch.ends, strict=True)]  # fmt: skip
    assert said[0] == "wide" and "西边" in said[1] and (len(said[1]) <= 3 or kind == "unigram")  # its pieces are longer
    assert (batch.starts[2], batch.ends[2]) == (0, 0)


def test_a_long_text_is_read_in_windows_that_overlap_and_hold_every_token(tokenizer):
    words = [f"{'a bad day night'.split()[n % 4]}" for n in range(70)] + ["Anna"] + ["river"] * 9
    one = document({"question": "Who?", "context": " ".join(words), "answers": ["Anna"]}, "a:1")
    frame, settings = Frame(tokenizer), span.Settings(stride=8)
    found = list(span.windows(one, tokenizer, frame, 40, settings))
    text = [id for id, _, _ in tokenizer.cut(one.fields["context"])]
    inside = [window.ids[window.second : -len(frame.behind)] for window in found]
    joined = inside[0] + [id for part in inside[1:] for id in part[8:]]
    assert joined == text and all(a[-8:] == b[:8] for a, b in zip(inside, inside[1:], strict=False))
    assert all(len(window.ids) <= 40 for window in found)
    for window in found:
        said = tokenizer.decode(window.ids[window.start : window.end + 1]) if window.start else ""
        assert said == ("Anna" if tokenizer.encode("Anna")[0] in window.ids[window.second :] else "")
    assert sum(window.start > 0 for window in found) >= 1


def test_an_answer_that_a_window_tears_is_asked_where_it_is_whole(tokenizer):
    words = ["a"] * 20 + ["bad", "day"] + ["a"] * 20
    one = document({"question": "a", "context": " ".join(words), "answers": ["bad day"]}, "a:1")
    for room in range(16, 40):
        for stride in (2, 4):
            found = list(span.windows(one, tokenizer, Frame(tokenizer), room + 5, span.Settings(stride=stride)))
            asked = [window for window in found if window.start]
            assert asked and all(window.end - window.start == len(tokenizer.encode("bad day")) - 1 for window in asked)


@pytest.mark.parametrize(("records", "told"), [
    ([*ASKED, {"question": "a", "context": "b", "answers": ["c"]}],
     "^a.jsonl:4: found the answer 'c', which does not stand in its text; correct it, or ask it as no answer"),
    ([{"question": "a " * 60, "context": "The sea is wide.", "answers": []}],
     "^a.jsonl:1: found a question of 60 tokens, which leaves 1 of 64 places for the text"),
    ([*ASKED, {"text": "plain"}], "^a.jsonl:4: found plain text, expected a question about a text"),
    ([], "s holds no example; expected a question about a text or more"),
])  # fmt: skip
def test_what_does_not_fit_is_one_sentence_with_the_place(records, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer)


def test_an_answer_that_is_not_there_is_no_answer_where_that_is_allowed(tokenizer, tmp_path):
    records = [{"question": "a", "context": "b", "answers": ["c"]}]
    (batch,) = ready(tmp_path / "s", records, tokenizer, span.Settings(lost=True))[2].whole(1)
    assert (batch.starts.item(), batch.ends.item()) == (0, 0)


def test_answers_that_no_window_holds_whole_are_counted(tokenizer, tmp_path):
    long = {"question": "a", "context": "a " * 60, "answers": [("a " * 59).strip()]}
    sampler = ready(tmp_path / "s", [*ASKED, long], tokenizer, context=40)[2]
    assert sampler.lost == 1
    lost = {"question": "a", "context": "b", "answers": ["c"]}
    sampler = ready(tmp_path / "t", [*ASKED, lost], tokenizer, span.Settings(lost=True))[2]
    assert sampler.lost == 1


class Pointing:
    """Stands in for a model: says where each right answer stands, or nothing at all."""

    device, training = torch.device("cpu"), False

    def __init__(self, wanted, tokenizer):
        self.wanted, self.ids = wanted, [tokenizer.encode(one) for one in wanted]

    def __call__(self, ids, mask=None, types=None):
        outputs = torch.zeros(*ids.shape, 2)
        outputs[:, 0] = 1.0
        for row, line in enumerate(ids.tolist()):
            for word in self.ids:
                for place in range(types[row].tolist().index(1), len(line) - len(word)):
                    if line[place : place + len(word)] == word:
                        outputs[row, place, 0] = outputs[row, place + len(word) - 1, 1] = 5.0
        return outputs


@pytest.mark.parametrize("context", [64, 24])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_answers_are_texts_of_the_likeliest_span_of_all_windows(context, rows, tokenizer, tmp_path):
    part, _, _ = ready(tmp_path / "s", ASKED, tokenizer, context=context)
    model = Pointing(["wide", "西边"], tokenizer)
    found = list(span.answers(model, part, rows, span.Settings(stride=4)))
    assert found == [("wide", ["wide"]), ("西边", ["西边"]), ("wide", [])]
    silent = list(span.answers(Pointing([], tokenizer), part, rows, span.Settings(stride=4)))
    assert [said for said, _ in silent] == ["", "", ""]


def test_the_likeliest_span_may_not_end_before_it_begins(tokenizer):
    one = document({"question": "a", "context": "the sea is wide", "answers": []}, "a:1")
    (window,) = span.windows(one, tokenizer, Frame(tokenizer), 64, USUAL)
    outputs = torch.zeros(len(window.ids), 2)
    n = len(window.places)
    outputs[window.second + n - 2, 0], outputs[window.second, 1], outputs[0] = 9.0, 8.0, 100.0
    first, last = window.places[n - 2]
    assert span.likeliest(outputs, window, "the sea is wide") == (9.0, "the sea is wide"[first:last])


def test_a_model_without_types_is_given_none(tokenizer, tmp_path):
    config = hub.config_of({
        "model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"], "vocab_size": tokenizer.vocab_size,
        "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64,
    })  # fmt: skip
    _, model, sampler = ready(tmp_path / "s", ASKED, tokenizer, config=config)
    (batch,) = sampler.whole(3)
    assert batch.types is None and span.loss(model, batch, USUAL).isfinite()


def test_an_example_shows_the_answer_as_what_is_learnt(tokenizer):
    documents = [document(one, f"a:{line}") for line, one in enumerate(ASKED, start=1)]
    found = list(span.examples(documents, tokenizer, None, USUAL))
    said = [tokenizer.decode([id for id, yes in zip(one.ids, one.learnt, strict=True) if yes]) for one in found]
    assert said[0] == "wide" and said[1].replace(" ", "") == "西边" and found[2].learnt.index(True) == 0
    assert [one.part for one in found] == ["", "", "no answer"]
