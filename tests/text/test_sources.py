"""Reading: what is text comes in whole, what is not is named, all of it at once."""

import gzip
import io
import json
import pickle
import random
import subprocess
import sys

import pytest

from tests.text import reader_files as files
from upwell.errors import DataError
from upwell.text import Document, Fault, sources
from upwell.text.faults import Faults
from upwell.text.sources import Notes, Settings, documents, read, units

FRENCH = "L'été dernier, nous avons mangé des crêpes à la plage où il a plu.\n"
POLISH = "Zażółć gęślą jaźń, a potem wróć łódką do Łodzi, bo tam mieszka książę.\n"
CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"
TRADITIONAL = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。\n"
RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
PICTURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))
NOISE = bytes(32 + (number * number * 7919 + number // 3) % 224 for number in range(4000))


def put(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def texts(paths, **more):
    return [document.text for document in read(paths, **more)]


def test_a_folder_is_read_in_the_order_of_names_without_hidden_files(tmp_path):
    put(tmp_path, b_txt="two", a__z_md="one", c_py="three", __cache="x")
    put(tmp_path / ".git", config="x")
    put(tmp_path / "__pycache__", a_pyc=PICTURE)
    (tmp_path / ".hidden.txt").write_text("x", encoding="utf-8")
    assert texts([tmp_path]) == ["one", "two", "three"]


def test_a_file_is_one_document_named_by_its_place(tmp_path):
    put(tmp_path, a_txt="hello\n\nworld\n")
    assert list(read([tmp_path / "a.txt"])) == [Document("hello\n\nworld\n", str(tmp_path / "a.txt"))]


def test_json_lines_give_text_title_and_label_with_their_line(tmp_path):
    lines = ['{"text": "a", "title": "T", "label": "L", "more": 1}', "", '{"text": "b"}']
    put(tmp_path, a_jsonl="\ufeff" + "\r\n".join(lines))
    place = tmp_path / "a.jsonl"
    assert list(read([place])) == [Document("a", f"{place}:1", "T", "L"), Document("b", f"{place}:3")]


def test_every_bad_line_of_every_file_is_listed_at_once(tmp_path):
    put(
        tmp_path,
        a_jsonl='{"text": "fine"}\n{"text": 1}\nnot json\n{"title": "x"}\n',
        b_jsonl=b'["list"]\n{"text": "\xff"}\n',
    )
    with pytest.raises(DataError) as caught:
        texts([tmp_path])
    message = str(caught.value)
    for expected in (
        "a.jsonl:2: expected text",
        "a.jsonl:3: expected a JSON object, found 'not json'",
        "a.jsonl:4: expected one of the layouts",
        "b.jsonl:1: expected an object",
        "b.jsonl:2: expected UTF-8, found byte 0xff",
        "5 files or lines cannot be read",
    ):
        assert expected in message
    assert "a.jsonl:1:" not in message


def test_a_long_list_of_faults_is_counted_and_cut(tmp_path):
    put(tmp_path, a_jsonl="x\n" * 1000)
    with pytest.raises(DataError, match=r"(?s)1,000 files or lines .*and 980 more") as caught:
        texts([tmp_path])
    assert len(str(caught.value).splitlines()) == 24


def test_a_deeply_nested_or_huge_line_is_a_fault_and_no_crash(tmp_path):
    put(tmp_path, a_jsonl="[" * 100_000 + "\n" + '{"text": ' + "9" * 5000 + "}\n")
    with pytest.raises(DataError, match="2 files or lines"):
        texts([tmp_path])


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (CHINESE, "utf-8-sig", None),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (FRENCH, "latin-1", "cp1252"),
        (POLISH, "cp1250", "cp1250"),
        (RUSSIAN, "koi8-r", "koi8_r"),
        (RUSSIAN, "cp1251", "cp1251"),
        (JAPANESE, "shift_jis", "cp932"),
    ],
)
def test_other_encodings_are_found_and_noted(tmp_path, text, encoding, found):
    put(tmp_path, a_txt=("Plain first line.\n" + text * 4).encode(encoding))
    notes = Notes()
    assert texts([tmp_path], notes=notes) == ["Plain first line.\n" + text * 4]
    assert list(notes.encodings.values()) == ([found] if found else [])


def test_an_encoding_that_shows_only_late_in_a_file_is_found(tmp_path):
    whole = "plain ascii line\n" * 100_000 + CHINESE * 30_000
    put(tmp_path, a_txt=whole.encode("gb18030"))
    assert "".join(texts([tmp_path])) == whole


def test_an_encoding_by_name_is_used_and_a_wrong_name_refused(tmp_path):
    put(tmp_path, a_txt="Ο Κόσμος".encode("cp1253"))
    assert texts([tmp_path], settings=Settings("cp1253")) == ["Ο Κόσμος"]
    with pytest.raises(DataError, match="klingon is no encoding"):
        texts([tmp_path], settings=Settings("klingon"))


def test_a_file_that_is_not_in_the_named_encoding_is_a_fault(tmp_path):
    put(tmp_path, a_txt=b"one\n" + FRENCH.encode("latin-1"))
    with pytest.raises(DataError, match="a.txt:2: begins like utf-8 but is not"):
        texts([tmp_path], settings=Settings("utf-8"))


def test_binary_files_among_the_texts_are_all_named(tmp_path):
    put(tmp_path, a_txt="text", b_png=PICTURE, c__d_bin=b"\x00\x01")
    with pytest.raises(DataError) as caught:
        texts([tmp_path])
    message = str(caught.value)
    assert "2 files or lines cannot be read" in message and "--skip-unreadable" in message
    assert "b.png: a binary file" in message and "d.bin: a binary file" in message


def test_an_unknown_encoding_is_named_with_what_to_do(tmp_path):
    put(tmp_path, a_txt=NOISE)
    with pytest.raises(DataError, match="a.txt: neither UTF-8 nor any encoding .*--encoding"):
        texts([tmp_path])


def test_unreadable_files_are_passed_over_by_wish_and_noted(tmp_path):
    put(tmp_path, a_txt="text", b_png=PICTURE, c_jsonl="bad\n" + json.dumps({"text": "good"}))
    notes = Notes()
    faults = Faults()
    assert texts([tmp_path], notes=notes, faults=faults) == ["text", "good"]
    assert faults.count == 2 and notes.files == 3


def test_an_empty_folder_and_a_missing_path_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        texts([tmp_path])
    with pytest.raises(DataError, match="gone does not exist"):
        texts([tmp_path / "gone"])


def test_a_broken_link_is_named(tmp_path):
    put(tmp_path, a_txt="text")
    try:
        (tmp_path / "b.txt").symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("no links on this system")
    with pytest.raises(DataError, match="b.txt: cannot be read"):
        texts([tmp_path])


def book(paragraphs):
    return "".join(f"Paragraph {n}. " + "word " * 60 + "\n\n" for n in range(paragraphs))


def test_a_book_is_divided_at_paragraphs_and_nothing_is_lost(tmp_path):
    whole = book(1000)
    put(tmp_path, book_txt=whole)
    notes = Notes()
    documents = list(read([tmp_path], notes=notes))
    assert "".join(document.text for document in documents) == whole
    assert all(document.text.startswith("Paragraph ") for document in documents)
    assert all(len(document.text) <= 40_000 for document in documents)
    assert notes.divided == {str(tmp_path / "book.txt"): len(documents)}
    lines = whole.splitlines(keepends=True)
    for document in documents:
        first = int(document.source.rpartition(":")[2])
        assert document.text.startswith(lines[first - 1])


def test_a_text_below_the_limit_stays_whole_and_one_without_borders_is_cut_anyway(tmp_path):
    put(tmp_path, a_txt="x" * 100_000, b_txt="y" * 100_001)
    pieces = texts([tmp_path])
    assert pieces[0] == "x" * 100_000 and "".join(pieces[1:]) == "y" * 100_001
    assert max(map(len, pieces[1:])) < 40_000


# ---- units ----


def everything(parts, settings=None):
    return [one for unit in parts for one in documents(unit, settings or Settings())]


def test_a_large_file_is_divided_at_line_ends_and_every_part_knows_its_first_line(tmp_path):
    generator = random.Random(0)
    lines = [json.dumps({"text": f"{n} " + "word " * generator.randrange(400)}) for n in range(20_000)]
    put(tmp_path, a_jsonl="\n".join(lines))
    path = tmp_path / "a.jsonl"
    parts = units([path], Settings())
    assert len(parts) > 2 and sum(unit.bytes for unit in parts) == path.stat().st_size
    assert max(unit.bytes for unit in parts) < 9 << 20
    results = everything(parts)
    assert [one.text for one in results] == [json.loads(line)["text"] for line in lines]
    assert [one.source for one in results] == [f"{path}:{n}" for n in range(1, 20_001)]


def test_the_parts_of_a_large_text_give_the_whole_with_their_lines(tmp_path):
    whole = "\n".join(f"{n}: {CHINESE.strip()}" for n in range(300_000))
    for encoding, name in (("utf-8", "a.txt"), ("gb18030", "b.txt"), ("utf-16", "c.txt")):
        (tmp_path / name).write_bytes(whole.encode(encoding))
        parts = units([tmp_path / name], Settings())
        results = everything(parts)
        assert (len(parts) > 1) == (encoding != "utf-16")
        assert "".join(one.text for one in results) == whole
        for one in results[:: len(results) // 10]:
            assert one.text.startswith(f"{int(one.source.rpartition(':')[2]) - 1}: ")
        assert all(one.changes == (() if encoding == "utf-8" else ((f"read as {encoding}", 1),)) for one in results)


def test_units_are_the_same_each_time_and_travel_to_other_processes(tmp_path):
    put(tmp_path, a_txt="one", b__c_py="two", d_zip=files.zipped({"x.txt": "three"}))
    parts = units([tmp_path], Settings())
    assert parts == units([tmp_path], Settings()) == pickle.loads(pickle.dumps(parts))  # noqa: S301
    assert [one.text for one in everything(parts)] == ["one", "two", "three"]
    assert [unit.name for unit in parts] == [str(tmp_path / name) for name in ("a.txt", "b/c.py", "d.zip")]


def test_files_are_found_by_a_pattern(tmp_path):
    put(tmp_path, a_txt="one", b__c_txt="two", b__d_md="three")
    assert texts([f"{tmp_path}/**/*.txt"]) == ["one", "two"]
    with pytest.raises(DataError, match="matches no files"):
        texts([f"{tmp_path}/*.pdf"])


def test_a_file_whose_name_is_a_pattern_is_read(tmp_path):
    (tmp_path / "a[1].txt").write_text("one", encoding="utf-8")
    assert texts([tmp_path / "a[1].txt"]) == ["one"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_as_what_it_holds(monkeypatch, pack):
    contents = {"plain text": ["plain text"], '{"text": "a"}\n{"text": "b"}\n': ["a", "b"], "{ no json": ["{ no json"],
                '[\n{"text": "a"}]': ["a"]}  # fmt: skip
    for content, expected in contents.items():
        sources._standard_input.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pack(content.encode()))))
        parts = units(["-"], Settings())
        assert [unit.name for unit in units(["-"], Settings())] == ["standard input"]  # it is read but once
        assert [one.text for one in everything(parts)] == expected
    sources._standard_input.cache_clear()


