"""`upwell prepare --show` prints what the supervised objectives ask; examples of another task are told by place."""

import json

import pytest

from tests.objectives import given
from upwell.cli import main

RECORDS = {
    "label": [{"text": "A fine day.", "label": "good"}, {"text": "今天天气很好。", "label": "good"}],
    "tag": [{"tokens": ["Anna", "sees"], "ner_tags": ["B-PER", "O"]},
            {"tokens": ["北", "京"], "ner_tags": ["B-LOC", "I-LOC"]}],
    "span": [{"question": "How?", "context": "The sea is wide.", "answers": ["wide"]},
             {"question": "海在哪里？", "context": "北京很大。", "answers": []}],
    "pairs": [{"en": "The sea is wide.", "zh": "海很宽。"}],
    "contrast": [{"query": "the sea", "pos": "海很宽。", "neg": "a bad night"}],
    "instruct": [{"instruction": "Where is the sea?", "output": "In the west."},
                 {"prompt": "海在哪里？", "response": "西边。"}],
    "distil": [{"text": "The river flows to the sea."}],
}  # fmt: skip
SHOWN = {
    "label": ["1 good  ", "6 tokens, 0 learnt", "2 good"], "tag": ["1 B-PER O  ", "2 learnt", "2 B-LOC I-LOC"],
    "span": ["[·wide]", "2 no answer", "1 learnt"], "pairs": ["1 en to zh", "[[<|endoftext|>]]", "(·sea)"],
    "contrast": ["1 left", "2 right", "3 hard 1", "0 learnt"], "instruct": ["[[<|im_end|>]]", "((<|im_start|>))"],
    "distil": ["[·river]"],
}  # fmt: skip


def shown(tmp_path, objective, records, capsys):
    tokenizer = given.wordpiece() if objective in ("label", "tag", "span", "contrast") else given.bytes_with_chat()
    folder, file = tmp_path / "tokenizer", tmp_path / "a.jsonl"
    tokenizer.save(folder)
    if objective == "instruct":
        given.CHATML.save(folder)
    file.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    code = main(["prepare", str(file), "--tokenizer", str(folder), "--show", objective, "--skip", "language"])
    return code, capsys.readouterr()


@pytest.mark.parametrize("objective", RECORDS)
def test_examples_are_shown_as_the_objective_asks_for_them(objective, tmp_path, capsys):
    code, said = shown(tmp_path, objective, RECORDS[objective], capsys)
    assert not code, said.err
    assert f"objective {objective}, " in said.out and all(one in said.out for one in SHOWN[objective]), said.out
    assert str(tmp_path / "a.jsonl:1") in said.out


@pytest.mark.parametrize("objective", [name for name in RECORDS if name != "distil"])
def test_an_example_of_another_task_is_told_by_its_place(objective, tmp_path, capsys):
    code, said = shown(tmp_path, objective, [{"text": "A plain text of the sea."}], capsys)
    assert code == 2 and "a.jsonl:1: found plain text, expected " in said.err
