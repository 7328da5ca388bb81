"""The tab that answers from documents, in a real browser over documents in memory."""

import pytest

from tests.serving.fakes import Scripted
from tests.serving.shelf import HANDBOOK, NOTHING, library
from tests.serving.test_page_looks import axe, faults  # noqa: F401 a fixture
from tests.serving.test_page_markdown import PAYLOADS

RETURNS = "How many days until a bicycle can be returned after delivery?"
ANSWER = "A bicycle can be returned within thirty days of delivery."
LONG = {("", "long.md"): "Of rivers.\n" * 400 + f"\n{ANSWER}\n" + "Of seas.\n" * 400}


@pytest.fixture
def shelved(visit, running):
    """shelved(library, ...) -> a page whose server has these documents."""

    def shelved(*libraries, backends=(), **options):
        running.service.state.desk.libraries = {one.name: one for one in libraries}
        watched = visit(*backends, **options)
        watched.page.wait_for_selector("#tab-ask:visible")
        watched.tab("ask")
        return watched

    yield shelved
    running.service.state.desk.libraries = {}


@pytest.fixture
def opened(shelved):
    return shelved(library(HANDBOOK))


def ask(watched, question=RETURNS):
    before = watched.page.locator(".asked").count()
    watched.page.fill("#ask-question", question)
    watched.page.press("#ask-question", "Enter")
    watched.page.wait_for_selector(f".asked:nth-child({before + 1}) .under")
    watched.finished()


def marked(watched):
    watched.page.wait_for_selector("#ask-mark")
    return watched.page.text_content("#ask-mark")


def in_sight(watched):
    """Whether the marked span stands within the frame of the source, and that within the window."""
    mark, frame = (watched.page.locator(one).bounding_box() for one in ("#ask-mark", "#ask-source-text"))
    height = watched.page.viewport_size["height"]
    return frame["y"] <= mark["y"] <= frame["y"] + frame["height"] and 0 <= mark["y"] < height


def test_a_server_without_documents_has_no_such_tab(visit):
    assert visit(Scripted()).page.is_hidden("#tab-ask")


def test_a_server_with_documents_alone_shows_this_tab_at_once(shelved):
    watched = shelved(library(HANDBOOK))
    assert watched.page.is_hidden("#tab-write") and watched.page.is_hidden("#notice")
    assert watched.page.text_content("#model") == "handbook"
    assert "own words" in watched.page.text_content("#ask-about")


def test_A1_an_answer_shows_its_number_and_the_source_opens_with_the_span_marked(opened):
    ask(opened)
    page = opened.page
    assert page.text_content(".answer-text") == ANSWER + "1"
    assert "confidence 0.90" in page.text_content(".asked .under")
    assert page.get_attribute(".cite", "aria-label") == "Source 1: Returns 🚲"
    assert "page 3" in page.text_content(".sources a") and page.text_content(".sources mark") == ANSWER
    page.click(".cite")
    assert marked(opened) == ANSWER  # behind a bicycle, which is two units of UTF-16
    assert page.text_content("#ask-source-text") == HANDBOOK["sales", "returns.md"] and in_sight(opened)
    assert page.text_content(".source-title") == "Returns 🚲"
    page.keyboard.press("Escape")
    assert page.is_hidden("#ask-source") and page.evaluate("() => document.activeElement.className") == "cite"
    assert "#" not in page.url


def test_passages_are_shown_with_their_scores_and_open_the_source_too(opened):
    ask(opened)
    page = opened.page
    page.click(".passages summary")
    assert page.text_content(".passages li >> nth=0").count("likeness 0.50") == 1
    page.click(".passages li >> nth=1 >> a")
    assert marked(opened) == page.text_content(".passages li >> nth=1 >> p")


def test_A2_what_the_documents_do_not_say_is_said_plainly(opened):
    ask(opened, "Who won the world cup?")
    page = opened.page
    assert page.text_content(".answer-text") == NOTHING and page.is_visible(".asked.is-refused")
    assert page.text_content(".asked .under") == "confidence 0.10" and page.locator(".cite").count() == 0
    assert "comes nearest" in page.text_content(".passages summary")


def test_a_question_takes_what_was_said_before_along_and_new_forgets_it(shelved):
    shelf = library(HANDBOOK)
    watched = shelved(shelf)
    ask(watched)
    ask(watched, "What does a helmet cost?")
    assert shelf.asker.asked[1][1] == [{"role": "user", "content": RETURNS}, {"role": "assistant", "content": ANSWER}]
    watched.page.click("#ask-fresh")
    assert watched.page.locator(".asked").count() == 0 and watched.page.is_visible("#panel-ask .hint")
    ask(watched, "What does a helmet cost?")
    assert shelf.asker.asked[2][1] == []


