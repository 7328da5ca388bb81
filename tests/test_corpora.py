"""Corpora with labels, questions and pairs: what their converters make of tiny files, and one of the real packages."""

import json
from collections import Counter

import pytest

from upwell import catalog
from upwell.catalog.corpora import newsgroups, questions, reviews_zh, wiki_titles, wiki_topics
from upwell.errors import DataError
from upwell.text import examples

ARTICLES = {
    "Tide": {"title": "Tide", "extract": "The sea rises and falls.", "topic": "Nature"},
    "Void": {"title": "Void", "extract": "  ", "topic": "Nature"},
    "Odd": {"title": "Odd", "extract": "Something else.", "topic": "Uncategorized"},
}
PASSAGES = [
    {"passage": "It cost 40 , 000 crowns .", "question": "How much ?", "answer": "40,000"},
    {"passage": "It cost 40 , 000 crowns .", "question": "Who paid ?", "answer": "unknown"},
    {"passage": "The sea is wide .", "question": "How wide ?", "answer": "very"},
]
DIALOGUES = [
    {
        "passage": "She sang in Rome. She sang well, they say. ",
        "question": "question1: where did she sing?\nquestion2: how?\nquestion3: who taught her?",
        "answer": "possible answers for question1:\nin Rome. She sang in Rome. in Rome.\n"
        "possible answers for question2:\nShe sang well, they say. CANNOTANSWER well,\n"
        "possible answers for question3:\nCANNOTANSWER CANNOTANSWER",
    }
]
STORIES = [
    {"passage": "A man Sails home.", "question": "What does he do?", "answer": ["sails Home.", "He goes by ship"]},
    {"passage": "A man sails home.", "question": "Why?", "answer": "['He is old', 'Nobody knows']"},
]


def lines(records):
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in records).encode()


def tasks(records):
    """What prepare takes each record for."""
    found = [examples.document(one, f"x:{number}") for number, one in enumerate(records)]
    return Counter(one.fields["task"] for one in found)


def test_topics_leave_out_articles_without_one():
    found = list(wiki_topics.topics({"a.json": json.dumps(ARTICLES).encode()}))
    assert found == [{"text": "Tide\n\nThe sea rises and falls.", "label": "Nature"}] and tasks(found) == {"label": 1}


def test_titles_belong_to_their_introductions():
    found = list(wiki_titles.titles({"a.json": json.dumps(ARTICLES).encode()}))
    assert [one["query"] for one in found] == ["Tide", "Odd"] and tasks(found) == {"pair": 2}


def test_categories_keep_the_published_split_and_its_order():
    head = "Category\tText\nd\tstring\nclass\t\n"
    files = {"d/x-test.tab": f"{head}b\tthird text\n\t\n".encode(), "d/x-train.tab": f"{head}a\tone\nb\ttwo\n".encode()}
    found = list(newsgroups.categories(files))
    assert [(one["label"], one["text"], one["split"]) for one in found] == [
        ("a", "one", "train"), ("b", "two", "train"), ("b", "third text", "test")]  # fmt: skip
    assert [examples.document(one, "x:1").split for one in found] == ["train", "train", "heldout"]


def test_reviews_stand_once_and_on_one_side():
    files = {"s/neg.txt": "差。\n 一般\n差。\n\n".encode(), "s/pos.txt": "好！\n一般\n".encode()}
    found = list(reviews_zh.reviews(files))
    assert found == [{"text": "差。", "label": "negative"}, {"text": "好！", "label": "positive"}]


def test_answers_are_written_as_they_stand_in_the_text():
    files = {questions.DISFLQA: lines(PASSAGES), questions.NARRATIVEQA: lines(STORIES)}
    whole = list(questions.disflqa(files))
    assert [one["answers"] for one in whole] == [["40 , 000"], [], ["very"]]
    found = list(questions.spans(files))
    assert [one["answers"] for one in found] == [["40 , 000"], [], ["Sails home"]]
    assert all(answer in one["context"] for one in found for answer in one["answers"]) and tasks(found) == {"answer": 3}
    assert [one["answers"][0] for one in questions.narrativeqa(files)] == ["sails Home.", "He is old"]


