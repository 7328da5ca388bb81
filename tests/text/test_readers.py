"""Every format gives its text, whole; what is broken, locked or hostile is a fault that says so, and never a crash."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import stat
import tarfile
import time
import zipfile

import pytest
import zstandard

from tests.text import reader_files as files
from tests.text.reader_files import CHINESE, SENTENCE
from upwell.text import Document, Fault, confined, examples
from upwell.text.readers.wikipedia import bare
from upwell.text.sources import Settings, documents, units

USUAL = Settings()


def found(folder, name, content, settings=USUAL):
    """What is read of one file with that content."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [one for unit in units([path], settings) for one in documents(unit, settings)]


def texts(results):
    assert all(isinstance(one, Document) for one in results), results
    return [one.text for one in results]


def fault(results):
    """The message of the one fault that is all there is."""
    assert len(results) == 1 and isinstance(results[0], Fault), results
    return str(results[0])


def pair_of(document):
    fields = document.fields
    return fields["source_language"], fields["source"], fields["target_language"], fields["target"]


# ---- kinds of text ----


def test_formats_that_only_look_like_text_are_refused(tmp_path):
    assert "found RTF" in fault(found(tmp_path, "a.rtf", "{\\rtf1 Hello}"))
    assert "binary file" in fault(found(tmp_path, "a.odt", files.zipped({"content.xml": SENTENCE})))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.py", "code"), ("a.RS", "code"), ("Makefile", "code"), ("a.c.gz", "code"), ("a.md", "prose"),
     ("a.txt", "prose"), ("a.srt", "dialogue"), ("noend", "prose"), ("a.zig", "code")],
)  # fmt: skip
def test_the_kind_of_a_text_is_told_by_its_suffix(tmp_path, name, kind):
    content = files.SRT if name.endswith("srt") else SENTENCE
    content = gzip.compress(content.encode()) if name.endswith(".gz") else content
    (only,) = found(tmp_path, name, content)
    assert only.kind == kind


def test_markdown_is_kept_as_it_is(tmp_path):
    text = "# Head\n\n* one\n* *two*\n\n    code\n"
    assert texts(found(tmp_path, "a.md", text)) == [text]


# ---- pages and books ----


def test_of_a_page_only_the_main_text_is_kept(tmp_path):
    (page,) = found(tmp_path, "a.html", files.html())
    assert page.title == "A page" and page.text.count(SENTENCE) == 8
    assert "Menu" not in page.text and "Imprint" not in page.text and "var x" not in page.text


@pytest.mark.parametrize("charset", ["gb18030", "big5", "shift_jis"])
def test_a_page_is_read_in_the_encoding_it_declares(tmp_path, charset):
    text = {"gb18030": CHINESE, "big5": "床前明月光，疑是地上霜。", "shift_jis": "吾輩は猫である。"}[charset]
    (page,) = found(tmp_path, "a.html", files.html(charset, text * 5))
    assert text in page.text and page.changes[0][0].startswith("read as ")


def test_a_page_that_a_script_fills_is_a_fault(tmp_path):
    assert "a page without text" in fault(found(tmp_path, "a.html", "<html><script>x()</script></html>"))


def test_a_pdf_gives_its_text_layer_and_title(tmp_path):
    (only,) = found(tmp_path, "a.pdf", files.pdf([SENTENCE, "A second line."]))
    assert only.text == f"{SENTENCE}\nA second line." and only.title == "A title"


def test_a_pdf_without_text_says_what_to_do(tmp_path):
    assert "1 pages and no text layer" in fault(found(tmp_path, "scan.pdf", files.pdf([])))


def test_an_encrypted_pdf_says_that_it_is(tmp_path):
    assert "locked.pdf: an encrypted PDF" in fault(found(tmp_path, "locked.pdf", files.locked_pdf()))


def test_half_a_pdf_and_what_is_none_are_faults(tmp_path):
    assert "expected a PDF" in fault(found(tmp_path, "a.pdf", b"no pdf at all"))


def test_a_word_file_gives_its_paragraphs(tmp_path):
    (only,) = found(tmp_path, "a.docx", files.docx(["One &amp; one.", "", "Two."]))
    assert only.text == "One & one.\n\nTwo." and only.title == "Letter"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
