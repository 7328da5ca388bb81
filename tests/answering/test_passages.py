"""Texts in passages: nothing is lost, headings and pages are kept, and what a reader takes decides."""

import random

import pytest

from upwell.answering.passages import BODY, LEAST, MOST, cut, size

SENTENCE = "The river is {} metres wide at this place, and nobody has ever measured it twice."
ZH = "这条河在这里宽{}米，从来没有人量过第二次，因为水流得太急。"


def paragraph(count: int, sentence: str = SENTENCE, between: str = " ") -> str:
    return between.join(sentence.format(number) for number in range(count))


def texts(text: str, **more) -> list[str]:
    return [text[one.start : one.end] for one in cut(text, **more)]


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_short_paragraphs_are_joined_and_long_ones_divided_where_sentences_end():
    short = "\n\n".join(paragraph(1) for _ in range(40))
    found = texts(short)
    assert len(found) == 5 and all(LEAST <= size(one) <= MOST for one in found[:-1])
    found = texts(paragraph(100))
    assert all(LEAST <= size(one) <= MOST and one.endswith("twice.") and one.startswith("The river") for one in found)


def test_a_chinese_text_is_cut_at_its_sentences_and_to_fewer_signs():
    found = texts(paragraph(60, ZH, ""))
    assert len(found) > 3 and all(one.endswith("。") and len(one) <= MOST // 3 + 1 for one in found)


def test_tables_lists_and_code_are_cut_between_lines():
    row = "| row {} | It has a sentence. And another one. |"
    table = "| a | b |\n|---|---|\n" + "\n".join(row.format(number) for number in range(60))
    items = "\n".join(f"- Item {number} is here. It ends there." for number in range(60))
    code = "```\n" + "\n".join(f"call({number}). more. " * 2 for number in range(60)) + "\n```"
    for text, signs in ((table, "|"), (items, "-"), (code, "c`")):
        found = texts(text)
        assert len(found) > 1 and all(one[0] in signs for one in found)
    found = texts("\n".join(f'x{number} = "One. Two."' for number in range(100)), kind="code")
    assert len(found) > 1 and all(one.startswith("x") for one in found)


def test_a_text_without_any_place_to_cut_is_cut_all_the_same():
    for text in ("x" * 50_000, "字" * 20_000, "x " * 30_000, "\u0301" * 10_000):
        found = texts(text)
        assert max(map(size, found)) <= MOST + LEAST // 2 and squeezed("".join(found)) == squeezed(text)


def test_headings_of_markdown_stand_above_what_is_below_them():
    text = "# Guide\n\nFirst words.\n\n## Opening *hours*\n\nWe open at nine.\n\n## [Prices](http://x.org)\n"
    text += "### Cards\n\nYes.\n"
    assert [(one.heading, text[one.start : one.end]) for one in cut(text)] == [
        ("Guide", "First words."), ("Guide > Opening hours", "We open at nine."),
        ("Guide > Prices > Cards", "Yes.")]  # fmt: skip


def test_a_heading_with_nothing_below_it_is_not_lost():
    text = "# Guide\n\n## Empty\n\n## Full\n\nWords.\n\n# Last"
    assert [(one.heading, text[one.start : one.end]) for one in cut(text)] == [
        ("Guide", "## Empty"), ("Guide > Full", "Words."), ("", "# Last")]  # fmt: skip


def test_what_is_fenced_and_what_is_code_has_no_headings():
    text = "# Guide\n\n```\n# a comment\n\n# another\n```\n"
    assert [(one.heading, text[one.start : one.end]) for one in cut(text)] == [("Guide", text[9:].strip())]
    assert [one.heading for one in cut("# a comment\nx = 1\n\n# more\ny = 2\n", kind="code")] == [""]


def test_underlined_headings_have_the_level_of_their_rule():
    text = "*****\nBook\n*****\n\nOne\n===\nWords of one.\n\nTwo\n---\n\nWords of two.\n\nThree\n=====\n\nOf three.\n"
    assert [one.heading for one in cut(text)] == ["Book > One", "Book > One > Two", "Book > Three"]


def test_a_line_that_stands_alone_above_a_paragraph_is_its_heading():
    text = f"Opening hours\n\n{paragraph(2)}\n\n营业时间\n\n{paragraph(4, ZH, '')}\n\nA short end"
    assert [one.heading for one in cut(text)] == ["Opening hours", "营业时间"]
    said = "Yes, I did\n\nNo, you did not\n\nI did so, really\n"
    assert [one.heading for one in cut(said)] == [""], "lines of a talk are no headings"
    assert all(one.heading == "" for one in cut(f"It ended.\n\n{paragraph(3)}\n\n- an item\n\n{paragraph(3)}"))
    assert len("Opening hours") < BODY


def test_no_passage_reaches_beyond_its_section_and_pages_are_those_of_its_beginning():
    first, second = paragraph(3), paragraph(20)
    text = f"{first}\n\n{second}"
    found = cut(text, pages=[(0, 4), (len(first) + 2, 5)])
    assert {one.page for one in found} == {4, 5}
    assert all((one.page == 4) == (one.start <= len(first)) for one in found)
    assert [one.page for one in cut("Words.", pages=())] == [0]


def test_a_passage_that_the_reader_cannot_take_is_halved():
    text = f"# Head\n\n{paragraph(10)}"
    asked = []

    def fits(heading, words):
        asked.append(heading)
        return len(words.split()) <= 20

    found = texts(text, fits=fits)
    assert all(len(one.split()) <= 20 for one in found) and squeezed("".join(found)) == squeezed(paragraph(10))
    assert all(one.endswith("twice.") for one in found) and {*asked} == {"Head"}
    assert [len(one) for one in texts("abcdef", fits=lambda heading, words: False)] == [1] * 6, "it ends"


@pytest.mark.parametrize("seed", range(30))
def test_every_word_stands_in_one_passage_or_in_a_heading(seed):
    random_ = random.Random(seed)
    parts = ["# Head {}", "## Sub {}", "Title\n=====", "plain words {}", paragraph(30), paragraph(40, ZH, ""),
             "```\n# x\n```", "- item {}", "  ", "\t", "a" * 1500, "Lone line {}", "\x0c",
             "| a | b |\n|---|---|"]  # fmt: skip
    text = "\n\n".join(random_.choice(parts).format(number) for number in range(40))
    found = cut(text)
    assert all(one.start < one.end for one in found)
    assert all(one.end <= two.start for one, two in zip(found, found[1:], strict=False))
    covered = "".join(text[one.start : one.end] for one in found)
    left = text
    for one in reversed(found):
        left = left[: one.start] + left[one.end :]
    headings = {part for one in found for part in one.heading.split(" > ")}
    lost = [line for line in map(str.strip, left.splitlines()) if line and line.strip("#= ") not in {*headings, ""}]
    assert not lost and covered


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\0", "#", "# ", "```", "===\n===\n===", "-", "\ufeff"])
def test_B4_odd_texts_give_passages_or_none(text):
    assert all(text[one.start : one.end].strip() for one in cut(text))


@pytest.mark.parametrize("text", ["# " + "[" * 99_000, "#" * 100_000, "# a\n" * 25_000, "[](" * 33_000, "=" * 99_999,
                                  "a\n===\n" * 15_000, "```\n" * 25_000, "## b\n\n" * 15_000 + "x"])  # fmt: skip
def test_B10_hostile_texts_end(text):
    assert sum(one.end - one.start for one in cut(text)) <= len(text)
