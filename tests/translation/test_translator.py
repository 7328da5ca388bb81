"""Sentences through memory, glossary, model and the ways around it."""

import pytest

from tests.translation.fake import translator
from upwell.errors import DataError, SettingsError
from upwell.translation.answer import looping
from upwell.translation.glossary import Glossary, Term
from upwell.translation.memory import Memory, Unit
from upwell.translation.sentences import between, divided, guessed
from upwell.translation.translator import Made


def test_sentences_are_translated_one_by_one_and_the_same_one_once():
    one = translator()
    (made,) = one.texts(["Open it. Close it.\nOpen it."], "en", "de")
    assert made.text == "OPEN IT. CLOSE IT.\nOPEN IT." and made.how == "model"
    assert one.backend.asked == ["Open it.", "Close it."]


def test_chinese_has_no_space_between_sentences_and_english_has():
    assert translator().texts(["Open it. Close it."], "en", "zh")[0].text == "OPEN IT.CLOSE IT."
    assert translator(lambda text: "Yes.").texts(["打开它。关闭它。"], "zh", "en")[0].text == "Yes."[:4] + "Yes."
    assert between(" ", "zh") == "" and between(" ", "en") == " " and between("\n\n", "zh") == "\n\n"


@pytest.mark.parametrize("text", ["", "  ", "12 %", "https://x.org", "%s", "***"])
def test_what_has_no_words_is_copied_without_a_model(text):
    one = translator()
    assert one.texts([text], "en", "de")[0].text == text and not one.backend.asked


@pytest.mark.parametrize(
    "text", ["Dr. Smith went home. He slept.", "Really?! Yes… 3.5 times.", "一。二！三？", "no end"]
)
def test_sentences_and_their_spaces_are_the_text(text):
    assert "".join(one.text + one.space for one in divided(text, "zh" if "。" in text else "en")) == text


@pytest.mark.parametrize("text, language", [
    ("The river is wide and cold.", "en"), ("Der Fluss ist breit und kalt.", "de"), ("这条河又宽又冷。", "zh"),
    ("これは川です。", "ja"), ("12 + 3", ""),
])  # fmt: skip
def test_the_language_of_a_text_is_told(text, language):
    assert guessed(text).language == language


def test_languages_that_the_model_does_not_know_are_refused_with_those_it_knows():
    with pytest.raises(SettingsError, match="from 'en' to 'fr'; it knows en to de, en to zh, zh to en"):
        translator().texts(["a"], "en", "fr")
    with pytest.raises(SettingsError, match="one of de, zh"):
        translator().asking.target("en")
    assert translator().asking.target("zh") == "en"


# ---- glossary ----


def test_terms_are_kept_to_where_the_model_does_not_know_them():
    terms = Glossary((Term("main window", "Hauptfenster"), Term("upwell", "upwell")))
    one = translator(glossary=terms)
    (made,) = one.texts(["Close the Main Window of upwell now."], "en", "de")
    assert made.text == "CLOSE THE Hauptfenster OF upwell NOW." and made.how == "pieces" and not made.breaches
    (plain,) = one.texts(["Close the maintained windows."], "en", "de")
    assert plain.how == "model"


def test_a_file_of_terms_is_read_and_its_wrong_lines_are_named(tmp_path):
    file = tmp_path / "terms.csv"
    file.write_text("source,target\nriver,Fluss\nupwell,\n", encoding="utf-8")
    terms = Glossary.read(file).terms
    assert list(terms.values()) == [Term("river", "Fluss"), Term("upwell", "upwell")]
    file.write_text("river,Fluss,x\n,y\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"terms.csv:1: expected a term.*\n.*terms.csv:2"):
        Glossary.read(file)


# ---- memory ----


def test_what_was_translated_before_is_not_translated_again(tmp_path):
    with Memory(tmp_path / "memory.db") as memory:
        one = translator(memory=memory)
        assert one.texts(["Open it."], "en", "de")[0].how == "model"
        assert one.texts(["Open it."], "en", "de")[0] == Made("Open it.", "OPEN IT.", "memory", 1.0)
        assert one.texts(["Open it."], "en", "zh")[0].how == "model"
        memory.learn([Unit("Open it.", "Öffnen!", "a person")], "en", "de", by_person=True)
        assert one.texts(["Open it."], "en", "de")[0].text == "Öffnen!"
        assert one.backend.asked == ["Open it."] * 2


def test_sentences_like_it_are_found_with_how_much_they_are(tmp_path):
    with Memory(tmp_path / "memory.db") as memory:
        memory.learn([Unit("Open the file.", "Datei öffnen."), Unit("Nothing like it", "x")], "en", "de")
        (found,) = memory.like("Open the files.", "en", "de")
        assert found.target == "Datei öffnen." and 0.9 < found.alike < 1
        assert memory.like("打开文件。", "en", "de") == [] == memory.like("a", "en", "de")


def test_tmx_goes_in_and_out(tmp_path):
    with Memory(tmp_path / "one.db") as one:
        one.learn([Unit('A < B & "C"', "甲 < 乙"), Unit("x", "y")], "en", "zh")
        (tmp_path / "all.tmx").write_text("".join(one.tmx()), encoding="utf-8")
    with Memory(tmp_path / "two.db") as two:
        assert two.read_tmx(tmp_path / "all.tmx") == 4
        assert two.exact('A < B & "C"', "en", "zh").target == "甲 < 乙"
        assert two.exact("甲 < 乙", "zh", "en").target == 'A < B & "C"'
        (tmp_path / "bad.tmx").write_text("<tmx><body><tu><tuv xml:lang='en'><seg>a</seg></tuv></tu></body></tmx>")
        with pytest.raises(DataError, match="bad.tmx:1: expected a unit with two languages"):
            two.read_tmx(tmp_path / "bad.tmx")


def test_a_file_that_is_no_memory_is_left_alone(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 500)
    with pytest.raises(DataError, match="no translation memory"):
        Memory(file)
    assert file.read_text() == "no database " * 500


# ---- loops ----


@pytest.mark.parametrize("text, loops", [
    ("no no no no no no no no no no no no", True), ("好" * 20, True), ("a b " * 8, True), ("ok/" * 9, True),
    ("使用 Linux " + "数据设备" * 9 + " 中", True), ("BC" + "RD" * 20, True), ("file and " + "no " * 9 + "25.", True),
    ("the the cat cat sat sat on on the the mat mat", False), ("Wait ... 100,000,000", False),
    ("the cat sat on the mat and the dog sat on the log", False), ("是的，我们今天一起去看电影吧，好不好呀", False),
])  # fmt: skip
def test_loops_are_seen(text, loops):
    assert looping(text) == loops


def test_a_loop_is_no_translation_but_what_its_source_repeats_may_be_repeated():
    one = translator(lambda text: "数据设备" * 20 if "loop" in text else text.upper())
    made, same = one.texts(["This will loop.", "Yes " + "very " * 12 + "well."], "en", "de")
    assert made.text == "This will loop." and made.how == "pieces" and same.how == "model"
