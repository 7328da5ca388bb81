import pytest

from upwell.errors import SettingsError
from upwell.generation.settings import Settings


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"top_p": 7}, "top_p: found 7, expected a number above 0 and at most 1"),
        ({"top_p": 0}, "top_p: found 0"),
        ({"temperature": -1}, "temperature: found -1"),
        ({"temperature": float("nan")}, "temperature: found nan"),
        ({"temperature": True}, "temperature: found True"),
        ({"top_k": -1}, "top_k: found -1"),
        ({"top_k": 2.5}, "top_k: found 2.5, expected a whole number"),
        ({"max_new": 0}, "max_new: found 0"),
        ({"min_new": 9, "max_new": 8}, "min_new: found 9, expected at most max_new, which is 8"),
        ({"repetition_penalty": 0}, "repetition_penalty: found 0"),
        ({"seed": 2**63}, "seed: found 9223372036854775808"),
        ({"stop": ("",)}, "stop: found '', expected a text of at least one character"),
        ({"stop": ("x",) * 17}, "stop: found 17 strings, expected at most 16"),
        ({"stop": ("\ud800",)}, "stop: character 0 is half of a surrogate pair"),
        ({"banned": (-3,)}, "banned: found -3"),
    ],
)
def test_what_is_out_of_range_is_one_sentence(given, sentence):
    with pytest.raises(SettingsError) as caught:
        Settings(**given)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(SettingsError, match="max_new: .*; top_p: "):
        Settings(top_p=7, max_new=0)


def test_one_stop_string_may_stand_for_a_list():
    assert Settings(stop="end").stop == ("end",)
    assert Settings(stop=["a", "b"]).stop == ("a", "b")
