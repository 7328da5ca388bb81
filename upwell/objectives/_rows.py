"""Supervised examples as arrays of tokens: made once, kept memory-mapped, dealt to batches of like lengths or packed.

    table = kept(part, "label", [settings], {"ids": np.uint32, "label": np.int64}, rows)   # documents -> columns
    Bucketed(lengths, rows, seed, make)       one example a row, batches of about one length
    Packed(lengths, room, seed, make)         several examples a row

A row of a table is one example that a model is asked; every column holds any number of values a row. Both samplers
have .batch, .samples, .samples_per_epoch and .whole, and sample i is a pure function of (seed, i). It knows no model.
"""

import contextlib
import hashlib
import io
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from upwell.atomic import new_folder, said_plainly
from upwell.errors import DataError
from upwell.settings import plain
from upwell.text import Document
from upwell.tokens.batches import IGNORE, Ahead, Batch, keys, permuted
from upwell.tokens.buckets import EVEN, Deal
from upwell.tokens.packing import LOOK, best_fit

from . import Part

VERSION = 3
AT_ONCE = 1000  # documents whose texts are encoded together
KINDS = {"chat": "a chat", "answer": "a question about a text", "label": "a text with a label", "pair": "a pair of "
         "texts", "tag": "words with tags"}  # fmt: skip


class Column(NamedTuple):
    """values of all rows one behind the other; row i is values[starts[i] : starts[i + 1]]."""

    values: np.ndarray
    starts: np.ndarray

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """How many values each row has."""
        return np.diff(self.starts)

    def filled(self, rows: np.ndarray, width: int, empty: int) -> np.ndarray:
        """The values of these rows (B,) as (B, width), int64, with `empty` behind them."""
        found = np.full((len(rows), width), empty, dtype=np.int64)
        for place, row in enumerate(rows.tolist()):
            values = self[row]
            found[place, : len(values)] = values
        return found


Table = dict[str, Column]


# ---- documents ----


def of_task(documents: Iterable[Document], task: str) -> Iterator[Document]:
    """The documents, each of which must be an example of this task; DataError names the one that is not."""
    for document in documents:
        found = document.fields["task"] if document.fields else ""
        if found != task:
            raise DataError(f"{document.source}: found {KINDS.get(found, 'plain text')}, expected {KINDS[task]}; take "
                            "it out of the data, or choose another objective")  # fmt: skip
        yield document


def given(part: Part, task: str) -> Iterator[Document]:
    """The documents of a part, of one task; DataError where there is none."""
    if part.documents is None:
        raise DataError(f"{part.store.folder}: its documents are not there; expected train.jsonl and heldout.jsonl "
                        "beside it, prepare the texts again")  # fmt: skip
    empty = True
    for document in of_task(part.documents(), task):
        empty = False
        yield document
    if empty:
        raise DataError(f"{part.store.folder} holds no example; expected {KINDS[task]} or more, add some and prepare "
                        "again, or hold out a larger share")  # fmt: skip


def encoded(documents: Iterable[Document], texts: Callable[[Document], Sequence[str]],
            tokenizer) -> Iterator[tuple[Document, list[list[int]]]]:  # fmt: skip
    """(document, the ids of each of its texts), some of them together on all cores."""
    for some in at_once(documents, AT_ONCE):
        parts = [list(texts(one)) for one in some]
        ids = iter(tokenizer.encode_batch([text for texts_of_one in parts for text in texts_of_one]))
        yield from ((one, [next(ids) for _ in texts_of_one]) for one, texts_of_one in zip(some, parts, strict=True))


def at_once(values: Iterable, count: int) -> Iterator[list]:
    """Lists of `count` values; the last one may be shorter."""
    some = []
    for value in values:
        some.append(value)
        if len(some) == count:
            yield some
            some = []
    if some:
        yield some


