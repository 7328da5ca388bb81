"""`upwell serve` as a user runs it: a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import openai
import pytest

from tests.serving.fakes import Running, Scripted, tiny_checkpoint
from upwell import cli
from upwell.serving.api import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("home") / "runs" / "tiny")


@pytest.fixture
def start():
    """start(flags) -> (process, address) once it says that it serves; it is ended after the test."""
    started = []

    def begin(*flags, **environment):
        process = launched(*flags, **environment)
        started.append(process)
        lines = []
        while not (found := re.search(r" served at (https?://\S+)", "".join(lines))):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        return process, found[1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def launched(*flags, cwd=ROOT, **environment):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "500"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "upwell", "serve", *map(str, flags)],
        cwd=cwd,
        text=True,
        encoding="utf-8",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def sentence_of(capsys, monkeypatch):
    """What a call that cannot work says, after checking that it ends with 2 and in one line."""

    def said(*flags, cwd=None):
        if cwd:
            monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", "500")
        code = cli.main(["serve", *map(str, flags)])
        out, error = capsys.readouterr()
        assert (code, out) == (2, "") and error.count("\n") == 1 and "Traceback" not in error, error
        return error

    return said


def test_it_serves_the_newest_run_and_ends_with_0_on_a_signal(start, folder):
    process, address = start("--port", 0, cwd=folder.parents[1])
    answer = openai.OpenAI(base_url=f"{address}/v1", api_key="x").completions.create(
        model="tiny", prompt="the river", max_tokens=5
    )
    assert answer.usage.completion_tokens <= 5
    assert "<!doctype html>" in httpx.get(address).text
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 0 and "Stopped." in error and "Traceback" not in error


def test_ctrl_c_lets_a_stream_finish(start, folder):
    process, address = start(folder, "--port", 0)
    asked = {"prompt": "the", "max_tokens": 50, "stream": True, "temperature": 0}
    with httpx.stream("POST", f"{address}/v1/completions", json=asked, timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(signal.SIGINT)
        assert list(lines)[-2:] == ["data: [DONE]", ""]
    assert process.wait(20) == 0


def test_an_occupied_port_is_one_sentence_at_once(folder, sentence_of):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sentence_of(folder, "--port", port)
    assert f"Port {port}" in said and "--port" in said


def test_a_folder_that_is_no_checkpoint_is_one_sentence(tmp_path, sentence_of):
    assert "config.json" in sentence_of(tmp_path, "--port", 0)
    assert "nowhere" in sentence_of(tmp_path / "nowhere", "--port", 0)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert "model_type" in sentence_of(tmp_path, "--port", 0)


def test_no_run_at_all_is_one_sentence(tmp_path, sentence_of):
    assert "quickstart" in sentence_of("--port", 0, cwd=tmp_path)


def test_an_address_of_elsewhere_is_one_sentence(folder, sentence_of):
    assert "127.0.0.1" in sentence_of(folder, "--host", "192.0.2.1", "--insecure")


def test_serving_others_without_a_key_is_refused_unless_asked_for(folder, start, tmp_path, sentence_of):
    assert "--api-key-file" in sentence_of(folder, "--host", "0.0.0.0", "--port", 0)
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    assert "empty" in sentence_of(folder, "--host", "0.0.0.0", "--api-key-file", tmp_path / "empty")
    assert "missing" in sentence_of(folder, "--api-key-file", tmp_path / "missing")
    (tmp_path / "key").write_text("sesame\n", encoding="utf-8")
    _, address = start(folder, "--host", "0.0.0.0", "--port", 0, "--api-key-file", tmp_path / "key")
    assert httpx.get(f"{address}/v1/models").status_code == 401
    assert httpx.get(f"{address}/v1/models", headers={"Authorization": "Bearer sesame"}).status_code == 200


def test_a_model_of_another_server_is_served_through_ours(start):
    other = Running(app({"theirs": Scripted()}, api_keys=["their-key"]))
    try:
        flags = ("--base-url", f"{other.url}/v1", "--model", "theirs", "--port", 0)
        _, address = start(*flags, UPWELL_API_KEY="their-key")
        answer = openai.OpenAI(base_url=f"{address}/v1", api_key="x").completions.create(model="theirs", prompt="x")
        assert answer.choices[0].text == "once upon a time"
    finally:
        other.stop()


def test_settings_that_cannot_be_are_one_sentence(folder, sentence_of):
    assert "65535" in sentence_of(folder, "--port", 70000)
    assert "go together" in sentence_of("--base-url", "http://127.0.0.1:1/v1")


def test_settings_come_from_a_file_and_the_environment_too(folder, start, tmp_path):
    path = tmp_path / "serve.yaml"
    path.write_text(f"folder: [{folder}]\nserved_model_name: [mine]\nmax_model_len: 20\nport: 1\n", encoding="utf-8")
    _, address = start("--config", path, UPWELL_SERVE_PORT="0", UPWELL_SERVE_API_KEY="sesame")
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="sesame", max_retries=0)
    assert [(one.id, one.model_extra["max_model_len"]) for one in client.models.list()] == [("mine", 20)]
    with pytest.raises(openai.BadRequestError, match="context is 20 tokens"):
        client.completions.create(model="mine", prompt=[1] * 30)


def test_several_models_and_adapters_are_served_by_one_process(folder, start, tmp_path):
    from tests.model.test_several import adapter
    from upwell.model import hub

    thin, _ = adapter(hub.load(folder).model, tmp_path / "thin", 1)
    other = tiny_checkpoint(tmp_path / "other", context=32)
    _, address = start(folder, other, "--adapter", f"mine={thin}", "--port", 0)
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0)
    assert [one.id for one in client.models.list()] == ["tiny", "mine", "other"]
    texts = {name: client.completions.create(model=name, prompt="the", max_tokens=12, temperature=0).choices[0].text
             for name in ("tiny", "mine", "other")}  # fmt: skip
    assert texts["tiny"] != texts["mine"] and texts["tiny"] == texts["other"]  # the other has the same random weights


def test_what_does_not_go_together_is_one_sentence(folder, sentence_of, tmp_path):
    assert "2 names for 1 models" in sentence_of(folder, "--served-model-name", "a", "b")
    assert "go together" in sentence_of(folder, "--ssl-certfile", tmp_path / "cert.pem")
    (tmp_path / "cert.pem").write_text("no certificate", encoding="utf-8")
    assert "PEM form" in sentence_of(
        folder, "--ssl-certfile", tmp_path / "cert.pem", "--ssl-keyfile", tmp_path / "cert.pem"
    )
    assert "--draft beside several folders" in sentence_of(folder, folder, "--draft", folder)
    assert "two models are called tiny" in sentence_of(folder, folder, "--port", 0, "--log", "none")


def test_it_speaks_https_where_it_has_a_certificate(folder, start, tmp_path):
    about = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    made = subprocess.run(["openssl", "req", *about, *files], capture_output=True)
    if made.returncode:
        pytest.skip("openssl is not here")
    _, address = start(
        folder, "--port", 0, "--ssl-certfile", tmp_path / "cert.pem", "--ssl-keyfile", tmp_path / "key.pem"
    )
    assert address.startswith("https://") and httpx.get(f"{address}/health", verify=False).json() == {"status": "ok"}
