"""Turn folders and files of text into a prepared folder: clean, distinct, divided, as tokens.

The folder holds train.jsonl and heldout.jsonl (the texts), dropped.jsonl (what was left out and why), the tokenizer,
train/ and heldout/ (the tokens) and manifest.json (settings, counts and the SHA-256 of every file). It appears whole
or not at all; the same texts with the same settings are not prepared twice.

Examples:
    upwell prepare ~/texts --out prepared
    upwell prepare notes.jsonl book.txt --vocab-size 8000 --heldout 0.1
    upwell prepare ~/more --tokenizer runs/mine --out prepared-more
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from upwell import __version__, terminal
from upwell.errors import DataError, SettingsError
from upwell.text import Document, Dropped

if TYPE_CHECKING:
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer

CONTENTS = {"train.jsonl", "heldout.jsonl", "dropped.jsonl", "train", "heldout", "manifest.json"}
CONTENTS |= {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}
LEAST_CHARACTERS = 20_000
FEW_DOCUMENTS, PIECES = 20, 40
AT_ONCE = 512
Progress = Callable[[str, float, float], None]
"""Told the stage, how much of it is done, and the whole of it."""


@dataclass(frozen=True)
class Settings:
    """Which text, and how it is cleaned, divided and cut into tokens."""

    paths: Positional[tuple[Path, ...]]
    """Folders, text files or JSON lines ({"text": ..., "title": ..., "label": ...})."""
    out: Path = Path("prepared")
    """The folder to write."""
    tokenizer: Path | None = None
    """A folder with a tokenizer to use (a checkpoint, a prepared folder); otherwise one is trained on the text."""
    vocab_size: int = 4096
    """Tokens of a newly trained tokenizer."""
    heldout: float = 0.05
    """Share of the documents that is kept for measuring."""
    seed: int = 0
    """Which documents those are."""
    near: float = 0.8
    """Leave out a document whose similarity to an earlier one is at least this; 1: exact repetitions only."""
    encoding: str = ""
    """Encoding of all plain text files, where finding it out goes wrong."""
    skip_unreadable: bool = False
    """Leave out files and lines that cannot be read, and count them, instead of stopping."""

    def __post_init__(self):
        if not self.paths:
            raise ValueError("no text is named; expected folders or files")
        if not 0 < self.heldout < 1:
            raise ValueError(f"heldout is {self.heldout}; expected a share between 0 and 1, as 0.05")
        if not 0 < self.near <= 1:
            raise ValueError(f"near is {self.near}; expected a similarity above 0 and up to 1, as 0.8")


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened. report: the counts of manifest.json; fresh: False where it was there before."""

    folder: Path
    train: "Store"
    heldout: "Store"
    tokenizer: "Tokenizer"
    report: dict
    fresh: bool


def main(settings: Settings) -> None:
    with terminal.Progress("prepare", total=100) as bar:
        prepared = prepare(settings, lambda stage, done, total: bar.update(100 * done / total, {"now": stage}))
    if not prepared.fresh:
        terminal.say(f"{prepared.folder} is up to date: the same texts and settings gave it.")
    show(prepared)
    terminal.say(f"Go on with: upwell pretrain {prepared.folder}")


def show(prepared: Prepared) -> None:
    """The counts of a prepared folder as a table, and what else should be known of the texts."""
    report = prepared.report
    rows = [["read", f"{report['documents']:,} documents in {report['files']:,} files"]]
    rows += [[f"left out: {reason}", f"{count:,}"] for reason, count in report["dropped"].items()]
    for part in ("train", "heldout"):
        numbers = {name: f"{value:,}" for name, value in report[part].items()}
        rows.append([part, "{documents} documents, {characters} characters, {tokens} tokens".format(**numbers)])
    rows.append(["tokenizer", "{vocab_size:,} tokens, {bytes_per_token:.2f} bytes each".format(**report["tokenizer"])])
    terminal.table("Prepared", ("what", "result"), rows)
    for line in _news(report):
        terminal.say(line)


