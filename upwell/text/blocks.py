"""Units of files become blocks of documents on disk: read, put through the steps, with what is compared of each.

    make(work, task) -> summaries       one task, in whatever process; pure: the same files and settings, the same bytes

A block is a group of files whose names begin alike, in the work folder:

    000007-0000.docs.jsonl      the documents that the steps kept, one a line; .offset.npy says where each begins
    000007-0000.dropped.jsonl   those that they left out, with the reason
    000007-0000.*.npy           sorted keys for `dedup`, signatures of lines and paragraphs, sorted
    000007.json                 the summary, written last: what has one is whole, and is not made again

Memory is bounded by a batch of texts and the keys of one block, whatever the size of a file.
"""

import bisect
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from upwell.atomic import said_plainly, write_file
from upwell.text import Document, Dropped, Fault, dedup, examples, signatures, sources
from upwell.text.faults import Faults
from upwell.text.split import lot

STEPS = ("repair", "secrets", "privacy", "length", "quality", "language", "decontaminate", "toxic")
"""In this order: what a later step drops is shown and kept aside, and so must hold no personal data."""
BATCH = 1 << 18  # characters
TASK = 8_000_000  # bytes of files that make one task
BLOCK = 64_000_000  # characters of one block: of a very large file there are several
SAMPLES, SAMPLE = 3, 400
ROOM = "upwell.text.steps."
EDGES = tuple(round(10 ** (1 + exponent / 4)) for exponent in range(25))  # 10 to 10 million characters
PLAIN = Document("", "")
NAMES = tuple(one.name for one in fields(Document) if one.name != "pages")
ENCODE = json.JSONEncoder(ensure_ascii=False).encode
Function = Callable[[Document], Document | Dropped]
Suspects = Callable[[Sequence[Document]], Sequence[bool]]
Together = Callable[[Sequence[Document]], Sequence[Document | Dropped]]


class Step(NamedTuple):
    """What a step does with a document; for many documents at once, where a step knows how, one of these is quicker."""

    name: str
    function: Function
    suspects: Suspects | None = None
    """False where the function would give the same document."""
    together: Together | None = None
    """What the function gives of each of them."""


Steps = Sequence[Step]


@dataclass(frozen=True)
class Work:
    """What is the same for all blocks of a run."""

    folder: str
    key: str
    """Stands for the settings and the version: a block made with another one is made again."""
    reading: sources.Settings
    steps: tuple[tuple[str, Any], ...]
    """Names of steps and their settings, in their order."""
    near: bool
    """Whether near repetitions will be looked for."""
    lines: bool
    """Whether repeated lines and paragraphs will be looked for."""
    seed: int = 0
    split: str = "document"
    """What is held out: see corpus.Settings."""
    most_faults: int = 20


@dataclass(frozen=True)
class Task:
    """One block: its number, the units that are read for it, and the weight of their documents."""

    number: int
    units: tuple[sources.Unit, ...]
    weight: float = 1.0

    @property
    def bytes(self) -> int:
        """Of the files."""
        return sum(unit.bytes for unit in self.units)


