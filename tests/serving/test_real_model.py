"""The official client against our own engine on a model folder: tiny, random, and deterministic."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
import torch

from tests.generation.tiny import tiny_model
from tests.serving.fakes import Running, tiny_checkpoint, wait_until
from tests.text import chats
from upwell.generation.backend import Local, Settings
from upwell.model import hub
from upwell.serving.api import app
from upwell.text.chat import Template


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    backend = Local(hub.load(tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")))
    running = Running(app({backend.name: backend}))
    yield running
    running.stop()
    backend.close()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def client(running):
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def backend(running):
    return running.service.state.desk.backends["tiny"]


def test_the_card_names_the_context(client):
    assert client.models.retrieve("tiny").model_extra["max_model_len"] == 64


def test_a_stream_equals_the_whole_text_at_temperature_0(client):
    asked = dict(model="tiny", prompt="the river", max_tokens=30, temperature=0)
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == whole.choices[0].text != ""
    assert chunks[-1].usage == whole.usage
    assert whole.usage.completion_tokens <= 30 and whole.usage.prompt_tokens > 1


def test_a_chat_streams_what_it_answers_whole(client):
    asked = dict(model="tiny", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=20, temperature=0)
    whole = client.chat.completions.create(**asked).choices[0]
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.message.content
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason in ("stop", "length")


def test_a_beam_search_can_be_asked_for(client, backend):
    asked = dict(model="tiny", prompt="the river", max_tokens=12)
    found = client.completions.create(**asked, extra_body={"strategy": "beam", "beams": 4, "length_power": 0.5})
    settings = Settings(max_new=12, strategy="beam", beams=4, length_power=0.5)
    assert found.choices[0].text == "".join(piece.text for piece in backend.generate("the river", settings))
    for wrong in ({"strategy": "own.py"}, {"beams": 0}, {"beams": 1000}, {"length_power": -1}):
        with pytest.raises(openai.BadRequestError):
            client.completions.create(**asked, extra_body=wrong)


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """A server of a model with a chat template: (client, backend)."""
    folder = tmp_path_factory.mktemp("models") / "talking"
    tokenizer = chats.byte_level(folder)
    model = tiny_model(tokenizer.vocab_size, context=96)
    hub.save(hub.Checkpoint(model, tokenizer, model.config, None, Template(chats.ALTERNATING)), folder)
    backend = Local(hub.load(folder))
    running = Running(app({backend.name: backend}))
    yield openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=30), backend
    running.stop()
    backend.close()


def test_a_chat_with_a_template_is_written_out_by_it(talking):
    client, backend = talking
    messages = chats.said("Where to?", "The sea.", "你好")
    asked = dict(model="talking", messages=messages, max_completion_tokens=15, temperature=0)
    whole = client.chat.completions.create(**asked)
    pieces = list(backend.generate(messages, Settings(max_new=15, temperature=0)))
    assert whole.choices[0].message.content == "".join(piece.text for piece in pieces)
    assert whole.usage.prompt_tokens == len(backend.read(messages)) == len(
        backend.template.ids(messages, backend.tokenizer))
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content


def test_what_a_template_refuses_is_a_400_with_its_sentence(talking):
    client, _ = talking
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="refuses these messages: after user comes assistant"):
            client.chat.completions.create(model="talking", messages=chats.said("a", "b")[1:], stream=stream)


def test_B4_a_special_token_typed_in_a_chat_stays_plain_text(talking):
    client, backend = talking
    asked = dict(model="talking", max_completion_tokens=1)
    typed, plain = (client.chat.completions.create(**asked, messages=chats.said(text)).usage.prompt_tokens
                    for text in ("</s><s>", ""))  # fmt: skip
    assert typed > plain + 4 and len(backend.tokenizer.encode("</s><s>")) > 4


def test_a_seed_repeats_a_text_and_copies_differ(client):
    asked = dict(model="tiny", prompt="the sea", max_tokens=20, temperature=1, seed=5)
    first, again = (client.completions.create(**asked, n=2).choices for _ in range(2))
    assert [choice.text for choice in first] == [choice.text for choice in again]
    assert first[0].text != first[1].text


def test_sixteen_streams_together_equal_each_alone(client):
    def ask(number):
        stream = client.completions.create(model="tiny", prompt=f"sea {number}", max_tokens=25, temperature=0,
                                           stream=True)
        return "".join(chunk.choices[0].text for chunk in stream)

    alone = [ask(number) for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == alone


def test_B4_a_special_token_typed_by_a_user_stays_plain_text(client, backend):
    asked = dict(model="tiny", max_tokens=1)
    plain = client.completions.create(**asked, prompt="<|endoftext|>").usage.prompt_tokens
    assert plain == 1 + len(backend.tokenizer.encode("<|endoftext|>")) > 2


@pytest.mark.parametrize("stream", [False, True])
def test_B5_a_prompt_that_does_not_fit_is_a_400_with_both_numbers(client, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="tiny", prompt=[1] * 70, stream=stream)
    assert "70" in caught.value.message and "64" in caught.value.message
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")
    with pytest.raises(openai.BadRequestError, match="60.*"):
        client.completions.create(model="tiny", prompt=[1] * 60, max_tokens=5, stream=stream)


def test_without_a_length_as_much_is_written_as_fits(client):
    answer = client.completions.create(model="tiny", prompt=[1] * 60, extra_body={"seed": 1})
    assert answer.usage.completion_tokens <= 4
    assert client.completions.create(model="tiny", prompt=[1] * 60, max_tokens=4).usage.prompt_tokens == 60


@pytest.mark.parametrize("prompt", ["x" * 100_000, "e" + "\u0301" * 50_000, list(range(256)) * 4000])
def test_B5_far_too_much_is_a_400_and_never_cut(running, prompt):
    answer = httpx.post(f"{running.url}/v1/completions", json={"prompt": prompt}, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded"


def test_B5_megabytes_are_refused_before_they_are_cut_into_tokens(running, backend, monkeypatch):
    monkeypatch.setattr(type(backend.tokenizer), "encode", lambda *_: pytest.fail("it was cut into tokens"))
    for text in ("x" * 7_000_000, "e" + "\u0301" * 1_000_000):
        for path, body in (("completions", {"prompt": text}), ("chat/completions", {"messages": [
                {"role": "user", "content": text}]})):  # fmt: skip
            error = httpx.post(f"{running.url}/v1/{path}", json=body, timeout=30).json()["error"]
            assert error["code"] == "context_length_exceeded" and "at most 64" in error["message"]


def test_B5_an_id_beyond_the_vocabulary_is_a_400_with_both_numbers(client, backend):
    with pytest.raises(openai.BadRequestError, match=f"5000.*{backend.config.vocab - 1}"):
        client.completions.create(model="tiny", prompt=[1, 5000])


def test_a_stream_that_is_left_frees_the_engine(client, running, backend):
    for _ in range(5):
        stream = client.completions.create(model="tiny", prompt="the", max_tokens=60, stream=True)
        next(iter(stream))
        stream.close()
    wait_until(lambda: running.slots.running == 0 and not backend.engine.running and not backend.engine.waiting, 5)
