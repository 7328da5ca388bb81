"""The page in a real browser: its frame, writing on, what a model thought at each token, and comparing."""

import re
from importlib import resources

import pytest

from tests.serving.browser import Watched
from tests.serving.fakes import Running, Scripted, tiny_checkpoint, wait_until
from upwell.serving.api import PAGE, app


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
    for name, value in {"min_p": 0.1, "presence_penalty": 0.5, "frequency_penalty": -0.5}.items():
        watched.page.fill(f"#knob-{name}", str(value))
    watched.page.fill("#knob-stop", "END\n\\n\\n")
    watched.write("A")
    asked = backend.asked[0][1]
    assert (asked.temperature, asked.top_k, asked.top_p, asked.repetition_penalty) == (0.3, 40, 0.9, 1.2)
    assert (asked.max_new, asked.seed, asked.min_p, asked.stop) == (20, 7, 0.1, ("END", "\n\n"))
    assert (asked.presence_penalty, asked.frequency_penalty) == (0.5, -0.5)
    assert watched.page.locator(".knob.changed").count() == 10
    watched.page.click("#reset")
    assert watched.page.locator(".knob.changed").count() == 0
    watched.write()
    assert backend.asked[1][1].temperature == 0.8 and backend.asked[1][1].seed is None


def test_presets_set_how_bold_it_is_and_one_setting_can_be_put_back(visit):
    backend = Scripted()
    watched = visit(backend)
    watched.page.click("#settings")
    watched.page.click("#knobs [data-preset=precise]")
    watched.write("A")
    assert (backend.asked[0][1].temperature, backend.asked[0][1].top_p) == (0.2, 0.9)
    assert watched.page.get_attribute("#knobs [data-preset=precise]", "aria-pressed") == "true"
    watched.page.click("#knobs .temperature .mark")
    assert watched.page.input_value("#knob-temperature") == "0.8"
    assert watched.page.get_attribute("#knobs [data-preset=precise]", "aria-pressed") == "false"
    watched.page.click("#knobs [data-preset=wild]")
    watched.reload()
    watched.write()
    assert (backend.asked[1][1].temperature, backend.asked[1][1].min_p) == (1.3, 0.02)


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
    watched.expect_refusals()  # those that found out how much fits


def test_a_server_that_went_away_is_told_in_words(visit):
    watched = visit(Scripted(fault=RuntimeError("inside")))
    watched.write("A")
    assert "failed" in watched.page.text_content("#note")
    watched.page.route("**/v1/completions", lambda route: route.abort())
    watched.write()
    assert "does not answer" in watched.page.text_content("#note")
    watched.expect_refusals()


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


def test_a_wrong_key_is_told_and_the_dialog_can_be_left(browser, serve):
    running = serve({"scripted": Scripted(words=(" x",))}, api_keys=["sesame"])
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(running.url)
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-wrong:visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("#notice:has-text('wants its API key')")
    page.click("#notice button")
    page.fill("#key", "sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model:not(:empty)", state="attached")
    page.wait_for_selector("#notice", state="hidden")
    context.close()


def test_a_full_server_is_asked_again_and_the_wait_is_counted_down(visit):
    watched, sent = visit(Scripted(words=(" x",))), []
    error = {"error": {"message": "full", "code": "queue_full"}}

    def full(route):
        sent.append(1)
        if len(sent) > 1:
            route.continue_()
        else:
            route.fulfill(status=429, headers={"Retry-After": "2"}, json=error)

    watched.page.route("**/v1/completions", full)
    watched.page.fill("#text", "A")
    watched.page.click("#go")
    for told in ("in 2 s (attempt 1 of 3)", "in 1 s (attempt 1 of 3)"):
        watched.page.wait_for_selector(f"#note:has-text('{told}')")
    watched.finished()
    assert watched.text == "A x" and len(sent) == 2 and watched.page.is_hidden("#note")
    watched.page.unroute("**/v1/completions")
    watched.page.route(
        "**/v1/completions", lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}, json=error)
    )
    watched.page.click("#go")
    watched.page.wait_for_selector("#note:has-text('attempt 1')")
    watched.page.keyboard.press("Escape")  # the wait can be ended
    watched.finished()
    assert watched.page.is_hidden("#note")
    watched.page.click("#go")
    watched.page.wait_for_selector("#note:has-text('attempt 3')")
    watched.page.wait_for_selector("#note.wrong:has-text('stayed so')")
    watched.expect_refusals()