def prepare(settings: Settings, progress: Progress | None = None) -> Prepared:
    """Write settings.out, or find that it is already what these texts and settings give; open it.

    Raises DataError for text that cannot be read or is too little, SettingsError for an `out` that would overwrite
    something else, ServiceError for a full disk; then nothing is left behind.
    """
    from upwell.atomic import new_folder

    progress = progress or (lambda stage, done, total: None)
    _check_out(settings)
    inputs = _inputs(settings)
    manifest = _manifest(settings.out)
    fresh = manifest.get("inputs") != inputs or "report" not in manifest or not _same_sizes(settings.out, manifest)
    if fresh:
        with new_folder(settings.out) as folder:
            report = _fill(folder, settings, progress)
            manifest = {"upwell": __version__, "inputs": inputs, "report": report, "files": _hashes(folder)}
            text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
            (folder / "manifest.json").write_text(text, encoding="utf-8")
    progress("done", 1, 1)
    return _open(settings.out, manifest["report"], fresh)


def _fill(folder: Path, settings: Settings, progress: Progress) -> dict:
    """Everything in the folder beside the manifest; gives the report."""
    from upwell.text.sources import Notes

    notes = Notes()
    documents, dropped = _clean_documents(settings, notes, progress)
    report = {"files": notes.files, "documents": len(documents) + len(dropped)}
    documents = _check_enough(documents)
    documents, repeated = _unique(documents, settings.near, progress)
    dropped += repeated
    reasons = Counter(one.reason for one in dropped)
    learnt, held = _divided(documents, settings)
    _write_texts(folder, learnt, held, dropped)
    tokenizer = _tokenizer(folder, settings, learnt, progress)
    learnt_report = _write_tokens(folder / "train", learnt, tokenizer, progress)
    held_report = _write_tokens(folder / "heldout", held, tokenizer, progress)
    per_token = learnt_report["bytes"] / max(learnt_report["tokens"] - len(learnt), 1)
    asked = None if settings.tokenizer else settings.vocab_size
    return report | {
        "dropped": dict(sorted(reasons.items())),
        "encodings": notes.encodings,
        "divided": notes.divided,
        "left_out": notes.left_out,
        "train": learnt_report,
        "heldout": held_report,
        "tokenizer": {"vocab_size": tokenizer.vocab_size, "asked": asked, "bytes_per_token": per_token},
    }


# ---- the stages ----


def _clean_documents(settings: Settings, notes, progress: Progress) -> tuple[list[Document], list[Dropped]]:
    from upwell.text.clean import clean
    from upwell.text.sources import list_files, read

    documents, dropped = [], []
    total = len(list_files(settings.paths))
    for document in read(settings.paths, settings.encoding or None, settings.skip_unreadable, notes):
        text = clean(document.text)
        title, label = clean(document.title), clean(document.label)
        if text.strip():
            documents.append(Document(text, document.source, title, label))
        else:
            dropped.append(Dropped(document, "empty"))
        if len(documents) % 500 == 0:
            progress("reading", 0.3 * (notes.files - 0.5) / total, 1)
    return documents, dropped


