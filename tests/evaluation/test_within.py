"""What a run measures of its held-out part, against counting by hand and against others."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.objectives import given
from upwell.evaluation import within
from upwell.evaluation.within import Ratio
from upwell.model.config import Head
from upwell.objectives import contrast


def model(kind, outputs, labels=(), problem=None):
    """Something that gives these outputs."""
    class Fake:
        config = SimpleNamespace(head=Head(kind, labels=labels, problem=problem))

        def __call__(self, ids, **_):
            return outputs

    return Fake()


def numbers(found):
    ratios = {}
    for name, (x, y) in found.items():
        ratios.setdefault(name, Ratio()).add(x, y)
    return {name: ratio.number() for name, ratio in ratios.items()}


def test_a_mean_in_pieces_is_the_mean_with_its_standard_error():
    values = torch.randn(101, generator=torch.Generator().manual_seed(1)).double()
    ratio = Ratio()
    for part in values.split(7):
        ratio.add(part, torch.ones_like(part))
    found = ratio.number()
    assert found.value == pytest.approx(values.mean().item())
    assert found.error == pytest.approx((values.std() / 101**0.5).item(), rel=1e-6)


def test_the_error_of_a_ratio_is_about_that_of_the_bootstrap():
    g = np.random.default_rng(1)
    y = g.integers(1, 9, 400).astype(float)
    x = y * 0.4 + g.normal(0, 0.5, 400)
    ratio = Ratio()
    ratio.add(torch.tensor(x), torch.tensor(y))
    picks = g.integers(0, 400, (2000, 400))
    assert ratio.number().error == pytest.approx((x[picks].sum(1) / y[picks].sum(1)).std(), rel=0.1)


def test_accuracy_and_macro_f1_are_those_of_counting():
    g = torch.Generator().manual_seed(3)
    scores, labels = torch.randn(200, 3, generator=g), torch.randint(0, 3, (200,), generator=g)
    batch = SimpleNamespace(ids=labels, labels=labels, _asdict=lambda: {"ids": 0, "labels": 0})
    found = numbers(within.classified(model("classify", scores, ("a", "b", "c")), batch))
    said = scores.argmax(1)
    f1 = []
    for kind in range(3):
        both = int(((said == kind) & (labels == kind)).sum())
        f1.append(2 * both / int((said == kind).sum() + (labels == kind).sum()))
    assert found["accuracy"].value == pytest.approx((said == labels).double().mean().item())
    assert found["f1"].value == pytest.approx(sum(f1) / 3)


def test_several_labels_and_numbers():
    scores = torch.tensor([[2.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    wanted = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    batch = SimpleNamespace(ids=wanted, labels=wanted, _asdict=lambda: {})
    found = numbers(within.classified(model("classify", scores, ("a", "b"), "multi_label_classification"), batch))
    assert found["exact match"].value == pytest.approx(1 / 3) and found["f1"].value == pytest.approx(2 * 2 / (3 + 3))
    batch = SimpleNamespace(ids=wanted, labels=torch.tensor([1.0, 2.0, 3.0]), _asdict=lambda: {})
    guesses = model("classify", torch.tensor([[1.0], [3.0], [3.0]]), ("x",), "regression")
    found = numbers(within.classified(guesses, batch))
    assert found["squared error"].value == pytest.approx(1 / 3)


def test_names_are_counted_whole():
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    assert within.names([0, 1, 2, 0, 3, 4, 4], labels) == {(1, 3, "PER"), (4, 7, "LOC")}
    assert within.names([1, 1, 4], labels) == {(0, 1, "PER"), (1, 2, "PER"), (2, 3, "LOC")}
    wanted = torch.tensor([[0, 1, 2, 3, -100]])
    said = torch.nn.functional.one_hot(torch.tensor([[0, 1, 2, 4, 1]]), 5).float()
    said[0, 3] = torch.tensor([0.0, 1, 0, 0, 0])  # a person in the place's stead
    batch = SimpleNamespace(ids=wanted, targets=wanted, _asdict=lambda: {})
    found = numbers(within.tagged(model("tag", said, labels), batch))
    assert found["accuracy"].value == pytest.approx(3 / 4) and found["f1"].value == pytest.approx(2 * 1 / (2 + 2))


@pytest.mark.parametrize(("said", "right", "exact", "f1"), [
    ("the Wide, sea!", ["wide sea"], 1, 1), ("wide", ["a wide sea"], 0, 2 / 3), ("wide", ["sea", "wide x"], 0, 2 / 3),
    ("", [], 1, 1), ("", ["wide"], 0, 0), ("wide", [], 0, 0), ("西边。", ["西边"], 1, 1), ("在西边", ["西边"], 0, 0.8),
    ("$3", ["3"], 1, 1), ("an", ["the"], 1, 1),
])  # fmt: skip
def test_answers_are_compared_as_squad_does(said, right, exact, f1):
    found = {name: ratio.number().value for name, ratio in within.extracted([(said, right)]).items()}
    assert found == {"exact match": exact, "f1": pytest.approx(f1)}


def test_each_question_counts_once():
    found = within.extracted(iter([("wide", ["wide"]), ("", ["x"]), ("", [])]))
    assert found["exact match"].number().value == pytest.approx(2 / 3) and found["f1"].items == 3
    assert within.extracted([]) == {}


def test_recall_is_over_all_texts_of_a_part_whatever_the_batches(tmp_path):
    records = [{"query": f"The {one} is", "positive": f"A {one} by the {other}."}
               for one in ("sea", "river", "day") for other in ("sea", "river", "night", "bank")]  # fmt: skip
    tokenizer, settings = given.wordpiece(), contrast.Settings()
    part = given.part(tmp_path / "s", records, tokenizer)
    part = part._replace(config=contrast.fitted(given.encoder(tokenizer.vocab_size), part, settings))
    model = given.model(part.config, dtype=torch.float32)
    found = {rows: within.measure(model, contrast, part, settings, rows).numbers for rows in (1, 5, 16)}
    for name in ("recall@1", "recall@10", "back recall@1", "back recall@10"):
        assert found[1][name].value == found[5][name].value == found[16][name].value
    (batch,) = contrast.samples(part, 12, 0, settings).whole(12)
    with torch.no_grad():
        left, right = contrast.vectors(model, batch, settings)
    # each question stands there four times, and all of its four answers are right
    nearest = (left @ right.T).argmax(1)
    assert found[16]["recall@1"].value == pytest.approx(float((nearest // 4 == torch.arange(12) // 4).float().mean()))


def test_damaged_texts_are_taken_out_of_packed_rows():
    source, at = torch.tensor([5, 6, 9, 7, 0]), torch.tensor([0, 0, 1, 1, -1])
    targets, documents = torch.tensor([9, 8, -100, 9, 1]), torch.tensor([0, 0, 0, 1, 1])
    assert list(within.restored(source, at, targets, documents)) == [([5, 6], [9, 8]), ([9, 7], [9, 1])]


def test_questions_are_taken_out_of_packed_rows():
    ids, targets = [5, 6, 7, 8, 9, 5, 6, 7], [-100, -100, 8, 9, -100, -100, 7, 1]
    found = list(within.asked(ids, targets, [0, 0, 0, 0, 0, 1, 1, 1]))
    assert found == [([5, 6, 7], [8, 9]), ([5, 6], [7, 1])]
    assert list(within.asked([5, 6], [6, 1], [0, 0])) == []  # all of it is learnt: nothing is asked


def test_answers_are_scored_as_sacrebleu_does_and_said_so():
    import sacrebleu

    texts = ["the river runs slowly", "herons wait for fish", "at dawn"]
    wanted = ["the river runs quickly", "herons wait for fish", "at the dawn"]
    found, note = within.compared(texts, wanted)
    assert found["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(texts, [wanted]).score)
    assert found["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(texts, [wanted]).score)
    assert found["exact match"].value == pytest.approx(1 / 3) and "tok:13a" in note and found["bleu"].error > 0
    assert found["word f1"].value == pytest.approx((0.75 + 1 + 0.8) / 3)


def test_without_sacrebleu_a_sentence_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.metrics", None)
    found, note = within.compared(["a"], ["a"])
    assert set(found) == {"exact match", "word f1"} and "pip install 'upwell[evaluate]'" in note


def test_chinese_words_are_characters():
    assert within.words("你好 world") == ["你", "好", "world"]
    assert within.word_f1("你好吗", "你好") == pytest.approx(0.8)
