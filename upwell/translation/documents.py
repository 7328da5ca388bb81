"""Files in another language: each by its format, with progress, going on after a stop, and a report.

    report = translate_file(translator, Path("paper.tex"), Path("paper.zh.tex"), "en", "zh")

What is done is kept beside the result (`NAME.part.jsonl`, a line a segment, written as it comes) until the result is
whole; the same call goes on from there. The result is written under a temporary name and renamed, so that an older one
is whole until then. A file of which less than half of the segments changed came back untranslated: an error.
"""

import html
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from .. import plugs
from ..atomic import write_file
from ..errors import DataError
from ..text.encodings import Unreadable
from . import Opened, Parts, apart, text_of
from .translator import LOW, Made, Translator

BATCH = 32  # segments that are translated and kept at once
SHOWN = 20
ROOM = "translation/formats"


@dataclass(frozen=True)
class Report:
    """What became of a file. shares of its segments."""

    file: str
    out: str
    segments: int
    words: int
    how: dict[str, int]
    """Sentences or segments by the way that they were translated: model, forced, pieces, memory, copied."""
    low: tuple[tuple[str, float, str, str], ...]
    """The least certain ones below LOW: place, confidence, source, translation."""
    breaches: tuple[tuple[str, str, str], ...]
    """Terms that are not kept to: place, term, what was expected."""
    unchanged: int


def format_of(path: Path) -> ModuleType:
    """The format of a file by its suffix. DataError, with those there are, for another one."""
    known = {}
    for name in plugs.names(ROOM):
        module = plugs.find(ROOM, name)
        known |= dict.fromkeys(module.SUFFIXES, module)
    found = known.get(path.suffix.lower())
    if found is None:
        raise DataError(f"{path}: found a file of the kind {path.suffix or '(no suffix)'!r}, expected one of "
                        f"{', '.join(sorted(known))}")  # fmt: skip
    return found


def suffixes() -> list[str]:
    """Those of all formats."""
    return sorted(suffix for name in plugs.names(ROOM) for suffix in plugs.find(ROOM, name).SUFFIXES)


def opened(data: bytes, path: Path, *languages: str) -> Opened:
    """The segments of a file, read and written in a child process. DataError, with its place, where that cannot be.
    languages: its own and that of what is written."""
    with said(path):
        form = format_of(path).__name__.rpartition(".")[2]
        whole = apart.opened(data, form, path.name, languages=languages)

    def write(written: list[Parts]) -> bytes:
        with said(path):
            return whole.write(written)

    return Opened(whole.segments, write)


@contextmanager
def said(path: Path) -> Iterator[None]:
    """What is wrong with a file, with its name."""
    try:
        yield
    except Unreadable as error:
        raise DataError(f"{path}:{error.line}: {error}" if error.line else f"{path}: {error}") from None


