"""Whether written code is code: judged as Python's own parser does, and asked as chats are."""

import math
from dataclasses import dataclass, field

import pytest

from upwell.errors import DataError
from upwell.evaluation.tasks import parses
from upwell.generation.settings import Piece
from upwell.text import Document


@dataclass
class Canned:
    """A model that gives these answers, in order."""

    texts: list[str]
    context: int = 100
    asked: list = field(default_factory=list)

    @property
    def config(self):
        return self

    def taken(self, messages):
        return len(messages[-1]["content"])

    def generate(self, messages, settings):
        self.asked.append((messages, settings.max_new))
        text = self.texts[len(self.asked) - 1]
        return iter([Piece(text[:3]), Piece(text[3:], finish="stop" if len(text) < settings.max_new else "length")])


def chat(question, answer):
    messages = [{"role": "system", "content": "Write code."}, {"role": "user", "content": question},
                {"role": "assistant", "content": answer}]  # fmt: skip
    return Document(question, "a.jsonl:1", kind="dialogue", fields={"task": "chat", "messages": messages})


@pytest.mark.parametrize(("text", "parsed", "function"), [
    ("def f(x):\n    return x", True, True), ("async def f():\n    pass\n", True, True), ("x = 1", True, False),
    ("def f(x):\n    return x\n\nf(2)", True, False), ("def f(x):\nreturn x", False, False), ("", False, False),
    ("# only a word\n", False, False), ("x\0", False, False), ("(" * 5000, False, False), ("'\\d'", True, False),
])  # fmt: skip
def test_what_python_parses(text, parsed, function):
    assert (parses.parses(text), parses.is_function(text)) == (parsed, function)


def test_held_out_chats_are_answered_and_judged():
    model = Canned(["def f(x):\n    return x", "def f(x:", "x = 1", "unasked"])
    documents = [Document("plain", "b.txt"), *(chat(f"Question {n}", f"answer {n}") for n in range(5))]
    scores = parses.measure(model, documents, parses.Settings(items=3, longest=20))
    assert scores.items == 3 and len(model.asked) == 3
    assert model.asked[0] == (chat("Question 0", "").fields["messages"][:2], 20)
    assert scores.numbers["parses"].value == pytest.approx(2 / 3)
    assert scores.numbers["parses"].error == pytest.approx(math.sqrt(2 / 9 / 3))
    assert scores.numbers["a function"].value == pytest.approx(1 / 3)
    assert scores.numbers["ended"].value == pytest.approx(2 / 3)
    assert scores.samples[1] == {"prompt": "Question 1", "text": "def f(x:", "reference": "answer 1"}


def test_a_question_that_fills_the_context_has_no_answer():
    model = Canned(["x = 1"], context=30)
    scores = parses.measure(model, [chat("q" * 40, "a"), chat("q" * 24, "a")], parses.Settings())
    assert [most for _, most in model.asked] == [6] and scores.numbers["parses"].value == 0.5


def test_without_chats_there_is_nothing_to_answer():
    with pytest.raises(DataError, match="found no held-out chats"):
        parses.measure(Canned([]), [Document("plain", "b.txt")], parses.Settings())