@dataclass
class Tally:
    """What is counted of a block."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    lost: Counter = field(default_factory=Counter)
    dropped: dict[str, Counter] = field(default_factory=dict)
    changed: dict[str, Counter] = field(default_factory=dict)
    samples: dict[str, list[dict]] = field(default_factory=dict)
    kinds: Counter = field(default_factory=Counter)
    languages: Counter = field(default_factory=Counter)
    tasks: Counter = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))

    def note(self, step: str, changes: Iterable[tuple[str, int]]) -> None:
        """What a step changed in a document."""
        if changes:
            self.changed.setdefault(step, Counter()).update(dict(changes))

    def leave(self, step: str, one: Dropped) -> None:
        """A document is left out by a step."""
        self.dropped.setdefault(step, Counter())[one.reason] += 1
        self.lost[step] += len(one.document.text)
        shown = self.samples.setdefault(f"{step}: {one.reason}", [])
        if len(shown) < SAMPLES:
            shown.append({"source": one.document.source, "text": one.document.text[:SAMPLE], "detail": one.detail})

    def keep(self, document: Document, times: int = 1) -> None:
        """A document stays; times -1: one that stayed goes after all."""
        self.kinds[document.kind] += times
        self.languages[document.language or "und"] += times
        if document.fields:
            self.tasks[str(document.fields.get("task"))] += times
        self.lengths[bisect.bisect_right(EDGES, len(document.text))] += times

    def keep_all(self, documents: Sequence[Document]) -> None:
        """Documents stay."""
        self.kinds.update([document.kind for document in documents])
        self.languages.update([document.language or "und" for document in documents])
        self.tasks.update([str(document.fields.get("task")) for document in documents if document.fields])
        sizes = np.fromiter((len(document.text) for document in documents), np.int64, len(documents))
        counts = np.bincount(np.searchsorted(EDGES, sizes, side="right"), minlength=len(self.lengths))
        self.lengths = [before + more for before, more in zip(self.lengths, counts.tolist(), strict=True)]


def tasks_of(groups: list[tuple[float, list[sources.Unit]]]) -> list[Task]:
    """Units of several sources, each with its weight, in their order; a few megabytes of one source to a task."""
    tasks = []
    for weight, units in groups:
        size, parts = TASK, []
        for unit in units:
            if size + unit.bytes > TASK:
                parts.append([])
                size = 0
            parts[-1].append(unit)
            size += unit.bytes
        tasks += [Task(len(tasks) + number, tuple(part), weight) for number, part in enumerate(parts)]
    return tasks


def make(work: Work, task: Task) -> list[dict]:
    """Make the blocks of one task, or find them made; gives their summaries. Raises ServiceError for a full disk."""
    path = f"{work.folder}/{task.number:06d}"
    with said_plainly(Path(work.folder)):
        return finished(path, work.key, task) or _Maker(work, path, task).made()


def finished(path: str, key: str, task: Task) -> list[dict] | None:
    """The summaries of blocks that are there already, made of the same files with the same settings."""
    try:
        found = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found["blocks"] if found["key"] == [key, identity(task)] else None


def identity(task: Task) -> list:
    """What tells whether the files of a task are as they were."""
    found = []
    for unit in task.units:
        found.append([*map(str, (getattr(unit, one.name) for one in fields(unit))), *_state(unit.path)])
    return found


def _state(path: str) -> list[int]:
    """Size and time of change; nothing of a file that cannot be opened, which reading it tells."""
    try:
        state = os.stat(path)
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]


class _Maker:
    """The blocks of one task on their way: one, or several where a file is very large."""

    def __init__(self, work: Work, path: str, task: Task):
        self.work, self.path, self.task = work, path, task
        self.steps: Steps = ()

    def made(self) -> list[dict]:
        """The summaries; all files are on disk."""
        self.steps = steps_of(self.work.steps, self, self.work.key)
        documents, summaries = self.through(), []
        while not summaries or self.characters >= BLOCK:
            self.begin(f"{self.path}-{len(summaries):04d}")
            with open(f"{self.block}.docs.jsonl", "wb") as kept, open(f"{self.block}.dropped.jsonl", "wb") as dropped:
                self.dropped = dropped
                self.fill(documents, kept)
            summaries.append(self.finish())
        found = {"key": [self.work.key, identity(self.task)], "blocks": summaries}
        write_file(f"{self.path}.json", json.dumps(found).encode())
        return summaries

    def begin(self, block: str) -> None:
        """A new block."""
        self.block, self.characters = block, 0
        self.tally, self.faults, self.originals = Tally(), Faults(self.work.most_faults), {}
        self.keys, self.offsets = dedup.Keys(self.work.near), [0]
        self.lots: list[float] = []
        self.sizes: list[tuple[int, int]] = []
        self.lines: list[np.ndarray] = []
        self.batch: list[Document] = []

    def fill(self, documents: Iterator[Document], kept) -> None:
        """Documents until there are no more, or the block is large."""
        waiting = 0
        for document in documents:
            self.batch.append(document)
            waiting += len(document.text)
            if waiting >= BATCH:
                self.write(kept)
                self.characters, waiting = self.characters + waiting, 0
                if self.characters >= BLOCK:
                    return
        self.write(kept)
        self.characters = 0

    def through(self) -> Iterator[Document]:
        """Documents that every step kept; the others go into their file."""
        for some in self.batches():
            for name, result in stepped(some, self.steps, self.tally):
                if isinstance(result, Document):
                    yield result
                else:
                    self.tally.leave(name, result)
                    self.dropped.write(line(left_out(result, name)))

    def batches(self) -> Iterator[list[Document]]:
        """What is read, a batch at a time."""
        some, size = [], 0
        for unit in self.task.units:
            for item in sources.documents(unit, self.work.reading):
                if isinstance(item, Fault):
                    self.faults.add(item)
                    continue
                some.append(item)
                size += len(item.text)
                if size >= BATCH:
                    self.count(some)
                    yield some
                    some, size = [], 0
        self.count(some)
        yield some

    def count(self, documents: Sequence[Document]) -> None:
        """What was read."""
        self.tally.documents += len(documents)
        characters, size = size_of("".join([document.text for document in documents]))
        self.tally.characters += characters
        self.tally.bytes += size
        for document in documents:
            if document.changes:
                self.tally.note("read", document.changes)

    def write(self, kept) -> None:
        """A batch of documents to disk, and what is compared of them."""
        first = len(self.offsets) - 1
        self.tally.keep_all(self.batch)
        texts = [document.text for document in self.batch]
        units = signatures.units(texts) if self.work.near or self.work.lines else []
        written = [text.encode("utf-8", "surrogatepass") for text in texts]
        self.lots += [lot_of(document, self.work.split, self.work.seed) for document in self.batch]
        self.sizes += zip(map(len, texts), map(len, written), strict=True)
        lines = [line_of(document) for document in self.batch]
        kept.write(b"".join(lines))
        self.offsets += (self.offsets[-1] + np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)))).tolist()
        self.keys.add(written, units)
        if self.work.lines:
            self.lines.append(lines_of(self.batch, units, first))
        self.batch = []

    def finish(self) -> dict:
        """The block's arrays to disk; its summary."""
        self.keys.save(self.block)
        np.save(f"{self.block}.offset.npy", np.array(self.offsets, np.int64))
        np.save(f"{self.block}.lot.npy", np.array(self.lots))
        np.save(f"{self.block}.size.npy", np.array(self.sizes, np.int64).reshape(-1, 2))
        if self.work.lines:
            lines = np.concatenate([*self.lines, np.empty((0, 2), np.uint64)])
            np.save(f"{self.block}.lines.npy", np.unique(lines, axis=0))
        return {"path": self.block, "kept": len(self.offsets) - 1, "weight": self.task.weight,
                "faults": plain(self.faults), "originals": self.originals, **vars(self.tally)}  # fmt: skip


