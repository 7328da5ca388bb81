"""The report: its figures are those of a count by hand, and a token that no text gives is found."""

import base64
import json

import pytest

from upwell.errors import DataError
from upwell.tokens import ranks
from upwell.tokens.kinds import Wanted, train
from upwell.tokens.report import report, unreachable
from upwell.tokens.tokenizer import Tokenizer

TEXTS = ["Paris is the capital of France.", "床前明月光，疑是地上霜。", "x = 1987\n"] * 4
GROUPS = [("en", "prose"), ("zh", "prose"), ("-", "code")] * 4


def with_model(tokenizer, **model):
    definition = json.loads(tokenizer.definition)
    definition["model"] |= model
    return Tokenizer(json.dumps(definition), tokenizer.beside, tokenizer.end)


def test_bytes_and_words_are_counted_as_by_hand():
    one = train(TEXTS, Wanted(300))
    told = report(one, TEXTS, GROUPS, {"same": one})
    rows = {row["language"]: row for row in told["groups"]}
    assert [rows[name]["words"] for name in ("en", "zh", "-")] == [4 * 6, 4 * 10, 4 * 2]
    for text, (name, _) in zip(TEXTS[:3], GROUPS, strict=False):
        tokens = 4 * len(one.encode(text))
        assert rows[name]["tokens"] == tokens and rows[name]["documents"] == 4
        assert rows[name]["bytes_per_token"] == pytest.approx(4 * len(text.encode()) / tokens, abs=1e-4)
        assert rows[name]["others"]["same"]["tokens_per_word"] == rows[name]["tokens_per_word"]
    json.dumps(told)


def test_there_and_back_is_exact_for_bytes_and_told_for_wordpiece():
    exact = report(train(TEXTS, Wanted(300)), TEXTS, GROUPS)["round_trip"]
    assert exact["bytes"] == {"exact": 243, "of": 243, "lost": []}
    assert exact["documents"] == {"exact": 12, "but_for_white_space": 0, "of": 12, "first_difference": ""}
    lossy = report(train(TEXTS, Wanted(300, "wordpiece")), TEXTS, GROUPS)["round_trip"]
    assert lossy["documents"]["exact"] == 0 and lossy["documents"]["but_for_white_space"] == 12
    assert "came back as" in lossy["documents"]["first_difference"] and len(lossy["bytes"]["lost"]) > 100


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_what_our_own_texts_taught_is_reachable(kind):
    one = train(TEXTS, Wanted(500, kind))
    apart = set(one.special.values())
    learnt = [id for id in range(one.vocab_size) if id not in apart and len(one.bytes_of(id)) > 1]
    dead = unreachable(one, learnt)
    assert [id for id in learnt if any(id in one.encode(text) for text in TEXTS) and id in dead] == []


def test_a_merge_that_cannot_fire_is_found():
    one = train(["the cat"] * 5, Wanted(300))
    model = json.loads(one.definition)["model"]
    vocabulary, number = model["vocab"], one.vocab_size
    vocabulary |= {"qz": number, "zq": number + 1, "zqz": number + 2, "o\u0120": number + 3, "\u00c0a": number + 4}
    merges = [*model["merges"], ["q", "z"], ["z", "q"], ["zq", "z"]]  # zqz: q and z are always merged first
    merges += [["o", "\u0120"], ["\u00c0", "a"]]  # no word ends with a space, no text has the byte C0
    found = unreachable(with_model(one, vocab=vocabulary, merges=merges), range(number, number + 5))
    assert found == [number + 2, number + 3, number + 4]


def test_a_piece_that_a_likelier_cut_always_beats_is_found():
    one = train(TEXTS, Wanted(500, "unigram"))
    model = json.loads(one.definition)["model"]
    added = with_model(one, vocab=[*model["vocab"], ["Pa", -1000.0]])
    assert unreachable(added, [one.vocab_size]) == [one.vocab_size]


def rank_file(tokens):
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


@pytest.mark.parametrize("name", ["gpt2", "o200k"])
def test_a_file_of_ranks_becomes_the_tokenizer_that_it_describes(name, monkeypatch):
    tokens = [*(bytes([n]) for n in range(256)), b"th", b"in", b" th", b"the", b" the", b"\xe5\xad", b"\xe5\xad\x97"]
    monkeypatch.setitem(ranks.LAST, name, len(tokens))
    one = ranks.tokenizer(name, rank_file(tokens))
    assert one.encode(" the in字") == [tokens.index(b" the"), 32, tokens.index(b"in"), tokens.index("字".encode())]
    assert one.end == len(tokens) and one.end not in one.encode("<|endoftext|>")
    assert one.decode(one.encode("any téxt 1987")) == "any téxt 1987"


@pytest.mark.parametrize("content", [b"", b"IQ== x", b"!! 1", rank_file([b"a", b"b"]), b"IQ==\n"])
def test_a_damaged_file_of_ranks_is_refused(content):
    with pytest.raises(DataError, match="gpt2: "):
        ranks.tokenizer("gpt2", content)
