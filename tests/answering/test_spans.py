"""Where an answer stands: sentences and their places, the span model's word, the sentence that is most like it."""

import pytest

from tests.answering.asked import Letters, Marks, hit
from upwell.answering import spans
from upwell.errors import ServiceError


def texts(text):
    return [text[start:end] for start, end in spans.sentences(text)]


@pytest.mark.parametrize("text, expected", [
    ("It is 3.5 m high. Dr. Gray built it, e.g. with oak. Who knew?", ["It is 3.5 m high.",
     "Dr. Gray built it, e.g. with oak.", "Who knew?"]),
    ("第一句。第二句！“引用。”结束", ["第一句。", "第二句！", "“引用。”", "结束"]),
    ("# Title\nA line\ngoes on.\n\n- one\n- two\n2. three", ["# Title", "A line\ngoes on.", "one", "two", "three"]),
    ("  \n\n ... !!", []),
    ("", []),
])  # fmt: skip
def test_a_text_is_divided_into_sentences(text, expected):
    assert texts(text) == expected


def test_a_very_long_sentence_comes_in_pieces_that_leave_nothing_out():
    text = "word, " * 400 + "字" * 1000
    found = texts(text)
    assert all(len(one) <= spans.MOST for one in found) and max(map(len, found)) == spans.MOST
    assert "".join("".join(found).split()) == "".join(text.split())


def test_words_that_ask_mean_nothing():
    assert spans.content("When does the shop open?") == spans.content("shop opening")
    assert spans.content("请问商店什么时候开放？") == {"商店", "开放"}
    assert spans.content("What is it?") == frozenset()


def test_a_text_of_letters_of_both_kinds_is_what_most_of_it_is():
    assert spans.chinese("保修期是多久？") and spans.chinese("Python的列表怎么排序")
    assert not spans.chinese("What does 保修 mean in English?") and not spans.chinese("123")


def test_the_span_models_word_counts_more_in_a_better_hit():
    hits = [hit("In 1789.", 1, score=1.0), hit("In 1790.", 2, score=0.2)]
    found = spans.by_model(Marks("1789", "1790"), "When?", hits)
    assert (found.text, found.hit.passage.document) == ("1789", 1) and found.score == pytest.approx(0.9)
    turned = spans.by_model(Marks("1790"), "When?", [hit("Nothing.", 1, score=1.0), hit("In 1790.", 2, score=0.25)])
    assert turned.text == "1790" and turned.score == pytest.approx(0.45)
    assert spans.by_model(Marks("never"), "When?", [hit("In 1789.")]) is None
    assert spans.by_model(Marks("1789"), "When?", []) is None


def test_scores_below_zero_weigh_alike():
    found = spans.by_model(Marks("b"), "?", [hit("a", 1, score=-1.0), hit("b", 2, score=-5.0)])
    assert found.score == pytest.approx(0.9)


def test_the_sentence_most_like_the_question_is_found_by_words_alone():
    found = spans.by_likeness(None, "When was the mill built?", [hit("It is old. The mill was built in 1789. Come.")])
    assert found.text == "The mill was built in 1789." and found.score == found.nearest == 1.0


def test_the_sentence_most_like_the_question_is_found_by_vectors():
    text = "A cat sleeps. The automobile stands outside."
    found = spans.by_likeness(Letters("car", "auto", "cat"), "auto?", [hit(text)])
    assert found.text == "The automobile stands outside." and found.nearest > 0.99


def test_a_question_or_a_heading_gives_its_place_to_the_sentence_behind_it():
    text = "## How long is the guarantee?\nTwo years, from the day you bought it. Keep the receipt."
    assert spans.by_likeness(None, "How long is the guarantee?", [hit(text)]).text.startswith("Two years")
    titled = hit("Opening hours\n\nFrom 9 to 17. Closed on Monday.", heading="Shop > Opening hours")
    assert spans.by_likeness(None, "opening hours", [titled]).text == "From 9 to 17."


@pytest.mark.parametrize("line", [".. method:: PurePath.with_stem(stem)", ":with_stem: of PurePath"])
def test_a_line_of_rest_that_marks_what_follows_gives_its_place_to_it(line):
    text = f"{line}\n\n   Return a new path with the stem changed.\n\nOther words."
    found = spans.by_likeness(None, "What does PurePath with_stem do?", [hit(text)])
    assert found.text == "Return a new path with the stem changed."
    directive = ".. see also nothing here. Two dots begin a sentence."
    assert spans.by_likeness(None, "see nothing here", [hit(directive)]).text.startswith(".. see also")


def test_a_question_alone_is_better_than_nothing():
    assert spans.by_likeness(None, "guarantee?", [hit("How long is it?")]).text == "How long is it?"
    assert spans.by_likeness(None, "guarantee?", []) is None and spans.by_likeness(None, "x", [hit("...")]) is None


def test_an_encoder_that_cannot_read_the_question_gives_way_to_words():
    found = spans.by_likeness(Letters("mill", most=50), "mill " * 20, [hit("A mill. A heron.")])
    assert found.text == "A mill."


def test_another_fault_of_the_encoder_is_told():
    class Broken(Letters):
        def embed(self, texts):
            raise ServiceError("the server is gone")

    with pytest.raises(ServiceError, match="gone"):
        spans.by_likeness(Broken("a"), "mill", [hit("A mill.")])


@pytest.mark.parametrize("text", ["." * 100_000, ".'" * 50_000, "[" * 100_000, "\n" * 100_000, "a." * 50_000,
                                  "- " * 50_000])  # fmt: skip
def test_B10_sentences_of_a_hostile_text_come_at_once(text):
    import time

    begin = time.process_time()
    spans.sentences(text)
    assert time.process_time() - begin < 2.0  # a way back through the text for each sign would take minutes
