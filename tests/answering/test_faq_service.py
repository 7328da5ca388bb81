"""A conversation with the FAQ: what was asked back, follow-ups, persons, and the log of what was not answered."""

import sqlite3
import threading

import pytest

from tests.answering.shop import QUESTIONS, Bell, Encoder, entries, matcher
from upwell.answering import faq_talk
from upwell.answering.faq import Decision, Matcher
from upwell.answering.faq_handover import Webhook
from upwell.answering.faq_misses import Misses, suggestions
from upwell.answering.faq_service import Service
from upwell.answering.faq_talk import NONE, Conversations, chosen, goes_on
from upwell.errors import DataError


@pytest.fixture
def misses(tmp_path):
    with Misses(tmp_path / "log.sqlite") as misses:
        yield misses


@pytest.fixture
def service(misses):
    return Service(matcher(), misses, Bell(), "Call 555-0100.")


def test_A3_a_person_is_called_though_the_log_cannot_be_written_and_that_is_told(service, misses, caplog):
    misses._base.execute("pragma busy_timeout = 1")
    other = sqlite3.connect(misses.path, isolation_level=None)
    other.execute("begin immediate")
    assert service.ask("Who wrote Hamlet?").kind == "hand_over"
    assert len(service.webhook.events) == 1
    assert "could not be written" in caplog.text and "Hamlet" not in caplog.text
    other.execute("rollback")
    service.ask("Who wrote Hamlet?")
    assert len(misses) == 1
    other.close()


@pytest.mark.parametrize("message", ["", " ", "x" * 1001, "who \udcff wrote it?"])
def test_B4_what_is_no_message_is_one_sentence(service, misses, message):
    with pytest.raises(DataError, match="question"):
        service.ask(message)
    assert len(misses) == 0 and not service.webhook.events


# ---- conversations ----


def test_what_was_asked_back_is_chosen_by_number_by_words_or_not_at_all(service, misses):
    for said, place in (("1", 0), ("the second one, please", 1), ("第二个", 1), ("tents", None)):
        asked = service.ask("can I return it?")
        assert asked.kind == "ask" and len(asked.options) >= 2 and "1" not in asked.text
        reply = service.ask(said, asked.conversation)
        assert reply.kind == "answer" and reply.conversation == asked.conversation
        wanted = QUESTIONS[2][0] if place is None else asked.options[place].entry.question
        assert reply.entry.question == wanted
    assert len(misses) == 0
    asked = service.ask("can I return it?")
    assert service.ask("none of these", asked.conversation).kind == "hand_over"
    assert misses.all()[0].question == "can I return it?" and misses.all()[0].reason == "none of those"


def test_a_new_question_after_one_was_asked_back_is_a_new_question(service):
    asked = service.ask("can I return it?")
    assert service.ask("When are you open?", asked.conversation).entry.question == QUESTIONS[3][0]


def test_a_short_follow_up_uses_what_was_answered_before(service):
    first = service.ask("How long does delivery take?")
    assert service.ask("and abroad?", first.conversation).entry.question in (QUESTIONS[0][0], QUESTIONS[9][0])
    assert service.ask("and abroad?").kind != "answer" or service.ask("and abroad?").entry.question == QUESTIONS[9][0]
    assert service.ask("and who wrote Hamlet, by the way, do you know that?", first.conversation).kind == "hand_over"


@pytest.mark.parametrize("text, count, place", [
    ("1", 2, 0), ("2.", 2, 1), ("#2", 2, 1), ("3", 2, None), ("the first one", 2, 0), ("I mean the second", 2, 1),
    ("the last one", 3, 2), ("Option 2 please", 2, 1), ("former", 2, 0), ("第一个", 2, 0), ("我想问第二个问题", 2, 1),
    ("后者", 2, 1), ("二", 3, 1), ("最后一个", 3, 2), ("选2", 2, 1), ("yes", 1, 0), ("yes", 2, None), ("是的", 1, 0),
    ("neither", 2, NONE), ("都不是", 2, NONE), ("no", 1, NONE), ("How can I pay?", 2, None), ("one two", 2, None),
    ("２", 2, 1), ("", 2, None)])  # fmt: skip
def test_how_something_is_chosen(text, count, place):
    assert chosen(text, count) == place


def test_short_messages_that_lean_on_what_was_said_before():
    for text in ("and for two?", "what about shoes", "is it free?", "那帐篷呢", "鞋子呢？", "它要多少钱"):
        assert goes_on(text), text
    for text in ("How can I pay?", "几点开门", "and " + "so on " * 20):
        assert not goes_on(text), text


def test_greetings_and_thanks_are_no_misses(service, misses):
    for text in ("Hello!", "你好", "thank you very much", "谢谢！"):
        assert service.ask(text).kind == "greet"
    assert "您好" in service.ask("在吗").text and len(misses) == 0 and service.webhook.events == []


def test_who_wants_a_person_gets_one(service, misses):
    for text in ("can I talk to a real person", "转人工", "agent"):
        assert service.ask(text).kind == "hand_over"
    assert [one.reason for one in misses.all()] == ["wants a person"] * 3 and len(service.webhook.events) == 3


