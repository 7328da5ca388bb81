"""A prepared folder: text of many files as clean, distinct, divided documents and as tokens, with its report.

    prepare(settings, progress) -> Prepared     make it, go on with it after a stop, or find it up to date
    opened(folder) -> Prepared                  one that is there

The folder appears whole or not at all. While it is made, what is done lies in a hidden folder beside it, and the same
command goes on from there, whatever stopped it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upwell import __version__
from upwell.atomic import alone, new_folder, said_plainly, write_file
from upwell.errors import DataError, DiskError, ServiceError, SettingsError, UpwellError
from upwell.text import Document, blocks, corpus, report, sources
from upwell.text.runner import Engine, Local
from upwell.text.survey import Survey

if TYPE_CHECKING:
    from upwell.text.chat import Template
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer
    from upwell.verbs.prepare import Settings

CONTENTS = {"train.jsonl", "heldout.jsonl", "dropped.jsonl", "train", "heldout", "manifest.json", "report.html"}
CONTENTS |= {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}
LEAST_CHARACTERS = 20_000
AT_ONCE = 512
SMALL = 16_000_000  # bytes below which starting other processes takes longer than the work
WORKER = 400 << 20  # bytes that one worker takes, about
BUFFER = 1 << 22
SAMPLE = 200_000_000  # bytes of text that a tokenizer learns from at most
NOTES = 50  # what is odd about files: so many of them are kept
AS_ONE_LIKES = ("out", "paths", "tokenizer", "workers", "memory", "engine", "max_errors", "dry_run", "show", "json")
"""Settings that do not change what comes out."""
Progress = Callable[[str, float, float], None]
"""Told the stage, how much of it is done, and the whole of it."""


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened. report: manifest.json; fresh: False where it was there before."""

    folder: Path
    train: "Store"
    heldout: "Store"
    tokenizer: "Tokenizer"
    report: dict
    fresh: bool

    @property
    def dropped(self) -> int:
        """Documents that were left out."""
        return sum(sum(step["dropped"].values()) for step in self.report["steps"])


