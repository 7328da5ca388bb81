"""`upwell finetune --data FILE`: what files are taken for, what is proposed, shown, and told at the end; bad input."""

import json
import random
import re
from dataclasses import replace

import pytest

from tests.verbs import folders
from tests.verbs.test_finetune import made
from upwell import cli
from upwell.errors import DataError
from upwell.evaluation import Confusion, Number, interval
from upwell.run import checking, opening, taking
from upwell.run import settings as running
from upwell.tokens import markers
from upwell.training import record
from upwell.verbs import finetune

TINY = ["--training.context", "32", "--training.rows", "4", "--training.precision", "float32", "--evaluations", "1"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("encoder"), "bert", folders.wordpiece())


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("decoder"), "llama", folders.bpe(markers.CHAT), markers.template())


def lines(path, make, count=60, seed=1):
    """A file of JSON lines with the fields of made-up examples, as anybody would write them."""
    r = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            fields = dict(make(r).fields)
            fields.pop("task")
            file.write(json.dumps({name: value for name, value in fields.items() if value != ""}) + "\n")
    return path


def run(*words):
    return cli.main(["finetune", *map(str, words)])


def said(capsys):
    found = capsys.readouterr()
    return " ".join(found.err.split()), found.out


TASKS = [("label", folders.label, "label", "minilm-l6"), ("tag", folders.tags, "tag", "minilm-l6"),
         ("answer", folders.answer, "span", "minilm-l6"), ("pair", folders.pair, "contrast", "minilm-l6"),
         ("chat", folders.chat, "instruct", "smollm2-135m")]  # fmt: skip


@pytest.mark.parametrize("task, make, objective, model", TASKS, ids=[one[0] for one in TASKS])
def test_a_file_is_taken_for_its_task_and_a_model_is_proposed(tmp_path, capsys, task, make, objective, model):
    file = lines(tmp_path / "data.jsonl", make)
    found = taking.looked(file)
    assert (found.task, found.count, found.whole) == (task, 60, True)
    assert found.objective("decoder" if task == "chat" else "encoder") == objective
    assert f"is taken for {taking.WHAT[task]} (all 60 examples have" in found.told(objective, "encoder")
    assert run("--data", file) == 2
    assert f"upwell finetune --data {file} --model {model}" in said(capsys)[0]


def test_a_folder_of_other_layouts_is_taken_for_its_task(tmp_path):
    (tmp_path / "a.csv").write_text("review,sentiment\ngood fish,1\nbad fish,0\n", encoding="utf-8")
    assert "is taken for texts with labels (all 2 examples have a text and one label: 1 1, 0 1), so the objective " \
           "is label." in taking.looked(tmp_path).told("label", "encoder")  # fmt: skip
    (tmp_path / "b.jsonl").write_text('{"instruction": "Say fish", "output": "fish"}\n', encoding="utf-8")
    unsure = taking.looked(tmp_path)
    assert unsure.task == "" and unsure.objective("decoder") == ""
    assert f"2 texts with labels (first {tmp_path}/a.csv:2), 1 chats (first {tmp_path}/b.jsonl:1)" in unsure.unsure()


def test_labels_of_two_texts_are_told_as_such(tmp_path):
    two = [{"premise": "a fish swims", "hypothesis": f"fish {n} sleeps", "label": "no"} for n in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in two), encoding="utf-8")
    assert "have two texts and one label: no 4" in taking.looked(tmp_path).told("label", "encoder")
    (tmp_path / "b.jsonl").write_text('{"text": "a fish", "label": "no"}\n', encoding="utf-8")
    assert "have a text and one label: " in taking.looked(tmp_path).told("label", "encoder")


def test_what_was_not_said_is_proposed_and_what_was_said_stays(encoder, tmp_path):
    file = lines(tmp_path / "data.jsonl", folders.label)
    words = ["--data", str(file), "--model", str(encoder)]
    kind = finetune.kind(words)
    usual = kind(encoder, file)
    assert usual.training.context == 64 and usual.leaks == "drop" and usual.epochs == 10.0 and usual.lora.rank == 0
    assert usual.training.optim.rate == taking.RATES["label"] and usual.learn.problem == "auto"
    from upwell.settings import parse

    given = parse(kind, [*words, "--epochs", "2", "--training.optim.rate", "1e-3", "--leaks", "keep"], "finetune")
    assert (given.epochs, given.training.optim.rate, given.leaks, given.training.rows) == (2.0, 1e-3, "keep", 16)
    plain = finetune.kind([str(encoder), str(tmp_path / "none")])(encoder, file)
    assert plain.training == finetune.gentle() and plain.epochs == 3.0 and plain.leaks == "keep"


