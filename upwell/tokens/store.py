"""Token ids of many documents on disk: flat binary shards, opened as memory maps.

    tokens-00000.bin ...   little-endian ids, uint16, or uint32 for vocabularies above 65,536
    starts.npy             int64, documents + 1: where each document begins; the last entry is the end of all
    index.json             counts and kinds; what the files must agree with

A store may also lie at an fsspec address (s3://bucket/store): then its shards are read by byte ranges, see remote.

A document is stored as [end] + its ids: the end-of-text token begins each document, and so it also closes the
one before. The files know ids only: no text, no model.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from upwell.atomic import new_folder
from upwell.errors import DataError
from upwell.tokens import remote

VERSION = 1
SHARD_TOKENS = 1 << 27
BUFFER_TOKENS = 1 << 20


def write(
    folder: str | Path,
    documents: Iterable[Sequence[int] | np.ndarray],
    vocab_size: int,
    end: int,
    text_bytes: int = 0,
    tokenizer_hash: str = "",
    shard_tokens: int = SHARD_TOKENS,
) -> dict:
    """Write documents (each a sequence of ids, without the end token) to a new store; give its index.

    text_bytes: UTF-8 bytes of the text that the ids stand for, kept for bits per byte.
    The folder appears whole or not at all. Raises DataError for no documents or an id outside of the
    vocabulary, ServiceError for a full disk.
    """
    with new_folder(folder) as partial:
        writer = _Writer(partial, vocab_size, end, shard_tokens)
        for ids in documents:
            writer.add(ids)
        index = writer.finish() | {"text_bytes": int(text_bytes), "tokenizer": tokenizer_hash}
        (partial / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return index


class Store:
    """A store opened for reading: len(store) tokens, .documents, .starts (documents + 1,), .read(a, b).

    Also .vocab_size, .end, .text_bytes (UTF-8 bytes of the text), .tokenizer (its hash) and .sha256 (of all ids), as
    written.
    folder: a path, whose files are mapped into memory, or an fsspec address.
    Raises DataError naming the file that is missing, cut short or at odds with the index, ServiceError for an address
    that does not answer.
    """

    def __init__(self, folder: str | Path):
        far = remote.is_address(folder)
        self.folder = str(folder) if far else Path(folder)
        self._files = remote.Folder(str(folder)) if far else _Local(self.folder)
        index = _read_index(self._files)
        self.vocab_size, self.end = index["vocab_size"], index["end"]
        self.text_bytes, self.tokenizer = index["text_bytes"], index["tokenizer"]
        self.sha256 = index.get("sha256", "")
        self.dtype = np.dtype(index["dtype"])
        self.starts = _read_starts(self._files, index)
        self.documents = len(self.starts) - 1
        self._shards = [self._open(name, tokens) for name, tokens in index["shards"].items()]
        self._offsets = np.concatenate([[0], np.cumsum([len(shard) for shard in self._shards])])

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens start .. stop-1 (stop - start,), in the store's dtype; a view where one shard holds them."""
        assert 0 <= start <= stop <= len(self), (start, stop, len(self))
        shard = int(np.searchsorted(self._offsets, start, side="right")) - 1
        parts = []
        while start < stop:
            first, last = int(self._offsets[shard]), int(self._offsets[shard + 1])
            parts.append(self._shards[shard][start - first : min(stop, last) - first])
            start, shard = last, shard + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, self.dtype)])

    def document(self, number: int) -> np.ndarray:
        """The ids of one document without the end token that begins it."""
        return self.read(int(self.starts[number]) + 1, int(self.starts[number + 1]))

    def _open(self, name: str, tokens: int) -> np.ndarray:
        expected = tokens * self.dtype.itemsize
        found = self._files.size(name)
        if found != expected:
            state = "is missing" if found is None else f"has {found:,} bytes"
            raise _damaged(f"{self.folder}/{name}", f"{state}, index.json says {expected:,}")
        return self._files.array(name, self.dtype, tokens)


class _Local:
    """A folder of this machine, its files mapped into memory; remote.Folder is the same at an address."""

    def __init__(self, folder: Path):
        self.address = folder

    def size(self, name: str) -> int | None:
        path = self.address / name
        return path.stat().st_size if path.is_file() else None

    def read(self, name: str) -> bytes | None:
        path = self.address / name
        return path.read_bytes() if path.is_file() else None

    def array(self, name: str, dtype: np.dtype, length: int) -> np.ndarray:
        return np.memmap(self.address / name, dtype=dtype, mode="r", shape=(length,)).view(np.ndarray)

    def numbers(self, name: str) -> np.ndarray:
        """A .npy file; mapped too, since the borders of a large corpus take gigabytes."""
        return np.load(self.address / name, mmap_mode="r", allow_pickle=False)