def within(ids: list[int], room: int, document: Document, cut: bool) -> list[int]:
    """The ids, cut to `room` where that is allowed; DataError with the place of a longer text where it is not."""
    if len(ids) > room and not cut:
        raise DataError(f"{document.source}: found {len(ids):,} tokens, expected at most {room:,}, so many places are "
                        "in a row; set a longer context, divide the text, or allow cutting (--learn.cut)")  # fmt: skip
    return ids[:room]


# ---- tables ----


def kept(part: Part, name: str, settings: Sequence, columns: Mapping[str, type],
         rows: Callable[[], Iterable[tuple]]) -> Table:  # fmt: skip
    """The table of the rows that rows() gives, each with the values of every column; from part.cache where it is there.

    settings: everything beside the documents, the tokenizer, the template and the context that decides the rows.
    """
    if part.cache is None:
        return _in_memory(columns, rows())
    what = [VERSION, name, _documents_hash(part), part.tokenizer.hash, part.template.hash if part.template else "",
            part.context, part.config, *settings]  # fmt: skip
    key = hashlib.sha256(json.dumps(plain(what), sort_keys=True, default=str).encode()).hexdigest()
    folder = Path(part.cache) / f"{name}-{key[:24]}"
    if not folder.is_dir():
        with new_folder(folder) as new, said_plainly(folder):
            with contextlib.ExitStack() as opened:
                files = {one: opened.enter_context(open(new / f"{one}.bin", "wb")) for one in columns}
                starts = _written(files, columns, rows())
            for one, values in starts.items():
                np.save(new / f"{one}.npy", values, allow_pickle=False)
    return {one: _mapped(folder, one, kind) for one, kind in columns.items()}


def _documents_hash(part: Part) -> str:
    """SHA-256 of the documents: of their file where it lies beside the store, else of what they say."""
    folder = Path(part.store.folder)
    file = folder.with_name(f"{folder.name}.jsonl")
    if file.is_file():
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    found = hashlib.sha256()
    for one in part.documents():
        found.update(json.dumps([one.text, one.fields], sort_keys=True, default=str).encode())
    return found.hexdigest()


def _in_memory(columns: Mapping[str, type], rows: Iterable[tuple]) -> Table:
    files = {name: io.BytesIO() for name in columns}
    starts = _written(files, columns, rows)
    return {name: Column(np.frombuffer(files[name].getvalue(), kind), starts[name]) for name, kind in columns.items()}


def _written(files: Mapping[str, io.IOBase], columns: Mapping[str, type], rows: Iterable[tuple]) -> dict:
    """Write every row's values; gives where they begin, by column."""
    starts = {name: array("q", [0]) for name in columns}
    for row in rows:
        for (name, kind), values in zip(columns.items(), row, strict=True):
            files[name].write(np.asarray(values, dtype=kind).tobytes())
            starts[name].append(starts[name][-1] + len(values))
    return {name: np.array(values, dtype=np.int64) for name, values in starts.items()}


def _mapped(folder: Path, name: str, kind: type) -> Column:
    path, starts = folder / f"{name}.bin", np.load(folder / f"{name}.npy", allow_pickle=False)
    size = int(starts[-1]) * np.dtype(kind).itemsize
    if path.stat().st_size != size:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes, expected {size:,}; remove {folder}, so that it is "
                        "made anew")  # fmt: skip
    values = np.memmap(path, dtype=kind, mode="r").view(np.ndarray) if size else np.empty(0, kind)
    return Column(values, starts)


# ---- samplers ----