def test_a_server_that_still_loads_is_waited_for(browser, serve):
    running = serve({})
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(running.url)
    page.wait_for_selector("#notice:has-text('still loading')")
    running.service.state.desk.open({"scripted": Scripted()})
    page.wait_for_selector("#model:not(:empty)", state="attached")
    assert page.is_hidden("#notice")
    context.close()


@pytest.mark.parametrize("locale, word", [("en-US", "Write"), ("zh-CN", "写"), ("zh-TW", "写"), ("fr-FR", "Write")])
def test_the_language_follows_the_browser_and_can_be_switched(visit, locale, word):
    watched = visit(Scripted(), locale=locale)
    assert watched.page.text_content("#go span") == word
    watched.page.click("#language")
    assert watched.page.text_content("#go span") == ("写" if word == "Write" else "Write")
    watched.reload()
    assert watched.page.text_content("#go span") == ("写" if word == "Write" else "Write")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_can_be_switched(visit, scheme):
    watched = visit(Scripted(), color_scheme=scheme)
    paper = "() => getComputedStyle(document.body).backgroundColor"
    before = watched.page.evaluate(paper)
    watched.page.click("#theme")
    assert watched.page.evaluate(paper) != before
    watched.page.click("#theme")
    assert watched.page.evaluate(paper) == before


def test_every_control_has_a_name(visit):
    watched = visit(Scripted())
    watched.page.click("#settings")
    nameless = watched.page.evaluate("""() => [...document.querySelectorAll(
        'button, textarea, input, select, [role], aside, section, nav')]
        .filter(e => !e.getAttribute('aria-label') && !e.textContent.trim() && !e.labels?.length
                     && !e.hasAttribute('aria-labelledby') && !['status', 'alert'].includes(e.getAttribute('role')))
        .map(e => e.outerHTML.slice(0, 80))""")
    assert nameless == []
    assert "undefined" not in watched.page.inner_html("body")


def test_the_files_of_the_page_hold_nothing_from_elsewhere_and_nothing_inline():
    folder = resources.files("upwell.serving") / "page"
    assert set(PAGE.values()) == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|//[a-z]+\.", text), file.name
        assert not re.search(r"\bon[a-z]+\s*=\s*[\"']|\sstyle\s*=", text), file.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text), file.name
        assert len(text) < 60_000


def test_both_languages_have_the_same_words(visit):
    watched = visit(Scripted())
    kept = watched.page.evaluate("""async () => {
        const { TABS } = await import("/tabs.js"), { WORDS } = await import("/words.js");
        const tabs = await Promise.all(TABS.map((path) => import("/" + path)));
        return [WORDS, ...tabs.map((tab) => tab.default.words)];
    }""")
    assert len(kept) > 5
    for words in kept:
        assert shape(words["en"]) == shape(words["zh"])
    text = (resources.files("upwell.serving") / "page" / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'data-(?:word|label|hint)="(\w+)"', text)) <= kept[0]["en"].keys()


def shape(words):
    """The keys, inner ones too, and the places to be filled in; how many examples there are is free."""
    if isinstance(words, dict):
        return {key: shape(value) for key, value in words.items()}
    return sorted(re.findall(r"{\w+}", words)) if isinstance(words, str) else type(words)


def test_a_model_can_be_picked_where_several_write(visit):
    first, second = Scripted(words=(" one",)), Scripted(words=(" two",))
    watched = visit(first, second)
    watched.page.select_option("#pick", "scripted-1")
    watched.write("A")
    assert watched.text == "A two" and first.asked == []
    watched.reload()
    assert watched.page.input_value("#pick") == "scripted-1"


