"""A headless Chromium of this machine, and pages in it that are watched; nothing is downloaded."""

import contextlib
import os
import shutil

import pytest

from tests.serving.fakes import Running, Scripted
from upwell.serving.api import app

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def executable():
    """$UPWELL_CHROMIUM, else what the PATH or playwright's own folder has; None where there is none."""
    found = os.environ.get("UPWELL_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if os.path.exists(own) else None


@contextlib.contextmanager
def chromium():
    """A browser, or a skip that says why; in CI, where the page must be tested, a failure."""
    try:
        from playwright.sync_api import sync_playwright

        path = executable()
    except ImportError:
        path = None
    if path is None:
        reason = "no Chromium found: install one, or name it in UPWELL_CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page whose every error, request and policy violation is kept."""

    def __init__(self, browser, url, **options):
        self.url, self.problems, self.requested = url, [], []
        usual = {"locale": "en-US", "viewport": {"width": 1200, "height": 800}}
        self.context = browser.new_context(**usual | options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(url)
        self.ready()

    def ready(self):
        self.page.wait_for_selector("#model:not(:empty)", state="attached")

    def reload(self):
        self.page.reload()
        self.ready()

    def write(self, text=None):
        if text is not None:
            self.page.fill("#text", text)
        self.page.click("#go")
        self.finished()

    def finished(self):
        self.page.wait_for_selector("body:not(.busy)")

    def tab(self, name):
        self.page.click(f"#tab-{name}")

    def say(self, text):
        """One message in the chat and its answer."""
        self.page.fill("#say", text)
        self.page.press("#say", "Enter")
        self.finished()

    @property
    def said(self):
        """The conversation as it is shown."""
        return [turn.strip() for turn in self.page.locator("#talk .said").all_text_contents()]

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

    def sticks_out(self):
        return self.page.evaluate("() => document.documentElement.scrollWidth > innerWidth")

    def expect_refusals(self):
        """Answers that are no 200 are errors to the browser; nothing else may be there."""
        assert [problem for problem in self.problems if "Failed to load resource" not in problem] == []
        self.problems.clear()

    def check_quiet(self):
        assert self.problems == []
        assert [url for url in self.requested if not url.removeprefix("blob:").startswith(self.url)] == []


@contextlib.contextmanager
def site():
    """A server, in which each visit puts its own backends."""
    running = Running(app({"scripted": Scripted()}))
    yield running
    running.stop()


@contextlib.contextmanager
def visits(browser, running):
    """visit(backend, ...) -> a Watched page; what it did is checked at the end of the block."""
    visited = []

    def visit(*backends, **options):
        named = {f"scripted-{number}" if number else "scripted": one for number, one in enumerate(backends)}
        running.service.state.desk.backends = named
        visited.append(Watched(browser, running.url, **options))
        return visited[-1]

    yield visit
    for watched in visited:
        watched.context.close()
        watched.check_quiet()
