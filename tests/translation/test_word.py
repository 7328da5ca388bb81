"""Word files that another library makes, translated and opened by it again (A4)."""

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.translation.fake import translator, words_turned
from upwell.translation.documents import opened, translate_bytes

docx = pytest.importorskip("docx")


def picture() -> bytes:
    """A PNG of one dot."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0abc")) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def report() -> bytes:
    document = docx.Document()
    document.core_properties.title = "A report"
    document.add_heading("The first heading", level=1)
    first = document.add_paragraph("Some words are ")
    first.add_run("bold").bold = True
    first.add_run(" and others are ")
    first.add_run("slanted").italic = True
    first.add_run(". A second sentence follows.")
    for item in ("One thing", "Another thing"):
        document.add_paragraph(item, style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = ("Left above", "Right above", "42 %", "Right below")[number]
    document.add_picture(io.BytesIO(picture()))
    section = document.sections[0]
    section.header.paragraphs[0].text = "Head of every page"
    section.footer.paragraphs[0].text = "Foot of every page"
    document.add_page_break()
    document.add_paragraph("A last line with 1,000 files at https://example.org/x?y=1.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def made(report):
    data, _ = translate_bytes(translator(words_turned), report, "report.docx", "en", "de")
    return docx.Document(io.BytesIO(data))


def test_a4_it_is_the_same_file_where_nothing_changes(report):
    whole = opened(report, Path("report.docx"))
    assert whole.write([segment.parts for segment in whole.segments]) == report


def test_a4_paragraphs_lists_and_tables_keep_their_styles(made, report):
    before = docx.Document(io.BytesIO(report))
    assert [one.style.name for one in made.paragraphs] == [one.style.name for one in before.paragraphs]
    assert [one.text for one in made.paragraphs[:4]] == [words_turned(one.text) for one in before.paragraphs[:4]]
    cells = [[cell.text for cell in row.cells] for row in made.tables[0].rows]
    assert cells == [["tfeL evoba", "thgiR evoba"], ["42 %", "thgiR woleb"]]


def test_a4_bold_and_slanted_words_are_the_same_words(made):
    runs = {run.text: (bool(run.bold), bool(run.italic)) for run in made.paragraphs[1].runs}
    assert runs["dlob"] == (True, False) and runs["detnals"] == (False, True)
    assert sum(map(any, runs.values())) == 2


def test_a4_headers_footers_and_pictures_are_there(made):
    section = made.sections[0]
    assert section.header.paragraphs[0].text == "daeH fo yreve egap"
    assert section.footer.paragraphs[0].text == "tooF fo yreve egap"
    assert len(made.inline_shapes) == 1 and made.part.related_parts


def test_a4_numbers_and_addresses_come_through(made):
    last = made.paragraphs[-1].text
    assert "1,000" in last and "https://example.org/x?y=1" in last and "tsal" in last


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a4_libreoffice_opens_it_with_all_its_words(report, tmp_path):
    from upwell.text.readers import pdf

    data, _ = translate_bytes(translator(words_turned), report, "report.docx", "en", "de")
    (tmp_path / "made.docx").write_bytes(data)
    subprocess.run(["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to", "pdf",
                    "--outdir", str(tmp_path), str(tmp_path / "made.docx")], check=True, capture_output=True,
                   timeout=300)  # fmt: skip
    text = " ".join(page["text"] for page in pdf.parse((tmp_path / "made.pdf").read_bytes(), "made.pdf", {}))
    text = " ".join(text.split())
    assert all(words in text for words in ("ehT tsrif gnidaeh", "era dlob dna", "tfeL evoba", "daeH fo yreve egap"))