class _Writer:
    """Collects ids and spills them to shards, so that memory stays bounded whatever the corpus."""

    def __init__(self, folder: Path, vocab_size: int, end: int, shard_tokens: int):
        self.folder, self.vocab_size, self.end, self.shard_tokens = folder, vocab_size, end, shard_tokens
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.starts, self.total = [0], 0
        self.waiting, self.waiting_tokens = [], 0
        self.shards, self.hash = {}, hashlib.sha256()

    def add(self, ids: Sequence[int] | np.ndarray) -> None:
        array = np.empty(len(ids) + 1, dtype=np.int64)
        array[0], array[1:] = self.end, ids
        low, high = array.min(), array.max()
        if low < 0 or high >= self.vocab_size:
            wrong = int(low if low < 0 else high)
            raise DataError(
                f"document {len(self.starts)}: token {wrong} lies outside of the vocabulary of "
                f"{self.vocab_size:,}; prepare the text with the tokenizer of this vocabulary."
            )
        self.waiting.append(array.astype(self.dtype))
        self.waiting_tokens += len(array)
        self.total += len(array)
        self.starts.append(self.total)
        if self.waiting_tokens >= BUFFER_TOKENS:
            self._spill()

    def finish(self) -> dict:
        if self.total == 0:
            raise DataError("There is no document to store; give at least one text that is not empty.")
        self._spill()
        np.save(self.folder / "starts.npy", np.array(self.starts, dtype="<i8"), allow_pickle=False)
        return {
            "version": VERSION,
            "tokens": self.total,
            "documents": len(self.starts) - 1,
            "vocab_size": self.vocab_size,
            "end": self.end,
            "dtype": self.dtype.str,
            "shards": self.shards,
            "sha256": self.hash.hexdigest(),
        }

    def _spill(self) -> None:
        """Append what waits to the last shard, beginning new shards where one is full."""
        tokens = np.concatenate(self.waiting) if self.waiting else np.empty(0, self.dtype)
        self.waiting, self.waiting_tokens = [], 0
        self.hash.update(tokens.tobytes())
        while len(tokens):
            name = f"tokens-{max(len(self.shards) - 1, 0):05d}.bin"
            if self.shards.get(name, 0) == self.shard_tokens:
                name = f"tokens-{len(self.shards):05d}.bin"
            held = self.shards.get(name, 0)
            part, tokens = tokens[: self.shard_tokens - held], tokens[self.shard_tokens - held :]
            with open(self.folder / name, "ab") as file:
                file.write(part.tobytes())
            self.shards[name] = held + len(part)


def _read_index(files: "_Local | remote.Folder") -> dict:
    path, content = f"{files.address}/index.json", files.read("index.json")
    if content is None:
        raise DataError(f"{files.address} is no token store: it has no index.json; make one with `upwell prepare`.")
    try:
        index = json.loads(content.decode("utf-8"))
        counts = [index[key] for key in ("tokens", "documents", "vocab_size", "end", "text_bytes")]
        whole = all(type(count) is int for count in counts) and index["dtype"] in ("<u2", "<u4")
        whole = whole and sum(index["shards"].values()) == index["tokens"] and "tokenizer" in index
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"is not a whole index ({error})") from error
    if not whole or index.get("version") != VERSION:
        raise _damaged(path, "does not agree with itself or is of another version")
    return index


def _read_starts(files: "_Local | remote.Folder", index: dict) -> np.ndarray:
    path = f"{files.address}/starts.npy"
    if files.size("starts.npy") is None:
        raise _damaged(path, "is missing")
    try:
        starts = files.numbers("starts.npy").view(np.ndarray)
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    agrees = starts.shape == (index["documents"] + 1,) and starts[0] == 0 and starts[-1] == index["tokens"]
    if not agrees or not _rising(starts):
        raise _damaged(path, "does not agree with index.json")
    return starts


def _rising(numbers: np.ndarray, at_once: int = 1 << 22) -> bool:
    """Whether each number is above the one before it; in parts, so that no copy of them all is made."""
    parts = range(0, len(numbers) - 1, at_once)
    return all(np.all(np.diff(numbers[first : first + at_once + 1]) > 0) for first in parts)


def _damaged(path: str, what: str) -> DataError:
    return DataError(
        f"{path} {what}: the store is damaged or was copied in part; run `upwell prepare` again."
    )
