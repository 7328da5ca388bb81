"""Every endpoint with the official client, over our own engine on tiny models."""

import base64
import json
import math

import httpx
import jsonschema
import numpy as np
import openai
import pytest

from tests.serving.fakes import Running, Scripted, opened, tiny_checkpoint
from tests.verbs.test_predict import model as model_with_head
from upwell.serving.api import app

USER = [{"role": "user", "content": "the river"}]
TIME = {"type": "function", "function": {"name": "get_time", "description": "The time of a place", "parameters": {
    "type": "object", "properties": {"place": {"enum": ["Oslo", "Rome"]}}, "required": ["place"],
    "additionalProperties": False}}}  # fmt: skip
RAIN = {
    "type": "function",
    "function": {
        "name": "will_it_rain",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}
LABELS = ("harassment", "violence", "good")


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    folders = {"writer": tiny_checkpoint(home / "writer", context=512), "vectors": model_with_head(home / "v", "embed"),
               "labels": model_with_head(home / "l", "classify", LABELS, "multi_label_classification")}  # fmt: skip
    with opened(folders) as backends:
        yield backends


@pytest.fixture(scope="module")
def running(backends):
    server = Running(app(backends))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running):
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=30)


def refused(status, running, path, **body):
    answer = httpx.post(running.url + path, json=body, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


# ---- log-probabilities ----


def test_a_chat_tells_its_tokens_with_the_likeliest_beside_them(client, backends):
    asked = dict(model="writer", messages=USER, max_completion_tokens=12, temperature=0, logprobs=True, top_logprobs=3)
    whole = client.chat.completions.create(**asked).choices[0]
    told = whole.logprobs.content
    assert len(told) >= 1 and b"".join(bytes(one.bytes) for one in told).decode("utf-8", "replace").startswith(
        whole.message.content[:3])  # fmt: skip
    for one in told:
        assert len(one.top_logprobs) == 3 and one.top_logprobs[0].logprob == pytest.approx(one.logprob)
        assert one.logprob <= 0 and bytes(one.bytes).decode("utf-8", "replace") == one.token
    chunks = list(client.chat.completions.create(**asked, stream=True))
    streamed = [
        one for chunk in chunks for one in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])
    ]
    assert [one.token for one in streamed] == [one.token for one in told]
    assert [one.logprob for one in streamed] == pytest.approx([one.logprob for one in told], abs=1e-4)


def test_an_echo_tells_the_prompt_as_likely_as_the_backend_finds_it(client, backends):
    writer = backends["writer"]
    ids = writer.tokenizer.encode("the river flows to the sea")
    answer = client.completions.create(model="writer", prompt=ids, max_tokens=1, temperature=0, echo=True, logprobs=2)
    told = answer.choices[0].logprobs
    assert len(told.tokens) == len(ids) + 1 and told.token_logprobs[0] is None and told.top_logprobs[0] is None
    wanted = [value for _, value in writer.score(ids[:1], writer.tokenizer.inner.decode(ids[1:]))]
    assert told.token_logprobs[1:-1] == pytest.approx(wanted, abs=1e-3)
    for table, value in zip(told.top_logprobs[1:], told.token_logprobs[1:], strict=True):
        assert value in table.values() and 2 <= len(table) <= 3 and max(table.values()) >= value
    assert answer.choices[0].text.startswith("the river flows to the sea")
    assert told.text_offset[0] == 0 and told.text_offset == sorted(told.text_offset)


def test_nothing_at_all_may_be_written_behind_an_echo(client):
    answer = client.completions.create(model="writer", prompt="the sea", max_tokens=0, echo=True, logprobs=1)
    assert answer.choices[0].text == "the sea" and answer.usage.completion_tokens == 0
    assert all(value < 0 for value in answer.choices[0].logprobs.token_logprobs)
    with pytest.raises(openai.BadRequestError, match="max_tokens: 0 asks for nothing"):
        client.completions.create(model="writer", prompt="the sea", max_tokens=0)


def test_vllms_words_for_tokens_are_understood(client, backends):
    more = {"return_token_ids": True, "prompt_logprobs": 1, "ignore_eos": True, "min_p": 0.01}
    answer = client.completions.create(model="writer", prompt="the sea", max_tokens=9, seed=1, extra_body=more)
    choice = answer.choices[0].model_extra
    assert answer.usage.completion_tokens == len(choice["token_ids"]) == 9
    assert choice["prompt_token_ids"] == backends["writer"].read("the sea")[1:]
    assert all(len(one) in (1, 2) for one in choice["prompt_logprobs"])