def translate_file(translator: Translator, path: Path, out: Path, source: str, target: str,
                   progress: Callable[[int, int], None] = lambda done, of: None,
                   both: Path | None = None) -> Report:  # fmt: skip
    """Translate a file into `out`; both: a page with both languages side by side. progress(segments done, of all)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror})") from None
    if out.resolve() == path.resolve():
        raise DataError(f"{out}: the translation would replace its source; name another file with --out")
    whole = opened(data, path, source, target)
    if not whole.segments:
        raise DataError(f"{path}: found no text to translate in it")
    journal = Journal(out.with_name(out.name + ".part.jsonl"), _key(data, translator, source, target))
    found = journal.read(whole)
    progress(len(found), len(whole.segments))
    with journal:
        while len(found) < len(whole.segments):
            some = whole.segments[len(found) : len(found) + BATCH]
            made = translator.segments(some, source, target)
            journal.add(made)
            found += made
            progress(len(found), len(whole.segments))
    report = _report(path, out, whole, found)
    _check_changed(report, translator)
    written = whole.write([parts for parts, _ in found])
    if both is not None:
        write_file(both, side_by_side(whole, [parts for parts, _ in found], path.name, source, target).encode())
    write_file(out, written)
    journal.drop()
    return report


def translate_bytes(translator: Translator, data: bytes, name: str, source: str, target: str) -> tuple[bytes, Report]:
    """The same for a file that is not on disk, at once."""
    path = Path(name)
    whole = opened(data, path, source, target)
    if not whole.segments:
        raise DataError(f"{name}: found no text to translate in it")
    found = translator.segments(whole.segments, source, target)
    report = _report(path, path, whole, found)
    _check_changed(report, translator)
    return whole.write([parts for parts, _ in found]), report


def _check_changed(report: Report, translator: Translator) -> None:
    """DataError for a file that came back untranslated."""
    if 2 * report.unchanged > report.segments:
        raise DataError(f"{report.file}: {report.unchanged:,} of {report.segments:,} segments came back as they were, "
                        f"expected less than half: {translator.asking.name} has not translated it; nothing was "
                        "written")  # fmt: skip


def _key(data: bytes, translator: Translator, source: str, target: str) -> str:
    """What the kept segments belong to: this file, model, languages and terms."""
    terms = sorted(translator.settings.glossary.terms.values())
    about = json.dumps([translator.asking.name, source, target, terms, translator.settings.beams])
    return sha256(data + about.encode()).hexdigest()


class Journal:
    """The segments that are done, a line each, so that a run that was stopped goes on."""

    def __init__(self, path: Path, key: str):
        self.path, self.key, self.file = path, key, None

    def read(self, whole: Opened) -> list[tuple[Parts, Made]]:
        """What an earlier run of the same work has done; a last line that was cut off does not count."""
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return []
        if lines[0] != json.dumps({"key": self.key}):
            return []
        found = []
        for line in lines[1:-1][: len(whole.segments)]:  # what has no line end was cut off
            try:
                parts, made = json.loads(line)
            except ValueError:
                break
            found.append((apart.parts_of(parts), Made(made[0], made[1], made[2], made[3])))
        return found

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def add(self, made: list[tuple[Parts, Made]]) -> None:
        """Keep these; the first call begins the file anew where nothing of it could be used."""
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._begin()
        for parts, one in made:
            print(json.dumps([parts, one[:4]], ensure_ascii=False), file=self.file)
        self.file.flush()

    def _begin(self) -> None:
        lines = []
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if not lines or lines[0] != json.dumps({"key": self.key}):
            self.file = self.path.open("w", encoding="utf-8")
            print(json.dumps({"key": self.key}), file=self.file)
            return
        whole = [line for line in lines[:-1] if line]  # what has no line end was cut off
        self.file = self.path.open("w", encoding="utf-8")
        print("\n".join(whole), file=self.file)

    def drop(self) -> None:
        """The work is done."""
        self.path.unlink(missing_ok=True)


def _report(path: Path, out: Path, whole: Opened, found: list[tuple[Parts, Made]]) -> Report:
    how: dict[str, int] = {}
    low, breaches, unchanged = [], [], 0
    for segment, (parts, made) in zip(whole.segments, found, strict=True):
        how[made.how] = how.get(made.how, 0) + 1
        unchanged += text_of(parts) == segment.text and made.how != "copied"
        if made.confidence < LOW and made.how != "memory":
            low.append((segment.place, round(made.confidence, 3), segment.text, text_of(parts)))
        breaches += [(segment.place, one.term.source, one.term.target) for one in made.breaches]
    low.sort(key=lambda one: one[1])
    return Report(str(path), str(out), len(whole.segments), sum(len(one.text.split()) for one in whole.segments), how,
                  tuple(low), tuple(breaches), unchanged)  # fmt: skip


def side_by_side(whole: Opened, written: list[Parts], name: str, source: str, target: str) -> str:
    """A page with both languages beside each other, segment by segment."""
    return "".join(_page(whole, written, name, source, target))


def _page(whole: Opened, written: list[Parts], name: str, source: str, target: str) -> Iterator[str]:
    title = html.escape(f"{name}: {source} and {target}")
    yield f'<!DOCTYPE html>\n<html lang="{html.escape(target)}">\n<head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n<table>\n"
    for segment, parts in zip(whole.segments, written, strict=True):
        cells = ((source, segment.text), (target, text_of(parts)))
        inner = (f'<td lang="{html.escape(language)}">{html.escape(text.strip())}</td>' for language, text in cells)
        yield f'<tr id="{html.escape(segment.place)}">' + "".join(inner)
        yield "</tr>\n"
    yield "</table>\n</body>\n</html>\n"


STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.6 system-ui, "Noto Sans CJK SC", sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
td { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .5rem; vertical-align: top;
     overflow-wrap: anywhere }
@media (max-width: 40rem) { td { display: block } td + td { border: 0; padding-top: 0 } }
"""
