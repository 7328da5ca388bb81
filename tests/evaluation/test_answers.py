"""Answers beside right ones: each number against a count by hand."""

import math
from dataclasses import dataclass, field

import pytest

from upwell.errors import DataError
from upwell.evaluation.tasks import answers
from upwell.generation.settings import Piece
from upwell.text import Document


@dataclass
class Canned:
    """A model that gives these answers, in order."""

    texts: list[str]
    context: int = 1000
    asked: list = field(default_factory=list)

    @property
    def config(self):
        return self

    def taken(self, messages):
        return len(messages[-1]["content"])

    def generate(self, messages, settings):
        self.asked.append(messages)
        return iter([Piece(self.texts[len(self.asked) - 1], finish="stop")])


def chat(question, answer):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Document(question, "a.jsonl:1", kind="dialogue", fields={"task": "chat", "messages": messages})


def test_each_number_is_what_a_hand_counts():
    right = ["A tide is a rise.", "Paris", "一个 海", "It is cold"]
    said = ["tide is rise", "The city is Paris.", "一个海", "no"]
    found = answers.measure(Canned(said), [Document("plain", "x"), *map(chat, "abcd", right)], answers.Settings())
    assert found.items == 4 and found.numbers["exact match"].value == 0.5
    assert found.numbers["contains"].value == 0.75
    f1 = [1.0, 2 * 1 / (3 + 1), 1.0, 0.0]  # without articles: "city is paris" and "paris" share one word of 3 and 1
    mean = sum(f1) / 4
    assert found.numbers["word f1"].value == pytest.approx(mean)
    error = math.sqrt(sum((one - mean) ** 2 for one in f1) / 3 / 4)
    assert found.numbers["word f1"].error == pytest.approx(error)
    assert found.numbers["words"].value == pytest.approx((3 + 3 + 3 + 1) / 4) and found.numbers["ended"].value == 1
    assert found.samples[1] == {"prompt": "b", "text": "The city is Paris.", "reference": "Paris"}


def test_only_so_many_are_asked_and_chats_are_wanted():
    model = Canned(["x"] * 9)
    assert answers.measure(model, [chat("q", "x")] * 9, answers.Settings(items=3)).items == 3 and len(model.asked) == 3
    with pytest.raises(DataError, match="found no held-out chats"):
        answers.measure(Canned([]), [Document("plain", "x")], answers.Settings())
