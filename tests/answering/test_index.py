"""The index: kept up to date by what changed, whole after a kill, and rid of what was removed."""

import errno
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.answering.encoders import Words
from tests.text import reader_files as files
from tests.translation.test_pdf import made as pdf
from upwell.answering import tables, vectors, writing
from upwell.answering.index import Index
from upwell.atomic import alone
from upwell.errors import Busy, DataError, DiskError, ServiceError, SettingsError
from upwell.text import Document

TEXTS = {
    "hours.md": "# Opening hours\n\nWe open at nine and close at five. On Sundays we are closed.\n",
    "river.txt": "The river is wide at this place, and the old bridge crosses it.\n",
    "zh.txt": "图书馆早上九点开门，晚上六点关门。星期天不开放。\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        write(name, text)
    return tmp_path


def write(name: str, text: str | bytes) -> None:
    path = Path("texts", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


def opened(encoder=None, **more) -> Index:
    return Index.open("index", encoder=encoder or Words(), create=True, **more)


def sources(index: Index) -> list[str]:
    return [one.source for one in index.documents()]


def found(index: Index, question: str, **more) -> list[str]:
    return [one.source for one in index.passages([number for number, _ in index.lexical(question, 10, **more)])]


def test_a_folder_becomes_documents_passages_and_vectors(folder):
    with opened() as index:
        report = index.update(["texts"])
        assert report[:5] == (3, 0, 0, 0, 0) and report.passages == index.count == 3 and not report.faults
        assert sources(index) == ["texts/hours.md", "texts/river.txt", "texts/zh.txt"]
        assert index.encoder_name == "words" and index.collections() == [""]
        assert found(index, "When is it open?") == ["texts/hours.md"] == found(index, "OPENING")
        assert found(index, "图书馆几点开门") == ["texts/zh.txt"] == found(index, "馆")
        (one,) = index.passages([index.lexical("Sundays", 1)[0][0]])
        assert (one.heading, one.text) == ("Opening hours", TEXTS["hours.md"].split("\n\n")[1].strip())
        assert index.text(one.document)[one.start : one.end] == one.text


def test_what_is_the_same_is_not_read_again_and_only_new_passages_are_embedded(folder, monkeypatch):
    long = "\n\n".join(f"Part {number} says that the river has {number} bridges. " * 12 for number in range(6))
    write("long.txt", long)
    with opened() as index:
        index.update(["texts"])
    encoder = Words()
    with opened(encoder) as index:
        with monkeypatch.context() as patched:
            patched.setattr("upwell.text.sources.documents", lambda unit, settings: pytest.fail(f"read {unit.name}"))
            assert index.update(["texts"])[:5] == (0, 0, 0, 4, 0)
        write("long.txt", long.replace("Part 3", "Part three"))
        encoder.texts.clear()
        assert index.update(["texts"])[:5] == (0, 1, 0, 3, 0)
        assert [text[:10] for text in encoder.texts] == ["Part three"]
        os.rename("texts/river.txt", "texts/stream.txt")
        encoder.texts.clear()
        assert index.update(["texts"])[:5] == (1, 0, 1, 3, 0) and not encoder.texts
        own = Words().embed([TEXTS["river.txt"].strip()])[0]
        assert [one.source for one in index.passages([index.nearest(own, 1)[0][0]])] == ["texts/stream.txt"]


def test_a_file_that_is_gone_goes_and_others_stay(folder):
    with opened() as index:
        index.update(["texts"])
        os.remove("texts/river.txt")
        assert index.update(["texts/hours.md"])[:4] == (0, 0, 0, 1), "only below the given paths"
        assert index.update(["texts"], prune=False).removed == 0 and len(sources(index)) == 3
        assert index.update(["texts"])[:4] == (0, 0, 1, 2)
        for name in ("hours.md", "zh.txt"):
            os.remove(f"texts/{name}")
        assert index.update(["texts"])[:4] == (0, 0, 2, 0) and index.count == 0
        with pytest.raises(DataError, match="holds no files"):
            index.update(["texts"])


def test_an_index_that_lies_among_its_texts_does_not_read_itself(folder):
    write("sub/more.txt", "A heron waits.")
    for _ in range(2):
        with Index.open("texts/index", encoder=Words(), create=True) as index:
            report = index.update(["texts"])
            assert report.faults == () and report.added + report.same == 4
            assert not any("index" in one.source for one in index.documents())
    for path in [*Path("texts").glob("*.*"), Path("texts/sub/more.txt")]:
        path.unlink()
    with Index.open("texts/index", encoder=Words()) as index:
        assert index.update(["texts"]).removed == 4 and index.count == 0
        with pytest.raises(DataError, match="no texts but the index itself"):
            index.update(["texts"])


def test_A1_a_deleted_text_can_be_read_in_no_file(folder):
    write("secret.txt", "The xylophone stands behind the zymurgy cupboard. " * 40)
    with opened() as index:
        index.update(["texts"])
        assert leaks(b"xylophone") and leaks(b"zymurgi")
        vector = np.array(index._load().vectors[index.lexical("xylophone", 1)[0][0] - 1])
        assert leaks(vector.tobytes())
        os.remove("texts/secret.txt")
        index.update(["texts"])
        assert not leaks(b"xylophone") and not leaks(b"ylophon") and not leaks(b"zymurg")
        assert not leaks(vector.tobytes()) and len(list(Path("index").glob("vectors-*"))) == 1
        assert index.lexical("xylophone", 5) == [] and "texts/secret.txt" not in sources(index)
        own = Words().embed(["The river is wide at this place, and the old bridge crosses it."])[0]
        (number, cosine), *_ = index.nearest(own, 3)
        assert index.passages([number])[0].source == "texts/river.txt" and cosine == pytest.approx(1, abs=1e-5)


def leaks(content: bytes) -> list[str]:
    return [path.name for path in Path("index").iterdir() if content in path.read_bytes()]


def test_A1_a_changed_text_leaves_nothing_of_the_old_one(folder):
    with opened() as index:
        index.update(["texts"])
        before = {one.id for one in index.documents()}
        write("river.txt", "The lake is deep.")
        index.update(["texts"])
        assert not leaks(b"bridge") and found(index, "bridge") == [] and found(index, "lake") == ["texts/river.txt"]
        assert len({one.id for one in index.documents()} - before) == 1, "ids are not given twice"


def test_collections_are_apart(folder):
    with opened() as index:
        index.update(["texts/hours.md"], collection="a")
        index.update(["texts/river.txt", "texts/hours.md"], collection="b")
        assert index.collections() == ["a", "b"] and len(index.documents("a")) == 1 and len(index.documents()) == 3
        assert found(index, "river", collections=["a"]) == [] and found(index, "river", collections=["b", "c"])
        assert found(index, "river", collections=[]) == []
        own = Words().embed(["The river is wide"])[0]
        near = index.passages([number for number, _ in index.nearest(own, 9, ["a"])])
        assert {one.source for one in near} == {"texts/hours.md"}
        assert index.nearest(own, 9, ["nothing"]) == [] == index.nearest(own, 9, [])
        assert index.remove("texts/hours.md", collection="a") == 1 and index.collections() == ["b"]


def test_S5_a_document_of_another_collection_and_none_are_told_alike(folder):
    with opened() as index:
        index.update(["texts/hours.md"], collection="a")
        (one,) = index.documents()
        assert index.text(one.id, ["a"]) == index.text(one.id) == TEXTS["hours.md"]
        said = []
        for number, allowed in ((one.id, ["b"]), (one.id, []), (99, ["b"]), (0, None), (-1, None), (10**30, None)):
            with pytest.raises(DataError) as error:
                index.text(number, allowed)
            said.append(str(error.value).replace(str(number), "N"))
        assert {*said} == {"document N: there is none of this number"}


def test_documents_of_a_program_are_added_replaced_and_removed(folder):
    with opened() as index:
        index.add([Document("The first.", "one", title="Title"), Document("The second.", "two")], "c")
        report = index.add([Document("The first.", "one", title="Title"), Document("Another.", "two")], "c")
        assert report[:4] == (0, 1, 0, 1)
        assert [one[1:] for one in index.documents()] == [("one", "Title", 10, 1, "c"), ("two", "", 8, 1, "c")]
        assert found(index, "title") == ["one"]
        assert index.add([Document("Twice.", "x"), Document("Twice!", "x")]).added == 1 and index.count == 3
        assert index.remove("two", "c") == 1 and index.remove("two", "c") == 0 and sources(index) == ["x", "one"]


def test_a_long_document_is_divided_and_replaced_as_a_whole(folder):
    long = "\n\n".join(f"Paragraph {number} about the river and its bridges." for number in range(4000))
    with opened() as index:
        index.add([Document(long, "book")])
        names = sources(index)
        assert len(names) > 3 and names[0].startswith("book:")
        assert "".join(index.text(one.id) for one in sorted(index.documents())) == long
        index.add([Document("Short now.", "book")])
        assert sources(index) == ["book"]
        index.add([Document(long, "book")])
        assert index.remove("book") == len(names) and index.count == 0


def test_pages_of_a_pdf_are_kept_also_where_it_is_divided(folder, monkeypatch):
    pages = [[(60, 700, 11, f"Page {number} tells how wide river number {number} is.")] for number in range(1, 31)]
    write("book.pdf", pdf(*pages))
    with opened() as index:
        index.update(["texts/book.pdf"])
        texts = index.passages(index.newest(100))
        assert all(f"Page {one.page} " in one.text for one in texts) and len({one.page for one in texts}) > 1
    monkeypatch.setattr("upwell.text.division.LONG", 300)
    monkeypatch.setattr("upwell.text.division.PIECE", 200)
    write("again.pdf", pdf(*pages))
    with opened() as index:
        index.update(["texts/again.pdf"])
        again = [one for one in index.passages(index.newest(100)) if "again" in one.source]
        assert len({one.source for one in again}) > 3 and all(f"Page {one.page} " in one.text for one in again)


def test_without_an_encoder_words_are_found_and_one_can_come_later(folder):
    with Index.open("index", create=True) as index:
        index.update(["texts"])
        assert index.encoder_name == "" and found(index, "bridge") == ["texts/river.txt"]
        with pytest.raises(DataError, match="without vectors"):
            index.nearest([1.0], 1)
    with opened() as index:
        assert index.update(["texts"])[:4] == (0, 0, 0, 3)
        own = Words().embed([TEXTS["river.txt"]])[0]
        assert index.passages([index.nearest(own, 1)[0][0]])[0].source == "texts/river.txt"
    with Index.open("index") as index:
        assert found(index, "bridge") == ["texts/river.txt"]
        with pytest.raises(SettingsError, match="come from words"):
            index.update(["texts"])
        assert index.remove("texts") == 3, "what is taken out needs none"


@pytest.mark.parametrize("other, said", [
    (Words("other", seed="x"), r"from words, and other gives others \(cosine"),
    (Words("wide", width=64), "have 32 numbers, those of wide have 64"),
])  # fmt: skip
def test_another_encoder_is_refused_in_one_sentence(folder, other, said):
    with opened() as index:
        index.update(["texts"])
    with pytest.raises(DataError, match=said) as error:
        Index.open("index", encoder=other)
    assert "\n" not in str(error.value)
    with Index.open("index", encoder=Words("the same by another name")):
        pass


class Broken(Words):
    def __init__(self, vector):
        super().__init__()
        self.vector = vector

    def embed(self, texts):
        return [self.vector(number) for number, _ in enumerate(texts)]


@pytest.mark.parametrize("vector", [lambda number: [0.0] * 8, lambda number: [float("nan")] * 8,
                                    lambda number: [1.0] * (8 + number)])  # fmt: skip
def test_an_encoder_that_gives_no_vectors_is_told(folder, vector):
    with pytest.raises(DataError, match="words gave"), opened(Broken(vector)) as index:
        index.update(["texts"])


def test_an_index_of_another_version_and_other_files_are_one_sentence(folder):
    with pytest.raises(DataError, match="found no index there"):
        Index.open("index")
    with opened() as index:
        index.update(["texts"])
    base = sqlite3.connect("index/index.sqlite")
    base.execute("pragma user_version = 7")
    base.close()
    for create in (False, True):
        with pytest.raises(DataError, match="version 7, expected 2"):
            Index.open("index", create=create)
    for content in (b"no database at all, but long enough to be read " * 100, b""):
        Path("index/index.sqlite").write_bytes(content)
        with pytest.raises(DataError, match="no index of upwell's"):
            Index.open("index")
    os.remove("index/index.sqlite")
    base = sqlite3.connect("index/index.sqlite")
    base.execute("create table notes (text)")
    base.close()
    with pytest.raises(DataError, match="no index of upwell's"):
        Index.open("index", create=True)
    with pytest.raises(DataError, match="no folder can be made"):
        Index.open("texts/hours.md", create=True)


def test_F7_a_vector_file_that_is_cut_short_is_told(folder):
    with opened() as index:
        index.update(["texts"])
        path = Path("index/vectors-1.f32")
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DataError, match="damaged"):
            index.nearest(Words().embed(["river"])[0], 1)


def test_a_second_writer_is_told_and_readers_go_on(folder):
    with opened() as index:
        index.update(["texts"])
        with alone("index/lock"), pytest.raises(ServiceError, match="Another run is at work on index"):
            index.update(["texts"])
        with alone("index/lock"), Index.open("index", encoder=Words()) as reader:
            assert found(reader, "bridge") and reader.nearest(Words().embed(["bridge"])[0], 1)


def test_a_reader_sees_what_another_connection_has_changed(folder):
    own = Words().embed(["The lake is deep."])[0]
    with opened() as writer, Index.open("index", encoder=None) as reader:
        writer.update(["texts"])
        assert reader.count == 3 and reader.nearest(own, 1)
        write("lake.txt", "The lake is deep.")
        writer.update(["texts"])
        assert reader.passages([reader.nearest(own, 1)[0][0]])[0].source == "texts/lake.txt"
        writer.remove("texts/lake.txt")
        assert reader.passages([number for number, _ in reader.nearest(own, 9)]) and reader.count == 3
        assert "texts/lake.txt" not in [one.source for one in reader.passages(n for n, _ in reader.nearest(own, 9))]


def test_several_threads_search_while_it_is_written(folder):
    wrong, ends = [], threading.Event()

    def ask(index):
        own = Words().embed(["The river is wide"])[0]
        while not ends.is_set():
            try:
                for one in index.passages([number for number, _ in index.nearest(own, 5) + index.lexical("river", 5)]):
                    assert one.text in index.text(one.document)
            except DataError as error:
                if "there is none of this number" not in str(error):  # removed between the two
                    wrong.append(error)
            except Exception as error:
                wrong.append(error)

    with opened() as writer, Index.open("index", encoder=None) as reader:
        writer.update(["texts"])
        threads = [threading.Thread(target=ask, args=(reader,)) for _ in range(3)]
        for one in threads:
            one.start()
        for number in range(8):
            write("more.txt", f"The river has {number} bridges.")
            writer.update(["texts"])
            writer.remove("texts/more.txt")
        ends.set()
        for one in threads:
            one.join()
    assert wrong == []


@pytest.mark.parametrize("part", ["vectors", "base"])
def test_F6_a_full_disk_leaves_the_old_index_whole(folder, monkeypatch, part):
    with opened() as index:
        index.update(["texts"])
        write("new.txt", "A mountain is high. " * 3000)
        with monkeypatch.context() as patched:
            if part == "vectors":
                patched.setattr(vectors.os, "fsync", full)
            else:
                patched.setattr(tables, "connect", small(tables.connect))
            with pytest.raises(DiskError, match="The disk is full"):
                index.update(["texts"])
        assert len(sources(index)) == 3 and found(index, "bridge") == ["texts/river.txt"]
        assert index.update(["texts"])[:4] == (1, 0, 0, 3) and found(index, "mountain")[0] == "texts/new.txt"


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def small(connect):
    def connected(folder, create=False):
        base = connect(folder, create)
        base.execute("pragma max_page_count = 1")  # SQLite takes the pages that are there
        return base

    return connected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the kills are those of forked processes")
@pytest.mark.parametrize("points, between", [(10, 1), pytest.param(100, 3, marks=pytest.mark.slow)])
def test_F6_an_index_killed_at_100_points_is_whole_and_the_same_command_goes_on(folder, points, between):
    new = {f"texts/{name}": text for name, text in TEXTS.items()}
    write("gone.txt", "The xylophone stands by the river.")
    write("changed.txt", "The xylophone is old. " * 30)
    old = new | {name: Path(name).read_text() for name in ("texts/gone.txt", "texts/changed.txt")}
    with opened() as index:
        index.update(["texts"])
    os.remove("texts/gone.txt")
    write("changed.txt", "The organ by the river is new. " * 30)
    for number in range(6):
        write(f"new{number}.txt", f"River {number} flows to the sea. " * 20)
    new = {str(path): path.read_text() for path in sorted(Path("texts").iterdir())}
    Path("old.json").write_text(json.dumps(old))
    Path("new.json").write_text(json.dumps(new))
    program = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, str(program), str(folder), str(points)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == points and told["between"] > between, "some kills fell between two steps"


def test_F6_what_a_killed_writer_left_behind_is_taken_away(folder):
    with opened() as index:
        index.update(["texts"])
        with open("index/vectors-1.f32", "ab") as file:
            file.write(b"half of a step")
        Path("index/vectors-9.f32").write_bytes(b"a new file that never counted")
        assert index.nearest(Words().embed(["river"])[0], 3)
        write("lake.txt", "The lake is deep.")
        index.update(["texts"])
        own = Words().embed(["The lake is deep."])[0]
        assert index.passages([index.nearest(own, 1)[0][0]])[0].source == "texts/lake.txt"
        assert [path.name for path in Path("index").glob("vectors-*")] == ["vectors-1.f32"]


def test_a_base_that_another_one_holds_too_long_is_busy(folder, monkeypatch):
    with opened() as index:
        index.update(["texts"])
        monkeypatch.setattr(tables, "WAIT", 0.05)
        other = sqlite3.connect("index/index.sqlite", isolation_level=None)
        other.execute("begin exclusive")
        with pytest.raises(Busy, match="try again later"):
            index.update(["texts"])
        other.close()
        assert index.update(["texts"]).same == 3


# ---- hostile files and names ----


def test_B8_what_cannot_be_read_is_told_and_the_rest_is_there(folder):
    write("broken.pdf", b"%PDF-1.4 but no more")
    write("broken.docx", b"PK\x03\x04 no archive")
    write("noise.txt", bytes(range(256)) * 50)
    write("deep.json", "[" * 100_000)
    with opened() as index:
        report = index.update(["texts"])
        assert report.added == 3 and len(report.faults) >= 3
        assert {Path(one.source).name for one in report.faults} >= {"broken.pdf", "broken.docx", "noise.txt"}
        assert len(index.update(["texts"]).faults) == len(report.faults), "they are told again"
        write("broken.pdf", pdf([(60, 700, 11, "It is mended now and speaks of mountains.")]))
        assert index.update(["texts"]).added == 1 and found(index, "mountains") == ["texts/broken.pdf"]
        write("broken.pdf", b"%PDF-1.4 broken again")
        assert index.update(["texts"]).removed == 0 and found(index, "mountains") == ["texts/broken.pdf"]


def test_B8_an_archive_writes_nowhere_and_locked_and_scanned_files_say_so(folder):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../escaped.txt", "A mountain is high.")
        file.writestr("bomb.txt", "a" * 50_000_000)
    write("all.zip", archive.getvalue())
    write("locked.pdf", files.locked_pdf())
    write("scan.pdf", files.pdf([]))
    before = sorted(path for path in folder.parent.rglob("*") if path.is_file())
    with opened() as index:
        told = {Path(one.source).name: one.message for one in index.update(["texts"]).faults}
        assert "encrypted" in told["locked.pdf"] and "no text layer" in told["scan.pdf"] and "bomb.txt" in str(told)
        after = sorted(path for path in folder.parent.rglob("*") if path.is_file())
        assert [path.name for path in after if path not in before] == ["index.sqlite", "lock", "vectors-1.f32"]
        assert all(one.startswith("texts/all.zip/") for one in found(index, "mountain")), "under the archive's name"
        assert found(index, "mountain") or "escaped.txt" in str(told)


def test_B8_texts_of_odd_characters_are_stored_as_they_can_be(folder):
    odd = "Half \ud83d a sign.\0 And \u202e turned, e\u0301\u0301\u0301, \U0001f600 and \ufeff more rivers."
    with opened() as index:
        other = Document("'; drop table document; --", "x' or 1=1 --")
        index.add([Document(odd, "odd\ud800name", title="\ud800"), other])
        first = next(one for one in index.documents() if one.source.startswith("odd"))
        assert index.text(first.id) == odd.replace("\ud83d", "\ufffd") and first.characters == len(odd)
        assert found(index, "rivers") == ["odd\ufffdname"] and found(index, "drop") == ["x' or 1=1 --"]
        for question in ('"', "river OR", "NEAR(a b)", "*", "river*", "text:river", "-river", "^river", "(" * 1000,
                         "\0", "' or 1=1", "和", "a " * 5000, " ".join(map(str, range(3000)))):  # fmt: skip
            index.lexical(question, 5)
            index.scores(question, [1, 2])
    report = Index.open("index", encoder=Words()).add([Document(" \n\t ...", "nothing"), Document("", "less")])
    assert report.empty == 2 and report.added == 0


def test_a_document_that_has_lost_its_words_goes(folder):
    with opened() as index:
        index.update(["texts"])
        write("river.txt", "...")
        assert index.update(["texts"])[:5] == (0, 0, 1, 2, 1) and found(index, "bridge") == []


@pytest.mark.parametrize("name", ["-rf", "x..%2e%2e%2fx.txt", "%2e%2e%2f", "a\nb.txt", "a'b\".txt", "名" * 80 + ".txt",
                                  "x" * 250 + ".txt", "~", "*.md", "nul", "<b>.txt"])  # fmt: skip
def test_B9_a_hostile_name_is_a_name_and_no_path(folder, name):
    write(name, "A mountain is high.")
    with opened() as index:
        assert index.update(["texts"]).added == 4
        (source,) = found(index, "mountain")
        assert "\n" not in source and {path.name for path in Path("index").iterdir()} == {
            "index.sqlite", "lock", "vectors-1.f32"}  # fmt: skip
        assert index.remove(source) == 1


def test_B9_a_name_that_is_too_long_for_a_folder_is_one_sentence(folder):
    with pytest.raises(DataError, match="no folder can be made"):
        Index.open("x" * 300, create=True)


def test_two_files_of_one_name_are_two_documents(folder, monkeypatch):
    other = folder / "other"
    (other / "texts").mkdir(parents=True)
    (other / "texts" / "river.txt").write_text("Another river.")
    with opened() as index:
        index.update(["texts"])
    monkeypatch.chdir(other)
    with Index.open(folder / "index", encoder=Words()) as index:
        for _ in range(2):
            report = index.update(["texts"])
            assert sources(index) == ["texts/hours.md", "texts/river.txt", "texts/river.txt#2", "texts/zh.txt"]
        assert report[:4] == (0, 0, 0, 1)


def test_a_folder_that_was_moved_is_known_again(folder, monkeypatch):
    with opened() as index:
        index.update(["texts"])
    moved = folder / "elsewhere"
    moved.mkdir()
    os.rename(folder / "texts", moved / "texts")
    os.rename(folder / "index", moved / "index")
    monkeypatch.chdir(moved)
    encoder = Words()
    with opened(encoder) as index:
        encoder.texts.clear()
        assert index.update(["texts"])[:4] == (0, 0, 0, 3) and not encoder.texts and len(sources(index)) == 3


def test_what_is_removed_by_name_comes_back_with_its_file(folder):
    with opened() as index:
        index.update(["texts"])
        assert index.remove("texts/river.txt") == 1 and index.remove("texts/riv") == 0
        assert index.update(["texts"])[:4] == (1, 0, 0, 2)
        assert index.remove("texts") == 3


# ---- exact search ----


def test_exact_search_finds_what_a_plain_sort_finds(monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 7)
    random = np.random.default_rng(1)
    rows = random.standard_normal((100, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for k in (1, 5, 7, 100, 1000):
        for among in (None, random.random(100) < 0.3, np.zeros(100, bool)):
            question = rows[random.integers(100)]
            wanted = [n for n in np.argsort(-(rows @ question), kind="stable") if among is None or among[n]][:k]
            found_, cosines = vectors.Exact(rows).nearest(question, k, among)
            assert found_.tolist() == wanted
            assert np.allclose(cosines, (rows @ question)[wanted])


def test_another_engine_takes_the_place_of_exact_search(folder):
    made = []

    class Backwards:
        def __init__(self, rows):
            made.append(rows.shape)

        def nearest(self, vector, k, among):
            return np.array([2, 0]), np.array([0.5, 0.25])

    with opened(engine=Backwards) as index:
        index.update(["texts"])
        assert index.nearest(Words().embed(["river"])[0], 2) == [(3, 0.5), (1, 0.25)] and made == [(3, 32)]


def test_a_step_writes_some_hundred_passages_at_once(folder, monkeypatch):
    monkeypatch.setattr(writing, "STEP", 2)
    told = []
    with opened() as index, Index.open("index") as reader:
        index.update(["texts"], progress=lambda done, total, made: told.append((done / total, made, reader.count)))
    assert told[-1][0] == 1 and [one[1:] for one in told] == [(0, 0), (2, 2), (2, 2), (3, 3)]
