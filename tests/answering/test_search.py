"""Search: both fused, both scores told, read again by a cross-encoder, and bad questions refused."""

import math
from types import SimpleNamespace

import pytest

from tests.answering.encoders import Cross, Fixed, Words
from upwell.answering.index import Index
from upwell.answering.search import LONGEST, Searcher, Settings
from upwell.errors import DataError, SettingsError, TooLong
from upwell.text import Document

TEXTS = {
    "hours": "We open at nine and close at five.",
    "river": "The river is wide, and a bridge crosses it.",
    "lake": "A lake is water that stands. Water, water and water.",
    "zh": "图书馆早上九点开门，晚上六点关门。",
}
NEAR = {"river": [1.0, 0.1, 0.0], "lake": [0.9, 0.3, 0.0], "open": [0.0, 1.0, 0.0], "stream": [1.0, 0.2, 0.0]}


@pytest.fixture
def index(tmp_path):
    with Index.open(tmp_path / "index", encoder=encoder(), create=True) as found:
        found.add(Document(text, name) for name, text in TEXTS.items())
        yield found


def encoder() -> Fixed:
    return Fixed(NEAR, [0.0, 0.0, 1.0])


def sources(hits) -> list[str]:
    return [hit.passage.source for hit in hits]


def test_words_and_meaning_are_fused_by_their_shares_of_the_best(index):
    searcher = Searcher(index, encoder())
    hits = searcher.find("Which stream has water?", k=4)
    assert sources(hits)[:2] == ["lake", "river"], "the lake has the word and a near vector"
    near = hits[0].cosine / hits[1].cosine
    assert near < 1 and hits[0].score == pytest.approx(0.45 + 0.55 * near) and hits[1].score == pytest.approx(0.55)
    even = Searcher(index, encoder(), settings=Settings(balance=0.0)).find("Which stream has water?", k=4)
    assert sources(even)[:2] == ["river", "lake"]
    meaning = Searcher(index, encoder(), settings=Settings(lexical=False))
    assert sources(meaning.find("water stream", k=2)) == ["river", "lake"]
    assert sources(Searcher(index, None).find("Which stream has water?")) == ["lake"]


def test_both_scores_are_told_of_every_hit(index):
    hits = {one.passage.source: one for one in Searcher(index, encoder(), settings=Settings(depth=1)).find(
        "the stream with much water", k=2)}  # fmt: skip
    plain = {one.passage.source: one for one in Searcher(index, encoder()).find("the stream with much water", k=4)}
    assert plain["lake"].lexical > 0 and plain["river"].lexical == 0
    assert plain["lake"].cosine > 0.9 and plain["river"].cosine > 0.9 and plain["hours"].cosine < 0.3
    for name, hit in hits.items():
        assert hit.cosine == pytest.approx(plain[name].cosine) and hit.lexical == pytest.approx(plain[name].lexical)


def test_a_chinese_question_finds_chinese_passages_by_words(index):
    assert sources(Searcher(index, None).find("图书馆几点开门？")) == ["zh"]


def test_a_cross_encoder_reads_the_best_again(index):
    cross = Cross("bridge")
    hits = Searcher(index, encoder(), cross, Settings(again=3, found=1.0)).find("Where is water in a stream?", k=1)
    assert sources(hits) == ["river"] and hits[0].cross == pytest.approx(1 / (1 + math.exp(-1.0)))
    plain = {hit.passage.source: hit.score for hit in Searcher(index, encoder()).find("Where is water in a stream?")}
    assert hits[0].score == pytest.approx(1 / (1 + math.exp(-1.0 - plain["river"])))
    assert plain["lake"] > plain["river"]
    assert Searcher(index, encoder()).find("water")[0].cross is None
    assert len(cross.pairs) == 3 and all(question == "Where is water in a stream?" for question, _ in cross.pairs)


def test_a_cross_encoder_of_the_recipe_is_known_by_its_labels(index):
    def head(*labels):
        return SimpleNamespace(name="model", config=SimpleNamespace(head=SimpleNamespace(labels=labels)))

    assert Searcher(index, encoder(), head("other", "relevant")).cross_name == "rerank"
    assert Searcher(index, encoder(), head("0", "1")).cross_name == "model"
    assert Searcher(index, encoder(), Cross("x")).cross_name == "cross" and Searcher(index, encoder()).cross_name == ""


@pytest.mark.parametrize("said, sure", [({"value": 3.5}, 0.970688), ({"LABEL_0": -1.0}, 0.268941),
                                        ({"no": 0.9, "yes": 0.1}, 0.1), ({"no": 0.0, "yes": 1.0}, 0.999999),
                                        ({"contradiction": 0.1, "entailment": 0.7, "neutral": 0.2}, 0.7)])  # fmt: skip
def test_what_a_cross_encoder_says_becomes_a_probability(index, said, sure):
    cross = SimpleNamespace(name="cross", classify=lambda pairs: [said for _ in pairs])
    assert Searcher(index, encoder(), cross).find("water")[0].cross == pytest.approx(sure, abs=1e-6)
    wrong = SimpleNamespace(name="cross", classify=lambda pairs: [{"red": 0.5, "blue": 0.5} for _ in pairs])
    with pytest.raises(SettingsError, match="knows the labels red, blue"):
        Searcher(index, encoder(), wrong).find("water")


