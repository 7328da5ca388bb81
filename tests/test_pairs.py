"""Corpora of translated sentences and of chats: what their converters make of tiny files, and one of real packages."""

import json

import pytest
import yaml

from upwell import catalog
from upwell.catalog.corpora import _pairs, chat_small, guide_pairs, help_pairs, ui_pairs, wiki_questions
from upwell.text import examples

PLACE = "usr/share/libreoffice/help/{}/text/writer/{}.html"
PAGE = """<h1 id="hd_1" dir="auto"><a name="x"></a>{title}</h1>
<li><p id="par_2" class="x">Choose <span class="menuitem">Format - {menu}</span>.</p></li>
<p id="par_3">Hold <span id="s"><span hidden="true" id="M" class="MAC">Command</span><span hidden="true"
 id="d">Ctrl</span></span> &amp; click.</p>
<p id="par_4">=SUM(1;2)</p><td id="par_5"><p id="par_6">{cell}</p></td>"""
GUIDE = "<page><title>{0}</title><p>{1} <em>{2}</em></p><screen>ls -l</screen><list><item><p/></item></list></page>"
PO = 'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "Save %s"\nmsgstr "%s speichern"\n\nmsgid "Open"\nmsgstr "Open"\n'


def page(**words):
    return PAGE.format(**words).encode()


def test_paragraphs_of_one_id_are_pairs_and_what_is_not_translated_is_none():
    files = {
        PLACE.format("en-US", "a"): page(title="Background", menu="Character", cell="Size"),
        PLACE.format("zh-CN", "a"): page(title="背景", menu="字符", cell="Size"),
        PLACE.format("en-US", "b"): page(title="Only here", menu="Character", cell="Size"),
    }
    found = list(help_pairs.records(files, "zh-CN", "zh"))
    assert [(one["source"], one["target"]) for one in found] == [
        ("Background", "背景"), ("Choose Format - Character.", "Choose Format - 字符.")]  # fmt: skip
    assert help_pairs.paragraphs(page(title="T", menu="M", cell="C").decode())["par_3"] == "Hold Ctrl & click."
    document = examples.document(found[0], "x:1")
    assert document.title == "writer/a" and document.label == "libreoffice"
    assert document.fields == {"task": "pair", "source": "Background", "target": "背景", "source_language": "en",
                               "target_language": "zh"}  # fmt: skip


def test_a_heading_belongs_to_the_paragraph_below_it_once():
    long = page(title="背景", menu="字符、段落、页面和列表的格式", cell="大小")
    one = long.replace(b'"hd_', b'"hd_id').replace(b'"par_', b'"par_id')
    files = {
        PLACE.format("zh-CN", "a"): one,
        PLACE.format("zh-CN", "b"): one,
        PLACE.format("zh-CN", "c"): page(title="短", menu="X", cell="Y"),
        PLACE.format("en-US", "a"): page(title="Background", menu="Character", cell="Size"),
    }
    found = list(help_pairs.headings(files, "zh-CN", "zh"))
    wanted = ("背景", "Choose Format - 字符、段落、页面和列表的格式.")
    assert [(one["query"], one["positive"]) for one in found] == [wanted]
    assert examples.document(found[0], "x:1").fields["task"] == "pair"


def test_guides_are_paired_block_by_block_where_their_tags_agree():
    files = {
        "usr/share/help/C/gnome-help/a.page": GUIDE.format("Sound", "Turn it", "down").encode(),
        "usr/share/help/de/gnome-help/a.page": GUIDE.format("Ton", "Stellen Sie ihn", "leiser").encode(),
        "usr/share/help/C/gnome-help/b.page": GUIDE.format("Light", "Turn it", "up").encode(),
        "usr/share/help/de/gnome-help/b.page": b"<page><title>Licht</title></page>",
        "usr/share/debian-reference/ch01.en.html": b"<body><h2>1.2. Files</h2><p>All is a file.</p></body>",
        "usr/share/debian-reference/ch01.de.html": b"<body><h2>1.2. Dateien</h2><p>Alles ist Datei.</p></body>",
    }
    found = [(one["title"], one["source"], one["target"]) for one in guide_pairs.records(files, "de")]
    assert found == [
        ("gnome/gnome-help/a", "Sound", "Ton"), ("gnome/gnome-help/a", "Turn it down", "Stellen Sie ihn leiser"),
        ("debian-reference/ch01", "Files", "Dateien"),
        ("debian-reference/ch01", "All is a file.", "Alles ist Datei.")]  # fmt: skip


