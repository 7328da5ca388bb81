"""PDF: two columns, sizes that fit, fonts of this machine, and what is no text."""

import ctypes
import io
from pathlib import Path

import pytest

from tests.translation.fake import translator, words_turned
from upwell.errors import DataError, ServiceError
from upwell.translation import text_of
from upwell.translation.documents import opened
from upwell.translation.formats import _pdf_laying, _pdf_lines, pdf

pdfium = pytest.importorskip("pypdfium2")
LEFT = ["This is the first line of a column", "that goes on for a while and then", "ends here with a short line."]
RIGHT = ["The second column stands beside it", "and has words of its own to say, al-", "so over three lines."]


def made(*pages: list[tuple[float, float, float, str]], font: bytes = b"Helvetica", red: int = 0) -> bytes:
    """A PDF of pages with (x, y, size, text)."""
    raw, document = pdfium.raw, pdfium.PdfDocument.new()
    font = raw.FPDFText_LoadStandardFont(document, font)
    for rows in pages:
        page = document.new_page(595, 842)
        for x, y, size, text in rows:
            thing = raw.FPDFPageObj_CreateTextObj(document, font, size)
            raw.FPDFPageObj_SetFillColor(thing, red, 0, 0, 255)
            wide = (text + "\0").encode("utf-16-le")
            raw.FPDFText_SetText(thing, ctypes.cast(ctypes.create_string_buffer(wide), ctypes.POINTER(ctypes.c_ushort)))
            raw.FPDFPageObj_Transform(thing, 1, 0, 0, 1, x, y)
            raw.FPDFPage_InsertObject(page, thing)
        page.gen_content()
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def column(x: float, rows: list[str], top: float = 700) -> list[tuple]:
    return [(x, top - 14 * number, 11, text) for number, text in enumerate(rows)]


PAGE = made([(60, 780, 20, "A title of the page"), *column(60, LEFT), *column(320, RIGHT)],
            [(60, 700, 11, "Another page")])  # fmt: skip


def texts(data: bytes) -> list[str]:
    return [segment.text for segment in opened(data, Path("a.pdf")).segments]


def test_lines_are_paragraphs_and_columns_are_apart():
    assert texts(PAGE) == [
        "A title of the page", "This is the first line of a column that goes on for a while and then ends here with a "
        "short line.", "The second column stands beside it and has words of its own to say, also over three lines.",
        "Another page"]  # fmt: skip
    assert [one.place for one in opened(PAGE, Path("a.pdf")).segments] == ["a.pdf, page 1"] * 3 + ["a.pdf, page 2"]


def test_a4_what_is_not_changed_stays_to_the_byte_and_the_rest_at_its_place():
    whole = opened(PAGE, Path("a.pdf"))
    assert whole.write([segment.parts for segment in whole.segments]) == PAGE
    new = whole.write([parts for parts, _ in translator(words_turned).segments(whole.segments, "en", "de")])
    assert texts(new) == [words_turned(text) for text in texts(PAGE)]
    places = [[(round(line.left), round(line.bottom)) for line in _pdf_lines.lines_of(pdfium, page)][:2]
              for page in (pdfium.PdfDocument(PAGE)[0], pdfium.PdfDocument(new)[0])]  # fmt: skip
    assert [abs(a - b) <= 2 for one, other in zip(*places, strict=True) for a, b in zip(one, other, strict=True)]


def test_a_longer_text_gets_a_smaller_size_and_stays_in_its_column():
    whole = opened(PAGE, Path("a.pdf"))
    longer = [("Title",), (text_of(whole.segments[1].parts) + " And then it goes on for some more words.",),
              whole.segments[2].parts, ("x y",)]  # fmt: skip
    lines = _pdf_lines.lines_of(pdfium, pdfium.PdfDocument(whole.write(longer))[0])
    left = [line for line in lines if line.left < 300 and line.bottom < 750]
    assert max(line.right for line in left) < 300 and 6 < left[0].size < 11
    assert min(line.bottom for line in left) > 640


def placed(text: str, rows: list[tuple], wanted: int = 0) -> list:
    """The lines of a page after one of its paragraphs was translated."""
    whole = opened(made(rows), Path("a.pdf"))
    parts = [one.parts if number != wanted else (text,) for number, one in enumerate(whole.segments)]
    return _pdf_lines.lines_of(pdfium, pdfium.PdfDocument(whole.write(parts))[0])


def test_a_single_line_may_go_on_where_nothing_stands_beside_it():
    below = (60, 600, 11, "A line that is much wider than the one above and ends far on the right")
    files, beside = (60, 700, 11, "Files"), (100, 700, 11, "Beside it")
    free, *_ = placed("Quite a long heading now", [files, below])
    tight, *_ = placed("Quite a long heading now", [files, beside, below])
    assert free.left == pytest.approx(60, abs=2) == tight.left and free.size == pytest.approx(11, abs=0.1)
    assert tight.size < 8


def test_what_stands_in_the_middle_stays_there():
    below = (60, 600, 11, "A line that is much wider than the one above and ends far on the right of it")
    title = (272, 780, 11, "A heading")
    (new,) = [line for line in placed("Quite a long heading now", [title, below]) if line.bottom > 700]
    assert (new.left + new.right) / 2 == pytest.approx(595 / 2, abs=3)


