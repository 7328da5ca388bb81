"""B7: whatever a client makes of a request, the answer is no 5xx and has the shape that the OpenAPI page promises."""

import copy

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some
from schemathesis import checks

from tests.answering.shop import matcher
from tests.serving.fakes import Running, Scripted
from tests.serving.shelf import HANDBOOK, library
from tests.translation.fake import Fake, words_turned
from upwell.answering.faq_service import Service
from upwell.serving.api import app
from upwell.translation.asking import Asking

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SOUND = {
    "/v1/completions": {"model": "tiny", "prompt": "x", "max_tokens": 2, "n": 1, "stop": ["a"], "seed": 1, "top_k": 3,
                        "logit_bias": {"1": 2}, "stream": False, "structured_outputs": {"regex": "a"}, "echo": False},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL], "tool_choice": "auto",
                             "response_format": {"type": "text"}, "stream": True, "top_p": 0.5, "min_p": 0.1,
                             "stream_options": {"include_usage": True}, "logprobs": False},
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}], "stream": False,
                      "text": {"format": {"type": "text"}}, "tools": [], "tool_choice": "none", "include": []},
    "/v1/embeddings": {"input": ["x", "y"], "encoding_format": "base64", "dimensions": 2},
    "/v1/rerank": {"query": "x", "documents": ["y", {"text": "z"}], "top_n": 1, "return_documents": True},
    "/v1/moderations": {"input": ["x", {"type": "text", "text": "y"}]},
    "/tokenize": {"prompt": "x", "add_special_tokens": True},
    "/detokenize": {"tokens": [1, 2]},
    "/translate": {"q": ["One river", "x"], "source": "en", "target": "de", "format": "text", "alternatives": 1,
                   "glossary": {"river": "Fluss"}, "model": "turning"},
    "/translate/typed": {"q": "One river. Two", "source": "en", "target": "de",
                         "state": {"begun": "x", "last": "y", "kept": "", "told": "", "shown": "",
                                   "finished": [["a", "b"]]}, "paused": False},
    "/detect": {"q": ["One river", "x"]},
    "/apply-template": {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL]},
    "/faq/ask": {"question": "a bicycle returned?", "conversation": "x"},
    "/faq/try": {"question": "a bicycle returned?"},
    "/v1/answers": {"question": "a bicycle returned?", "history": [{"role": "user", "content": "x"}],
                    "collection": "sales", "model": "handbook", "stream": False},
}  # fmt: skip

leaves = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(some.characters(exclude_categories=["Cs"]), max_size=8)
)
values = some.recursive(leaves, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(
    some.text(some.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3), max_leaves=6)  # fmt: skip


class Embedding(Scripted):
    """A backend of another server, which embeds too."""

    def embed(self, texts):
        return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture(scope="module")
def running():
    service = app({"tiny": Embedding(), "turning": Fake(words_turned)}, libraries={"handbook": library(HANDBOOK)})
    way = Asking("turning", lambda text, source, target: [text], frozenset({("en", "de"), ("de", "en")}))
    service.state.desk.asking = lambda name: way if name == "turning" else None
    service.state.desk.faq = Service(matcher())
    server = Running(service)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running):
    with httpx.Client(base_url=running.url, timeout=30) as client:
        yield client


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


@some.composite
def spoilt(draw, body):
    """A sound body in which up to three places hold something else, are gone, or have a neighbour."""
    body = copy.deepcopy(body)
    for _ in range(draw(some.integers(0, 3))):
        path = draw(some.sampled_from([path for path in places(body) if path]))
        parent = body
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(some.sampled_from(["other", "gone", "more"]))
        if kind == "other":
            parent[path[-1]] = draw(values)
        elif kind == "gone":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            parent[draw(some.text(some.characters(exclude_categories=["Cs"]), max_size=6))] = draw(values)
        else:
            parent.append(draw(values))
        if not body:
            break
    return body


def judge(client, path, body):
    answer = client.post(path, json=body)
    assert answer.status_code < 500, (body, answer.text)
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"], (body, answer.text)


def fuzz(client, path, examples):
    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(SOUND[path]))
    def run(body):
        judge(client, path, body)

    run()


@pytest.mark.parametrize("path", SOUND)
def test_B7_two_hundred_spoilt_bodies_are_no_5xx(client, path):
    judge(client, path, SOUND[path])
    fuzz(client, path, 200)


@pytest.mark.slow
@pytest.mark.parametrize("path", SOUND)
def test_B7_ten_thousand_spoilt_bodies_are_no_5xx(client, path):
    fuzz(client, path, 10_000)


def against_the_page(running, examples):
    """Requests that schemathesis makes of our own OpenAPI page, sound ones and spoilt ones."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    wanted = [checks.not_a_server_error, checks.response_schema_conformance,
              checks.content_type_conformance]  # fmt: skip
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(1)
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def run(case):
            case.call_and_validate(checks=wanted)

        run()
        count += 1
    assert count >= len(SOUND) + 5


def test_B7_the_openapi_page_is_kept_to(running):
    against_the_page(running, 15)


@pytest.mark.slow
def test_B7_the_openapi_page_is_kept_to_by_a_thousand_requests_each(running):
    against_the_page(running, 1000)


ASKED_OF_DOCUMENTS = {
    "/v1/chat/completions": {"model": "handbook", "messages": [{"role": "user", "content": "a bicycle returned?"}],
                             "n": 1, "tools": [], "response_format": {"type": "text"}, "stream": True},
    "/v1/responses": {"model": "handbook", "input": [{"role": "user", "content": "a bicycle returned?"}],
                      "text": {"format": {"type": "text"}}, "tools": [], "stream": False},
}  # fmt: skip


@pytest.mark.parametrize("path", ASKED_OF_DOCUMENTS)
def test_B7_two_hundred_spoilt_bodies_that_ask_documents_are_no_5xx(client, path, monkeypatch):
    monkeypatch.setitem(SOUND, path, ASKED_OF_DOCUMENTS[path])
    judge(client, path, SOUND[path])
    fuzz(client, path, 200)
