"""Tensors to a safetensors file and back into place, one at a time: neither way holds a second copy of them all.

Knows no model and no optimizer; names are the caller's.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError

CHUNK = 1 << 26  # bytes that are mapped at once while a file is read
NAMES = {torch.float64: "F64", torch.int64: "I64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16",
         torch.float16: "F16", torch.uint8: "U8", torch.int8: "I8", torch.bool: "BOOL"}  # fmt: skip


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors on any device as a file that every safetensors reader opens."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so each stands at its own size
    header, end = {}, 0
    for name in names:
        t = tensors[name]
        begin, end = end, end + t.numel() * t.element_size()
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            flat = tensors[name].detach().contiguous().reshape(-1)
            for part in flat.split(CHUNK // flat.element_size()):
                file.write(part.cpu().view(torch.uint8).numpy().data)


@torch.no_grad()
def fill(path: Path, targets: Mapping[str, Tensor]) -> None:
    """Copy a file into tensors of the same names and shapes. CheckpointError where the two do not fit."""
    for names in chunks(checked(path, targets), targets):
        with safe_open(path, "pt") as file:  # opened anew so that what was mapped before is given back
            for name in names:
                targets[name].copy_(file.get_tensor(name))


def checked(path: Path, targets: Mapping[str, Tensor]) -> list[str]:
    """The names in a file, which must be those of the targets."""
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: the file does not load ({reason}); remove its folder to begin anew") from None
    for names, what in ((targets.keys() - shapes.keys(), "missing"), (shapes.keys() - targets.keys(), "unknown")):
        if names:
            raise CheckpointError(f"{path}: {min(names)} is {what}; the state belongs to another model or optimizer")
    for name, shape in shapes.items():
        if shape != tuple(targets[name].shape):
            raise CheckpointError(f"{path}: {name} is {shape}; expected {tuple(targets[name].shape)}, the state "
                                  "belongs to another model")  # fmt: skip
    return list(shapes)


def chunks(names: list[str], targets: Mapping[str, Tensor]) -> list[list[str]]:
    """Names in groups of about CHUNK bytes."""
    found, held = [[]], 0
    for name in names:
        size = targets[name].numel() * targets[name].element_size()
        if held and held + size > CHUNK:
            found, held = [*found, []], 0
        found[-1].append(name)
        held += size
    return found
