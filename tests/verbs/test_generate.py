import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.generation.fake_server import HELLO, running
from tests.model.test_several import adapter
from tests.text import chats
from tests.verbs.talking import Typed, plain_folder, talking_folder
from upwell import cli
from upwell.errors import SettingsError
from upwell.model import hub, lora
from upwell.verbs._models import Which


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return plain_folder(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(autouse=True)
def nothing_typed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed())


def upwell(capsys, *words):
    code = cli.main(["generate", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_text_goes_to_stdout_and_the_news_to_stderr(capsys, folder):
    code, out, err = upwell(capsys, folder, "--prompt", "The", "--max-new", 12, "--seed", 3)
    assert code == 0 and out.endswith("\n")
    assert "12 tokens" in err and "seed 3" in err and "tokens" not in out


def test_json_holds_the_same_text_with_tokens_timings_and_seed(capsys, folder):
    _, plain, _ = upwell(capsys, folder, "--prompt", "The", "--max-new", 12, "--seed", 3)
    code, out, _ = upwell(capsys, folder, "--prompt", "The", "--max-new", 12, "--seed", 3, "--json")
    found = json.loads(out)
    assert code == 0 and found["text"] + "\n" == plain and found["prompt"] == "The"
    assert len(found["tokens"]) == len(found["logprobs"]) == found["usage"]["new"] <= 12
    assert found["seed"] == 3 and found["finish"] in ("stop", "length")
    times = found["timings"]
    assert set(times) == {"import_seconds", "load_seconds", "first_token_seconds", "seconds", "tokens_per_second"}
    assert 0 < times["first_token_seconds"] <= times["seconds"] and times["tokens_per_second"] > 0


def test_json_tells_the_likeliest_tokens_and_all_texts_of_a_beam_search_where_they_are_asked_for(capsys, folder):
    tops = found(capsys, folder, "--prompt", "The", "--top-logprobs", 2, "--strategy", "greedy")
    assert [top[0][0] for top in tops["top_logprobs"]] == tops["tokens"]
    assert [top[0][1] for top in tops["top_logprobs"]] == pytest.approx(tops["logprobs"])
    wide = found(capsys, folder, "--prompt", "The", "--strategy", "beam", "--best", 3)
    assert [one["text"] for one in wide["ranking"]][0] == wide["text"] and len(wide["ranking"]) == 3
    scores = [one["score"] for one in wide["ranking"]]
    assert scores == sorted(scores, reverse=True)


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    return talking_folder(tmp_path_factory.mktemp("runs") / "talking")


def found(capsys, *words):
    code, out, err = upwell(capsys, *words, "--max-new", 8, "--seed", 3, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_model_with_a_chat_template_is_spoken_to_in_it_unless_it_is_to_go_on(capsys, folder, talking):
    checkpoint = hub.load(talking)
    read = len(checkpoint.template.ids(chats.said("The river"), checkpoint.tokenizer))
    text = len(checkpoint.tokenizer.encode("The river")) + 1
    asked = [found(capsys, talking, "--prompt", "The river", *more) for more in ((), ("--chat",), ("--raw",))]
    assert [one["usage"]["prompt"] for one in asked] == [read, read, text] and asked[0]["prompt"] == "The river"
    assert asked[0]["tokens"] == asked[1]["tokens"] != asked[2]["tokens"]
    assert found(capsys, talking, "--prompt", "")["usage"]["prompt"] == 1
    plain = [found(capsys, folder, "--prompt", "The river", *more)["usage"]["prompt"] for more in ((), ("--chat",))]
    assert plain[0] < plain[1]


def test_a_beam_search_is_asked_for_by_its_name(capsys, folder):
    wide, wider, greedy = (found(capsys, folder, "--prompt", "The", *more) for more in (
        ("--strategy", "beam"), ("--strategy", "beam", "--beams", 9), ("--strategy", "beam", "--beams", 1)))
    assert found(capsys, folder, "--prompt", "The", "--strategy", "greedy")["tokens"] == greedy["tokens"]
    assert sum(wide["logprobs"]) >= sum(greedy["logprobs"]) and wider["finish"] in ("stop", "length")


def test_several_texts_have_seeds_of_their_own_that_give_the_same_text_again(capsys, folder):
    _, out, _ = upwell(capsys, folder, "--n", 3, "--seed", 7, "--max-new", 10, "--json")
    several = [json.loads(line) for line in out.splitlines()]
    assert [one["seed"] for one in several] == [7, 8, 9]
    _, out, _ = upwell(capsys, folder, "--seed", 8, "--max-new", 10, "--json")
    assert json.loads(out)["tokens"] == several[1]["tokens"]


def test_without_a_seed_the_one_that_was_drawn_is_told(capsys, folder):
    _, out, _ = upwell(capsys, folder, "--max-new", 10, "--json")
    first = json.loads(out)
    _, out, _ = upwell(capsys, folder, "--max-new", 10, "--json", "--seed", first["seed"])
    assert json.loads(out)["tokens"] == first["tokens"]


def test_the_prompt_may_come_by_standard_input(capsys, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed("你好\r\n".encode()))
    _, out, _ = upwell(capsys, folder, "--json", "--max-new", 3)
    assert json.loads(out)["prompt"] == "你好"
    monkeypatch.setattr(sys, "stdin", Typed(b"\xff\xfe"))
    code, out, err = upwell(capsys, folder)
    assert code == 2 and out == "" and "byte 0 is no UTF-8" in err


def test_no_prompt_at_all_begins_a_document(capsys, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed(terminal=True))
    _, out, _ = upwell(capsys, folder, "--json", "--max-new", 3)
    assert json.loads(out)["prompt"] == "" and json.loads(out)["usage"]["prompt"] == 1


def test_without_a_folder_the_newest_run_is_taken_and_named(capsys, folder, tmp_path, monkeypatch):
    for name, age in (("old", 100), ("new", 0), ("older", 200)):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        for file in folder.iterdir():
            (run / file.name).write_bytes(file.read_bytes())
        stamp = 1_700_000_000 - age
        os.utime(run / "config.json", (stamp, stamp))
    monkeypatch.chdir(tmp_path)
    code, out, err = upwell(capsys, "--prompt", "The", "--max-new", 2, "--json")
    assert code == 0 and json.loads(out)["model"] == "new"
    assert os.path.join("runs", "new") in err and "newest run" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--top-p", "7"], "top_p: found 7.0, expected a number above 0 and at most 1"),
        (["--n", "0"], "n: found 0, expected 1 to 256"),
        (["--max-new", "500"], "max_new asks for 500, together 501, but the model reads at most 128"),
        (["--device", "abacus"], "device: abacus cannot be used here"),
        (["--strategy", "gredy"], "'gredy'.*did you mean greedy"),
        (["--banned", "100000"], "banned: found the token id 100000"),
        (["--chat", "--raw"], "found both --chat and --raw"),
        (["--beams", "0"], "beams: found 0, expected a whole number from 1"),
        (["--model", "x"], "--base-url and --model go together"),
        (["--base-url", "http://127.0.0.1:9/v1", "--model", "x"], "expected one of them"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(capsys, folder, words, sentence):
    code, out, err = upwell(capsys, folder, *words)
    assert code == 2 and out == "" and "Traceback" not in err
    assert re.search(sentence, err), err


def test_an_adapter_writes_what_the_model_with_it_merged_writes(capsys, folder, tmp_path):
    checkpoint = hub.load(folder)
    thin, wrapped = adapter(checkpoint.model, tmp_path / "runs" / "mine" / "adapter", 1)
    hub.save(replace(checkpoint, model=lora.unwrap(lora.merge(wrapped))), tmp_path / "merged")
    asked = ("--prompt", "The", "--max-new", 12, "--strategy", "greedy", "--json")
    merged, plain = found(capsys, tmp_path / "merged", *asked), found(capsys, folder, *asked)
    for given, name in ((thin, "adapter"), (f"mine={thin}", "mine"), (thin.parent, "mine")):
        one = found(capsys, folder, *asked, "--adapter", given)
        assert one["tokens"] == merged["tokens"] != plain["tokens"] and one["model"] == name
    code, _, err = upwell(capsys, folder, *asked, "--adapter", thin, thin)
    assert code == 2 and "found 2, expected one" in err
    code, _, err = upwell(capsys, folder, *asked, "--adapter", tmp_path)
    assert code == 2 and "adapter_config.json" in err


def test_what_only_a_folder_can_do_is_refused_for_a_server():
    server = {"base_url": "http://127.0.0.1:9/v1", "model": "x"}
    with pytest.raises(SettingsError, match="found --deterministic beside --base-url, expected a folder"):
        Which(**server, deterministic=True)
    with pytest.raises(SettingsError, match="found --draft beside --base-url"):
        Which(**server, draft=Path("small"))


def test_a_folder_that_is_no_checkpoint_is_one_sentence_and_exit_code_2(capsys, tmp_path, monkeypatch):
    for folder in (tmp_path, tmp_path / "missing"):
        code, out, err = upwell(capsys, folder, "--prompt", "The")
        assert code == 2 and out == "" and str(folder) in err and len(err.splitlines()) == 1
    monkeypatch.chdir(tmp_path)
    code, _, err = upwell(capsys, "--prompt", "The")
    assert code == 2 and "no model there" in err and "upwell quickstart" in err


def test_a_server_stands_in_for_a_folder(capsys, monkeypatch):
    monkeypatch.setenv("UPWELL_API_KEY", "key-123")
    with running() as server:
        server.script = [(200, {}, HELLO), (200, {}, HELLO)]
        words = ["--base-url", server.url, "--model", "river", "--prompt", "The", "--n", 2, "--seed", 1]
        code, out, err = upwell(capsys, *words)
    assert code == 0 and out == "Hello 世界😀\n" * 2 and "5 tokens" in err
    assert sorted(asked["seed"] for asked in server.asked) == [1, 2] and server.asked[0]["model"] == "river"
    assert server.headers[0]["Authorization"] == "Bearer key-123"
