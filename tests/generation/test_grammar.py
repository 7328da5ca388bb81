"""Texts fit their grammar, whoever chooses the tokens; grammars that cannot be kept to are one sentence, soon."""

import json
import random
import re
import time

import pytest
import torch

pytest.importorskip("llguidance")
import jsonschema

from upwell.errors import SettingsError
from upwell.generation.backend import Settings
from upwell.generation.spelling import Spelling

END = 0


@pytest.fixture(scope="module")
def spelling(tokenizer):
    return Spelling(tokenizer, tokenizer.vocab_size + 5)       # a model may have more rows than there are tokens


def written(spelling, seed, most=200, ends=(END,), **asked):
    """A text drawn at random among what the grammar allows, and whether it came to its end."""
    grammar = spelling.grammar(Settings(**asked), ends)
    generator, ids = torch.Generator().manual_seed(seed), []
    bias = torch.zeros(spelling.vocab)
    bias[list(ends)] = 3.0
    while len(ids) < most:
        logits = bias + torch.randn(1, spelling.vocab, generator=generator)
        logits = grammar(torch.tensor([ids], dtype=torch.int64), logits)
        ids.append(int(logits[0].argmax()))
        if ids[-1] in ends:
            return b"".join(map(spelling.tokenizer.bytes_of, ids[:-1])).decode(), True
    return b"".join(map(spelling.tokenizer.bytes_of, ids)).decode("utf-8", "replace"), False


def schema(rng, depth=2):
    """A random schema."""
    kinds = ["integer", "boolean", "enum", "string", "number", "null"] + ["object", "array", "any"] * (depth > 0)
    kind = rng.choice(kinds)
    if kind == "enum":
        return {"enum": rng.sample(["river", "sea", 3, None, True, "世界", 1.5, 'a"b'], 3)}
    if kind == "string":
        return rng.choice([{"type": "string", "maxLength": 6}, {"type": "string", "pattern": "^[a-z世]{2,4}$"}])
    if kind == "integer":
        return {"type": "integer", "minimum": -5, "maximum": 300}
    if kind == "array":
        return {"type": "array", "items": schema(rng, depth - 1), "maxItems": 3}
    if kind == "any":
        return {"anyOf": [schema(rng, depth - 1), schema(rng, depth - 1)]}
    if kind == "object":
        names = rng.sample(["name", "age", "tags", "x", "城市"], 3)
        return {"type": "object", "properties": {name: schema(rng, depth - 1) for name in names},
                "required": names[:2], "additionalProperties": False}
    return {"type": kind}


def check_schemas(spelling, numbers):
    ended = 0
    for number in numbers:
        wanted = schema(random.Random(number))
        text, whole = written(spelling, number, json_schema=json.dumps(wanted))
        if whole:
            jsonschema.validate(json.loads(text), wanted)
            ended += 1
    assert ended > 0.8 * len(numbers)


def test_what_is_written_fits_its_schema(spelling):
    check_schemas(spelling, range(40))


@pytest.mark.slow
def test_a_thousand_random_schemas_are_kept_to(spelling):
    check_schemas(spelling, range(40, 1040))


@pytest.mark.parametrize("wanted", [r"[0-9]{3}-[a-c]+", "^(世界|😀){2,3}$", r"a\$?b", r"(ab)*c"])
def test_what_is_written_fits_its_expression_as_a_whole(spelling, wanted):
    for seed in range(5):
        text, whole = written(spelling, seed, regex=wanted)
        assert not whole or re.fullmatch(wanted, text)
    assert whole


def test_what_is_written_is_one_of_the_choices(spelling):
    choices = ("yes", "no", 'a "b" \\ c\n\td', "世界 😀", "a.b*c", "ye")
    found = {written(spelling, seed, choices=choices)[0] for seed in range(60)}
    assert found <= set(choices) and len(found) > 3


