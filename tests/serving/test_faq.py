"""The FAQ over HTTP: visitors of named sites, the owner, and nobody else."""

import httpx
import pytest

from tests.answering.shop import QUESTIONS, Bell, matcher
from tests.serving.fakes import Scripted
from upwell.answering.faq_misses import Misses
from upwell.answering.faq_service import Service
from upwell.errors import SettingsError
from upwell.serving.api import OPEN
from upwell.serving.visitors import ADDRESSES, CROWD, Visitors, checked, network

SITE, KEY = "https://shop.example", "k3y"
OWNER = {"Authorization": f"Bearer {KEY}"}
VISITOR = {"Origin": SITE}
OWN_PATHS = ("/faq", "/faq/misses", "/faq/suggestions")


@pytest.fixture
def faq(serve, tmp_path):
    """faq(**options of app) -> a server whose FAQ is the small shop's."""
    with Misses(tmp_path / "log.sqlite") as misses:

        def start(**options):
            running = serve({"a": Scripted()}, **options)
            running.service.state.desk.faq = Service(matcher(), misses, Bell(), "Call 555-0100.")
            running.misses = misses
            return running

        yield start


@pytest.fixture
def guarded(faq):
    return faq(api_keys=[KEY], visitors=Visitors([SITE]))


def asked(running, question="How long does delivery take?", headers=None, **more):
    return httpx.post(f"{running.url}/faq/ask", json={"question": question, **more}, headers=headers or {})


def cors(answer):
    return {name for name in answer.headers if name.startswith("access-control")}


# ---- answers ----


def test_a_question_is_answered_and_the_conversation_goes_on(faq):
    running = faq()
    first = asked(running, "can I return it?").json()
    assert first["kind"] == "ask" and first["entry"] is None and len(first["options"]) >= 2
    assert 0 <= first["score"] <= 1 and 0 <= first["margin"] <= 1
    second = asked(running, "the second", conversation=first["conversation"]).json()
    assert second["kind"] == "answer" and second["entry"] == first["options"][1]["id"]
    assert second["conversation"] == first["conversation"]
    third = asked(running, "who wrote Hamlet").json()
    assert third["kind"] == "hand_over" and "555-0100" in third["answer"] and third["options"] == []


def test_what_the_owner_tries_is_shown_and_not_logged(faq):
    running = faq()
    found = httpx.post(f"{running.url}/faq/try", json={"question": "who wrote Hamlet"}).json()
    assert found["kind"] == "hand_over" and len(found["nearest"]) == 5 and found["answer"] is None
    assert len(running.misses) == 0 and running.service.state.desk.faq.webhook.events == []


def test_the_owner_sees_misses_and_suggestions(faq):
    running = faq()
    for question in (
        "is there a lamp here",
        "do you have a lamp",
        "who wrote Hamlet anna.b@gmail.com",
    ):
        asked(running, question)
    misses = httpx.get(f"{running.url}/faq/misses").json()["misses"]
    assert "Hamlet" in misses[0]["question"] and "anna" not in misses[0]["question"]
    assert misses[0]["reason"] == "no answer" and {"id", "question", "score"} == set(misses[0]["nearest"][0])
    (group,) = httpx.get(f"{running.url}/faq/suggestions").json()["suggestions"]
    assert group["count"] == 2 and "lamp" in group["question"]
    about = httpx.get(f"{running.url}/faq").json()
    assert about["entries"] == len(QUESTIONS) and about["misses"] == 3 and about["encoder"] == "fake-encoder"


def test_without_an_faq_there_is_none(serve):
    running = serve({"a": Scripted()})
    assert asked(running).status_code == 404 and asked(running).json()["error"]["code"] == "faq_not_found"
    assert all(httpx.get(running.url + path).status_code == 404 for path in OWN_PATHS)
    assert "faq" not in [one["id"] for one in httpx.get(f"{running.url}/v1/models").json()["data"]]