def test_of_several_texts_the_likeliest_come(client):
    asked = dict(model="writer", prompt="the", max_tokens=8, seed=3, temperature=1.5, logprobs=0)
    every = client.completions.create(**asked, n=4).choices
    likely = sorted(every, key=lambda one: -sum(one.logprobs.token_logprobs) / len(one.logprobs.token_logprobs))
    best = client.completions.create(**asked, n=2, best_of=4).choices
    assert [one.text for one in best] == [one.text for one in likely[:2]]
    with pytest.raises(openai.BadRequestError, match="best_of"):
        client.completions.create(**asked, n=3, best_of=2)


def test_a_beam_search_gives_all_its_texts(client, backends):
    from upwell.generation.settings import Settings

    more = {"use_beam_search": True, "length_penalty": 1.0}
    answer = client.completions.create(model="writer", prompt="the", max_tokens=8, n=3, extra_body=more)
    settings = Settings(max_new=8, strategy="beam", beams=3, best=3, length_power=1.0)
    wanted = [one.text for one in list(backends["writer"].generate("the", settings))[-1].ranking]
    assert [choice.text for choice in answer.choices] == wanted and len(set(wanted)) == 3


def test_a_bias_decides_and_one_beyond_the_vocabulary_is_refused(client, backends):
    token = backends["writer"].tokenizer.encode(" sea")[0]
    asked = dict(model="writer", prompt="the", max_tokens=4, temperature=0)
    assert client.completions.create(**asked, logit_bias={str(token): 100}).choices[0].text == " sea" * 4
    with pytest.raises(openai.BadRequestError, match="999999"):
        client.completions.create(**asked, logit_bias={"999999": 1})


# ---- shapes and tools ----


def test_an_answer_fits_the_schema_that_was_asked_for(client):
    schema = {"type": "object", "properties": {"name": {"enum": ["Ann", "Bo"]}, "age": {"type": "integer", "minimum": 0,
              "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}  # fmt: skip
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    for seed in range(3):
        answer = client.chat.completions.create(model="writer", messages=USER, response_format=shape, seed=seed)
        jsonschema.validate(json.loads(answer.choices[0].message.content), schema)
    more = {"structured_outputs": {"choice": ["yes", "no"]}}
    chosen = client.chat.completions.create(model="writer", messages=USER, extra_body=more).choices[0].message.content
    assert chosen in ("yes", "no")


def test_a_tool_that_must_be_called_is_called_with_arguments_that_fit(client):
    asked = dict(model="writer", messages=USER, tools=[TIME, RAIN], seed=4)
    only = {"type": "function", "function": {"name": "get_time"}}
    choice = client.chat.completions.create(**asked, tool_choice=only).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and choice.message.content is None and call.function.name == "get_time"
    assert json.loads(call.function.arguments)["place"] in ("Oslo", "Rome")
    chunks = list(client.chat.completions.create(**asked, tool_choice="required", stream=True))
    (called,) = [one for chunk in chunks for one in (chunk.choices[0].delta.tool_calls or [])]
    assert called.function.name in ("get_time", "will_it_rain") and called.index == 0
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert not any(chunk.choices[0].delta.content for chunk in chunks)


def test_tools_that_cannot_be_are_refused(running):
    for body in ({"tools": [TIME, TIME]}, {"tool_choice": "required"}, {"tools": [{"type": "web_search"}]},
                 {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "other"}}}):  # fmt: skip
        assert refused(400, running, "/v1/chat/completions", messages=USER, **body)["param"].startswith("tool")


@pytest.fixture
def talks(serve):
    """talks(words) -> a client of a backend that says just that, and the backend."""

    def start(*words):
        backend = Scripted(words=words)
        return openai.OpenAI(base_url=f"{serve({'a': backend}).url}/v1", api_key="x", max_retries=0), backend

    return start


CALL = ("I will look. ", "<tool", '_call>\n{"name": "get_time", ', '"arguments": {"place": "Oslo"}}\n</tool_', "call>")


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_in_a_models_text_is_told_as_a_call(talks, stream):
    client, backend = talks(*CALL)
    said = client.chat.completions.create(model="a", messages=USER, tools=[TIME], stream=stream)
    if stream:
        chunks = list(said)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        (call,) = [one for chunk in chunks for one in (chunk.choices[0].delta.tool_calls or [])]
        finish = chunks[-1].choices[0].finish_reason
    else:
        text, (call,), finish = (
            said.choices[0].message.content,
            said.choices[0].message.tool_calls,
            said.choices[0].finish_reason,
        )
    assert (text.strip(), call.function.name, finish) == ("I will look.", "get_time", "tool_calls")
    assert json.loads(call.function.arguments) == {"place": "Oslo"} and backend.asked[0][0].tools[0] == TIME


@pytest.mark.parametrize("stream", [False, True])
def test_what_only_looks_like_a_call_stays_text(talks, stream):
    words = (
        "a <tool_call>no json</tool_call> b ",
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        " <tool",
    )
    client, _ = talks(*words)
    said = client.chat.completions.create(model="a", messages=USER, tools=[TIME], stream=stream)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in said) if stream else said.choices[0].message.content
    )
    assert text == "".join(words)


