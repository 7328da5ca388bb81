"""A torture set (A4): what is written back as it was read is the file to the byte; else only words change."""

import io
import re
import zipfile
from pathlib import Path

import pytest

from tests.translation import fake
from tests.translation.fake import docx, epub, paragraph, run, translator, words_turned, zipped
from upwell.errors import DataError
from upwell.text.encodings import Unreadable
from upwell.translation import text_of
from upwell.translation.documents import format_of, opened, suffixes, translate_bytes
from upwell.translation.protect import pieces

FIELD = (
    '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>{}</w:instrText></w:r><w:r><w:fldChar '
    'w:fldCharType="separate"/></w:r><w:r><w:t>shown</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
)
BOX = (
    '<w:r><mc:AlternateContent><mc:Choice Requires="wps"><wps:txbx><w:txbxContent>{}</w:txbxContent></wps:txbx>'
    "</mc:Choice></mc:AlternateContent></w:r>"
)
TABLE = "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>"
HERE = Path(__file__).parent / "files"
FILES = {file.name: file.read_bytes() for file in sorted(HERE.iterdir())} | {
    "marked.txt": b"\xef\xbb\xbfWith a mark.\n",
    "sixteen.txt": "Sixteen bits.\n".encode("utf-16"),
    "runs.docx": docx(
        paragraph('<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>', run("Hello "), run("bold", "<w:b/>"),
                  run(" words &amp; more.")),
        paragraph(run("One "), run("run ", ""), '<w:proofErr w:type="spellStart"/>', run("three"))),
    "links.docx": docx(paragraph(
        run("See "), '<w:hyperlink r:id="rId5">', run("the site", '<w:rStyle w:val="Hyperlink"/>'), "</w:hyperlink>",
        '<w:bookmarkStart w:id="0" w:name="b"/>', run(" today"), '<w:bookmarkEnd w:id="0"/>')),
    "table.docx": docx(TABLE.format(paragraph(run("Left")), paragraph(run("Right "), run("bold", "<w:b/>")))),
    "parts.docx": docx(
        paragraph(run("Body"), '<w:r><w:footnoteReference w:id="2"/></w:r>', run(" goes on")),
        hdr=paragraph(run("Header")), ftr=paragraph(run("Page "), FIELD.format("PAGE")),
        footnotes=f'<w:footnote w:id="2">{paragraph(run("A note"))}</w:footnote>',
        comments=f'<w:comment w:id="1">{paragraph(run("A comment"))}</w:comment>'),
    "fields.docx": docx(
        paragraph(run("Page "), FIELD.format("PAGE"), run(" of the book")),
        paragraph(FIELD.format('HYPERLINK "http://x"'))),
    "box.docx": docx(paragraph(BOX.format(paragraph(run("In a box"))), run("Beside it"))),
    "breaks.docx": docx(paragraph("<w:r><w:t>One</w:t><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>")),
    "tracked.docx": docx(paragraph(
        run("Now "), '<w:del w:id="1"><w:r><w:delText>stay</w:delText></w:r></w:del>', '<w:ins w:id="2">',
        run("new words"), "</w:ins>")),
    "book.epub": epub("<h1>One &amp; two</h1><p>It <em>was</em> night.</p>", "<p>The end.</p>"),
}  # fmt: skip


def inside(data: bytes) -> dict[str, bytes]:
    """The entries of a zip file, or the file."""
    if not data.startswith(b"PK"):
        return {"": data}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def turned(text: str) -> str:
    """What `words_turned` makes of a text, but for what is protected."""
    return "".join(piece if protected else words_turned(piece) for piece, protected in pieces(text))


def words(segment, change=str) -> list[list[str]]:
    """Those of each part."""
    return [change(part).split() for part in segment.parts if isinstance(part, str) and part.strip()]