def test_an_faq_alone_is_a_ready_server_whose_card_says_what_it_is(faq):
    running = faq()
    running.service.state.desk.backends = {}
    assert httpx.get(f"{running.url}/ready").status_code == 200
    cards = httpx.get(f"{running.url}/v1/models").json()["data"]
    assert [one["capabilities"] for one in cards] == [["faq"]]
    assert httpx.get(f"{running.url}/v1/models/faq").json() == cards[0]
    body = {"model": "faq", "messages": [{"role": "user", "content": "x"}]}
    answer = httpx.post(f"{running.url}/v1/chat/completions", json=body)
    assert answer.status_code == 400 and "/faq/ask" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [
    {}, {"question": ""}, {"question": "  "}, {"question": "x" * 1001}, {"question": 3}, {"question": ["x"]},
    {"question": "x", "conversation": "y" * 65}, {"question": "x", "other": 1}, {"question": None}])  # fmt: skip
def test_B7_a_bad_question_is_a_400(faq, body):
    answer = httpx.post(f"{faq().url}/faq/ask", json=body)
    assert answer.status_code == 400 and set(answer.json()["error"]) == {"message", "type", "param", "code"}


# ---- doors ----


def test_S1_visitors_reach_one_path_without_the_key_and_no_other(guarded):
    assert asked(guarded, headers=VISITOR).json()["kind"] == "answer"
    routes = {(method, route.path) for route in guarded.service.routes for method in route.methods}
    assert ("POST", "/faq/ask") in routes and ("GET", "/faq/misses") in routes
    for method, path in routes - {("POST", "/faq/ask")}:
        path = path.replace("{name:path}", "x")
        answer = httpx.request(method, guarded.url + path, headers=VISITOR)
        assert answer.status_code == 403 and not cors(answer), (method, path)
    for path in ("/faq/ask/", "/faq/ask%2f", "//faq/ask", "/faq/../faq/misses", "/FAQ/ASK", "/faq/ask?x=/v1/models/"):
        answer = httpx.post(guarded.url + path, json={"question": "x"}, headers=VISITOR)
        assert answer.status_code in (403, 404) or path.startswith("/faq/ask?")