def test_the_turns_of_a_tool_reach_a_model_whose_template_knows_none(client, backends):
    call = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": '{"place": "Oslo"}'}}
    messages = [
        *USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "9:00"},
    ]
    answer = client.chat.completions.create(model="writer", messages=messages, tools=[TIME], max_tokens=3)
    assert answer.usage.completion_tokens <= 3
    body = {"model": "writer", "messages": messages, "tools": [TIME]}
    text = httpx.post(str(client.base_url).replace("/v1/", "/apply-template"), json=body).json()["prompt"]
    assert "get_time" in text and "9:00" in text and '"place": "Oslo"' in text


def test_a_message_can_be_gone_on_with(client, backends):
    messages = [*USER, {"role": "assistant", "content": "the sea is"}]
    more = {"continue_final_message": True, "add_generation_prompt": False}
    asked = dict(model="writer", messages=messages, max_tokens=5, temperature=0, extra_body=more)
    answer = client.chat.completions.create(**asked)
    ids = backends["writer"].read([*USER]) + backends["writer"].tokenizer.encode(" the sea is")
    alone = client.completions.create(model="writer", prompt=ids, max_tokens=5, temperature=0)
    assert answer.choices[0].message.content == alone.choices[0].text
    with pytest.raises(openai.BadRequestError, match="the last message must be the assistant's"):
        client.chat.completions.create(model="writer", messages=USER, extra_body=more)


# ---- responses ----


def test_a_response_is_what_the_chat_says(client):
    asked = dict(model="writer", temperature=0)
    chat = client.chat.completions.create(**asked, max_tokens=15, messages=[
        {"role": "system", "content": "Be kind."}, *USER])  # fmt: skip
    said = client.responses.create(**asked, max_output_tokens=15, instructions="Be kind.", input="the river")
    assert said.output_text == chat.choices[0].message.content
    assert (said.usage.input_tokens, said.usage.output_tokens) == (
        chat.usage.prompt_tokens,
        chat.usage.completion_tokens,
    )
    assert said.status == ("incomplete" if chat.choices[0].finish_reason == "length" else "completed")
    again = client.responses.create(**asked, max_output_tokens=15, input=[
        {"role": "developer", "content": "Be kind."}, {"role": "user", "content": [
            {"type": "input_text", "text": "the river"}]}])  # fmt: skip
    assert again.output_text == said.output_text


