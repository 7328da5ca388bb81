"""`upwell faq`: a file of questions and answers is asked, looked over and served."""

import io
import json
import sys
from pathlib import Path

import httpx
import pytest

from tests.answering.shop import QUESTIONS
from tests.serving.process import serving
from upwell import cli
from upwell.errors import SettingsError
from upwell.verbs import _faq
from upwell.verbs.faq import Settings

ALONE = ("--encoder", "none")


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("question,answer\n" + "".join(f'"{one}","{other}"\n' for one, other in QUESTIONS), encoding="utf-8")
    return path


def run(*words):
    return cli.main(["faq", *map(str, words)])


def test_questions_are_answered_and_the_note_says_why(shop, capsys):
    assert run(shop, *ALONE, "--ask", "how can i pay", "who wrote Hamlet", "--contact", "Call 555-0100.") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "By card or PayPal." and "555-0100" in out
    assert "answer · score 1.00" in err and "shop.csv:6" in err and "hand over" in err


def test_json_is_one_object_a_question_with_its_options(shop, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"how can i pay\n\nreturn it?\n")))
    assert run(shop, *ALONE, "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["kind"] == "answer" and first["answer"] == "By card or PayPal." and first["entry"]
    assert second["kind"] == "ask" and len(second["options"]) >= 2 and second["answer"]
    assert {"id", "question", "score"} == set(second["options"][0])


def test_misses_are_shown_with_what_is_missing(shop, capsys):
    assert run(shop, *ALONE, "--misses") == 0 and "nothing was missed" in capsys.readouterr().err
    run(shop, *ALONE, "--ask", "paint my bicycle", "a painted bicycle", "who is anna.b@gmail.com")
    capsys.readouterr()
    assert run(shop, *ALONE, "--misses") == 0
    out = capsys.readouterr().out
    assert "entries that are missing" in out and "bicycle" in out and "gmail" not in out
    assert shop.with_name("shop.misses.sqlite").is_file()
    assert run(shop, *ALONE, "--misses", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows].count("miss") == 3 and rows[0]["count"] == 2


def test_check_shows_entries_that_are_too_alike(shop, capsys):
    with shop.open("a") as file:
        file.write("How long does a delivery take?,Three days.\n")
    assert run(shop, *ALONE, "--check", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["question"], row["other_question"]) for row in rows} >= {
        ("How long does a delivery take?", "How long does delivery take?"),
        ("How long does delivery take?", "How long does a delivery take?"),
    }
    assert all(0 <= row["score"] <= 1 for row in rows)
    assert run(shop, *ALONE, "--check") == 0 and "are near another one" in capsys.readouterr().err


def test_a_file_with_faults_is_told_before_anything_is_loaded(shop, capsys):
    with shop.open("a") as file:
        file.write(",no question\nno answer,\n")
    assert run(shop, "--encoder", "nowhere/at-all", "--ask", "x") == 2
    err = capsys.readouterr().err
    assert "shop.csv:12" in err and "shop.csv:13" in err and "Traceback" not in err


@pytest.mark.parametrize("words, told", [
    (("--ask", "x", "--check"), "expected one of them"), (("--ask", " "), "empty"), (("--ask", "x" * 2000), "1,000"),
    (("--webhook", "nowhere"), "webhook"), (("--webhook-secret-file", "x"), "--webhook"),
    (("--webhook", "http://127.0.0.1/", "--webhook-secret-file", "nowhere"), "can't be read"),
    (("--widget-rate", "0"), "widget_rate"), (("--encoder", "nowhere"), "nowhere")])  # fmt: skip
def test_a_mistake_is_one_sentence(shop, capsys, words, told):
    given = () if "--encoder" in words else ALONE
    more = () if "--ask" in words else ("--ask", "x")
    assert run(shop, *given, *words, *more) == 2
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err


def test_a_file_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path / "none.csv", "--ask", "x") == 2 and "cannot be read" in capsys.readouterr().err


def test_what_is_for_customers_needs_an_faq():
    from upwell.verbs import serve

    with pytest.raises(SettingsError, match="--widget-origins goes with --faq"):
        serve.Settings(widget_origins=("https://shop.example",))
    with pytest.raises(SettingsError, match="--faq-encoder goes with --faq"):
        serve.Settings(faq_encoder="none", widget_rate=7)
    assert serve.Settings(faq="x.csv", contact="x").contact == "x"


def test_the_language_of_the_questions_and_what_auto_takes(capsys, monkeypatch):
    from upwell.answering.faq_entries import Entry

    chinese = [Entry("1", "几点开门？", "九点。"), Entry("2", "在哪里？", "波恩。")]
    assert _faq.language_of(chinese) == "zh"
    monkeypatch.setattr("upwell.weights.place_of", lambda name: Path("nowhere"))
    assert _faq.encoder_of("auto") is None and "words alone" in capsys.readouterr().err
    monkeypatch.setattr("upwell.weights.place_of", lambda name: Path.cwd())
    assert str(_faq.encoder_of("auto")) == "minilm-l6"
    assert _faq.language_of([Entry("1", "Where are you?", "Here.", language="en-GB")]) == "en"
    assert _faq.encoder_of("none") is None and str(_faq.encoder_of("a/b")) == "a/b"


def test_a_served_faq_answers_a_named_site_without_the_key_and_the_owner_with_it(shop, tmp_path):
    (tmp_path / "key").write_text("k3y\n")
    flags = (
        "--faq",
        shop,
        "--faq-encoder",
        "none",
        "--api-key-file",
        tmp_path / "key",
        "--widget-origins",
        "https://shop.example",
    )
    with serving(*flags) as process:
        body = {"question": "How can I pay?"}
        visitor = httpx.post(f"{process.address}/faq/ask", json=body, headers={"Origin": "https://shop.example"})
        assert visitor.json()["answer"] == "By card or PayPal."
        assert httpx.post(f"{process.address}/faq/ask", json=body).status_code == 401
        httpx.post(f"{process.address}/faq/ask", json={"question": "who wrote Hamlet"},
                   headers={"Origin": "https://shop.example"})  # fmt: skip
        owner = httpx.get(f"{process.address}/faq/misses", headers={"Authorization": "Bearer k3y"})
        assert [one["question"] for one in owner.json()["misses"]] == ["who wrote Hamlet"]
        assert "faq is served at" in "".join(process.said)


def test_the_defaults_are_those_of_serve():
    with pytest.raises(SettingsError):
        Settings(ask=("x",), misses=True)
    assert Settings().faq_encoder == "auto"