FETCH = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, FETCH])
def test_entities_in_a_word_file_a_book_or_a_dump_are_refused(tmp_path, head):
    assert "declares entities" in fault(found(tmp_path, "a.docx", files.docx(["&a;"], head)))
    package = files.epub(more={"META-INF/container.xml": head + "<container>&a;</container>"})
    assert "declares entities" in fault(found(tmp_path, "a.epub", package))
    assert "declares entities" in fault(found(tmp_path, "a.tmx", head + "<tmx>&a;</tmx>"))
    assert "declares entities" in fault(found(tmp_path, "a.xml", head + "<mediawiki><page>&a;</page></mediawiki>"))


def test_a_locked_word_file_is_a_fault(tmp_path):
    assert "encrypted" in fault(found(tmp_path, "a.docx", b"\xd0\xcf\x11\xe0" + bytes(600)))


def test_a_book_gives_its_chapters_in_the_order_of_its_spine(tmp_path):
    (only,) = found(tmp_path, "a.epub", files.epub())
    assert (only.text, only.title) == ("Two.\n\nOne & one.", "Book")


def test_a_book_with_locked_chapters_is_a_fault(tmp_path):
    lock = '<encryption><d><CipherReference URI="in/c0.xhtml"/></d></encryption>'
    book = files.epub(more={"META-INF/encryption.xml": lock})
    assert "1 chapters are locked" in fault(found(tmp_path, "a.epub", book))


def test_a_word_file_that_unpacks_to_far_too_much_is_a_fault(tmp_path):
    bomb = files.zipped({"word/document.xml": b"<document>" + b" " * 80_000_000})
    assert "zip bomb" in fault(found(tmp_path, "a.docx", bomb))


# ---- records ----


def test_a_list_in_json_gives_a_document_for_each_record_with_its_line(tmp_path):
    text = '[\n {"text": "a"},\n\n {"text": "b", "title": "T"}, {"text": 3}]'
    one, other, wrong = found(tmp_path, "a.json", text)
    assert (one.text, other.text, other.title) == ("a", "b", "T")
    assert [result.source.rpartition(":")[2] for result in (one, other, wrong)] == ["2", "4", "4"]
    assert isinstance(wrong, Fault) and "[2]" in wrong.message


def test_questions_in_the_layout_of_squad_are_read_one_by_one(tmp_path):
    asked = [{"question": f"Q{n}?", "answers": [{"text": "A", "answer_start": 0}]} for n in range(3)]
    articles = {"version": "1", "data": [{"title": "T", "paragraphs": [{"context": "A b c.", "qas": asked}]}]}
    results = found(tmp_path, "a.json", json.dumps(articles))
    assert [one.fields["question"] for one in results] == ["Q0?", "Q1?", "Q2?"]


@pytest.mark.parametrize("key", ["data", "rows", "train"])
def test_examples_inside_of_an_object_are_read(tmp_path, key):
    held = json.dumps({"version": 1, key: [{"text": "a"}, {"text": "b"}]})
    assert texts(found(tmp_path, "a.json", held)) == ["a", "b"]


def test_a_json_file_that_is_no_list_of_records_is_source_code(tmp_path):
    (only,) = found(tmp_path, "package.json", '{"name": "x", "version": "1"}')
    assert only.kind == "code" and only.text == '{"name": "x", "version": "1"}'


def test_records_of_no_known_layout_are_refused(tmp_path):
    results = found(tmp_path, "a.json", '[{"colour": "red"}, {"colour": "blue"}]')
    assert len(results) == 2 and all("expected one of the layouts" in one.message for one in results)


def test_a_notebook_gives_its_code_and_text_without_output(tmp_path):
    cells = [{"source": ["a = 1\n", "a"], "outputs": [{"data": "SECRET"}]}, {"source": "# Text"}]
    (only,) = found(tmp_path, "a.ipynb", json.dumps({"nbformat": 4, "cells": cells}))
    assert (only.text, only.kind) == ("a = 1\na\n\n# Text", "code")


def test_a_broken_json_file_names_the_line(tmp_path):
    assert "a.json:2: expected JSON" in fault(found(tmp_path, "a.json", '[{"text": "a"},\n oops]'))
    assert "nested too deeply" in fault(found(tmp_path, "b.json", "[" * 100_000))