def test_of_a_long_summary_the_piece_with_the_answer_is_the_text():
    sentences = [f"Sentence {number} tells a little more of the story." for number in range(60)]
    whole = " ".join(sentences)
    rows = [{"passage": whole, "question": "Which?", "answer": [f"Sentence {number}"]} for number in range(60)]
    found = list(questions.spans({questions.DISFLQA: b"", questions.NARRATIVEQA: lines(rows)}))
    texts = list(dict.fromkeys(one["context"] for one in found))
    assert " ".join(texts) == whole and all(800 <= len(text) < 860 for text in texts[:-1])
    assert all(one["answers"][0] in one["context"] for one in found) and len({one["split"] for one in found}) == 1


def test_questions_about_one_text_are_on_one_side():
    rows = [{"passage": f"Text {number // 4}.", "question": f"Q {number}?", "answer": "unknown"}
            for number in range(400)]  # fmt: skip
    found = list(questions.disflqa({questions.DISFLQA: lines(rows)}))
    sides = {one["context"]: one["split"] for one in found}
    assert all(sides[one["context"]] == one["split"] for one in found)
    assert 10 <= Counter(sides.values())["test"] <= 30


def test_a_dialogue_is_its_questions_each_with_what_was_said_before():
    found = list(questions.quac({questions.QUAC: lines(DIALOGUES)}))
    assert [one["answers"] for one in found] == [
        ["in Rome.", "She sang in Rome."], ["She sang well, they say.", "well,"], []]  # fmt: skip
    assert [len(one["history"]) for one in found] == [0, 1, 2] and len({one["split"] for one in found}) == 1
    assert found[2]["history"] == [["where did she sing?", "in Rome."], ["how?", "She sang well, they say."]]
    assert all(answer in one["context"] for one in found for answer in one["answers"]) and tasks(found) == {"answer": 3}


def test_an_answer_of_a_dialogue_that_is_no_part_of_its_passage_is_refused():
    wrong = DIALOGUES[0] | {"question": "question1: where?", "answer": "possible answers for question1:\nin Paris."}
    with pytest.raises(DataError, match="in Paris"):
        list(questions.quac({questions.QUAC: lines([wrong])}))


def test_questions_that_are_answered_by_yes_or_no_or_without_a_text():
    rows = [{"passage": "P.", "question": "is it", "idx": "1", "label": "True"}, {"passage": "P.", "question": "x"}]
    assert [one["answers"] for one in questions.boolq({questions.BOOLQ: lines(rows)})] == [["yes"]]
    asked = [{"question": "who", "answer": "['She', 'Her']"}]
    found = list(questions.nq_open({questions.NQ_OPEN: lines(asked)}))
    assert found[0]["completion"] == "She" and tasks(found) == {"chat": 1}


def test_relevance_is_a_question_with_its_own_text_and_with_the_likest_others():
    about = [f"the {what} is {how}" for what in ("sea", "river") for how in ("wide", "deep", "salt", "long", "cold")]
    passages = [{"passage": f"We know that {text}.", "question": f"is it so that {text}", "idx": "1", "label": "True"}
                for text in about]  # fmt: skip
    typed = [{"question": "how deep is the sea", "answer": "['very']"}, {"question": "is the sea", "answer": "['sea']"}]
    files = {questions.BOOLQ: lines(passages), questions.DISFLQA: lines(PASSAGES[1:2]),
             questions.NARRATIVEQA: b"", questions.NQ_OPEN: lines(typed)}  # fmt: skip
    found = list(questions.relevance(files))
    own = {one["question"]: one["passage"] for one in passages}
    asked = [one for one in found if one["text"] in own]
    assert all((one["text_pair"] == own[one["text"]]) == (one["label"] == "relevant") for one in asked)
    assert sum(one["label"] == "relevant" for one in asked) == 10 and len(asked) > 20
    split = {one["text_pair"]: one["split"] for one in found}
    assert all(split[one["text_pair"]] == one["split"] for one in found)
    others = {one["text"]: one["label"] for one in found if one["text"] not in own}
    assert others.keys() == {"Who paid ?", "how deep is the sea"} and {*others.values()} == {"other"}
    assert tasks(found) == {"label": len(found)}


@pytest.mark.slow
def test_the_real_topics_are_as_many_as_the_catalogue_says():
    with open(catalog.fetch("wiki-topics", "es"), encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == 6239 and len({one["label"] for one in records}) == 8
