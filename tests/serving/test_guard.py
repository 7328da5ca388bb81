"""Who may ask at all: key, Host, Origin; and what every answer carries."""

import logging
import time

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from tests.serving.fakes import Scripted
from upwell.serving.api import OPEN, app

KEY = "sésame-42"
RIGHT = {"Authorization": b"Bearer " + KEY.encode()}


def walked(service):
    """Every (method, path) that the router knows."""
    found = []
    for route in service.routes:
        assert isinstance(route, Route | APIRoute), f"this test does not know how to walk {route!r}"
        found += [(method, route.path.replace("{name:path}", "x")) for method in route.methods]
    return found


def test_S1_every_route_but_the_open_ones_needs_the_key(serve):
    running = serve({"a": Scripted()}, api_keys=[KEY])
    routes = walked(running.service)
    paths = {path for _, path in routes}
    assert {"/v1/models", "/v1/completions", "/v1/chat/completions", "/openapi.json", "/version"} <= paths
    for method, path in routes:
        answer = httpx.request(method, running.url + path)
        assert (answer.status_code == 401) == (path not in OPEN), (method, path)


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer x", "Basic " + KEY.encode().hex(), "Bearer sesame-42",
    b"Bearer \xff\xfe", b"Bearer s\xc3\xa9same-4", b"Bearer s\xc3\xa9same-422", "Bearer " + "x" * 10_000])
def test_S1_a_wrong_key_is_a_401(serve, header):
    running = serve({"a": Scripted()}, api_keys=[KEY])
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(f"{running.url}/v1/models", headers=headers)
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_right_key_opens(serve):
    running = serve({"a": Scripted()}, api_keys=[KEY])
    assert httpx.get(f"{running.url}/v1/models", headers=RIGHT).status_code == 200
    assert httpx.get(f"{running.url}/nothing", headers=RIGHT).status_code == 404
    assert httpx.get(f"{running.url}/nothing").status_code == 401


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("localhost:8000", 200), ("LOCALHOST", 200), ("[::1]:8000", 200), ("evil.example", 403),
    ("127.0.0.1.evil.example", 403), ("localhost.evil.example:8000", 403), ("", 403), ("[::2]", 403)])
def test_S2_a_loopback_server_answers_to_its_own_names_only(serve, host, status):
    running = serve({"a": Scripted()})
    for path in ("/health", "/", "/v1/models"):
        assert httpx.get(running.url + path, headers={"Host": host}).status_code == status


def test_a_server_for_others_answers_to_every_name(serve):
    running = serve({"a": Scripted()}, hosts=None)
    assert httpx.get(f"{running.url}/health", headers={"Host": "models.example"}).status_code == 200


@pytest.mark.parametrize("origin, status", [
    ("http://127.0.0.1:{port}", 200), ("http://127.0.0.1:1", 403), ("http://evil.example", 403), ("null", 403),
    ("", 403), ("http://127.0.0.1:{port}.evil.example", 403)])
def test_S2_pages_of_other_origins_are_refused(serve, origin, status):
    running = serve({"a": Scripted()})
    headers = {"Origin": origin.format(port=running.port)}
    assert httpx.post(f"{running.url}/v1/completions", json={"prompt": "x"}, headers=headers).status_code == status
    answer = httpx.options(f"{running.url}/v1/completions", headers=headers | {"Access-Control-Request-Method": "POST"})
    assert answer.status_code in (403, 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/page.js", "/health", "/v1/models", "/nothing", "/v1/completions"])
def test_S2_every_answer_carries_the_security_headers_and_an_id(serve, path):
    headers = httpx.get(serve({"a": Scripted()}).url + path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["x-request-id"].startswith("req-") and headers["referrer-policy"] == "no-referrer"


def test_a_request_id_is_kept_where_it_is_plain_and_replaced_where_not(serve):
    url = serve({"a": Scripted()}).url
    assert httpx.get(f"{url}/health", headers={"X-Request-Id": "mine-1.2_3"}).headers["x-request-id"] == "mine-1.2_3"
    for bad in ("a b", "x" * 65, "<script>", "é".encode()):
        given = httpx.get(f"{url}/health", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert given.startswith("req-")


def test_S8_no_prompt_and_no_key_reach_the_log(serve, caplog):
    caplog.set_level(logging.DEBUG)
    running = serve({"a": Scripted(), "b": Scripted(fault=RuntimeError("x"))}, api_keys=["k3y-k3y"])
    for model in ("a", "b"):
        httpx.post(f"{running.url}/v1/completions?token=qu3ry", json={"model": model, "prompt": "pr0mpt"},
                   headers={"Authorization": "Bearer k3y-k3y"})
    logged(caplog, "/v1/completions")
    own = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert not any(secret in own for secret in ("pr0mpt", "k3y-k3y", "qu3ry"))


def test_a_path_cannot_write_lines_of_its_own_into_the_log(serve, caplog):
    caplog.set_level(logging.INFO, "upwell.serving")
    running = serve({"a": Scripted()})
    httpx.get(running.url + "/x%0areq-1%20GET%20/forged%0d%1b[2J%e2%80%a8")
    (line,) = logged(caplog, "forged")
    assert line.isprintable()


def logged(caplog, word):
    """The lines with a word; a request is told of when its answer has been sent, which the client may have before."""
    end = time.monotonic() + 20
    while not (found := [one.getMessage() for one in caplog.records if word in one.getMessage()]):
        assert time.monotonic() < end, f"no line with {word}"
        time.sleep(0.01)
    return found


def test_the_openapi_document_knows_the_bodies():
    document = app({"a": Scripted()}).openapi()
    body = document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/CompletionRequest"}
    assert "prompt" in document["components"]["schemas"]["CompletionRequest"]["properties"]


def test_a_line_of_statistics_tells_what_happened_and_nothing_where_nothing_did(serve, capsys):
    from upwell.serving.server import Server

    running = serve({"a": Scripted()})
    server = Server(running.service, 1, lambda: None, statistics=True)
    server._tell()
    assert capsys.readouterr().err == ""
    httpx.post(f"{running.url}/v1/completions", json={"prompt": "abcdef", "max_tokens": 3})
    server._tell()
    assert "0 at work, 0 in line" in (told := capsys.readouterr().err) and "read" in told and "written" in told
