"""What a run will take, before it runs: the memory of a step, measured on a few rows and reckoned for all of them.

    found = look(model, objective, options, batch, settings, dtype, seconds)     # passes that change nothing
    memory = predicted(found, settings, micro_rows)                              # bytes by kind; memory.peak
    choice = chosen(look_again, settings, room, sizes)                           # micro-batch, checkpointing

What stays (weights, gradients, what optimizers remember) is counted. What a pass takes besides is measured on the
machine itself for 1, 2, 4 ... rows, on a CPU as the memory of the process, on a GPU as that of its tensors; so any
objective, adapters, and what the allocator loses between tensors are reckoned by what they are. A process takes some
hundred megabytes of its own (Python, torch) besides, a compiler a few hundred more; compiled blocks take less than what
is reckoned. It knows no file of a run and no screen.
"""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..model import lora
from . import blocks
from .loop import Pass, cut, move
from .memory import keep_freed_memory
from .parallel import Alone
from .settings import Optim, Settings
from .state import State

MOMENTS = {"adamw": 2, "sgd": 1}  # numbers that are remembered for each one that learns
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Look(NamedTuple):
    """What a model and passes over a few rows took, in bytes."""

    weights: int
    learning: int
    """Of the parameters that learn, which is the size of their gradients."""
    remembered: int
    """What the optimizers remember, and the average of the weights."""
    update: int
    """What an optimizer's step takes for a moment."""
    batch: int
    """A whole step's batch."""
    logits: int
    """Of the logits that are held at once; a part of what a pass takes."""
    fixed: float
    """A pass takes so much, its gradients included ..."""
    row: float
    """... and so much more for each row."""
    seconds: float
    """Of a pass over one row, about."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a step at its highest."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    data: int

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.data


class Choice(NamedTuple):
    """How a step is cut. fits: whether the memory is enough for it."""

    micro_rows: int
    checkpoint: bool
    memory: Memory
    fits: bool


# ---- the process ----


def used(device: str | torch.device = "cpu") -> int:
    """Bytes: the most that a GPU's tensors, or this process on a CPU, took so far; 0 where the system does not tell."""
    if str(device).startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        return status("VmHWM")
    if sys.platform == "win32":
        return peak_on_windows()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def status(name: str) -> int:
    """A line of Linux's account of this process, in bytes."""
    line = next((line for line in STATUS.read_text().splitlines() if line.startswith(name)), "x 0")
    return int(line.split()[1]) * 1024


def peak_on_windows() -> int:
    """The largest working set."""
    numbers = (ctypes.c_size_t * 10)()  # PROCESS_MEMORY_COUNTERS: two 32-bit words, then sizes; the first is the peak
    ctypes.windll.kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(ctypes.windll.kernel32.GetCurrentProcess())
    size = ctypes.sizeof(ctypes.c_size_t) * 9
    found = ctypes.windll.psapi.GetProcessMemoryInfo(process, ctypes.byref(numbers), ctypes.c_uint32(size))
    return int(numbers[1]) if found else 0


def free(device: str | torch.device = "cpu") -> int:
    """Bytes that a run may still take on a device; 0 where the system does not tell."""
    if str(device).startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    found = [limit - now for limit, now in (cgroup("memory.max", "memory.current"),) if limit]
    table = Path("/proc/meminfo")
    if table.exists():
        line = next(line for line in table.read_text().splitlines() if line.startswith("MemAvailable"))
        return min([int(line.split()[1]) * 1024, *found])
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS says only what there is
    except (AttributeError, ValueError, OSError):
        return 0


def cgroup(*names: str) -> tuple[int, ...]:
    """Numbers of the container that this process runs in; 0 where there is no such limit."""
    files = [Path("/sys/fs/cgroup") / name for name in names]
    try:
        return tuple(int(file.read_text()) for file in files)
    except (OSError, ValueError):
        return (0,) * len(names)


