"""A headless Chromium of this machine; nothing is downloaded."""

import contextlib
import os
import shutil

import pytest

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
