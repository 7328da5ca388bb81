"""How the page looks: nothing sticks out at any width, and axe-core finds no serious fault, in both schemes."""

import shutil
import subprocess
import tarfile

import pytest

from tests.serving.fakes import Scripted

TABS = ("write", "chat", "compare")
ANSWER = ("# A title\n\n", "wide" * 200, "\n\n```python\nx = '" + "long " * 60 + "'\n```\n\n",
          "| " + " | ".join(["column"] * 20) + " |\n|" + "---|" * 20 + "\n",
          "\n1. one\n   - two `code`\n\n> quoted\n\n",
          "[a link](https://example.org/" + "path/" * 40 + ")", " 河流" * 100)  # fmt: skip


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core from npm; a skip that says why where it cannot be had."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here to get axe-core with")
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(["npm", "pack", "axe-core", "--silent"], cwd=folder, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm gives no axe-core here: {error}")
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode("utf-8")


def filled(watched):
    """Every tab with something in it."""
    watched.tab("write")
    watched.write("A")
    watched.tab("chat")
    watched.say("wide" * 100)
    watched.page.click(".turn.assistant .again")
    watched.finished()
    watched.tab("compare")
    watched.page.fill("#compare-prompt", "A " + "wide" * 100)
    watched.page.click("#compare-go")
    watched.finished()
    watched.page.check("#compare-message")


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_nothing_sticks_out_at_any_width(visit, locale):
    watched = visit(Scripted(words=ANSWER), Scripted(words=ANSWER), locale=locale)
    page, seen = watched.page, set()
    for state in ("empty", "filled", "open"):
        if state == "filled":
            filled(watched)
        if state == "open":
            page.click("#panel-compare .side:first-child summary")
            watched.tab("write")
            page.click("#settings")
        for width in (360, 768, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 700})
            for tab in TABS:
                watched.tab(tab)
                assert not watched.sticks_out(), f"{tab}, {state}, {width}"
                seen.add((state, width, tab))
    assert len(seen) == 36
    page.set_viewport_size({"width": 360, "height": 700})
    watched.tab("chat")
    if page.is_hidden("#talk-list"):
        page.click("#chat-list")
    assert not watched.sticks_out()
    page.click(".close-list")
    page.click("#show-help")
    assert not watched.sticks_out()


def test_narrow_screens_show_the_columns_under_each_other(visit):
    watched = visit(Scripted(), viewport={"width": 400, "height": 700})
    watched.tab("compare")
    for width, beside in ((400, False), (1200, True)):
        watched.page.set_viewport_size({"width": width, "height": 700})
        left, right = (side.bounding_box() for side in watched.page.locator(".side").all())
        assert (left["y"] == right["y"]) is beside


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, axe, scheme):
    watched = visit(Scripted(words=ANSWER), Scripted(words=ANSWER), color_scheme=scheme, reduced_motion="reduce")
    watched.page.evaluate(axe)
    found = {}
    for state in ("empty", "filled"):
        if state == "filled":
            filled(watched)
        for tab in TABS:
            watched.tab(tab)
            found[state, tab] = faults(watched)
    watched.page.click(".side summary >> nth=0")
    watched.tab("chat")
    watched.page.click("#settings")
    found["settings"] = faults(watched)
    watched.page.click("#show-help")
    found["help"] = faults(watched)
    assert {state: told for state, told in found.items() if told} == {}


def faults(watched):
    return watched.page.evaluate("""async () => (await axe.run({ resultTypes: ["violations"] })).violations
        .filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(
            ({ html, failureSummary }) => html.slice(0, 120) + failureSummary.slice(0, 200))])""")


def test_nothing_moves_where_that_is_not_wanted(visit):
    watched = visit(Scripted(words=(" w",) * 200, pause=0.02), reduced_motion="reduce")
    watched.page.fill("#text", "A")
    watched.page.click("#go")
    watched.page.wait_for_selector("body.busy .fresh")
    assert watched.page.evaluate("() => document.getAnimations().length") == 0
    watched.page.keyboard.press("Escape")
    watched.finished()


def test_on_paper_there_is_the_text_alone(visit):
    watched = visit(Scripted(words=ANSWER))
    filled(watched)
    watched.page.emulate_media(media="print")
    for tab, shown in zip(TABS, ("#mirror", "#talk", "#left-answer"), strict=True):
        watched.page.evaluate("(tab) => document.querySelector('#tab-' + tab).click()", tab)
        assert watched.page.is_visible(shown)
        for hidden in ("header", ".foot >> nth=0", "#settings-panel", "#talk-list", ".turn-tools >> nth=0"):
            assert watched.page.is_hidden(hidden)
