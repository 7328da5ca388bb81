"""Cleaning takes away what is no writing and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.text.clean import clean


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
