"""Programs that people use with OpenAI's servers, unchanged, on ours: LangChain and lm-eval."""

import json

import pytest
import yaml

from tests.serving.fakes import Running, opened, tiny_checkpoint
from tests.serving.shelf import HANDBOOK, library
from tests.verbs.test_predict import model as model_with_head
from upwell.serving.api import app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("models") / "writer", context=1024)


@pytest.fixture(scope="module")
def backends(folder, tmp_path_factory):
    vectors = model_with_head(tmp_path_factory.mktemp("models") / "vectors", "embed")
    with opened({"writer": folder, "vectors": vectors}) as backends:
        yield backends


@pytest.fixture(scope="module")
def running(backends):
    server = Running(app(backends))
    yield server
    server.stop()


def test_langchain_talks_streams_calls_and_fits_a_schema(running):
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{running.url}/v1", api_key="none", model="writer", temperature=0, max_tokens=12)
    whole = chat.invoke("the river")
    assert whole.content and whole.usage_metadata["output_tokens"] <= 12
    assert "".join(piece.content for piece in chat.stream("the river")) == whole.content

    def place(name: str) -> str:
        """Where something is."""
        return name

    long = ChatOpenAI(base_url=f"{running.url}/v1", api_key="none", model="writer", seed=3, max_tokens=200)
    schema = {"title": "Answer", "type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"],
              "additionalProperties": False}  # fmt: skip
    assert long.with_structured_output(schema, method="json_schema").invoke("x")["good"] in (True, False)
    called = long.bind_tools([place], tool_choice="place").invoke("x").tool_calls
    assert [one["name"] for one in called] == ["place"] or called == []  # a random model may write for ever


def test_langchain_reads_what_an_answer_from_documents_cites(running, monkeypatch):
    from langchain_openai import ChatOpenAI

    monkeypatch.setattr(running.service.state.desk, "libraries", {"handbook": library(HANDBOOK)})
    chat = ChatOpenAI(base_url=f"{running.url}/v1", api_key="none", model="handbook", use_responses_api=True)
    question = "How many days until a bicycle can be returned after delivery?"
    (block,) = chat.invoke(question).content
    (cited,) = block["annotations"]
    assert cited["title"] == "Returns 🚲" and cited["url"].startswith(f"{running.url}/#source=1&index=handbook&")
    assert block["text"][cited["start_index"] : cited["end_index"]] == block["text"]
    pieces = [one for chunk in chat.stream(question) for one in chunk.content]
    assert "".join(piece.get("text", "") for piece in pieces) == block["text"]
    assert [one for piece in pieces for one in piece.get("annotations", ())] == [cited]


def test_langchain_embeds(running, backends):
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(base_url=f"{running.url}/v1", api_key="none", model="vectors",
                                  check_embedding_ctx_length=False)  # fmt: skip
    texts = ["good herons", "dull bridges"]
    for found, wanted in zip(embeddings.embed_documents(texts), backends["vectors"].embed(texts), strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)


def test_lm_eval_finds_texts_as_likely_as_we_do_and_runs_a_task_of_ones_own(running, backends, folder, tmp_path):
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    about = {"model": "writer", "base_url": f"{running.url}/v1/completions", "tokenizer": str(folder),
             "num_concurrent": 1, "max_retries": 1}  # fmt: skip
    theirs = LocalCompletionsAPI(**about)
    pairs = [("the river", " flows to the sea"), ("the sea", " is wide"), ("the sea is", " wide")]
    asked = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    for pair, (found, greedy) in zip(pairs, theirs.loglikelihood(asked, disable_tqdm=True), strict=True):
        writer = backends["writer"]
        before, ids = (writer.tokenizer.encode(text) for text in (pair[0], pair[0] + pair[1]))
        wanted = [
            value for _, value in writer.score(ids[: len(before)], writer.tokenizer.inner.decode(ids[len(before) :]))
        ]
        assert found == pytest.approx(sum(wanted), abs=1e-2) and greedy in (True, False)

    lines = [{"text": "the river", "choices": [" flows", " sea"], "answer": 0}] * 2
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = {
        "task": "own",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "data.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    result = lm_eval.simple_evaluate(model="local-completions", model_args=about, tasks=["own"], bootstrap_iters=0,
                                     task_manager=lm_eval.tasks.TaskManager(include_path=str(tmp_path)))  # fmt: skip
    scores = [
        sum(value for _, value in backends["writer"].score("the river", choice)) for choice in lines[0]["choices"]
    ]
    assert result["results"]["own"]["acc,none"] == float(scores[0] > scores[1])
