"""The report says what went and why, in both languages, and nothing of a document acts in it."""

import ast
import html
import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.text import manifests
from upwell.text import report, report_html, report_words
from upwell.text.report import page, table

ALLOWED = set(
    "html head meta title style body header main footer section svg path defs lineargradient stop rect span fieldset "
    "legend label input h1 h2 h3 p b dl dt dd div ol ul li a figure figcaption details summary blockquote bdi table "
    "thead tbody tr th td del ins script".split()
)
EMPTY = {"meta", "input"}


class Tree(HTMLParser):
    """Tags, attributes and texts of a page; fails where an element is not closed by its own end."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes, self.texts = [], [], [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {(tag, name) for name, _ in attributes}
        self.ids += [value for name, value in attributes if name == "id"]
        self.links = getattr(self, "links", []) + [value for name, value in attributes if name in ("href", "src")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def words(text: str, language: str = "en") -> str:
    """What a reader of one language sees, in one line."""
    other = {"en": "zh", "zh": "en"}[language]
    body = text.partition("<main>")[2].partition("<script>")[0]
    body = re.sub(rf'<span class="{other}" lang="[^"]+">(.*?)</span>', "", body)
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " "))


CASES = {
    "usual": (manifests.usual(), manifests.usual_samples()), "untouched": (manifests.untouched(), {}),
    "single": (manifests.single(), {}), "vast": (manifests.vast(), {}),
    "hostile": manifests.hostile(), "empty": ({}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_page_is_well_formed_and_holds_only_known_elements(name):
    tree = Tree(page(*CASES[name]))
    assert set(tree.tags) <= ALLOWED
    assert len(tree.ids) == len(set(tree.ids))
    assert all(link.startswith("#") and link[1:] in tree.ids for link in tree.links)
    assert tree.tags.count("script") == tree.tags.count("style") == 1
    assert not {name for _, name in tree.attributes if name.startswith("on") or name in ("style", "src", "srcdoc")}


def test_a_hostile_manifest_brings_no_element_and_no_attribute_that_a_usual_one_has_not():
    usual, hostile = Tree(page(*CASES["usual"])), Tree(page(*CASES["hostile"]))
    assert set(hostile.tags) <= set(usual.tags)
    assert hostile.attributes <= usual.attributes


def test_hostile_texts_can_still_be_read_as_they_are():
    text = page(*CASES["hostile"])
    for attack in manifests.HOSTILE[:10]:
        assert html.escape(attack) in text and attack not in text


def test_signs_that_act_without_being_seen_are_named():
    text = page(*CASES["hostile"])
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]", text)
    for sign in ("U+202E", "U+2066", "U+0000", "U+001B", "U+D83D", "U+E0041"):
        assert f">{sign}<" in text
    text.encode("utf-8")


def test_marks_heaped_on_a_letter_are_cut_and_scripts_that_need_marks_and_joiners_stay_whole():
    assert report_html.safe("e" + "\u0301" * 200) == "e" + "\u0301" * 5
    for text in ("नमस्ते क्‍ष", "שָׁלוֹם", "สวัสดีครับ", "👩‍👩‍👧", "می‌خواهم", "བོད་སྐད།", "Việt Nam"):
        assert report_html.safe(text) == text


def test_the_headline_the_river_and_the_reasons_say_the_numbers_of_the_manifest():
    said = words(page(*CASES["usual"]))
    for sentence in ("10,846 documents went in, 9,091 documents came out.", "83.8 % of all",
                     "tokens to learn from 3.21 M", "too short 318", "9,894 remain", "English 8,851 97.4 %",
                     "−519 5.0 % of what came here · 1.2 M characters with them", "e-mail masked 612", "402 in all",
                     "Held out, for measuring only 451 documents", "To learn from 8,640 documents", "not stated",
                     "privacy.mode mask"):  # fmt: skip
        assert sentence in said, sentence


def test_the_same_page_is_there_in_chinese():
    said = words(page(*CASES["usual"]), "zh")
    for sentence in ("读入 10,846 篇文档", "321 万", "用于训练的词元", "太短", "简体中文", "未注明"):
        assert sentence in said, sentence
    assert "went in" not in said and "remain" not in said


def test_every_entry_has_both_languages_with_the_same_places_in_them():
    def places(text):
        return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)

    for english, chinese in report_words.WORDS.values():
        assert english and chinese and places(english) == places(chinese)
        assert not re.search(r"[\u4e00-\u9fff]", english)
    languages = [entry for entry in re.split(r"[|\n]", report_words.LANGUAGES) if entry]
    assert len(languages) > 80
    assert all(re.fullmatch(r"[a-z]{2,3}(-Han[st])? [^\u4e00-\u9fff]+ [\u4e00-\u9fff]+", entry) for entry in languages)


def test_every_word_is_used():
    source = "".join(Path(room.__file__).read_text(encoding="utf-8") for room in (report, report_html))
    used = {part.value for part in ast.walk(ast.parse(source)) if isinstance(part, ast.Constant)}
    assert {key for key in report_words.WORDS if key.removesuffix(" about") not in used} == set()


def test_a_manifest_without_parts_gives_a_page_without_them():
    said = words(page({}, None))
    assert "0 documents went in" in said
    assert not any(title in said for title in ("Samples", "Settings", "Languages", "could not be read"))


def test_one_document_is_one_document():
    said = words(page(*CASES["single"]))
    assert "1 document went in, and all came out." in said
    assert not re.search(r"\b1 (documents|files|tokens|characters) ", said.replace("1 documents read", ""))


def test_of_many_reasons_and_languages_a_few_stand_open_and_all_are_there():
    text = page(*CASES["vast"])
    assert "and 34 more" in words(text) and "and 48 more" in words(text)
    assert "reason number 40 with a name that is long" in text
    assert "2,500 more stand in manifest.json." in words(text)
    assert len(text.encode()) < 1_000_000


@pytest.mark.parametrize("edges, first, last", [
    ([0, 10, 100], "from 0 to 9", "from 10 to 99"), ([0, 10], "from 0 to 9", "10 and more"),
    ([10], "from 0 to 9", "10 and more"),
])  # fmt: skip
def test_lengths_are_read_with_or_without_outer_edges(edges, first, last):
    said = words(page({"lengths": {"edges": edges, "documents": [3, 4]}}))
    assert f"{first} 3" in said and f"{last} 4" in said


def test_the_river_is_as_wide_as_there_are_documents():
    text = page({"read": {"documents": 1000}, "steps": [{"name": "near", "in": 1000, "dropped": {"x": 250}}],
                 "train": {"documents": 750}})  # fmt: skip
    widths = [float(found) for found in re.findall(r'<rect class="body"[^>]* width="([\d.]+)"', text)]
    assert widths == [200, 150, 150]


def test_documents_that_are_divided_or_drawn_twice_come_out_once():
    said = words(page({"read": {"documents": 100}, "steps": [{"name": "near", "in": 100, "dropped": {"x": 20}}],
                       "train": {"documents": 150}, "heldout": {"documents": 10}}))  # fmt: skip
    assert "100 documents went in, 80 documents came out." in said and "80 % of all" in said
    assert "To learn from 150 documents After long documents were divided" in said


def test_every_reason_of_the_steps_has_chinese_words():
    masked = ["GitHub token masked", "AWS key masked", "JWT masked", "private key masked", "password masked"]
    assert [report_html.reason_words(reason)[1] for reason in masked] == [
        "遮盖 GitHub 令牌", "遮盖 AWS 密钥", "遮盖 JWT", "遮盖私钥", "遮盖密码",
    ]  # fmt: skip
    assert report_html.reason_words("<i> masked")[1] == "&lt;i&gt; masked"
    assert reasons_of_the_room() and reasons_of_the_room() <= set(report_words.REASONS)


def reasons_of_the_room() -> set[str]:
    """The second argument of each Dropped(...) that is written out."""
    sources = (path.read_text(encoding="utf-8") for path in Path(report.__file__).parent.rglob("*.py"))
    calls = (part for source in sources for part in ast.walk(ast.parse(source)) if isinstance(part, ast.Call))
    named = (call.args[1] for call in calls if getattr(call.func, "id", "") == "Dropped" and len(call.args) > 1)
    return {reason.value for reason in named if isinstance(reason, ast.Constant)}


def test_a_step_that_gets_more_than_the_one_before_left_makes_the_river_wider():
    text = page({"read": {"documents": 10}, "steps": [{"name": "divided", "in": 40, "dropped": {}}],
                 "train": {"documents": 40}})  # fmt: skip
    widths = [float(found) for found in re.findall(r'<rect class="body"[^>]* width="([\d.]+)"', text)]
    assert widths == [50, 200, 200]


def test_changed_samples_show_what_went_and_what_came():
    samples = {"privacy: e-mail masked": [{"source": "a", "before": "to a@b.org, now", "after": "to [E-MAIL], now"}]}
    quote = re.search("<blockquote[^>]*>(.*)</blockquote>", page({}, samples))[1]
    struck = re.sub("<ins>.*?</ins>", "", quote)
    assert re.sub("</?del>", "", struck) == "to a@b.org, now"
    assert re.sub("</?ins>", "", re.sub("<del>.*?</del>", "", quote)) == "to [E-MAIL], now"


def test_the_same_manifest_gives_the_same_page_also_out_of_its_file():
    manifest = json.loads(json.dumps(manifests.usual()))
    assert page(manifest, manifests.usual_samples()) == page(*CASES["usual"])


def test_the_table_of_the_terminal_has_a_row_for_each_step():
    rows = table(manifests.usual())
    names = [step["name"] for step in manifests.usual()["steps"]]
    assert [row[0] for row in rows] == ["read", *names, "train", "heldout"]
    assert all(len(row) == len(report.COLUMNS) for row in rows)
    assert rows[3][:4] == ("quality", " 9,894", "   519", "5.0\N{NO-BREAK SPACE}%")
    assert rows[3][4].startswith("too short 318 · mostly symbols 87") and rows[3][4].endswith("2 more reasons")
    assert rows[6][4].startswith("changed: e-mail masked 612, IP address masked 204")
    assert table({}) == [("read", "0", "", "", "")]


def test_the_table_is_drawn_by_the_terminal(capsys):
    from upwell import terminal

    terminal.table("What went and why", report.COLUMNS, table(CASES["hostile"][0]))
    assert "\x1b[31m" not in capsys.readouterr().out


def test_samples_stand_in_the_order_of_the_steps():
    steps = [{"name": name, "in": 9, "dropped": {"x": 1}} for name in ("length", "quality", "exact")]
    keys = ("exact: x", "elsewhere: x", "quality: b", "length: x", "quality: a")
    text = page({"steps": steps}, {key: [{"source": "a", "text": f"({key})"}] for key in keys})
    places = [text.index(f"({key})") for key in ("length: x", "quality: a", "quality: b", "exact: x", "elsewhere: x")]
    assert places == sorted(places)
