"""Questions made from documents: each answer is an exact span of its text, and a rule that is not sure makes none."""

import pytest

from upwell.answering import _blocks, elsewhere, pairs
from upwell.text import Document

ENGLISH = """# The pump

A submersible pump is a device that works below the surface of the water.

## Installing the pump

Lower the pump on its rope, never on the cable. It must stand 20 cm above the ground.

## Refunds

You can return the pump within 30 days. It is of no use to us afterwards.

## How long does it last?

**About ten years**, if it is cleaned every spring. After that its seals are worn.

    How is this code read?

    It is not read.

```
What is a fence? It is a thing that is skipped.
```
"""

CHINESE = """# 水泵

潜水泵是一种在水面以下工作的机械设备。安装需要30分钟。

## 申请退款

收货后七天之内可以申请退款，请保留好原来的包装。运费由我们来承担。

## 保修期有多久？

保修期为3年，从购买的那一天开始计算。
"""


def made(text, **more):
    return pairs.made(Document(text, "a.md", **more))


def asked(text, **more):
    return {one.question: one.said for one in made(text, **more)}


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, ENGLISH.replace("\n", "\r\n")])
def test_A1_every_answer_is_the_exact_span_that_it_names(text):
    found = made(text)
    assert len(found) >= 4
    for one in found:
        assert text[one.start : one.end] == one.answer and one.answer.strip() == one.answer and one.source == "a.md"


def test_definitions_headings_questions_and_numbers_are_found_in_english():
    found = asked(ENGLISH)
    assert found["What is a submersible pump?"].startswith("A submersible pump is a device")
    assert found["How do I go about installing the pump?"].startswith("Lower the pump on its rope")
    assert found["What should I know about Refunds in the pump?"].startswith("You can return the pump within 30 days.")
    assert found["How long does it last?"] == (
        "About ten years, if it is cleaned every spring. After that its seals are worn."
    )
    assert found["Within how many days can I return the pump?"] == "You can return the pump within 30 days."
    assert {one.kind for one in made(ENGLISH)} == {"definition", "heading", "question", "number"}


def test_definitions_headings_questions_and_numbers_are_found_in_chinese():
    found = asked(CHINESE)
    assert found["潜水泵是什么？"] == "潜水泵是一种在水面以下工作的机械设备。"
    assert found["如何申请退款？"].startswith("收货后七天之内可以申请退款")
    assert found["保修期有多久？"] == "保修期为3年，从购买的那一天开始计算。"


@pytest.mark.parametrize(
    "sentence, question",
    [
        ("The first installation takes about 20 minutes.", "How long does the first installation take?"),
        ("Two-day passes cost 45 euros in all shops.", "How much do two-day passes cost?"),
        ("Each of them costs 45 euros.", ""),
        ("A shelf holds 12 boxes of this size.", "How many boxes does a shelf hold?"),
        ("The free trial is valid for 14 days.", "For how long is the free trial valid?"),
        ("Our first shop was opened in May 1998.", ""),
        ("The old factory was built in 1911.", "When was the old factory built?"),
        ("The old factory was built in 1911 and burnt in 1950.", ""),
        ("It takes 20 minutes or 30 minutes.", ""),
        ("The order of the words is random.", ""),
        ("This is a table.", ""),
        ("What you see is a picture.", ""),
        ("安装这台机器大约需要30分钟。", "安装这台机器需要多长时间？"),
        ("整机安装大约需要30分钟。", "整机安装需要多长时间？"),
        ("标准套餐的价格为99元。", "标准套餐的价格是多少？"),
        ("公司于1998年5月成立。", "公司是什么时候成立的？"),
        ("旗舰店有3名维修师傅。", "旗舰店有多少名维修师傅？"),
        ("它是一种工具，很多人都喜欢。", ""),
    ],
)
def test_one_sentence_makes_one_question_or_none(sentence, question):
    rules = pairs._chinese if pairs.chinese(sentence) else pairs._english
    assert (rules.numbered(sentence) or rules.defined(sentence)) == question