class Bucketed:
    """One example a row, in batches of about one length; make(examples (B,), together (N,)) gives the batch.

    lengths (examples,) decides which come together; rows are to be as wide as the longest of `together`.
    """

    def __init__(self, lengths: np.ndarray, rows: int, seed: int, context: int, make: Callable):
        self.deal, self.make = Deal(np.maximum(lengths, 1), rows, seed, max(EVEN, context // 32)), make
        self.examples, self.samples_per_epoch = len(lengths), self.deal.batches * rows

    def batch(self, first: int, size: int):
        """Samples first .. first + size - 1; take size = rows and first a multiple of it for batches of one length."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray):
        """The samples of these numbers (B,)."""
        chosen, together = self.deal.rows_of(np.asarray(numbers, dtype=np.int64))
        return self.make(chosen, together.ravel())

    def whole(self, size: int) -> Iterator:
        """Every example once, in order."""
        for first in range(0, self.examples, size):
            chosen = np.arange(first, min(first + size, self.examples))
            yield self.make(chosen, chosen)


class Packed:
    """Rows of several examples, of which none is torn; make(list of the examples of each row) gives the batch.

    Which examples share a row depends on their lengths alone (best-fit decreasing, as tokens/packing); each epoch has
    an order of its own. lengths (examples,): at most `room`.
    """

    def __init__(self, lengths: np.ndarray, room: int, seed: int, make: Callable):
        self.seed, self.make = seed, make
        self.chosen, self.first = _fitted(lengths, room)
        self.samples_per_epoch = len(self.first) - 1
        self._order = Ahead(self._rows_of)

    def batch(self, first: int, size: int):
        """Samples first .. first + size - 1."""
        return self.samples(np.arange(first, first + size, dtype=np.int64))

    def samples(self, numbers: np.ndarray):
        """The samples of these numbers (B,)."""
        return self._made(self._order(np.asarray(numbers, dtype=np.int64)))

    def whole(self, size: int) -> Iterator:
        """Every row once, in order, and so every example."""
        for first in range(0, self.samples_per_epoch, size):
            yield self._made(np.arange(first, min(first + size, self.samples_per_epoch)))

    def _made(self, rows: np.ndarray):
        return self.make([self.chosen[self.first[row] : self.first[row + 1]] for row in rows.tolist()])

    def _rows_of(self, numbers: np.ndarray) -> np.ndarray:
        epoch, inside = np.divmod(numbers, self.samples_per_epoch)
        return permuted(inside, self.samples_per_epoch, keys(epoch, self.seed))


def _fitted(lengths: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples row by row, and the place in them where each row begins."""
    parts, count = [], 0
    for first in range(0, len(lengths), LOOK):
        rows = best_fit(lengths[first : first + LOOK], room)
        order = np.argsort(rows, kind="stable")
        parts.append((order + first, rows[order] + count))
        count += int(rows.max()) + 1
    chosen, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    return chosen, np.searchsorted(rows, np.arange(count + 1))


# ---- batches ----


def width(lengths: np.ndarray) -> int:
    """Places of a row that holds the longest of these: a multiple of 8, so that a model meets few shapes."""
    return int(-(-max(int(lengths.max()), 1) // EVEN) * EVEN)


def next_tokens(table: Table, rows: list[np.ndarray], context: int, pad: int):
    """tokens.batches.Batch of packed rows: "ids" of a table are whole texts, "learnt" says which are targets.

    What stays empty holds `pad`, asks nothing and is a document of its own.
    """
    import torch

    shape = (len(rows), context)
    ids, targets = np.full(shape, pad, dtype=np.int64), np.full(shape, IGNORE, dtype=np.int64)
    documents = np.zeros(shape, dtype=np.int32)
    for row, examples in enumerate(rows):
        at = 0
        for number, one in enumerate(examples.tolist()):
            text, asked = table["ids"][one].astype(np.int64), table["learnt"][one].astype(bool)
            here = slice(at, at + len(text) - 1)
            ids[row, here], targets[row, here] = text[:-1], np.where(asked[1:], text[1:], IGNORE)
            documents[row, here] = number
            at += len(text) - 1
        documents[row, at:] = len(examples)
    return Batch(*map(torch.from_numpy, (ids, targets, documents)))


def packed_tokens(batch) -> int:
    """Tokens of a packed Batch without the empty places: they are the last document of a row and ask nothing."""
    last = batch.documents == batch.documents[:, -1:]
    empty = ~((batch.targets != IGNORE) & last).any(1, keepdim=True)
    return int((~(last & empty)).sum())