def test_a4_the_torture_set_has_thirty_files_and_every_format():
    assert len(FILES) >= 30
    assert {Path(name).suffix for name in FILES} >= {
        ".txt",
        ".md",
        ".html",
        ".srt",
        ".vtt",
        ".tex",
        ".po",
        ".docx",
        ".epub",
    }
    assert set(suffixes()) >= {Path(name).suffix for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a4_an_identity_translation_gives_the_file_to_the_byte(name):
    whole = opened(FILES[name], Path(name))
    assert whole.segments
    made = translator(str, pairs=()).segments(whole.segments, "en", "de")
    assert whole.write([parts for parts, _ in made]) == FILES[name]
    assert not any("stay" in segment.text.lower() for segment in whole.segments)


@pytest.mark.parametrize("name", FILES)
def test_a4_a_translation_changes_words_and_nothing_else(name):
    """Every word is turned around: with its words turned back, or without them, the file is what it was."""
    made, _ = translate_bytes(translator(words_turned, pairs=()), FILES[name], name, "en", "de")
    whole, again = opened(FILES[name], Path(name)), opened(made, Path(name))
    if not name.endswith(".po"):
        assert [words(segment) for segment in again.segments] == [words(segment, turned) for segment in whole.segments]
        assert [[part.kind for part in one.parts if not isinstance(part, str)] for one in again.segments] == \
               [[part.kind for part in one.parts if not isinstance(part, str)] for one in whole.segments]  # fmt: skip
    before, after = inside(FILES[name]), inside(made)
    assert list(before) == list(after)
    assert made != FILES[name] and b"stay" not in re.sub(rb"(?i)stay", b"", made)
    assert made.lower().count(b"stay") == FILES[name].lower().count(b"stay")


def test_times_of_subtitles_stay_to_the_byte_and_long_lines_are_broken_again():
    text = "1\n00:00:01,000 --> 00:00:02,000\n" + "word " * 12 + "\nand " * 3 + "end\n"
    made, _ = translate_bytes(translator(), text.encode(), "a.srt", "en", "de")
    lines = made.decode().splitlines()
    assert lines[:2] == ["1", "00:00:01,000 --> 00:00:02,000"] and len(lines) > 3 and max(map(len, lines)) < 60


def test_a_machines_messages_are_marked_as_fuzzy_and_others_stay():
    made = translate_bytes(translator(), FILES["messages.po"], "a.po", "en", "de")[0].decode()
    assert '#, fuzzy\nmsgid "Open %s"\nmsgstr "OPEN %s"' in made and 'msgstr "Zu"' in made
    assert 'msgstr[0] "A FILE"\nmsgstr[1] "%d FILES"' in made and made.count("#, fuzzy") == 3


def test_words_of_latex_are_escaped_and_of_html_too():
    tex, _ = translate_bytes(
        translator(lambda text: "more & x_y #z"),
        b"\\begin{document}\nHalf of it.\n\\end{document}\n",
        "a.tex",
        "en",
        "de",
    )
    assert b"more \\& x\\_y \\#z" in tex
    page, _ = translate_bytes(
        translator(lambda text: 'a < b & "c"'), b'<p title="Word">Word</p><p>Other</p>', "a.html", "en", "de"
    )
    assert b'<p title="a &lt; b &amp; &quot;c&quot;">a &lt; b &amp; "c"</p>' in page


@pytest.mark.parametrize("name, data, said", [
    ("a.docx", b"no zip", "broken or none"),
    ("a.docx", b"\xd0\xcf\x11\xe0" + b"x" * 100, "password"),
    ("a.docx", zipped({"word/other.xml": "<a/>"}), "without word/document.xml"),
    ("a.docx", zipped({"word/document.xml": "<w:p><w:r>"}), "no sound XML"),
    ("a.docx", zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>'}), "declares entities"),
    ("a.docx", zipped({"word/document.xml": "<a>" * 300 + "</a>" * 300}), "nested deeper"),
    ("a.docx", zipped({"word/document.xml": b"<a>" + b" " * 300_000_000 + b"</a>"}), "zip bomb"),
    ("a.epub", zipped({"a.txt": "x"}), "without META-INF/container.xml"),
    ("a.epub", zipped({"META-INF/container.xml": "<a/>", "META-INF/encryption.xml": "<a/>"}), "encrypted"),
    ("a.txt", b"caf\xe9", "byte 3 is no UTF-8"),
    ("a.html", b'<meta charset="gbk"><p>x</p>', "it is in gbk"),
    ("a.srt", b"no times", "expected subtitles"),
    ("a.srt", b"1\n00:00:05,000 --> 00:00:04,000\nx\n", "ends before it begins"),
    ("a.srt", b"1\n00:00:01,000 --> 00:00:04,000\nx\n\n2\n00:00:02,000 --> 00:00:05,000\ny\n", ":6: cues that overlap"),
    ("a.po", b"hello", ":1: expected a field"),
    ("a.po", b"# nothing\n", "expected a gettext catalogue"),
    ("a.po", b'msgid "a"\nnonsense\n', ":2: expected a field"),
    ("a.xyz", b"x", "expected one of"),
])  # fmt: skip
def test_b8_what_cannot_be_read_is_said_in_a_sentence(name, data, said):
    with pytest.raises(DataError, match=re.escape(said)):
        opened(data, Path(name))


def test_b8_spoilt_files_are_read_or_refused():
    """A hundred changes to each file: bytes that are gone, doubled or others."""
    import random

    chance, outcomes = random.Random(1), {"read": 0, "refused": 0}
    for name, data in FILES.items():
        for _ in range(100):
            at, spoilt = chance.randrange(len(data)), bytearray(data)
            if chance.random() < 0.5:
                spoilt[at] = chance.randrange(256)
            else:
                del spoilt[at : at + chance.randrange(1, 40)]
            try:
                whole = format_of(Path(name)).read(bytes(spoilt), name)
                whole.write([segment.parts for segment in whole.segments])
                outcomes["read"] += 1
            except Unreadable:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_a_word_file_with_a_changed_paragraph_still_has_its_other_parts():
    whole = opened(FILES["parts.docx"], Path("a.docx"))
    parts = [segment.parts for segment in whole.segments]
    made = inside(whole.write([("New",), *parts[1:]]))
    before = inside(FILES["parts.docx"])
    assert [name for name in before if before[name] != made[name]] == ["word/document.xml"]
    assert fake.run("New") in made["word/document.xml"].decode()
    assert text_of(parts[0]) == "Body goes on"
