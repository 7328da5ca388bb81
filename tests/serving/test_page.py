"""The page in a real browser: it writes, stops, undoes, stays on its own origin, and shows markup as letters."""

import json
import re
import shutil
import subprocess
from importlib import resources

import pytest

from tests.serving.browser import chromium
from tests.serving.fakes import Running, Scripted, tiny_checkpoint, wait_until
from upwell.serving.api import PAGE, app

ATTACKS = (
    "<script>window.pwned = 1</script>", "<img src=x onerror='window.pwned = 1'>", "<svg onload='window.pwned = 1'>",
    "<a href='javascript:window.pwned = 1'>x</a>", "</textarea><script>window.pwned = 1</script>",
    "<iframe src='javascript:parent.pwned = 1'></iframe>", "{{constructor.constructor('window.pwned = 1')()}}",
    "<img src='http://192.0.2.1/leak.png'>", "![x](http://192.0.2.1/leak.png)", "&lt;b&gt;", "\u202e\u0000<b>bold</b>",
)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


class Watched:
    """A page whose every error, request and policy violation is kept."""

    def __init__(self, browser, url, **options):
        self.url, self.problems, self.requested = url, [], []
        usual = {"locale": "en-US", "viewport": {"width": 1200, "height": 800}}
        self.context = browser.new_context(**usual | options)
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("#model:not(:empty)", state="attached")

    def write(self, text=None):
        if text is not None:
            self.page.fill("#text", text)
        self.page.click("#go")
        self.finished()

    def finished(self):
        self.page.wait_for_selector("body:not(.busy)")

    @property
    def text(self):
        return self.page.input_value("#text")

    @property
    def mirrored(self):
        return self.page.text_content("#mirror").replace("\u200b", "")

    def spans(self):
        """Who wrote what, as it is shown."""
        spans = self.page.query_selector_all("#mirror span")
        return [(span.get_attribute("class"), span.text_content()) for span in spans]

    def check_quiet(self):
        assert self.problems == []
        assert all(url.startswith(self.url) for url in self.requested)


@pytest.fixture
def visit(browser, serve):
    """visit(backend, ...) -> a Watched page; what it did is checked at the end of the test."""
    visited = []

    def start(backend, key=None, **options):
        running = serve({"scripted": backend}, api_keys=[key] if key else [])
        visited.append(Watched(browser, running.url, **options))
        return visited[-1]

    yield start
    for watched in visited:
        watched.context.close()
        watched.check_quiet()


def test_one_types_presses_write_and_text_appears(visit):
    backend = Scripted(words=(" flows", " to", " the", " sea"))
    watched = visit(backend)
    watched.write("The river")
    assert watched.text == watched.mirrored == "The river flows to the sea"
    assert watched.spans() == [("you-wrote", "The river"), ("model-wrote", " flows to the sea")]
    assert re.match(r"4 tokens", watched.page.text_content("#status"))
    assert backend.asked[0][0] == "The river"
    watched.write()
    assert backend.asked[1][0] == "The river flows to the sea"


def test_the_text_is_there_before_it_is_finished_and_stop_stops(visit):
    backend = Scripted(words=(" word",) * 10_000, pause=0.01)
    watched = visit(backend)
    watched.page.fill("#text", "A")
    watched.page.keyboard.press("Control+Enter")
    watched.page.wait_for_selector("#mirror .fresh")
    assert watched.page.is_editable("#text") is False
    watched.page.keyboard.press("Escape")
    watched.finished()
    wait_until(lambda: backend.alive == 0, 5)
    assert watched.text.startswith("A word") and watched.page.is_editable("#text")
    assert "stopped" in watched.page.text_content("#status")


def test_undo_again_and_new(visit):
    backend = Scripted(words=(" x",))
    watched = visit(backend)
    watched.write("A")
    watched.page.click("#again")
    watched.finished()
    assert watched.text == "A x" and [prompt for prompt, _ in backend.asked] == ["A", "A"]
    watched.page.click("#undo")
    assert watched.text == watched.mirrored == "A"
    watched.page.click("#fresh")
    assert watched.text == "" and watched.page.is_visible("#starters")
    watched.page.click("#undo")
    assert watched.text == "A"


