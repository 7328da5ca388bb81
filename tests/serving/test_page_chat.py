"""Conversations in a real browser: branches, going on, deleting, and what is kept, exported and imported."""

import json

import pytest

from tests.serving.browser import Watched
from tests.serving.fakes import Scripted, wait_until
from tests.serving.test_page import tiny_server  # noqa: F401


class Echo(Scripted):
    """Answers with the number of the request and what was said last, so that every answer is another one."""

    def _pieces(self, prompt, settings):
        self.words = (f"{len(self.asked)}:", prompt[-1]["content"])
        yield from super()._pieces(prompt, settings)


@pytest.fixture
def chat(visit):
    """A page whose chat has had one message."""
    watched = visit(Echo())
    watched.tab("chat")
    watched.say("one")
    return watched


def test_a_chat_streams_and_goes_on(visit):
    backend = Scripted(words=(" hello", " there"))
    watched = visit(backend)
    watched.tab("chat")
    for text in ("hi", "and?"):
        watched.say(text)
    assert watched.said == ["hi", "hello there", "and?", "hello there"]
    assert backend.asked[1][0] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello there"},
                                   {"role": "user", "content": "and?"}]  # fmt: skip
    assert watched.page.locator(".turn.assistant .count").first.text_content().startswith("2 tokens")


def test_it_is_there_before_it_is_finished_and_stop_stops(visit):
    backend = Scripted(words=(" word",) * 10_000, pause=0.01)
    watched = visit(backend)
    watched.tab("chat")
    watched.page.fill("#say", "hi")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector(".turn.assistant.writing:has-text('word word')")
    watched.page.keyboard.press("Escape")
    watched.finished()
    wait_until(lambda: backend.alive == 0, 5)
    assert "stopped" in watched.page.text_content(".turn.assistant .count")
    assert watched.page.is_visible(".turn.assistant .onward")


def test_an_edited_message_is_a_branch_and_one_can_go_back(chat):
    page = chat.page
    chat.say("two")
    page.click(".turn.user >> nth=0 >> .edit")
    page.fill(".edit-field", "uno")
    page.keyboard.press("Enter")
    chat.finished()
    assert chat.said == ["uno", "3:uno"]
    assert page.text_content(".turn.user .branch") == "2/2"
    page.click(".turn.user .left")
    assert chat.said == ["one", "1:one", "two", "2:two"]
    assert page.text_content(".turn.user >> nth=0 >> .branch") == "1/2"
    page.click(".turn.user >> nth=0 >> .right")
    assert chat.said == ["uno", "3:uno"]
    page.click(".turn.user .edit")
    page.keyboard.press("Escape")
    assert chat.said == ["uno", "3:uno"]


def test_another_answer_is_a_branch(chat):
    page = chat.page
    page.click(".turn.assistant .again")
    chat.finished()
    page.click(".turn.assistant .again")
    chat.finished()
    assert chat.said == ["one", "3:one"] and page.text_content(".branch") == "3/3"
    assert page.is_disabled(".turn .right")
    for answer in ("2:one", "1:one"):
        page.click(".turn .left")
        assert chat.said == ["one", answer]
    chat.say("two")
    assert chat.said[1:3] == ["1:one", "two"]


def test_an_answer_that_was_cut_is_gone_on_with(visit):
    backend = Scripted(words=(" w",) * 10)
    watched = visit(backend)
    watched.page.click("#settings")
    watched.page.fill("#knob-length", "10")
    watched.tab("chat")
    watched.say("hi")
    assert watched.said[1] == ("w " * 10).strip()
    watched.page.click(".onward")
    watched.finished()
    assert watched.said == ["hi", ("w " * 20).strip()]
    asked = backend.asked[1][0]
    assert asked.goes_on and asked[-1] == {"role": "assistant", "content": ("w " * 10).strip()}
    assert watched.page.text_content(".turn.assistant .count").startswith("20 tokens")


