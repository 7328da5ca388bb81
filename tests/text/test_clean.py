"""Cleaning takes away what is no writing and nothing else."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.text.clean import COLOURS, JUNK, TAGS, UNUSUAL, clean


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\r\nb\rc\u2028d\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("a  \n\tb\t\u3000\n", "a\n\tb"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("\n\n  a\n\n", "  a"),
        ("\ufeffa\u200bb\u00adc\u2060d", "abcd"),
        ("a\x00b\x07c\x7fd\x9fe", "abcde"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\ud800b\udfffc", "abc"),
        ("bad \ufffd\ufffd\ufffd byte", "bad  byte"),
        ("if a\u202e then\u2066b", "if a thenb"),
        ("cafe\u0301", "café"),
        ("e\u200b\u0301", "é"),
        ("hid\U000e0041\U000e0042den", "hidden"),
        (" \n\t\n \u200b", ""),
    ],
)
def test_what_is_no_writing_goes(dirty, expected):
    assert clean(dirty) == expected


@pytest.mark.parametrize(
    "text",
    [
        "床前明月光，疑是地上霜。「舉頭」望明月～",
        "می‌خواهم نمی\u200cدانم",
        "क्\u200dष क्\u200cष",
        "👩\u200d👩\u200d👧 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "def f(x):\n    if x:\n\t\treturn  1\n\n\nclass A:\n    pass",
        "| a | b |\n|---|---|\n| 1\u00a0000 | ¿qué? |",
        "𠮷野家 ｶﾀｶﾅ ﬁ ² ①",
    ],
)
def test_writing_stays(text):
    assert clean(text) == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("\n\r\t \x1b[m\u200b\u0301\ufffd\U0001f3f4\U000e0067"))))
def test_cleaning_twice_is_cleaning_once(text):
    once = clean(text)
    assert clean(once) == once
    once.encode("utf-8")


def slowly(text: str) -> str:
    """The rules one by one on the whole text, without a look at what is there."""
    for sign in ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
        text = text.replace(sign, "\n")
    text = unicodedata.normalize("NFC", TAGS.sub(r"\1", JUNK.sub("", COLOURS.sub("", text))))
    lines = "\n".join(line.rstrip(" \t\xa0\u3000") for line in text.split("\n"))
    while "\n\n\n\n" in lines:
        lines = lines.replace("\n\n\n\n", "\n\n\n")
    return lines.strip("\n")


SIGNS = "ab\n\n\r\t \xa0\u3000\x1b[m\u200b\u0301\u0308\u1161한각\ufffd\U000e0067é"


@settings(max_examples=500, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from(SIGNS))))
def test_the_short_way_gives_what_the_long_way_gives(text):
    assert clean(text) == slowly(text)


def test_no_character_that_a_rule_changes_passes_as_usual():
    """Every code point: those that the first look lets through are neither junk nor part of any composition."""
    letters = [chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000]
    second = {part for letter in letters for part in unicodedata.normalize("NFD", letter)[1:]}
    second |= {chr(code) for code in [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]}  # Korean parts that join
    usual = UNUSUAL.sub("", "".join(letters))
    assert len(usual) > 90_000 and set("éßжقคあ中한“—’€😀") <= set(usual)
    assert not set(usual) & second
    assert JUNK.sub("", usual) == TAGS.sub("", usual) == usual
    assert all(unicodedata.normalize("NFC", one) == one and not unicodedata.combining(one) for one in usual)
