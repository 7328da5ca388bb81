"""Questions to documents: our own endpoint, OpenAI's with their annotations, and who sees what."""

import json

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from tests.serving.fakes import Scripted
from tests.serving.shelf import HANDBOOK, NOTHING, library
from upwell.answering.asking import Asker
from upwell.answering.asking import Settings as Asking
from upwell.answering.index import Index
from upwell.answering.search import Searcher
from upwell.errors import DataError, ServiceError, SettingsError
from upwell.serving.api import app
from upwell.serving.library import Library
from upwell.verbs._keys import keys_in

RETURNS = "How many days until a bicycle can be returned after delivery?"
ANSWER = "A bicycle can be returned within thirty days of delivery."
A, B, ALL = "key-of-a", "key-of-b", "key-of-all"
SEES = {A: frozenset({"staff"}), B: frozenset({"sales"}), ALL: None}


@pytest.fixture
def shelf():
    return library(HANDBOOK)


@pytest.fixture
def client(shelf):
    with TestClient(app({"writer": Scripted()}, libraries={"handbook": shelf}, hosts=None)) as client:
        yield client


def stored(client, citation, index="handbook"):
    """The characters of the stored text that a citation names."""
    text = client.get(f"/v1/documents/{citation['document']}", params={"index": index}).json()["text"]
    return text[citation["start"] : citation["end"]]


def test_A1_an_answer_cites_an_exact_span_of_a_stored_text(client):
    answer = client.post("/v1/answers", json={"question": RETURNS}).json()
    assert answer["answer"] == ANSWER and answer["how"] == "sentence" and answer["refused"] is False
    assert answer["confidence"] == 0.9 and answer["model"] == "handbook" and answer["question"] == RETURNS
    (citation,) = answer["citations"]
    assert citation["text"] == stored(client, citation) == ANSWER
    assert (citation["source"], citation["title"], citation["page"]) == ("returns.md", "Returns 🚲", 3)
    assert answer["answer"][citation["first"] : citation["last"]] == ANSWER
    assert citation["url"] == f"http://testserver/#source=1&index=handbook&start={citation['start']}&end={citation['end']}"
    assert answer["passages"][0]["text"] == ANSWER and answer["passages"][0]["score"] > answer["passages"][1]["score"]
    assert all(stored(client, passage) == passage["text"] for passage in answer["passages"])


def test_a_question_in_chinese_is_answered_in_chinese(client):
    answer = client.post("/v1/answers", json={"question": "退货期限是几天？"}).json()
    assert answer["answer"] == "退货期限是收到货后三十天之内。" == stored(client, answer["citations"][0])


def test_A2_what_the_documents_do_not_say_is_said_so_and_cites_nothing(client):
    answer = client.post("/v1/answers", json={"question": "Who won the world cup?"}).json()
    assert answer["refused"] is True and answer["how"] == "refused" and answer["answer"] == NOTHING
    assert answer["citations"] == [] and answer["passages"]


def events(answer) -> list[dict]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_stream_tells_the_passages_then_the_text_and_ends_in_the_whole_answer(client):
    passages, *pieces, whole = events(client.post("/v1/answers", json={"question": RETURNS, "stream": True}))
    assert passages["passages"] == whole["passages"] and len(pieces) == 2
    assert "".join(piece["text"] for piece in pieces) == whole["answer"] == ANSWER
    plain = client.post("/v1/answers", json={"question": RETURNS}).json()
    assert {**whole, "id": "", "created": 0} == {**plain, "id": "", "created": 0}


def test_what_was_said_before_goes_along_as_far_as_its_bounds(client, shelf):
    history = [{"role": role, "content": f"{role} {number}"} for number in range(20) for role in ("user", "assistant")]
    assert client.post("/v1/answers", json={"question": "And then?", "history": history}).status_code == 200
    client.post("/v1/chat/completions", json={"model": "handbook", "messages": [
        {"role": "system", "content": "Be brief."}, *history, {"role": "user", "content": "And then?"}]})  # fmt: skip
    assert [asked for asked, *_ in shelf.asker.asked] == ["And then?"] * 2
    assert all(before == history[-16:] for _, before, _ in shelf.asker.asked)