def test_of_a_data_set_only_its_shards_are_read(tmp_path):
    card = "---\nlicense: mit\ntask_categories:\n- text-generation\n---\n# About\n"
    put(tmp_path, README_md=card, data__a_jsonl='{"text": "one"}', data__b_parquet=files.parquet(), LICENSE_txt="free")
    assert texts([tmp_path]) == ["one", files.SENTENCE, files.CHINESE]
    (tmp_path / "README.md").write_text("# A folder of mine\n", encoding="utf-8")
    assert len(texts([tmp_path])) == 5


def test_a_data_set_that_was_saved_is_read(tmp_path):
    for name in ("dataset_info.json", "state.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(files.arrow({"text": ["one", "two"]}))
    assert texts([tmp_path]) == ["one", "two"]


def test_names_that_break_a_line_or_cannot_be_written_are_escaped(tmp_path):
    odd = tmp_path / "new\nline\x1b[31m.txt"
    try:
        odd.write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("no such names on this system")
    (unit,) = units([odd], Settings())
    assert unit.name.endswith("new\\x0aline\\x1b[31m.txt")
    assert everything([unit])[0].text == "text"


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="klingon"):
        Settings(encoding="klingon")
    with pytest.raises(ValueError, match="longest is 0"):
        Settings(longest=0)


def test_a_file_that_becomes_another_while_it_is_read_is_a_fault_and_no_crash(tmp_path):
    put(tmp_path, a_zip=files.zipped({f"{n}.txt": "x" * 100 for n in range(9)}), b_jsonl='{"text": "a"}\n' * 900_000)
    parts = units([tmp_path], Settings())
    put(tmp_path, a_zip=b"no zip any more", b_jsonl="")
    found = everything(parts)
    assert len(found) == 1 and isinstance(found[0], Fault)


def test_readers_are_imported_only_where_text_is_read():
    code = (
        "import sys, upwell.text.sources as s; s._readers();"
        "print([m for m in ('pyarrow', 'resiliparse', 'pypdfium2', 'zstandard', 'numpy', 'charset_normalizer')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.strip() == "[]", done.stderr