def test_rows_of_a_table_are_records_by_their_header(tmp_path):
    for name, sign in (("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t")):
        text = f'text{sign}title\n"one, ""1""\nmore"{sign}T\ntwo{sign}\n'
        one, other = found(tmp_path, name, text)
        assert (one.text, one.title, other.text) == ('one, "1"\nmore', "T", "two")
        assert (one.source[-1], other.source[-1]) == ("2", "4")


def test_the_short_way_for_plain_records_gives_what_the_long_one_gives(tmp_path):
    records = [{"text": "a"}, {"text": "b", "title": "T"}, {"title": "T", "text": ""}, {"title": "T"}, {"text": None},
               {"text": "c", "split": "test"}, {"text": "d", "kind": "code"}]  # fmt: skip
    results = found(tmp_path, "a.jsonl", "\n".join(map(json.dumps, records)))
    assert results == [examples.document(one, f"{tmp_path}/a.jsonl:{n}") for n, one in enumerate(records, start=1)]


def test_bad_rows_of_a_table_are_faults_of_their_own(tmp_path):
    good, wrong, last = found(tmp_path, "a.csv", "text,title\na,b\nc\nd,e\n")
    assert (good.text, last.text) == ("a", "d")
    assert wrong.source.endswith("a.csv:3") and "expected 2 columns (text, title), found 1" in wrong.message
    assert "expected one of the layouts" in fault(found(tmp_path, "b.csv", "colour,size\nred,1\n"))
    assert "unexpected end of data" in found(tmp_path, "c.csv", 'text,title\n"a,b\n')[-1].message


def test_two_columns_without_names_are_a_translation(tmp_path):
    one, other = found(tmp_path, "news.en-de.tsv", 'He said "no" to it.\tEr sagte "nein".\nYes, sir.\tJa.\n')
    assert pair_of(one) == ("en", 'He said "no" to it.', "de", 'Er sagte "nein".')
    assert pair_of(other) == ("en", "Yes, sir.", "de", "Ja.")
    assert "expected one of the layouts" in fault(found(tmp_path, "b.tsv", "id\tcolour\n1\tred\n"))


def test_tables_and_json_lines_in_other_encodings_are_read_and_noted(tmp_path):
    for name, text in (("a.csv", f"text,title\n{CHINESE},x\n"), ("a.jsonl", json.dumps({"text": CHINESE}) + "\n")):
        for encoding, told in (("utf-16", "utf-16"), ("utf-16-le", "utf-16-le")):
            (only,) = found(tmp_path, name, text.encode(encoding))
            assert only.text == CHINESE and only.changes == ((f"read as {told}", 1),)
    lines = "".join(json.dumps({"text": CHINESE}, ensure_ascii=False) + "\n" for _ in range(9))
    results = found(tmp_path, "b.jsonl", lines.encode("gb18030"))
    assert texts(results) == [CHINESE] * 9 and results[0].changes == (("read as gb18030", 1),)


def test_parquet_and_arrow_rows_are_records_without_their_pictures(tmp_path):
    one, other = found(tmp_path, "a.parquet", files.parquet())
    assert (one.text, one.title, one.source[-2:]) == (SENTENCE, "A", ":1")
    assert (other.text, other.title, other.source[-2:]) == (CHINESE, "", ":2")
    assert texts(found(tmp_path, "a.arrow", files.arrow({"text": ["x", "y"]}))) == ["x", "y"]
    chat = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]]
    (only,) = found(tmp_path, "b.parquet", files.parquet({"messages": chat}))
    assert only.fields["messages"] == chat[0] and only.kind == "dialogue"