def test_adapters_are_proposed_where_the_memory_is_less_than_the_whole_model_takes(encoder, tmp_path):
    taken = taking.looked(lines(tmp_path / "data.jsonl", folders.label))
    count = taking.parameters(encoder)
    assert count == sum(p.numel() for p in __import__("upwell").load(encoder).model.parameters())
    need = taking.BYTES * taking.ROOM * count / 2**30
    for memory, rank in ((need * 0.99, taking.RANK), (need * 1.01, 0)):
        assert taking.proposed(taken, "label", encoder, finetune.gentle(), memory).lora.rank == rank


def test_places_are_found_with_and_without_flags():
    for words in (["A", "B", "--epochs", "2"], ["--epochs", "2", "A", "B"], ["--data", "B", "--model", "A"],
                  ["--model=A", "--data=B"], ["A", "--data", "B"]):  # fmt: skip
        assert [str(one) for one in finetune.places(words)] == ["A", "B"], words
    assert finetune.Settings(both=("A", "B")).model == "A" and finetune.Settings("A", both=("B",)).data == "B"
    with pytest.raises(ValueError, match="found A without a flag"):
        finetune.Settings(both=("A",))


def test_a_file_is_prepared_shown_learnt_and_measured_before_and_after(encoder, tmp_path, capsys):
    file, out = lines(tmp_path / "data.jsonl", folders.label, 120), tmp_path / "out"
    words = ["--data", file, "--model", encoder, "--out", out, "--epochs", "8", "--training.optim.rate", "3e-3", *TINY]
    assert run(*words) == 0
    told, shown = said(capsys)
    assert "so the objective is label" in told and "before the first step, held out: loss" in told
    assert "0.003 │ as you said" in " ".join(shown.split()) and "--heldout" in shown
    assert "[learnt] (read)" in " ".join(shown.split()) and "((" in shown, "three examples with what is learnt of them"
    assert f"{file}:" in shown and "held out, with 95 % intervals" in shown
    assert f'Use it with: upwell predict {out} "a text"' in told
    found = [line for line in record.read(out / "metrics.jsonl") if "evaluation" in line]
    assert [line["step"] for line in found][0] == 0 and found[-1]["evaluation"]["accuracy"]["value"] == 1.0
    items = sum(map(sum, found[-1]["confusion"]["counts"]))
    assert found[-1]["confusion"]["labels"] == ["no", "yes"]
    assert items == len((out / "data" / "heldout.jsonl").read_text().splitlines()) > 5
    assert (out / "confusion.png").stat().st_size > 5000
    assert run(*words) == 0  # it is done: nothing is shown again, nothing is trained
    told, shown = said(capsys)
    assert "before the first step" not in told and "(read)" not in shown and "before" in shown
    assert cli.main(["predict", str(out), "great lovely fine river", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["label"] == "yes"


@pytest.mark.slow
def test_chats_of_a_file_are_learnt_and_answers_stand_beside_references(decoder, tmp_path, capsys):
    file, out = lines(tmp_path / "data.jsonl", folders.chat, 200), tmp_path / "out"
    assert run("--data", file, "--model", decoder, "--out", out, *TINY, "--epochs", "1", "--answers", "3", "--samples",
               "0", "--leaks", "keep") == 0  # fmt: skip
    told, shown = said(capsys)
    assert "so the objective is instruct" in told
    assert "-> " in shown and "== " in shown and f"Use it with: upwell generate {out}" in told


@pytest.mark.slow
def test_spans_keep_a_few_answers_beside_their_references(encoder, tmp_path):
    data, out = folders.folder(tmp_path / "data", folders.answer, folders.wordpiece()), tmp_path / "out"
    assert run("--data", data, "--model", encoder, "--out", out, *TINY, "--epochs", "1", "--leaks", "keep") == 0
    held = [json.loads(line)["fields"] for line in (data / "heldout.jsonl").read_text().splitlines()]
    line = [line for line in record.read(out / "metrics.jsonl") if line.get("samples")][-1]
    assert [one["reference"] for one in line["samples"]] == [one["answers"][0] for one in held[:3]]
    assert line["samples"][0]["prompt"] == "Which word is last?"


# ---- bad input ----


def test_all_examples_that_are_too_long_are_listed_or_cut_and_counted(encoder, tmp_path, capsys):
    file = lines(tmp_path / "data.jsonl", folders.label, 60)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number in (3, 17, 30, 44):
        rows[number]["text"] += " river" * (40 + number)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--data", file, "--model", encoder, "--out", tmp_path / "out", *TINY, "--epochs", "1"]
    assert run(*words) == 2
    told, _ = said(capsys)
    assert "4 examples cannot be learnt or measured" in told
    for number in (4, 18, 31, 45):
        assert re.search(rf"{file}:{number}: found \d+ tokens, expected at most 30, so many places", told)


@pytest.mark.slow
def test_what_is_cut_is_counted(encoder, tmp_path, capsys):
    file = lines(tmp_path / "data.jsonl", folders.label, 60)
    file.write_text(file.read_text().replace('"text": "', f'"text": "{"river " * 40}', 4))
    words = ["--data", file, "--model", encoder, "--out", tmp_path / "out", *TINY, "--epochs", "1"]
    assert run(*words, "--learn.cut") == 0
    assert sum(map(int, re.findall(r"part (\d+) texts are longer", said(capsys)[0]))) == 4


def test_one_class_only_is_refused(encoder, tmp_path, capsys):
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps({"text": f"{folders.sentence(random.Random(n))} {n}", "label": "yes"}) + "\n"
                            for n in range(40)))  # fmt: skip
    assert run("--data", file, "--model", encoder, "--out", tmp_path / "out", *TINY) == 2
    assert "found the label yes alone, expected two or more; add texts with another label" in said(capsys)[0]
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_all_labels_that_the_learnt_part_does_not_have_are_listed(encoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.label, folders.wordpiece())
    held = [json.loads(line) for line in (data / "heldout.jsonl").read_text().splitlines()]
    for number, label in ((2, "maybe"), (5, "perhaps"), (9, "never")):
        held[number]["source"] = f"extra.csv:{number}"
        held[number]["fields"]["label"] = label
    (data / "heldout.jsonl").write_text("".join(json.dumps(one) + "\n" for one in held))
    assert run("--data", data, "--model", encoder, "--out", tmp_path / "out", *TINY) == 2
    told, _ = said(capsys)
    for number, label in ((2, "maybe"), (5, "perhaps"), (9, "never")):
        assert f"extra.csv:{number}: found the label '{label}', expected one that the model learns: no, yes" in told


