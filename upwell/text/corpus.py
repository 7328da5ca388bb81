"""A corpus from files to distinct, divided documents, on one machine or many, with bounded memory.

    build(groups, work, settings, engine, progress) -> Corpus       blocks, repetitions, repeated lines, the division

The stages are maps over tasks (see runner), and everything large lies in files below work.folder, so a run that was
killed goes on from the blocks that are there. The order of documents is that of the files, and nothing depends on
the number of workers, on the memory or on the machine: the same files and settings give the same bytes.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from upwell.atomic import said_plainly
from upwell.errors import DataError
from upwell.text import Document, Dropped, blocks, dedup, signatures, sources
from upwell.text.blocks import Tally, Task, Work
from upwell.text.clean import BLANK_LINES
from upwell.text.dedup import Block
from upwell.text.division import divide
from upwell.text.runner import Engine
from upwell.text.split import lot

FEW_DOCUMENTS, PIECES = 20, 40
FEW_KEYS = 200_000  # which one worker sorts sooner than another is told of them
PART_BYTES = 24  # of one key while a range of them is sorted: the key, its document, the order
GLOBAL = ("exact", "near", "paragraphs", "split")
Progress = Callable[[str, float], None]
"""Told the stage, and how much of the whole is done, 0 .. 1."""


@dataclass(frozen=True)
class Settings:
    """What is compared over all documents, and how they are divided."""

    near: float = 0.8
    """Leave out a document whose similarity to an earlier one is at least this; 1: exact repetitions only; 0: none."""
    repeated: int = 10
    """Take a line or paragraph out of all documents but the first where it stands in more than so many; 0: never."""
    heldout: float = 0.05
    """Share of the documents that is kept for measuring."""
    split: Literal["document", "source", "given"] = "document"
    """What is held out: single documents, whole files, or what records with a key `split` say themselves."""
    seed: int = 0
    """Which those are."""
    memory: int = 2 << 30
    """Bytes that all workers together may take, about."""
    workers: int = 1


@dataclass(frozen=True)
class Corpus:
    """What came of it. parts: for "train", "heldout" and "dropped" the files whose sum it is, in order."""

    parts: dict[str, list[Path]]
    tally: dict
    """Counts of all stages, in the words of manifest.json."""
    samples: dict[str, list[dict]]
    faults: list[str]
    originals: dict[str, str]
    """What numbered placeholders stand for; empty unless asked for."""


@dataclass(frozen=True)
class Cut:
    """How one block is finished."""

    block: Block
    weight: float
    kept: np.ndarray
    first: np.ndarray
    similarity: np.ndarray
    folder: str
    common: bool
    share: float
    split: str
    seed: int
    piece: int = 0
    """Divide documents into pieces of so many characters; 0: not at all."""


def build(
    groups: list[tuple[float, list[sources.Unit]]], work: Work, settings: Settings, engine: Engine, progress: Progress,
    pass_over: bool = False,
) -> Corpus:  # fmt: skip
    """All stages. DataError with every fault of every file at once, unless pass_over; ServiceError for a full disk."""
    tasks = blocks.tasks_of(groups)
    summaries = list(read(tasks, work, engine, progress, pass_over))
    faults = blocks.joined((summary["faults"] for summary in summaries), work.most_faults)
    if faults.count and not pass_over:
        raise faults.error()
    stored, total = stored_blocks(summaries), sum(summary["characters"] for summary in summaries)
    with said_plainly(Path(work.folder)):
        repeats = dedup.repeats(stored, engine, Path(work.folder), settings.near, ranges(stored, settings),
                                lambda done: progress("comparing", 0.6 + 0.2 * done))  # fmt: skip
        common = work.lines and common_lines(stored, repeats, settings, engine, Path(work.folder))
    kept = int((repeats.state == dedup.KEPT).sum())
    piece = max(1, total // PIECES) if 0 < kept < FEW_DOCUMENTS else 0
    cuts = [
        Cut(block, summary["weight"], repeats.state[part], repeats.first[part], repeats.similarity[part],
            work.folder, common, settings.heldout, settings.split, settings.seed, piece)
        for block, summary in zip(stored, summaries, strict=True)
        for part in [slice(block.first, block.first + block.documents)]
    ]  # fmt: skip
    finished = divided(cuts, stored, engine, lambda done: progress("writing", 0.8 + 0.2 * done))
    parts = {name: [Path(f"{block.path}.{name}.jsonl") for block in stored] for name in ("train", "heldout")}
    parts["dropped"] = [Path(f"{block.path}.{name}.jsonl") for block in stored for name in ("dropped", "left")]
    originals = {name: value for summary in summaries for name, value in summary["originals"].items()}
    tally = counted(work, summaries, finished) | {"unreadable": faults.count}
    return Corpus(parts, tally, samples(summaries, finished),
                  [str(fault) for fault in faults.first], originals)  # fmt: skip


def read(tasks: Sequence[Task], work: Work, engine: Engine, progress: Progress, pass_over: bool) -> Iterator[dict]:
    """The summaries of all blocks; the first stage, which also is the longest.

    From the first fault on, unless it is passed over, the rest is only looked through for faults: nothing else of it
    will be needed.
    """
    whole, done, faults = sum(task.bytes for task in tasks) or 1, 0, 0
    looked = replace(work, steps=(), near=False, lines=False, key=f"{work.key}, only read")
    wanted = ((looked if faults and not pass_over else work, task) for task in tasks)
    for task, summaries in zip(tasks, engine.map(_block, wanted), strict=True):
        done += task.bytes
        faults += sum(summary["faults"]["count"] for summary in summaries)
        progress("reading", 0.6 * done / whole)
        yield from summaries


def _block(wanted: tuple[Work, Task]) -> list[dict]:
    return blocks.make(*wanted)


def stored_blocks(summaries: Sequence[dict]) -> list[Block]:
    """The blocks, each with the number of its first document."""
    found, first = [], 0
    for summary in summaries:
        found.append(Block(summary["path"], first, summary["kept"]))
        first += summary["kept"]
    return found


def ranges(stored: Sequence[Block], settings: Settings) -> int:
    """In how many ranges keys are sorted, so that each worker has one and stays in its share of the memory."""
    from upwell.text.signatures import BANDS

    keys = sum(block.documents for block in stored) * BANDS
    least = settings.workers if keys > FEW_KEYS else 1
    return max(least, math.ceil(2 * keys * PART_BYTES * settings.workers / settings.memory))


# ---- lines and paragraphs that stand in many documents ----


def common_lines(stored: Sequence[Block], repeats: dedup.Repeats, settings: Settings, engine: Engine,
                 folder: Path) -> bool:  # fmt: skip
    """Write common.npy: (lines, 2) signature and the first document with it, sorted; whether there are any."""
    known = folder / "kept.npy"
    np.save(known, repeats.state == dedup.KEPT)
    count = partial(frequent, tuple(stored), str(known), settings.repeated)
    found = [part for part in engine.map(count, dedup.ranges(ranges(stored, settings))) if len(part)]
    np.save(folder / "common.npy", np.concatenate([*found, np.empty((0, 2), np.uint64)]))
    return bool(found)


def frequent(stored: Sequence[Block], kept: str, most: int, span: tuple[int, int]) -> np.ndarray:
    """(lines, 2): signatures in a range that stand in more than `most` kept documents, and the first of those."""
    alive, parts = np.load(kept, mmap_mode="r"), []
    for block in stored:
        lines = block.array("lines")
        part = np.array(lines[dedup.slice_of(lines[:, 0], span)])
        part[:, 1] += np.uint64(block.first)
        parts.append(part[np.asarray(alive[part[:, 1].astype(np.int64)])])
    lines = np.concatenate([*parts, np.empty((0, 2), np.uint64)])
    lines = lines[np.lexsort((lines[:, 1], lines[:, 0]))]
    _, first, count = np.unique(lines[:, 0], return_index=True, return_counts=True)
    return lines[first[count > most]]


# ---- finishing ----


def divided(cuts: list[Cut], stored: Sequence[Block], engine: Engine, progress: Callable[[float], None]) -> list[dict]:
    """Every block divided in learnt and held-out documents; of very few, the nearest to it is held out."""

    def cut(again: list[Cut]) -> list[dict]:
        found = []
        for result in engine.map(partial(finish, tuple(stored)), again):
            found.append(result)
            progress(len(found) / len(again))
        return found

    finished = cut(cuts)
    held, learnt = (sum(one[part]["documents"] for one in finished) for part in ("heldout", "train"))
    if held + learnt > 1 and not (held and learnt):
        nearest = math.nextafter(min(one["lot"] for one in finished), 2)
        finished = cut([replace(one, share=nearest) for one in cuts])
    return finished


def finish(stored: Sequence[Block], cut: Cut) -> dict:
    """Write one block's .train, .heldout and .left files; gives what was counted."""
    with said_plainly(Path(cut.folder)):
        return _Finisher(stored, cut).done()


