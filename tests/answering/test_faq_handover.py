"""The event that calls a person: signed, tried again, sent to the owner's address alone, and never in anybody's way."""

import hashlib
import hmac
import http.server
import json
import os
import threading
import time

import pytest

from upwell.answering.faq_handover import Webhook
from upwell.answering.faq_waiting import Waiting
from upwell.errors import SettingsError


class Receiver:
    """A server that keeps what it gets, and answers with these status codes in turn, then with 200."""

    def __init__(self, *codes, location=None, hang=0.0):
        self.got, self.codes, self.location, self.hang = [], list(codes), location, hang
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                time.sleep(receiver.hang)
                self.send_response(receiver.codes.pop(0) if receiver.codes else 200)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receive():
    made = []

    def start(*codes, **more):
        made.append(Receiver(*codes, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_an_event_arrives_as_json_under_an_id(receive):
    receiver = receive()
    hook = Webhook(f"{receiver.url}/hook?token=1")
    assert hook.send({"question": "谁?"})
    hook.close()
    ((path, headers, body),) = receiver.got
    event = json.loads(body)
    assert path == "/hook?token=1" and event["question"] == "谁?" and event["id"] == headers["X-Upwell-Event"]
    assert headers["Content-Type"] == "application/json" and "X-Upwell-Signature" not in headers
    assert (hook.sent, hook.failed) == (1, 0)


def test_a_secret_signs_the_time_and_the_body(receive):
    receiver = receive()
    hook = Webhook(receiver.url, "s3cret")
    hook.send({"a": 1})
    hook.close()
    _, headers, body = receiver.got[0]
    reckoned = hmac.new(b"s3cret", headers["X-Upwell-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (
        headers["X-Upwell-Signature"] == f"sha256={reckoned}"
        and abs(int(headers["X-Upwell-Timestamp"]) - time.time()) < 600
    )


def test_a_failed_event_is_tried_again_with_growing_pauses_under_the_same_id(receive):
    receiver, pauses = receive(500, 503), []
    hook = Webhook(receiver.url, pause=pauses.append)
    hook.send({"a": 1})
    hook.close()
    assert len(receiver.got) == 3 and len({headers["X-Upwell-Event"] for _, headers, _ in receiver.got}) == 1
    assert pauses == [1.0, 4.0] and (hook.sent, hook.failed) == (1, 0)


def test_an_event_that_nobody_takes_is_given_up_and_counted(receive, caplog):
    receiver = receive(*[500] * 10)
    hook = Webhook(f"{receiver.url}/hook?token=t0ken", "s3cret", tries=3, pause=lambda seconds: None)
    hook.send({"question": "qu3stion"})
    hook.close()
    assert (hook.sent, hook.failed) == (0, 1) and len(receiver.got) == 3
    assert "given up" in caplog.text
    assert not any(secret in caplog.text for secret in ("t0ken", "s3cret", "qu3stion"))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_S3_no_redirect_is_followed(receive, code):
    other = receive()
    receiver = receive(code, location=f"{other.url}/stolen")
    hook = Webhook(receiver.url, tries=1)
    hook.send({"question": "x"})
    hook.close()
    assert len(receiver.got) == 1 and other.got == [] and hook.failed == 1


def test_S3_nothing_that_a_visitor_says_is_fetched(receive, tmp_path):
    from tests.answering.shop import matcher
    from upwell.answering.faq_misses import Misses
    from upwell.answering.faq_service import Service

    receiver, bait = receive(), receive()
    with Misses(tmp_path / "log.sqlite") as misses:
        hook = Webhook(receiver.url)
        Service(matcher(), misses, hook).ask(f"who wrote {bait.url}/x and file:///etc/passwd ?")
        hook.close()
    assert bait.got == [] and len(receiver.got) == 1


def test_sending_does_not_wait_for_a_slow_receiver_and_a_full_queue_is_told(receive, monkeypatch):
    monkeypatch.setattr("upwell.answering.faq_handover.WAITING", 3)
    gate = threading.Event()
    receiver = receive(*[500] * 100)
    hook = Webhook(receiver.url, tries=2, pause=lambda seconds: gate.wait(20))
    results = [hook.send({"n": number}) for number in range(6)]
    assert results.count(True) >= 3 and results[-1] is False and hook.failed >= 1
    gate.set()
    hook.close()


def test_closing_ends_what_waits_for_its_next_try(receive):
    receiver = receive(*[500] * 10)
    hook = Webhook(receiver.url)
    hook.send({"a": 1})
    while not receiver.got:
        time.sleep(0.005)
    hook.close(0.0)
    assert not hook._thread.is_alive()


def test_what_one_process_could_not_send_the_next_one_sends_once(receive, tmp_path):
    receiver, folder = receive(*[500] * 3), tmp_path / "waiting"
    hook = Webhook(receiver.url, waiting=Waiting(folder))
    hook.send({"question": "谁？"})
    while not receiver.got:
        time.sleep(0.005)
    (kept,) = folder.glob("*.json")
    assert os.name == "nt" or kept.stat().st_mode & 0o777 == 0o600
    hook.close(0.0)
    receiver.codes.clear()
    again = Webhook(receiver.url, waiting=Waiting(folder))
    again.close(20)
    ids = {headers["X-Upwell-Event"] for _, headers, _ in receiver.got}
    assert (again.sent, again.failed) == (1, 0) and ids == {kept.stem} and not folder.exists()
    last = Webhook(receiver.url, waiting=Waiting(folder))
    last.close()
    assert last.sent == 0


def test_an_event_that_is_given_up_does_not_wait(receive, tmp_path):
    receiver, folder = receive(*[500] * 10), tmp_path / "waiting"
    hook = Webhook(receiver.url, tries=2, pause=lambda seconds: None, waiting=Waiting(folder))
    hook.send({"a": 1})
    hook.close(20)
    assert hook.failed == 1 and not folder.exists()


def test_only_one_process_keeps_events_in_a_folder_and_strange_files_are_passed_over(tmp_path, caplog):
    first = Waiting(tmp_path / "w")
    second = Waiting(tmp_path / "w")
    assert first.mine and not second.mine and "not kept" in caplog.text
    (tmp_path / "w" / "a.json").write_text("no json")
    (tmp_path / "w" / "b.json").write_text('{"id": "../c"}')
    second.keep({"id": "x"})
    first.keep({"id": "y", "time": 2.0})
    first.keep({"id": "z", "time": 1.0})
    assert [event["id"] for event in first.all()] == ["z", "y"] and second.all() == []
    first.close()
    second.close()


def test_a_folder_that_cannot_be_written_is_told_and_the_event_is_sent(receive, tmp_path, caplog):
    (tmp_path / "w").write_text("a file")
    receiver = receive()
    hook = Webhook(receiver.url, waiting=Waiting(tmp_path / "w"))
    hook.send({"a": 1})
    hook.close(20)
    assert hook.sent == 1 and "not kept" in caplog.text


@pytest.mark.parametrize("url", [
    "", "example.com", "ftp://example.com", "file:///etc/passwd", "http://", "http://user:pw@example.com/", "http://[::1",
    "http://a b/", "http://example.com:99999/", "javascript:alert(1)"])  # fmt: skip
def test_S3_an_address_that_is_none_is_refused_at_the_start(url):
    with pytest.raises(SettingsError):
        Webhook(url)
