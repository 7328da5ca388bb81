"""LibreTranslate's endpoints over a model that turns words around, and one that was trained on pairs."""

import io
import json
import zipfile

import pytest
from starlette.testclient import TestClient

from tests.translation.fake import Fake, docx, forgetful, paragraph, run, words_turned
from upwell.serving import api
from upwell.translation.asking import Asking


class Translating(Fake):
    """It says by its desk which languages it knows."""

    name = "pairs"


@pytest.fixture
def client(monkeypatch):
    way = Asking("pairs", lambda text, source, target: [text], frozenset({("en", "de"), ("en", "zh"), ("zh", "en")}))
    monkeypatch.setattr("upwell.serving.desk.Desk.asking", lambda self, name: way if name == "pairs" else None)
    service = api.app({"pairs": Translating(words_turned), "other": Fake(forgetful)}, hosts=None)
    with TestClient(service) as client:
        yield client


def test_texts_and_lists_of_texts_come_back_with_what_was_detected(client):
    answer = client.post("/translate", json={"q": "Open the %s.\nNow!", "source": "en", "target": "de"}).json()
    assert answer["translatedText"] == "nepO eht %s.\nwoN!" and 0 < answer["confidence"] <= 1
    several = client.post("/translate", json={"q": ["One river", "Two"], "source": "auto", "target": "de"}).json()
    assert several["translatedText"] == ["enO revir", "owT"] and len(several["detectedLanguage"]) == 2
    assert several["detectedLanguage"][0]["language"] == "en"
    html = client.post(
        "/translate", json={"q": "<p>Open <b>it</b> now</p>", "source": "en", "target": "de", "format": "html"}
    )
    assert html.json()["translatedText"] == "<p>nepO <b>ti</b> won</p>"


def test_html_that_cannot_be_read_is_a_sentence(client):
    body = {"q": '<meta charset="gbk"><p>x</p>', "source": "en", "target": "de", "format": "html"}
    answer = client.post("/translate", json=body)
    assert answer.status_code == 400 and "it is in gbk" in answer.json()["error"]["message"]


def test_languages_and_detection(client):
    codes = {one["code"]: one["targets"] for one in client.get("/languages").json()}
    assert codes == {"en": ["de", "zh"], "zh": ["en"]}
    (guess,) = client.post("/detect", json={"q": "Der Fluss ist breit und sehr kalt."}).json()
    assert guess["language"] == "de" and 50 < guess["confidence"] <= 100


@pytest.mark.parametrize("body, status, said", [
    ({"q": "a", "source": "en", "target": "fr"}, 400, "it knows en to de"),
    ({"q": "a", "source": "en"}, 400, "one of de, zh"),
    ({"q": "123", "source": "auto", "target": "de"}, 400, "no words"),
    ({"q": "a" * 100_001, "source": "en", "target": "de"}, 400, "q"),
    ({"q": ["a"] * 257, "source": "en", "target": "de"}, 400, "q"),
    ({"q": "a", "source": "en", "target": "de", "model": "other"}, 404, "No model here translates"),
    ({"q": "a", "source": "en", "target": "de", "model": "nobody"}, 404, "no model 'nobody'"),
    ({"q": "a", "source": "../x", "target": "de"}, 400, "source"),
    ({"q": "a", "source": "en", "target": "de", "colour": 1}, 400, "colour"),
])  # fmt: skip
def test_what_cannot_be_translated_is_said_in_openais_shape(client, body, status, said):
    answer = client.post("/translate", json=body)
    assert answer.status_code == status and said in answer.json()["error"]["message"]


def events(answer) -> list[dict]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def typed(client, text: str, state=None, **more) -> list[dict]:
    body = {"q": text, "source": "en", "target": "de", **({"state": state} if state else {}), **more}
    return events(client.post("/translate/typed", json=body))


def test_what_is_typed_comes_sentence_by_sentence_and_goes_on_with_its_state(client):
    told = typed(client, "One river. Two old str")
    assert [one["done"] for one in told] == [False, False, True]
    assert told[0]["translatedText"].startswith("enO revir.") and told[-1]["translatedText"] == "enO revir. "
    state = told[-1]["state"]
    assert dict(state["finished"]) == {"One river.": "enO revir."}
    further = typed(client, "One river. Two old streams ", state)[-1]
    assert further["translatedText"] == "enO revir. owT dlo"
    paused = typed(client, "One river. Two old streams", further["state"], paused=True)[-1]
    assert paused["translatedText"] == "enO revir. owT dlo smaerts"
    wrong = client.post("/translate/typed", json={"q": "a", "source": "en", "target": "fr"})
    assert wrong.status_code == 400


def test_a_file_keeps_its_layout_and_is_fetched_under_a_key(client):
    data = docx(paragraph(run("One "), run("bold", "<w:b/>"), run(" word")))
    answer = client.post(
        "/translate_file", files={"file": ("../../Ev il.DOCX", data)}, data={"source": "en", "target": "de"}
    )
    assert answer.status_code == 200 and answer.json()["translatedFileUrl"].endswith(answer.json()["path"])
    found = client.get(answer.json()["path"])
    assert "translation.de.docx" in found.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
        text = archive.read("word/document.xml").decode()
    assert run("enO ") in text and run("dlob", "<w:b/>") in text
    assert client.get(answer.json()["path"] + "x").status_code == 404
    assert client.get("/translations/guessed/translation.de.docx").status_code == 404


@pytest.mark.parametrize("name, data, said", [
    ("a.pdf.exe", b"x", "expected one of"), ("a.docx", b"x", "broken or none"),
    ("a" * 300 + ".txt", b"\xff", "no UTF-8"),
    ("-rf.txt", b"12", "no text to translate"), ("%2e%2e%2f.txt", b"", "no text to translate"),
])  # fmt: skip
def test_b8_b9_bad_files_and_bad_names_are_a_sentence(client, name, data, said):
    answer = client.post("/translate_file", files={"file": (name, data)}, data={"source": "en", "target": "de"})
    assert answer.status_code == 400 and said in answer.json()["error"]["message"]


def test_what_is_no_form_is_refused(client):
    assert client.post("/translate_file", json={"file": "x"}).status_code == 415
    broken = client.post(
        "/translate_file", content=b"--x\r\nnothing", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code == 400
    none = client.post("/translate_file", data={"source": "en"}, files={"other": ("a.txt", b"x")})
    assert none.status_code == 400 and "file: there is none" in none.json()["error"]["message"]


def test_a_page_of_kept_files_has_an_end():
    from upwell.serving.uploads import KEPT, Files

    files = Files("translations")
    paths = [files.keep(b"x", "translation.de.txt") for _ in range(KEPT + 3)]
    from upwell.serving.refusals import Refusal

    with pytest.raises(Refusal):
        files.find(paths[0].split("/")[2], "translation.de.txt")
    assert files.find(paths[-1].split("/")[2], "translation.de.txt") == b"x"


def test_models_say_that_they_translate(client):
    cards = {one["id"]: one["capabilities"] for one in client.get("/v1/models").json()["data"]}
    assert "translate" in cards["pairs"] and "translate" not in cards["other"]
