"""The tab that translates, in a real browser over a model that turns words around."""

import io
import random
import zipfile

import pytest

from tests.serving.fakes import Scripted
from tests.serving.test_page_looks import axe, faults  # noqa: F401 a fixture
from tests.translation.fake import Fake, docx, paragraph, run, words_turned
from upwell.translation.asking import Asking

WAY = Asking("turning", lambda text, source, target: [text], frozenset({("en", "de"), ("en", "zh"), ("zh", "en")}))


@pytest.fixture(autouse=True)
def knows(monkeypatch):
    """Fakes translate; scripted models do not."""
    monkeypatch.setattr("upwell.serving.desk.Desk.asking",
                        lambda self, name: WAY if isinstance(self.backends[name], Fake) else None)  # fmt: skip


@pytest.fixture
def opened(visit):
    watched = visit(Fake(words_turned))
    watched.tab("translate")
    watched.page.wait_for_selector("#translate-target option", state="attached")
    return watched


def shown(watched, text: str) -> None:
    is_shown = "(text) => document.querySelector('#translate-result').textContent === text"
    watched.page.wait_for_function(is_shown, arg=text)


def test_a_model_that_does_not_translate_has_no_such_tab(visit):
    assert visit(Scripted()).page.is_hidden("#tab-translate")


def test_a_draft_comes_while_one_types_and_care_when_asked(opened):
    page = opened.page
    page.select_option("#translate-source", "en")
    page.locator("#translate-text").press_sequentially("One river. Two str")
    shown(opened, "enO revir. owT rts")
    assert page.text_content("#translate-told") == "draft"
    page.locator("#translate-text").press_sequentially("eams.")
    shown(opened, "enO revir. owT smaerts.")
    page.press("#translate-text", "Control+Enter")
    opened.finished()
    assert "confidence 0.90" in page.text_content("#translate-told")
    assert page.text_content("#translate-result") == "enO revir. owT smaerts."
    page.fill("#translate-text", "")
    shown(opened, "")


def test_the_language_is_detected_and_the_sides_change_places(opened):
    page = opened.page
    page.fill("#translate-text", "The river is wide and cold.")
    shown(opened, "ehT revir si ediw dna dloc.")
    page.select_option("#translate-target", "zh")
    page.click("#translate-go")
    opened.finished()
    assert "looks like English" in page.text_content("#translate-told")
    page.click("#translate-swap")
    assert page.input_value("#translate-source") == "zh" and page.input_value("#translate-target") == "en"
    assert page.input_value("#translate-text") == "ehT revir si ediw dna dloc."
    assert page.locator("#translate-target option").count() == 1


def test_terms_are_kept_to_and_stay_after_a_reload(opened):
    page = opened.page
    page.select_option("#translate-source", "en")
    page.click("#panel-translate .terms summary")
    page.fill("#translate-terms", "river = Fluss\nupwell\n")
    page.fill("#translate-text", "The river upwell")
    page.click("#translate-go")
    opened.finished()
    assert page.text_content("#translate-result") == "ehT Fluss upwell"
    opened.reload()
    opened.tab("translate")
    assert page.input_value("#translate-terms").startswith("river = Fluss")


def test_a_document_comes_back_as_a_file(opened):
    page = opened.page
    page.select_option("#translate-source", "en")
    with page.expect_download() as download:
        data = docx(paragraph(run("One "), run("bold", "<w:b/>")))
        page.set_input_files("#translate-file", {"name": "a letter.docx", "mimeType": "text/plain", "buffer": data})
    assert download.value.suggested_filename == "a letter.de.docx"
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert run("dlob", "<w:b/>") in archive.read("word/document.xml").decode()
    opened.finished()
    assert "Done: 1 segments" in page.text_content("#translate-status")
    page.set_input_files("#translate-file", {"name": "a.docx", "mimeType": "text/plain", "buffer": b"no zip"})
    page.wait_for_selector("#translate-note.wrong")
    assert "broken or none" in page.text_content("#translate-note")
    opened.expect_refusals()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_sticks_out_at_any_width_and_words_are_in_the_pages_language(visit, locale):
    watched = visit(Fake(words_turned), locale=locale)
    watched.tab("translate")
    page = watched.page
    page.wait_for_selector("#translate-target option", state="attached")
    assert page.text_content("#tab-translate") == ("Translate" if locale == "en-US" else "翻译")
    assert ("German" if locale == "en-US" else "德语") in page.text_content("#translate-target")
    page.select_option("#translate-source", "en")
    wide = "".join(random.Random(1).choices("abcdefghij", k=800))
    page.fill("#translate-text", wide)
    shown(watched, wide[::-1])
    for width in (360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 700})
        assert not watched.sticks_out(), width
    boxes = [page.locator(f"#translate-{side}").bounding_box() for side in ("text", "result")]
    assert boxes[0]["y"] == boxes[1]["y"]
    page.set_viewport_size({"width": 400, "height": 700})
    boxes = [page.locator(f"#translate-{side}").bounding_box() for side in ("text", "result")]
    assert boxes[0]["y"] < boxes[1]["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_it(visit, axe, scheme):  # noqa: F811
    watched = visit(Fake(words_turned), color_scheme=scheme, reduced_motion="reduce")
    watched.page.evaluate(axe)
    watched.tab("translate")
    watched.page.select_option("#translate-source", "en")
    assert faults(watched) == []
    watched.page.fill("#translate-text", "One river")
    shown(watched, "enO revir")
    watched.page.click("#translate-go")
    watched.finished()
    watched.page.click("#panel-translate .terms summary")
    assert faults(watched) == []


def test_what_a_model_writes_is_text(opened):
    page = opened.page
    page.select_option("#translate-source", "en")
    page.fill("#translate-text", "<img src=x onerror=alert(1)> word")
    shown(opened, "<img src=x onerror=alert(1)> drow")
    assert page.locator("#translate-result img").count() == 0
