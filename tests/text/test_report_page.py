"""The report in a real browser, opened as a file: inert, in two languages, readable, on any screen and on paper."""

import re

import pytest

from tests.serving.browser import chromium
from tests.text import manifests
from upwell.text.report import page

pytestmark = pytest.mark.slow
CASES = {"usual": (manifests.usual(), manifests.usual_samples()), "untouched": (manifests.untouched(), {}),
         "single": (manifests.single(), {}), "vast": (manifests.vast(), {}),
         "hostile": manifests.hostile()}  # fmt: skip

# Every piece of text that is seen, with its contrast to what is behind it (WCAG 2.2).
CONTRASTS = r"""() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = one => {
        for (; one; one = one.parentElement) {
            const colour = rgba(getComputedStyle(one).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return rgba("Canvas");
    };
    const worst = {};
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || !one.checkVisibility() || one.closest(".hidden, script")) continue;
        const [a, b] = [light(rgba(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
        const name = one.tagName + "." + one.className, ratio = (a + 0.05) / (b + 0.05);
        worst[name] = Math.min(worst[name] ?? 99, ratio);
    }
    return worst;
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, case in CASES.items():
        (folder / f"{name}.html").write_text(page(*case), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in CASES}


class Opened:
    """A page whose every error, request and policy violation is kept."""

    def __init__(self, browser, address, width=1280, theme="light", language="en-US", scripts=True):
        self.problems, self.requested = [], []
        size = {"width": width, "height": 900}
        self.context = browser.new_context(
            viewport=size, color_scheme=theme, locale=language, java_script_enabled=scripts
        )
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()

    def open_all(self):
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("name", CASES)
def test_a_page_asks_for_nothing_and_breaks_no_rule_of_its_own(browser, files, name):
    with Opened(browser, files[name]) as opened:
        opened.open_all()
        opened.page.wait_for_timeout(100)
        assert opened.problems == [] and opened.requested == [files[name]]


def test_hostile_texts_stay_inert_when_they_are_hovered_clicked_and_unfolded(browser, files):
    with Opened(browser, files["hostile"]) as opened:
        opened.open_all()
        for sample in opened.page.locator("blockquote").all()[:40]:
            sample.hover()
            sample.click()
        assert opened.page.evaluate("window.pwned") is None
        assert opened.requested == [files["hostile"]] and opened.problems == []
        first = opened.page.locator("blockquote").first.text_content()
        assert first == manifests.HOSTILE[0] * 3
        assert opened.page.evaluate("document.body.checkVisibility()")


def test_a_script_that_came_in_would_be_refused(browser, files, tmp_path):
    planted = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'></main>"
    broken = page(*CASES["usual"]).replace("</main>", planted)
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    with Opened(browser, (tmp_path / "broken.html").as_uri()) as opened:
        assert opened.page.evaluate("window.pwned") is None
        assert any("Content Security Policy" in problem for problem in opened.problems)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_screen_scrolls_sideways(browser, files, name, width):
    with Opened(browser, files[name], width) as opened:
        opened.open_all()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_language_is_the_browsers_and_can_be_switched(browser, files):
    with Opened(browser, files["usual"], language="zh-CN") as opened:
        heading, root = opened.page.locator("h1"), opened.page.locator("html")
        assert heading.inner_text().startswith("读入") and root.get_attribute("lang") == "zh-Hans"
        opened.page.get_by_label("English").check(force=True)
        assert heading.inner_text().endswith("came out.") and root.get_attribute("lang") == "en"
    with Opened(browser, files["usual"], language="de-DE") as opened:
        assert "went in" in opened.page.locator("h1").inner_text()
        opened.page.keyboard.press("Tab")
        opened.page.keyboard.press("ArrowRight")
        assert "读入" in opened.page.locator("h1").inner_text()


def test_only_one_language_is_seen_at_a_time(browser, files):
    with Opened(browser, files["usual"]) as opened:
        opened.page.evaluate("document.querySelectorAll('.sample, .files, .faults').forEach(one => one.remove())")
        seen = opened.page.locator("main").inner_text()
        assert not re.search(r"[\u4e00-\u9fff]", seen)


def test_without_scripts_the_switch_and_the_folds_still_work(browser, files):
    with Opened(browser, files["usual"], scripts=False) as opened:
        opened.page.locator("label", has_text="中文").click()
        assert "读入" in opened.page.locator("h1").inner_text()
        opened.page.locator(".samples summary").first.click()
        assert opened.page.locator("blockquote").first.is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_every_text_stands_out_from_its_ground(browser, files, name, theme):
    with Opened(browser, files[name], theme=theme) as opened:
        opened.open_all()
        contrasts = opened.page.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert {what: ratio for what, ratio in contrasts.items() if ratio < 4.5} == {}


def test_a_reason_leads_to_its_samples_and_unfolds_them(browser, files):
    with Opened(browser, files["usual"]) as opened:
        opened.page.get_by_role("link", name="mostly symbols").click()
        assert opened.page.locator("blockquote", has_text="wikitable").is_visible()


def test_the_picture_of_lengths_has_a_name_and_the_sections_have_headings(browser, files):
    with Opened(browser, files["usual"]) as opened:
        assert opened.page.get_by_role("img", name="Lengths").count() == 1
        assert opened.page.get_by_role("region", name="Samples").count() == 1
        assert opened.page.get_by_role("radio", name="中文").count() == 1
        loud = "svg:not([aria-hidden]):not([role=img])"
        assert opened.page.locator(loud).count() == 0


def test_the_river_has_no_gap_and_ends_where_the_words_end(browser, files):
    with Opened(browser, files["usual"]) as opened:
        boxes = opened.page.evaluate(
            "[...document.querySelectorAll('.water svg')].map(one => one.getBoundingClientRect())"
            ".map(box => [box.top, box.bottom, box.height])"
        )
        joined = [(one[1], two[0]) for one, two in zip(boxes, boxes[1:], strict=False)]
        assert len(boxes) > 10 and all(abs(end - begin) < 0.6 for end, begin in joined)


def test_the_page_can_be_printed_with_its_folded_lists(browser, files):
    with Opened(browser, files["usual"], theme="dark") as opened:
        assert opened.page.pdf(format="A4")[:4] == b"%PDF"
        assert opened.page.locator("details.rest:not([open])").count() == 0
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
