"""Remote against a server on loopback that answers from a script."""

import json

import pytest

from tests.generation.fake_server import COUNTS, DONE, HELLO, delta, running, said
from upwell.errors import DataError, ServiceError, SettingsError, UpwellError
from upwell.generation.backend import Remote, Settings


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def remote(server, pauses):
    return Remote(server.url, "river", "key-123", pause=pauses.append, timeout=5)


def whole(answer):
    pieces = list(answer)
    return "".join(piece.text for piece in pieces), pieces


def test_a_text_is_streamed_with_its_finish_and_its_counts(server, remote):
    server.script = [(200, {}, HELLO)]
    text, pieces = whole(remote.generate("The", Settings(max_new=9, seed=4, stop=("END",))))
    assert text == "Hello 世界😀"
    assert [piece.text for piece in pieces] == ["Hel", "lo 世", "界😀", ""]
    assert (pieces[-1].finish, pieces[-1].usage.prompt, pieces[-1].usage.new) == ("stop", 3, 5)
    assert server.paths == ["/v1/completions"] and server.headers[0]["Authorization"] == "Bearer key-123"
    assert server.asked[0] == {"model": "river", "prompt": "The", "stream": True, "temperature": 0.8, "max_tokens": 9,
                               "stream_options": {"include_usage": True}, "seed": 4, "stop": ["END"]}


def test_a_chat_goes_to_the_chat_endpoint(server, remote):
    stream = [delta(role="assistant", content=""), delta(content="Hi"), delta(finish="length"), DONE]
    server.script = [(200, {}, stream)]
    chat = [{"role": "user", "content": "Hello"}]
    text, pieces = whole(remote.generate(chat))
    assert (text, pieces[-1].finish) == ("Hi", "length")
    assert server.paths == ["/v1/chat/completions"] and server.asked[0]["messages"] == chat


def test_every_setting_is_sent_by_the_name_that_servers_know(server, remote):
    server.script = [(200, {}, HELLO)]
    whole(remote.generate("", Settings(strategy="greedy", top_k=5, top_p=0.5, repetition_penalty=1.2, min_new=3,
                                       stop_ids=(7,), banned=(8,))))
    asked = server.asked[0]
    assert asked["temperature"] == 0 and asked["top_k"] == 5 and asked["top_p"] == 0.5 and asked["min_tokens"] == 3
    assert asked["repetition_penalty"] == 1.2 and asked["stop_token_ids"] == [7] and asked["logit_bias"] == {"8": -100}


def test_a_server_that_does_not_stream_is_understood_too(server, remote):
    answer = said("All at once", "length") | {"usage": COUNTS["usage"]}
    chat = {"choices": [{"message": {"content": "chat"}, "finish_reason": "stop"}]}
    server.script = [(200, {}, answer), (200, {}, chat)]
    text, pieces = whole(remote.generate("The"))
    assert (text, pieces[-1].finish, pieces[-1].usage.new) == ("All at once", "length", 5)
    assert whole(remote.generate([{"role": "user", "content": "x"}]))[0] == "chat"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"Retry-After": "2"}, 2.0), ({"Retry-After-Ms": "250"}, 0.25), ({}, 0.5), ({"Retry-After": "x"}, 0.5)],
)
def test_a_busy_server_is_asked_again_when_it_says_so(server, remote, pauses, headers, wait):
    server.script = [(429, headers, {"error": {"message": "slow down"}}), (503, headers, b"busy"), (200, {}, HELLO)]
    assert whole(remote.generate("The"))[0] == "Hello 世界😀"
    assert pauses[0] == wait and len(pauses) == 2


def test_a_server_that_stays_busy_is_reported_with_its_words(server, remote, pauses):
    server.script = [(429, {"Retry-After": "1"}, {"error": {"message": "slow\ndown"}})] * 3
    with pytest.raises(ServiceError, match="/v1/completions answered 429: slow down$"):
        remote.generate("The")
    assert pauses == [1.0, 1.0]


