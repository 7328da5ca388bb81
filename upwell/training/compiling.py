"""Compiled blocks: off, wait, or background; never a failure where there is no compiler.

All blocks of a stack share one compiled code, so that compiling costs one block and not the whole model. In background
a second process compiles into the cache on disk while the run goes on eager; the run swaps when that is done. The step
of the swap belongs to the state, since compiled and eager arithmetic round differently. Where widths differ from batch
to batch one code serves all of them: which code runs must not depend on which widths came first.
"""

import contextlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from . import blocks as parts

Mode = Literal["off", "wait", "background"]
LOOK = 8  # batches that are looked at to tell whether widths differ
READ = ("ids", "source")  # the fields of a batch whose width is that of blocks


def compile_blocks(model, dynamic: bool = False) -> None:
    """From the next call on the model's blocks run compiled; the first call compiles. dynamic: for any width."""
    for block in parts.blocks(model):
        lean = block.__dict__.pop("forward", None)  # what is computed again is the compiled code
        block.compile(dynamic=dynamic)
        if lean is not None:
            block._compiled_call_impl = partial(parts.again, block._compiled_call_impl)


def uncompile_blocks(model) -> None:
    """Back to eager."""
    lean = any(isinstance(block._compiled_call_impl, partial) for block in parts.blocks(model))
    for block in parts.blocks(model):
        block._compiled_call_impl = None
    if lean:
        parts.remember_less(model)


def varied(batches: list) -> bool:
    """Whether what blocks read differs in width from batch to batch."""
    names = [name for name in batches[0]._fields if name in READ] or batches[0]._fields
    found = [[getattr(batch, name) for name in names] for batch in batches]
    return len({tuple(t.shape[1:] for t in fields if t is not None) for fields in found}) > 1


class Compiler:
    """Decides before each step whether the blocks run compiled.

    swap: the step from which they do, where an earlier part of the run has chosen it already, else None.
    dynamic: whether widths differ. request: what the helper process is to be told (see `described`), or None where it
    cannot be. warn: is told in one line when compiling is not possible.
    """

    def __init__(self, model, mode: Mode, swap: int | None, dynamic: bool = False,
                 request: Callable[[], dict | None] = lambda: None, warn: Callable[[str], None] = print):  # fmt: skip
        self.model, self.mode, self.swap, self.dynamic, self.warn = model, mode, swap, dynamic, warn
        self.active, self.helper = False, None
        if mode == "background" and swap is None:
            self.helper = start_helper(request())
        if mode != "off" and swap is None and self.helper is None:
            self.swap = 0

    def before(self, step: int, attempt: Callable[[], None]) -> None:
        """Compile where this is the step for it; `attempt` runs a pass over the model whose result is thrown away."""
        if self.active or self.mode == "off":
            return
        if self.helper is not None and self.helper.poll() is not None:
            self.swap = step if self.helper.returncode == 0 else None
            if self.swap is None:
                self.warn("The model could not be compiled here (is there a C++ compiler?); going on without, slower.")
                self.mode = "off"
            self.close()
        if self.swap is None or step < self.swap:
            return
        compile_blocks(self.model, self.dynamic)
        try:
            attempt()
            self.active = True
        except Exception as error:  # whatever a compiler may throw, the run goes on without it
            uncompile_blocks(self.model)
            self.mode = "off"
            told = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = " ".join(told[:2])[:200] or type(error).__name__  # torch's first line only says who raised it
            self.warn(f"The model could not be compiled here ({reason}); going on without, slower.")

    def close(self) -> None:
        """End the helper process."""
        if self.helper is not None:
            self.helper.kill()
            self.helper.wait()
            self.helper = None


# ---- the helper process ----


