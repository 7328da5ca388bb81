"""`upwell serve --index`: documents that answer questions, from the folder of an index to the official client."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import openai
import pytest

from tests.serving.fakes import opened, tiny_checkpoint
from tests.serving.process import serving
from tests.verbs.test_predict import model as model_with_head
from upwell.answering.index import Index
from upwell.errors import CheckpointError, DataError, SettingsError
from upwell.generation.turns import Turns
from upwell.text.chat import Template
from upwell.verbs._shelf import Shelf, learnt_to_chat
from upwell.verbs.serve import Settings, main

TEXTS = {"sales/returns.md": "# Returns\n\nA bicycle can be returned within thirty days of delivery.\n",
         "staff/salaries.md": "# Salaries\n\nThe salary of a mechanic is four thousand euros.\n"}  # fmt: skip
QUESTION = "Can a bicycle be returned within thirty days of delivery?"


def made(home, encoder=None):
    """An index of two collections."""
    for name, text in TEXTS.items():
        (home / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "texts" / name).write_text(text, encoding="utf-8")
    with Index.open(home / "handbook", encoder=encoder, create=True) as index:
        for collection in ("sales", "staff"):
            index.update([home / "texts" / collection], collection)
    return home / "handbook"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return made(tmp_path_factory.mktemp("lexical"))


def test_A1_S5_an_index_alone_is_served_and_each_key_sees_its_collections(index, tmp_path):
    (tmp_path / "keys").write_text("k-all\nk-sales  sales\n", encoding="utf-8")
    with serving("--index", index, "--api-key-file", tmp_path / "keys") as process:
        client = process.client(api_key="k-sales")
        assert [model.id for model in client.models.list()] == ["handbook"]
        message = client.chat.completions.create(
            model="handbook", messages=[{"role": "user", "content": QUESTION}]
        ).choices[0].message  # fmt: skip
        (cited,) = [one.url_citation for one in message.annotations]
        assert "thirty days" in message.content[cited.start_index : cited.end_index]
        headers = {key: {"Authorization": f"Bearer {key}"} for key in ("k-all", "k-sales")}
        ask = partial(httpx.post, f"{process.address}/v1/answers", timeout=30)
        found = ask(json={"question": QUESTION}, headers=headers["k-all"]).json()["citations"][0]
        address = f"{process.address}/v1/documents/{found['document']}"
        text = httpx.get(address, headers=headers["k-all"]).json()["text"]
        assert text[found["start"] : found["end"]] == found["text"]
        listed = httpx.get(f"{process.address}/v1/documents", headers=headers["k-all"]).json()["data"]
        hidden = next(one["id"] for one in listed if one["collection"] == "staff")
        for number in (hidden, 10**6):
            answer = httpx.get(f"{process.address}/v1/documents/{number}", headers=headers["k-sales"])
            assert answer.status_code == 404 and str(number) in answer.json()["error"]["message"]
        question = "What is the salary of a mechanic in thousand euros?"
        secret = ask(json={"question": question}, headers=headers["k-sales"])
        assert "four thousand" not in secret.text and "staff" not in secret.text
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("elsewhere")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    writer, vectors = tiny_checkpoint(home / "writer", context=256), model_with_head(home / "vectors", "embed")
    return {"writer": writer, "vectors": vectors}


@pytest.fixture(scope="module")
def with_vectors(models, tmp_path_factory):
    home = tmp_path_factory.mktemp("dense")
    with opened({"vectors": models["vectors"]}) as backends:
        return made(home, backends["vectors"])


def shelf(backends, **settings):
    made = Shelf(Settings(**settings))
    made.open(backends, Turns())
    return made


def test_the_encoder_is_the_one_that_the_index_names_and_one_that_is_served_is_not_loaded_twice(models, with_vectors):
    alone = shelf({}, index=(with_vectors,))
    try:
        library = alone.libraries["handbook"]
        assert library.asker.searcher.encoder.name == "vectors" and library.how == "extractive"
        assert library.asker.ask(QUESTION).hits[0].cosine != 0
    finally:
        alone.close()
    with opened({"vectors": models["vectors"]}) as backends:
        beside = shelf(backends, index=(with_vectors,))
        assert beside.libraries["handbook"].asker.searcher.encoder is backends["vectors"]
        beside.close()
        assert backends["vectors"].embed(["x"])  # it is the server's, and goes on


def test_vectors_of_a_server_are_searched_by_that_server_or_by_nothing_unsaid(models, with_vectors, tmp_path):
    with opened({"vectors": models["vectors"]}) as backends:
        remote = SimpleNamespace(name="vectors", embed=backends["vectors"].embed)
        folder = made(tmp_path, remote)
        behind = shelf({"vectors": remote}, index=(folder,), answers="extractive")
        assert behind.libraries["handbook"].asker.searcher.encoder is remote
        behind.close()
    with pytest.raises(CheckpointError, match="vectors.*--encoder none"):
        shelf({}, index=(folder,))
    by_words = shelf({}, index=(folder,), encoder=Path("none"))
    assert by_words.libraries["handbook"].asker.searcher.encoder is None
    assert not by_words.libraries["handbook"].asker.ask(QUESTION).refused
    by_words.close()


def test_a_chat_model_writes_where_it_learnt_to_or_where_that_is_asked_for(models, index):
    with opened({"writer": models["writer"]}) as backends:
        ways = {one: shelf(backends, index=(index,), answers=one) for one in (None, "written", "extractive")}
        how = {answers: one.libraries["handbook"].how for answers, one in ways.items()}
        assert how == {None: "extractive", "written": "written", "extractive": "extractive"}
        for one in ways.values():
            one.close()
    with pytest.raises(SettingsError, match="no model here writes"):
        shelf({}, index=(index,), answers="written")


def test_a_model_with_a_template_of_its_own_learnt_to_chat():
    assert learnt_to_chat(SimpleNamespace())
    assert learnt_to_chat(SimpleNamespace(template=Template({"default": "{{ messages[0].content }}"}, {})))


@pytest.mark.parametrize("settings, said", [
    ({"index": ("handbook", "handbook")}, "two models or indexes are called handbook"),
    ({"index": ("handbook",), "encoder": "vectors"}, "without vectors"),
    ({"index": ("handbook",), "reader": "vectors"}, "marks answers"),
    ({"index": ("handbook",), "cross": "vectors"}, "says whether a text answers")])  # fmt: skip
def test_what_cannot_be_served_is_one_sentence(models, index, settings, said):
    places = {"handbook": index, "vectors": models["vectors"]}
    given = {key: tuple(places[one] for one in value) if key == "index" else places[value]
             for key, value in settings.items()}  # fmt: skip
    with pytest.raises((DataError, SettingsError), match=said):
        shelf({}, **given)


def test_a_folder_without_an_index_is_told_before_any_model_is_loaded(tmp_path):
    with pytest.raises(DataError, match="found no index there"):
        main(Settings(index=(tmp_path,), port=0))
    with pytest.raises(SettingsError, match="of --index"):
        Settings(reader=tmp_path)


def test_S5_a_collection_that_no_index_has_is_told(index, tmp_path, capsys):
    (tmp_path / "keys").write_text("k  sales,typo\n", encoding="utf-8")
    shelf({}, index=(index,), api_key_file=tmp_path / "keys").close()
    assert "typo" in (told := capsys.readouterr().err) and "sales" not in told
