"""Whatever a client sends, the answer has OpenAI's error shape, and a mistake of the client's is never a 5xx."""

import json
import socket

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.fakes import Running, Scripted
from upwell.serving import body
from upwell.serving.api import app

PATHS = ["/v1/completions", "/v1/chat/completions"]
USER = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def running():
    server = Running(app({"tiny": Scripted()}))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running):
    with httpx.Client(base_url=running.url, timeout=20) as client:
        yield client


def error_of(answer, status):
    """The error object of an answer, its shape checked."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and error["type"] and answer.headers["x-request-id"]
    return error


def post(client, path, content, **headers):
    return client.post(path, content=content, headers={"Content-Type": "application/json"} | headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content, word", [
    (b"", "Expecting value"),
    (b"hello", "Expecting value"),
    (b"{", "Expecting property name"),
    (b"3", "expected an object"),
    (b"null", "expected an object"),
    (b"[]", "expected an object"),
    (b'{"prompt": "a", "prompt": "b"}', "stands twice"),
    (b'{"metadata": {"k": 1, "k": 2}}', "stands twice"),
    (b'{"temperature": NaN}', "NaN"),
    (b'{"temperature": -Infinity}', "Infinity"),
    (b'{"temperature": 1e999}', "too large"),
    (b'{"max_tokens": ' + b"9" * 5000 + b"}", "digits"),
    (b"[" * 10_000, "levels"),
    (b'{"user": ' + b"[" * 100 + b"]" * 100 + b"}", "levels"),
    (b'{"prompt": "\xff"}', "UTF-8"),
    (b'{"prompt": "\\ud800"}', "surrogate"),
    (b'{"\\udfff": 1}', "surrogate"),
    (b"\xef\xbb\xbf{}", "BOM"),
    (b'{"prompt": "\x00"}', "control character"),
])
def test_B1_a_body_that_is_no_sound_json_is_refused(client, path, content, word):
    error = error_of(post(client, path, content), 400)
    assert word in error["message"] and error["code"] == "invalid_json"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field, value", [
    ("temperature", -1), ("temperature", 3), ("temperature", "1"), ("temperature", True), ("temperature", 1e308),
    ("top_p", 0), ("top_p", 1.1), ("top_k", -2), ("top_k", 2**63), ("repetition_penalty", 0),
    ("max_tokens", 0), ("max_tokens", -1), ("max_tokens", 1.5), ("max_tokens", True), ("max_tokens", 2**63),
    ("n", 0), ("n", 9), ("n", True), ("seed", 2**63), ("seed", 0.5),
    ("stop", ""), ("stop", ["a"] * 17), ("stop", "x" * 257), ("stop", [1]), ("stop", {}),
    ("stream", "yes"), ("stream", 1), ("stream_options", 3), ("stream_options", {"unknown": 1}), ("model", 3),
    ("presence_penalty", 2.5), ("frequency_penalty", -3), ("logit_bias", {"5": 101}), ("logit_bias", {"-1": 1}),
    ("logit_bias", {"5": True}), ("logit_bias", {str(id): 1 for id in range(1025)}), ("logprobs", 21), ("logprobs", -1),
    ("min_p", 1.5), ("min_tokens", -1), ("stop_token_ids", [-1]), ("stop_token_ids", list(range(300))),
    ("prompt_logprobs", 21), ("structured_outputs", {"regex": ""}), ("structured_outputs", {"grammar": "x"}),
    ("ignore_eos", True), ("length_penalty", -1),
    ("chat_template", "{{ 1 }}"), ("nonsense", 1), ("", 1),
])
def test_B3_a_field_that_cannot_be_is_refused_by_its_name(client, path, field, value):
    sound = {"messages": USER} if "chat" in path else {"prompt": "x"}
    error = error_of(client.post(path, json=sound | {field: value}), 400)
    assert error["param"].startswith(field) and field in error["message"]


@pytest.mark.parametrize("prompt", [3, {}, None, True, [True], [1.5], ["a", 1], [[]], [], [-1], [2**31],
                                    [["a"]], [None]])
def test_B5_a_prompt_that_is_none_is_refused(client, prompt):
    assert error_of(client.post(PATHS[0], json={"prompt": prompt}), 400)["param"] == "prompt"


def test_B3_too_many_texts_are_refused_with_both_numbers(client):
    error = error_of(client.post(PATHS[0], json={"prompt": ["x"] * 33, "n": 2}), 400)
    assert "66" in error["message"] and "64" in error["message"]


@pytest.mark.parametrize("messages", [
    None, [], {}, "hi", [3], [{}], [{"role": "user"}], [{"content": "x"}], [{"role": "king", "content": "x"}],
    [{"role": "tool", "content": None}], [{"role": "user", "content": None}], [{"role": "user", "content": 3}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://localhost/"}}]}],
    [{"role": "user", "content": "x", "tool_calls": [{"id": "1"}]}], [{"role": "user", "content": "x", "extra": 1}],
])
def test_B4_messages_that_are_none_are_refused(client, messages):
    error = error_of(client.post(PATHS[1], json={"messages": messages}), 400)
    assert error["param"].startswith("messages")


@pytest.mark.parametrize("field, value", [
    ("modalities", ["audio"]), ("functions", [{}]), ("audio", {"voice": "x"}), ("function_call", {"name": "x"}),
    ("web_search_options", {}), ("prediction", {"type": "content", "content": "x"})])
def test_what_openai_knows_and_we_cannot_do_is_refused_by_name(client, field, value):
    error = error_of(client.post(PATHS[1], json={"messages": USER, field: value}), 400)
    assert error["param"] == field and error["code"] == "unsupported_parameter"


@pytest.mark.parametrize("field, value", [
    ("tools", [{"type": "function"}]), ("tools", [{"type": "function", "function": {"name": "a b"}}]),
    ("response_format", {"type": "xml"}), ("response_format", {"type": "json_schema"}), ("top_logprobs", 3),
    ("tool_choice", "required"), ("tool_choice", "always"), ("continue_final_message", True),
    ("add_generation_prompt", False)])
def test_what_does_not_go_together_is_refused_by_name(client, field, value):
    error = error_of(client.post(PATHS[1], json={"messages": USER, field: value}), 400)
    assert error["param"] == field and error["code"] == "invalid_value"


@pytest.mark.parametrize("path", PATHS)
def test_fields_that_clients_send_with_their_defaults_are_taken(client, path):
    chat = {"messages": USER, "tools": [], "tool_choice": "auto", "response_format": {"type": "text"},
            "store": False, "max_completion_tokens": 3}
    own = chat if "chat" in path else {"prompt": "x", "best_of": 1, "echo": False, "suffix": None}
    usual = {"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "logprobs": None, "user": "u",
             "n": None, "metadata": {"a": "b"}, "stop": None, "stream": None, "seed": -1,
             "temperature": 1, "top_p": 1.0}
    answer = client.post(path, json=own | usual)
    assert answer.status_code == 200, answer.text


def test_B4_text_of_every_kind_is_taken_as_it_is(client, running):
    backend = running.service.state.desk.backends["tiny"]
    texts = ["", " ", "\x00", "<|endoftext|>", "e" + "\u0301" * 100_000, "\U0001f600", "\u202e", "\ufeff"]
    for text in texts:
        assert client.post(PATHS[0], json={"prompt": text}).status_code == 200
    assert [prompt for prompt, _ in backend.asked[-len(texts):]] == texts


def test_B1_a_body_above_the_limit_is_a_413_whether_announced_or_not(client):
    large = b'{"prompt": "' + b"x" * body.LIMIT + b'"}'
    assert error_of(post(client, PATHS[0], large), 413)["code"] == "request_too_large"
    chunks = (large[start : start + 65536] for start in range(0, len(large), 65536))
    assert error_of(post(client, PATHS[0], chunks), 413)["code"] == "request_too_large"


def test_a_body_below_the_limit_is_read(client):
    assert client.post(PATHS[0], json={"prompt": "x" * 1_000_000}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_B1_another_content_type_is_a_415(client, kind):
    error_of(client.post(PATHS[0], content=b"{}", headers={"Content-Type": kind}), 415)


def test_B1_a_compressed_body_is_a_415(client):
    error_of(post(client, PATHS[0], b"x", **{"Content-Encoding": "gzip"}), 415)


def test_paths_and_methods_that_are_not_there_have_the_error_shape(client):
    error_of(client.get("/v1/nothing"), 404)
    error_of(client.get("/v1/completions"), 405)
    error_of(client.delete("/v1/models"), 405)
    error_of(client.get("/docs"), 404)
    error_of(client.get("/redoc"), 404)
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page/../api.py", "/page.js/"):
        error_of(client.get(path), 404)


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 70_000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"GET / HTTP/1.1\r\n\r\n",
    b"nonsense\r\n\r\n",
])
def test_B2_a_head_that_is_no_http_is_a_4xx_and_the_server_lives(client, running, head):
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 4")
    assert client.get("/health").status_code == 200


def test_B1_a_body_that_does_not_arrive_is_given_up(running, client, monkeypatch):
    monkeypatch.setattr(body, "PATIENCE", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                           b"Content-Length: 100\r\n\r\n{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)
FIELDS = ["prompt", "messages", "model", "temperature", "top_p", "top_k", "max_tokens", "n", "stop", "seed", "stream",
          "stream_options", "logit_bias", "user", "tools", "best_of", "x"]


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=ANY_JSON | st.dictionaries(st.sampled_from(FIELDS), ANY_JSON))
def test_B7_no_json_at_all_is_a_5xx(client, path, value):
    answer = post(client, path, json.dumps(value).encode())
    assert answer.status_code < 500, value
    if answer.status_code != 200:
        error_of(answer, answer.status_code)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_B7_no_bytes_at_all_are_a_5xx(client, content):
    error_of(post(client, PATHS[0], content), 400)


def test_a_connection_that_sends_no_head_is_closed(running, client, monkeypatch):
    from upwell.serving import server

    monkeypatch.setattr(server, "PATIENCE", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert connection.recv(4096) == b""
    assert client.get("/health").status_code == 200
