"""A model's weights written as Hugging Face's files one tensor after the other, so that no process holds them all.

`read(name)` gives a tensor of ours when it is its turn, from a state on disk or gathered from other processes; the
order is that of `names`. The format is that of safetensors: 8 bytes with the length of a JSON header, the header, the
numbers. It knows no model and no processes.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..atomic import new_file, write_file
from .budget import skeleton
from .config import Config
from .hub import table
from .names import Row

KINDS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.float64: "F64"}
LARGEST = 5 * 10**9  # bytes of one file


def names(config: Config) -> list[str]:
    """Our tensors in the order in which they are asked for."""
    return [name for row in table(config) for name in row.ours]


def write(config: Config, read: Callable[[str], Tensor], folder: Path, dtype: torch.dtype = torch.float32,
          largest: int = LARGEST) -> list[str]:  # fmt: skip
    """Write model.safetensors, or several files of at most about `largest` bytes and their index; gives their names."""
    shapes = {name: t.shape for name, t in skeleton(config).state_dict().items()}
    rows = [(row, theirs(row, shapes)) for row in table(config)]
    files = list(split(rows, dtype.itemsize, largest))
    many = len(files) > 1
    told = [f"model-{n:05d}-of-{len(files):05d}.safetensors" if many else "model.safetensors"
            for n in range(1, len(files) + 1)]  # fmt: skip
    for name, some in zip(told, files, strict=True):
        with new_file(Path(folder) / name) as temporary:
            one_file(temporary, some, read, dtype)
    if not many:
        return told
    where = {row.theirs: name for name, some in zip(told, files, strict=True) for row, _ in some}
    size = sum(shape.numel() * dtype.itemsize for _, shape in rows)
    index = json.dumps({"metadata": {"total_size": size}, "weight_map": where}, indent=2) + "\n"
    write_file(Path(folder) / "model.safetensors.index.json", index.encode())
    return [*told, "model.safetensors.index.json"]


def theirs(row: Row, shapes: dict[str, torch.Size]) -> torch.Size:
    """The shape of one of their tensors."""
    return row.write([torch.empty(shapes[name], device="meta") for name in row.ours]).shape


def split(rows: Iterable[tuple[Row, torch.Size]], bytes_each: int, largest: int) -> Iterator[list]:
    """Rows in the order of the model, as many to a file as fit."""
    some, held = [], 0
    for row, shape in rows:
        size = shape.numel() * bytes_each
        if some and held + size > largest:
            yield some
            some, held = [], 0
        some.append((row, shape))
        held += size
    yield some


def one_file(path: Path, rows: list[tuple[Row, torch.Size]], read: Callable, dtype: torch.dtype) -> None:
    """One file of safetensors."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for row, shape in rows:
        begin, end = end, end + shape.numel() * dtype.itemsize
        header[row.theirs] = {"dtype": KINDS[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for row, _ in rows:
            tensor = row.write([read(name).detach().cpu() for name in row.ours]).to(dtype).contiguous()
            file.write(memoryview(tensor.flatten().view(torch.uint8).numpy()))
