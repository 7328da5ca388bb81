"""The owner's tab and the widget on a firm's own site, in a real browser."""

import contextlib
import functools
import http.server
import threading

import pytest

from tests.answering.shop import QUESTIONS, Bell, entries, matcher
from tests.serving.browser import Watched
from tests.serving.fakes import Running, Scripted
from tests.serving.test_page_looks import axe, faults  # noqa: F401 a fixture
from upwell.answering.faq import NOTHING, Matcher
from upwell.answering.faq_misses import Misses
from upwell.answering.faq_service import Service
from upwell.serving.api import app
from upwell.serving.visitors import Visitors

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
LINE = '<script src="{server}/widget.js" defer data-title="The shop" data-colour="#704214"></script>'
POLICY = "default-src 'none'; script-src {server}; connect-src {server}; require-trusted-types-for 'script'"


@pytest.fixture
def visit(browser, serve, tmp_path):
    """visit(...) -> the page of a server with an FAQ; it is watched until the end."""
    visited = []
    with Misses(tmp_path / "log.sqlite") as misses:

        def start(questions=QUESTIONS, backends=(), **options):
            running = serve({f"m{number}": one for number, one in enumerate(backends)})
            running.service.state.desk.faq = Service(matcher(questions), misses, Bell())
            visited.append(Watched(browser, running.url, **options))
            visited[-1].service = running.service.state.desk.faq
            return visited[-1]

        yield start
        for watched in visited:
            watched.context.close()
            watched.check_quiet()


def tried(watched, question):
    watched.page.fill("#faq-question", question)
    watched.page.press("#faq-question", "Enter")
    watched.finished()
    watched.page.wait_for_function("(text) => document.querySelector('.faq-asked')?.textContent === text", arg=question)


# ---- the tab ----


def test_a_server_without_an_faq_has_no_such_tab(browser, serve):
    watched = Watched(browser, serve({"a": Scripted()}).url)
    assert watched.page.is_hidden("#tab-faq")
    watched.context.close()
    watched.check_quiet()


def test_a_question_is_tried_and_shown_with_score_and_margin(visit):
    watched = visit()
    page = watched.page
    assert page.is_visible("#panel-faq") and page.is_hidden("#tab-write")
    page.wait_for_selector("#faq-about span")
    assert "10 questions with answers" in page.text_content("#faq-about") and "fake-encoder" in page.text_content(
        "#faq-about"
    )
    tried(watched, "how can I pay with paypal")
    assert (
        page.text_content(".faq-kind strong") == "Answered" and page.text_content(".faq-answer") == "By card or PayPal."
    )
    tried(watched, "can I return it?")
    assert page.text_content(".faq-kind strong") == "Asked back" and page.locator(".faq-nearest li").count() >= 2
    tried(watched, "who wrote Hamlet")
    assert page.text_content(".faq-kind strong") == "Handed over" and page.locator(".faq-answer").count() == 0
    assert len(watched.service.misses) == 0 and watched.service.webhook.events == []


def test_misses_and_suggestions_are_listed_and_looked_at_again(visit):
    watched = visit()
    page = watched.page
    page.wait_for_selector("#faq-misses p")
    assert "Nothing was missed" in page.text_content("#faq-misses")
    for text in ("is there a lamp here", "do you have a lamp", "who wrote Hamlet"):
        watched.service.ask(text)
    page.click("#faq-reload")
    page.wait_for_selector("#faq-misses li")
    assert page.locator("#faq-misses li").count() == 3 and "Hamlet" in page.text_content("#faq-misses li >> nth=0")
    assert "2 times" in page.text_content("#faq-suggestions summary")
    page.click("#faq-suggestions summary")
    assert page.is_visible("#faq-suggestions details ul")


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_sticks_out_at_any_width_and_words_are_in_the_pages_language(visit, locale):
    watched = visit(locale=locale)
    page = watched.page
    page.wait_for_selector("#faq-about span")
    assert page.text_content("#tab-faq") == ("FAQ" if locale == "en-US" else "客服")
    watched.service.misses.add("who wrote Hamlet" + "wide" * 100, NOTHING, "no answer")
    page.click("#faq-reload")
    page.wait_for_selector("#faq-misses li")
    tried(watched, "wide" * 200)
    for width in (360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 700})
        assert not watched.sticks_out(), width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_tab(visit, axe, scheme):  # noqa: F811
    watched = visit(color_scheme=scheme, reduced_motion="reduce")
    watched.page.evaluate(axe)
    for text in ("is there a lamp here", "do you have a lamp"):
        watched.service.ask(text)
    watched.page.click("#faq-reload")
    watched.page.wait_for_selector("#faq-suggestions summary")
    for question in ("how can I pay with paypal", "can I return it?", "who wrote Hamlet"):
        tried(watched, question)
        assert faults(watched) == []