def test_interface_texts_are_pairs_and_their_file_is_the_same_document_in_each_language():
    files = {"horizon/locale/de/LC_MESSAGES/django.po": PO.encode()}
    [pair] = ui_pairs.records(files, "de")
    assert (pair["source"], pair["target"], pair["label"]) == ("Save %s", "%s speichern", "horizon")
    names = ("jupyterlab_language_pack_zh_CN/locale/zh_CN/LC_MESSAGES/x.mo",
             "jupyterlab_language_pack_de_DE/locale/de_DE/LC_MESSAGES/x.mo")  # fmt: skip
    assert {ui_pairs.document(name) for name in names} == {"jupyterlab/x"}
    [text] = ui_pairs.plain(files, "de")
    assert text["text"] == "%s speichern" and examples.document(text, "x:1").fields is None


def test_the_split_is_by_document_and_no_document_lies_on_both_sides():
    documents = [(f"guide/{number}", [(f"Sentence {at} of {number}.", f"Satz {at} von {number}.") for at in range(5)])
                 for number in range(400)]  # fmt: skip
    found = list(_pairs.pairs(documents, "x", ("en", "de"), 0.1))
    sides = {part: {one["title"] for one in found if one["split"] == part} for part in ("train", "test")}
    assert not sides["train"] & sides["test"] and 20 <= len(sides["test"]) <= 60
    assert len(found) == 2000
    again = list(_pairs.pairs(documents[::-1], "x", ("en", "fr"), 0.1))
    assert {one["title"] for one in again if one["split"] == "test"} == sides["test"]


def test_a_pair_that_comes_again_stands_once_and_texts_join_a_documents_targets():
    documents = [("a", [("One", "Eins"), ("Two", "Zwei")]), ("b", [("One", "Eins"), ("%d", "%d"), ("Three", "Drei")])]
    found = list(_pairs.pairs(documents, "x", ("en", "de"), 0.0))
    assert [one["source"] for one in found] == ["One", "Two", "Three"]
    assert [one["text"] for one in _pairs.texts(found)] == ["Eins\n\nZwei", "Drei"]


def test_blocks_leave_code_out_and_keep_text_in_one_piece_across_inline_tags():
    found = _pairs.blocks("<body><p>a <b>b</b>\n c</p><pre>code</pre><script>x</script><p>&lt;d&gt;</p></body>")
    assert [text for _, text in found if text] == ["a b c", "<d>"]


def test_short_chats_are_whole_turns_and_stand_once():
    said = {"categories": ["x"], "conversations": [["Hi", "Hello"], ["Hi", "Hello"], ["Sum?", 4, "Why?"], ["alone"]]}
    found = list(chat_small.chats({"chatterbot_corpus/data/english/x.yml": yaml.safe_dump(said).encode()}))
    assert [[turn["content"] for turn in one["messages"]] for one in found] == [["Hi", "Hello"], ["Sum?", "4"]]
    assert examples.document(found[0], "x:1").fields["task"] == "chat"


def test_questions_are_answered_by_whole_first_sentences():
    long = "A tide is a rise of the sea. It comes twice a day. " + "It goes on and on" * 20 + ". End."
    articles = {
        "Tide (sea)": {"extract": long, "topic": "Nature"},
        "Ada": {"extract": "Ada B. Moss (b. 1815) was a writer.\n\nMore.", "topic": "People"},
        "Long": {"extract": "x" * 400, "topic": ""},
    }
    found = list(wiki_questions.chats({"a": json.dumps(articles).encode()}, "en"))
    assert [[turn["content"] for turn in one["messages"]] for one in found] == [
        ["What is Tide?", "A tide is a rise of the sea. It comes twice a day."],
        ["Who is Ada?", "Ada B. Moss (b. 1815) was a writer."]]  # fmt: skip


@pytest.mark.slow
def test_the_real_packages_hold_interface_texts_in_chinese():
    with open(catalog.fetch("ui-pairs", "zh"), encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    assert len(found) == 8409 and {one["label"] for one in found} == {"horizon", "jupyterlab", "wagtail", "django"}
    assert all(examples.document(one, "x:1").fields["task"] == "pair" for one in found)