# ---- what the model thought at each token ----


@pytest.fixture
def thinking(browser, tiny_server):
    """A page with a text of which each token tells what else there was."""
    watched = Watched(browser, tiny_server.url)
    watched.page.click("#settings")
    for name, value in {"length": 10, "seed": 4}.items():
        watched.page.fill(f"#knob-{name}", str(value))
    watched.page.check("#chances")
    watched.write("the river")
    watched.page.click("#close-panel")
    yield watched
    watched.context.close()
    watched.check_quiet()


def test_a_token_shows_the_likeliest_and_another_can_be_chosen(thinking):
    page, written = thinking.page, thinking.text
    tokens = page.locator(".token")
    assert tokens.count() > 5 and "".join(tokens.all_text_contents()) == written.removeprefix("the river")
    third = tokens.nth(2)
    box, start = third.bounding_box(), int(third.get_attribute("data-start"))
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#card:visible")
    rows = page.locator("#card .chance")
    shares = [float(text.strip(" %<")) for text in page.locator(".chance-share").all_text_contents()]
    assert 5 <= rows.count() <= 6 and shares == sorted(shares, reverse=True)
    other = page.locator("#card .chance:not(.own):enabled").first
    name = other.locator(".chance-name").text_content()
    other.click()
    thinking.finished()
    assert thinking.text.startswith(written[:start]) and len(thinking.text) > start
    shown = thinking.page.evaluate("async (text) => (await import('/chances.js')).visible(text)", thinking.text[start:])
    assert shown.startswith(name)
    page.click("#undo")
    page.click("#undo")
    assert thinking.text == written and page.locator(".token").count() == tokens.count()


def test_the_card_is_reached_by_keyboard(thinking):
    page = thinking.page
    page.focus("#text")
    page.keyboard.press("Control+End")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#card:visible")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className").startswith("chance")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement === document.querySelectorAll('.chance')[1]")
    page.keyboard.press("Escape")
    assert page.is_hidden("#card") and page.evaluate("() => document.activeElement.id") == "text"


def test_a_model_that_tells_no_probabilities_writes_without(visit):
    watched = visit(Scripted(words=(" x",)))
    watched.page.check("#chances")
    watched.write("A")
    assert watched.text == "A x" and "does not tell" in watched.page.text_content("#note")
    assert not watched.page.is_checked("#chances")
    watched.expect_refusals()


def test_tokens_that_are_parts_of_a_character_are_laid_along_the_text(visit):
    watched = visit(Scripted())
    placed = watched.page.evaluate(r"""async () => {
        const { Aligner } = await import("/chances.js"), one = new Aligner(3), told = (...tokens) =>
            ({ tokens, token_logprobs: tokens.map(() => 0), top_logprobs: tokens.map((name) => ({ [name]: 0 })) });
        return [["a", ["a"]], ["", ["bytes:\xe4\xbd"]], ["你", ["bytes:\xa0"]], ["", ["held", " back"]],
                ["held back", []], ["�", ["bytes:\x8c"]], ["", ["<end>"]], [" z", [" z"]]]
            .flatMap(([piece, tokens]) => one.push(piece, told(...tokens)).map(({ start, end }) => [start, end]));
    }""")
    assert placed == [[3, 4], [4, 5], [5, 9], [9, 14], [14, 15], [15, 17]]


# ---- comparing ----


