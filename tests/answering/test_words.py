"""The words of lexical search: English endings, Chinese pairs, and both sides alike."""

import pytest

from upwell.answering.words import LONGEST, sought, stem, words


@pytest.mark.parametrize("one, other", [
    ("opening", "open"), ("opened", "opens"), ("cities", "city"), ("running", "runs"), ("moving", "move"),
    ("stopped", "stops"), ("boxes", "box"), ("classes", "class"), ("quickly", "quick"), ("used", "using"),
    ("tries", "trying"), ("calling", "calls"),
])  # fmt: skip
def test_forms_of_an_english_word_meet(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize("one, other", [("sing", "s"), ("bus", "bu"), ("this", "thi"), ("red", "r"), ("ring", "r"),
                                        ("need", "ne"), ("glass", "glas")])  # fmt: skip
def test_what_only_looks_like_an_ending_stays(one, other):
    assert stem(one) != other and stem(one) != stem(other)


def test_case_accents_and_width_are_folded():
    assert words("CAFÉ Café cafe") == ["caf"] * 3 or len({*words("CAFÉ Café cafe")}) == 1
    assert words("Ｆｕｌｌ ﬁle ①") == ["full", "fil", "1"]
    assert words("Straße") == words("STRASSE") and words("ガラス") == words("ｶﾞﾗｽ")
    assert words("don't Peter's l\u2019eau") == ["don", "peter", "l", "eau"]


def test_chinese_comes_in_pairs_and_a_sign_alone_as_itself():
    assert words("开放时间") == ["开放", "放时", "时间"]
    assert words("第3章，书 open12时") == ["第", "3", "章", "书", "open12", "时"]
    assert words("ひらがな 한국어") == ["ひら", "らが", "がな", "한국", "국어"]


def test_a_question_is_looked_up_by_what_it_says():
    assert sought("When do you open the doors?") == ["open", "door"]
    assert sought("What is it?") == ["what", "is", "it"], "a question of such words alone keeps them"
    assert sought("open open OPEN") == ["open"] and sought("?!") == []
    assert sought("图书馆什么时候开门？")[:3] == ["图书", "书馆", "馆什"]


def test_the_language_says_whether_english_endings_go():
    assert words("Zeitungen opening", "de") == ["zeitungen", "opening"]
    assert words("opening") == words("opening", "en") == ["open"]


def test_B4_odd_texts_have_words_that_fts5_takes():
    assert words("\0\ud800 \u202e") == [] and words("a\0b") == ["a", "b"]
    assert [len(word) for word in words("x" * 100_000)] == [LONGEST]
    assert words('"; drop -- * OR NEAR(a)') == ["drop", "or", "near", "a"]
    assert len(words("\u0301" * 1_000_000 + "a")) <= 1
