"""Turn text of all kinds into a prepared folder: clean, distinct, without personal data, divided, as tokens.

Reads folders, files, globs, archives and standard input (-): text, Markdown, HTML, PDF, DOCX, EPUB, source code, JSON
lines, CSV, Parquet, gettext, subtitles, Wikipedia and web archives, compressed or not; chats, questions, labels and
pairs are recognised by looking. The folder holds train.jsonl and heldout.jsonl (the texts), dropped.jsonl (what was
left out and why), the tokenizer, train/ and heldout/ (the tokens), report.html (what happened, with pictures) and
manifest.json. It appears whole or not at all; a run that was stopped goes on; the same texts and settings give the
same bytes.

Examples:
    upwell prepare ~/texts --out prepared
    upwell prepare ~/texts --dry-run
    upwell prepare notes.jsonl book.epub "talks/**/*.srt" --vocab-size 8000 --heldout 0.1
    upwell prepare ~/more --tokenizer runs/mine --out prepared-more
    upwell prepare wiki code --weights 2 0.5 --language.keep en zh --decontaminate.against tests.jsonl
    upwell prepare ~/texts --skip privacy quality
    upwell prepare wiki-intros/fr python --weights 2 1
    upwell prepare prepared --show causal
"""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import prepared, terminal
from upwell.errors import SettingsError
from upwell.prepared import Prepared, prepare
from upwell.text import corpus, sources
from upwell.text.faults import collect
from upwell.text.steps import decontaminate as _decontaminate
from upwell.text.steps import language as _language
from upwell.text.steps import length as _length
from upwell.text.steps import privacy as _privacy
from upwell.text.steps import quality as _quality
from upwell.text.steps import repair as _repair
from upwell.text.steps import secrets as _secrets
from upwell.text.steps import toxic as _toxic

SHOWN = 10
TASKS = {"chat": "chats", "answer": "questions with answers", "label": "texts with labels", "pair": "pairs"}


@dataclass(frozen=True)
class Settings:
    """Which text, and how it is cleaned, divided and cut into tokens."""

    paths: Positional[tuple[Path, ...]]
    """Folders, files, globs, archives; - for standard input; NAME or NAME/PART of the catalogue."""
    out: Path = Path("prepared")
    """The folder to write."""
    tokenizer: Path | None = None
    """A folder with a tokenizer to use (a checkpoint, a prepared folder) or the name of a model that was fetched;
    otherwise one is trained on the text."""
    vocab_size: int = 4096
    """Tokens of a newly trained tokenizer."""
    weights: tuple[float, ...] = ()
    """One for each path: how often its documents are learnt from; 0.5 draws half of them, 2 takes each twice."""
    heldout: float = 0.05
    """Share of the documents that is kept for measuring."""
    split: Literal["document", "source", "given"] = "document"
    """What is held out: single documents; whole files; or what records say themselves by a key `split` (train, or
    test, validation, dev ...), and of others single documents."""
    seed: int = 0
    """Which those are."""
    near: float = 0.8
    """Leave out a document whose similarity to an earlier one is at least this; 1: exact repetitions only; 0: none."""
    repeated: int = 20
    """Take a line or paragraph out of all documents but the first where it stands in more than so many; 0: never."""
    skip: tuple[Literal["repair", "secrets", "privacy", "length", "quality", "language", "decontaminate", "toxic"],
                ...] = ()  # fmt: skip
    """Steps to leave out."""
    encoding: str = ""
    """Encoding of all plain text files, where finding it out goes wrong."""
    skip_unreadable: bool = False
    """Leave out files and lines that cannot be read, and count them, instead of stopping."""
    max_errors: int = 20
    """How many of the files and lines that cannot be read are listed one by one."""
    engine: str = "local"
    """local: processes of this machine; ray: a Ray of its own; HOST:PORT or auto: a running Ray cluster."""
    workers: int = 0
    """Processes at work; 0: one for each core, as far as the memory goes."""
    memory: float = 2.0
    """GiB that they may take together, about."""
    dry_run: bool = False
    """Show ten examples, from files that lie all over, as they would be trained on; write nothing."""
    show: str = ""
    """An objective (causal, or a file of yours): show ten examples token by token; write nothing."""
    json: bool = False
    """Print the report as JSON."""
    reading: sources.Settings = field(default_factory=sources.Settings)
    """How files are read, and what is refused for safety."""
    repair: _repair.Settings = field(default_factory=_repair.Settings)
    """Unicode repair and cleaning."""
    length: _length.Settings = field(default_factory=_length.Settings)
    """Limits in characters."""
    quality: _quality.Settings = field(default_factory=_quality.Settings)
    """What is no good text."""
    language: _language.Settings = field(default_factory=_language.Settings)
    """Which languages stay."""
    decontaminate: _decontaminate.Settings = field(default_factory=_decontaminate.Settings)
    """What stands in evaluation sets."""
    toxic: _toxic.Settings = field(default_factory=_toxic.Settings)
    """Words on a list."""
    secrets: _secrets.Settings = field(default_factory=_secrets.Settings)
    """Keys and passwords in code."""
    privacy: _privacy.Settings = field(default_factory=_privacy.Settings)
    """Personal data."""

    def __post_init__(self):
        if not self.paths:
            raise ValueError("no text is named; expected folders or files")
        if not 0 < self.heldout < 1:
            raise ValueError(f"heldout is {self.heldout}; expected a share between 0 and 1, as 0.05")
        if not 0 <= self.near <= 1:
            raise ValueError(f"near is {self.near}; expected a similarity up to 1, as 0.8, or 0 to leave out none")
        if self.weights and len(self.weights) != len(self.paths):
            raise ValueError(f"found {len(self.weights)} weights and {len(self.paths)} paths; give one for each")
        if any(weight < 0 for weight in self.weights):
            raise ValueError("found a weight below 0; expected 0 or more, as 0.5")
        if self.repeated < 0 or self.workers < 0 or self.max_errors < 0 or self.memory <= 0:
            raise ValueError("repeated, workers, max_errors and memory cannot be below 0; memory must be above it")

    @property
    def how_to_read(self) -> sources.Settings:
        """`reading` with the encoding."""
        return replace(self.reading, encoding=self.encoding) if self.encoding else self.reading

    def compared(self, workers: int) -> corpus.Settings:
        """What is compared over all documents."""
        return corpus.Settings(self.near, self.repeated, self.heldout, self.split, self.seed,
                               int(self.memory * 2**30), workers)  # fmt: skip


