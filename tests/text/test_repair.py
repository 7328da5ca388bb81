"""Mojibake becomes what it was, and healthy writing stays as it is."""

import pytest
from hypothesis import given, settings, strategies

from tests.text.samples import LANGUAGES, WRITINGS
from upwell.text import Document
from upwell.text.clean import clean
from upwell.text.steps.repair import Settings, step, suspects

REPAIR = step(Settings())


def repaired(text: str, kind: str = "prose") -> Document:
    return REPAIR(Document(text, "a.txt", kind=kind))


@pytest.mark.parametrize("language", LANGUAGES)
def test_healthy_sentences_never_change(language):
    assert repaired(LANGUAGES[language]) == Document(LANGUAGES[language], "a.txt")


@pytest.mark.parametrize("text", WRITINGS[1:])
def test_signs_emoji_phonetics_and_tables_never_change(text):
    assert repaired(text).text == text


@pytest.mark.parametrize("text", [*WRITINGS, *(f"# {text}\nx = 1" for text in ("Ã©tÃ©", "浣犲ソ锛屼笘鐣"))])
def test_code_may_speak_of_mojibake(text):
    assert repaired(text, kind="code").text == text


def test_all_languages_in_one_text_stay_as_they_are():
    text = "\n".join(LANGUAGES.values())
    assert repaired(text).text == text


LATIN = ["fr", "es", "pt", "de", "it", "pl", "cs", "ro", "hu", "tr", "sv", "vi", "en"]


@pytest.mark.parametrize("language", [*LATIN, "ru", "uk", "bg", "el", "ja", "zh-Hans", "zh-Hant"])
@pytest.mark.parametrize("page", ["latin-1", "cp1252"])
def test_utf8_read_as_western_comes_back(language, page):
    text = LANGUAGES[language]
    spoilt = "".join(_read_as(char, page) for char in text)
    assert spoilt != text
    found = repaired(spoilt)
    assert found.text == text
    assert dict(found.changes)["mojibake repaired"] == 1


def _read_as(char: str, page: str) -> str:
    """As browsers do: bytes that cp1252 does not know are shown as in Latin-1."""
    return "".join(bytes([byte]).decode(page, errors="ignore") or chr(byte) for byte in char.encode("utf-8"))


@pytest.mark.parametrize("language", ["ru", "bg"])
def test_utf8_read_as_cyrillic_comes_back(language):
    text = LANGUAGES[language]
    assert repaired("".join(_read_as(char, "cp1251") for char in text)).text.split()[:3] == text.split()[:3]


CHINESE = [
    "你好，世界。我们说的就是这些，请看下面的内容。",
    "孩子们早上去上学了，妈妈说：“别忘了厨房桌上的书”，因为今天要考试。",
    "繁體中文的內容，也會遇到這樣的問題，我們都知道。",
]


@pytest.mark.parametrize("text", CHINESE)
def test_utf8_read_as_gbk_comes_back_but_for_a_byte_that_was_lost(text):
    spoilt = text.encode("utf-8").decode("gb18030", errors="replace")
    found = repaired(spoilt)
    assert len(found.text) >= 0.9 * len(text) and dict(found.changes)["mojibake repaired"] >= 1
    left = iter(text)
    assert all(char in left for char in found.text), "nothing is there that was not there before, in its order"


def test_the_byte_that_many_programs_show_as_a_euro_sign_is_read_as_what_it_was():
    text = "这是一个测试，一切都好，我们在一起了。"
    spoilt = _as_windows_reads_gbk(text.encode("utf-8"))
    assert "涓€" in spoilt and repaired(spoilt).text == text.rstrip("。")  # of the last sign a byte is gone


def _as_windows_reads_gbk(data: bytes) -> str:
    read, place = "", 0
    while place < len(data):
        size = 1 if data[place] <= 0x80 else 2
        read += "€" if data[place] == 0x80 else data[place : place + size].decode("gb18030", errors="replace")
        place += size
    return read


def test_english_quotes_read_as_gbk_come_back():
    text = "I don’t know what you’re doing, but it’s fine, and we’ll see."
    found = repaired(text.encode("utf-8").decode("gbk"))
    assert (found.text, found.changes) == (text, (("mojibake repaired", 4),))


@pytest.mark.parametrize("text", CHINESE[:2])
def test_gbk_read_as_latin_comes_back(text):
    text = text.replace("“", "《").replace("”", "》")
    assert repaired(text.encode("gb2312").decode("latin-1")).text == text