def _check_enough(documents: list[Document]) -> list[Document]:
    """The documents; few long ones in pieces, so that a part can be held out. Raises DataError for too little."""
    from upwell.text.sources import divide

    characters = sum(len(document.text) for document in documents)
    if characters < LEAST_CHARACTERS:
        raise DataError(
            f"The text is too little: {characters:,} characters in {len(documents):,} documents, and at least "
            f"{LEAST_CHARACTERS:,} are needed (a million and more to write well); add text, or begin with a corpus "
            "from `upwell fetch wiki-intros`."
        )
    if len(documents) >= FEW_DOCUMENTS:
        return documents
    return [piece for document in documents for piece in divide(document, characters // PIECES)]


def _unique(documents: list[Document], near: float, progress: Progress) -> tuple[list[Document], list[Dropped]]:
    from upwell.text.dedup import unique

    total = len(documents)
    return unique(documents, near, lambda done: progress("comparing", 0.3 + 0.3 * done / total, 1))


def _divided(documents: list[Document], settings: Settings) -> tuple[list[Document], list[Document]]:
    """(learnt, held out); of very few documents the one that is nearest to it is held out."""
    from upwell.text.split import held_out, lot

    held = [document for document in documents if held_out(document, settings.heldout, settings.seed)]
    if not held or len(held) == len(documents):
        held = [min(documents, key=lambda document: lot(document, settings.seed))]
    chosen = {id(document) for document in held}
    learnt = [document for document in documents if id(document) not in chosen]
    if sum(len(document.text) for document in learnt) < LEAST_CHARACTERS / 2:
        raise DataError(
            f"After repetitions were left out, {len(documents):,} documents remain, and too little text to learn from "
            f"(at least {LEAST_CHARACTERS:,} characters are needed); add text that differs."
        )
    return learnt, held


def _write_texts(folder: Path, learnt: list[Document], held: list[Document], dropped: list[Dropped]) -> None:
    def record(document: Document) -> dict:
        return {key: value for key, value in asdict(document).items() if value}

    left_out = ({"source": one.document.source, "reason": one.reason, "detail": one.detail} for one in dropped)
    _write_lines(folder / "train.jsonl", map(record, learnt))
    _write_lines(folder / "heldout.jsonl", map(record, held))
    _write_lines(folder / "dropped.jsonl", left_out)


def _write_lines(path: Path, records: Iterable[dict]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _tokenizer(folder: Path, settings: Settings, learnt: list[Document], progress: Progress) -> "Tokenizer":
    from upwell.tokens.tokenizer import Tokenizer, train

    progress("tokenizer", 0.6, 1)
    if settings.tokenizer:
        tokenizer = Tokenizer.load(settings.tokenizer)
    else:
        tokenizer = train((document.text for document in learnt), settings.vocab_size)
    tokenizer.save(folder)
    return tokenizer


def _write_tokens(folder: Path, documents: list[Document], tokenizer: "Tokenizer", progress: Progress) -> dict:
    from upwell.tokens.store import write

    def ids() -> Iterator[list[int]]:
        for first in range(0, len(documents), AT_ONCE):
            yield from tokenizer.encode_batch([document.text for document in documents[first : first + AT_ONCE]])
            progress("tokens", 0.7 + 0.25 * first / len(documents), 1)

    size = sum(len(document.text.encode()) for document in documents)
    index = write(folder, ids(), tokenizer.vocab_size, tokenizer.end, size, tokenizer.hash)
    characters = sum(len(document.text) for document in documents)
    return {"documents": len(documents), "characters": characters, "bytes": size, "tokens": index["tokens"]}


# ---- the folder ----


def _check_out(settings: Settings) -> None:
    """Refuse to put a prepared folder where something else stands, or among the texts it is made of."""
    out = settings.out.resolve()
    for path in [path.resolve() for path in settings.paths]:
        if path == out or out in path.parents or (path in out.parents and not out.name.startswith(".")):
            raise SettingsError(f"--out {settings.out} and the text {path} lie inside each other; name another --out.")
    if out.is_file() or out.is_dir() and {path.name for path in out.iterdir()} - CONTENTS:
        raise SettingsError(f"--out {settings.out} is there and is no prepared folder; name a new one.")


def _inputs(settings: Settings) -> dict:
    """What decides the result: settings, and the SHA-256 of every file of text and of the tokenizer."""
    from upwell.settings import plain
    from upwell.text.sources import list_files

    decisive = {key: value for key, value in plain(settings).items() if key not in ("out", "paths", "tokenizer")}
    texts = {str(path): _sha256(path) for path in list_files(settings.paths) if path.is_file()}
    tokenizer = settings.tokenizer and settings.tokenizer / "tokenizer.json"
    known = _sha256(tokenizer) if tokenizer and tokenizer.is_file() else ""
    return {"version": 1, "settings": decisive, "texts": texts, "tokenizer": known}


def _manifest(folder: Path) -> dict:
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hashes(folder: Path) -> dict[str, dict]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files
    }


def _same_sizes(folder: Path, manifest: dict) -> bool:
    files = manifest.get("files", {})
    there = all((folder / name).is_file() for name in files)
    return bool(files) and there and all((folder / name).stat().st_size == one["bytes"] for name, one in files.items())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(folder: Path, report: dict, fresh: bool) -> Prepared:
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer

    return Prepared(folder, Store(folder / "train"), Store(folder / "heldout"), Tokenizer.load(folder), report, fresh)


def _news(report: dict) -> Iterator[str]:
    """What a person should know beside the counts."""
    for file, encoding in report["encodings"].items():
        yield f"{file} was read as {encoding}; if that is wrong, say --encoding."
    for file, pieces in report["divided"].items():
        yield f"{file} is long and was divided into {pieces:,} documents."
    if report["left_out"]:
        first, count = report["left_out"][0], len(report["left_out"])
        yield f"{count:,} files or lines could not be read and were left out, first: {first}"
    made, asked = report["tokenizer"]["vocab_size"], report["tokenizer"]["asked"]
    if asked and made < asked:
        yield f"The text gave only {made:,} of the {asked:,} tokens asked for."
