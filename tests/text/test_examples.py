"""Supervised data recognised by looking: every usual layout, the one form of its task, faults in words."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.text import Document, Fault
from upwell.text.examples import BY_NAME, LAYOUTS, Example, document, example, pairs, recognise, records

TURNS = [{"role": "user", "content": "Where is the sea?"}, {"role": "assistant", "content": "In the west."}]
SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = {"question": "How wide?", "context": "The sea is wide."}


def read(record):
    found = document(record, "a.jsonl:1")
    assert isinstance(found, Document), found
    return found


def fields(record):
    return read(record).fields


def fault(record):
    found = document(record, "a.jsonl:1")
    assert isinstance(found, Fault), found
    return found.message


CHATS = {
    "alpaca": [
        {"instruction": "Where is the sea?", "input": "", "output": "In the west."},
        {"instruction": "Where is", "input": "the sea?", "output": "In the west."},
        {"instruction": "", "input": "Where is the sea?", "output": "In the west.", "text": "Below is ..."},
        {"instruction": "Where is the sea?", "context": None, "response": "In the west.", "category": "open_qa"},
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": "Where is the sea?"}, {"from": "gpt", "value": "In the west."}]},
        {"id": "7", "conversations": [{"from": "user", "value": "Where is the sea?", "markdown": None},
                                      {"from": "chatgpt", "value": "In the west."}]},
    ],
    "messages": [
        {"messages": TURNS},
        {"conversations": TURNS},
        {"messages": [{"role": "User", "content": [{"type": "text", "text": "Where is"},
                                                   {"type": "text", "text": " the sea?"}]}, TURNS[1]]},
        {"messages": [{"role": "system", "content": ""}, *TURNS], "tools": []},
        {"dialogue": [{"role": "prompter", "text": "Where is the sea?"},
                      {"role": "assistant", "text": "In the west."}]},
    ],
    "turns": [{"id": "0", "data": ["Where is the sea?", "In the west."]}],
    "completion": [
        {"prompt": "Where is the sea?", "completion": "In the west."},
        {"prompt": TURNS[:1], "completion": TURNS[1:]},
        {"question": "Where is the sea?", "answer": "In the west."},
        {"query": "Where is the sea?", "response": "In the west."},
        {"input": "Where is the sea?", "target": "In the west.", "kind": "Geography"},
        {"problem": "Where is the sea?", "solution": "In the west."},
    ],
    "prepared": [{"text": "x", "source": "b.jsonl:1", "fields": {"task": "chat", "messages": TURNS}}],
}  # fmt: skip


@pytest.mark.parametrize(("layout", "record"), [(name, one) for name, all in CHATS.items() for one in all])
def test_every_layout_of_a_chat_becomes_the_same_messages(layout, record):
    assert recognise(record) == layout
    found = read(record)
    question = found.fields["messages"][0]["content"].replace("\n\n", " ")
    assert found.fields["task"] == "chat" and question == "Where is the sea?"
    assert [turn["role"] for turn in found.fields["messages"]] == ["user", "assistant"]
    assert found.fields["messages"][1] == TURNS[1] and set(found.fields) == {"task", "messages"}
    assert found.kind == "dialogue" and found.text.replace("\n\n", " ") == "Where is the sea?\nIn the west."


@pytest.mark.parametrize("record", [
    {"messages": [SYSTEM, *TURNS]},
    {"messages": [{"role": "developer", "content": "Be kind."}, *TURNS]},
    {"system": "Be kind.", "conversations": [{"from": "human", "value": "Where is the sea?"},
                                             {"from": "gpt", "value": "In the west."}]},
    {"system_prompt": "Be kind.", "question": "Where is the sea?", "response": "In the west."},
    {"system": "Be kind.", "instruction": "Where is the sea?", "output": "In the west."},
])  # fmt: skip
def test_what_the_system_says_stands_first(record):
    assert fields(record)["messages"] == [SYSTEM, *TURNS]


def test_the_history_of_an_instruction_stands_before_it():
    record = {"instruction": "And north?", "output": "Hills.", "history": [[turn["content"] for turn in TURNS]]}
    assert [turn["content"] for turn in fields(record)["messages"]] == [
        "Where is the sea?", "In the west.", "And north?", "Hills.",
    ]  # fmt: skip
    assert fault(record | {"history": [["one"]]}) == "expected history[0] to be a list of two texts, found a list of 1"


def test_turns_of_one_role_in_a_row_are_kept_as_they_are():
    assert fields({"messages": [TURNS[0], *TURNS, TURNS[0]]})["messages"] == [TURNS[0], *TURNS, TURNS[0]]


@pytest.mark.parametrize(("answers", "found"), [
    ({"text": ["wide", "wide", "The sea"], "answer_start": [11, 11, 0]}, ["wide", "The sea"]),
    ({"text": [], "answer_start": []}, []),
    ([{"text": "wide", "answer_start": 11}], ["wide"]),
    (["wide"], ["wide"]), ("wide", ["wide"]), ("", []), (None, []), ([], []),
    ("No answer.", []), (["CANNOTANSWER"], []),
])  # fmt: skip
def test_answers_of_every_form_become_a_list_and_no_answer_an_empty_one(answers, found):
    record = ASKED | {"answers": answers, "title": "Sea", "id": "5"}
    assert recognise(record) == "answer"
    assert fields(record) == {"task": "answer", **ASKED, "answers": found}
    assert read(record).title == "Sea" and read(record).text == "\n".join(["The sea is wide.", "How wide?", *found])


def test_what_is_said_to_be_impossible_has_no_answer():
    assert fields(ASKED | {"answers": ["wide"], "is_impossible": True})["answers"] == []


@pytest.mark.parametrize("label", ["good", 0, -1, 2.5, True, False, ["sea", 3], [], 10**400])
def test_a_text_with_a_label_is_to_be_classified(label):
    found = read({"text": "a b", "label": label})
    assert found.fields == {"task": "label", "text": "a b", "label": label} and found.text == "a b"
    assert isinstance(found.label, str)


@pytest.mark.parametrize("keys", [("text", "text_pair"), ("premise", "hypothesis"), ("sentence1", "sentence2"),
                                  ("question1", "question2"), ("question", "passage")])  # fmt: skip
def test_a_label_may_be_about_two_texts(keys):
    record = dict(zip(keys, ("a b", "c"), strict=True)) | {"label": 1}
    found = read(record)
    assert found.fields == {"task": "label", "text": "a b", "pair": "c", "label": 1} and found.text == "a b\nc"
    assert fields({"text": found.text, "fields": found.fields}) == found.fields
    assert fault(record | {keys[1]: " "}) == f"expected {keys[1]} to hold a text, found only white space"


def test_beside_a_title_a_worded_label_is_only_a_property_of_a_plain_text():
    found = read({"text": "a b", "title": "T", "label": "Science", "more": 1})
    assert found == Document("a b", "a.jsonl:1", "T", "Science")


def test_a_number_is_a_class_even_beside_a_title_and_the_title_is_part_of_what_is_read():
    assert fields({"content": "a b", "title": "T", "label": 1}) == {"task": "label", "text": "T\na b", "label": 1}


@pytest.mark.parametrize(("record", "layout", "languages"), [
    ({"translation": {"en": "sea", "zh": "海"}}, "translation", ("en", "zh")),
    ({"translation": {"en": "sea", "zh": "海", "fr": None}}, "translation", ("en", "zh")),
    ({"source": "sea", "target": "海"}, "parallel", ("", "")),
    ({"src": "sea", "tgt": "海", "src_lang": "EN", "tgt_lang": "zh_TW"}, "parallel", ("en", "zh-Hant")),
    ({"id": "7", "en": "sea", "zh": "海", "score": 0.9}, "languages", ("en", "zh")),
    ({"en_GB": "sea", "zh-CN": "海"}, "languages", ("en-GB", "zh-Hans")),
    ({"en": "sea", "id": "海"}, "languages", ("en", "id")),
])  # fmt: skip
def test_pairs_of_every_form_know_their_languages_where_they_are_told(record, layout, languages):
    assert recognise(record) == layout
    assert fields(record) == {"task": "pair", "source": "sea", "target": "海"} | dict(
        zip(("source_language", "target_language"), languages, strict=True))  # fmt: skip


@pytest.mark.parametrize("record", [
    {"text": "a"}, {"text": ""}, {"text": "a", "title": None}, {"content": "a"}, {"text": "a", "source": "b.jsonl:3"},
    {"text": "a", "meta": {"label": 1}}, {"from": "a", "to": "b", "id": "c", "text": "a"},
])  # fmt: skip
def test_what_only_has_a_text_stays_plain(record):
    assert recognise(record) == "plain" and read(record).fields is None


def test_a_plain_text_keeps_the_kind_that_an_earlier_preparation_found():
    assert read({"text": "x = 1", "kind": "code"}).kind == "code"
    assert read({"text": "x = 1", "kind": "poem"}).kind == "prose"


@pytest.mark.parametrize("record", [one for all in CHATS.values() for one in all]
                         + [ASKED | {"answers": ["wide"]}, {"text": "a", "label": [1, "b"]}, {"en": "a", "zh": "b"}])
def test_what_was_read_once_reads_the_same_from_a_prepared_folder(record):
    first = read(record)
    again = {"text": first.text, "source": first.source, "kind": first.kind, "fields": first.fields}
    assert read(json.loads(json.dumps(again))).fields == first.fields
    assert read(first.fields).fields == first.fields


FAULTS = [
    ({"conversations": [{"from": who, "value": "x"} for who in ("human", "gpt", "human", "robot")]},
     "expected conversations[3].from to be human, gpt or system, found 'robot'"),
    ({"conversations": [{"value": "x"}]}, "expected conversations[0].from to be human, gpt or system, found null"),
    ({"conversations": []}, "expected conversations to be a list of turns, found an empty list"),
    ({"conversations": "hello"}, "expected conversations to be a list of turns, found 'hello'"),
    ({"conversations": [{"from": "human", "value": "x"}]},
     "expected conversations to hold a turn of gpt, found none: nothing would be learnt"),
    ({"conversations": [["a", "b"]]},
     "expected conversations[0] to be an object with from and value, found a list of 2"),
    ({"messages": [TURNS[0], {"role": "assistant", "content": " \n"}]},
     "expected messages[1].content to hold a text, found only white space"),
    ({"messages": [TURNS[0], {"role": "assistant"}]}, "expected messages[1].content to be a text, found null"),
    ({"messages": [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
     "expected no messages[1].tool_calls, found a list of 1: it cannot be learnt yet"),
    ({"messages": [*TURNS, {"role": "tool", "content": "x"}]},
     "expected messages[2].role to be user, assistant or system, found 'tool': chats with tools cannot be learnt yet"),
    ({"messages": TURNS, "tools": [{"type": "function"}]},
     "expected no tools, found a list of 1: it cannot be learnt yet"),
    ({"messages": [TURNS[0], TURNS[1] | {"reasoning_content": "Hm."}]},
     "expected no messages[1].reasoning_content, found 'Hm.': it cannot be learnt yet"),
    ({"messages": [TURNS[0], TURNS[1] | {"weight": 0}]},
     "expected messages[1].weight to be 1, found 0: a turn that is not to be learnt cannot be marked yet"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, TURNS[1]]},
     "expected messages[0].content[0] to be {\"type\": \"text\", \"text\": ...}, found 'image_url'"),
    ({"instruction": " ", "input": "", "output": "x"}, "expected instruction to hold a text, found ' '"),
    ({"instruction": "x", "output": ""}, "expected output to hold a text, found an empty one"),
    ({"instruction": "x", "input": 3, "output": "y"}, "expected input to be a text, found 3"),
    ({"prompt": "x", "completion": None}, "expected completion to be a text, found null"),
    ({"data": ["one"]}, "expected data to hold two texts or more, found none: nothing would be learnt"),
    (ASKED | {"answers": [3]}, "expected answers[0] to be a text, found 3"),
    (ASKED | {"answer": True}, "expected answer to be a list of texts, found true"),
    ({"text": "a", "label": None}, "expected label to be a text, a number or a list of them, found null"),
    ({"text": "a", "label": float("nan")}, "expected label to be a text, a number or a list of them, found nan"),
    ({"text": "a", "label": [{"x": 1}]},
     "expected label[0] to be a text, a number or a list of them, found an object with the keys x"),
    ({"text": 1}, "expected text to be a text, found 1"),
    ({"text": "a", "title": 5}, "expected title to be a text, found 5"),
    ({"translation": {"en": "a"}}, "expected translation to hold two languages, found the languages en"),
    ({"translation": {"en": "a", "zh": ""}}, "expected translation.zh to hold a text, found an empty one"),
    ({"source": "a", "target": ["b"]}, "expected target to be a text, found a list of 1"),
    ({"en": "a", "zh": " "}, "expected zh to hold a text, found only white space"),
    ({"fields": {"task": "rhyme"}}, "expected fields.task to be chat, answer, label, pair, tag, found 'rhyme'"),
    ({"fields": {"task": "pair", "source": "a"}}, "expected fields.target, found the keys task, source"),
    ([1, 2], 'expected an object such as {"text": ...}, found a list of 2'),
    (None, 'expected an object such as {"text": ...}, found null'),
    ({"text": ["x" * 100]}, "expected text to be a text, found a list of 1"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "message"), FAULTS)
def test_a_fault_says_what_was_expected_and_what_was_found(record, message):
    assert fault(record) == message


def test_a_long_value_is_quoted_in_part():
    assert fault({"conversations": [{"from": "x" * 900, "value": "a"}]}).endswith(f"found {'x' * 40!r}...")


@pytest.mark.parametrize(("record", "nearest"), [
    ({"instrution": "a", "output": "b"}, "alpaca, which also needs instruction (for 'instrution'?)"),
    ({"Prompt": "a", "completion": "b"}, "completion, which also needs prompt (for 'Prompt'?)"),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, "completion, which also needs completion"),
    ({"question": "a", "context": "b"}, "answer, which also needs answers"),
    ({"premise": "a", "hypothesis": "b"}, "compare, which also needs label"),
    ({"foo": 1}, "plain, which needs text"),
    ({"text": None}, "plain, which needs text"),
    ({}, "plain, which needs text"),
])  # fmt: skip
def test_what_is_unknown_is_refused_with_all_layouts_and_the_nearest(record, nearest):
    assert recognise(record) is None
    told = fault(record)
    assert all(layout.name in told.split(", found ")[0] for layout in LAYOUTS)
    assert all(repr(key) in told for key in record) and told.endswith(f"nearest is {nearest}")


def test_a_file_of_squad_is_its_questions_each_with_its_context():
    asked = [{"question": "How wide?", "id": "1", "answers": [{"text": "wide", "answer_start": 11}]},
             {"question": "How deep?", "id": "2", "answers": [], "is_impossible": True}]  # fmt: skip
    file = {"version": "2", "data": [{"title": "S", "paragraphs": [{"context": "The sea is wide.", "qas": asked}]}]}
    found = list(records(file))
    assert [place for place, _ in found] == ["data[0].paragraphs[0].qas[0]", "data[0].paragraphs[0].qas[1]"]
    assert [fields(record)["answers"] for _, record in found] == [["wide"], []]


def test_a_list_and_a_single_record_are_records():
    assert list(records([{"text": "a"}, 3])) == [("[0]", {"text": "a"}), ("[1]", 3)]
    assert list(records({"data": [{"text": "a"}]})) == [("data[0]", {"text": "a"})]
    assert list(records({"data": ["a", "b"]})) == [("", {"data": ["a", "b"]})]


def test_two_parallel_files_are_pairs_line_by_line():
    found = list(pairs(["one\n", "\n", "two\r\n"], ["eins\n", " \n", "zwei\n", "\n"], ("en", "de")))
    assert [number for number, _ in found] == [1, 3]
    assert found[1][1] == Example("prose", "two\nzwei", {"task": "pair", "source": "two", "target": "zwei",
                                                         "source_language": "en", "target_language": "de"})  # fmt: skip


@pytest.mark.parametrize(("first", "second", "told"), [
    (["a", "b", "c"], ["x"], "3 in en and 1 in the second file"),
    (["a"], ["x", "y", ""], "1 in en and 2 in the second file"),
])  # fmt: skip
def test_parallel_files_of_different_length_are_refused_as_a_whole(first, second, told):
    *_, (number, message) = pairs(first, second, ("en", ""))
    assert number == 2
    assert message == f"expected as many lines in both files, found {told}: their lines do not belong together"


def test_a_line_without_its_partner_is_a_fault():
    message = "expected a text in both files, found an empty line in the second file"
    assert list(pairs(["a"], [" "])) == [(1, message)]


def test_the_table_has_one_row_a_name_and_is_all_that_is_known():
    assert len(BY_NAME) == len(LAYOUTS)
    assert example({"instruction": "a", "output": "b"}, "alpaca").fields["task"] == "chat"


KEYS = sorted({key for layout in LAYOUTS for keys in [*layout.needs.values(), *layout.may.values()] for key in keys}
              | {"title", "label", "role", "from", "value", "content", "task", "fields", "en", "zh", "weight", "type"})
WORDS = st.text(max_size=3) | st.sampled_from(["user", "gpt", "chat"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), max_leaves=8)  # fmt: skip


@pytest.mark.parametrize(("record", "told"), [
    ({"tokens": ["a", "b"], "tags": ["O"]}, "expected as many tags as tokens, found 1 and 2"),
    ({"words": ["a", " "], "ner_tags": [0, 1]}, "expected words[1] to hold a text, found only white space"),
    ({"tokens": ["a"], "tags": [1.5]}, "expected tags[0] to be a text or a whole number, found 1.5"),
    ({"query": "a", "pos": "b", "neg": ["c", 1]}, "expected neg[1] to be a text, found 1"),
])  # fmt: skip
def test_tags_and_negatives_that_do_not_fit_are_told(record, told):
    assert fault(record) == told


def test_what_upwell_wrote_of_tags_and_negatives_is_read_back():
    for record in ({"tokens": ["a"], "upos": ["NOUN"]}, {"query": "a", "pos": "b", "neg": "c"}):
        assert fields({"text": "a", "fields": fields(record)}) == fields(record)


def test_numbers_of_tokens_beside_a_text_are_no_tags():
    assert recognise({"text": "a b", "tokens": 2, "labels": [1]}) == "label"


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_whatever_a_record_holds_it_becomes_a_document_or_a_fault(record):
    found = document(record, "a.jsonl:1")
    assert isinstance(found, Document | Fault)
    if isinstance(found, Document) and found.fields:
        turns = [turn["content"] for turn in found.fields.get("messages", [])]
        assert all(text in found.text for text in turns or [found.fields.get("text", found.text)])


PAGES = ["data-formats.md", "data-formats.zh-CN.md"]


def shown(page):
    """(record, what stands below it) of each example of a page."""
    lines = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8").splitlines()
    twos = zip(lines, lines[1:], strict=False)
    return [(json.loads(one), two.strip()) for one, two in twos if one.startswith("    {")]


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_the_page_becomes_what_stands_below_it(page):
    found = shown(page)
    assert len(found) == 18
    for record, below in found:
        if below.startswith("train.jsonl:"):
            assert str(document(record, ":".join(below.split(":")[:2]))) == below
        else:
            expected = None if below == "-> plain" else json.loads(below.removeprefix("-> "))
            assert fields(record) == expected


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_layout(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    assert all(f"`{layout.name}`" in text for layout in LAYOUTS)
