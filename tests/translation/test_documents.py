"""Files: going on after a stop, nothing half written, reports, both languages side by side."""

import json
import zipfile

import pytest

from tests.translation.fake import epub, translator, words_turned
from upwell.errors import DataError, ServiceError
from upwell.translation import documents
from upwell.translation.documents import translate_file
from upwell.translation.glossary import Glossary, Term

LONG = "".join(f"Sentence number {n} of the book.\n\n" for n in range(200))


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text(LONG, encoding="utf-8")
    return file


def test_a_file_is_translated_with_its_progress_and_told_of(book, tmp_path):
    told, out = [], tmp_path / "book.de.txt"
    report = translate_file(translator(), book, out, "en", "de", lambda done, of: told.append((done, of)),
                            both=tmp_path / "both.html")  # fmt: skip
    assert out.read_text(encoding="utf-8") == LONG.upper()
    assert told[0] == (0, 200) and told[-1] == (200, 200) and len(told) > 5
    assert report.segments == 200 and report.words == 1200 and report.how == {"model": 200} and not report.low
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert page.count("<tr") == 200 and '<td lang="de">SENTENCE NUMBER 7 OF THE BOOK.</td>' in page
    assert sorted(one.name for one in tmp_path.iterdir()) == ["book.de.txt", "book.txt", "both.html"]


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_run_that_was_stopped_goes_on_and_gives_the_same_file(book, tmp_path, cut):
    """Killed anywhere, also in the middle of a line of what it keeps."""
    out, calls = tmp_path / "book.de.txt", 0

    def dies(text: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 100:
            raise KeyboardInterrupt
        return text.upper()

    with pytest.raises(KeyboardInterrupt):
        translate_file(translator(dies), book, out, "en", "de")
    journal = out.with_name("book.de.txt.part.jsonl")
    kept = journal.read_bytes()
    assert not out.exists() and kept.count(b"\n") == 97
    journal.write_bytes(kept[: len(kept) - cut])
    again = translator()
    translate_file(again, book, out, "en", "de")
    assert out.read_text(encoding="utf-8") == LONG.upper() and not journal.exists()
    assert len(again.backend.asked) == 200 - 96 + (cut > 0)


def test_what_was_kept_for_another_file_or_language_does_not_count(book, tmp_path):
    out = tmp_path / "out.txt"
    out.with_name("out.txt.part.jsonl").write_text(
        json.dumps({"key": "other"}) + '\n[["x"], ["x", "y", "model", 1.0]]\n'
    )
    translate_file(translator(), book, out, "en", "de")
    assert out.read_text(encoding="utf-8") == LONG.upper()


def test_a4_a_file_that_came_back_untranslated_is_an_error_and_the_old_one_stays(book, tmp_path):
    out = tmp_path / "book.de.txt"
    out.write_text("old")
    with pytest.raises(DataError, match="200 of 200 segments came back as they were"):
        translate_file(translator(str), book, out, "en", "de")
    assert out.read_text() == "old"


def test_a_disk_that_fills_leaves_the_old_file_whole(book, tmp_path, monkeypatch):
    out = tmp_path / "book.de.txt"
    out.write_text("old")

    def full(path, content):
        raise ServiceError(f"{path}: no space left on the disk")

    monkeypatch.setattr(documents, "write_file", full)
    with pytest.raises(ServiceError, match="no space left"):
        translate_file(translator(), book, out, "en", "de")
    assert out.read_text() == "old"
    monkeypatch.undo()
    again = translator()
    translate_file(again, book, out, "en", "de")
    assert not again.backend.asked and out.read_text(encoding="utf-8") == LONG.upper()


def test_uncertain_segments_and_terms_that_are_not_kept_to_are_listed(tmp_path):
    file = tmp_path / "a.md"
    file.write_text("One river.\n\nA stream here.\n\nThe sea.\n", encoding="utf-8")
    one = translator(words_turned, glossary=Glossary((Term("sea", "Meer"),)))
    report = translate_file(one, file, tmp_path / "b.md", "en", "de")
    assert report.breaches == () and "ehT Meer." in (tmp_path / "b.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text, said", [("", "no text to translate"), ("123 456\n", "no text to translate")])
def test_a_file_without_words_is_said(tmp_path, text, said):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        translate_file(translator(), tmp_path / "a.txt", tmp_path / "b.txt", "en", "de")


def test_a_file_is_never_written_over_itself(book):
    with pytest.raises(DataError, match="would replace its source"):
        translate_file(translator(), book, book, "en", "de")


@pytest.mark.parametrize("said, told", [
    ('<html lang="en-GB">', '<html lang="de">'),
    ("<HTML class='x' xml:lang='en' lang=EN>", "<HTML class='x' xml:lang='de' lang=de>"),
    ('<html lang="fr">', '<html lang="fr">'), ("<html>", "<html>"), ('<html data-lang="en">', '<html data-lang="en">'),
])  # fmt: skip
def test_a_page_says_that_it_is_in_the_other_language(tmp_path, said, told):
    file, out = tmp_path / "a.html", tmp_path / "b.html"
    file.write_text(f'{said}<body><p lang="en">A fine day.</p></body></html>', encoding="utf-8")
    translate_file(translator(), file, out, "en", "de")
    assert out.read_text(encoding="utf-8") == f'{told}<body><p lang="en">A FINE DAY.</p></body></html>'


def test_a_book_says_that_it_is_in_the_other_language(tmp_path):
    file, out = tmp_path / "a.epub", tmp_path / "b.epub"
    file.write_bytes(epub("<p>It was night.</p>"))
    translate_file(translator(), file, out, "en", "de")
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(out) as after:
        texts = [b"".join(one.read(name) for name in one.namelist()) for one in (before, after)]
    assert [text.count(b"<dc:language>en</dc:language>") for text in texts] == [1, 0]
    assert texts[1].count(b"<dc:language>de</dc:language>") == 1 and b"IT WAS NIGHT." in texts[1]