@pytest.mark.slow
def test_a_head_with_other_labels_is_told_before_it_is_replaced(encoder, tmp_path, capsys):
    first = lines(tmp_path / "first.jsonl", folders.label, 60)
    assert run("--data", first, "--model", encoder, "--out", tmp_path / "one", *TINY, "--epochs", "1") == 0
    other = tmp_path / "other.jsonl"
    other.write_text(first.read_text().replace('"yes"', '"good"').replace('"no"', '"bad"'))
    capsys.readouterr()
    assert run("--data", other, "--model", tmp_path / "one", "--out", tmp_path / "two", *TINY, "--epochs", "1") == 0
    told, _ = said(capsys)
    assert "has a head for no, yes, and the data have bad, good: a new head learns these" in told


def test_answers_that_do_not_stand_in_their_text_are_all_listed(encoder, tmp_path, capsys):
    file = lines(tmp_path / "data.jsonl", folders.answer, 60)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number in (5, 20, 33):
        rows[number]["answers"] = ["a heron of gold"]
    for number, row in enumerate(rows):
        row["question"] = f"Which word is last in {number}?"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--data", file, "--model", encoder, "--out", tmp_path / "out", *TINY, "--epochs", "1"]
    assert run(*words) == 2
    told, _ = said(capsys)
    for number in (6, 21, 34):
        assert f"{file}:{number}: found the answer 'a heron of gold', which does not stand in its text" in told
    assert "ask it as no answer (--learn.lost)" in told


