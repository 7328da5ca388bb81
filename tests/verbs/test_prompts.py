"""`upwell generate --prompts`: a file of prompts, several answered at once, in order, and going on after a stop."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from tests.generation.fake_server import HELLO, running
from tests.verbs.talking import talking_folder
from upwell import cli
from upwell.generation.settings import Piece, Settings, Usage
from upwell.verbs._asking import Asked, gathered, together

LINES = [
    {"prompt": "The river", "id": "a"},
    "The sea",
    {"messages": [{"role": "user", "content": "你好"}], "max_new": 3, "seed": 5},
    {"prompt": "wide", "temperature": 0},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return talking_folder(tmp_path_factory.mktemp("runs") / "talking")


@pytest.fixture
def prompts(tmp_path):
    return written(tmp_path / "prompts.jsonl", LINES)


def written(path, lines):
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def generate(capsys, *words):
    code = cli.main(["generate", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def answers(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_line_is_answered_as_it_would_be_alone_in_the_order_of_the_file(capsys, folder, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    common = (folder, "--max-new", 8, "--seed", 3)
    assert generate(capsys, *common, "--prompts", prompts, "--out", out, "--n", 2)[0] == 0
    found = answers(out)
    assert [(one["line"], one["sample"]) for one in found] == [(n, s) for n in (1, 2, 3, 4) for s in (0, 1)]
    assert [one["seed"] for one in found] == [3, 4, 5, 6, 5, 6, 9, 10]
    assert [one.get("id") for one in found] == ["a", "a"] + [None] * 6
    assert found[4]["messages"] == LINES[2]["messages"] and len(found[4]["tokens"]) <= 3
    alone = [(folder, "--max-new", 8, "--seed", 6, "--prompt", "The sea"),
             (folder, "--max-new", 3, "--seed", 5, "--prompt", "你好"),
             (folder, "--max-new", 8, "--temperature", 0, "--prompt", "wide")]  # fmt: skip
    for words, at in zip(alone, (3, 4, 7), strict=True):
        assert json.loads(generate(capsys, *words, "--json")[1])["tokens"] == found[at]["tokens"]


def test_without_out_the_answers_go_to_standard_output_and_a_text_file_holds_a_prompt_a_line(capsys, folder, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_bytes("The river\r\n\r\n你好\n".encode("utf-8-sig"))
    code, out, err = generate(capsys, folder, "--prompts", prompts, "--max-new", 4)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [(one["prompt"], one["line"]) for one in found] == [("The river", 1), ("你好", 3)]
    assert "2 answers" in err and "tokens/s" in err and "key" not in found[0]


def test_a_run_goes_on_from_any_byte_at_which_it_was_cut_off_to_the_same_answers(capsys, folder, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    words = (folder, "--max-new", 4, "--seed", 3, "--prompts", prompts, "--out", out)
    generate(capsys, *words)
    whole = out.read_bytes()
    first = whole.index(b"\n") + 1
    for size in (0, 4, first - 1, first, first + 1, first + 200):
        out.write_bytes(whole[:size])
        code, _, err = generate(capsys, *words)
        assert code == 0 and [one["tokens"] for one in answers(out)] == [json.loads(x)["tokens"] for x in
                                                                         whole.splitlines()]  # fmt: skip
        assert ("holds 1 of 4 answers" in err) == (size >= first)
    before = out.read_bytes()
    code, _, err = generate(capsys, *words)
    assert code == 0 and "holds all 4 answers" in err and out.read_bytes() == before


def test_a_drawn_seed_does_not_stand_in_the_way_of_going_on(capsys, folder, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    words = (folder, "--max-new", 4, "--prompts", prompts, "--out", out)
    generate(capsys, *words)
    kept = out.read_bytes().splitlines(keepends=True)[:2]
    out.write_bytes(b"".join(kept))
    assert generate(capsys, *words)[0] == 0
    assert out.read_bytes().splitlines(keepends=True)[:2] == kept and len(answers(out)) == 4


@pytest.mark.parametrize("change", [("--max-new", 5), ("--seed", 4), ("--raw",), ("--n", 2), ("--top-p", 0.5)])
def test_a_file_of_answers_to_something_else_is_refused_and_kept(capsys, folder, prompts, tmp_path, change):
    out = tmp_path / "answers.jsonl"
    words = (folder, "--max-new", 4, "--seed", 3, "--prompts", prompts, "--out", out)
    generate(capsys, *words)
    before = out.read_bytes()
    code, _, err = generate(capsys, *words, *change)
    assert code == 2 and "answers.jsonl:" in err and "name another --out" in err and out.read_bytes() == before


def test_a_file_that_holds_no_answers_is_never_written_over(capsys, folder, prompts, tmp_path):
    for text in (b"notes of mine", b"notes of mine\n", b'{"text": 1}\n', b'{"key": 5}\n'):
        out = tmp_path / "notes.txt"
        out.write_bytes(text)
        code, _, err = generate(capsys, folder, "--prompts", prompts, "--out", out)
        assert code == 2 and "notes.txt:1: found" in err and out.read_bytes() == text


def test_the_other_prompts_of_a_file_may_be_mended_before_it_goes_on(capsys, folder, prompts, tmp_path):
    out = tmp_path / "answers.jsonl"
    words = (folder, "--max-new", 4, "--seed", 3, "--prompts", prompts, "--out", out)
    generate(capsys, *words)
    out.write_bytes(b"".join(out.read_bytes().splitlines(keepends=True)[:2]))
    written(prompts, [*LINES[:3], "another"])
    assert generate(capsys, *words)[0] == 0 and answers(out)[3]["prompt"] == "another"


BAD = [
    ('{"prompt": "x", "max_nw": 3}', "found 'max_nw', did you mean max_new?"),
    ("not json", "expected a JSON object or a JSON text, found 'not json'"),
    ('{"prompt": 5}', "prompt: expected a text, found 5"),
    ('{"prompt": "x", "messages": []}', "expected an object with either prompt or messages"),
    ('{"messages": []}', "found no message, expected at least one"),
    ('{"messages": [{"role": "user", "content": 5}]}', "message 0: found int as its content"),
    ('{"prompt": "x", "top_p": 7}', "top_p: found 7.0, expected a number above 0 and at most 1"),
    ('{"prompt": "x", "top_k": "7"}', "top_k: input should be a valid integer, found '7'"),
    ('{"prompt": "x", "prompt": "y"}', "expected each key once, found 'prompt' twice"),
    ('{"prompt": "\\ud800"}', "half of a surrogate pair"),
    ('{"prompt": "x", "id": "a"}', None),
    ('{"prompt": "x", "id": "a"}', "id: expected one of its own, found 'a' as in line 11"),
    ('{"prompt": "x", "id": [1]}', "id: expected a text or a whole number"),
    ("[" * 100_000, "nested too deeply"),
    ("7", "expected an object with either prompt or messages, found 7"),
]


def test_every_bad_line_is_listed_before_a_model_is_looked_for(capsys, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes("\n".join(line for line, _ in BAD).encode() + b'\n"\xff"\n')
    code, out, err = generate(capsys, tmp_path / "no-model", "--prompts", path, "--out", tmp_path / "out.jsonl")
    wanted = [f"{path}:{number}: " for number, (_, fault) in enumerate(BAD, start=1) if fault] + [f"{path}:16: "]
    lines = err.splitlines()
    assert code == 2 and out == "" and len(lines) == len(wanted)
    for line, place, fault in zip(lines, wanted, [fault for _, fault in BAD if fault] + ["byte 0xff"], strict=True):
        assert line.startswith(place) and fault in line
    assert sorted(tmp_path.iterdir()) == [path]


def test_prompts_that_do_not_fit_are_all_listed_before_anything_is_written(capsys, folder, tmp_path):
    prompts = written(tmp_path / "prompts.jsonl", ["short", "long " * 90, "short", {"prompt": "x", "max_new": 900}])
    code, _, err = generate(capsys, folder, "--prompts", prompts, "--out", tmp_path / "out.jsonl", "--max-new", 4)
    assert code == 2 and [line.split(":")[1] for line in err.splitlines()] == ["2", "4"]
    assert "reads at most 128" in err and not (tmp_path / "out.jsonl").exists()


def test_an_empty_file_and_flags_that_do_not_go_together_are_one_sentence(capsys, folder, tmp_path, prompts):
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    for words, sentence in (
        (["--prompts", tmp_path / "empty.jsonl"], "found no prompt"),
        (["--prompts", tmp_path / "none"], "No such file"),
        (["--out", tmp_path / "x"], "found --out without --prompts"),
        (["--prompts", prompts, "--prompt", "x"], "found both --prompt and --prompts"),
        (["--rows", "0"], "rows: found 0"),
    ):  # fmt: skip
        code, _, err = generate(capsys, folder, *words)
        assert code == 2 and sentence in err and len(err.splitlines()) == 1


def test_a_server_answers_several_prompts_at_once_and_goes_on_after_its_failure(capsys, tmp_path, prompts):
    out = tmp_path / "answers.jsonl"
    with running() as server:
        server.script = [(200, {}, HELLO), (200, {}, HELLO), (400, {}, {"error": "no such thing"})]
        words = ["--base-url", server.url, "--model", "river", "--prompts", prompts, "--out", out, "--rows", 1]
        code, _, err = generate(capsys, *words)
        assert code == 2 and f"{prompts}:3: {server.url}/chat/completions answered 400: no such thing" in err
        assert [one["text"] for one in answers(out)] == ["Hello 世界😀"] * 2
        server.script = [(200, {}, HELLO)] * 3      # one more: the first run may still ask for its fourth answer
        assert generate(capsys, *words)[0] == 0
    assert [one["line"] for one in answers(out)] == [1, 2, 3, 4] and len(server.asked) <= 6


def test_answers_stay_in_order_whichever_is_done_first_and_only_so_many_are_begun():
    begun, most, lock = 0, 0, threading.Lock()

    def ask(asked):
        nonlocal begun, most
        with lock:
            begun += 1
            most = max(most, begun - taken)
        time.sleep(0.02 if asked.line % 3 == 0 else 0)
        yield Piece(f"{asked.line}", (1,), (0.0,))
        yield Piece(finish="stop", usage=Usage(1, 1))

    taken = 0
    for asked, events in together(ask, (Asked("x", Settings(), line) for line in range(40)), workers=4, lead=8):
        assert gathered(asked, "m", events)["text"] == f"{asked.line}" == f"{taken}"
        taken += 1
    assert taken == 40 and most <= 9


def test_a_mistake_is_raised_in_its_place_and_those_before_it_are_there():
    def ask(asked):
        if asked.line == 2:
            raise ValueError("the third")
        return iter([Piece("x", finish="stop")])

    found = []
    with pytest.raises(ValueError, match="the third"):
        for _, events in together(ask, (Asked("x", Settings(), line) for line in range(9)), workers=3, lead=3):
            found.append(list(events))
    assert len(found) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
@pytest.mark.parametrize("how", ["kill", "ctrl-c"])
def test_a_run_that_was_stopped_goes_on_with_no_answer_lost_or_doubled(capsys, tmp_path, how, folder):
    prompts = written(tmp_path / "prompts.jsonl", [f"The river {number}" for number in range(60)])
    out = tmp_path / "answers.jsonl"
    words = [str(word) for word in (folder, "--prompts", prompts, "--out", out, "--seed", 3, "--max-new", 40,
                                    "--min-new", 40, "--rows", 2)]  # fmt: skip
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # whatever started the tests may ignore it
    command = [sys.executable, "-m", "upwell", "generate", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeds)
    until = time.monotonic() + 120
    while not (out.exists() and out.read_bytes().count(b"\n") >= 3) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGINT)
    err = process.communicate(timeout=60)[1].decode()
    kept = out.read_bytes()
    assert 3 <= kept.count(b"\n") < 60, err
    if how == "ctrl-c":
        assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
    assert generate(capsys, *words, "--rows", 16)[0] == 0
    assert out.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert [one["line"] for one in answers(out)] == list(range(1, 61))
    assert [one["seed"] for one in answers(out)] == list(range(3, 63))