class _Finisher:
    """One block on its last way. A document to which nothing happens is copied as the line that it is."""

    def __init__(self, stored: Sequence[Block], cut: Cut):
        self.stored, self.cut, self.lot, self.tally = stored, cut, 2.0, Tally()
        self.lots, self.sizes = np.array(cut.block.array("lot")), np.array(cut.block.array("size"))
        self.offsets = np.array(cut.block.array("offset"))
        self.common = np.load(f"{cut.folder}/common.npy", mmap_mode="r") if cut.common else None
        self.counts = {name: Counter(documents=0, characters=0, bytes=0) for name in ("train", "heldout")}

    def done(self) -> dict:
        """Go through the documents."""
        path, lined = self.cut.block.path, self.with_common_lines()
        origins = self.origins()
        untouched = (self.cut.kept == dedup.KEPT) & (self.cut.weight == 1 and not self.cut.piece)
        untouched[list(lined)] = False
        with (open(f"{path}.docs.jsonl", "rb") as documents, open(f"{path}.train.jsonl", "wb") as train,
              open(f"{path}.heldout.jsonl", "wb") as heldout, open(f"{path}.left.jsonl", "wb") as left):  # fmt: skip
            self.documents, self.files, self.left, begin = documents, {"train": train, "heldout": heldout}, left, 0
            for row in np.flatnonzero(~untouched).tolist():
                if self.cut.kept[row] == dedup.KEPT:  # what came before it is written before it
                    self.copy(begin + np.flatnonzero(untouched[begin:row]))
                    begin = row
                self.look(row, blocks.document_of(json.loads(self.lines(row, row + 1))), origins, lined)
            self.copy(begin + np.flatnonzero(untouched[begin:]))
        return {"tally": self.tally, "lot": self.lot, **{name: dict(count) for name, count in self.counts.items()}}

    def lines(self, begin: int, end: int) -> bytes:
        """The lines of the documents begin .. end."""
        self.documents.seek(int(self.offsets[begin]))
        return self.documents.read(int(self.offsets[end] - self.offsets[begin]))

    def copy(self, rows: np.ndarray) -> None:
        """Documents to which nothing happens, as the lines that they are; neighbours at once."""
        if not len(rows):
            return
        held = self.lots[rows] < self.cut.share
        self.lot = min(self.lot, float(self.lots[rows].min()))
        for name, chosen in (("heldout", rows[held]), ("train", rows[~held])):
            characters, size = self.sizes[chosen].sum(axis=0).tolist()
            self.counts[name].update(documents=len(chosen), characters=characters, bytes=size)
        borders = np.flatnonzero((np.diff(rows) != 1) | (held[1:] != held[:-1])) + 1
        for begin, end in zip([0, *borders.tolist()], [*borders.tolist(), len(rows)], strict=True):
            name = "heldout" if held[begin] else "train"
            self.files[name].write(self.lines(int(rows[begin]), int(rows[end - 1]) + 1))

    def look(self, row: int, document: Document, origins: dict[int, str], lined: set[int]) -> None:
        """A document to which something happens."""
        self.tally.keep(document, -1)
        name, result = self.compared(row, document, origins, lined)
        if isinstance(result, Dropped):
            self.leave(name, result)
            return
        for piece in divide(result, self.cut.piece) if self.cut.piece else [result]:
            self.draw(piece)

    def compared(self, row: int, document: Document, origins: dict[int, str],
                 lined: set[int]) -> tuple[str, Document | Dropped]:  # fmt: skip
        """The document, perhaps with fewer lines, or what it repeats."""
        state = self.cut.kept[row]
        if state != dedup.KEPT:
            name, reason = ("exact", "repetition") if state == dedup.EXACT else ("near", "near repetition")
            detail = f"of {origins[int(self.cut.first[row])]}, similarity {self.cut.similarity[row]:.2f}"
            return name, Dropped(document, reason, detail)
        if row not in lined:
            return "", document
        text, removed = without(document.text, partial(self.elsewhere, self.cut.block.first + row))
        if not text.strip():
            return "paragraphs", Dropped(document, "only repeated lines")
        self.tally.note("paragraphs", [("repeated line or paragraph removed", removed)])
        return "", replace(document, text=text)

    def with_common_lines(self) -> set[int]:
        """The documents of this block that hold a common line whose first place is elsewhere."""
        if self.common is None:
            return set()
        lines = self.cut.block.array("lines")
        found = self.elsewhere(lines[:, 1] + np.uint64(self.cut.block.first), lines[:, 0])
        return set(np.unique(lines[found, 1]).tolist())

    def elsewhere(self, documents: np.ndarray | int, lines: np.ndarray) -> np.ndarray:
        """Which of these lines of these documents are common, and stand in an earlier document first."""
        places = np.minimum(np.searchsorted(self.common[:, 0], lines), len(self.common) - 1)
        return (self.common[places, 0] == lines) & (self.common[places, 1] != np.asarray(documents, np.uint64))

    def origins(self) -> dict[int, str]:
        """Where the documents come from that documents of this block repeat."""
        numbers = np.unique(self.cut.first[self.cut.kept != dedup.KEPT])
        found = dedup.gathered(self.stored, numbers, partial(dedup.values_of, key="source"))
        return dict(zip(numbers.tolist(), (source for part in found for source in part), strict=True))

    def draw(self, document: Document) -> None:
        """Into one of the parts, as often as its source's weight says."""
        drawn = blocks.lot_of(document, self.cut.split, self.cut.seed)
        times = 1
        if self.cut.weight != 1 and drawn >= self.cut.share:
            times = math.floor(self.cut.weight + lot(document, self.cut.seed + 1))
        if not times:
            self.leave("split", Dropped(document, "not drawn", f"its source has the weight {self.cut.weight:g}"))
            return
        self.tally.keep(document)
        line = blocks.line(blocks.record(document))
        for _ in range(times):
            self.put(line, drawn, *blocks.size_of(document.text))

    def put(self, line: bytes, drawn: float, characters: int, size: int) -> None:
        """A line into the part that its lot says."""
        name = "heldout" if drawn < self.cut.share else "train"
        self.lot = min(self.lot, drawn)
        self.files[name].write(line)
        counts = self.counts[name]
        counts["documents"] += 1
        counts["characters"] += characters
        counts["bytes"] += size

    def leave(self, name: str, dropped: Dropped) -> None:
        """A document that is left out after all."""
        self.tally.leave(name, dropped)
        self.left.write(blocks.line(blocks.left_out(dropped, name)))