class Spaces:
    """A tokenizer of words."""

    def encode(self, text):
        return text.split()

    def decode(self, ids):
        return " ".join(ids)


class Small(Words):
    """An encoder, or a cross-encoder, that says how much it reads: words, with two places around them."""

    config = SimpleNamespace(context=12, shape="encoder", bos=None)
    tokenizer = Spaces()


@pytest.fixture
def small(monkeypatch):
    frame = lambda tokenizer, config: SimpleNamespace(around=2)  # noqa: E731
    monkeypatch.setattr("upwell.objectives._frames.Frame", frame)
    return Small()


def test_passages_and_questions_are_cut_to_what_the_encoder_reads(tmp_path, small):
    text = "The river is wide and has seven bridges here. " * 30
    with Index.open(tmp_path / "i", encoder=small, create=True) as index:
        index.add([Document(text, "a")])
        assert index.count > 20 and all(len(one.split()) <= 10 for one in small.texts)
        assert Searcher(index, small).find("how wide is the river " * 2 + "here and now")[0].cosine > 0.5
        assert all(len(one.split()) <= 10 for one in small.texts), "a long question is read in pieces"
        assert Searcher(index, small, settings=Settings(dense=False)).find("how wide is the river " * 20)


def test_a_passage_too_long_for_the_cross_encoder_is_shortened_there_alone(index, small):
    asked = []
    small.classify = lambda pairs: [asked.append(pair) or {"value": 1.0} for pair in pairs]
    hits = Searcher(index, encoder(), small).find("where is water")
    assert all(len(question.split()) + len(text.split()) + 2 <= 10 for question, text in asked)
    assert {hit.passage.text for hit in hits} <= {*TEXTS.values()}
    asked.clear()
    Searcher(index, encoder(), small).find("where is water and " * 20)
    assert asked and all(len(question.split()) + len(text.split()) + 2 <= 10 for question, text in asked)


def test_collections_decide_what_is_found(tmp_path):
    with Index.open(tmp_path / "i", encoder=Words(), create=True) as index:
        index.add([Document("The river of A.", "a")], "A")
        index.add([Document("The river of B.", "b")], "B")
        searcher = Searcher(index, Words())
        assert sources(searcher.find("river", collections=["A"])) == ["a"]
        assert {*sources(searcher.find("river"))} == {"a", "b"}
        assert searcher.find("river", collections=[]) == [] == searcher.find("river", collections=["C"])


def test_S5_no_question_of_b_finds_what_is_a_s(tmp_path):
    with Index.open(tmp_path / "i", encoder=Words(), create=True) as index:
        for number in range(30):
            index.add([Document(f"Secret {number} of A is a river.", f"a{number}")], "A")
        index.add([Document("A lake.", "b")], "B")
        searcher = Searcher(index, Words(), Cross("Secret"))
        for question in ("secret", "Secret 7 of A is a river.", "river", "A", "*", "a lake"):
            assert {one.passage.source for one in searcher.find(question, k=50, collections=["B"])} <= {"b"}


@pytest.mark.parametrize("question, kind, said", [
    ("", DataError, "empty question"), (" \n", DataError, "empty question"),
    ("x" * 100_000, TooLong, f"has 100,000 characters, expected at most {LONGEST:,}"),
    ("a\0b", DataError, "no text can hold"), ("\ud800", DataError, "no text can hold"),
])  # fmt: skip
def test_B4_bad_questions_are_one_sentence(index, question, kind, said):
    with pytest.raises(kind, match=said) as error:
        Searcher(index, encoder()).find(question)
    assert "\n" not in str(error.value)


def test_a_question_of_10000_characters_and_one_without_words_are_searched_for(index):
    searcher = Searcher(index, encoder())
    assert searcher.find(("water " * LONGEST)[:LONGEST].strip())
    assert searcher.find("?!") and Searcher(index, None).find("?!") == []


def test_an_empty_index_finds_nothing(tmp_path):
    with Index.open(tmp_path / "i", encoder=encoder(), create=True) as index:
        index.add([Document("A river.", "a")])
        index.remove("a")
        assert Searcher(index, encoder()).find("river") == []


@pytest.mark.parametrize("settings, said", [
    (dict(k=0), "k: found 0"), (dict(depth=5000), "depth"), (dict(balance=2.0), "balance"),
    (dict(lexical=False, dense=False), "neither"),
])  # fmt: skip
def test_settings_that_cannot_be_are_told(index, settings, said):
    with pytest.raises(SettingsError, match=said):
        Settings(**settings)
    with pytest.raises(SettingsError, match="k: found -1"):
        Searcher(index, encoder()).find("river", k=-1)


def test_a_searcher_wants_the_encoder_of_its_index(index, tmp_path):
    with pytest.raises(DataError, match="name the encoder that it was made with"):
        Searcher(index, Words())
    with pytest.raises(SettingsError, match="without an encoder"):
        Searcher(index, None, settings=Settings(lexical=False))
    with Index.open(tmp_path / "plain", create=True) as plain:
        plain.add([Document("A river.", "a")])
        with pytest.raises(DataError, match="without vectors"):
            Searcher(plain, Words())
        assert sources(Searcher(plain, None).find("rivers")) == ["a"]
