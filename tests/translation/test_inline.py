"""Formatting comes out of a segment and goes back onto the right words."""

import pytest

from tests.translation.fake import translator, words_turned
from upwell.translation import Code, Segment, text_of
from upwell.translation.inline import flatten, rebuilt


def code(kind: str, number: int) -> Code:
    return Code(kind, number, f"<{kind[0]}{number}>")


def parts_of(text: str) -> tuple:
    """ "a [1 b ]1 (2)" -> parts: [n opens, ]n closes, (n) stands alone."""
    import re

    found, at = [], 0
    for sign in re.finditer(r"\[(\d)|\](\d)|\((\d)\)", text):
        found.append(text[at : sign.start()])
        kind = "open" if sign[1] else "close" if sign[2] else "alone"
        found.append(code(kind, int(sign[1] or sign[2] or sign[3])))
        at = sign.end()
    return tuple(part for part in (*found, text[at:]) if part != "")


@pytest.mark.parametrize("text", [
    "plain", "a [1b]1 c", "[1all]1", "(1) begins", "ends (1)", "a (1) b (2) c", "[1a [2b]2 c]1 d", "a[1]1b",
    "  space [1 inside ]1  ", "[1a]1[2b]2", "](1)1",
])  # fmt: skip
def test_what_is_flattened_is_rebuilt(text):
    parts = parts_of(text)
    flat = flatten(parts)
    ranges = [(pair.begin, pair.end) for pair in flat.pairs]
    assert rebuilt(flat, flat.text, ranges) == parts


def test_codes_that_are_not_paired_stand_alone():
    flat = flatten(parts_of("a [1b c ]2 d"))
    assert not flat.pairs and len(flat.signs) == 2
    assert rebuilt(flat, flat.text, []) == parts_of("a [1b c ]2 d")


def test_signs_of_the_text_are_not_taken_for_those_of_things():
    flat = flatten(parts_of("use {0} and (1) here"))
    assert flat.text.count("{0}") == 1 and list(flat.signs) == ["{1}"]


@pytest.mark.parametrize("ranges", [[(0, 3), (2, 5)], [(4, 9), (0, 2)], [(0, 99), (-5, 3)], [(5, 2), (3, 3)]])
def test_every_code_comes_back_once_and_nested_wherever_its_words_are(ranges):
    parts = rebuilt(flatten(parts_of("a [1b]1 c [2d]2 (3) e")), "one two {0} three", ranges)
    codes = [part for part in parts if not isinstance(part, str)]
    assert sorted(codes) == sorted(part for part in parts_of("[1]1[2]2(3)"))
    assert text_of(parts) == "one two  three"
    stack = []
    for one in codes:
        if one.kind == "open":
            stack.append(one.number)
        elif one.kind == "close":
            assert stack.pop() == one.number


def test_words_keep_their_formatting_through_a_translation():
    parts = parts_of("Click [1the button]1 and (2) look at [3https://x.org]3. Then stop.")
    ((found, made),) = translator(words_turned).segments([Segment(parts)], "en", "de")
    assert found == parts_of("kcilC [1eht nottub]1 dna (2) kool ta [3https://x.org]3. nehT pots.")
    assert made.how == "pieces"  # the fake turns the address around, too, so it was left out
