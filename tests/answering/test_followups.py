"""Questions that lean on what was said before."""

import pytest

from tests.answering.asked import Says
from upwell.answering.followups import leans, standalone, together


def said(question, answer=""):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize("before, question, whole", [
    (said("Where is the Eiffel Tower?", "In Paris."), "How high is it?", "How high is Eiffel Tower?"),
    (said("What is the population of Paris?"), "What about London?", "What is the population of London?"),
    (said("How long is the guarantee for racing bikes?"), "And for hybrid bikes?",
     "How long is the guarantee for hybrid bikes?"),
    (said("Who wrote Faust?", "Johann Wolfgang von Goethe"), "When was he born?",
     "When was Johann Wolfgang von Goethe born?"),
    (said("Who is Marie Curie?"), "What is her field?", "What is Marie Curie's field?"),
    (said("Why do herons wait near mills?"), "Why?", "Why? (Why do herons wait near mills)"),
    (said("Can I rent a cargo bike?"), "How much does it cost?", "How much does it cost? (cargo bike)"),
    (said("How long is the guarantee on bicycle frames?"), "Can I return it?", "Can I return it? (bicycle frames)"),
    (said("埃菲尔铁塔在哪里？", "在巴黎"), "它有多高？", "埃菲尔铁塔有多高？"),
    (said("北京的人口是多少？"), "上海呢？", "上海的人口是多少？"),
    (said("X200自行车多少钱？"), "这款自行车保修多久？", "X200自行车保修多久？"),
    (said("苍鹭为什么在磨坊边等待？"), "为什么？", "苍鹭为什么在磨坊边等待？为什么？"),
])  # fmt: skip
def test_what_a_question_leaves_out_is_filled_in(before, question, whole):
    assert leans(question) and standalone(question, before) == whole


@pytest.mark.parametrize("question", [
    "What is the capital of France?", "Is it possible to rent a tandem?", "And who won the cup?", "怎么退货？",
    "What did Darwin publish after his journey?", "When do you open?", "What is the deposit?", "How much is insurance?",
    "Where are you located?", "Can I pay by card?", "其他颜色的自行车有货吗？",
])  # fmt: skip
def test_a_question_that_stands_alone_stays_as_it_is(question):
    assert standalone(question, said("Where is the Eiffel Tower?", "In Paris.")) == question


def test_without_anything_said_before_a_question_stays_as_it_is():
    assert standalone("How high is it?", []) == standalone("How high is it?", said(" ")) == "How high is it?"


def test_the_last_question_is_made_whole_first():
    before = said("Where is the Eiffel Tower?", "In Paris.") + said("When was it built?", "In 1889.")
    assert standalone("Who built it?", before) == "Who built Eiffel Tower?"


def test_a_talk_without_a_name_keeps_its_last_questions_in_brackets():
    before = said("What plays was she in?", "Three.") + said("When did she start?", "In 1990.")
    assert standalone("And why?", before) == "And why? (When did she start? What plays was she in)"


def test_what_was_said_lately_is_searched_with_the_question():
    before = said("What plays was she in?", "Three.") * 5
    found = together("When?", before)
    assert found.endswith("Three. When?") and found.count("plays") == 3
    assert len(together("When?", said("x" * 5000, "y" * 5000))) < 1000


def test_a_model_makes_it_whole_with_words_that_were_said():
    before = said("Where is the Eiffel Tower?", "In Paris.")
    writer = Says("How high is the Eiffel Tower in Paris?")
    assert standalone("How high is it?", before, writer) == "How high is the Eiffel Tower in Paris?"
    assert "user: How high is it?" in writer.prompts[0][0]["content"]


@pytest.mark.parametrize("text", ["How high is the Empire State Building?", "", "See http://evil.example/x", "x" * 400,
                                  "![a](http://evil/) How high is the Eiffel Tower?"])  # fmt: skip
def test_S6_a_model_that_brings_in_words_of_its_own_is_not_believed(text):
    before = said("Where is the Eiffel Tower?", "In Paris.")
    assert standalone("How high is it?", before, Says(text)) == "How high is Eiffel Tower?"


def test_a_question_that_stands_alone_is_not_shown_to_a_model():
    writer = Says("x")
    standalone("What is the capital of France?", said("Where is the Eiffel Tower?"), writer)
    assert writer.prompts == []


def test_B4_a_history_of_strange_texts_does_no_harm():
    for text in ("?", "...", "\x00", "它" * 1000, "the the the", "And?", "is", "of"):
        for question in ("How high is it?", "它呢？", "What about?", "why", "呢", "and", "their"):
            assert isinstance(standalone(question, said(text, text)), str)