def main(settings: Settings) -> None:
    from upwell import catalog, weights

    settings = replace(settings, paths=catalog.named(settings.paths, terminal.say),
                       tokenizer=settings.tokenizer and weights.find(settings.tokenizer))
    if settings.dry_run or settings.show:
        look(settings)
        return
    with terminal.Progress("prepare", total=100) as bar:
        made = prepare(settings, lambda stage, done, total: bar.update(100 * done / total, {"now": stage}))
    if settings.json:
        print(json.dumps(made.report, ensure_ascii=False))
        return
    if not made.fresh:
        terminal.say(f"{made.folder} is up to date: the same texts and settings gave it.")
    show(made)
    terminal.say(f"What was left out, and why, with pictures: {made.folder / 'report.html'}")
    terminal.say(f"Go on with: upwell pretrain {made.folder}")


def show(made: Prepared) -> None:
    """The counts of a prepared folder as a table, and what else should be known of the texts."""
    from upwell.text import report

    found = made.report
    documents, files = found["read"]["documents"], found["files"]
    busy = [step for step in found["steps"] if step["dropped"] or step["changed"]]
    idle = [step["name"] for step in found["steps"] if step not in busy]
    rows = report.table(found | {"steps": busy})
    terminal.table(f"Prepared: {documents:,} documents in {files:,} files", report.COLUMNS, rows)
    terminal.say(recognised(found))
    if idle:
        terminal.say(f"Steps that found nothing to do: {', '.join(idle)}.")
    kind = found["tokenizer"]
    learnt = f", learnt from {kind['learnt_from']}" if kind["learnt_from"] else ""
    terminal.say(f"Tokenizer: {kind['vocab_size']:,} tokens, {kind['bytes_per_token']:.2f} bytes each{learnt}.")
    for encoding, count in found["encodings"].items():
        if encoding != "utf-8":
            what = "1 document was" if count == 1 else f"{count:,} documents were"
            terminal.say(f"{what} read as {encoding}; if that is wrong, say --encoding.")
    if found["faults"]:
        left = found.get("unreadable", len(found["faults"]))
        what = "1 file or line" if left == 1 else f"{left:,} files or lines"
        terminal.say(f"{what} could not be read and stayed out, first: {found['faults'][0]}")
    if found["tasks"].get("chat") and not found["template"]:
        terminal.say(f"{found['tasks']['chat']:,} chats were written as plain text, one turn below the other: the "
                     "tokenizer has no chat template. Make one that has, `upwell tokenizer TEXT --chat`, and name it "
                     "with --tokenizer.")  # fmt: skip
    if kind["asked"] and kind["vocab_size"] < kind["asked"]:
        terminal.say(f"The text gave only {kind['vocab_size']:,} of the {kind['asked']:,} tokens asked for.")
    for note in found.get("notes", [])[:SHOWN]:
        terminal.say(f"Worth a look: {note}.")


def recognised(found: dict) -> str:
    """What the documents that stayed were taken for."""
    tasks, whole = found["tasks"], sum(found["kinds"].values())
    rest = Counter(found["kinds"])
    rest.subtract({"dialogue": tasks.get("chat", 0), "prose": sum(tasks.values()) - tasks.get("chat", 0)})
    told = [f"{count:,} {TASKS.get(task, task)}" for task, count in tasks.items()]
    told += [f"{count:,} of plain {kind}" for kind, count in (+rest).items()]
    return f"Recognised, of {whole:,} documents that stayed: {', '.join(told)}."


def look(settings: Settings) -> None:
    """--dry-run and --show: the first examples. Raises DataError with what cannot be read."""
    from upwell import showing

    faults: list = []
    if settings.show:
        tokenizer, template, documents = prepared_by(settings, faults)
        showing.show(settings.show, documents, tokenizer, template, SHOWN)
    else:
        showing.dry_run(prepared.few(settings, faults, SHOWN), SHOWN)
    if faults and not settings.skip_unreadable and (error := collect(faults, settings.max_errors)):
        raise error


def prepared_by(settings: Settings, faults: list):
    """(tokenizer, template or None, documents) of a prepared folder, or of texts with --tokenizer."""
    from upwell.text.chat import Template
    from upwell.tokens.tokenizer import Tokenizer

    first = settings.paths[0]
    if str(first) != sources.STDIN:
        sources.list_files([first])  # DataError for a path that is not there
    if (first / "manifest.json").is_file():
        folder, documents = first, prepared.documents_of(first / "train.jsonl")
    elif settings.tokenizer:
        folder, documents = settings.tokenizer, prepared.documents(settings, faults)
    else:
        raise SettingsError(f"--show cuts text into tokens: {first} is no prepared folder; name one, or a --tokenizer.")
    return Tokenizer.load(folder), Template.load(folder), documents