class Gauge:
    """How much more than at its making the device, or the process, has taken since then at most."""

    def __init__(self, device: torch.device):
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
            return
        give_back()
        try:
            CLEAR.write_text("5")  # the peak begins anew
        except OSError:
            pass
        self.before = status("VmRSS") if STATUS.exists() else used()

    def __call__(self) -> int:
        """Bytes."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return max(0, used(self.device) - self.before)


def give_back() -> None:
    """Hand what was freed back to the system, so that it is not taken again unseen (glibc)."""
    if sys.platform.startswith("linux"):
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):
            pass


# ---- looking ----


def look(model: nn.Module, objective: Any, options: Any, batch: Any, s: Settings, dtype: torch.dtype,
         seconds: float = 0.0, room: float = float("inf")) -> Look:  # fmt: skip
    """Pass over the first rows of a step's batch: 1 and 2, then twice as many while `seconds` and `room` allow it.

    The model is as before, without gradients. An objective that couples rows is looked at whole.
    """
    keep_freed_memory()
    lora.hold(model, dtype)
    return Look(*counted(model, s, batch), *line(model, objective, options, batch, s, dtype, seconds, room))


def counted(model: nn.Module, s: Settings, batch: Any) -> tuple[int, ...]:
    """What needs no pass: the first fields of a Look."""
    learning = sum(bytes_of(p) for p in model.parameters() if p.requires_grad)
    weights = sum({t.data_ptr(): bytes_of(t) for t in (*model.parameters(), *model.buffers())}.values())
    weights += sum(bytes_of(part.held) for part in lora.adapters(model).values() if part.held is not None)
    average = sum(4 * p.numel() for p in model.parameters() if p.requires_grad) if s.average else 0
    data = sum(bytes_of(t) for t in batch if t is not None)
    kept = remembered(model, s.optim) + average
    return weights, learning, kept, updating(model, s.optim), data, logits(model, batch)


def line(model, objective, options, batch, s: Settings, dtype, seconds: float, room: float) -> tuple[float, ...]:
    """(bytes for no row, bytes a row, seconds a row) of a pass, by the two largest passes."""
    most = len(batch[0])
    together = getattr(objective, "TOGETHER", False)
    rows, points, begin = most if together else 1, [], time.perf_counter()
    while True:
        start = time.perf_counter()
        points.append((rows, one_pass(model, objective, options, batch, replace(s, rows=rows, micro_rows=0), dtype)))
        took = (time.perf_counter() - start) / rows
        late = time.perf_counter() - begin + 2 * rows * took > seconds and len(points) > 1
        if rows >= most // 2 and len(points) > 1 or rows == most or late or 2.5 * points[-1][1] > room:
            break
        rows = min(2 * rows, most)
    (few, less), (many, more) = points[-2:] if len(points) > 1 else ((0, 0), points[0])
    each = max(0.0, (more - less) / (many - few))
    return max(0.0, more - many * each), each, took


def one_pass(model: nn.Module, objective: Any, options: Any, batch: Any, s: Settings, dtype: torch.dtype) -> int:
    """What a pass over the first s.rows rows took, gradients included."""
    part, training = move(cut(batch, slice(0, s.rows)), model.device), model.training
    own = [block for block in blocks.blocks(model) if "forward" not in vars(block)]
    if s.checkpoint:
        blocks.remember_less(model)
    try:
        way = Pass(State(model.train(), []), objective, options, s, dtype, Alone(str(model.device)))
        gauge = Gauge(model.device)
        way.trial(part)
        return gauge()
    finally:
        model.train(training)
        for block in own:
            vars(block).pop("forward", None)
        for p in model.parameters():
            p.grad = None


def bytes_of(t: Tensor) -> int:
    """Of a tensor's numbers."""
    return t.numel() * t.element_size()


def remembered(model: nn.Module, s: Optim) -> int:
    """What the optimizers will remember."""
    total = 0
    for name, p in ((name, p) for name, p in model.named_parameters() if p.requires_grad):
        if s.name == "muon":
            total += bytes_of(p) * (1 if ".blocks." in name and p.ndim == 2 else 2)
        elif s.name == "adafactor":
            sides = p.numel() // p.shape[-1] + p.numel() // p.shape[-2] if p.ndim > 1 else p.numel()
            total += p.element_size() * sides
        else:
            total += bytes_of(p) * (MOMENTS[s.name] if s.name != "sgd" or s.momentum else 0)
    return total


def updating(model: nn.Module, s: Optim) -> int:
    """What an optimizer's step takes for a moment: Muon's stacks of equal matrices, Adafactor's squares."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if s.name == "adafactor":
        return 4 * max((bytes_of(p) for _, p in learning), default=0)
    if s.name != "muon":
        return 0
    stacks: dict[tuple, int] = {}
    for name, p in learning:
        if ".blocks." in name and p.ndim == 2:
            stacks[tuple(p.shape)] = stacks.get(tuple(p.shape), 0) + bytes_of(p)
    return 4 * max(stacks.values(), default=0)


def logits(model: nn.Module, batch: Any) -> int:
    """Of the piece of the logits that the fused loss holds."""
    from ..objectives._entropy import PIECE

    words = model.config.head.kind in ("language", "masked", "pretrain")
    return 4 * min(2 * PIECE, batch[0].numel() * model.config.vocab) if words else 0


# ---- reckoning ----


def predicted(found: Look, s: Settings, micro_rows: int = 0) -> Memory:
    """The memory of a step whose micro-batches have so many rows; 0: all of the step."""
    rows = min(micro_rows or s.rows, s.rows)
    passing = found.fixed + rows * found.row
    if rows < s.rows:  # the gradients of the micro-batches before are there from the beginning
        passing += found.learning
    beside = int(max(passing - found.learning, found.update, 0))
    piece = min(found.logits, beside)
    return Memory(found.weights, found.learning, found.remembered, beside - piece, piece, found.batch)


def chosen(looked: Callable[[bool], Look], s: Settings, room: float, sizes: Sequence[int]) -> Choice:
    """The first of `sizes`, micro-batches from large to small, that fits into `room` bytes; 0 stands for all rows.

    looked(checkpoint) gives a Look. Checkpointing is taken only where nothing fits without it, or where it is wanted.
    """
    for checkpoint in (True,) if s.checkpoint else (False, True):
        found = looked(checkpoint)
        for size in sizes:
            memory = predicted(found, s, size)
            if memory.peak <= room:
                return Choice(0 if size == s.rows else size, checkpoint, memory, True)
    return Choice(sizes[-1], True, memory, False)
