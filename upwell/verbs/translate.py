"""Translate texts, files and folders.

The model is one that upwell trained on pairs (`upwell recipe translate-en-zh`), any T5, BART, Marian or chat model in a
folder, or a server (--base-url). Texts are named, or come by standard input, a paragraph a line. Files keep their
layout: plain text, Markdown, HTML, LaTeX, DOCX, PDF, EPUB, subtitles and gettext catalogues; a run that was stopped
goes on with the same command. Addresses, signs that a program fills in, code, numbers and mark-up come through as they
are.

Examples:
    upwell translate runs/translate-en-zh/model --text "Open the file." --to zh
    upwell translate runs/translate-en-zh/model --file manual.docx --to zh --both manual.html
    upwell translate runs/translate-en-zh/model --file docs --out docs.zh --to zh --glossary terms.csv
    echo "Open the file." | upwell translate runs/translate-en-zh/model --to zh
    upwell translate --base-url http://127.0.0.1:8000/v1 --model chat --from en --to fr --text "Open the file."
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from upwell import terminal
from upwell.errors import DataError, SettingsError
from upwell.verbs._models import Which, model_folder, open_backend


@dataclass(frozen=True)
class Settings(Which):
    """What is translated, into which language, and with which model."""

    text: tuple[str, ...] = ()
    """Texts."""
    file: Path | None = None
    """A file or a folder; its layout is kept."""
    out: Path | None = None
    """Where the translation of --file goes; default: the file's name with the language before its suffix."""
    source: Annotated[str, tyro.conf.arg(name="from")] = ""
    """The language of the text (en, zh, ...); default: as it looks."""
    target: Annotated[str, tyro.conf.arg(name="to")] = ""
    """The language to translate into; default: the one that the model knows."""
    beams: int = 4
    """Texts that beam search keeps alive; 1 is faster."""
    best: int = 1
    """Translations of each text that are shown."""
    whole: bool = False
    """Give the model each text as it is, not sentence by sentence."""
    glossary: Path | None = None
    """A CSV file of terms, source and target a line; an empty target: it stays as it is."""
    memory: Path | None = None
    """A translation memory (SQLite); what is in it is not translated again, what is new is kept there."""
    tmx_in: Path | None = None
    """A TMX file whose units go into --memory first."""
    tmx_out: Path | None = None
    """Where all of --memory is written as TMX afterwards."""
    both: Path | None = None
    """A page with both languages of --file side by side."""
    prefix: str | None = None
    """What stands before each text, with {source} and {target}, for a model whose folder does not say it."""
    rows: int = 32
    """Rows that are written at once; a beam search takes several for each sentence."""
    json: bool = False
    """One JSON object a text or file, on a line."""
    api_key: str | None = None
    """The server's key; default: the environment variable UPWELL_API_KEY."""

    def __post_init__(self):
        super().__post_init__()
        if self.text and self.file is not None:
            raise SettingsError("found both --text and --file, expected one of them")
        if self.file is None and (self.out is not None or self.both is not None):
            raise SettingsError("--out and --both are for --file; a text's translation goes to standard output")
        if (self.tmx_in or self.tmx_out) and self.memory is None:
            raise SettingsError("--tmx-in and --tmx-out go into and out of --memory; name its file")
        if self.beams < 1 or not 1 <= self.best <= self.beams or not 1 <= self.rows <= 1024:
            raise SettingsError(f"beams is {self.beams}, best {self.best}, rows {self.rows}; expected beams of 1 or "
                                "more, best from 1 to beams, rows from 1 to 1,024")  # fmt: skip


def main(settings: Settings) -> None:
    from upwell.translation.glossary import Glossary
    from upwell.translation.memory import opened

    glossary = Glossary() if settings.glossary is None else Glossary.read(settings.glossary)
    if settings.file is not None and not settings.file.exists():
        raise DataError(f"{settings.file}: there is no such file or folder")
    with opened(settings.memory) as memory:
        if settings.tmx_in is not None:
            terminal.say(f"{memory.read_tmx(settings.tmx_in):,} units from {settings.tmx_in}")
        if settings.text or settings.file is not None or not settings.tmx_in and not settings.tmx_out:
            run(settings, glossary, memory)
        if settings.tmx_out is not None:
            from upwell.atomic import write_file

            write_file(settings.tmx_out, "".join(memory.tmx()).encode())
            terminal.say(f"{len(memory):,} units in {settings.tmx_out}")


def run(settings: Settings, glossary, memory) -> None:
    """Open the model and translate."""
    texts = [] if settings.file is not None else list(asked(settings))
    translator, close = opened_translator(settings, glossary, memory)
    try:
        if settings.file is not None:
            files(settings, translator)
        else:
            say(settings, translator, texts)
    finally:
        close()


def opened_translator(settings, glossary=None, memory=None):
    """The translator of a verb's model, and what closes it."""
    from upwell.translation import asking
    from upwell.translation.glossary import Glossary
    from upwell.translation.translator import Settings as How
    from upwell.translation.translator import Translator

    folder = None if settings.base_url is not None else model_folder(settings.folder)
    backend = open_backend(settings, settings.api_key, max(settings.rows, settings.beams)).backend
    how = How(settings.beams, settings.best, settings.whole, None, glossary or Glossary(), memory)
    way = asking.of(backend, folder, settings.prefix)
    asking.check_told(backend, way)
    return Translator(backend, way, how), backend.close