def test_a_message_is_deleted_with_what_follows_and_comes_back(chat):
    chat.say("two")
    chat.page.click(".turn.user >> nth=1 >> .remove")
    assert chat.said == ["one", "1:one"]
    chat.page.click("#chat-note button")
    assert chat.said == ["one", "1:one", "two", "2:two"]
    chat.page.click(".turn.user >> nth=0 >> .remove")
    assert chat.said == [] and chat.page.is_visible("#chat-empty")


def test_after_a_fault_the_message_stays_and_can_be_asked_again(chat):
    chat.page.route("**/v1/chat/completions", lambda route: route.abort())
    chat.say("two")
    assert chat.said == ["one", "1:one", "two"] and "does not answer" in chat.page.text_content("#chat-note")
    chat.page.unroute("**/v1/chat/completions")
    chat.page.click(".turn.user >> nth=1 >> .reply")
    chat.finished()
    assert chat.said == ["one", "1:one", "two", "2:two"] and chat.page.is_hidden("#chat-note")
    chat.expect_refusals()


def test_a_conversation_that_is_deleted_while_it_is_written_stays_deleted(visit):
    backend = Scripted(words=(" w",) * 1000, pause=0.01)
    watched = visit(backend)
    watched.tab("chat")
    watched.page.fill("#say", "long")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector(".turn.writing:has-text('w')")
    watched.page.click(".removeTalk")
    watched.finished()
    wait_until(lambda: backend.alive == 0)
    assert titles(watched) == [] and watched.said == []


def test_each_conversation_has_its_system_prompt(visit):
    backend = Scripted()
    watched = visit(backend)
    watched.tab("chat")
    watched.page.click(".system summary")
    watched.page.fill("#system", "Be brief.")
    watched.say("hi")
    assert backend.asked[0][0] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    watched.page.click("#chat-new")
    assert watched.page.input_value("#system") == ""
    watched.say("ho")
    assert backend.asked[1][0] == [{"role": "user", "content": "ho"}]


def titles(watched):
    return watched.page.locator(".talk-open").all_text_contents()


def test_conversations_are_listed_and_survive_a_reload(chat):
    page = chat.page
    page.click("#chat-new")
    chat.say("two")
    page.click(".turn.assistant .again")
    chat.finished()
    assert titles(chat) == ["two", "one"]
    chat.reload()
    page.wait_for_selector(".turn.assistant")
    assert titles(chat) == ["two", "one"] and chat.said == ["two", "3:two"] and page.text_content(".branch") == "2/2"
    page.click(".talk-open >> nth=1")
    assert chat.said == ["one", "1:one"]
    page.hover(".talks li:nth-child(2)")
    page.click(".talks li:nth-child(2) .rename")
    page.fill(".rename-field", "first things")
    page.keyboard.press("Enter")
    assert titles(chat) == ["two", "first things"]
    for wanted, found in {"things": ["first things"], "3:TWO": ["two"], "": ["two", "first things"]}.items():
        page.fill("#chat-search", wanted)
        assert titles(chat) == found
    page.click(".talks li:nth-child(2) .removeTalk")
    assert titles(chat) == ["two"] and chat.said == []
    page.click("#chat-note button")
    assert titles(chat) == ["two", "first things"] and chat.said == ["one", "1:one"]