def test_a_draft_is_there_after_a_reload(visit):
    watched = visit(Scripted(words=(" x",)))
    watched.write("A")
    watched.page.reload()
    watched.page.wait_for_selector("#mirror .model-wrote")
    assert watched.text == watched.mirrored == "A x"


def test_typing_in_the_middle_keeps_who_wrote_what(visit):
    watched = visit(Scripted(words=(" one two",)))
    watched.write("A")
    watched.page.focus("#text")
    watched.page.keyboard.press("End")
    for _ in range(4):
        watched.page.keyboard.press("ArrowLeft")
    watched.page.keyboard.type("!")
    assert watched.spans() == [("you-wrote", "A"), ("model-wrote", " one"), ("you-wrote", "!"), ("model-wrote", " two")]


def test_the_settings_reach_the_model(visit):
    backend = Scripted()
    watched = visit(backend)
    watched.page.click("#settings")
    for name, value in {"temperature": 0.3, "top_k": 40, "top_p": 0.9, "repetition_penalty": 1.2, "length": 20}.items():
        watched.page.fill(f"#knob-{name}", str(value))
    watched.page.fill("#knob-seed", "7")
    watched.write("A")
    asked = backend.asked[0][1]
    assert (asked.temperature, asked.top_k, asked.top_p, asked.repetition_penalty) == (0.3, 40, 0.9, 1.2)
    assert (asked.max_new, asked.seed) == (20, 7)
    watched.page.click("#reset")
    watched.write()
    assert backend.asked[1][1].temperature == 0.8 and backend.asked[1][1].seed is None


def test_S7_what_a_model_writes_stays_letters(visit):
    watched = visit(Scripted(words=ATTACKS))
    watched.write("A")
    assert watched.mirrored == "A" + "".join(ATTACKS)
    watched.page.click("[data-mode-of=chat]")
    watched.page.fill("#say", ATTACKS[0])
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector(".turn.assistant:not(.writing)")
    assert watched.page.text_content(".turn.user") == ATTACKS[0]
    assert watched.page.text_content(".turn.assistant") == "".join(ATTACKS)
    assert watched.page.evaluate("() => window.pwned") is None
    assert watched.page.query_selector_all("main img, main script, main iframe, main a, main b") == []


def test_a_chat_streams_and_goes_on(visit):
    backend = Scripted(words=(" hello", " there"))
    watched = visit(backend)
    watched.page.click("[data-mode-of=chat]")
    for text in ("hi", "and?"):
        watched.page.fill("#say", text)
        watched.page.keyboard.press("Enter")
        watched.page.wait_for_selector("body:not(.busy) .turn:last-child.assistant")
    turns = [turn.text_content() for turn in watched.page.query_selector_all(".turn")]
    assert turns == ["hi", "hello there", "and?", "hello there"]
    assert backend.asked[1][0] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello there"},
                                   {"role": "user", "content": "and?"}]


@pytest.fixture
def tiny_server(tmp_path):
    """Our engine on a model that reads 64 tokens."""
    import torch

    from upwell.generation.backend import Local
    from upwell.model import hub

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    backend = Local(hub.load(tiny_checkpoint(tmp_path / "tiny")))
    running = Running(app({"tiny": backend}))
    yield running
    running.stop()
    backend.close()
    torch.set_num_threads(threads)


def test_a_text_longer_than_the_context_goes_on_and_shows_what_is_seen(browser, tiny_server):
    watched = Watched(browser, tiny_server.url)
    begin = "the river flows to the sea " * 6
    watched.page.click("#settings")
    watched.page.fill("#knob-length", "50")
    watched.write(begin)
    assert watched.text.startswith(begin) and len(watched.text) > len(begin)
    assert watched.text.startswith(watched.page.text_content("#mirror .unseen"))
    assert "sees only" in watched.page.text_content("#note")
    watched.context.close()
    # The refusals that found out how much fits are network errors to the browser; nothing else may be there.
    assert all("400" in problem for problem in watched.problems)


