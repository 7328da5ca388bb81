"""Rubbish goes with its reason, and healthy text of every kind stays."""

import base64
import random

import pytest

from tests.text.samples import LANGUAGES
from upwell.text import Document, Dropped
from upwell.text.steps.quality import Settings, step

JUDGE = step(Settings())

PROSE = (
    "The mill stood where the two streams met, and for as long as anyone could remember its wheel had turned. "
    "In dry summers the miller walked up to the weir and opened the upper gate by a hand's breadth, no more; "
    "the meadows below were to have their share. When his daughter took over, she kept the rule and wrote it down, "
    "together with the names of those who had quarrelled about it since 1783. “There is water for everybody,” she "
    "used to say, “but there is not water for everything.” That is how the village came to have a book of water, "
    "which can be read to this day in the small museum beside the bridge, from Tuesday to Saturday."
)
CODE = """
def area(points):
    '''The area of a polygon, by the shoelace formula.'''
    total = 0.0
    for (x, y), (u, v) in zip(points, points[1:] + points[:1]):
        total += x * v - u * y
    return abs(total) / 2


TABLE = [0x00, 0x07, 0x0E, 0x09, 0x1C, 0x1B, 0x12, 0x15]
if __name__ == "__main__":
    print(area([(0, 0), (4, 0), (4, 3)]))
"""
CHINESE = (
    "磨坊在两条溪水汇合的地方，从人们记事起，水车就一直在转。遇到干旱的夏天，磨坊主会走到上游，把闸门打开一掌宽，"
    "不多也不少，好让下面的草地也有水喝。后来女儿接手，她守着这个规矩，还把它写了下来，连同一七八三年以来为水争吵过的人的名字。"
    "她常说：“水够大家用，但不够做所有的事。”村里就这样有了一本水的账簿，至今放在桥边的小博物馆里，周二到周六都能看到。"
)
POEM = "\n".join(
    f"{first}\nand the river sings,\n{second}\nand nobody hears it but me."
    for first, second in [("The heron stands", "the reeds bend low"), ("The mill is still", "the night comes down")]
)


def judged(text: str, kind: str = "prose", language: str = "en") -> str:
    """The reason for which it is left out, "" where it stays."""
    found = JUDGE(Document(text, "a", kind=kind, language=language))
    return found.reason if isinstance(found, Dropped) else ""


@pytest.mark.parametrize(
    "text",
    [
        PROSE, CHINESE, POEM, PROSE.upper(), PROSE.replace(". ", ".\n\n"), f"# A mill\n\n{PROSE}\n\n- one\n- two",
        "Yes.", "42", "中文", "https://example.org/a/very/long/address?with=" + "x" * 90 + "\n" + PROSE,
        "In 1783, 12 of 14 houses burnt; in 1784 it was 3, in 1785 again 5, in 1787 only 2. The rest stood until 1901.",
        "∀x ∈ ℝ: x² ≥ 0, and therefore f(x) = x² + 1 has no real zero, as one sees from f(x) − 1 = x² ≥ 0.",
        "床前明月光\n疑是地上霜\n举头望明月\n低头思故乡\n白日依山尽\n黄河入海流\n欲穷千里目\n更上一层楼",
    ],
)  # fmt: skip
def test_healthy_prose_stays(text):
    assert judged(text, language="und") == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_healthy_sentences_of_every_language_stay(language):
    assert judged(LANGUAGES[language], language=language) == ""
    assert judged(f"{LANGUAGES[language]}\n{CHINESE}", language=language) == ""


RANDOM = random.Random(7)
MENU = "Home\nAbout us\nProducts\nServices\nBlog\nContact\nLogin\nSign up\nCart (0)\nImprint\nPrivacy\nTerms of use"
CHINESE_MENU = "首页\n新闻中心\n产品展示\n关于我们\n联系我们\n人才招聘\n在线留言\n登录\n注册\n购物车\n帮助中心\n地图"
SHOES = "cheap shoes online running shoes discount shoes best shoes price men shoes women shoes sale shoes outlet shoes"
KEYS = "hotel flight rental voucher cruise resort airport luggage visa passport insurance booking deal coupon"
LOREM = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore. "
BLOB = base64.b64encode(RANDOM.randbytes(3000)).decode()
NUMBERS = "\n".join("\t".join(str(RANDOM.randrange(10_000)) for _ in range(8)) for _ in range(30))
CHINESE_SPAM = "正规网上娱乐平台，注册就送彩金，" * 20


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MENU, "a menu"),
        (CHINESE_MENU, "a menu"),
        (SHOES + " " + SHOES.replace("men", "kids") + " " + SHOES.replace("sale", "new"), "one word again and again"),
        (" ".join(RANDOM.sample(KEYS.split(), 14)[i % 14] + str(i) * (i % 3 == 0) for i in range(80)), "no sentences"),
        (BLOB, "odd words"),
        (f"{PROSE}\n{BLOB[:900]}", "encoded data"),
        ("Click here to subscribe to our newsletter today.\n" * 12 + PROSE[:100], "repeated lines"),
        ("buy the best gold now at the lowest price in town and " * 12, "repeated phrases"),
        (CHINESE_SPAM, "repeated phrases"),
        (LOREM * 5, "filler text"),
        ("\n".join(f"| {LOREM[:40]} | {LOREM[30:70]} |" for _ in range(3)), "filler text"),
        (NUMBERS, "mostly numbers"),
        ("|---|:-:|___|\n" * 12 + PROSE[:60], "few letters"),
        ("Total 2019 2020 2021 2022 and 2023 " + " ".join(f"x{n}" for n in range(1000, 1060)), "mostly numbers"),
        ("=-=-=*** ~~~ WIN $$$ ~~~ ***=-=-= >>> {{{ FREE }}} <<< " * 4 + PROSE[:150], "few letters"),
        ("win <<<free>>> the {{prize}} at [[our]] {shop} for <you> and ~me~ <<now>> * " * 3, "mostly symbols"),
        ("#love #summer #beach #sun #fun #happy #me #you #us #art #cat #dog are nice" * 2, "tags or broken lines"),
        ("\n".join(f"- item number {word}" for word in KEYS.split()), "a list only"),
        ("\n".join(f"The {word} that we saw yesterday was a very…" for word in KEYS.split()), "cut off lines"),
        ("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4, "odd words"),
        ("锟斤拷锟斤拷是一个人们不知道的地方锟斤拷锟斤拷" * 5 + CHINESE[:60], "unreadable characters"),
    ],
)  # fmt: skip
def test_rubbish_goes_with_its_reason(text, reason):
    assert judged(text) == reason


