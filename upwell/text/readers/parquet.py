"""Parquet and Arrow: one record a row (see text.examples); parsed in a child process. Columns of bytes are not read."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from upwell.text import Document, Fault, confined, examples
from upwell.text.encodings import Unreadable

SUFFIXES = (".parquet", ".pq", ".arrow", ".feather")
ROWS = 256


def read(file: BinaryIO, name: str, settings, groups: tuple[int, int] = (0, 0)) -> Iterator[Document | Fault]:
    """Documents of the rows. groups: which row groups, from the first to before the last; (0, 0): all."""
    with on_disk(file) as path:
        yield from _documents(path, name, settings, groups)


@contextlib.contextmanager
def on_disk(file: BinaryIO) -> Iterator[str]:
    """The path of a file; of a stream out of an archive that of a copy, which goes afterwards."""
    path = getattr(getattr(file, "raw", file), "name", None)
    if isinstance(path, str | Path) and os.path.isfile(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="upwell-") as folder:
        path = os.path.join(folder, "rows")
        with open(path, "wb") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        yield path


def _documents(path: str, name: str, settings, groups: tuple[int, int]) -> Iterator[Document | Fault]:
    options = {"path": path, "groups": list(groups), "longest": settings.longest}
    for found in confined.parse("parquet", name, b"", settings, options):
        for number, record in enumerate(found["rows"], start=found["first"]):
            yield examples.document(record, f"{name}:{number}")


def sizes(path: str, settings) -> list[int]:
    """Bytes of each row group; [] for a file that has none or cannot be read."""
    try:
        return confined.parse_one("parquet", path, b"", settings, {"path": path, "sizes": True})["sizes"]
    except Unreadable:
        return []


def parse(data: bytes, name: str, options: dict) -> Iterator[dict[str, Any]]:
    """In the child: {"rows", "first"} of some rows each, or {"sizes"} of the row groups where options ask for them."""
    import pyarrow
    import pyarrow.parquet

    path = options["path"]
    with open(path, "rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    try:
        if options.get("sizes"):
            yield {"sizes": _sizes(path) if is_parquet else []}
            return
        first = 1
        for batch in _of_parquet(path, options["groups"]) if is_parquet else _of_arrow(path):
            if isinstance(batch, int):
                first += batch
                continue
            yield {"rows": [_plain(row) for row in batch.to_pylist()], "first": first}
            first += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        text = " ".join(str(error).split())[:160]
        raise Unreadable(f"half a file or a broken one, expected Parquet or Arrow ({text}); fetch it again") from None


def _sizes(path: str) -> list[int]:
    import pyarrow.parquet

    found = pyarrow.parquet.read_metadata(path)
    return [found.row_group(number).total_byte_size for number in range(found.num_row_groups)]


def _of_parquet(path: str, groups: list[int]) -> Iterator[Any]:
    """Batches of rows; before them the number of rows that come earlier in the file."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=False) as file:
        start, stop = groups[0], groups[1] or file.num_row_groups
        yield sum(file.metadata.row_group(number).num_rows for number in range(start))
        columns = [field.name for field in file.schema_arrow if _is_read(field.type)]
        yield from file.iter_batches(ROWS, row_groups=list(range(start, stop)), columns=columns, use_threads=False)


def _of_arrow(path: str) -> Iterator[Any]:
    import pyarrow

    with pyarrow.OSFile(path) as file:
        try:
            stream = pyarrow.ipc.open_stream(file)
            batches = iter(stream)
        except pyarrow.ArrowInvalid:
            file.seek(0)
            whole = pyarrow.ipc.open_file(file)
            batches = (whole.get_batch(number) for number in range(whole.num_record_batches))
        for batch in batches:
            batch = batch.select([field.name for field in batch.schema if _is_read(field.type)])
            yield from (batch.slice(first, ROWS) for first in range(0, batch.num_rows, ROWS))


def _is_read(kind: Any) -> bool:
    import pyarrow.types as types

    return not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items() if not isinstance(part, bytes)}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