def test_a_server_that_asks_for_a_long_wait_is_reported_at_once(server, remote, pauses):
    server.script = [(429, {"Retry-After": "3600"}, {"error": {"message": "come tomorrow"}})]
    with pytest.raises(ServiceError, match="come tomorrow"):
        remote.generate("The")
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, {"error": {"message": "no such key"}}, "answered 401: no such key; is the key right"),
        (404, {"detail": "Not Found"}, "answered 404: Not Found; does the address end in /v1"),
        (400, {"error": "prompt too long"}, "answered 400: prompt too long"),
        (500, b"<html>", "answered 500$"),
        (200, b"<html>", "answered with no JSON"),
        (200, [1], "answered with list|shape"),
        (302, {}, "answered 302"),         # a redirect would carry the key elsewhere
    ],
)
def test_a_refusal_is_one_sentence_without_the_key(server, remote, status, body, sentence):
    body = json.dumps(body).encode() if isinstance(body, list) else body
    server.script = [(status, {"Location": "http://example.invalid/"}, body)]
    with pytest.raises(ServiceError, match=sentence) as caught:
        whole(remote.generate("The"))
    assert "key-123" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        ([said("Hel"), {"error": {"message": "engine failed"}}, DONE], "reports an error: engine failed"),
        ([said("Hel")], "broke off in the middle"),
        ([said("Hel"), "data: {broken\n\n", DONE], "no JSON"),
        ([said("Hel"), "data: [1]\n\n", DONE], "list"),
        ([{"choices": ["?"]}, DONE], "shape"),
    ],
)
def test_a_stream_that_goes_wrong_gives_what_came_and_then_says_so(server, remote, stream, sentence):
    server.script = [(200, {}, stream)]
    with pytest.raises(ServiceError, match=sentence):
        whole(remote.generate("The"))


def test_a_server_that_falls_silent_is_given_up(server):
    remote = Remote(server.url, "river", timeout=0.2)
    server.script = [(200, {}, [said("Hel"), 1.0, DONE])]
    answer = remote.generate("The")
    assert next(answer).text == "Hel"
    with pytest.raises(ServiceError, match="nothing for 0.2 seconds"):
        next(answer)


def test_closing_ends_the_connection(server, remote):
    server.script = [(200, {}, [said("Hel"), 0.3, said("lo"), 0.3, DONE])]
    answer = remote.generate("The")
    assert next(answer).text == "Hel"
    answer.close()
    assert list(answer) == [] and answer._response.closed


def test_nobody_at_the_address_is_one_sentence():
    with pytest.raises(ServiceError, match="cannot be reached .* is the server running"):
        Remote("http://127.0.0.1:9/v1", "river").generate("The")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("river", "an address"), ("file:///etc", "an address"), ("http://me:secret@host/v1", "user name")],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(address, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        Remote(address, "river")
    assert "secret" not in str(caught.value)


def test_a_key_with_a_line_end_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="line ends") as caught:
        Remote("http://127.0.0.1/v1", "river", "abc\n")
    assert "abc" not in str(caught.value)


def test_scores_come_from_the_echo_and_begin_behind_the_prompt(server, remote):
    echo = {"tokens": ["The", " ri", "ver", " flows"], "token_logprobs": [None, -1.0, -2.0, -3.0]}
    server.script = [(200, {}, {"choices": [{"logprobs": echo}]}), (200, {}, {"choices": [{"logprobs": None}]})]
    assert remote.score("The river", " flows") == [(" flows", -3.0)]
    with pytest.raises(ServiceError, match="gives no log-probabilities of a prompt"):
        remote.score("The river", " flows")


def test_embeddings_come_in_the_order_of_the_texts(server, remote):
    rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    server.script = [(200, {}, {"data": rows})]
    assert remote.embed(["a", "b"]) == [[1.0], [2.0]]
    assert server.paths == ["/v1/embeddings"]


def test_what_a_server_cannot_do_is_said_before_it_is_asked(server, remote):
    with pytest.raises(UpwellError, match="knows sample and greedy"):
        remote.generate("The", Settings(strategy="beam"))
    with pytest.raises(DataError, match="surrogate"):
        remote.generate("\ud800")
    assert server.asked == []