@pytest.mark.parametrize("rubbish", [MENU, PROSE, "x = 1\n" * 50, LOREM * 5, "{}[]();" + "abcdef" * 5])
def test_no_rule_for_prose_is_laid_on_code(rubbish):
    assert judged(rubbish, kind="code") == ""


def test_a_program_stays_with_its_tables_and_a_blob():
    assert judged(CODE, kind="code") == ""
    assert judged(CODE * 20 + f'ICON = "{BLOB[:2000]}"\n', kind="code") == ""
    codec = "".join(f"    '\\x{n:02x}'  #  0x{n:02X} -> LATIN LETTER NUMBER {n}\n" for n in range(256))
    assert judged("decoding_table = (\n" + codec + ")\n", kind="code") == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("// Code generated by protoc-gen-go. DO NOT EDIT.\npackage main\n", "generated code"),
        ("# This file was generated by a tool\nx = 1\n", "generated code"),
        ("/* @generated */ export const x = 1;", "generated code"),
        ("!function(e,t){" + "var a=e.b(t),c=function(n){return n.d};" * 200 + "}();", "minified code"),
        ("data = [\n" + "".join(f"    0x{n:04x}, 0x{n + 7:04x}, 0x{n * 3:04x},\n" for n in range(400)) + "]", ""),
        ("static char d[] = {\n" + "".join(f"  {n}, {n + 7}, {n * 3}, {n * 5},\n" for n in range(400)) + "}", ""),
        ("\n".join(BLOB[start : start + 100] for start in range(0, 4000, 100)), "data in place of code"),
        ("(){}[];:<>!=+-*/%&|^~,.?\n" * 50, "few letters"),
    ],
)
def test_what_is_no_program_goes(text, reason):
    found = judged(text, kind="code")
    assert found == reason if reason else found in ("data in place of code", "few letters")


def test_dialogue_may_repeat_itself_and_be_short():
    talk = "- Hello!\n- Hello!\n- How are you?\n- Fine.\n- Fine?\n- Yes.\n- Yes.\n- OK\n- OK\n- Bye\n- Bye!"
    assert judged(talk, kind="dialogue") == "" and judged(MENU, kind="dialogue") == ""
    assert judged("- Hello!\n" * 30, kind="dialogue") == "repeated lines"


def test_supervised_examples_are_not_judged():
    document = Document(MENU, "a", fields={"task": "label", "text": MENU, "label": "menu"})
    assert JUDGE(document) is document


def test_each_rule_has_a_number_that_turns_it_off():
    off = step(Settings(most_menu_lines=1, fewest_function_words=0, most_repeated_phrases=1))
    assert isinstance(off(Document(MENU, "a", language="en")), Document)


def test_the_detail_says_why_this_one():
    found = JUDGE(Document(MENU, "a"))
    assert found.detail == "0.92 of its lines are no sentences"


def test_a_long_text_is_judged_by_pieces_and_fast():
    spam = "buy the best gold now at the lowest price in town and "
    assert judged(spam * 20_000) == "repeated phrases"
    syllables = ["ba", "ke", "li", "mo", "nu", "ra", "so", "ti"]
    words = ["".join(RANDOM.choices(syllables, k=3)) for _ in range(100_000)]
    assert judged(" ".join(words), language="und") == ""


ODD = ["", " ", "\n\n\n", "\ud800", "\x00", "a" * 99_999, "é" * 999, "0" * 500, "\u3000" * 99]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("kind", ["prose", "code", "dialogue"])
def test_no_text_is_too_odd_to_be_judged(text, kind):
    judged(text, kind)