def test_S7_what_visitors_and_entries_say_is_text(visit):
    watched = visit([(f"How? {EVIL}", EVIL), *QUESTIONS])
    watched.service.misses.add(f"who wrote Hamlet {EVIL}", NOTHING, "no answer")
    watched.page.click("#faq-reload")
    watched.page.wait_for_selector("#faq-misses li")
    tried(watched, f"How? {EVIL}")
    assert watched.page.locator("#panel-faq img, #panel-faq script").count() == 0
    assert EVIL in watched.page.text_content(".faq-answer")


# ---- the widget ----


class Site(http.server.BaseHTTPRequestHandler):
    """A firm's site: one page with the widget's line in it, under a strict policy."""

    def __init__(self, page, policy, *more):
        self.page, self.policy = page, policy
        super().__init__(*more)

    def do_GET(self):
        body = self.page.encode() if self.path in ("/", "/other") else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def firm(server, language="en", line=LINE):
    """The address of a site that embeds the widget of that server."""
    page = f'<!doctype html><html lang="{language}"><meta charset="utf-8"><link rel="icon" href="data:,">'
    page += f"<title>The shop</title><h1>Welcome</h1><main><p>Tents and shoes.</p></main>{line.format(server=server)}"
    policy = POLICY.format(server=server) + "; img-src data:"
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, page, policy))
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{site.server_address[1]}"
    site.shutdown()
    site.server_close()


class Visited:
    """A site's page in a browser, with the widget's parts; what went wrong is kept."""

    def __init__(self, browser, url, **options):
        self.problems, self.requested = [], []
        self.context = browser.new_context(
            **({"locale": "en-US", "viewport": {"width": 1000, "height": 760}} | options)
        )
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request))
        self.page.goto(url)
        self.page.wait_for_selector("upwell-faq .launch", state="attached")

    def say(self, text):
        before = self.page.locator("upwell-faq .said").count()
        self.page.fill("upwell-faq textarea", text)
        self.page.press("upwell-faq textarea", "Enter")
        self.replied(before)

    def replied(self, before):
        self.page.wait_for_function(
            "(count) => { const root = document.querySelector('upwell-faq').shadowRoot;"
            " return root.querySelectorAll('.said:not(.waiting)').length >= count + 2"
            " && !root.querySelector('.waiting'); }",
            arg=before)  # fmt: skip

    @property
    def last(self):
        return self.page.text_content("upwell-faq .said >> nth=-1").partition(": ")[2]


@pytest.fixture
def embedded(browser, tmp_path):
    """embedded(questions, ...) -> the widget on a site of another origin than the server's, which wants a key."""
    with contextlib.ExitStack() as stack:
        misses = stack.enter_context(Misses(tmp_path / "log.sqlite"))

        def start(questions=QUESTIONS, named=True, rate=100, language="en", line=LINE, **options):
            visitors = Visitors(rate=rate)
            running = Running(app({"a": Scripted()}, api_keys=["k3y"], visitors=visitors))
            stack.callback(running.stop)
            site = stack.enter_context(firm(running.url, language, line))
            visitors.origins = frozenset({site}) if named else frozenset()
            running.service.state.desk.faq = Service(Matcher(entries(questions), matcher().encoder), misses, Bell())
            visited = Visited(browser, site, **options)
            visited.misses, visited.server, visited.site = misses, running.url, site
            stack.callback(visited.context.close)
            return visited

        yield start


def test_one_line_gives_a_site_a_chat_that_talks_to_our_server_alone(embedded):
    visited = embedded()
    page = visited.page
    page.click("upwell-faq .launch")
    assert page.text_content("upwell-faq h2") == "The shop"
    visited.say("how can I pay with paypal")
    assert visited.last == "By card or PayPal."
    elsewhere = [one for one in visited.requested if not one.url.startswith((visited.server, visited.site, "data:"))]
    assert elsewhere == [] and visited.problems == []
    asked = [one for one in visited.requested if one.url.endswith("/faq/ask")]
    assert asked and all("cookie" not in one.headers and "authorization" not in one.headers for one in asked)