def prepare(settings: "Settings", progress: Progress | None = None) -> Prepared:
    """Write settings.out, or find that it is already what these texts and settings give; open it.

    Raises DataError for text that cannot be read or is too little, SettingsError for an `out` that would overwrite
    something else, ServiceError for a full disk or a second run on the same folder; then `out` is as it was before.
    """
    progress = progress or (lambda stage, done, total: None)
    _check_out(settings)
    groups = grouped(settings)
    inputs = _inputs(settings, [unit for _, units in groups for unit in units])
    key = _key(settings, inputs)
    manifest = read_manifest(settings.out)
    mapped = settings.privacy.map is None or settings.privacy.map.is_file()
    if manifest.get("key") == key and mapped and _same_sizes(settings.out, manifest):
        progress("done", 1, 1)
        return opened(settings.out, fresh=False)
    work = _work_folder(settings.out)
    with said_plainly(work):
        work.mkdir(parents=True, exist_ok=True)
    try:
        with said_plainly(work), alone(work / "lock"):
            for left in work.parent.glob(f".{settings.out.name}.partial-*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            made = _make(settings, groups, inputs, key, work, progress)
    except UpwellError as error:
        if not isinstance(error, ServiceError) or isinstance(error, DiskError):
            shutil.rmtree(work, ignore_errors=True)  # a fault in the data, or the disk is full: nothing is left behind
        raise
    shutil.rmtree(work, ignore_errors=True)
    progress("done", 1, 1)
    return made


def opened(folder: Path, fresh: bool = False) -> Prepared:
    """A prepared folder. Raises DataError for what is none, and where its chat template was changed."""
    from upwell.text.chat import Template
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer

    manifest = read_manifest(folder)
    template = Template.load(folder)
    if manifest.get("template", "") != (template.hash if template else ""):
        raise DataError(
            f"{folder}: its chat template is not the one that its tokens were written with (SHA-256 "
            f"{manifest.get('template') or 'none'}, found {template.hash if template else 'none'}); prepare it again."
        )
    return Prepared(folder, Store(folder / "train"), Store(folder / "heldout"), Tokenizer.load(folder), manifest, fresh)


def grouped(settings: "Settings") -> list[tuple[float, list[sources.Unit]]]:
    """The weight and the units of each path. DataError for a path with nothing in it."""
    reading = settings.how_to_read
    if not settings.weights:
        return [(1.0, sources.units(settings.paths, reading))]
    pairs = zip(settings.weights, settings.paths, strict=True)
    return [(weight, sources.units([path], reading)) for weight, path in pairs]


def work_of(settings: "Settings", folder: Path, key: str) -> blocks.Work:
    """What is the same for all blocks."""
    steps = tuple((name, getattr(settings, name)) for name in blocks.STEPS if name not in settings.skip)
    return blocks.Work(str(folder), key, settings.how_to_read, steps, 0 < settings.near < 1, settings.repeated > 0,
                       settings.seed, settings.split, settings.max_errors)  # fmt: skip


def documents(settings: "Settings", faults: list) -> Iterator[Document]:
    """Documents as the steps leave them, one after the other in this process; nothing is written or compared.

    faults: what cannot be read is put there.
    """
    work = work_of(settings, Path("."), "")
    steps = blocks.steps_of(work.steps)
    for _, units in grouped(settings):
        for unit in units:
            yield from _of_unit(unit, work, steps, faults)


def few(settings: "Settings", faults: list, most: int) -> Iterator[Document]:
    """At most so many documents as `documents` gives them, in order: the first ones of parts that lie all over."""
    work = work_of(settings, Path("."), "")
    steps = blocks.steps_of(work.steps)
    units = [unit for _, units in grouped(settings) for unit in units]
    alive = {unit: _of_unit(unit, work, steps, faults) for unit in units[:: -(-len(units) // most)]}
    found: dict[sources.Unit, list[Document]] = {unit: [] for unit in alive}
    while alive and most:
        for unit, rest in list(alive.items())[:most]:
            if (document := next(rest, None)) is None:
                del alive[unit]
            else:
                found[unit].append(document)
                most -= 1
    return chain.from_iterable(found.values())


def _of_unit(unit: sources.Unit, work: blocks.Work, steps, faults: list) -> Iterator[Document]:
    for item in sources.documents(unit, work.reading):
        if not isinstance(item, Document):
            faults.append(item)
            continue
        [(_, result)] = blocks.stepped([item], steps, blocks.Tally())
        if isinstance(result, Document):
            yield result


def engine_of(settings: "Settings", size: int) -> AbstractContextManager[Engine]:
    """What runs the tasks: processes here, or a cluster."""
    if settings.engine != "local":
        from upwell.text import cluster

        return cluster.engine(None if settings.engine == "ray" else settings.engine, settings.workers)
    most = max(1, int(settings.memory * 2**30) // WORKER)
    workers = settings.workers or min(os.cpu_count() or 1, most)
    return Local(1 if size < SMALL and not settings.workers else workers)


def _make(settings: "Settings", groups, inputs: list[dict], key: str, work: Path, progress: Progress) -> Prepared:
    size = sum(unit.bytes for _, units in groups for unit in units)
    with engine_of(settings, size) as engine:
        built = corpus.build(groups, work_of(settings, work, _steps_key(settings)),
                             settings.compared(getattr(engine, "workers", 1)), engine,
                             lambda stage, done: progress(stage, 0.7 * done, 1), settings.skip_unreadable)  # fmt: skip
        examples = sum(built.tally["tasks"].values()) == sum(built.tally["kinds"].values())
        corpus.enough(built, 1 if examples and settings.tokenizer else LEAST_CHARACTERS)  # nothing is learnt of letters
        _written(settings, inputs, key, built, engine, progress)
    return opened(settings.out, fresh=True)


def _written(settings: "Settings", inputs: list[dict], key: str, built: corpus.Corpus, engine: Engine,
             progress: Progress) -> None:  # fmt: skip
    with new_folder(settings.out) as folder:
        for name, parts in built.parts.items():
            _joined(folder / f"{name}.jsonl", parts)
        found = _manifest(settings, inputs, built) | _as_tokens(folder, settings, built, engine, progress)
        (folder / "report.html").write_text(report.page(found, built.samples), encoding="utf-8")
        found |= {"key": key, "hashes": _hashes(folder)}
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (folder / "manifest.json").write_text(text, encoding="utf-8", errors="backslashreplace")
        if settings.privacy.map is not None:  # before the folder appears: no masked text without the way back
            write_file(settings.privacy.map, json.dumps(built.originals, ensure_ascii=False, indent=1).encode())


def _joined(path: Path, parts: Iterable[Path]) -> None:
    with open(path, "wb") as whole:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole, BUFFER)


def _manifest(settings: "Settings", inputs: list[dict], built: corpus.Corpus) -> dict:
    from upwell.settings import plain

    decisive = {key: value for key, value in plain(settings).items() if key not in AS_ONE_LIKES}
    weights = dict(zip(map(str, settings.paths), settings.weights, strict=False))
    return {"upwell": __version__, "settings": decisive, "inputs": inputs, "files": len(inputs), "sources": weights,
            "faults": built.faults, **built.tally}  # fmt: skip


# ---- tokens ----


def _as_tokens(
    folder: Path, settings: "Settings", built: corpus.Corpus, engine: Engine, progress: Progress
) -> dict:
    """The tokenizer and both stores; gives their part of the manifest."""
    from upwell.text.chat import Template
    from upwell.tokens.sample import sampled
    from upwell.tokens.tokenizer import Tokenizer, train

    progress("tokenizer", 0.7, 1)
    learnt_from = ""
    if settings.tokenizer:
        tokenizer = Tokenizer.load(settings.tokenizer)
    else:
        sample = sampled(((text, "") for text in texts_of(folder / "train.jsonl")), SAMPLE)
        learnt_from, tokenizer = sample.told, train(sample.texts, settings.vocab_size)
    tokenizer.save(folder)
    template = Template.load(folder)
    found, begin, survey = {"template": template.hash if template else ""}, 0.75, Survey()
    for part, share in (("train", 0.23), ("heldout", 0.02)):
        counts, told = built.tally[part], partial(_told, progress, begin, share)
        tokens = _store(folder, part, counts, tokenizer, template, told, survey, engine)
        found.setdefault("notes", survey.notes()[:NOTES])  # of what is learnt
        found[part], begin = counts | {"tokens": tokens}, begin + share
    per_token = found["train"]["bytes"] / max(found["train"]["tokens"] - found["train"]["documents"], 1)
    asked = None if settings.tokenizer else settings.vocab_size
    kind = {"vocab_size": tokenizer.vocab_size, "asked": asked, "bytes_per_token": per_token, "hash": tokenizer.hash,
            "learnt_from": learnt_from}  # fmt: skip
    return found | {"tokenizer": kind}


def _told(progress: Progress, begin: float, share: float, done: float) -> None:
    progress("tokens", begin + share * done, 1)


def _store(folder: Path, part: str, counts: dict, tokenizer: "Tokenizer", template: "Template | None",
           told: Callable[[float], None], survey: Survey, engine: Engine) -> int:  # fmt: skip
    from upwell.tokens.store import write

    def counting() -> Iterator[Document]:
        told(0)
        for number, document in enumerate(documents_of(folder / f"{part}.jsonl")):
            if number % AT_ONCE == 0:
                told(number / counts["documents"])
            survey.see(document)
            yield document

    ids = ids_of(counting(), tokenizer, template, engine if getattr(engine, "workers", 2) > 1 else None)
    index = write(folder / part, ids, tokenizer.vocab_size, tokenizer.end, counts.get("bytes", 0), tokenizer.hash)
    return index["tokens"]


def ids_of(documents: Iterable[Document], tokenizer: "Tokenizer", template: "Template | None",
           engine: Engine | None = None) -> Iterator:  # fmt: skip
    """The ids of each document, in order; a chat is written by the chat template, where there is one."""
    if template is None:
        yield from tokenizer.encode_stream((document.text for document in documents), engine)
        return
    for chats, some in groupby(documents, key=is_chat):
        if chats:
            yield from (template.ids(one.fields["messages"], tokenizer, add_generation_prompt=False) for one in some)
        else:
            yield from tokenizer.encode_stream((one.text for one in some), engine)


def is_chat(document: Document) -> bool:
    """Whether it is an example of a chat."""
    return bool(document.fields) and document.fields["task"] == "chat"


def texts_of(path: Path) -> Iterator[str]:
    """The texts of a file of JSON lines, one at a time."""
    with open(path, "rb") as file:
        for line in file:
            yield json.loads(line)["text"]


def documents_of(path: Path) -> Iterator[Document]:
    """The documents of a file of JSON lines that `prepare` wrote."""
    with open(path, "rb") as file:
        for line in file:
            yield blocks.document_of(json.loads(line))


# ---- the folder ----


def _check_out(settings: "Settings") -> None:
    """Refuse to put a prepared folder where something else stands, or among the texts it is made of."""
    out = settings.out.resolve()
    for path in [path.resolve() for path in settings.paths if str(path) != sources.STDIN]:
        if path == out or out in path.parents or (path in out.parents and not out.name.startswith(".")):
            raise SettingsError(f"--out {settings.out} and the text {path} lie inside each other; name another --out.")
    if out.is_file() or out.is_dir() and {path.name for path in out.iterdir()} - CONTENTS:
        raise SettingsError(f"--out {settings.out} is there and is no prepared folder; name a new one.")


def _work_folder(out: Path) -> Path:
    out = out.absolute()
    return out.with_name(f".{out.name}.work")


def _inputs(settings: "Settings", units: list[sources.Unit]) -> list[dict]:
    """Every file: its name, size, SHA-256 and licence, where a licence lies beside it."""
    found = {}
    for unit in units:
        for path in filter(None, (unit.path, unit.partner)):
            if path not in found:
                name = unit.name if path == unit.path else path
                found[path] = {"name": name, **_content(Path(path)), "licence": _licence(Path(path))}
    return list(found.values())


def _content(path: Path) -> dict:
    """Size and SHA-256; nothing of a file that cannot be opened: reading it tells that with all other faults."""
    try:
        return {"bytes": os.path.getsize(path), "sha256": sha256(path)}
    except OSError:
        return {"bytes": 0, "sha256": ""}


def _licence(path: Path) -> str:
    """The first line of a licence that lies beside a file."""
    for name in ("LICENCE.txt", "LICENSE", "LICENSE.txt", "LICENCE"):
        beside = path.parent / name
        if beside.is_file() and beside != path:
            lines = map(str.strip, beside.read_text("utf-8", "replace").splitlines())
            return next(filter(None, lines), "")
    return ""


def _key(settings: "Settings", inputs: list[dict]) -> str:
    """What decides the result: settings, and the SHA-256 of every file that is read."""
    from upwell.settings import plain

    decisive = {key: value for key, value in plain(settings).items() if key not in AS_ONE_LIKES}
    tokenizer = settings.tokenizer and settings.tokenizer / "tokenizer.json"
    known = sha256(tokenizer) if tokenizer and tokenizer.is_file() else ""
    files = [[one["name"], one["sha256"]] for one in inputs]
    return _hash([__version__, decisive, files, known, _read_by_steps(settings)])


def _steps_key(settings: "Settings") -> str:
    """What decides a block: the settings of reading and of the steps, and the files that steps read."""
    from upwell.settings import plain

    return _hash([__version__, plain(work_of(settings, Path("."), "")), _read_by_steps(settings)])


def _read_by_steps(settings: "Settings") -> list[list[str]]:
    """Names and SHA-256 of the files that the settings of steps name: evaluation sets, a list of words, a key."""
    named = [*settings.decontaminate.against, settings.privacy.key, settings.toxic.words]
    files = []
    for path in (Path(name) for name in named if name):
        files += sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [[str(path), sha256(path)] for path in files if path.is_file()]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def read_manifest(folder: Path) -> dict:
    """manifest.json of a folder, {} where there is none."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hashes(folder: Path) -> dict[str, dict]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }


def _same_sizes(folder: Path, manifest: dict) -> bool:
    files = manifest.get("hashes", {})
    there = all((folder / name).is_file() for name in files)
    return bool(files) and there and all((folder / name).stat().st_size == one["bytes"] for name, one in files.items())


def sha256(path: Path) -> str:
    """Of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