def test_an_answer_is_said_without_marks_and_stays_in_the_text_with_them():
    text = "A **lathe** is a machine that turns `wood`, see [the manual](http://a.example/x) or :ref:`the list <x>`.\n"
    [one] = made(text)
    assert one.said == "A lathe is a machine that turns wood, see the manual or the list."
    assert text[one.start : one.end] == text.strip() and one.question == "What is a lathe?"


def test_a_question_that_two_places_answer_differently_is_left_out_and_the_same_answer_kept_once():
    one = Document("A valve is a part that closes a pipe tightly.", "a.md")
    other = Document("A valve is a part that opens a pipe slowly.", "b.md")
    assert pairs.of([one, other]) == []
    assert [pair.source for pair in pairs.of([one, Document(one.text, "c.md")])] == ["a.md"]


def test_headings_underlined_and_overlined_know_what_stands_above_them():
    care = "Pumps are cleaned in spring with a soft brush."
    text = f"=====\nPumps\n=====\n\nCare\n----\n\n{care}\n\nSeals\n-----\n\n* a list\n"
    found = _blocks.blocks(text)
    assert [(one.text, one.above) for one in found if one.kind == "heading"] == [
        ("Pumps", ""), ("Care", "Pumps"), ("Seals", "Pumps")]  # fmt: skip
    assert [one.kind for one in found] == ["heading", "heading", "prose", "heading", "other"]
    assert asked(text) == {"What should I know about Care in Pumps?": care}


def test_questions_with_marks_of_who_speaks_lose_them_and_so_do_their_answers():
    text = "Q: Where is the switch?\nA: The switch is on the left side of the pump.\n\n"
    text += "**2. Is it loud?**\n\nIt is not louder than rain.\n"
    assert asked(text) == {"Where is the switch?": "The switch is on the left side of the pump.",
                           "Is it loud?": "It is not louder than rain."}  # fmt: skip


def test_a_table_of_questions_and_answers_is_taken_as_it_is():
    said = [{"role": "user", "content": "Is it loud?"}, {"role": "assistant", "content": "No."}]
    document = Document("Is it loud?\nNo.", "faq.csv:2", fields={"task": "chat", "messages": said})
    [one] = pairs.made(document)
    assert (one.question, one.answer, one.start, one.end) == ("Is it loud?", "No.", 12, 15)


def test_source_code_and_text_without_a_sure_rule_make_no_question():
    assert made("A pump is a device that moves water along a pipe.", kind="code") == []
    assert made("We went there. It rained! Then we came home, and nothing else happened to us.\n") == []
    assert made("") == []


def test_sentences_end_neither_at_shortened_words_nor_before_small_letters():
    text = "Use a tool, e.g. a wrench, of 3.5 cm. See Fig. 2 for it! 好。走吧？ an end without a mark"
    found = [text[start:end] for start, end in _blocks.sentences(text, 0, len(text))]
    assert found == ["Use a tool, e.g. a wrench, of 3.5 cm.", "See Fig. 2 for it!", "好。", "走吧？"]


HOSTILE = ("? ", "a.", "# ", "`", "[a](", ":a:`", "**", "A is a ", "* ", "\n=", "是一", ". A", "1.", "A a", "\n\n")


@pytest.mark.parametrize("unit", HOSTILE)
def test_B10_a_hundred_thousand_hostile_characters_are_read_without_a_fault(unit):
    text = (unit * (100_000 // len(unit)))[:100_000]
    assert all(text[one.start : one.end] == one.answer for one in made(text))


def test_questions_of_other_subjects_are_as_many_in_both_languages_and_none_twice():
    english, chinese = elsewhere.of("en"), elsewhere.of("zh")
    assert len({*english}) == len(english) == len({*chinese}) == len(chinese) >= 40
    assert all(pairs.chinese(one) for one in chinese) and not any(map(pairs.chinese, english))