def without(text: str, unwanted: Callable[[np.ndarray], np.ndarray]) -> tuple[str, int]:
    """The text without the lines whose signatures are unwanted, and how many those are."""
    found = signatures.lines(signatures.units([text]))
    gone = (found != 0) & unwanted(found)
    kept = [line for line, out in zip(text.split("\n"), gone.tolist(), strict=True) if not out]
    # what stood around a removed line is no longer apart: at most two blank lines, none at the ends
    return BLANK_LINES.sub("\n\n\n", "\n".join(kept)).strip("\n"), int(gone.sum())


# ---- counts ----


def counted(work: Work, summaries: Sequence[dict], finished: Sequence[dict]) -> dict:
    """The counts of all blocks and stages together."""
    tallies = [one["tally"] for one in finished]
    steps, entering = [], sum(summary["documents"] for summary in summaries)
    for name in [*(name for name, _ in work.steps), *GLOBAL]:
        dropped = Counter()
        changed, lost = Counter(), 0
        for one in summaries:
            dropped.update(one["dropped"].get(name, {}))
            changed.update(one["changed"].get(name, {}))
            lost += one["lost"].get(name, 0)
        for tally in tallies:
            dropped.update(tally.dropped.get(name, {}))
            changed.update(tally.changed.get(name, {}))
            lost += tally.lost[name]
        steps.append({"name": name, "in": entering, "dropped": ordered(dropped), "changed": ordered(changed),
                      "characters_dropped": lost})  # fmt: skip
        entering -= sum(dropped.values())
    parts = {part: {name: sum(one[part][name] for one in finished) for name in ("documents", "characters", "bytes")}
             for part in ("train", "heldout")}  # fmt: skip
    lengths = [*(one["lengths"] for one in summaries), *(tally.lengths for tally in tallies)]
    return {
        "read": {name: sum(one[name] for one in summaries) for name in ("documents", "characters", "bytes")},
        "steps": steps,
        "encodings": encodings(summaries),
        **{name: together(name, summaries, tallies) for name in ("kinds", "languages", "tasks")},
        "lengths": {"edges": list(blocks.EDGES), "documents": np.sum(lengths, axis=0).tolist() if lengths else []},
        **parts,
    }