def test_A1_S6_what_a_model_writes_is_streamed_as_far_as_the_documents_bear_it_out(tmp_path):
    (tmp_path / "returns.md").write_text(f"# Returns\n\n{ANSWER}\n", encoding="utf-8")
    said = (f"{ANSWER} ", "The moon is made of green cheese and costs 99 euros. ", "![x](https://192.0.2.1/?q=secret)")
    with Index.open(tmp_path / "index", create=True) as index:
        index.update([tmp_path / "returns.md"])
        asker = Asker(Searcher(index), None, Scripted(words=said), Asking(style="written"))
        shelves = {"index": Library("index", index, asker, "written")}
        with TestClient(app({}, libraries=shelves, hosts=None)) as client:
            _, *pieces, whole = events(client.post("/v1/answers", json={"question": RETURNS, "stream": True}))
            (citation,) = whole["citations"]
            assert stored(client, citation, "index") == citation["text"]
    assert whole["how"] == "written" and "".join(piece["text"] for piece in pieces) == whole["answer"] == ANSWER
    assert whole["answer"][citation["first"] : citation["last"]] == ANSWER


# ---- OpenAI's way ----


@pytest.fixture
def official(serve, shelf):
    running = serve({"writer": Scripted()}, libraries={"handbook": shelf})
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=20)


def checked(citation, text, base):
    assert text[citation.start_index : citation.end_index] == ANSWER
    assert citation.url.startswith(str(base).removesuffix("v1/") + "#source=1&index=handbook&start=")
    assert citation.title == "Returns 🚲"


def test_the_official_client_reads_annotations_of_a_chat(official):
    messages = [{"role": "user", "content": RETURNS}]
    message = official.chat.completions.create(model="handbook", messages=messages, temperature=0.2).choices[0].message
    assert message.content == ANSWER
    checked(message.annotations[0].url_citation, message.content, official.base_url)
    chunks = list(official.chat.completions.create(model="handbook", messages=messages, stream=True,
                                                   stream_options={"include_usage": True}))  # fmt: skip
    deltas = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in deltas) == ANSWER
    (told,) = [choice for choice in deltas if getattr(choice.delta, "annotations", None)]
    assert told.finish_reason == "stop" and told.delta.annotations == [
        one.model_dump() for one in message.annotations]  # fmt: skip
    refused = official.chat.completions.create(
        model="handbook", messages=[{"role": "user", "content": "Who won the world cup?"}]
    )
    assert refused.choices[0].message.content == NOTHING and refused.choices[0].message.annotations == []


def test_the_official_client_reads_annotations_of_a_response(official):
    response = official.responses.create(model="handbook", input=RETURNS)
    (part,) = response.output[0].content
    assert response.output_text == ANSWER and response.status == "completed"
    checked(part.annotations[0], part.text, official.base_url)
    told = list(official.responses.create(model="handbook", input=RETURNS, stream=True))
    added = [event for event in told if event.type == "response.output_text.annotation.added"]
    assert [event.to_dict()["annotation"] for event in added] == [one.to_dict() for one in part.annotations]
    assert [event.sequence_number for event in told] == list(range(len(told)))
    done = next(event for event in told if event.type == "response.content_part.done")
    assert told[-1].response.output[0].content[0].annotations == done.part.annotations == part.annotations


def test_an_index_stands_among_the_models_and_answers_by_default_where_no_model_writes(client, shelf):
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    assert list(cards) == ["writer", "handbook"] and cards["handbook"]["capabilities"] == ["answers"]
    assert cards["handbook"]["collections"] == ["sales", "staff"] and cards["handbook"]["documents"] == 3
    assert cards["handbook"]["answers"] == "extractive"
    assert client.get("/v1/models/handbook").json() == cards["handbook"]
    body = {"messages": [{"role": "user", "content": RETURNS}]}
    assert client.post("/v1/chat/completions", json=body).json()["model"] == "writer"
    with TestClient(app({}, libraries={"handbook": shelf}, hosts=None)) as alone:
        assert alone.get("/ready").status_code == 200
        said = alone.post("/v1/chat/completions", json=body).json()
        assert said["model"] == "handbook" and said["choices"][0]["message"]["content"] == ANSWER
        assert alone.post("/v1/completions", json={"prompt": "x"}).status_code == 404


