"""What becomes of one question: answered, asked back or handed over, by score and margin; on a hand-made set, too."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.answering.shop import QUESTIONS, Bell, Encoder, entries, matcher
from upwell.answering import faq_talk
from upwell.answering.encoder import embedded, pieces_of
from upwell.answering.faq import Matcher, Settings
from upwell.answering.faq_entries import Entry
from upwell.answering.faq_likeness import parts
from upwell.answering.faq_misses import Misses
from upwell.answering.faq_service import Service
from upwell.answering.faq_topics import topics
from upwell.errors import DataError, SettingsError

FOLDER = Path(__file__).parent

# ---- one question ----


@pytest.mark.parametrize("question, place", [
    ("How long does delivery take?", 0), ("HOW LONG DOES DELIVERY TAKE", 0), ("when does my parcel come", 0),
    ("which boots can i give back", 1), ("Hi, I bought something last week. My brother was there. Is PayPal fine?", 4),
    ("opening hours on sunday", 3), ("any job for me", 8)])  # fmt: skip
def test_A3_a_question_in_other_words_finds_its_entry(question, place):
    decision = matcher().match(question)
    assert decision.kind == "answer" and decision.entry.question == QUESTIONS[place][0]
    assert decision.score >= Settings().sure and decision.margin >= Settings().margin


def test_A3_two_that_are_close_are_asked_back_both():
    decision = matcher().match("what about sending something back, can I return it?")
    assert decision.kind == "ask" and decision.entry is None
    assert {one.entry.question for one in decision.others} >= {QUESTIONS[1][0], QUESTIONS[2][0]}
    assert decision.margin < Settings().margin


@pytest.mark.parametrize("question", ["who wrote Hamlet", "what is the square root of two", "xyzzy"])
def test_A3_a_question_about_something_else_is_handed_over(question):
    decision = matcher().match(question)
    assert decision.kind == "hand_over" and decision.entry is None and decision.score < Settings().least
    assert decision.others, "the owner sees what was nearest"


def test_A3_the_decision_follows_from_score_and_margin_alone():
    fixed = matcher(settings=Settings(sure=0.6, margin=0.5, least=0.3))
    near, far = 1 / fixed.likeness.apart, 5 / fixed.likeness.apart  # differences of which the margin is small and large

    def decided(*evidence):
        return fixed._decided(np.array([*evidence, *[-30.0] * (len(QUESTIONS) - len(evidence))]))

    assert decided(2.0, 2.0 - far).kind == "answer"
    assert decided(2.0, 2.0 - near).kind == "ask" and len(decided(2.0, 2.0 - near).others) == 2
    assert decided(0.0, -far).kind == "ask" and len(decided(0.0, -far).others) == 1
    assert decided(-2.0, -2.0 - far).kind == "hand_over"
    assert 0 <= decided(-2.0, -2.0 - far).score < decided(2.0, 1.5).score <= 1
    assert decided(2.0, 2.0 - near).margin < decided(2.0, 2.0 - far).margin <= 1
    assert len(decided(2.0, 2.0, 2.0, 2.0).others) == Settings().options


def test_the_scale_comes_from_the_faqs_own_questions():
    alike = [
        (f"Can I return {what}?", "Yes.")
        for what in ("hats", "tents", "gloves", "ropes", "maps", "mugs", "pens", "bags")
    ]
    near, far = Matcher(entries(alike)), Matcher(entries())
    assert near.likeness.word_scale.centre > far.likeness.word_scale.centre
    assert Matcher(entries(QUESTIONS[:1])).match("who wrote Hamlet").kind == "hand_over"


def test_words_alone_do_where_there_is_no_encoder():
    plain = Matcher(entries())
    assert plain.match("how long will the delivery take").entry.question == QUESTIONS[0][0]
    assert plain.match("wash my jacket").kind != "hand_over"
    assert plain.match("who wrote Hamlet").kind == "hand_over"


def test_topics_join_what_shares_no_word():
    assert set(topics("What is the fee?")) & set(topics("how much do you charge")) & set(topics("多少钱"))
    assert not topics("who wrote Hamlet")


def test_chinese_is_matched_by_its_signs():
    asked = ("退货要多长时间？", "几点开门？", "可以用微信付款吗？", "有没有礼品卡？", "帐篷怎么清洗？")
    chinese = Matcher(entries([(question, "请看网页。") for question in asked]))
    assert chinese.match("你们早上几点开门啊").entry.question == "几点开门？"
    assert chinese.match("谁写了红楼梦").kind == "hand_over"


def test_a_question_in_another_language_is_translated_or_goes_by_vectors_or_is_handed_over():
    asked = []

    def translate(question):
        asked.append(question)
        return "How long does delivery take?" if "快递" in question else ""

    assert Matcher(entries(), translate=translate).match("快递要几天").entry.question == QUESTIONS[0][0]
    assert asked == ["快递要几天"]
    assert Matcher(entries()).match("快递要几天").kind == "hand_over"
    both = matcher()
    both.__dict__["knows_both"] = True
    assert both.match("礼品卡").others[0].entry.question == QUESTIONS[5][0]
    assert not matcher().knows_both, "this encoder knows no sentence of the probes in both languages"


def test_a_long_question_is_read_sentence_by_sentence():
    story = "I was in your shop. " * 30 + "Do you deliver abroad?"
    assert all(len(part) <= 300 for part in parts(story)) and "Do you deliver abroad?" in parts(story)
    assert parts("x" * 700) == ["x" * 300, "x" * 100] and parts("a b") == ["a b"]


def test_what_an_encoder_cannot_read_at_once_is_read_in_pieces(monkeypatch):
    assert pieces_of("one two three four", lambda text: len(text) <= 9) == ["one two", "three", "four"]
    assert pieces_of("退货要多长时间", lambda text: len(text) <= 4) == ["退货要", "多长时间"]
    assert pieces_of("any length", None) == ["any length"] and pieces_of("x", lambda text: False) == ["x"]
    short = Encoder()
    monkeypatch.setattr("upwell.answering.encoder.fitting", lambda encoder: (lambda text: len(text) <= 18, 18))
    assert len(embedded(short, ["How long does delivery take?", "x"])) == 2
    assert all(len(text) <= 18 for text in short.asked)


@pytest.mark.parametrize("question", ["", "  \n", "x" * 1001])
def test_B4_what_is_no_question_is_one_sentence(question):
    with pytest.raises(DataError):
        matcher().match(question)
    with pytest.raises(DataError):
        Service(matcher()).ask(question)


def test_settings_and_an_empty_faq_are_refused():
    for wrong in ({"least": 0.9}, {"margin": 2.0}, {"options": 0}, {"sure": 1.5}):
        with pytest.raises(SettingsError):
            Settings(**wrong)
    with pytest.raises(DataError):
        Matcher([])


def test_entries_that_are_too_alike_are_found():
    found = matcher([*QUESTIONS, ("How long does delivery need?", "Two days.")])
    assert found.without(10).kind != "hand_over" and found.without(10).others[0].entry.question == QUESTIONS[0][0]
    assert found.without(6).kind == "hand_over"


# ---- the hand-made set ----


def hand_made(language):
    found = json.loads((FOLDER / f"faq_{language}.json").read_text(encoding="utf-8"))
    made = [Entry(str(number), one["question"], one["answer"]) for number, one in enumerate(found["entries"])]
    asked = [(text, str(number)) for number, one in enumerate(found["entries"]) for text in one["paraphrases"]]
    return made, asked, found["unrelated"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_A3_on_the_hand_made_set_by_words_alone_every_miss_is_logged(language, tmp_path):
    made, asked, unrelated = hand_made(language)
    assert len(made) == 100 and len(asked) == 300
    with Misses(tmp_path / "log.sqlite") as misses:
        bell = Bell()
        service = Service(Matcher(made), misses, bell)
        replies = [(text, service.ask(text)) for text in [*(text for text, _ in asked), *unrelated]]
        over = [reply for _, reply in replies if reply.kind == "hand_over"]
        assert len(misses) == len(over) == len(bell.events) == len({event["conversation"] for event in bell.events})
    rule = Settings()
    for text, reply in replies:
        if reply.kind == "answer":
            assert reply.score >= rule.sure and reply.margin >= rule.margin
        elif reply.kind == "ask":
            assert reply.score >= rule.least and 1 <= len(reply.options) <= rule.options
        else:
            assert reply.kind == "greet" or reply.score < rule.least or faq_talk.wants_person(text)
    itself = [service.matcher.match(entry.question) for entry in made]
    assert all(one.kind == "answer" and one.entry == entry for one, entry in zip(itself, made, strict=True))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_A3_by_words_alone_few_answers_of_the_hand_made_set_are_wrong(language):
    """Measured: none of 300 and none of 60; the floor is the end of the 95 % interval of the former."""
    made, asked, unrelated = hand_made(language)
    matcher = Matcher(made)
    wrong = sum(one.kind == "answer" and one.entry.id != right for one, right in decided(matcher, asked))
    assert wrong <= 0.013 * len(asked)
    assert sum(matcher.match(text).kind == "answer" for text in unrelated) <= 0.06 * len(unrelated)


@pytest.mark.slow
def test_A3_with_minilm_most_of_the_hand_made_set_reaches_its_entry():
    """Measured: 0.29 answered right, 0.31 asked back with the right one, 0.02 answered wrongly; other subjects are
    handed over to 0.90. The floors are the ends of the 95 % intervals."""
    from upwell import weights
    from upwell.verbs._models import How, open_folder

    made, asked, unrelated = hand_made("en")
    encoder = open_folder(weights.fetch("minilm-l6", lambda sentence: None), How()).backend
    try:
        matcher = Matcher(made, encoder)
        found = decided(matcher, asked)
        others = [matcher.match(text).kind for text in unrelated[30:]]
    finally:
        encoder.close()
    answered = [(one.entry.id, right) for one, right in found if one.kind == "answer"]
    offered = sum(right in {near.entry.id for near in one.others} for one, right in found if one.kind == "ask")
    wrong = sum(got != right for got, right in answered)
    assert len(answered) - wrong + offered >= 0.54 * len(asked)
    assert wrong <= 0.043 * len(asked)
    assert others.count("hand_over") >= 0.74 * len(others)


def decided(matcher, asked):
    return [(matcher.match(text), right) for text, right in asked]