def lines_of(documents: Sequence[Document], units: Sequence[signatures.Units], first: int) -> np.ndarray:
    """(lines, 2) uint64: signature and document, numbered from `first`.

    In code the same line in many files is how the language is written, and examples stay as they are: neither has any.
    """
    found = signatures.lines(units)
    owner = np.repeat(np.arange(len(documents)), [document.text.count("\n") + 1 for document in documents])
    judged = np.array([document.kind != "code" and document.fields is None for document in documents], bool)
    wanted = (found != 0) & judged[owner]
    return np.column_stack([found[wanted], owner[wanted].astype(np.uint64) + np.uint64(first)])


def stepped(documents: Sequence[Document], steps: Steps, tally: Tally) -> Iterator[tuple[str, Document | Dropped]]:
    """Each document after all steps, or the name of a step and what it said of it; in order."""
    results: list[tuple[str, Document | Dropped]] = [("", document) for document in documents]
    alive = list(range(len(documents)))
    for step in steps:
        some = [results[number][1] for number in alive]
        for number, result in _changed(step, some):
            _note(step.name, some[number], result, tally)
            results[alive[number]] = step.name, result
        alive = [number for number in alive if type(results[number][1]) is Document]
    for number in alive:
        document = results[number][1]
        if not document.text.strip():
            results[number] = "length", Dropped(document, "empty")
        elif document.fields is not None and (part := examples.hollow(document.fields)):
            results[number] = "length", Dropped(document, "a part is empty", f"{part}, after cleaning")
    return iter(results)


def _changed(step: Step, documents: list[Document]) -> Iterator[tuple[int, Document | Dropped]]:
    """The documents that a step may change, by their numbers, and what came of them."""
    if step.together:
        yield from enumerate(step.together(documents))
        return
    asked = step.suspects(documents) if step.suspects else [True] * len(documents)
    for number, wanted in enumerate(asked):
        if wanted:
            yield number, step.function(documents[number])


