"""A folder of files at an fsspec URL (s3://, memory://, file:// ...), read by byte ranges through a bounded cache.

`fsspec` is imported only here and only for such an address; the protocol may ask for a package of its own (s3fs,
gcsfs), which fsspec names. Knows bytes and arrays, nothing of tokens.
"""

import io
import threading
from collections import OrderedDict

import numpy as np

from upwell.errors import ServiceError

BLOCK = 1 << 20
BLOCKS = 256


def is_address(place: object) -> bool:
    """Whether a place is a URL rather than a path."""
    return "://" in str(place)


class Folder:
    """Files below an address. At most `blocks` pieces of `block` bytes each are kept in memory."""

    def __init__(self, address: str, block: int = BLOCK, blocks: int = BLOCKS):
        self.address, self.block, self.blocks = str(address).rstrip("/"), block, blocks
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._files, self._root = _opened(self.address)

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none."""
        try:
            return int(self._files.size(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # every protocol has errors of its own
            raise _gone(f"{self.address}/{name}", error) from error

    def read(self, name: str) -> bytes | None:
        """A whole file, None where there is none."""
        try:
            return self._files.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _gone(f"{self.address}/{name}", error) from error

    def array(self, name: str, dtype: np.dtype, length: int) -> "Array":
        """A file of numbers of which slices are read."""
        return Array(self, name, dtype, length)

    def numbers(self, name: str) -> np.ndarray:
        """A whole .npy file."""
        return np.load(io.BytesIO(self.read(name)), allow_pickle=False)

    def range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes start .. stop-1 of a file."""
        first, last = start // self.block, max(start, stop - 1) // self.block
        joined = b"".join(self._piece(name, number) for number in range(first, last + 1))
        return joined[start - first * self.block : stop - first * self.block]

    def _piece(self, name: str, number: int) -> bytes:
        key = name, number
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        path, start = f"{self._root}/{name}", number * self.block
        try:
            piece = self._files.cat_file(path, start=start, end=start + self.block)
        except Exception as error:
            raise _gone(f"{self.address}/{name}", error) from error
        with self._lock:
            self._kept[key] = piece
            while len(self._kept) > self.blocks:
                self._kept.popitem(last=False)
        return piece


class Array:
    """A file of numbers of one kind, of which slices are read: len(array), array[a:b] -> np.ndarray."""

    def __init__(self, folder: Folder, name: str, dtype: np.dtype, length: int):
        self.folder, self.name, self.dtype, self.length = folder, name, dtype, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.length)
        each = self.dtype.itemsize
        found = np.frombuffer(self.folder.range(self.name, start * each, stop * each), dtype=self.dtype)
        if len(found) != stop - start:
            raise ServiceError(f"{self.folder.address}/{self.name} gave {len(found):,} numbers from {start:,} on, "
                               f"expected {stop - start:,}: it changed while it was read; open the store again.")
        return found


def _opened(address: str):
    """(the file system, the folder's path in it)."""
    try:
        import fsspec
    except ImportError:
        raise ServiceError(f"{address} is an address, and reading it needs fsspec: pip install fsspec") from None
    try:
        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ServiceError(f"{address} cannot be opened: {error}") from error


def _gone(place: str, error: Exception) -> ServiceError:
    return ServiceError(f"{place} cannot be read ({type(error).__name__}: {error}); look at the network and the "
                        "address, then run the same command again.")