def test_the_events_of_a_response_come_in_their_order(client):
    asked = dict(model="writer", input="the river", max_output_tokens=12, temperature=0, top_logprobs=2)
    whole = client.responses.create(**asked)
    events = list(client.responses.create(**asked, stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    deltas = kinds.count("output_text.delta")
    begun = ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds == [*begun, *["output_text.delta"] * deltas,
                     "output_text.done", "content_part.done", "output_item.done", whole.status]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text
    assert events[-1].response.usage == whole.usage and whole.output[0].content[0].logprobs


def test_a_response_calls_a_tool_and_fits_a_schema(client):
    tool = {"type": "function", **TIME["function"], "strict": True}
    said = client.responses.create(model="writer", input="x", tools=[tool], tool_choice="required")
    (call,) = said.output
    assert (call.type, call.name) == ("function_call", "get_time") and json.loads(call.arguments)["place"]
    events = list(client.responses.create(model="writer", input="x", tools=[tool], tool_choice="required", stream=True))
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert len(done) == 1 and json.loads(done[0].arguments)["place"] in ("Oslo", "Rome")
    shape = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "integer", "minimum": 1, "maximum": 5}}}
    assert 1 <= json.loads(client.responses.create(model="writer", input="x", text=shape).output_text) <= 5
    history = [{"role": "user", "content": "time?"}, {"type": "function_call", "call_id": "c", "name": "get_time",
               "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "9:00"}]  # fmt: skip
    assert client.responses.create(model="writer", input=history, max_output_tokens=3).usage.input_tokens > 10


def test_what_a_response_cannot_do_is_refused_by_name(running):
    for name, value in (("previous_response_id", "resp_1"), ("background", True), ("truncation", "auto"),
                        ("conversation", "c"), ("nonsense", 1), ("input", []), ("max_output_tokens", 0)):  # fmt: skip
        error = refused(400, running, "/v1/responses", **({"input": "x"} | {name: value}))
        assert error["param"] == name, (name, error)


# ---- vectors, order, labels ----


def test_vectors_come_as_numbers_and_as_bytes(client, backends):
    texts = ["good herons", "dull bridges"]
    wanted = backends["vectors"].embed(texts)
    for form in ("float", "base64", None):
        given = {} if form is None else {"encoding_format": form}
        answer = client.embeddings.create(model="vectors", input=texts, **given)
        found = [one.embedding for one in answer.data]
        if form == "base64":
            found = [np.frombuffer(base64.b64decode(one), dtype="<f4").tolist() for one in found]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert answer.usage.prompt_tokens > 3 and [one.index for one in answer.data] == [0, 1]


def test_foreign_token_ids_are_no_text(client, running, backends):
    ids = backends["vectors"].tokenizer.encode("good herons")
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="vectors", input=[ids])
    answer = client.embeddings.create(model="vectors", input=[ids], extra_body={"token_ids": "native"})
    np.testing.assert_allclose(answer.data[0].embedding, backends["vectors"].embed(["good herons"])[0], atol=1e-6)
    for body in ({"input": []}, {"input": ["a", ""]}, {"input": "x " * 500}, {"input": "a", "dimensions": 7},
                 {"input": ["a"] * 2049}, {"input": "a", "model": "writer"}, {"input": {"a": 1}}):  # fmt: skip
        refused(400, running, "/v1/embeddings", **body)


def test_texts_come_in_the_order_in_which_they_fit(running, backends):
    texts = ["good herons wait", "dull bridges", "the river runs past quiet mills"]
    body = {"model": "vectors", "query": "good herons", "documents": texts, "top_n": 2}
    answer = httpx.post(running.url + "/v1/rerank", json=body).json()
    vectors = np.array(backends["vectors"].embed(["good herons", *texts]))
    wanted = vectors[1:] @ vectors[0] / np.linalg.norm(vectors[1:], axis=1) / np.linalg.norm(vectors[0])
    order = np.argsort(-wanted)[:2].tolist()
    assert [one["index"] for one in answer["results"]] == order
    assert [one["relevance_score"] for one in answer["results"]] == pytest.approx(wanted[order].tolist(), abs=1e-5)
    pairs = httpx.post(running.url + "/v1/rerank", json=body | {"model": "labels"}).json()
    said = backends["labels"].classify([("good herons", text) for text in texts])
    assert pairs["results"][0]["relevance_score"] == pytest.approx(max(one["good"] for one in said))


def test_a_classifier_of_openais_categories_moderates(client, running, backends):
    answer = client.moderations.create(input=["good herons", "bad dull bridges"])
    (said, _) = backends["labels"].classify(["good herons", "bad dull bridges"])
    first = answer.results[0]
    assert first.category_scores.harassment == pytest.approx(said["harassment"])
    assert first.categories.violence == (said["violence"] >= 0.5) and first.flagged == any(
        said[name] >= 0.5 for name in ("harassment", "violence"))  # fmt: skip
    unsupported = first.model_extra["unsupported_categories"]
    assert "hate" in unsupported and "harassment" not in unsupported and first.category_scores.hate == 0


def test_without_a_classifier_nothing_is_guessed(serve):
    running = serve({"a": Scripted()})
    error = refused(404, running, "/v1/moderations", input="x")
    assert error["code"] == "model_not_found" and "--objective label" in error["message"]
    assert "no labels" not in refused(400, running, "/tokenize", prompt="x")["message"]


# ---- tokens, models, numbers ----


def test_tokens_go_out_and_come_back(running, backends):
    writer = backends["writer"]
    said = httpx.post(
        running.url + "/tokenize", json={"model": "writer", "prompt": "the sea", "return_token_strs": True}
    ).json()
    assert (
        said["tokens"] == writer.read("the sea")
        and said["max_model_len"] == 512
        and said["count"] == len(said["tokens"])
    )
    assert "".join(said["token_strs"][1:]) == "the sea"
    plain = httpx.post(
        running.url + "/tokenize", json={"model": "writer", "content": "the sea", "with_pieces": True}
    ).json()
    assert [one["id"] for one in plain["tokens"]] == writer.tokenizer.encode("the sea")
    back = httpx.post(running.url + "/detokenize", json={"model": "writer", "tokens": said["tokens"][1:]}).json()
    assert back == {"prompt": "the sea", "content": "the sea"}
    chat = httpx.post(running.url + "/tokenize", json={"model": "writer", "messages": USER}).json()
    assert chat["tokens"] == writer.read(USER)
    for body in ({}, {"prompt": "a", "messages": USER}, {"model": "none", "prompt": "a"}):
        assert httpx.post(running.url + "/tokenize", json=body).status_code in (400, 404)
    assert "10000" in refused(400, running, "/detokenize", model="writer", tokens=[10000])["message"]


@pytest.mark.parametrize("field, value", [("logprobs", 0), ("prompt_logprobs", 0), ("echo", True)])
def test_of_a_model_behind_another_server_no_token_is_told(serve, field, value):
    running = serve({"a": Scripted()})
    assert refused(400, running, "/v1/completions", prompt="x", **{field: value})["param"] == field


def test_the_models_say_what_they_can(client):
    assert {one.id: one.model_extra["capabilities"] for one in client.models.list()} == {
        "writer": ["write"], "vectors": ["embed"], "labels": ["classify"]}  # fmt: skip
    with pytest.raises(openai.BadRequestError, match="was not trained to write. writer can"):
        client.completions.create(model="vectors", prompt="x")


def test_the_numbers_say_what_happened(client, running):
    def value(name, **labels):
        text = httpx.get(running.url + "/metrics").text
        wanted = [line for line in text.splitlines() if line.startswith(f"vllm:{name}{{") and all(
            f'{key}="{one}"' in line for key, one in labels.items())]  # fmt: skip
        return sum(float(line.split()[-1]) for line in wanted)

    before = {name: value(name) for name in ("generation_tokens_total", "prompt_tokens_total",
                                             "time_to_first_token_seconds_count", "request_success_total")}  # fmt: skip
    answer = client.completions.create(model="writer", prompt="the sea and the river", max_tokens=7, n=2, seed=1,
                                       extra_body={"ignore_eos": True})  # fmt: skip
    assert value("generation_tokens_total") - before["generation_tokens_total"] == answer.usage.completion_tokens == 14
    assert value("request_success_total") - before["request_success_total"] == 2
    assert value("time_to_first_token_seconds_count") - before["time_to_first_token_seconds_count"] == 1
    assert value("num_requests_running") == value("num_requests_waiting") == 0
    assert 0 < value("prompt_tokens_total") - before["prompt_tokens_total"] <= 2 * answer.usage.prompt_tokens


def test_what_was_read_before_is_counted_as_known(client):
    prompt = "the river flows to the sea and the sea is wide " * 4
    first, again = (client.completions.create(model="writer", prompt=prompt, max_tokens=1) for _ in range(2))
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert again.usage.prompt_tokens_details.cached_tokens > 0.8 * again.usage.prompt_tokens
    timings = again.model_extra["timings"]
    assert timings["prompt_n"] + timings["cache_n"] == again.usage.prompt_tokens
    assert math.isfinite(timings["predicted_per_second"])