def together(name: str, summaries: Sequence[dict], tallies: Sequence[Tally]) -> dict[str, int]:
    """One count of the documents that stayed: what the blocks kept, and what finishing changed."""
    counts = Counter()
    for part in [*(one[name] for one in summaries), *(getattr(tally, name) for tally in tallies)]:
        counts.update(part)
    return ordered(+counts)


def encodings(summaries: Sequence[dict]) -> dict[str, int]:
    """Documents by the encoding that they were read in."""
    read = sum((Counter(one["changed"].get("read", {})) for one in summaries), Counter())
    other = Counter({reason.removeprefix("read as "): count for reason, count in read.items()
                     if reason.startswith("read as ")})  # fmt: skip
    rest = sum(one["documents"] for one in summaries) - other.total()
    return ordered(other + Counter({"utf-8": rest}))


def ordered(counts: Counter) -> dict[str, int]:
    """The largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def samples(summaries: Sequence[dict], finished: Sequence[dict]) -> dict[str, list[dict]]:
    """The first few of each reason."""
    found: dict[str, list[dict]] = {}
    for part in [*(one["samples"] for one in summaries), *(one["tally"].samples for one in finished)]:
        for reason, some in part.items():
            held = found.setdefault(reason, [])
            held += some[: blocks.SAMPLES - len(held)]
    return found


def enough(corpus: Corpus, least: int) -> None:
    """DataError for too little to learn from."""
    read, learnt = corpus.tally["read"], corpus.tally["train"]
    if read["characters"] < least:
        raise DataError(
            f"The text is too little: {read['characters']:,} characters in {read['documents']:,} documents, and at "
            f"least {least:,} are needed (a million and more to write well); add text, or begin with a corpus from "
            "`upwell fetch wiki-intros`."
        )
    if learnt["characters"] < least / 2:
        documents = learnt["documents"] + corpus.tally["heldout"]["documents"]
        raise DataError(
            f"After repetitions and what the steps dropped were left out, {documents:,} documents remain, and too "
            f"little text to learn from (at least {least:,} characters are needed); add text that differs, or look at "
            "what goes with `upwell prepare ... --skip quality --dry-run`."
        )