def test_an_address_opens_its_source(shelved, running):
    watched = shelved(library(LONG))
    start = LONG["", "long.md"].index(ANSWER)
    watched.page.goto(f"{running.url}/#source=1&index=handbook&start={start}&end={start + len(ANSWER)}")
    assert marked(watched) == ANSWER and in_sight(watched)
    watched.reload()
    assert marked(watched) == ANSWER and in_sight(watched)
    watched.page.evaluate("() => { location.hash = '#source=1&index=handbook'; }")
    watched.page.wait_for_selector("#ask-mark", state="detached")
    assert watched.page.is_visible("#ask-source")


@pytest.mark.parametrize("hash", ["source=99&index=handbook", "source=1&index=none"])
def test_the_address_of_what_is_not_there_is_told(shelved, running, hash):
    watched = shelved(library(HANDBOOK))
    watched.page.goto(f"{running.url}/#{hash}")
    watched.page.wait_for_selector("#ask-note.wrong")
    assert "not there" in watched.page.text_content("#ask-note") and watched.page.is_hidden("#ask-source")
    watched.expect_refusals()


@pytest.mark.parametrize("hash", ["source=<img>", "source=-1", "source=../x", "source=1e5", "source=", "other=1"])
def test_an_address_that_names_nothing_asks_for_nothing(shelved, running, hash):
    watched = shelved(library(HANDBOOK))
    watched.page.evaluate("(hash) => { location.hash = hash; }", hash)
    watched.page.wait_for_timeout(100)
    assert watched.page.is_hidden("#ask-source") and not [one for one in watched.requested if "/documents" in one]


def test_one_collection_can_be_asked_and_the_documents_are_listed(shelved):
    shelf = library(HANDBOOK)
    watched = shelved(shelf)
    page = watched.page
    assert page.locator("#ask-collection option").all_text_contents() == ["all collections", "sales", "staff"]
    page.select_option("#ask-collection", "staff")
    ask(watched)
    assert shelf.asker.asked[0][2] == frozenset({"staff"}) and page.text_content(".answer-text") == NOTHING
    page.click(".ask-documents summary")
    page.wait_for_selector("#ask-documents li")
    assert page.locator("#ask-documents li").all_text_contents() == ["Salaries"]
    page.select_option("#ask-collection", "")
    page.wait_for_selector("#ask-documents li >> nth=2")
    page.click("#ask-documents a >> nth=1")
    page.wait_for_selector("#ask-source:visible")
    assert page.text_content("#ask-source-text") == HANDBOOK["sales", "prices.md"]


def test_one_of_several_indexes_can_be_picked(shelved):
    first, second = library(HANDBOOK), library({("", "a.md"): "Zebras sleep standing up."}, "zoo", "written")
    watched = shelved(first, second)
    assert watched.page.is_hidden("#ask-collection") is False
    watched.page.select_option("#ask-index", "zoo")
    assert watched.page.is_hidden("#ask-collection") and "A model writes" in watched.page.text_content("#ask-about")
    ask(watched, "How do zebras sleep?")
    assert first.asker.asked == [] and watched.page.text_content(".answer-text") == "Zebras sleep standing up.1"
    watched.page.click(".cite")
    assert marked(watched) == "Zebras sleep standing up."


def test_a_model_beside_documents_keeps_its_tabs_and_its_name(shelved):
    watched = shelved(library(HANDBOOK), backends=(Scripted(words=(" x",)),))
    assert watched.page.text_content("#model") == "handbook"
    watched.tab("write")
    assert watched.page.text_content("#model") == "scripted"
    watched.write("A")
    assert watched.text == "A x"


def test_a_fault_gives_the_question_back(shelved):
    watched = shelved(library(HANDBOOK, fault=RuntimeError("inside")))
    watched.page.fill("#ask-question", RETURNS)
    watched.page.press("#ask-question", "Enter")
    watched.page.wait_for_selector("#ask-note.wrong")
    assert watched.page.input_value("#ask-question") == RETURNS and watched.page.locator(".asked").count() == 0
    watched.expect_refusals()