def test_what_is_exported_can_be_imported(chat, tmp_path):
    page, file = chat.page, tmp_path / "talks.json"
    page.click(".turn.assistant .again")
    chat.finished()
    page.click("#chat-new")
    chat.say("two")
    with page.expect_download() as download:
        page.click("#chat-export")
    download.value.save_as(file)
    before = json.loads(file.read_text(encoding="utf-8"))
    assert [len(talk["turns"]) for talk in before["conversations"]] == [2, 3]
    for _ in range(2):
        page.hover(".talks li:nth-child(1)")
        page.click(".talks li:nth-child(1) .removeTalk")
    assert titles(chat) == []
    page.set_input_files("#chat-file", file)
    page.wait_for_selector(".talk-open")
    assert titles(chat) == ["two", "one"] and "imported: 2" in page.text_content("#chat-note")
    page.click(".talk-open >> nth=1")
    assert chat.said == ["one", "2:one"] and page.text_content(".branch") == "2/2"
    with page.expect_download() as download:
        page.click("#chat-export")
    download.value.save_as(file)
    after = json.loads(file.read_text(encoding="utf-8"))
    for talk in before["conversations"] + after["conversations"]:
        talk.pop("id")
    assert after == before
    with page.expect_download() as download:
        page.click(".talks li:nth-child(2) .exportOne")
    download.value.save_as(file)
    assert len(json.loads(file.read_text(encoding="utf-8"))["conversations"]) == 1


GOOD = {"title": "t", "system": "", "created": 1, "changed": 1, "chosen": {},
        "turns": [{"id": 1, "parent": 0, "role": "user", "content": "x"}]}  # fmt: skip
WRONG_TALKS = (
    None, 7, {}, GOOD | {"title": 7}, GOOD | {"turns": {}}, GOOD | {"changed": "now"}, GOOD | {"system": None},
    GOOD | {"turns": [{"id": 1, "parent": 1, "role": "user", "content": "x"}]},
    GOOD | {"turns": [{"id": 1, "parent": 0, "role": "system", "content": "x"}]},
    GOOD | {"turns": [{"id": 1, "parent": 0, "role": "user", "content": ["x"]}]},
    GOOD | {"turns": GOOD["turns"] * 2}, GOOD | {"turns": [{"id": 1.5, "parent": 0, "role": "user", "content": "x"}]},
)  # fmt: skip
HEAD = {"format": "upwell-conversations", "version": 1}
BAD_FILES = ("", "no json", "[]", "{}", json.dumps(HEAD), json.dumps(HEAD | {"version": 2, "conversations": []}),
             *(json.dumps(HEAD | {"conversations": [GOOD, wrong]}) for wrong in WRONG_TALKS))  # fmt: skip


def test_a_bad_file_is_told_and_changes_nothing(chat, tmp_path):
    file = tmp_path / "bad.json"
    for text in BAD_FILES:
        file.write_text(text, encoding="utf-8")
        chat.page.evaluate("() => { document.querySelector('#chat-note').hidden = true; }")
        chat.page.set_input_files("#chat-file", file)
        chat.page.wait_for_selector("#chat-note.wrong:visible")
        assert "nothing was changed" in chat.page.text_content("#chat-note")
        assert titles(chat) == ["one"] and chat.said == ["one", "1:one"]


def test_the_oldest_turns_are_left_out_where_they_no_longer_fit(browser, tiny_server):  # noqa: F811
    watched = Watched(browser, tiny_server.url)
    watched.page.click("#settings")
    watched.page.fill("#knob-length", "10")
    watched.page.fill("#knob-temperature", "0")
    watched.page.click("#close-panel")
    watched.tab("chat")
    for number in range(4):
        watched.say(f"the river flows to the sea {number}")
    assert "first messages were left out" in watched.page.text_content("#chat-note")
    left = watched.page.locator(".turn.unseen").count()
    assert left >= 2 and str(left) in watched.page.text_content(".left-out")
    assert len(watched.said) == 8
    watched.context.close()
    watched.expect_refusals()


def test_an_answer_goes_on_while_another_conversation_is_looked_at(visit):
    watched = visit(Scripted(words=(" w",) * 60, pause=0.02))
    watched.tab("chat")
    watched.page.fill("#say", "long")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector(".turn.writing:has-text('w')")
    watched.page.click("#chat-new")
    assert watched.said == []
    watched.finished()
    watched.page.click(".talk-open")
    assert watched.said == ["long", ("w " * 60).strip()]
