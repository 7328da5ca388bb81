"""Pictures of the page for the documentation: `python tools/pictures.py FOLDER` writes docs/pictures/page-*.png.

FOLDER is a model's folder; what stands in the pictures is what that model wrote with the seed below. With --report,
FOLDER is a prepared one, and the beginning of its report becomes docs/pictures/report.png. Needs playwright and a
Chromium; each picture stays below 300 KB.
"""

import argparse
import asyncio
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HERE = ROOT / "docs" / "pictures"
MOST = 300_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
# name: (width, height, theme, language, prompt or None for the empty page, settings open)
PICTURES = {
    "page-light": (1200, 720, "light", "en-US", "The river", False),
    "page-dark": (1200, 720, "dark", "en-US", "The river", True),
    "page-chinese": (1200, 720, "light", "zh-CN", "", False),
    "page-empty": (1200, 720, "light", "en-US", None, False),
    "page-narrow": (360, 720, "dark", "en-US", "She was born in", False),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chinese", type=Path, help="a model of Chinese for the Chinese picture")
    parser.add_argument("--report", action="store_true", help="a picture of a prepared folder's report")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--length", type=int, default=120)
    options = parser.parse_args()
    HERE.mkdir(parents=True, exist_ok=True)
    if options.report:
        shoot_report(options.folder)
        return
    shoot({name: p for name, p in PICTURES.items() if p[3] != "zh-CN"}, options.folder, options)
    if options.chinese:
        width, height, theme, language, _, panel = PICTURES["page-chinese"]
        shoot({"page-chinese": (width, height, theme, language, "春", panel)}, options.chinese, options)


def shoot(pictures, folder, options):
    """Serve the folder and take its pictures."""
    from playwright.sync_api import sync_playwright

    server, thread, backend, url = served(folder)
    try:
        with sync_playwright() as playwright:
            browser = chromium(playwright)
            for name, picture in pictures.items():
                take(browser, url, HERE / f"{name}.png", picture, options)
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
        backend.close()


def shoot_report(folder):
    """The beginning of a report, opened as a file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium(playwright)
        page = browser.new_page(viewport={"width": 1200, "height": 1180}, color_scheme="light", locale="en-US")
        page.goto((folder / "report.html").resolve().as_uri())
        page.screenshot(path=HERE / "report.png")
        browser.close()
    check(HERE / "report.png")


def chromium(playwright):
    """The browser that is there."""
    path = os.environ.get("UPWELL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def served(folder):
    """A server on a free port in a thread."""
    from upwell.generation.backend import Local
    from upwell.model import hub
    from upwell.serving.api import app
    from upwell.serving.server import Server

    backend = Local(hub.load(folder))
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app({backend.name: backend}), 1, lambda: None)
    thread = threading.Thread(target=asyncio.run, args=[server.serve([listener])])
    thread.start()
    while not server.started:
        time.sleep(0.05)
    return server, thread, backend, f"http://127.0.0.1:{listener.getsockname()[1]}"


def take(browser, url, path, picture, options):
    """One picture, of what a visitor would see."""
    width, height, theme, language, prompt, panel = picture
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, locale=language)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#model:not(:empty)", state="attached")
    page.click("#settings")
    page.fill("#knob-seed", str(options.seed))
    page.fill("#knob-length", str(options.length))
    if not panel:
        page.keyboard.press("Escape")
    if prompt is not None:
        page.fill("#text", prompt)
        page.click("#go")
        page.wait_for_selector("body:not(.busy)", timeout=120_000)
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")
    page.wait_for_timeout(1300)      # the last letters rise for 0.9 s, the water sinks for 1.2 s
    page.screenshot(path=path)
    context.close()
    check(path)


def check(path):
    """Small enough for the documentation."""
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size // 1000} KB")
    assert size < MOST, f"{path} has {size} bytes, more than {MOST}"


if __name__ == "__main__":
    main()