def test_S5_a_key_shows_its_own_documents_alone(browser, serve):
    running = serve({}, libraries={"handbook": library(HANDBOOK)}, api_keys={"sales-key": frozenset({"sales"})})
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{running.url}/#source=3&index=handbook")
    page.fill("#key", "sales-key")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask-note.wrong")
    assert "not there" in page.text_content("#ask-note")
    assert page.is_hidden("#ask-collection") and "2" in page.text_content(".ask-documents summary")
    context.close()


def test_S7_a_hundred_attacks_in_documents_titles_and_names_stay_letters(shelved):
    alone = {(one, f"{one} {number}.md"): f"# {one}\n\nZebra payload {one}" for number, one in enumerate(PAYLOADS)}
    together = {("", "all.md"): "\n".join(["Every zebra payload in a single place.", *PAYLOADS])}
    watched = shelved(library(together | alone, PAYLOADS[0]), library(HANDBOOK, PAYLOADS[1]))
    page = watched.page
    page.click(".ask-documents summary")
    page.wait_for_selector("#ask-documents li >> nth=100")
    for question in ("Every zebra payload in a single place?", *(f"Zebra payload {one}" for one in PAYLOADS[:5])):
        ask(watched, question)
        page.click(".asked:last-child .passages summary")
        page.click(".asked:last-child .cite >> nth=0")
        answer = page.text_content(".asked:last-child .answer-text").removesuffix("1")
        page.wait_for_function("(text) => document.querySelector('#ask-mark')?.textContent === text", arg=answer)
    page.click("#ask-documents a >> nth=0")
    page.wait_for_selector("#ask-mark", state="detached")
    assert page.text_content("#ask-source-text") == together["", "all.md"]
    assert page.evaluate("() => window.pwned ?? null") is None and page.is_visible("#ask-question")
    strange = "img, script, iframe, style, base, form, math, b, object, embed, video, svg[onload], [onerror], [onload]"
    assert page.locator("#panel-ask").locator(strange).count() == 0
    links = page.evaluate("() => [...document.querySelectorAll('#panel-ask a')].map((a) => a.getAttribute('href'))")
    assert len(links) > 100 and all(link.startswith("#source=") for link in links)


@pytest.mark.parametrize("locale, name, word", [("en-US", "Ask", "all collections"), ("zh-CN", "问答", "全部分类")])
def test_its_words_are_in_the_pages_language(shelved, locale, name, word):
    watched = shelved(library(HANDBOOK), locale=locale)
    assert watched.page.text_content("#tab-ask") == name and word in watched.page.text_content("#ask-collection")
    ask(watched)
    watched.page.click("#language")
    assert "undefined" not in watched.page.inner_html("#panel-ask")
    watched.page.click(".cite")
    assert marked(watched) == ANSWER


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_sticks_out_and_the_source_is_beside_where_it_is_wide_else_below(shelved, locale):
    wide = {("x" * 40, "name" * 60 + ".md"): "# " + "title" * 50 + f"\n\n{ANSWER} " + "wide" * 300}
    watched = shelved(library(wide | LONG), locale=locale)
    page = watched.page
    ask(watched, RETURNS)
    page.click(".passages summary")
    page.click(".cite")
    marked(watched)
    for width in (360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 700})
        assert not watched.sticks_out(), width
        stage, source = (page.locator(one).bounding_box() for one in (".ask .stage", "#ask-source"))
        assert (source["x"] >= stage["x"] + stage["width"] - 1) is (width >= 1024), width
        assert (source["y"] >= stage["y"] + stage["height"] - 1) is (width < 1024), width


def test_all_tabs_together_have_room_on_a_narrow_screen(shelved):
    watched = shelved(library(HANDBOOK), backends=(Scripted(),), viewport={"width": 360, "height": 700})
    watched.page.evaluate("() => { for (const tab of document.querySelectorAll('#tabs button')) tab.hidden = false; }")
    assert not watched.sticks_out() and watched.page.locator("#tabs button:visible").count() >= 5


def test_the_source_comes_into_sight_on_a_narrow_screen(shelved):
    watched = shelved(library(LONG), viewport={"width": 390, "height": 800})
    ask(watched)
    watched.page.click(".cite")
    assert marked(watched) == ANSWER and in_sight(watched)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_it(shelved, axe, scheme):  # noqa: F811
    watched = shelved(library(HANDBOOK), color_scheme=scheme, reduced_motion="reduce")
    watched.page.evaluate(axe)
    assert faults(watched) == []
    ask(watched)
    ask(watched, "Who won the world cup?")
    watched.page.click(".passages summary >> nth=0")
    watched.page.click(".ask-documents summary")
    watched.page.click(".cite")
    marked(watched)
    assert faults(watched) == []
