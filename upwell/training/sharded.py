"""States of several processes: each writes its own part, in the background; any number of processes reads them back.

A state is a folder state/step-00001200 with a file rank-00003-of-00008.safetensors from each process and state.json. A
file holds parts of tensors; its header says of each the shape of the whole and where the part begins. What every
process has whole is written by one of them. The folder gets its name when all files are there: whole or not at all.

Reading goes by name and place, so that a state fits any number of processes, divided or not, and one process's own
layout (state.py) reads the same way. Nothing is pickled. It knows no optimizer and no model, only names and tensors.
"""

import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..atomic import _put_in_place, _sync, said_plainly
from ..errors import CheckpointError, ServiceError, UpwellError
from .parallel import Alone, local, place

SLICES = "slices"  # the key of a file's header under which JSON says {name: [shape of the whole, offsets]}


class Part(NamedTuple):
    """A piece of a tensor in a file."""

    file: str
    key: str
    shape: tuple[int, ...]
    offsets: tuple[int, ...]


class Whole(NamedTuple):
    """A tensor of a state, wherever its pieces lie."""

    shape: tuple[int, ...]
    parts: list[Part]


# ---- writing ----


class Saver:
    """Writes states of a group under `folder`/state while the run goes on; one is on its way at a time.

    All processes call every method together. Raises ServiceError, in all of them, where one could not write: the state
    before it stays.
    """

    def __init__(self, folder: Path, group: Alone):
        self.home, self.group = Path(folder).absolute() / "state", group
        self.token = f"{int(group.told(secrets.randbits(40))):010x}"  # tells this run's unfinished folders from older
        self.thread, self.failed = None, None
        self.written, self.given_up = threading.Event(), threading.Event()
        self.seen()

    def seen(self) -> None:
        """Check that every process sees the same folder, and clear away what a killed run left half-written."""
        mark = self.home / f".seen-{self.token}"
        if self.group.main:
            with said_plainly(self.home):
                self.home.mkdir(parents=True, exist_ok=True)
                mark.touch()
            for old in self.home.glob(".step-*.partial-*"):
                shutil.rmtree(old, ignore_errors=True)
        self.group.barrier()
        blind = self.group.any(not mark.exists())
        self.group.barrier()
        if self.group.main:
            mark.unlink(missing_ok=True)
        if blind:
            raise ServiceError(f"{self.home.parent}: not every process sees this folder; expected a file system that "
                               "all machines share; name an --out there")  # fmt: skip

    def save(self, state) -> None:
        """Copy this process's part of a State and write it in the background; waits for the save before."""
        self.wait()
        step, tensors, facts = state.step, flat(state.tensors()), state.facts()
        mine = {name: local(t).detach().to("cpu", copy=True).contiguous() for name, t in owned(tensors, self.group)}
        header = {name: [list(tensors[name].shape), list(place(tensors[name])[1])] for name in mine}
        self.written.clear()
        self.thread = threading.Thread(target=self.write, args=(step, mine, header, facts), daemon=True)
        self.thread.start()

    def write(self, step: int, mine: dict[str, Tensor], header: dict, facts: dict) -> None:
        """What the thread does."""
        partial = self.home / f".step-{step:08d}.partial-{self.token}"
        try:
            with said_plainly(partial):
                self.fill(partial, mine, header, facts)
                self.written.set()
                if self.group.main and self.all_there(partial):
                    self.publish(partial, self.home / f"step-{step:08d}")
        except Exception as error:  # told by `wait`, in the thread of the run
            self.failed = error
        finally:
            self.written.set()

    def fill(self, partial: Path, mine: dict[str, Tensor], header: dict, facts: dict) -> None:
        """This process's files of a state, under their names only when they are whole."""
        partial.mkdir(parents=True, exist_ok=True)
        name = f"rank-{self.group.rank:05d}-of-{self.group.size:05d}.safetensors"
        save_file(mine, partial / f".{name}", metadata={SLICES: json.dumps(header)})
        if self.group.main:
            (partial / "state.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            _sync(partial / "state.json")
        _sync(partial / f".{name}")
        os.replace(partial / f".{name}", partial / name)

    def all_there(self, partial: Path) -> bool:
        """Whether every process's file came; looked for, not asked for, since the network belongs to the run."""
        while not self.given_up.is_set():
            if len(list(partial.glob("rank-*.safetensors"))) == self.group.size:
                return True
            self.given_up.wait(0.02)
        return False

    def publish(self, partial: Path, final: Path) -> None:
        """Give a whole state its name and remove older ones."""
        _put_in_place(partial, final)
        for old in sorted(self.home.glob("step-*")):
            if old < final:
                shutil.rmtree(old, ignore_errors=True)

    def wait(self) -> None:
        """Until the save that is on its way has ended."""
        if self.thread is None:
            return
        self.written.wait()
        if self.group.any(self.failed is not None):
            self.given_up.set()
        self.thread.join()
        self.thread = None
        bad = self.group.any(self.failed is not None)
        self.given_up.clear()
        if bad:
            if self.group.main:
                for left in self.home.glob(f".step-*.partial-{self.token}"):
                    shutil.rmtree(left, ignore_errors=True)
            error, self.failed = self.failed, None
            raise told(error)

    def close(self) -> None:
        """Wait for the last one."""
        self.wait()


def flat(tensors: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """{"model": {"embed.weight": t}} -> {"model.embed.weight": t}."""
    return {f"{file}.{name}": t for file, found in tensors.items() for name, t in found.items()}


def told(error: Exception | None) -> UpwellError:
    """What a process says whose own writing failed, or another's."""
    if error is None:
        return ServiceError("The state could not be saved: another process could not write its part, and says why; "
                            "the state before it is kept")  # fmt: skip
    full = "No space left" in str(error)
    return error if isinstance(error, UpwellError) else ServiceError(
        f"The state could not be saved ({'the disk is full' if full else error}); the state before it is kept; "
        "free some space, then run the same command again")  # fmt: skip


def owned(tensors: dict[str, Tensor], group: Alone) -> Iterator[tuple[str, Tensor]]:
    """The tensors of which this process writes its part.

    Divided ones are written by the first copy of the mesh; others by one process each, the largest first to the one
    that has the least.
    """
    load = [0] * group.size
    for name, t in sorted(tensors.items(), key=lambda pair: (-pair[1].numel(), pair[0])):
        if hasattr(t, "to_local"):
            copy = t.device_mesh.get_coordinate()[0] if t.device_mesh.ndim > 1 else 0
            if copy == 0 and local(t).numel():
                yield name, t
            continue
        least = load.index(min(load))
        load[least] += t.numel() * t.element_size()
        if least == group.rank:
            yield name, t


# ---- reading ----


def contents(path: Path) -> dict[str, Whole]:
    """What a state folder holds, by name, whatever wrote it. Raises CheckpointError for a folder that is not whole.

    Names of one process's layout get the name of their file before them: model.NAME, optimizer.NAME.
    """
    found: dict[str, Whole] = {}
    files = sorted(Path(path).glob("*.safetensors"))
    for file in files:
        with opened(file) as handle:
            told = (handle.metadata() or {}).get(SLICES)
            places = json.loads(told) if told else {}
            for key in handle.keys():
                part = tuple(handle.get_slice(key).get_shape())
                name = key if told else f"{file.stem}.{key}"
                shape, offsets = places.get(key, (part, (0,) * len(part)))
                found.setdefault(name, Whole(tuple(shape), [])).parts.append(Part(file.name, key, part, tuple(offsets)))
    wanted = {int(file.stem.rpartition("-")[2]) for file in files if file.stem.startswith("rank-")}
    if not files or (wanted and wanted != {len(files)}):
        raise CheckpointError(f"{path}: found {len(files)} files of a state of {max(wanted, default=1)}; copy them all "
                              "together, or remove the folder to go on from an older state")  # fmt: skip
    return found


def opened(file: Path):
    """A file of tensors."""
    try:
        return safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: truncated or damaged ({error}); remove {file.parent} to begin anew") from None


def newest(folder: Path, group: Alone) -> Path | None:
    """The newest state under a run's folder as the first process sees it, or None; all ask together."""
    found = sorted((Path(folder) / "state").glob("step-*"))
    step = int(group.told(int(found[-1].name.removeprefix("step-")) if found else -1))
    return None if step < 0 else Path(folder) / "state" / f"step-{step:08d}"


class Reader:
    """A state folder whose tensors are read one by one, each process only what it needs; a context."""

    def __init__(self, path: Path):
        self.path, self.wholes = Path(path), contents(path)
        self.stack, self.handles = ExitStack(), {}

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_) -> None:
        self.stack.close()

    def handle(self, name: str):
        """A file, opened once."""
        if name not in self.handles:
            self.handles[name] = self.stack.enter_context(opened(self.path / name))
        return self.handles[name]

    @torch.no_grad()
    def into(self, name: str, target: Tensor) -> None:
        """Copy this process's part of a tensor into `target`, divided or not."""
        whole = self.wholes.get(name)
        if whole is None or whole.shape != tuple(target.shape):
            found = "missing" if whole is None else f"of shape {whole.shape}, expected {tuple(target.shape)}"
            raise CheckpointError(f"{self.path}: {name} is {found}; it belongs to another model or optimizer")
        shape, offsets = place(target)
        into, filled = local(target), 0
        for part in whole.parts:
            box = overlap(part, shape, offsets)
            if box is not None:
                there, here = box
                piece = self.handle(part.file).get_slice(part.key)[there] if there else self.one(part)
                into[here].copy_(piece)
                filled += piece.numel()
        if filled != into.numel():
            raise CheckpointError(f"{self.path}: a part of {name} is missing; copy all files of the state together")

    def one(self, part: Part) -> Tensor:
        """A single number."""
        return self.handle(part.file).get_tensor(part.key)

    def whole(self, name: str) -> Tensor:
        """All of a tensor."""
        if name not in self.wholes:
            raise CheckpointError(f"{self.path}: {name} is missing; it belongs to another model")
        first = self.wholes[name].parts[0]
        kind = self.handle(first.file).get_slice(first.key)[tuple(slice(0, 0) for _ in first.shape)].dtype \
            if first.shape else self.one(first).dtype  # fmt: skip
        found = torch.empty(self.wholes[name].shape, dtype=kind)
        self.into(name, found)
        return found


def overlap(part: Part, shape: tuple[int, ...], offsets: tuple[int, ...]):
    """Where a part meets the box of `shape` at `offsets`: (slices in the part, slices in the box), or None."""
    there, here = [], []
    for theirs, size, ours, room in zip(part.offsets, part.shape, offsets, shape, strict=True):
        begin, end = max(theirs, ours), min(theirs + size, ours + room)
        if begin >= end:
            return None
        there.append(slice(begin - theirs, end - theirs))
        here.append(slice(begin - ours, end - ours))
    return tuple(there), tuple(here)


def fill(path: Path, tensors: dict[str, Tensor], passed_over: Callable[[str], bool] = lambda name: False) -> None:
    """Fill every tensor from a state folder, one after the other; nothing may be missing or left over."""
    with Reader(path) as reader:
        left = sorted(name for name in reader.wholes if name not in tensors and not passed_over(name))
        if left:
            raise CheckpointError(f"{path}: {left[0]} is unknown; it belongs to another model or optimizer")
        for name, target in tensors.items():
            reader.into(name, target)
