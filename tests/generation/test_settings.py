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
        ({"min_p": 2}, "min_p: found 2, expected a number from 0 to 1"),
        ({"typical": 0}, "typical: found 0, expected a number above 0 and at most 1"),
        ({"presence_penalty": "x"}, "presence_penalty: found 'x', expected a number"),
        ({"frequency_penalty": float("inf")}, "frequency_penalty: found inf"),
        ({"no_repeat": -1}, "no_repeat: found -1"),
        ({"dry_base": 0}, "dry_base: found 0, expected a number from 1 to 4"),
        ({"beams": 0}, "beams: found 0, expected a whole number from 1"),
        ({"best": 3, "strategy": "beam", "beams": 2}, "best: found 3, expected at most beams, which is 2"),
        ({"best": 2}, "best: found 2 with the strategy sample, which has one text; expected beam, diverse"),
        ({"groups": 3, "strategy": "diverse"}, "groups: found 3, expected a divisor of beams, which is 4"),
        ({"early_stopping": True}, "early_stopping: found True, expected heuristic, full or never"),
        ({"must": ("x",)}, "must: found it with the strategy sample, expected constrained"),
        ({"seconds": 0}, "seconds: found 0, expected a number above 0"),
        ({"logit_bias": ((1, 2000.0),)}, "logit_bias: found 2000.0, expected a number from -1000 to 1000"),
        ({"logit_bias": ((1,),)}, "logit_bias: found (1,), expected pairs of a token id and a number"),
        ({"logit_bias": tuple((id, 1.0) for id in range(1025))}, "logit_bias: found 1025 pairs, expected at most 1024"),
        ({"regex": "a", "choices": ("b",)}, "found regex and choices, expected one of them"),
        ({"regex": "a", "begin": "b"}, "found begin beside regex, which alone says what may come"),
        ({"regex": ""}, "regex: found an empty text, expected a grammar"),
        ({"regex": "a" * 2001}, "regex: found a string of 2001 characters, expected at most 2000"),
        ({"never": ("",)}, "never: found ''"),
        ({"unlikeness": 1.5}, "unlikeness: found 1.5"),
        ({"guesses": 0}, "guesses: found 0, expected a whole number from 1 to 64"),
        ({"top_logprobs": 101}, "top_logprobs: found 101"),
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