def test_what_is_asked_back_can_be_pressed_and_only_the_last_of_it(embedded):
    visited = embedded()
    page = visited.page
    page.click("upwell-faq .launch")
    visited.say("can I return it?")
    options = page.locator("upwell-faq .options >> nth=0").locator("button")
    assert options.count() >= 3 and options.last.text_content() == "None of these"
    before = page.locator("upwell-faq .said").count()
    wanted = options.nth(1).text_content()
    options.nth(1).click()
    visited.replied(before)
    assert visited.last == dict(QUESTIONS)[wanted] and options.nth(0).is_disabled()
    visited.say("Can I return shoes or tents?")
    before = page.locator("upwell-faq .said").count()
    page.locator("upwell-faq .options >> nth=1").locator("button").last.click()
    visited.replied(before)
    assert "passed it on" in visited.last and len(visited.misses) == 1
    assert visited.problems == []


def test_the_conversation_is_there_on_the_next_page_and_can_be_begun_anew(embedded):
    visited = embedded()
    page = visited.page
    page.click("upwell-faq .launch")
    visited.say("can I return it?")
    page.goto(f"{visited.site}/other")
    page.click("upwell-faq .launch")
    assert page.locator("upwell-faq .said").count() == 3
    visited.say("the first")
    assert visited.last in dict(QUESTIONS).values()
    page.click("upwell-faq header button >> nth=0")
    assert page.locator("upwell-faq .said").count() == 1
    assert visited.problems == []


def test_S2_a_site_that_was_not_named_gets_no_answer(embedded):
    visited = embedded(named=False)
    visited.page.click("upwell-faq .launch")
    visited.say("how can I pay")
    assert "cannot be reached" in visited.last
    assert visited.problems and all("CORS" in one or "Failed to load" in one for one in visited.problems)


def test_who_asks_too_often_is_told_to_wait(embedded):
    visited = embedded(rate=1)
    visited.page.click("upwell-faq .launch")
    visited.say("how can I pay")
    visited.say("how can I pay")
    assert "wait a minute" in visited.last
    assert all("429" in one for one in visited.problems)


def test_S7_answers_are_text_and_only_addresses_of_the_web_are_links(embedded):
    answer = f"{EVIL} see https://shop.example/a?b=c. Not javascript:alert(1) or data:text/html,x"
    visited = embedded([("How does it work?", answer), (f"Is it {EVIL} good?", "Yes.")])
    page = visited.page
    page.click("upwell-faq .launch")
    for text in ("How does it work?", EVIL):
        visited.say(text)
    assert page.locator("upwell-faq .log img, upwell-faq .log script, upwell-faq .log iframe").count() == 0
    links = page.locator("upwell-faq .log a")
    assert links.count() == 1 and links.get_attribute("href") == "https://shop.example/a?b=c"
    assert links.get_attribute("rel") == "noopener noreferrer" and visited.problems == []


def test_keys_open_close_and_send_and_the_focus_is_where_one_expects_it(embedded):
    visited = embedded()
    page = visited.page
    page.focus("upwell-faq .launch")
    page.keyboard.press("Enter")
    focused = "() => document.querySelector('upwell-faq').shadowRoot.activeElement.tagName"
    assert page.evaluate(focused) == "TEXTAREA"
    page.keyboard.type("how can I pay with paypal")
    page.keyboard.press("Shift+Enter")
    assert page.input_value("upwell-faq textarea").endswith("\n")
    page.keyboard.press("Escape")
    assert page.is_hidden("upwell-faq .panel") and page.evaluate(focused) == "BUTTON"


@pytest.mark.parametrize("language, words", [("en", "Hello!"), ("zh-CN", "您好")])
@pytest.mark.parametrize("width", [340, 1000])
def test_the_widget_speaks_the_pages_language_and_fits(embedded, axe, language, words, width):  # noqa: F811
    visited = embedded(language=language, viewport={"width": width, "height": 500})
    page = visited.page
    page.click("upwell-faq .launch")
    assert words in page.text_content("upwell-faq .said")
    visited.say("wide" * 100)
    box = page.locator("upwell-faq .panel").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] >= 0 and box["y"] + box["height"] <= 500
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert visited.problems == []


def test_a_title_and_a_colour_that_are_markup_are_not_taken_as_such(embedded):
    line = LINE.replace("The shop", "&lt;b&gt;x").replace("#704214", "red;}} * {{ display: none")
    visited = embedded(line=line)
    visited.page.click("upwell-faq .launch")
    assert visited.page.text_content("upwell-faq h2") == "<b>x" and visited.page.is_visible("upwell-faq textarea")
    assert visited.problems == []