def test_parallel_files_of_unequal_length_and_empty_lines_are_refused_together(encoder, tmp_path, capsys):
    folder = tmp_path / "texts"
    folder.mkdir()
    one, other = [f"river {n}" for n in range(200)], [f"Fluss {n}" for n in range(199)]
    other[4] = ""
    (folder / "a.en").write_text("\n".join(one) + "\n")
    (folder / "a.de").write_text("\n".join(other) + "\n")
    assert run("--data", folder, "--model", encoder, "--out", tmp_path / "out", *TINY) == 2
    told, _ = said(capsys)
    assert "expected a text in both files, found an empty line in de" in told
    assert "expected as many lines in both files, found" in told and "their lines do not belong together" in told
    assert not (tmp_path / "out" / "data").exists()
    (folder / "a.de").write_text("\n".join(other[:150]) + "\n")
    assert run("--data", folder, "--model", encoder, "--out", tmp_path / "out", *TINY) == 2
    assert f"found 150 in {folder}/a.de and 200 in {folder}/a.en: their lines do not belong" in said(capsys)[0]


def test_all_chats_without_an_assistant_turn_are_listed(decoder, tmp_path, capsys):
    file = lines(tmp_path / "data.jsonl", folders.chat, 30)
    rows = file.read_text().splitlines()
    for number in (2, 11):
        rows[number] = '{"messages": [{"role": "user", "content": "Say fish"}]}'
    file.write_text("\n".join(rows) + "\n")
    assert run("--data", file, "--model", decoder, "--out", tmp_path / "out", *TINY) == 2
    told, _ = said(capsys)
    for number in (3, 12):
        assert f"{file}:{number}: expected messages to hold a turn of assistant, found none: nothing would be" in told


def test_an_empty_held_out_part_is_refused(encoder, tmp_path, capsys):
    data = folders.folder(tmp_path / "data", folders.label, folders.wordpiece())
    (data / "heldout.jsonl").write_text("")
    assert run("--data", data, "--model", encoder, "--out", tmp_path / "out", *TINY) == 2
    assert f"{data / 'heldout'} holds no example; expected a text with a label or more" in said(capsys)[0]


def test_a_model_without_the_shape_for_the_task_is_refused_before_anything_is_prepared(decoder, encoder, tmp_path,
                                                                                       capsys):  # fmt: skip
    answers, chats = (lines(tmp_path / f"{make.__name__}.jsonl", make, 30) for make in (folders.answer, folders.chat))
    for data, model, told in ((answers, decoder, "span is learnt by encoders, and this llama model has the shape"),
                              (chats, encoder, "instruct is learnt by decoders, and this bert model has the shape")):
        assert run("--data", data, "--model", model, "--out", tmp_path / "out", *TINY) == 2
        assert told in said(capsys)[0] and not (tmp_path / "out" / "data").exists()


def leaking(path, task):
    """A prepared folder whose held-out part repeats three learnt examples in other letters."""
    make = {"label": folders.label, "answer": folders.answer}[task]
    counter = iter(range(999))

    def numbered(r):
        one = make(r)
        fields = one.fields | ({"question": f"Which is {next(counter)} ?"} if task == "answer" else {})
        return replace(one, fields=fields, source=f"made:{next(counter)}")

    folders.folder(path, numbered, folders.wordpiece())
    learnt, held = ([json.loads(line) for line in (path / f"{name}.jsonl").read_text().splitlines()]
                    for name in ("train", "heldout"))  # fmt: skip
    for number in (1, 4, 7):
        name = "question" if task == "answer" else "text"
        held[number]["fields"][name] = learnt[number]["fields"][name].upper().replace(" ", "  ")
    (path / "heldout.jsonl").write_text("".join(json.dumps(one) + "\n" for one in held))
    return path


