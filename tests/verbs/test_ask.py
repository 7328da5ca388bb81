"""upwell ask over a real index of a few files, searched by words; the models are those that a test names."""

import json

import pytest

from tests.answering.asked import Marks, Says
from tests.verbs.talking import Typed
from upwell import cli
from upwell.answering import calibration
from upwell.answering.index import Index
from upwell.text import Document
from upwell.verbs import ask

MILL = "# The old mill\n\nThe mill was built in 1789 by Anna Gray. It stands on the west bank of the river.\n"
HERONS = "# Herons\n\nGrey herons wait near quiet ponds. They eat fish and frogs.\n"
GUARANTEE = "# 保修\n\n保修期为两年，从购买之日起计算。电池不在保修范围内。\n"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of three files in two collections."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "docs").mkdir()
    for name, text in (("mill.md", MILL), ("herons.md", HERONS)):
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    (folder / "zh.md").write_text(GUARANTEE, encoding="utf-8")
    with Index.open(folder / "index", create=True) as one:
        one.update([folder / "docs"])
        one.update([folder / "zh.md"], collection="zh")
    return folder / "index"


@pytest.fixture(autouse=True)
def sure(monkeypatch):
    """Half of a question's words are enough."""
    monkeypatch.setitem(calibration.BUILT_IN, "", calibration.Calibration({"coverage": 10.0}, -5.0, 0.5, made="here"))


def run(index, *words):
    return cli.main(["ask", *words, "--index", str(index)])


def typed(monkeypatch, text, terminal=False):
    monkeypatch.setattr("sys.stdin", Typed(text.encode(), terminal))


def test_an_answer_comes_with_its_source_and_the_span_in_its_sentence(index, capsys):
    assert run(index, "Who built the mill in 1789?") == 0
    told = capsys.readouterr().out
    assert told.startswith("The mill was built in 1789 by Anna Gray.\n")
    assert "mill.md, The old mill, characters 16 to 56" in told
    assert "«The mill was built in 1789 by Anna Gray.»" in told


def test_a_span_is_shown_inside_of_its_sentence(index, capsys, monkeypatch):
    monkeypatch.setattr(ask, "local", lambda settings, folder, held: Marks("1789"))
    monkeypatch.setattr(ask, "headed", lambda backend, *_: backend)
    assert run(index, "When was the mill built?", "--reader", "anything") == 0
    told = capsys.readouterr().out
    assert told.startswith("1789\n") and "The mill was built in «1789» by Anna Gray." in told


def test_what_the_documents_do_not_say_is_said_and_is_no_mistake(index, capsys):
    assert run(index, "Who won the cup of nations?") == 0
    assert capsys.readouterr().out == "Not in the documents.\n"
    assert run(index, "世界杯冠军是谁？") == 0
    assert capsys.readouterr().out == "文档里没有。\n"


def test_json_holds_all_that_is_known(index, capsys):
    assert run(index, "When was the mill built?", "Who won the cup?", "--json") == 0
    found, refused = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (citation,) = found["citations"]
    assert found["how"] == "sentence" and found["confidence"] >= found["threshold"] == 0.5
    assert MILL[citation["start"] : citation["end"]] == citation["text"] and citation["source"].endswith("mill.md")
    assert found["answer"][citation["first"] : citation["last"]] == citation["text"]
    assert found["passages"][0]["lexical"] > 0 and refused["refused"] and refused["citations"] == []