@pytest.mark.parametrize("field, value, status", [
    ("tools", [{"type": "function", "function": {"name": "f"}}], 400), ("n", 2, 400), ("logprobs", True, 400),
    ("response_format", {"type": "json_object"}, 400), ("stop", ["a"], 400), ("prompt_logprobs", 0, 400),
    ("n", 1, 200), ("tools", [], 200), ("tool_choice", "auto", 200), ("response_format", {"type": "text"}, 200),
    ("logprobs", False, 200), ("temperature", 0.3, 200), ("max_tokens", 50, 200), ("seed", 1, 200)])  # fmt: skip
def test_what_would_change_how_a_model_writes_is_refused_by_name(client, field, value, status):
    body = {"model": "handbook", "messages": [{"role": "user", "content": RETURNS}], field: value}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["param"] == field


@pytest.mark.parametrize("body, status, said", [
    ({"question": "x" * 10_001}, 400, "question"), ({"question": ""}, 400, "question"), ({}, 400, "question"),
    ({"question": " \n\t"}, 400, "question"), ({"question": 1}, 400, "question"),
    ({"question": "x", "history": [{"role": "system", "content": "x"}]}, 400, "history"),
    ({"question": "x", "history": [{"role": "user", "content": "x"}] * 65}, 400, "history"),
    ({"question": "x", "history": [{"role": "user", "content": "x" * 20_001}]}, 400, "history"),
    ({"question": "x", "colour": 1}, 400, "colour"), ({"question": "x", "model": "nobody"}, 404, "no index 'nobody'"),
    ({"question": "x", "collection": "none"}, 404, "no collection 'none'")])  # fmt: skip
def test_B4_what_is_no_question_is_said_in_openais_shape(client, body, status, said):
    answer = client.post("/v1/answers", json=body)
    assert answer.status_code == status and said in answer.json()["error"]["message"]


@pytest.mark.parametrize("messages, said", [
    ([{"role": "user", "content": "x" * 10_001}], "10001 characters"),
    ([{"role": "user", "content": "  "}], "last message"),
    ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "last message"),
    ([{"role": "user", "content": "x"}, {"role": "tool", "content": "y", "tool_call_id": "1"}], "last message"),
    ([{"role": "assistant", "content": "x" * 20_001}, {"role": "user", "content": "y"}], "20001 characters"),
])  # fmt: skip
def test_B4_a_chat_that_ends_in_no_question_is_a_400(client, messages, said):
    answer = client.post("/v1/chat/completions", json={"model": "handbook", "messages": messages})
    assert answer.status_code == 400 and said in answer.json()["error"]["message"]


@pytest.mark.parametrize("fault, status", [
    (DataError("bad"), 400), (ServiceError("the writer is gone"), 502), (RuntimeError("inside"), 500)])  # fmt: skip
def test_a_fault_on_the_way_is_an_answer_in_openais_shape(fault, status):
    with TestClient(app({}, libraries={"x": library(HANDBOOK, "x", fault=fault)}, hosts=None)) as client:
        answer = client.post("/v1/answers", json={"question": "x"})
        assert answer.status_code == status and "inside" not in answer.text and answer.json()["error"]["message"]


def test_S8_no_question_and_no_answer_reach_the_log(client, caplog):
    caplog.set_level("DEBUG")
    client.post("/v1/answers", json={"question": RETURNS})
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    (line,) = [one for one in own if "/v1/answers" in one]
    assert "read" not in line and not any("bicycle" in one for one in own)


def test_a_full_line_sends_away_at_once(shelf):
    service = app({}, libraries={"handbook": shelf}, hosts=None, slots=1, line=0)
    with TestClient(service) as client:
        service.state.desk.slots.running = 1
        answer = client.post("/v1/answers", json={"question": RETURNS})
        assert answer.status_code == 429 and answer.headers["retry-after"]
        service.state.desk.slots.running = 0
        assert client.post("/v1/answers", json={"question": RETURNS}).status_code == 200


# ---- documents ----