def test_words_that_are_printed_twice_to_look_bold_are_read_once():
    rows = [(60, 700, 11, "Some words"), (60.3, 700, 11, "Some words"), (60, 600, 11, "Others")]
    whole = opened(made(rows), Path("a.pdf"))
    assert [one.text for one in whole.segments] == ["Some words", "Others"]
    assert texts(whole.write([("New",), ("Others",)])) == ["New", "Others"]


def test_items_of_a_list_are_paragraphs_and_cells_of_a_table_are_never_in_the_middle():
    items = made(column(60, ["1. Open it.", "2. Close it.", "\u2022 And go"]))
    assert texts(items) == ["1. Open it.", "2. Close it.", "\u2022 And go"]
    cells = [(60, 700, 11, "Left"), (280, 700, 11, "Right"), (60, 600, 11, "A line that goes on to the right " * 2)]
    new = next(line for line in placed("X", cells, wanted=1) if line.text == "X")
    assert new.left == pytest.approx(280, abs=2)


def test_a_stroke_below_words_goes_with_them_and_a_border_stays():
    raw, document = pdfium.raw, pdfium.PdfDocument(made([(60, 700, 11, "A link"), (60, 600, 11, "Other")]))
    page = document[0]
    for x, y, width in ((60, 698, 26), (50, 697.9, 200)):
        thing = raw.FPDFPageObj_CreateNewRect(x, y, width, 0.5)
        raw.FPDFPath_SetDrawMode(thing, raw.FPDF_FILLMODE_ALTERNATE, False)
        raw.FPDFPage_InsertObject(page, thing)
    page.gen_content()
    whole = opened(pdf.saved(document), Path("a.pdf"))
    again = pdfium.PdfDocument(whole.write([("New",), ("Other",)]))[0]
    places = [thing.get_bounds() for thing in again.get_objects(filter=(raw.FPDF_PAGEOBJ_PATH,))]
    assert [round(left) for left, *_ in places] == [50]


@pytest.mark.parametrize("text, read, found", [
    ("head i ng", "heading \r\n", "heading"), ("a b", "a  b", "a b"), ("one", "another", "one"),
])  # fmt: skip
def test_spaces_between_the_pieces_of_a_line_are_those_that_pdfium_reads(text, read, found):
    assert _pdf_lines.spaced(text, read) == found


def test_no_row_begins_with_a_chinese_stop_or_ends_with_an_opening_bracket():
    assert _pdf_laying.broken("一二三，四五（六七）八", len, 2) == ["一二", "三，", "四五", "（六", "七）", "八"]
    assert _pdf_laying.broken("one two three", len, 7) == ["one two", "three"]


@pytest.mark.parametrize("font", [b"Helvetica", b"Times-Bold"])
def test_a_paragraph_keeps_its_colour_and_whether_it_is_bold(font):
    whole = opened(made([(60, 700, 11, "Some words")], font=font, red=200), Path("a.pdf"))
    again = opened(whole.write([("Andere Wörter",)]), Path("a.pdf"))
    page = pdfium.PdfDocument(whole.write([("Andere Wörter",)]))[0]
    (line,) = _pdf_lines.lines_of(pdfium, page)
    assert _pdf_laying.look_of(pdfium.raw, [line]) == _pdf_laying.Look(font == b"Times-Bold", (200, 0, 0, 255))
    assert again.segments[0].text == "Andere Wörter"


def test_signs_that_standard_fonts_lack_come_from_a_font_of_this_machine(monkeypatch):
    found = Path(pytest.importorskip("matplotlib").get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    monkeypatch.setenv("UPWELL_FONT", str(found))
    whole = pdf.read(PAGE, "a.pdf")  # here: the child has the environment of its start
    new = whole.write([("Заголовок страницы",), ("Первая колонка, и она идёт ещё немного дальше.",),
                       ("Вторая стоит рядом.",), ("Ещё",)])  # fmt: skip
    assert texts(new)[0] == "Заголовок страницы" and texts(new)[2] == "Вторая стоит рядом."
    with pytest.raises(ServiceError, match="UPWELL_FONT"):
        whole.write([("标题",), ("第一栏。",), ("第二栏。",), ("页",)])


@pytest.mark.parametrize("data, said", [
    (made([]), "without a text layer"), (b"%PDF-1.7 nothing", "broken, or none"), (PAGE[:300], "broken, or none"),
])  # fmt: skip
def test_b8_a_pdf_without_text_or_a_broken_one_is_a_sentence(data, said):
    with pytest.raises(DataError, match=said):
        opened(data, Path("a.pdf"))


def test_b8_spoilt_files_are_read_or_refused():
    import random

    chance = random.Random(1)
    for _ in range(100):
        spoilt = bytearray(PAGE)
        for _ in range(chance.randrange(1, 9)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        try:
            whole = opened(bytes(spoilt), Path("a.pdf"))
            whole.write([segment.parts for segment in whole.segments])
        except DataError:
            pass
