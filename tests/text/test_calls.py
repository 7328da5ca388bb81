"""Calls of tools in a text: found wherever the pieces are cut; nothing that is no call is lost."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as some

from upwell.text import calls, chat

CITY = {"city": {"enum": ["Oslo", "Rome"]}}
PLACE = {"$defs": CITY, "type": "object", "properties": {"at": {"$ref": "#/$defs/city"}},
         "required": ["at"], "additionalProperties": False}  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "time", "parameters": PLACE}},
         {"type": "function", "function": {"name": "rain"}}]  # fmt: skip
ONE = '<tool_call>{"name": "time", "arguments": {"at": "Oslo"}}</tool_call>'
TWO = '<tool_call>[{"name": "rain", "parameters": {}}, {"name": "time", "arguments": "{}"}]</tool_call>'


def split(text, cuts=(), **more):
    """The text and the calls of a text that comes in pieces."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    reader, said, found = calls.Split(TOOLS, **more), [], []
    for begin, end in zip(places, places[1:], strict=False):
        shown, called = reader.push(text[begin:end])
        said.append(shown)
        found += called
    shown, called = reader.close()
    return "".join(said) + shown, found + called


@given(some.lists(some.integers(0, 500), max_size=12))
def test_calls_are_found_wherever_the_pieces_are_cut(cuts):
    said, found = split(f"Let me see.{ONE}\n{TWO}", cuts)
    assert said == "Let me see."
    assert [(one.name, json.loads(one.arguments)) for one in found] == [
        ("time", {"at": "Oslo"}),
        ("rain", {}),
        ("time", {}),
    ]


@given(some.text(alphabet='<>/tol_ca{}"x \n', max_size=60), some.lists(some.integers(0, 70), max_size=6))
def test_no_letter_of_a_text_without_calls_is_lost(text, cuts):
    assert split(text, cuts) == (text, [])


@pytest.mark.parametrize("text", [
    '<tool_call>{"name": "other"}</tool_call>', "<tool_call>x</tool_call>", "<tool_call>[]</tool_call>",
    "<tool_call>",
    '<tool_call>{"name": "rain", "arguments": 3}</tool_call>', "a < b <tool",
    "<tool_call>" + "y" * 200_000])  # fmt: skip
def test_what_is_no_call_of_a_known_tool_stays_text(text):
    assert split(text) == (text, [])


def test_a_call_that_was_not_closed_counts_where_it_is_whole():
    assert split('<tool_call>{"name": "rain"}')[1] == [calls.Call("rain", "{}")]


def test_a_text_that_must_be_a_call_is_one_without_marks():
    said, found = split('{"name": "rain", "arguments": {}}', (5, 9), whole=True)
    assert said == "" and found == [calls.Call("rain", "{}")]
    assert split('{"name": "ra', whole=True) == ('{"name": "ra', [])


def test_the_schema_of_a_call_holds_each_tools_own_references():
    both = json.loads(calls.forced(TOOLS))
    jsonschema.validate({"name": "time", "arguments": {"at": "Rome"}}, both)
    jsonschema.validate({"name": "rain", "arguments": {"any": 1}}, both)
    for wrong in ({"name": "time", "arguments": {"at": "Paris"}}, {"name": "time"}, {"name": "other", "arguments": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, both)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "rain", "arguments": {}}, json.loads(calls.forced(TOOLS, "time")))


def test_a_chat_with_tools_is_told_in_words_to_a_template_that_knows_none():
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "time?"},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": {
                    "name": "time", "arguments": {"at": "Oslo"}}}]},
                {"role": "tool", "tool_call_id": "1", "content": "9:00"}]  # fmt: skip
    said = calls.flattened(messages, TOOLS)
    assert [one["role"] for one in said] == ["system", "user", "assistant", "user"]
    assert said[0]["content"].startswith("Be kind.") and '"name": "rain"' in said[0]["content"]
    assert said[2]["content"] == ONE and "9:00" in said[3]["content"]
    assert chat.plain().render(said).startswith("Be kind.")
    assert not chat.plain().knows_tools and calls.flattened(messages[1:2], [])[0] == messages[1]
