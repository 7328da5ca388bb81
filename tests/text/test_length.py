"""Limits of length: left out, never cut."""

import pytest

from upwell.text import Document
from upwell.text.steps.length import Settings, step


def judged(text: str, **settings) -> tuple[str, str]:
    document = Document(text, "a")
    found = step(Settings(**settings))(document)
    return ("", "") if found is document else (found.reason, found.detail)


def test_by_default_only_empty_documents_go():
    assert judged("") == judged(" \n\t\u3000 ") == judged(" " * 5000) == ("empty", "")
    assert judged("a") == judged("中") == judged("a " * 1_000_000) == ("", "")


def test_white_space_does_not_make_a_text_long():
    assert judged("a b c" + " " * 50, fewest=4) == ("too short", "3 characters, at least 4")
    assert judged("a b c d", fewest=4) == ("", "")


def test_long_documents_go_whole():
    assert judged("word " * 300, most=1000) == ("too long", "1,500 characters, at most 1,000")
    assert judged("word " * 200, most=1000) == ("", "")


def test_nothing_goes_where_zero_is_the_fewest():
    assert judged("", fewest=0) == ("", "")


@pytest.mark.parametrize(("settings", "words"), [({"fewest": 9, "most": 5}, "below fewest"), ({"most": -1}, "from 0")])
def test_limits_that_leave_nothing_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Settings(**settings)