def test_two_models_with_settings_of_their_own_write_at_once(visit):
    first, second = Scripted(words=(" left",) * 30, pause=0.02), Scripted(words=(" right",) * 30, pause=0.02)
    watched = visit(first, second)
    watched.tab("compare")
    page = watched.page
    assert page.is_hidden("#settings") and page.is_hidden("#pick")
    page.click("#panel-compare .side:nth-child(2) summary")
    page.fill("#right-knob-temperature", "0.3")
    page.fill("#compare-prompt", "A")
    page.click("#compare-go")
    wait_until(lambda: first.alive == second.alive == 1)
    watched.finished()
    assert page.text_content("#left-answer") == "A" + " left" * 30
    assert page.text_content("#right-answer") == "A" + " right" * 30
    (prompt, left), (_, right) = first.asked[0], second.asked[0]
    assert prompt == "A" and (left.temperature, right.temperature) == (0.8, 0.3)
    assert left.seed == right.seed is not None and str(left.seed) in page.text_content("#compare-status")
    page.uncheck("#compare-seed")
    page.check("#compare-message")
    page.press("#compare-prompt", "Enter")
    wait_until(lambda: first.alive == second.alive == 1)
    page.keyboard.press("Escape")
    watched.finished()
    assert first.asked[1][0] == [{"role": "user", "content": "A"}] and first.asked[1][1].seed is None
    wait_until(lambda: first.alive == second.alive == 0)


def test_a_fault_of_one_side_is_told_there_and_the_other_goes_on(visit):
    watched = visit(Scripted(fault=RuntimeError("inside")), Scripted(words=(" fine",)))
    watched.tab("compare")
    watched.page.fill("#compare-prompt", "A")
    watched.page.click("#compare-go")
    watched.finished()
    assert "failed" in watched.page.text_content("#left-answer")
    assert watched.page.text_content("#right-answer") == "A fine"
    watched.expect_refusals()


# ---- by keyboard ----


def test_everything_is_reached_by_keyboard(visit):
    backend = Scripted(words=(" w",) * 2000, pause=0.01)
    watched = visit(backend)
    page, keys = watched.page, watched.page.keyboard
    focused = "() => document.activeElement.id"
    assert page.evaluate(focused) == "text"
    keys.type("A?")
    assert page.is_hidden("#help") and watched.text == "A?"
    keys.press("Control+Enter")
    page.wait_for_selector("body.busy")
    keys.press("Escape")
    watched.finished()
    keys.press("Alt+n")
    assert watched.text == ""
    keys.press("Escape")
    keys.press("?")
    page.wait_for_selector("#help:visible")
    assert page.locator("#keys dt").count() == page.locator("#keys dd").count() == 11
    keys.press("Escape")
    assert page.is_hidden("#help")
    keys.press("/")
    assert page.evaluate(focused) == "text"
    keys.press("Alt+s")
    assert page.evaluate(focused) == "close-panel"
    keys.press("Escape")
    assert page.evaluate(focused) == "settings" and page.is_hidden("#settings-panel")
    for key, tab in (("j", "chat"), ("j", "compare"), ("j", "write"), ("k", "compare"), ("k", "chat")):
        keys.press(f"Alt+{key}")
        assert page.get_attribute(f"#tab-{tab}", "aria-selected") == "true" and page.is_visible(f"#panel-{tab}")
    keys.type("hello")
    keys.press("Shift+Enter")
    keys.type("there")
    keys.press("Enter")
    wait_until(lambda: len(backend.asked) == 2)
    assert backend.asked[1][0] == [{"role": "user", "content": "hello\nthere"}]
    keys.press("Escape")
    watched.finished()
    page.focus("#tab-chat")
    keys.press("ArrowRight")
    assert page.evaluate(focused) == "tab-compare"


def test_enter_belongs_to_the_input_method_while_it_composes(visit):
    backend = Scripted()
    watched = visit(backend, locale="zh-CN")
    watched.tab("chat")
    watched.page.fill("#say", "ni hao")
    press = """(composing) => document.querySelector("#say").dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", isComposing: composing, bubbles: true, cancelable: true }))"""
    watched.page.evaluate(press, True)
    assert watched.page.input_value("#say") == "ni hao" and backend.asked == []
    watched.page.evaluate(press, False)
    watched.finished()
    wait_until(lambda: len(backend.asked) == 1)


def test_the_last_used_tab_comes_back(visit):
    watched = visit(Scripted())
    assert watched.page.is_visible("#panel-write")
    watched.tab("chat")
    watched.reload()
    assert watched.page.is_visible("#panel-chat")