def described(model, objective: Any, options: Any, batch, dtype: torch.dtype, dynamic: bool) -> dict | None:
    """What another process needs to compile the same blocks for the same batch; None where it cannot be told.

    The batch lies in a file that the other process removes.
    """
    from safetensors.torch import save_file

    from .. import plugs
    from ..settings import plain

    model_told = described_model(model)
    if not inspect.ismodule(objective) or model_told is None:
        return None
    own = not objective.__name__.startswith("upwell.objectives.")
    handle, path = tempfile.mkstemp(prefix="upwell-batch-", suffix=".safetensors")
    os.close(handle)
    save_file({name: t.cpu().contiguous() for name, t in batch._asdict().items() if t is not None}, path)
    return {
        "hf": plugs.find("model/families", model.config.family).to_hf(model.config), "model": model_told,
        "objective": objective.__file__ if own else objective.__name__.rpartition(".")[2], "options": plain(options),
        "batch": path, "fields": batch._fields, "device": str(model.device),
        "dtype": str(dtype).removeprefix("torch."), "dynamic": dynamic, "threads": torch.get_num_threads(),
    }  # fmt: skip


def described_model(model) -> dict | None:
    """What a model is beside its config; None where that cannot be told (quantised matrices)."""
    from ..model import lora
    from ..model.rounded import Int4, Int8
    from .precision import Float8Linear

    found = list(model.modules())
    if any(isinstance(part, Int4 | Int8) for part in found):
        return None
    adapters = {name: (part.rank, part.scale, part.dropout.p) for name, part in lora.adapters(model).items()}
    block = parts.blocks(model)[0]
    return {
        "adapters": adapters, "stored": str(model.dtype).removeprefix("torch."),
        "learn": [name for name, p in model.named_parameters() if p.requires_grad],
        "dropout": getattr(block.dropout, "p", 0.0), "attention_dropout": model.config.attention_dropout,
        "checkpoint": "forward" in vars(block), "float8": any(isinstance(part, Float8Linear) for part in found),
    }  # fmt: skip


def start_helper(request: dict | None) -> subprocess.Popen | None:
    """A process that compiles what `described` says into the cache on disk; None where nothing could be said."""
    if request is None:
        return None
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    helper = subprocess.Popen([sys.executable, "-m", "upwell.training.compiling"], **quiet)
    helper.stdin.write(json.dumps(request))
    helper.stdin.close()
    return helper


def help_compiling() -> None:
    """What the helper process does: the same forward and backward pass, compiled, with weights of no meaning."""
    from .. import plugs

    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    batch = batch_of(request)
    model = model_of(request)
    objective = plugs.find("objectives", request["objective"])
    compile_blocks(model, request["dynamic"])
    dtype, device = getattr(torch, request["dtype"]), request["device"].split(":")[0]
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        objective.loss(model, batch, options_of(objective.Settings, request["options"])).sum().backward()


def batch_of(request: dict):
    """The batch, whose file goes."""
    from safetensors.torch import load_file

    path = Path(request["batch"])
    found = load_file(path, device=request["device"])
    with contextlib.suppress(OSError):
        path.unlink()
    return namedtuple("Batch", request["fields"])(*(found.get(name) for name in request["fields"]))


def options_of(kind: type, values: dict) -> Any:
    """An objective's Settings from plain values."""
    from ..settings import parse

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "options.yaml"
        path.write_text(json.dumps(values), encoding="utf-8")
        return parse(kind, ["--config", str(path)], "helper")


def model_of(request: dict):
    """A model in all that compiling sees like the one that trains."""
    from ..model import hub, lora
    from ..model.transformer import Transformer
    from . import precision

    told = request["model"]
    with torch.device(request["device"]):
        model = Transformer(hub.config_of(request["hf"]).with_(attention_dropout=told["attention_dropout"]))
        model = model.to(getattr(torch, told["stored"]))
        for name, (rank, scale, dropout) in told["adapters"].items():
            model.set_submodule(name, lora.Adapted(model.get_submodule(name), rank, scale, dropout))
    for name, p in model.named_parameters():
        p.requires_grad_(name in told["learn"])
    parts.drop(model, told["dropout"])
    if told["float8"]:
        precision.narrow(model)
    if told["checkpoint"]:
        parts.remember_less(model)
    return model.train()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    help_compiling()