@pytest.mark.parametrize("task, what", [("label", "text"), ("answer", "question")])
def test_a_split_that_leaks_is_counted_and_refused_or_left_out_of_measuring(encoder, tmp_path, capsys, task, what):
    data = leaking(tmp_path / "data", task)
    assert run("--data", data, "--model", encoder, "--out", tmp_path / "out", *TINY, "--leaks", "refuse") == 2
    told = f"3 of 12 held-out examples have the same {what} as a learnt one, first made:"
    assert told in said(capsys)[0] and not (tmp_path / "out" / "model.safetensors").exists()
    held = (data / "heldout.jsonl").read_text().splitlines()
    s = finetune.Settings(encoder, data)
    parts = [opening.part(s, name, folders.wordpiece(), folders.wordpiece(), None) for name in ("train", "heldout")]
    assert checking.apart(*parts, "keep", tmp_path / "cache") is parts[1]
    assert told in said(capsys)[0] and not (tmp_path / "cache").exists()
    left = checking.apart(*parts, "drop", tmp_path / "cache")
    assert f"{told}" in said(capsys)[0] and left.store.documents == 9
    assert [one.source for one in left.documents()] == [
        json.loads(line)["source"] for number, line in enumerate(held) if number not in (1, 4, 7)]  # fmt: skip
    with pytest.raises(DataError, match="so nothing is left to measure"):
        checking.apart(parts[0], parts[0], "drop", tmp_path / "cache")


def test_data_that_are_not_there_or_hold_nothing_are_told(encoder, tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text("")
    for data in ("none.csv", "empty.jsonl"):
        assert run("--data", tmp_path / data, "--model", encoder, "--out", tmp_path / "out") == 2
        told, _ = said(capsys)
        assert data in told and "Traceback" not in told
    assert run("--data", tmp_path / "none.csv", "--model", encoder, "--learn.problem", "number") == 2
    assert "none.csv is not there" in said(capsys)[0], "and not that the flag is unknown"
    assert run("--model", encoder) == 2
    assert "no data are named" in said(capsys)[0]
    assert run("--data", tmp_path / "empty.jsonl", "--model", tmp_path / "nowhere") == 2


# ---- what is told at the end ----


def test_intervals_are_1_96_errors_and_shares_stay_between_none_and_all():
    assert interval("loss", Number(2.0, 0.5)) == "2.0000 (1.0200 to 2.9800)"
    assert interval("accuracy", Number(0.9, 0.1, 30)) == "0.9000 (0.7040 to 1.0000)"
    assert interval("accuracy", Number(1.0, 0.0, 30)) == "1.0000 (0.9000 to 1.0000)", "the rule of three"
    assert interval("loss", Number(2.0, 0.0, 1)) == "2.0000", "one batch has no spread"
    assert interval("bleu", Number(60.0, 10.0)) == "60.0000 (40.4000 to 79.6000)"


def test_a_table_of_many_labels_is_shown_with_the_rest_as_one():
    counts = tuple(tuple(10 * (y == x) + (y > x) for x in range(30)) for y in range(30))
    shown = Confusion(tuple(f"l{n}" for n in range(30)), counts).shown(10)
    assert len(shown.labels) == 10 and shown.labels[-1] == "21 others"
    assert sum(map(sum, shown.counts)) == sum(map(sum, counts))
    assert all(label in shown.labels for label in shown.labels[:9]) and shown.counts[0][0] == 10


def test_examples_that_are_the_same_have_one_key():
    r = random.Random(1)
    for make in (folders.label, folders.pair, folders.chat, folders.answer, folders.tags):
        one, other = make(r), make(r)
        assert checking.key(one) == checking.key(one) and isinstance(checking.key(other), int)
    one = folders.chat(random.Random(2))
    answered = replace(one, fields=one.fields | {"messages": [*one.fields["messages"][:1],
                                                              {"role": "assistant", "content": "else"}]})  # fmt: skip
    assert checking.key(one) == checking.key(answered), "the question counts, not the answer"


def test_tasks_and_objectives_belong_together():
    assert set(running.TASKS) == set(taking.MODELS) == set(taking.WHAT) - {"plain"}
    with pytest.raises(DataError, match="is not there"):
        taking.looked(taking.Path("nowhere.jsonl"))


def test_chats_for_a_model_without_a_template_are_refused_before_anything_is_prepared(tmp_path, capsys):
    plain = made(tmp_path / "plain", "llama", folders.bpe(()))
    data = lines(tmp_path / "chats.jsonl", folders.chat)
    assert run("--data", data, "--model", plain, "--out", tmp_path / "out") == 2
    err, _ = said(capsys)
    assert "has no chat template" in err and "upwell tokenizer TEXTS --chat" in err and not (tmp_path / "out").exists()