def asked(settings: Settings) -> Iterator[str]:
    """The texts that were named, or those of standard input, a paragraph a line."""
    if settings.text:
        yield from settings.text
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise SettingsError("nothing to translate; expected --text, --file, or text by standard input")
    try:
        yield from sys.stdin.buffer.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"standard input: byte {error.start} is no UTF-8; convert the text first") from None


def languages(settings: Settings, translator, sample: str) -> tuple[str, str]:
    """From which language into which one."""
    from upwell.translation.sentences import guessed

    source = settings.source
    if not source:
        guess = guessed(sample)
        known = {one for one, _ in translator.asking.pairs}
        source = guess.language
        if known and source not in known:
            raise SettingsError(f"the text looks like {source or 'no language'}, which {translator.asking.name} does "
                                f"not know; it knows {', '.join(sorted(known))}; --from says which it is")  # fmt: skip
        if not source:
            raise SettingsError("the language of the text cannot be told; --from says which it is")
    target = settings.target or translator.asking.target(source)
    translator.asking.check(source, target)
    return source, target


def say(settings: Settings, translator, texts: list[str]) -> None:
    """Texts to standard output, each from the language that it is in."""
    pairs = [languages(settings, translator, text) if any(map(str.isalpha, text)) else None for text in texts]
    found: dict[int, tuple] = {}
    for pair in dict.fromkeys(pair for pair in pairs if pair):
        mine = [number for number, one in enumerate(pairs) if one == pair]
        made = translator.texts([texts[number] for number in mine], *pair)
        found.update(zip(mine, made, strict=True))
    for number, text in enumerate(texts):
        if number in found:
            show(settings, found[number], *pairs[number])
        else:
            print(json.dumps({"source": text, "text": text, "how": "copied"}) if settings.json else text, flush=True)


def show(settings: Settings, made, source: str, target: str) -> None:
    """One text that was translated."""
    if made.text == made.source and made.how != "copied" and any(map(str.isalpha, made.text)):
        terminal.warn(f"It came back as it was; does {settings.folder or settings.model} translate from {source} to "
                      f"{target}?")  # fmt: skip
    if settings.json:
        record = {"source": made.source, "text": made.text, "from": source, "to": target, "how": made.how,
                  "confidence": round(made.confidence, 4), "best": list(made.best),
                  "breaches": [[one.term.source, one.term.target] for one in made.breaches]}  # fmt: skip
        print(json.dumps(record, ensure_ascii=False), flush=True)
        return
    for text in made.best[: settings.best] if settings.best > 1 and made.best else [made.text]:
        print(text, flush=True)
    for one in made.breaches:
        terminal.warn(f"{one.term.source!r} should be {one.term.target!r} in: {made.text}")


def files(settings: Settings, translator) -> None:
    """A file, or all files of a folder that have a format."""
    from upwell.translation.documents import opened, suffixes

    path = settings.file
    known = suffixes()
    found = sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in known) if path.is_dir() \
        else [path]  # fmt: skip
    if not found:
        raise DataError(f"{path}: found no file of the kinds {', '.join(known)} in it")
    sample = "\n".join(segment.text for segment in opened(found[0].read_bytes(), found[0]).segments[:100])
    source, target = languages(settings, translator, sample)
    wrong = []
    for one in found:
        out = result(settings, path, one, target)
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            tell(translated(settings, translator, one, out, source, target), settings)
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))


def translated(settings: Settings, translator, one: Path, out: Path, source: str, target: str):
    """One file, with its progress."""
    from upwell.translation.documents import opened, translate_file

    total = len(opened(one.read_bytes(), one).segments)
    with terminal.Progress(one.name, max(total, 1)) as bar:
        return translate_file(translator, one, out, source, target, lambda done, _: bar.update(done), settings.both)


def result(settings: Settings, path: Path, one: Path, target: str) -> Path:
    """Where a file's translation goes."""
    if path.is_dir():
        return (settings.out or path.with_name(f"{path.name}.{target}")) / one.relative_to(path)
    if settings.out is not None and settings.out.is_dir():
        return settings.out / one.name
    return settings.out or one.with_name(f"{one.stem}.{target}{one.suffix}")


def tell(report, settings: Settings) -> None:
    """What became of a file."""
    from dataclasses import asdict

    if settings.json:
        print(json.dumps(asdict(report), ensure_ascii=False), flush=True)
        return
    how = ", ".join(f"{count:,} {name}" for name, count in sorted(report.how.items()))
    terminal.say(f"{report.out}: {report.segments:,} segments, {report.words:,} words ({how})")
    if report.low:
        rows = [(place, f"{sure:.2f}", text, other) for place, sure, text, other in report.low[:10]]
        terminal.table(f"The least certain of {len(report.low):,} that should be read over",
                       ("place", "confidence", "source", "translation"), rows)  # fmt: skip
    for place, term, wanted in report.breaches[:20]:
        terminal.warn(f"{place}: {term!r} should be {wanted!r}")