def _note(name: str, before: Document, result: Document | Dropped, tally: Tally) -> None:
    if isinstance(result, Document) and result.changes != before.changes:
        more = Counter(dict(result.changes))
        more.subtract(dict(before.changes))
        tally.note(name, (+more).items())


def steps_of(wanted: Iterable[tuple[str, Any]], maker: Any = None, key: str = "") -> list[Step]:
    """The steps by their names and settings; what personal data stood there goes to maker.originals.

    key: stands for the settings and all that steps read; with one, a process makes them but once.
    """
    steps = _steps_made(key, tuple(wanted)) if key else _steps(wanted)
    if maker is None:
        return steps
    return [step._replace(function=_reversible(importlib.import_module(ROOM + name).step_with_map(settings), maker))
            if name == "privacy" and settings.map is not None else step
            for step, (name, settings) in zip(steps, wanted, strict=True)]  # fmt: skip


@lru_cache(1)
def _steps_made(key: str, wanted: tuple[tuple[str, Any], ...]) -> list[Step]:
    return _steps(wanted)


def _steps(wanted: Iterable[tuple[str, Any]]) -> list[Step]:
    found = []
    for name, settings in wanted:
        room = importlib.import_module(ROOM + name)
        made = [getattr(room, one)(settings) if hasattr(room, one) else None for one in ("suspects", "together")]
        found.append(Step(name, room.step(settings), *made))
    return found


def _reversible(both: Callable[[Document], tuple[Document, dict[str, str]]], maker: Any) -> Function:
    def masked(document: Document) -> Document:
        result, part = both(document)
        maker.originals.update(part)
        return result

    return masked


def plain(faults: Faults) -> dict:
    """Faults as JSON knows them."""
    return {"count": faults.count, "first": [[one.source, one.message] for one in faults.first], "kinds": faults.kinds}


def joined(parts: Iterable[Mapping[str, Any]], most: int) -> Faults:
    """The faults of several blocks together."""
    faults = Faults(most)
    for part in parts:
        faults.count += part["count"]
        faults.first += [Fault(*one) for one in part["first"]][: max(most - len(faults.first), 0)]
        for kind, (count, source) in part["kinds"].items():
            faults.kinds.setdefault(kind, [0, source])[0] += count
    return faults


def size_of(text: str) -> tuple[int, int]:
    """Its characters and bytes."""
    return len(text), len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def lot_of(document: Document, split: str, seed: int) -> float:
    """The number that decides on which side it is: its own, that of its whole file, or one that its own word gives."""
    if split == "given" and document.split:
        return -1.0 if document.split == "heldout" else 2.0
    return lot(Document(source_file(document.source), "") if split == "source" else document, seed)


def source_file(source: str) -> str:
    """A document's file, without the line."""
    name, _, line = source.rpartition(":")
    return name if name and line.isdigit() else source


def record(document: Document) -> dict:
    """A document as a line of a file; what it does not say is left out."""
    found = vars(document)
    wanted = {"text"} | ({"title"} if document.label and document.fields is None else set())  # see examples: no class
    return {key: found[key] for key in NAMES if key in wanted or found[key] != getattr(PLAIN, key)}


def line_of(document: Document) -> bytes:
    """The line of `record`; of a plain text, as most are, in a third of the time."""
    if (document.fields is not None or document.changes or document.label or document.split
            or document.kind != PLAIN.kind):  # fmt: skip
        return line(record(document))
    title = f', "title": {ENCODE(document.title)}' if document.title else ""
    language = f', "language": {ENCODE(document.language)}' if document.language else ""
    source = f', "source": {ENCODE(document.source)}' if document.source else ""
    try:
        return f'{{"text": {ENCODE(document.text)}{source}{title}{language}}}\n'.encode()
    except UnicodeEncodeError:
        return line(record(document))


def document_of(found: Mapping[str, Any]) -> Document:
    """The document of such a line."""
    changes = tuple((reason, count) for reason, count in found.get("changes", ()))
    return Document(**{**found, "changes": changes})


def left_out(one: Dropped, step: str) -> dict:
    """A document that is left out, as a line of a file."""
    return {"source": one.document.source, "step": step, "reason": one.reason, "detail": one.detail,
            "text": one.document.text}  # fmt: skip


def line(found: Mapping[str, Any]) -> bytes:
    """As JSON; half a surrogate pair, which has no UTF-8 form, is written as JSON's escape."""
    try:
        return ENCODE(found).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(found).encode("ascii") + b"\n"