def test_a_server_that_went_away_is_told_in_words(visit):
    watched = visit(Scripted(fault=RuntimeError("inside")))
    watched.write("A")
    assert "failed" in watched.page.text_content("#note")
    assert [problem for problem in watched.problems if "500" not in problem] == []
    watched.problems.clear()


def test_a_server_with_a_key_asks_for_it(browser, serve):
    running = serve({"scripted": Scripted(words=(" x",))}, api_keys=["sesame"])
    context = browser.new_context()
    page = context.new_page()
    page.goto(running.url)
    page.fill("#key", "sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model:not(:empty)", state="attached")
    page.fill("#text", "A")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#mirror .model-wrote")
    assert page.input_value("#text") == "A x"
    context.close()


@pytest.mark.parametrize("locale, word", [("en-US", "Write"), ("zh-CN", "写"), ("zh-TW", "写"), ("fr-FR", "Write")])
def test_the_language_follows_the_browser_and_can_be_switched(visit, locale, word):
    watched = visit(Scripted(), locale=locale)
    assert watched.page.text_content("#go-word") == word
    watched.page.click("#language")
    assert watched.page.text_content("#go-word") == ("写" if word == "Write" else "Write")
    watched.page.reload()
    assert watched.page.text_content("#go-word") == ("写" if word == "Write" else "Write")


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_sticks_out_at_any_width(visit, width, locale):
    watched = visit(Scripted(words=("wide" * 200,)), viewport={"width": width, "height": 700}, locale=locale)
    watched.write("A")
    for mode in ("write", "chat"):
        watched.page.click(f"[data-mode-of={mode}]")
        assert watched.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    watched.page.click("#settings")
    assert watched.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_can_be_switched(visit, scheme):
    watched = visit(Scripted(), color_scheme=scheme)
    paper = "() => getComputedStyle(document.body).backgroundColor"
    before = watched.page.evaluate(paper)
    watched.page.click("#theme")
    assert watched.page.evaluate(paper) != before
    watched.page.click("#theme")
    assert watched.page.evaluate(paper) == before


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visit):
    watched = visit(Scripted())
    watched.page.click("#settings")
    nameless = watched.page.evaluate("""() => [...document.querySelectorAll(
        'button, textarea, input, [role], aside, section')]
        .filter(e => !e.getAttribute('aria-label') && !e.textContent.trim() && !e.labels?.length
                     && e.getAttribute('role') !== 'status' && e.getAttribute('role') !== 'alert')
        .map(e => e.outerHTML.slice(0, 80))""")
    assert nameless == []
    assert watched.page.evaluate("() => document.activeElement.id") == "close-panel"
    watched.page.keyboard.press("Escape")
    assert watched.page.evaluate("() => document.activeElement.id") == "settings"


def test_the_files_of_the_page_hold_nothing_from_elsewhere_and_nothing_inline():
    folder = resources.files("upwell.serving") / "page"
    assert set(PAGE.values()) == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|//[a-z]+\.", text), file.name
        assert not re.search(r"\bon[a-z]+\s*=\s*[\"']|\sstyle\s*=", text), file.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text), file.name
        assert len(text) < 60_000


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here to read words.js with")
def test_both_languages_have_the_same_words():
    path = str(resources.files("upwell.serving") / "page" / "words.js")
    script = f"import({json.dumps('file://' + path)}).then(m => console.log(JSON.stringify(m.WORDS)))"
    words = json.loads(subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, check=True,
                                      text=True, encoding="utf-8").stdout)
    assert words["en"].keys() == words["zh"].keys()
    assert words["en"]["knobs"].keys() == words["zh"]["knobs"].keys()