def test_documents_are_listed_page_by_page_and_read(client):
    whole = client.get("/v1/documents").json()
    assert [(one["source"], one["collection"]) for one in whole["data"]] == [
        ("returns.md", "sales"), ("prices.md", "sales"), ("salaries.md", "staff")]  # fmt: skip
    assert whole["has_more"] is False and whole["data"][0]["title"] == "Returns 🚲"
    first = client.get("/v1/documents", params={"limit": 2}).json()
    rest = client.get("/v1/documents", params={"after": first["data"][-1]["id"]}).json()
    assert first["has_more"] is True and first["data"] + rest["data"] == whole["data"]
    sales = client.get("/v1/documents", params={"collection": "sales"}).json()
    assert [one["id"] for one in sales["data"]] == [1, 2]
    text = client.get("/v1/documents/1").json()
    assert text["text"] == HANDBOOK["sales", "returns.md"] and text["url"] == "http://testserver/#source=1&index=handbook"


@pytest.mark.parametrize("path", ["/v1/documents/x", "/v1/documents/-1", f"/v1/documents/{2**70}", "/v1/documents/99",
                                  "/v1/documents/1?index=../x", "/v1/documents?limit=0", "/v1/documents?after=x",
                                  "/v1/documents/%2e%2e%2f1", "/v1/documents/1?index=" + "x" * 400])  # fmt: skip
def test_B5_an_id_that_is_none_is_a_4xx(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 404) and answer.json()["error"]["message"]


def test_a_server_without_documents_says_how_to_serve_some():
    with TestClient(app({"writer": Scripted()}, hosts=None)) as client:
        for answer in (client.post("/v1/answers", json={"question": "x"}), client.get("/v1/documents")):
            assert answer.status_code == 404 and "--index" in answer.json()["error"]["message"]


# ---- who sees what ----


@pytest.fixture
def many():
    """Two users' documents in one index, and an index that only one of them sees anything of."""
    wages = library({("staff", "wages.md"): "The secret salary rises in May."}, "wages")
    shelves = {"handbook": library(HANDBOOK), "wages": wages}
    with TestClient(app({"writer": Scripted()}, libraries=shelves, api_keys=SEES, hosts=None)) as client:
        yield client


def asked(client, key, method, path, **more):
    return client.request(method, path, headers={"Authorization": f"Bearer {key}"}, **more)


def without(answer, *names):
    """Status and words of an answer in which the names that were asked for are left out."""
    text = json.dumps({key: value for key, value in answer.json().items() if key not in ("id", "created")})
    for name in names:
        text = text.replace(f"'{name}'", "NAME").replace(f"document {name} ", "document NAME ")
    return answer.status_code, text


def of_documents(number):
    yield "GET", f"/v1/documents/{number}", {}
    for index in ("handbook", "writer"):
        yield "GET", f"/v1/documents/{number}", {"params": {"index": index}}


def of_collections(name):
    yield "GET", "/v1/documents", {"params": {"collection": name}}
    for stream in (False, True):
        yield "POST", "/v1/answers", {"json": {"question": "x", "collection": name, "stream": stream}}


def of_indexes(name):
    message = {"role": "user", "content": "secret salary of a mechanic"}
    yield "GET", "/v1/documents", {"params": {"index": name}}
    yield "GET", "/v1/documents/1", {"params": {"index": name}}
    yield "GET", f"/v1/models/{name}", {}
    yield "POST", "/v1/answers", {"json": {"question": "x", "model": name}}
    yield "POST", "/v1/chat/completions", {"json": {"model": name, "messages": [message]}}
    yield "POST", "/v1/responses", {"json": {"model": name, "input": [message]}}
    for path in ("/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/moderations", "/tokenize"):
        field = {"/v1/rerank": {"query": "x", "documents": ["y"]}, "/v1/embeddings": {"input": "x"},
                 "/v1/moderations": {"input": "x"}}.get(path, {"prompt": "x"})  # fmt: skip
        yield "POST", path, {"json": {"model": name, **field}}


@pytest.mark.parametrize("requests, hidden, nobodys", [
    (of_documents, ["3"], "77"), (of_collections, ["staff"], "none"), (of_indexes, ["wages"], "nobody")])  # fmt: skip
def test_S5_what_is_anothers_is_as_what_does_not_exist(many, requests, hidden, nobodys):
    for name in hidden:
        for (method, path, more), (_, other, less) in zip(requests(name), requests(nobodys), strict=True):
            found, nothing = asked(many, B, method, path, **more), asked(many, B, method, other, **less)
            assert found.status_code == 404, (method, path)
            assert without(found, name) == without(nothing, nobodys), (method, path)
            assert asked(many, A, method, path, **more).status_code in (200, 404)
    right = [asked(many, A, method, path, **more).status_code for method, path, more in requests(hidden[0])]
    assert 200 in right