def test_questions_come_by_standard_input_a_line_each(index, capsys, monkeypatch):
    typed(monkeypatch, "When was the mill built?\n\n保修期是多久？\n")
    assert run(index, "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["question"] for one in told] == ["When was the mill built?", "保修期是多久？"]
    assert told[1]["answer"] == "保修期为两年，从购买之日起计算。"


def test_A1_what_is_written_cites_what_stands_there(index, capsys, monkeypatch):
    writer = Says("Anna Gray built the mill in 1789 [4]. See [the plan](http://evil.example/x).")
    monkeypatch.setattr(ask, "writer_of", lambda settings, held: writer)
    assert run(index, "Who built the mill?", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["how"] == "written" and found["answer"] == "Anna Gray built the mill in 1789."
    assert [one["text"] for one in found["citations"]] == ["The mill was built in 1789 by Anna Gray."]
    assert run(index, "Who built the mill?", "--style", "extractive", "--json") == 0
    assert json.loads(capsys.readouterr().out)["how"] == "sentence"


def test_a_cross_encoder_orders_what_was_found_anew(index, capsys, monkeypatch):
    from tests.answering.encoders import Cross

    monkeypatch.setattr(ask, "local", lambda settings, folder, held: Cross("1789"))
    monkeypatch.setattr(ask, "headed", lambda backend, *_: backend)
    assert run(index, "Who built the mill?", "--cross", "anything", "--json") == 0
    passages = json.loads(capsys.readouterr().out)["passages"]
    assert passages[0]["cross"] > 0.5
    assert [one["cross"] > 0.5 for one in passages] == ["1789" in one["text"] for one in passages]


def test_a_folder_of_labels_reads_question_and_passage(index, tmp_path, capsys):
    from tests.verbs.test_predict import model

    cross = model(tmp_path / "cross", "classify", ("other", "relevant"))
    colours, vectors = model(tmp_path / "colours", "classify", ("blue", "red")), model(tmp_path / "vectors", "embed")
    assert run(index, "When was the mill built?", "--cross", str(vectors)) == 2
    assert "--cross: vectors has the head embed, expected one that says whether" in capsys.readouterr().err
    assert run(index, "When was the mill built?", "--cross", str(cross), "--json") == 0
    assert 0 < json.loads(capsys.readouterr().out)["passages"][0]["cross"] < 1
    assert run(index, "When was the mill built?", "--cross", str(colours)) == 2
    assert "the cross-encoder knows the labels" in capsys.readouterr().err


def test_a_span_models_folder_reads_the_passages(index, tmp_path, capsys):
    from tests.verbs.test_predict import model

    reader, vectors = model(tmp_path / "reader", "span"), model(tmp_path / "vectors", "embed")
    assert run(index, "When was the mill built?", "--reader", str(reader), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (citation,) = found["citations"]
    assert found["how"] in ("span", "sentence") and MILL[citation["start"] : citation["end"]] == citation["text"]
    assert run(index, "When was the mill built?", "--reader", str(vectors)) == 2
    assert "has the head embed, expected one that marks answers" in capsys.readouterr().err
    assert run(index, "When was the mill built?", "--writer", str(vectors)) == 2
    assert "writes no text" in capsys.readouterr().err
    assert run(index, "When was the mill built?", "--encoder", str(vectors)) == 2
    assert "index without vectors" in capsys.readouterr().err


def test_collections_that_are_named_one_by_one_are_all_searched(index, capsys):
    words = ("--collection", "zh", "When was the mill built?", "--collection", "")
    assert run(index, words[2], *words[:2], *words[3:], "--json") == 0
    assert json.loads(capsys.readouterr().out)["citations"]


def test_S5_a_collection_alone_is_searched(index, capsys):
    assert run(index, "When was the mill built?", "--collection", "zh") == 0
    assert capsys.readouterr().out == "Not in the documents.\n"
    assert run(index, "保修期是多久？", "--collection", "zh") == 0
    assert "两年" in capsys.readouterr().out


def test_on_a_terminal_a_question_leans_on_those_before_it(index, capsys, monkeypatch):
    said = iter(["Who built the old mill?", "When was it built?", "", "/clear", "Who won the cup?", None])
    monkeypatch.setattr(ask, "at_terminal", lambda words: lambda prompt: next(said))
    asker = None

    class Terminal(ask.Talk):
        def __init__(self, settings, given):
            nonlocal asker
            super().__init__(settings, given)
            asker = self

    monkeypatch.setattr(ask, "Talk", Terminal)
    typed(monkeypatch, "", terminal=True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run(index) == 0
    told = capsys.readouterr()
    assert told.out.count("The mill was built in 1789 by Anna Gray.") >= 2 and "Not in the documents." in told.out
    assert "understood as: When was it built? (old mill)" in told.err
    assert [one["content"] for one in asker.history] == ["Who won the cup?", ""]


def test_a_mistake_on_a_terminal_ends_nothing(index, capsys, monkeypatch):
    said = iter(["x" * 20_000, "When was the mill built?", "/quit"])
    monkeypatch.setattr(ask, "at_terminal", lambda words: lambda prompt: next(said))
    typed(monkeypatch, "", terminal=True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run(index) == 0
    told = capsys.readouterr()
    assert "20,000 characters" in told.err and "1789" in told.out


def lines(count):
    with_one = [{"question": f"When was the mill number {n} built?", "answerable": True} for n in range(count)]
    without = [{"question": f"Which team won the cup of {1900 + n}?", "answerable": False} for n in range(count)]
    return "".join(json.dumps(one) + "\n" for one in [*with_one, *without])


def test_A2_a_calibration_is_kept_beside_the_index_and_used(index, tmp_path, capsys):
    (tmp_path / "questions.jsonl").write_text(lines(20))
    assert run(index, "--calibrate", str(tmp_path / "questions.jsonl")) == 0
    told = capsys.readouterr()
    assert "What a threshold refuses" in told.out and "100.0% (83.9% to 100.0%)" in told.err
    kept = calibration.load(index)
    assert kept.made == "20 questions with and 20 without an answer, of questions.jsonl" and kept.encoder == ""
    try:
        assert run(index, "When was the mill built?", "--json") == 0
        assert json.loads(capsys.readouterr().out)["threshold"] == round(kept.threshold, 4)
    finally:
        (index / calibration.FILE).unlink()


def test_B1_every_bad_line_of_a_calibration_is_named(index, tmp_path, capsys):
    path = tmp_path / "questions.jsonl"
    bad = ['{"question": "b"}', "no", "[1]", '{"question": 1, "answerable": true}']
    path.write_text("\n".join(['{"question": "a", "answerable": true}', *bad]))
    assert run(index, "--calibrate", str(path)) == 2
    told = capsys.readouterr().err
    assert all(f"questions.jsonl:{number}" in told for number in (2, 3, 4, 5)) and "questions.jsonl:1:" not in told
    path.write_text(lines(5))
    assert run(index, "--calibrate", str(path)) == 2
    assert "found 5 questions with an answer and 5 without one" in capsys.readouterr().err
    path.write_text(lines(20) + '\n{"question": "' + "x" * 20_000 + '", "answerable": true}')
    assert run(index, "--calibrate", str(path)) == 2
    assert "question 41: the question has 20,000 characters" in capsys.readouterr().err
    path.write_bytes(b"\xff\xfe")
    assert run(index, "--calibrate", str(path)) == 2
    assert "no UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("words, said", [
    (["x" * 100_000], "100,000 characters, expected at most 10,000"),
    ([" "], "the question is empty"),
    (["Why?", "--k", "0"], "k is 0"),
    (["Why?", "--threshold", "2"], "threshold 2"),
    (["Why?", "--style", "written"], "--style written needs a model that writes"),
    (["Why?", "--writer", "a", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"], "both --writer a"),
    (["Why?", "--base-url", "http://127.0.0.1:1/v1"], "--base-url and --model go together"),
    (["Why?", "--collection", "nowhere"], "has no collection nowhere"),
    (["Why?", "--calibrate", "x.jsonl"], "questions beside --calibrate"),
    (["--calibrate", "nowhere.jsonl"], "nowhere.jsonl"),
    (["Why?", "--reader", "nowhere"], "nowhere"),
    (["Why?", "--encoder", "nowhere"], "nowhere"),
])  # fmt: skip
def test_B4_what_cannot_be_is_one_sentence(index, words, said, capsys):
    assert run(index, *words) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told


def test_B4_a_folder_that_is_no_index_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path / "nowhere", "Why?") == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_F7_a_damaged_calibration_is_one_sentence(index, tmp_path, capsys):
    (tmp_path / "questions.jsonl").write_text(lines(20))
    (index / calibration.FILE).write_text("{")
    try:
        assert run(index, "When was the mill built?") == 2
        assert "answers.json" in capsys.readouterr().err
        assert run(index, "--calibrate", str(tmp_path / "questions.jsonl")) == 0, "as the message says"
        assert calibration.load(index) is not None
    finally:
        (index / calibration.FILE).unlink()


def test_control_characters_of_a_document_do_not_reach_the_terminal(tmp_path, capsys):
    text = "The mill \x1b[31mwas\x07 built in 1789 by \u202eAnna Gray."
    with Index.open(tmp_path / "index", create=True) as one:
        one.add([Document(text, "evil\x1b[2J.md")])
    assert run(tmp_path / "index", "When was the mill built by Anna Gray?") == 0
    told = capsys.readouterr().out
    assert "1789" in told and not {"\x1b", "\x07", "\u202e"} & {*told}