BAD = {
    "not JSON": dict(json_schema="{"),
    "a number": dict(json_schema="3"),
    "itself": dict(json_schema='{"$ref": "#"}'),
    "a circle": dict(json_schema=json.dumps({"$ref": "#/$defs/a", "$defs": {
        "a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})),
    "endless": dict(json_schema='{"type": "object", "properties": {"k": {"$ref": "#"}}, "required": ["k"]}'),
    "endless list": dict(json_schema='{"type": "array", "minItems": 1, "items": {"anyOf": [{"$ref": "#"}]}}'),
    "doubling": dict(json_schema=json.dumps({"$ref": "#/$defs/a0", "$defs": {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {"$ref": "#"}}})),
    "deep": dict(json_schema='{"items": ' * 9000 + "{}" + "}" * 9000),
    "nothing fits": dict(json_schema='{"type": "integer", "minimum": 5, "maximum": 3}'),
    "unknown": dict(json_schema='{"type": "string", "not": {"const": "x"}}'),
    "open bracket": dict(regex="[a"),
    "look-ahead": dict(regex="(?=x)a"),
    "look-back": dict(regex=r"(x)\1"),
    "thousand stars": dict(regex=".*" * 999),
    "explosive": dict(regex="(a?){3000}a{3000}"),
    "brackets": dict(regex="(" * 1999),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_B6_a_grammar_that_cannot_be_kept_to_is_one_sentence_within_its_time(spelling, name):
    begin = time.process_time()
    with pytest.raises(SettingsError) as caught:
        spelling.grammar(Settings(**BAD[name]), (END,))
    assert time.process_time() - begin < 5
    said = str(caught.value)
    assert said.startswith(("json_schema: expected", "regex: expected")) and "\n" not in said and len(said) < 350


GOOD = {
    "catastrophic": dict(regex="(a+)+$"),
    "many choices": dict(choices=tuple(f"choice {number}" for number in range(5000))),
    "many members": dict(json_schema=json.dumps({"enum": [f"v{number}" for number in range(9000)]})),
    "a tree": dict(json_schema='{"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}, '
                               '"required": ["kids"], "additionalProperties": false}'),
}  # fmt: skip


@pytest.mark.parametrize("name", list(GOOD))
def test_B6_a_grammar_that_only_looks_bad_is_kept_to(spelling, name):
    assert written(spelling, 1, most=2000, **GOOD[name])[1]


def test_rows_go_their_own_ways_and_back(spelling):
    grammar = spelling.grammar(Settings(choices=("river", "sea", "reef")), (END,))
    logits = torch.zeros(1, spelling.vocab)

    def allowed(*texts):
        rows = [spelling.tokenizer.encode(text) for text in texts]
        assert len({len(row) for row in rows}) == 1
        found = grammar(torch.tensor(rows, dtype=torch.int64).view(len(rows), -1), logits.expand(len(rows), -1))
        places = [(row > float("-inf")).nonzero()[:, 0].tolist() for row in found]
        return [{spelling.tokenizer.bytes_of(id) for id in ids} for ids in places]

    assert b"s" in allowed("")[0] and b"x" not in allowed("")[0]
    both = allowed("r", "s")
    assert {b"e", b"i"} <= both[0] and both[1] and all(text.startswith(b"e") for text in both[1])
    assert allowed("s", "r") == both[::-1]
    assert b"s" in allowed("")[0]


@pytest.mark.parametrize("strategy", ["sample", "greedy", "beam", "diverse", "contrastive", "speculative"])
def test_each_strategy_keeps_to_a_grammar_and_streams_whole_characters(local, strategy):
    wanted = "你好(世|界|😀|👩‍👧){3}。"
    pieces = list(local.generate("The", Settings(max_new=60, seed=2, strategy=strategy, regex=wanted)))
    assert re.fullmatch(wanted, "".join(piece.text for piece in pieces)) and pieces[-1].finish == "stop"
    assert not any("\ufffd" in piece.text for piece in pieces)


def test_a_text_that_was_cut_at_its_length_says_so(local):
    pieces = list(local.generate("The", Settings(max_new=3, seed=2, regex="a{50}")))
    assert "".join(piece.text for piece in pieces).strip("a") == "" and pieces[-1].finish == "length"


def test_without_the_package_a_sentence_says_how_to_get_it(spelling, monkeypatch):
    import sys

    from upwell.errors import UpwellError

    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UpwellError, match="pip install 'upwell\\[grammar\\]'"):
        spelling.grammar(Settings(regex="a"), (END,))