def test_half_a_parquet_file_is_a_fault(tmp_path):
    whole = files.parquet()
    assert "half a file or a broken one" in fault(found(tmp_path, "a.parquet", whole[: len(whole) // 2]))


def test_a_packed_parquet_file_is_read(tmp_path):
    assert len(texts(found(tmp_path, "a.zip", files.zipped({"x/a.parquet": files.parquet()})))) == 2


def test_a_large_parquet_file_is_divided_by_its_row_groups(tmp_path):
    generator = random.Random(0)
    rows = [generator.randbytes(5000).hex() for _ in range(2000)]  # packed, they are half as large
    path = tmp_path / "a.parquet"
    path.write_bytes(files.parquet({"text": rows}, groups=200))
    parts = units([path], USUAL)
    results = [one for unit in parts for one in documents(unit, USUAL)]
    assert len(parts) > 1 and texts(results) == rows
    assert [one.source.rpartition(":")[2] for one in results] == [str(n) for n in range(1, 2001)]


# ---- translations ----


def test_messages_of_po_and_mo_are_pairs_without_doubtful_and_obsolete_ones(tmp_path):
    first, *more = map(pair_of, found(tmp_path, "a.po", files.PO))
    assert first == ("en", 'Open "file"\n', "de-AT", 'Datei "öffnen"\n')
    assert more == [("en", "one dog", "de-AT", "ein Hund"), ("en", "many dogs", "de-AT", "viele Hunde")]
    pairs = list(map(pair_of, found(tmp_path, "a.mo", files.mo())))
    assert pairs == [("en", "cat", "fr", "chat"), ("en", "dog", "fr", "chien")]


def test_a_mo_file_says_what_the_standard_library_reads_in_it(tmp_path):
    import gettext

    known = gettext.GNUTranslations(io.BytesIO(files.mo()))
    for one in found(tmp_path, "a.mo", files.mo()):
        assert known.gettext(one.fields["source"]) == one.fields["target"]


def test_a_bad_line_of_a_po_file_is_named(tmp_path):
    wrong, good = found(tmp_path, "a.po", 'msgid "a"\noops\nmsgstr "b"\n')
    assert wrong.source.endswith("a.po:2") and pair_of(good) == ("en", "a", "", "b")


def test_units_of_a_translation_memory_are_pairs_from_its_source_language(tmp_path):
    results = list(map(pair_of, found(tmp_path, "a.tmx", files.TMX)))
    assert results == [("en", "Good day", "de", "Guten Tag"), ("en", "Good day", "zh", "你好")]


def test_two_parallel_files_are_pairs_and_two_programs_are_not(tmp_path):
    for name, text in {"t.en": "One.\nTwo.\n", "t.de": "Eins.\nZwei.\n", "p.cs": "a\n", "p.pl": "b\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    results = [one for unit in units([tmp_path], USUAL) for one in documents(unit, USUAL)]
    assert [one.kind for one in results[:2]] == ["code", "code"]
    assert list(map(pair_of, results[2:])) == [("de", "Eins.", "en", "One."), ("de", "Zwei.", "en", "Two.")]
    assert results[3].source.endswith("t.de:2")


def test_parallel_files_of_different_length_are_a_fault_and_readmes_are_texts(tmp_path):
    for name, count in {"t.en": 1000, "t.de": 999, "README.en": 4, "README.de": 5}.items():
        (tmp_path / name).write_text("A line.\n" * count, encoding="utf-8")
    results = [one for unit in units([tmp_path], USUAL) for one in documents(unit, USUAL)]
    wrong = [one for one in results if isinstance(one, Fault)]
    assert len(wrong) == 1 and "1,000" in wrong[0].message and "999" in wrong[0].message
    assert [one.text for one in results[:2]] == ["A line.\n" * 5, "A line.\n" * 4]


# ---- subtitles, dumps ----


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("a.srt", files.SRT, "Hello there.\n- How are you?\n- Fine & well."), ("a.vtt", files.VTT, "Hello there."),
     ("a.ass", files.ASS, "Hello, you\nthere.")],
)  # fmt: skip
def test_of_subtitles_only_what_is_said_is_kept(tmp_path, name, content, said):
    (only,) = found(tmp_path, name, content.replace("\n", "\r\n"))
    assert (only.text, only.kind) == (said, "dialogue")
    assert "subtitles without text" in fault(found(tmp_path, f"b{name[1:]}", "nothing of the kind\n"))


def test_a_wikipedia_dump_gives_articles_without_markup(tmp_path):
    for name, content in (("a.xml", files.WIKI.encode()), ("a.xml.bz2", bz2.compress(files.WIKI.encode()))):
        (only,) = found(tmp_path, name, content)
        assert only.title == "Haus" and only.text == "Haus ist ein Bau.\n\nArten\nHütte"
        assert only.source.endswith(f"{name}:4")


ARTICLE = """'''Lyon''' is a [[city]] in [[France|the Republic]].<ref name="x">A note {{cite|a}}</ref><ref/> It
{{a|b={{c|d}}}}lies<!-- hidden --> on the [[Rhône|Rhône]] &amp; the [https://example.org/a Saône].
{| class="wikitable"
| cell
{|
| inner
|}
|}
[[File:Lyon.jpg|thumb|A [[picture]] of it]]
== History ==
* Founded by ''Plancus''
* [[Lugdunum]]
"""


def test_wiki_markup_gives_the_words_that_another_parser_gives():
    import mwparserfromhell

    code = mwparserfromhell.parse(ARTICLE.partition("{| class")[0] + ARTICLE.partition("it]]\n")[2])
    for tag in code.filter_tags(matches=lambda tag: str(tag.tag) == "ref"):
        code.remove(tag)
    assert bare(ARTICLE, {"file"}).split() == code.strip_code().split()


@pytest.mark.parametrize(
    ("markup", "text"),
    [("A\n== B ==\n=== C ===\n== D ==\nE", "A\nD\nE"), ("a -{zh-hans:计算机;zh-hant:電腦}- b", "a 计算机 b"),
     ("<nowiki>[[x]]</nowiki> y", "[[x]] y"), ("[[ {{ never", "[[ {{ never"), ("<ref>never ends", "never ends"),
     ("{{{x|{{y}}}}} z", "z"), ("5 &lt; 6<br>[[:Category:X]]", "5 < 6\nCategory:X")],
)  # fmt: skip
def test_odd_markup_is_taken_off_or_kept(markup, text):
    assert bare(markup, {"category"}) == text


@pytest.mark.parametrize(
    "sign", ["[[", "{{", "{|", "<ref>", "[[a|", "[http://", "[//a ", "<a ", "-{", "'", "==", "<!--"]
)
def test_markup_that_never_ends_takes_no_long_time(sign):
    started = time.process_time()
    bare(sign * (100_000 // len(sign)), {"file"})
    bare("\n".join([sign] * 20_000), {"file"})
    assert time.process_time() - started < 2  # a square of the length would be minutes


def test_other_xml_is_source_code(tmp_path):
    (only,) = found(tmp_path, "a.xml", "<a><b/></a>")
    assert (only.text, only.kind) == ("<a><b/></a>", "code")


def test_half_a_dump_gives_what_is_whole_and_a_fault(tmp_path):
    good, wrong = found(tmp_path, "a.xml", files.WIKI[: files.WIKI.index("Umleitung")])
    assert good.title == "Haus" and isinstance(wrong, Fault) and "expected XML" in wrong.message


def test_pages_and_texts_of_a_crawl_are_read_and_pictures_are_not(tmp_path):
    for name, content in (("a.warc", files.warc()), ("a.warc.gz", gzip.compress(files.warc()))):
        page, text = found(tmp_path, name, content)
        assert page.text.count(SENTENCE) == 8 and text.text == SENTENCE and text.title == "http://example.org/"


def test_chunked_and_packed_pages_of_a_crawl_are_read(tmp_path):
    packed = gzip.compress(files.html())
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    (page,) = found(tmp_path, "a.warc", files.warc([("response", "application/http", head + chunks)]))
    assert page.text.count(SENTENCE) == 8


def test_half_a_crawl_is_a_fault_behind_what_is_whole(tmp_path):
    page, wrong = found(tmp_path, "a.warc", files.warc()[:-30])
    assert SENTENCE in page.text and "half a record" in wrong.message


# ---- packed ----


def test_texts_are_read_out_of_every_compression(tmp_path):
    line = json.dumps({"text": SENTENCE}).encode() + b"\n"
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}
    for suffix, pack in packers.items():
        name = f"a.jsonl.{suffix}"
        results = found(tmp_path, name, pack(line) + pack(line))
        assert texts(results) == [SENTENCE] * 2 and results[1].source.endswith(f"{name}:2")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.tar.zst", "a.zip"])
def test_archives_are_read_as_folders(tmp_path, name):
    entries = {"b/x.py": "print()", "a.txt": SENTENCE, "__MACOSX/a.txt": "no", "b/.hidden": "no"}
    plain = files.zipped(entries) if name.endswith("zip") else files.tarred(entries)
    packers = {"z": gzip.compress, "2": bz2.compress, "t": zstandard.compress}
    content = lzma.compress(plain) if name.endswith("xz") else packers.get(name[-1], bytes)(plain)
    content = content if not name.endswith("zip") else plain
    one, other = found(tmp_path, name, content)
    assert (one.text, one.kind, one.source) == ("print()", "code", f"{tmp_path / name}/b/x.py")
    assert other.text == SENTENCE


def test_archives_and_packed_files_inside_of_archives_are_read(tmp_path):
    inner = files.zipped({"c.txt": CHINESE})
    outer = files.tarred({"b.zip": inner, "a.txt.gz": gzip.compress(SENTENCE.encode())})
    one, other = found(tmp_path, "a.tar.gz", gzip.compress(outer))
    assert (one.text, one.source) == (CHINESE, f"{tmp_path}/a.tar.gz/b.zip/c.txt")
    assert other.text == SENTENCE


def test_too_many_archives_inside_of_each_other_are_refused(tmp_path):
    content = files.zipped({"a.txt": "x"})
    for _ in range(6):
        content = files.zipped({"a.zip": content})
    assert "archives inside of each other" in fault(found(tmp_path, "a.zip", content))


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x.txt", "a/../../x.txt", "C:\\x.txt", "..\\x.txt"])
def test_a_path_that_leaves_the_archive_is_refused_and_named(tmp_path, name):
    for archive, content in (("a.tar", files.tarred({name: "x"})), ("a.zip", files.zipped({name: "x"}))):
        assert "leaves the archive" in fault(found(tmp_path, archive, content))


def test_links_out_of_an_archive_are_refused_and_devices_too(tmp_path):
    out, inside, pipe = (tarfile.TarInfo(name) for name in ("out.txt", "d/in.txt", "pipe"))
    out.type, out.linkname = tarfile.SYMTYPE, "../../etc/passwd"
    inside.type, inside.linkname = tarfile.SYMTYPE, "../a.txt"
    pipe.type = tarfile.FIFOTYPE
    results = found(tmp_path, "a.tar", files.tarred({out: "", inside: "", pipe: "", "a.txt": SENTENCE}))
    assert [one.message.partition(",")[0] for one in results[:2]] == [
        "a link that leaves the archive", "a device or pipe",
    ]  # fmt: skip
    assert texts(results[2:]) == [SENTENCE]
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "a link that leaves" in fault(found(tmp_path, "b.zip", files.zipped({link: "/etc/passwd"})))


def test_a_zip_bomb_is_stopped_by_its_ratio_and_by_its_size(tmp_path):
    bomb = files.zipped({"a.txt": b"a" * 100_000_000})
    wrong = found(tmp_path, "a.zip", bomb)[-1]
    assert isinstance(wrong, Fault) and "a zip bomb" in wrong.message
    wrong = found(tmp_path, "b.txt.gz", gzip.compress(bytes([65]) * 100_000_000))[-1]
    assert isinstance(wrong, Fault) and "a zip bomb" in wrong.message
    small = Settings(unpacked=1000)
    wrong = found(tmp_path, "c.zip", files.zipped({"a.txt": "ab " * 100, "b.txt": "cd " * 300}), small)[-1]
    assert "more than 1,000 bytes" in wrong.message


def test_a_broken_or_locked_archive_is_a_fault(tmp_path):
    whole = files.zipped({"a.txt": SENTENCE * 50, "b.txt": CHINESE})
    assert "cannot be read" in fault(found(tmp_path, "a.zip", whole[:-30]))
    assert "cannot be read" in fault(found(tmp_path, "a.txt.gz", gzip.compress(SENTENCE.encode() * 50)[:-20]))
    line = json.dumps({"text": SENTENCE}).encode() + b"\n"
    lines = random.Random(0).randbytes(30_000).hex().encode() + b"\n" + line
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}
    for suffix, pack in packers.items():
        assert "cannot be read" in str(found(tmp_path, f"b.txt.{suffix}", pack(lines)[:-20])[-1]), suffix
        assert "cannot be read" in str(found(tmp_path, f"c.txt.{suffix}", pack(lines)[:20] + b"x" * 40)[-1]), suffix
    locked = bytearray(whole)
    locked[whole.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in found(tmp_path, "b.zip", bytes(locked))[0].message
    tar = bytearray(files.tarred({"a.txt": SENTENCE, "b.txt": CHINESE}))
    tar[1024 + 150] ^= 255  # the sum of the second header
    good, wrong = found(tmp_path, "c.tar", bytes(tar))
    assert good.text == SENTENCE and "a damaged entry" in wrong.message
    half = files.tarred({"a.txt": SENTENCE * 50, "b.txt": CHINESE})
    end = half.index(b"b.txt")
    good, wrong = found(tmp_path, "d.tar", half[:end])
    assert good.text == SENTENCE * 50 and "half an archive" in wrong.message


def test_odd_and_long_names_in_an_archive_are_told_and_read(tmp_path):
    names = ["x" * 300 + ".txt", "-rf.txt", "%2e%2e%2f.txt", "new\nline.txt", "\udcff.txt"]
    results = found(tmp_path, "a.tar", files.tarred(dict.fromkeys(names, SENTENCE)))
    assert texts(results) == [SENTENCE] * len(names)
    assert all("\n" not in one.source and one.source.encode() for one in results)


def test_a_large_zip_file_is_divided_and_gives_the_same(tmp_path):
    generator = random.Random(1)
    entries = {f"{n:03}.txt": generator.randbytes(400_000).hex() for n in range(24)}
    path = tmp_path / "a.zip"
    path.write_bytes(files.zipped(entries))
    parts = units([path], USUAL)
    results = [one for unit in parts for one in documents(unit, USUAL)]
    assert len(parts) > 1 and sum(unit.bytes for unit in parts) == pytest.approx(path.stat().st_size, rel=0.01)
    assert "".join(texts(results)) == "".join(entries.values())


# ---- limits ----


@pytest.mark.skipif(os.name == "nt", reason="no sparse files")
def test_a_line_without_end_is_a_fault_and_takes_little_memory(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"text": "a"}\n')
        file.seek(300_000_000)
        file.write(b'\n{"text": "b"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = Settings(longest=1_000_000)
    results = [one for unit in units([path], settings) for one in documents(unit, settings)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert [one.text for one in results if isinstance(one, Document)] == ["a", "b"]
    (wrong,) = (one for one in results if isinstance(one, Fault))
    assert wrong.source.endswith(":2") and "a line of 299,999,987 bytes" in wrong.message
    assert results[-1].source.endswith(":3")


def test_a_plain_text_without_line_ends_is_cut_and_nothing_is_lost(tmp_path):
    results = found(tmp_path, "a.txt", b"ab" * 10_000_000)
    assert sum(map(len, texts(results))) == 20_000_000 and max(map(len, texts(results))) < 40_000


def test_a_file_of_a_format_in_one_piece_may_not_be_longer_than_allowed(tmp_path):
    small = Settings(longest=1000)
    for name in ("a.html", "a.pdf", "a.docx", "a.srt", "a.json", "a.po"):
        assert "more than 1,000 bytes" in fault(found(tmp_path, name, b"x" * 1001, small))


def test_nul_bytes_are_named_with_their_line(tmp_path):
    assert "a.txt:3: found a NUL byte" in fault(found(tmp_path, "a.txt", "a\nb\nc\0d\n" + SENTENCE * 9))
    good, wrong = found(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": "b\0"}\n')
    assert good.text == "a" and wrong.source.endswith(":2")


def test_mixed_encodings_in_one_file_are_named_with_the_line(tmp_path):
    lines = [CHINESE.encode(), SENTENCE.encode(), CHINESE.encode("gb18030"), CHINESE.encode()]
    assert "a.txt:3: mixed encodings" in fault(found(tmp_path, "a.txt", b"\n".join(lines)))
    assert "b.txt:1: mixed encodings" in fault(found(tmp_path, "b.txt", b"\n".join(lines[2:])))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_byte_order_mark_is_found(tmp_path, encoding):
    for text in (SENTENCE + "\n", f"{CHINESE}\n{CHINESE}\n" * 5):
        (only,) = found(tmp_path, "a.txt", text.encode(encoding))
        assert only.text == text and only.changes == ((f"read as {encoding}", 1),)


def test_a_file_that_may_not_be_opened_is_a_fault(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x", encoding="utf-8")
    parts = units([path], USUAL)
    path.unlink()
    assert "cannot be read: No such file" in fault([one for unit in parts for one in documents(unit, USUAL)])


# ---- parsers in a child ----


class Parser:
    """A child whose parser is a file of this test."""

    SOURCE = """
import os, time
def parse(data, name, options):
    what = data.decode()
    if what == "hang": time.sleep(60)
    if what == "crash": os.abort()
    if what == "memory": bytearray(1 << 40)
    if what == "print": print("noise"); os.write(1, b"noise")
    if what == "network":
        import socket; socket.create_connection(("127.0.0.1", 9))
    if what == "program":
        import subprocess; subprocess.run(["true"])
    if what == "missing": import no_such_library
    if what == "wrong": raise KeyError("broken")
    for number in range(3): yield {"text": what, "number": number}
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    (tmp_path / "odd.py").write_text(Parser.SOURCE, encoding="utf-8")
    start = "import upwell.text.readers as r, sys; r.__path__.append(sys.argv.pop(1))\n"
    real = confined.subprocess.Popen

    def started(command, **more):
        code = start + "from upwell.text import confined; confined._serve(int(sys.argv[1]))"
        return real([command[0], "-P", "-c", code, str(tmp_path), command[-1]], **more)

    monkeypatch.setattr(confined.subprocess, "Popen", started)
    child = confined.Child(1_000_000_000, 1.0)
    yield child
    child.close()


def asked(child, what):
    try:
        return [one["number"] for one in child.parse("odd", "x", what.encode(), {})]
    except confined.Unreadable as error:
        return str(error)


def test_a_parser_that_hangs_crashes_or_fills_the_memory_costs_one_file(child):
    started = time.monotonic()
    assert asked(child, "fine") == [0, 1, 2]
    assert "took longer than 1 seconds" in asked(child, "hang")
    assert asked(child, "fine") == [0, 1, 2]
    assert "crashed" in asked(child, "crash")
    assert "more memory" in asked(child, "memory")
    assert "cannot be read as odd: 'broken'" in asked(child, "wrong")
    assert asked(child, "print") == [0, 1, 2]
    assert time.monotonic() - started < 20


def test_a_parser_may_not_reach_the_network_or_start_programs(child):
    assert "a parser tried socket" in asked(child, "network")
    assert "a parser tried subprocess" in asked(child, "program")


def test_a_missing_library_names_the_extra_that_brings_it(child):
    assert asked(child, "missing") == "odd needs no_such_library, which is not here; pip install 'upwell[formats]'"


def test_one_child_serves_many_files_and_is_left_clean_by_who_stops_early(child):
    assert asked(child, "fine") == [0, 1, 2]
    first = child.running[0].pid
    assert asked(child, "fine") == [0, 1, 2] and child.running[0].pid == first
    next(answers := child.parse("odd", "x", b"fine", {}))
    answers.close()
    assert asked(child, "other") == [0, 1, 2]


# ---- damage ----


def damaged(content, generator):
    data = bytearray(content)
    for _ in range(generator.randint(1, 6)):
        place, kind = generator.randrange(len(data)), generator.randrange(4)
        if kind == 0:
            data[place] = generator.randrange(256)
        elif kind == 1:
            del data[place : place + generator.randint(1, 40)]
        elif kind == 2:
            data[place:place] = generator.randbytes(generator.randint(1, 40))
        else:
            data = data[: place + 1]
        data = data or bytearray(b"x")
    return bytes(data)


def check_damaged(folder, name, count):
    """Damaged files give documents and faults, quickly, and nothing else."""
    content, generator = files.everything()[name], random.Random(name)
    settings = Settings(seconds=10, longest=2_000_000)
    for _ in range(count):
        for one in found(folder, name, damaged(content, generator), settings):
            assert isinstance(one, Document | Fault)
            assert one.source.startswith(str(folder)) and (isinstance(one, Document) or one.message)


@pytest.mark.parametrize("name", list(files.everything()))
def test_damaged_files_never_crash(tmp_path, name):
    check_damaged(tmp_path, name, 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(files.everything()))
def test_many_damaged_files_never_crash(tmp_path, name):
    check_damaged(tmp_path, name, 5000)