def test_S1_without_a_named_origin_the_faq_needs_the_key(guarded):
    assert asked(guarded).status_code == 401
    assert asked(guarded, headers=OWNER).status_code == 200
    assert asked(guarded, headers={"Origin": guarded.url}).status_code == 401, "the server's own page has the key"
    for path in OWN_PATHS:
        assert httpx.get(guarded.url + path).status_code == 401
        assert httpx.get(guarded.url + path, headers=OWNER).status_code == 200
    assert "/faq/ask" not in OPEN


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://evilshop.example",
        "null",
        "",
        "https://SHOP.example.",
        "https://shop.example/",
        "*",
        "https://shop.example, x",
    ],
)
def test_S2_other_origins_get_nothing(guarded, origin):
    answer = asked(guarded, headers={"Origin": origin} | OWNER)
    assert answer.status_code == 403 and not cors(answer)
    answer = httpx.options(
        f"{guarded.url}/faq/ask", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 403 and not cors(answer)


def test_S2_a_browser_may_read_the_answer_and_send_nothing_but_json(guarded):
    answer = asked(guarded, headers={"Origin": "https://Shop.Example"})
    assert answer.headers["access-control-allow-origin"] == SITE and "Origin" in answer.headers["vary"]
    assert cors(answer) == {"access-control-allow-origin"}, "no cookies, no headers"
    before = httpx.options(f"{guarded.url}/faq/ask", headers=VISITOR | {"Access-Control-Request-Method": "POST"})
    assert before.status_code == 204 and before.headers["access-control-allow-methods"] == "POST"
    assert before.headers["access-control-allow-headers"] == "Content-Type"
    assert "access-control-allow-credentials" not in before.headers
    form = httpx.post(f"{guarded.url}/faq/ask", data={"question": "x"}, headers=VISITOR)
    assert form.status_code == 415 and form.headers["access-control-allow-origin"] == SITE
    assert httpx.get(f"{guarded.url}/faq/ask", headers=VISITOR).status_code == 403


def test_S2_nobody_is_let_in_where_no_site_was_named(faq):
    running = faq()
    assert asked(running, headers=VISITOR).status_code == 403 and not cors(asked(running, headers=VISITOR))


def test_S2_the_widget_alone_may_be_loaded_by_other_sites(guarded):
    answer = httpx.get(f"{guarded.url}/widget.js")
    assert answer.status_code == 200 and answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert httpx.get(f"{guarded.url}/page.js").headers["cross-origin-resource-policy"] == "same-origin"


def test_S5_a_key_of_some_collections_is_no_owners(faq):
    running = faq(api_keys={KEY: None, "less": frozenset({"sales"})})
    less = {"Authorization": "Bearer less"}
    assert all(httpx.get(running.url + path, headers=less).status_code == 403 for path in OWN_PATHS)
    assert httpx.post(f"{running.url}/faq/try", json={"question": "x"}, headers=less).status_code == 403
    assert asked(running, headers=less).status_code == 200


def test_visitors_who_ask_too_often_are_told_to_wait_and_the_owner_is_not(faq):
    running = faq(api_keys=[KEY], visitors=Visitors([SITE], rate=3))
    found = [asked(running, headers=VISITOR) for _ in range(5)]
    assert [one.status_code for one in found] == [200, 200, 200, 429, 429]
    assert int(found[-1].headers["retry-after"]) > 0 and found[-1].headers["access-control-allow-origin"] == SITE
    assert all(asked(running, headers=OWNER).status_code == 200 for _ in range(5))


def test_a_header_makes_nobody_another_visitor_unless_the_owner_named_a_proxy(faq, monkeypatch):
    def statuses():
        running = faq(visitors=Visitors([SITE], rate=2))
        return [asked(running, headers=VISITOR | {"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(4)]

    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    assert statuses() == [200, 200, 429, 429]
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
    assert statuses() == [200, 200, 200, 200]


def test_the_rate_is_kept_per_address_and_for_all_together():
    from upwell.serving.refusals import Refusal

    now = [0.0]
    visitors = Visitors([SITE], rate=6, clock=lambda: now[0])

    def comes(address):
        try:
            visitors.let_in({"client": (address, 1)})
        except Refusal:
            return False
        return True

    assert [comes("10.0.0.1") for _ in range(7)] == [True] * 6 + [False] and comes("10.0.0.2")
    now[0] = 10.5
    assert comes("10.0.0.1") and not comes("10.0.0.1"), "one comes back every ten seconds"
    assert sum(comes(f"10.1.{number // 250}.{number % 250}") for number in range(6 * CROWD + 50)) <= 6 * CROWD
    now[0] = 1e6
    for number in range(ADDRESSES + 10):
        now[0] += 1
        comes(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(visitors._left) == ADDRESSES


def test_an_address_of_the_older_kind_counts_alone_however_it_is_written():
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") == "192.0.2.1" != network("::ffff:192.0.2.2")


def test_addresses_of_one_household_count_as_one():
    assert network("2001:db8::1") == network("2001:db8::ffff:2") != network("2001:db8:1::1")
    assert network("10.0.0.1") == "10.0.0.1" and network("") == ""


@pytest.mark.parametrize("origin, right", [
    ("https://Shop.Example", "https://shop.example"), ("https://shop.example/", "https://shop.example"),
    ("https://shop.example:443", "https://shop.example"), ("http://localhost:8080", "http://localhost:8080"),
    ("*", None), ("https://*.example", None), ("shop.example", None), ("https://shop.example/path", None),
    ("null", None), ("https://user@shop.example", None), ("file:///x", None), ("", None),
    ("https://shop.example:x", None), ("https://shop.example?x", None), ("https://shop.example#x", None)])  # fmt: skip
def test_S2_an_origin_is_checked_at_the_start(origin, right):
    if right is None:
        with pytest.raises(SettingsError, match="widget_origins"):
            checked(origin)
    else:
        assert checked(origin) == right


def test_S8_no_question_reaches_the_log(guarded, caplog):
    caplog.set_level("DEBUG")
    asked(guarded, "s3cret qu3stion", headers=VISITOR)
    own = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("httpx"))
    assert "/faq/ask" in own and "qu3stion" not in own
