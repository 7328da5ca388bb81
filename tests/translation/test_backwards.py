"""The way back: how much of a source returns, and what that does to a confidence."""

import math

import pytest

from tests.translation.fake import translator, words_turned
from upwell.errors import SettingsError
from upwell.translation.backwards import returned

PAIRS = [("Open the file.", "Open the files now."), ("打开文件", "打开了文件夹"), ("abc", "xyz"), ("a b", "ab"),
         ("A longer sentence about rivers", "a sentence about longer rivers"), ("ab", "abcdefghij")]  # fmt: skip
BOTH = (("en", "de"), ("de", "en"))


@pytest.mark.parametrize("source, back", PAIRS)
def test_it_is_the_chrf_of_sacrebleu(source, back):
    sacrebleu = pytest.importorskip("sacrebleu.metrics")
    assert returned(source, back) == pytest.approx(sacrebleu.CHRF().sentence_score(back, [source]).score / 100)


def test_all_and_nothing():
    assert returned("the same", "the same") == 1 and returned("a", "") == 0 == returned("", "a") == returned("ab", "cd")


def test_what_comes_back_raises_a_confidence_and_what_does_not_lowers_it():
    there, lost = (translator(say, BOTH, round_trip=True) for say in (words_turned, lambda text: "nothing"))
    (sure,), (unsure,) = (one.texts(["One wide river."], "en", "de") for one in (there, lost))
    assert sure.text == "enO ediw revir." and sure.confidence == pytest.approx(math.sqrt(math.exp(-0.1)))
    assert unsure.confidence < 0.3 and there.backend.asked == ["One wide river.", "enO ediw revir."]


def test_a_model_that_knows_no_way_back_is_told_so_at_once():
    one = translator(pairs=(("en", "de"),), round_trip=True)
    with pytest.raises(SettingsError, match="from 'de' to 'en'"):
        one.texts(["One river."], "en", "de")
    assert not one.backend.asked
