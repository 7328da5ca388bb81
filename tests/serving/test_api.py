"""The official client against a real server: what it expects of OpenAI holds here."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from tests.serving.fakes import Scripted, wait_until
from upwell.errors import ServiceError, SettingsError


def client_of(running, key="none"):
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0, timeout=20)


def test_the_models_are_listed_and_one_can_be_asked_for(serve):
    client = client_of(serve({"a": Scripted(), "b/c": Scripted()}))
    assert [model.id for model in client.models.list()] == ["a", "b/c"]
    assert client.models.retrieve("b/c").owned_by == "upwell"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("d")


def test_a_completion_carries_text_finish_and_counts(serve):
    client = client_of(serve({"a": Scripted()}))
    answer = client.completions.create(model="a", prompt="hello", max_tokens=3)
    assert answer.choices[0].text == "once upon a"
    assert answer.choices[0].finish_reason == "length"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 3, 8)


def test_settings_reach_the_backend_under_our_names(serve):
    backend = Scripted()
    client_of(serve({"a": backend})).completions.create(
        model="a", prompt="x", max_tokens=7, temperature=0, top_p=0.5, seed=3, stop=["\n", "END"],
        extra_body={"top_k": 5, "repetition_penalty": 1.5})
    settings = backend.asked[0][1]
    assert (settings.max_new, settings.temperature, settings.top_p, settings.seed) == (7, 0, 0.5, 3)
    assert (settings.stop, settings.top_k, settings.repetition_penalty) == (("\n", "END"), 5, 1.5)


def test_several_prompts_and_copies_keep_their_order_and_have_seeds_of_their_own(serve):
    backend = Scripted()
    client = client_of(serve({"a": backend}))
    answer = client.completions.create(model="a", prompt=["x", "yy"], n=2, seed=2**63 - 1, max_tokens=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [prompt for prompt, _ in backend.asked] == ["x", "x", "yy", "yy"]
    assert [settings.seed for _, settings in backend.asked] == [2**63 - 1, -2**63, 2**63 - 1, -2**63]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 8)


def test_token_ids_reach_the_backend_as_ids(serve):
    backend = Scripted()
    client = client_of(serve({"a": backend}))
    client.completions.create(model="a", prompt=[1, 2, 3])
    client.completions.create(model="a", prompt=[[1], [2, 3]])
    assert [prompt for prompt, _ in backend.asked] == [[1, 2, 3], [1], [2, 3]]


def test_a_chat_joins_text_parts_and_calls_a_developer_system(serve):
    backend = Scripted()
    client = client_of(serve({"a": backend}))
    parts = [{"type": "text", "text": "good "}, {"type": "text", "text": "day"}]
    answer = client.chat.completions.create(model="a", messages=[
        {"role": "developer", "content": "be kind"}, {"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "once upon a time"
    assert answer.choices[0].message.role == "assistant"
    assert backend.asked[0][0] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "good day"}]


def test_a_streamed_completion_joins_to_the_unstreamed_one(serve):
    client = client_of(serve({"a": Scripted()}))
    whole = client.completions.create(model="a", prompt="x").choices[0]
    chunks = list(client.completions.create(model="a", prompt="x", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + [whole.finish_reason]
    assert len({chunk.id for chunk in chunks}) == 1
    assert not any(chunk.usage for chunk in chunks)


def test_a_streamed_chat_names_its_role_first_and_its_counts_last(serve):
    client = client_of(serve({"a": Scripted()}))
    chunks = list(client.chat.completions.create(model="a", messages=[{"role": "user", "content": "x"}],
                                                 stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].delta.role for chunk in chunks[:-1]] == ["assistant"] + [None] * 4
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "once upon a time"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 4 + ["stop"]


def test_a_stream_reaches_the_client_piece_by_piece(serve):
    gate = threading.Event()

    class Gated(Scripted):
        def _pieces(self, prompt, settings):
            for piece in super()._pieces(prompt, settings):
                yield piece
                assert gate.wait(10)

    stream = client_of(serve({"a": Gated()})).completions.create(model="a", prompt="x", stream=True)
    assert next(iter(stream)).choices[0].text == "once"     # while the second word can't have been written
    gate.set()
    assert "".join(chunk.choices[0].text for chunk in stream) == " upon a time"


def test_no_answer_waits_for_an_acknowledgement(serve):
    running = serve({"a": Scripted()})      # Nagle's algorithm and a delayed one made each of them 40 ms late
    with httpx.Client(base_url=running.url) as client:
        client.get("/health")
        (connection,) = running.server.server_state.connections
        own = connection.transport.get_extra_info("socket")
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_line_separators_of_unicode_do_not_break_a_stream(serve):
    words = ("a\u2028b", "\u2029", "\x85", "\r\n\n", "data: x")
    client = client_of(serve({"a": Scripted(words=words)}))
    chunks = client.completions.create(model="a", prompt="x", stream=True)
    assert [chunk.choices[0].text for chunk in chunks] == [*words, ""]


def test_the_first_model_answers_where_none_is_named(serve):
    running = serve({"first": Scripted(), "second": Scripted()})
    assert httpx.post(f"{running.url}/v1/completions", json={"prompt": "x"}).json()["model"] == "first"


def test_faults_raise_the_exceptions_that_the_client_has_for_them(serve):
    running = serve({"odd": Scripted(fault=SettingsError("found 3, expected 4")),
                     "gone": Scripted(fault=ServiceError("no answer")),
                     "broken": Scripted(fault=RuntimeError("secret inside"))})
    client = client_of(running)
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="found 3, expected 4"):
            client.completions.create(model="odd", prompt="x", stream=stream)
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="other", prompt="x")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.InternalServerError, match="no answer"):
        client.completions.create(model="gone", prompt="x")
    with pytest.raises(openai.InternalServerError) as caught:
        client.completions.create(model="broken", prompt="x")
    assert "secret" not in str(caught.value) and caught.value.request_id.startswith("req-")
    assert running.slots.running == 0


def test_a_fault_in_mid_stream_is_an_error_event(serve):
    client = client_of(serve({"a": Scripted(fault=RuntimeError("x"), fault_after=2)}))
    texts = []
    with pytest.raises(openai.APIError):
        for chunk in client.completions.create(model="a", prompt="x", stream=True):
            texts.append(chunk.choices[0].text)
    assert texts == ["once", " upon"]


def test_sixteen_streams_at_once_are_whole_and_their_own(serve):
    class Own(Scripted):
        def _pieces(self, prompt, settings):
            self.words = tuple(f"{number} " for number in range(20))
            for piece in super()._pieces(prompt, settings):
                yield piece if piece.finish else type(piece)(f"{prompt}:{piece.text}")

    running = serve({"a": Own(pause=0.002)}, slots=8)
    client = client_of(running)

    def ask(number):
        stream = client.completions.create(model="a", prompt=f"p{number}", stream=True)
        return "".join(chunk.choices[0].text for chunk in stream)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    assert answers == ["".join(f"p{number}:{word} " for word in range(20)) for number in range(16)]
    assert running.slots.running == 0


def test_a_full_line_is_a_429_that_says_when_to_come_again(serve):
    backend = Scripted(words=("x",) * 1000, pause=0.01)
    running = serve({"a": backend}, slots=1, line=1)
    first = client_of(running).completions.create(model="a", prompt="x", stream=True, max_tokens=1000)
    waiting = threading.Thread(target=lambda: httpx.post(f"{running.url}/v1/completions", json={"max_tokens": 1}))
    waiting.start()
    wait_until(lambda: len(running.slots.line) == 1)
    with pytest.raises(openai.RateLimitError) as caught:
        client_of(running).completions.create(model="a", prompt="x")
    assert caught.value.response.headers["retry-after"] == "1"
    first.close()
    waiting.join(10)
    assert not waiting.is_alive()
    wait_until(lambda: running.slots.running == 0)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(serve, stream):
    backend = Scripted(words=("x",) * 100000, pause=0.005)
    running = serve({"a": backend}, slots=2, line=0)
    for _ in range(6):     # more than there are slots: a leak of one would be a 429
        rude = connection_that_asks(running, stream)
        wait_until(lambda: backend.alive == 1)
        rude.close()
        wait_until(lambda: backend.alive == 0 and running.slots.running == 0, 5)
    assert len(backend.asked) == 6


def test_a_client_that_leaves_the_line_takes_no_slot(serve):
    backend = Scripted(words=("x",) * 100000, pause=0.005)
    running = serve({"a": backend}, slots=1, line=4)
    working = connection_that_asks(running, True)
    wait_until(lambda: backend.alive == 1)
    queueing = connection_that_asks(running, True)
    wait_until(lambda: len(running.slots.line) == 1)
    queueing.close()
    working.close()
    wait_until(lambda: running.slots.running == 0 and not running.slots.line, 5)
    assert len(backend.asked) == 1


def connection_that_asks(running, stream):
    body = b'{"prompt": "x", "max_tokens": 100000, "stream": %s}' % (b"true" if stream else b"false")
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    return connection


def test_a_stopping_server_cuts_no_stream_in_time(serve):
    running = serve({"a": Scripted(words=("x",) * 20, pause=0.01)})
    stream = client_of(running).completions.create(model="a", prompt="x", stream=True)
    next(iter(stream))
    running.server.should_exit = True
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"


def test_further_routes_stand_behind_the_same_guard(serve):
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse("hello")

    running = serve({"a": Scripted()}, routes=[Route("/hello", hello)], api_keys=["k"])
    assert httpx.get(f"{running.url}/hello").status_code == 401
    assert httpx.get(f"{running.url}/hello", headers={"Authorization": "Bearer k"}).text == "hello"


def test_an_engine_that_is_busy_is_a_429_with_retry_after():
    from upwell.errors import Busy
    from upwell.serving.writing import refusal_of

    refusal = refusal_of(Busy("9 requests are waiting"))
    assert refusal.status == 429 and refusal.headers["Retry-After"] == "1"


def test_who_leaves_before_a_text_has_begun_waits_for_none_of_it():
    from upwell.serving.limits import together

    gate, told = threading.Event(), []

    class Slow:
        def __iter__(self):
            told.append("read")
            return iter(())

        def close(self):
            told.append("closed")

    def start():
        assert gate.wait(10)
        return Slow()

    async def leave():
        pieces = together([start])
        asking = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.05)
        asking.cancel()
        threading.Timer(0.05, gate.set).start()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(leave())
    assert told == ["closed"]