def test_S5_every_route_with_an_id_in_its_path_is_known_to_the_test_above(many):
    known = {"/v1/documents/{document}", "/v1/models/{name:path}", "/translations/{key}/{name}"}
    walked = {route.path for route in many.app.routes if "{" in route.path}
    assert {path for path in walked if "faq" not in path} == known


def test_S5_no_answer_of_any_route_holds_what_the_key_does_not_see(many):
    question = "What is the secret salary of a mechanic?"
    message = {"role": "user", "content": question}
    ways = [("POST", "/v1/answers", {"json": {"question": question}}),
            ("POST", "/v1/answers", {"json": {"question": question, "stream": True}}),
            ("POST", "/v1/chat/completions", {"json": {"model": "handbook", "messages": [message]}}),
            ("POST", "/v1/chat/completions", {"json": {"model": "handbook", "messages": [message], "stream": True}}),
            ("POST", "/v1/responses", {"json": {"model": "handbook", "input": question}}),
            ("GET", "/v1/documents", {}), ("GET", "/v1/models", {})]  # fmt: skip
    for method, path, more in ways:
        told = asked(many, B, method, path, **more)
        assert told.status_code == 200
        assert not any(secret in told.text for secret in ("four thousand", "alaries", "wages", "staff")), path
        right = asked(many, A, method, path, **more).text
        assert any(secret in right for secret in ("four thousand", "alaries", "wages")), path
    cards = {card["id"]: card for card in asked(many, B, "GET", "/v1/models").json()["data"]}
    assert list(cards) == ["writer", "handbook"]
    assert cards["handbook"]["collections"] == ["sales"] and cards["handbook"]["documents"] == 2
    assert len(asked(many, ALL, "GET", "/v1/documents").json()["data"]) == 3


def test_S5_the_numbers_of_a_server_name_its_indexes_and_are_for_keys_that_see_all(many):
    asked(many, A, "POST", "/v1/answers", json={"question": "Who gets a secret salary?", "model": "wages"})
    assert 'model_name="wages"' in asked(many, ALL, "GET", "/metrics").text
    for key in (A, B):
        told = asked(many, key, "GET", "/metrics")
        assert told.status_code == 403 and "wages" not in told.text


def test_S5_a_key_that_sees_no_collection_sees_no_index(serve):
    running = serve({"writer": Scripted()}, libraries={"handbook": library(HANDBOOK)},
                    api_keys={"k": frozenset({"elsewhere"})})  # fmt: skip
    headers = {"Authorization": "Bearer k"}
    assert httpx.post(f"{running.url}/v1/answers", json={"question": "x"}, headers=headers).status_code == 404
    assert len(httpx.get(f"{running.url}/v1/models", headers=headers).json()["data"]) == 1


def test_S5_collections_stand_behind_a_key_in_its_file(tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("one\n\ntwo  sales,support\nthree\t 客服 , sales \n", encoding="utf-8")
    assert keys_in(file, True) == {"one": None, "two": frozenset({"sales", "support"}),
                                   "three": frozenset({"客服", "sales"})}  # fmt: skip


@pytest.mark.parametrize("text, has_index, said", [
    ("one sales", False, "keys.txt:1"), ("one\ntwo a b c", True, "keys.txt:2"), ("one a,,b", True, "keys.txt:1"),
    ("one a\none b", True, "keys.txt:2"), ("\n \n", True, "empty"), ("s3cret\ns3cret a", True, "keys.txt:2"),
])  # fmt: skip
def test_S5_a_line_that_could_be_misread_is_an_error_that_tells_no_key(tmp_path, text, has_index, said):
    file = tmp_path / "keys.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said) as told:
        keys_in(file, has_index)
    assert "s3cret" not in str(told.value)


def test_a_mark_that_editors_put_before_a_text_belongs_to_no_key(tmp_path):
    (tmp_path / "keys.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo sales\r\n")
    assert keys_in(tmp_path / "keys.txt", True) == {"one": None, "two": frozenset({"sales"})}
