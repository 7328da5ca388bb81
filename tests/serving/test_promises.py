"""Promises of the server under load and faults, each by its id in docs/promises.md, on the real program.

Times here only catch a hang: they are ten times what is promised. `bench/promises.py` prints the figures.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import openai
import pytest

from tests.serving.fakes import Running, tiny_checkpoint, wait_until
from tests.serving.process import ROOT, Process, serving
from upwell.generation.backend import Local
from upwell.model import hub
from upwell.serving import server as serving_server
from upwell.serving.api import app

proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny", context=512)


@pytest.fixture(scope="module")
def process(folder):
    with serving(folder, "--log", "none", "--waiting", 256) as started:
        yield started


@pytest.fixture
def local(folder):
    """A server in this process, and its backend."""
    backend = Local(hub.load(folder))
    running = Running(app({"tiny": backend}))
    yield running, backend
    running.stop()
    backend.close()


def talk(client, number, stream, length=12):
    """(text, chunks) of one chat at temperature 0."""
    said = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": f"the sea {number}"}],
                                          max_tokens=length, temperature=0, stream=stream)  # fmt: skip
    if not stream:
        return said.choices[0].message.content, 1
    chunks = list(said)
    assert [chunk.choices[0].finish_reason is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), len(chunks)


# ---- load ----


def many_streams(client, rounds):
    wanted = {number: talk(client, number, False)[0] for number in range(64)}
    with ThreadPoolExecutor(64) as pool:
        for _ in range(rounds):
            found = list(pool.map(lambda number: talk(client, number, True)[0], range(64)))
            assert found == [wanted[number] for number in range(64)]


def test_L1_sixty_four_streams_at_once_are_whole_and_their_own(process):
    many_streams(process.client(), 2)


@pytest.mark.slow
def test_L1_sixty_four_streams_in_twenty_rounds(process):
    many_streams(process.client(), 20)


def mixed(client, number):
    """One of many kinds of requests, some of them wrong."""
    kind, text = number % 5, f"the river {number % 97}"
    try:
        if kind == 0:
            client.completions.create(model="tiny", prompt=text, max_tokens=3, logprobs=2, echo=True)
        elif kind == 1:
            talk(client, number % 97, True, 3)
        elif kind == 2:
            client.responses.create(model="tiny", input=text, max_output_tokens=2)
        elif kind == 3:
            client.completions.create(model="tiny", prompt=[1] * 600)
        else:
            stream = client.completions.create(model="tiny", prompt=text, max_tokens=50, stream=True)
            next(iter(stream))
            stream.close()
    except openai.BadRequestError:
        assert kind == 3


def grown(folder, first, count):
    """Memory (kB), descriptors and threads after the `first` and after the last of `count` mixed requests."""
    with serving(folder, "--log", "none", "--waiting", 256) as process:
        seen = []
        for begin, end in ((0, first), (first, count)):
            # The connections that a client keeps are its own affair: they are closed before what is left is counted.
            with process.client() as client, ThreadPoolExecutor(16) as pool:
                list(pool.map(partial(mixed, client), range(begin, end)))
            time.sleep(1)  # what is let go needs a moment
            seen.append([process.status(name) for name in ("VmRSS", "FDs", "Threads")])
        return seen


@proc
@pytest.mark.slow
def test_L2_ten_thousand_mixed_requests_leave_nothing_behind(folder):
    before, after = grown(folder, 1000, 10_000)
    assert after[0] <= max(1.03 * before[0], before[0] + 20 * 1024), (before, after)
    assert after[1] <= before[1] + 2 and after[2] <= before[2] + 2, (before, after)


@proc
def test_L2_five_hundred_mixed_requests_leave_no_descriptor_and_no_thread_behind(folder):
    before, after = grown(folder, 100, 500)
    assert after[1] <= before[1] + 2 and after[2] <= before[2] + 2, (before, after)


def test_L3_idle_and_slow_connections_hinder_nobody_and_are_cut(local, monkeypatch):
    monkeypatch.setattr(serving_server, "PATIENCE", 1.0)
    running, _ = local
    idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(300)]
    slow = [socket.create_connection(("127.0.0.1", running.port), timeout=20) for _ in range(20)]
    # Also those whose first request was well behaved: uvicorn's own timer would begin anew with every byte.
    for connection in slow[:10]:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    cut, begun = set(), time.monotonic()
    while len(cut) < len(slow) and time.monotonic() - begun < 20:
        for connection in slow:
            try:
                connection.sendall(b"G")
            except OSError:
                cut.add(connection)
        assert httpx.get(f"{running.url}/health", timeout=5).status_code == 200
        time.sleep(0.1)
    assert len(cut) == len(slow), "every slow sender is cut"
    for connection in idle + slow:
        connection.close()


def test_L4_what_is_too_much_is_told_to_come_again_and_the_rest_is_served(folder):
    with serving(folder, "--max-num-seqs", 4, "--waiting", 4, "--log", "none") as process:
        client, codes = process.client(), []

        def ask(number):
            try:
                talk(client, number, True, 40)
                codes.append(200)
            except openai.RateLimitError as error:
                assert error.response.headers["retry-after"] == "1" and error.code == "queue_full"
                codes.append(429)

        with ThreadPoolExecutor(32) as pool:
            list(pool.map(ask, range(160)))
        assert set(codes) == {200, 429} and codes.count(200) >= 8
        assert talk(client, 1, False)[0] == talk(client, 1, True)[0]


def test_L8_help_comes_at_once_and_imports_nothing_heavy():
    code = (
        "import sys, upwell.cli; upwell.cli.main(['--help']); "
        "print(sorted({'torch', 'fastapi', 'pydantic'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert said.stdout.splitlines()[-1] == "[]"


def test_L9_two_hundred_rude_clients_leave_every_slot_free(local):
    running, backend = local
    body = json.dumps({"prompt": "the", "max_tokens": 400, "stream": True, "ignore_eos": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    threads = threading.active_count()
    for number in range(200):
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as rude:
            rude.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            if number % 4:
                assert rude.recv(100)  # most leave in the middle of the answer, some before it begins
    wait_until(lambda: running.slots.running == 0 and not running.slots.line, 5)
    wait_until(lambda: not backend.engine.running and not backend.engine.waiting, 5)
    wait_until(lambda: threading.active_count() <= threads + 2, 5)


# ---- faults ----


def test_F1_a_step_that_fails_is_told_and_the_next_request_is_served(local):
    running, backend = local
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="x", max_retries=0)
    whole = client.completions.create(model="tiny", prompt="the", max_tokens=9, temperature=0).choices[0].text
    stream = client.completions.create(model="tiny", prompt="the sea", max_tokens=400, stream=True,
                                       extra_body={"ignore_eos": True})  # fmt: skip
    next(iter(stream))
    good = backend.engine._session.step
    backend.engine._session.step = lambda *_: 1 / 0
    with pytest.raises(openai.APIError, match="engine failed at this step"):
        list(stream)
    assert good is not None and httpx.get(f"{running.url}/health").json() == {"status": "ok"}
    assert client.completions.create(model="tiny", prompt="the", max_tokens=9, temperature=0).choices[0].text == whole


def test_F1_health_tells_of_an_engine_that_ended(local):
    running, backend = local
    backend.engine.close()
    answer = httpx.get(f"{running.url}/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")
    assert httpx.post(f"{running.url}/v1/completions", json={"prompt": "x"}).status_code in (502, 503)


def test_F2_who_is_killed_in_mid_stream_ends_the_stream_and_serves_again(folder):
    process = Process(folder)
    stream = process.client().completions.create(model="tiny", prompt="the", max_tokens=400, stream=True,
                                                 extra_body={"ignore_eos": True})  # fmt: skip
    next(iter(stream))
    process.popen.send_signal(signal.SIGKILL)
    with pytest.raises(Exception):  # noqa: B017 (the connection breaks in one of several ways; what counts is that it ends)
        list(stream)
    process.end()
    with serving(folder) as again:
        assert again.client().completions.create(model="tiny", prompt="the", max_tokens=3).usage.completion_tokens <= 3


def test_F3_at_sigterm_those_at_work_finish_and_new_ones_are_told(folder):
    with serving(folder, "--max-num-seqs", 32) as process:
        client = process.client()
        asked = dict(model="tiny", prompt="the", max_tokens=300, stream=True, extra_body={"ignore_eos": True})
        streams = [client.completions.create(**asked) for _ in range(32)]
        for stream in streams:
            next(iter(stream))
        process.popen.send_signal(signal.SIGTERM)
        late = openai.OpenAI(base_url=f"{process.address}/v1", api_key="x", max_retries=0)
        with pytest.raises(openai.InternalServerError, match="stopping") as caught:
            for _ in range(100):  # the signal needs a moment
                late.models.list()
                time.sleep(0.01)
        assert caught.value.status_code == 503 and caught.value.response.headers["retry-after"]
        with ThreadPoolExecutor(32) as pool:
            ends = list(pool.map(lambda stream: list(stream)[-1].choices[0].finish_reason, streams))
        assert ends == ["length"] * 32 and process.popen.wait(30) == 0


def test_F3_a_model_that_is_being_loaded_is_a_503_and_then_there(folder):
    running = Running(app({}))
    try:
        for path, status in (("/health", 503), ("/ready", 503), ("/v1/models", 503), ("/", 200)):
            answer = httpx.get(running.url + path)
            assert answer.status_code == status and (status == 200 or answer.headers["retry-after"])
        backend = Local(hub.load(folder))
        running.service.state.desk.open({"tiny": backend})
        assert httpx.get(running.url + "/ready").status_code == 200
        assert httpx.post(running.url + "/v1/completions", json={"prompt": "x", "max_tokens": 1}).status_code == 200
        backend.close()
    finally:
        running.stop()


def test_F4_weights_that_give_no_numbers_fail_the_request_by_name(folder):
    checkpoint = hub.load(folder)
    checkpoint.model.embed.weight.data[7] = float("nan")
    backend = Local(checkpoint)
    running = Running(app({"tiny": backend}))
    try:
        answer = httpx.post(f"{running.url}/v1/completions", json={"prompt": [1, 7, 2], "max_tokens": 2})
        assert answer.status_code == 502 and "no numbers" in answer.json()["error"]["message"]
    finally:
        running.stop()
        backend.close()


def test_F9_a_home_and_a_cache_that_cannot_be_written_do_not_matter(folder):
    nowhere = "/proc/self/nowhere"  # not even root can write there
    with serving(folder, HOME=nowhere, UPWELL_CACHE=nowhere, XDG_CACHE_HOME=nowhere, TMPDIR="/tmp") as process:
        assert (
            process.client().completions.create(model="tiny", prompt="the", max_tokens=2).usage.completion_tokens <= 2
        )


# ---- bad input ----


HEADS = {
    "64 KB in one header": b"X-Long: " + b"x" * 65536 + b"\r\n",
    "a thousand headers": b"".join(b"X-%d: 1\r\n" % number for number in range(1000)),
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "a bad length": b"Content-Length: -1\r\n",
    "another host": b"Host: evil.example\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_B2_odd_headers_are_a_4xx_or_taken_and_the_server_lives(local, name):
    running, _ = local
    host = b"" if name == "another host" else b"Host: 127.0.0.1\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\n" + host + b"Connection: close\r\n" + HEADS[name] + b"\r\n"
        )
        status = int(connection.recv(4096).split()[1])
    assert 400 <= status < 500, (name, status)
    assert httpx.get(f"{running.url}/health").status_code == 200


def test_B6_grammars_that_cannot_be_kept_are_a_400_within_their_time(local):
    running, _ = local
    deep = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
                                                 "required": ["a"]}}}  # fmt: skip
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    for body in ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": deep}}},
                 {"structured_outputs": {"json": {"type": "nonsense"}}}, {"structured_outputs": {"regex": "(a"}},
                 {"structured_outputs": {"regex": "a", "choice": ["b"]}}):  # fmt: skip
        answer = httpx.post(f"{running.url}/v1/chat/completions", json=chat | body, timeout=30)
        assert answer.status_code == 400 and answer.json()["error"]["message"], body


# ---- security ----


@pytest.mark.parametrize("url", [
    "http://127.0.0.1/x", "http://[::1]/x", "http://0x7f000001/x", "http://2130706433/x", "http://169.254.169.254/x",
    "http://localhost.example/x", "file:///etc/passwd", "data:image/png;base64,AAAA"])  # fmt: skip
def test_S3_no_address_of_a_client_is_ever_opened(local, url):
    running, _ = local
    part = {"type": "image_url", "image_url": {"url": url}}
    answer = httpx.post(f"{running.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": [part]}]})
    assert answer.status_code == 400
    answer = httpx.post(f"{running.url}/v1/responses", json={"input": [
        {"role": "user", "content": [{"type": "input_image", "image_url": url}]}]})  # fmt: skip
    assert answer.status_code == 400


def test_S1_each_of_several_keys_opens_and_keeps_its_place_in_line(folder, tmp_path):
    (tmp_path / "keys").write_text("first\n\nsecond\n", encoding="utf-8")
    with serving(folder, "--api-key-file", tmp_path / "keys") as process:
        for key, status in (("first", 200), ("second", 200), ("third", 401), (None, 401)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert httpx.get(f"{process.address}/v1/models", headers=headers).status_code == status
            assert httpx.get(f"{process.address}/metrics", headers=headers).status_code == status


def test_S8_the_log_has_a_line_a_request_and_never_what_was_said(folder):
    secret = f"pr0mpt{random.Random(1).randrange(10**9)}"
    with serving(folder, "--log", "json") as process:
        headers = {"X-Request-Id": "mine-1"}
        httpx.post(f"{process.address}/v1/completions", json={"prompt": secret, "max_tokens": 3}, headers=headers)
        httpx.post(f"{process.address}/v1/chat/completions?{secret}", json={"messages": secret})
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(30) == 0
        said = process.end()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [(one["path"], one["status"]) for one in lines] == [("/v1/completions", 200), ("/v1/chat/completions", 400)]
    assert lines[0]["id"] == "mine-1" and lines[0]["told"].endswith("written") and lines[0]["seconds"] > 0
    assert secret not in said