def test_kana_read_as_shift_jis_come_back():
    text = "スケジュールのテスト、これからはじめます"
    spoilt = text.encode("utf-8").decode("cp932", errors="replace")
    assert "繧" in spoilt and len(repaired(spoilt).text) >= 0.9 * len(text)


def test_where_too_many_bytes_are_lost_nothing_is_made_up():
    spoilt = "ありがとうございます".encode().decode("cp932", errors="replace")
    assert spoilt.count("\ufffd") > 2 and repaired(spoilt).text == clean(spoilt)


def test_one_spoilt_line_among_healthy_ones_is_repaired_alone():
    text = "\n".join([LANGUAGES["zh-Hans"], "Ã©tÃ© Ã  lâ€™Ã©cole", LANGUAGES["ru"]])
    assert repaired(text).text == text.replace("Ã©tÃ© Ã  lâ€™Ã©cole", "été à l’école")


def test_fields_of_examples_are_repaired_and_counted_once():
    fields = {"task": "label", "text": "cafÃ©", "label": "x"}
    found = REPAIR(Document("cafÃ©\nx", "a.jsonl:1", fields=fields))
    assert found.fields["text"] == "café" and found.text == "café\nx"
    assert found.changes == (("mojibake repaired", 1),)


def test_what_is_taken_away_is_named():
    assert repaired("a  \nb\u200b").changes == (("cleaned", 1),)
    assert repaired("nothing to do").changes == ()


def test_nfkc_is_a_choice_and_leaves_code_alone():
    fold = step(Settings(form="NFKC"))
    found = fold(Document("ﬁne ２０ ｶﾞ x²", "a"))
    assert (found.text, found.changes) == ("fine 20 ガ x2", (("compatibility forms folded", 1),))
    assert fold(Document("x²", "a.py", kind="code")).text == "x²"
    assert repaired("ﬁne ２０ x²").text == "ﬁne ２０ x²"


def test_mojibake_can_be_left():
    assert step(Settings(mojibake=False))(Document("cafÃ© ", "a")).text == "cafÃ©"


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="NFD.*expected one of NFC, NFKC"):
        Settings(form="NFD")


def test_repairing_twice_is_repairing_once():
    for text in [*LANGUAGES.values(), *WRITINGS]:
        once = repaired(text.encode("utf-8").decode("gb18030", errors="replace"))
        assert clean(once.text) == once.text


WAYS = [("utf-8", page) for page in ("cp1252", "latin-1", "cp1250", "cp1251", "mac_roman", "cp437", "gb18030", "cp932")]
SPOILT = [text.encode(was, "ignore").decode(read, "replace") for text in [*LANGUAGES.values(), *WRITINGS, *CHINESE]
          for was, read in [*WAYS, ("gb2312", "latin-1")]]  # fmt: skip


@pytest.mark.parametrize("settings", [Settings(), Settings(form="NFKC"), Settings(mojibake=False)])
def test_the_look_at_many_documents_misses_nothing(settings):
    change, asked = step(settings), suspects(settings)
    texts = [*SPOILT, *LANGUAGES.values(), *WRITINGS]
    texts += ["", "\n", "a\n", "a \nb", "a\n\n\n\nb", "\0", "ends \u3000", "e\u0301"]
    documents = [Document(text, "a") for text in texts] + [Document("a", "b", title=text) for text in texts]
    documents += [Document(text[:40] + "\n" + text[40:], "a", kind="code") for text in texts]
    for begin in range(0, len(documents), 50):
        some = documents[begin : begin + 50]
        assert all(told or change(one) == one for told, one in zip(asked(some), some, strict=True))


SIGNS = "a é»в√Ђ锛鈥浣犲ソ縺Ãƒ¤ÄãºÃ\n \t\x85\x00\u200b\U0001f600中"


@settings(max_examples=300, deadline=None)
@given(strategies.lists(strategies.text(SIGNS, max_size=9), max_size=5))
def test_whatever_chance_texts_ask_for_is_seen(texts):
    documents = [Document(text, "a") for text in texts]
    asked = suspects(Settings())(documents)
    assert all(told or REPAIR(one) == one for told, one in zip(asked, documents, strict=True))


def test_healthy_texts_are_not_looked_at_one_by_one():
    healthy = ["The café rose.", "Für drei Äpfel — „gut“", "床前明月光，\n疑是地上霜。", "Мы вышли к реке в полдень."]
    assert not any(suspects(Settings())([Document(text, "a") for text in healthy]))