def test_A3_one_hand_over_event_a_conversation_and_every_miss_is_logged(service, misses):
    reply = service.ask("who wrote Hamlet")
    assert "passed it on" in reply.text and "555-0100" in reply.text
    again = service.ask("xyzzy plugh", reply.conversation)
    assert "already" in again.text and "passed" not in again.text
    assert len(service.webhook.events) == 1 and len(misses) == 2
    event = service.webhook.events[0]
    assert event["question"] == "who wrote Hamlet" and event["conversation"] == reply.conversation
    assert event["type"] == "hand_over" and event["nearest"] and event["turns"] == []
    service.ask("who wrote Hamlet")
    assert len(service.webhook.events) == 2, "another conversation, another event"


def test_nobody_is_promised_who_was_not_called(misses):
    assert "passed" not in Service(matcher(), misses).ask("who wrote Hamlet").text
    full = Service(matcher(), misses, Bell(room=False))
    reply = full.ask("who wrote Hamlet")
    assert "passed" not in reply.text and "already" not in full.ask("and who else", reply.conversation).text


def test_replies_are_in_the_language_of_the_question(service):
    assert "人工客服" in service.ask("谁写了红楼梦").text
    reply = service.ask("谁写了红楼梦")
    assert "请稍候" in service.ask("???", reply.conversation).text


def test_S5_conversations_are_kept_apart_and_their_ids_are_ours(service):
    mine = service.ask("can I return it?")
    assert service.ask("1", "guessed").conversation != "guessed"
    assert service.ask("1").kind != "answer"
    assert service.ask("1", mine.conversation).kind == "answer"
    assert len(mine.conversation) >= 20


def test_conversations_are_bounded_in_number_and_age():
    now = [0.0]
    kept = Conversations(most=3, age=100, clock=lambda: now[0])
    first = kept.find(None)
    assert kept.find(first.id) is first
    others = [kept.find(None) for _ in range(3)]
    assert len(kept) == 3 and kept.find(first.id) is not first
    now[0] = 101.0
    assert kept.find(others[-1].id) is not others[-1] and len(kept) == 1
    talk = kept.find(None)
    for number in range(50):
        talk.remember(str(number), "x")
    assert len(talk.turns) == faq_talk.TURNS and talk.turns[-1] == ("49", "x")


def test_many_at_once_are_answered_and_logged(service, misses):
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(service.ask("who wrote Hamlet"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.conversation for one in replies}) == 16 and len(misses) == 16


# ---- misses ----


def test_S8_personal_data_in_a_miss_is_masked_in_the_file(service, tmp_path):
    service.ask("who wrote Hamlet? write to anna.schmidt@gmail.com or call +49 30 901820")
    found = service.misses.all()[0]
    assert "anna" not in found.question and "<EMAIL>" in found.question and "901820" not in found.question
    service.close()
    for file in tmp_path.iterdir():
        assert b"anna.schmidt" not in file.read_bytes() and b"901820" not in file.read_bytes()


def test_A3_a_miss_keeps_its_score_its_time_and_what_was_nearest(service, misses):
    reply = service.ask("who wrote Hamlet")
    (miss,) = misses.all()
    assert miss.score == pytest.approx(reply.score) and miss.conversation == reply.conversation and miss.time > 1e9
    assert miss.nearest[0][0] in {entry.id for entry in service.matcher.entries} and miss.nearest[0][1] <= 1


def test_misses_survive_two_processes_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr("upwell.answering.faq_misses.MOST", 5)
    nothing = Decision("hand_over", None, (), 0.1, 0.0)
    with Misses(tmp_path / "a.sqlite") as first, Misses(tmp_path / "a.sqlite") as second:
        for number in range(4):
            first.add(f"first {number}", nothing, "no answer")
            second.add(f"second {number}", nothing, "no answer")
        assert len(first) == 5 and second.all(1)[0].question == "second 3"


def test_a_log_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to be taken for one" * 50)
    with pytest.raises(DataError, match="log of misses"):
        Misses(tmp_path / "text")
    base = sqlite3.connect(tmp_path / "new")
    base.execute("pragma user_version = 9")
    base.commit()
    base.close()
    with pytest.raises(DataError, match="version 9"):
        Misses(tmp_path / "new")


@pytest.mark.parametrize("encoder", [Encoder(), None])
def test_misses_that_ask_the_same_become_a_suggestion(misses, encoder):
    nothing = Decision("hand_over", None, (), 0.1, 0.0)
    for text in ("is there a lamp for my tent", "do you have a lamp for a tent", "lamp for tent?", "who wrote Hamlet",
                 "is there a lamp for my tent"):  # fmt: skip
        misses.add(text, nothing, "no answer")
    found = suggestions(misses.all(), Matcher(entries(), encoder))
    assert [one.count for one in found] == [4] and "lamp" in found[0].question and len(found[0].others) == 2
    assert suggestions([], matcher()) == []
    assert [one.count for one in suggestions(misses.all(), matcher(), least=1)] == [4, 1]


@pytest.mark.parametrize(
    "question", ["\0", "?!", "🙂", "\u200b", "\u0301" * 900, "<|endoftext|>", "'; drop table miss;--"]
)
def test_B4_strange_signs_are_handed_over_and_logged(question, service, misses):
    assert service.ask(question).kind == "hand_over" and len(misses) == 1


def test_a_webhook_is_what_a_service_rings(misses):
    hook = Webhook("http://127.0.0.1:9/nobody", tries=1)
    service = Service(matcher(), misses, hook)
    assert "passed it on" in service.ask("who wrote Hamlet").text
    hook.close()
    assert hook.failed == 1
