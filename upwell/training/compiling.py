"""Compiled blocks: off, wait, or background; never a failure where there is no compiler.

All blocks of a model share one compiled code, so that compiling costs one block and not the whole model. In
background a second process compiles into the cache on disk while the run goes on eager; the run swaps when that is
done. The step of the swap belongs to the state, since compiled and eager arithmetic round differently.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

import torch

Mode = Literal["off", "wait", "background"]


def blocks(model) -> list:
    """The blocks of its encoder and its decoder."""
    return [block for stack in (model.encoder, model.decoder) if stack is not None for block in stack.blocks]


def compile_blocks(model) -> None:
    """From the next call on the model's blocks run compiled; the first call compiles."""
    for block in blocks(model):
        block.compile(dynamic=False)


def uncompile_blocks(model) -> None:
    """Back to eager."""
    for block in blocks(model):
        block._compiled_call_impl = None


class Compiler:
    """Decides before each step whether the blocks run compiled.

    swap: the step from which they do, where an earlier part of the run has chosen it already, else None.
    warn: is told in one line when compiling is not possible.
    """

    def __init__(self, model, mode: Mode, swap: int | None, example: dict, warn: Callable[[str], None] = print):
        self.model, self.mode, self.swap, self.warn = model, mode, swap, warn
        self.active, self.helper = False, None
        if mode == "wait" and swap is None:
            self.swap = 0
        if mode == "background" and swap is None:
            self.helper = start_helper(model.config, example)

    def before(self, step: int, attempt: Callable[[], None]) -> None:
        """Compile where this is the step for it; `attempt` runs a pass over the model whose result is thrown away."""
        if self.active or self.mode == "off":
            return
        if self.helper is not None and self.helper.poll() is not None:
            self.swap = step if self.helper.returncode == 0 else None
            if self.swap is None:
                self.warn("The model could not be compiled here (is there a C++ compiler?); going on without, slower.")
                self.mode = "off"
            self.helper = None
        if self.swap is None or step < self.swap:
            return
        compile_blocks(self.model)
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


def start_helper(config, example: dict) -> subprocess.Popen:
    """A process that compiles the blocks of such a model for rows x context of `example` into the cache on disk."""
    from .. import plugs

    hf = plugs.find("model/families", config.family).to_hf(config)
    request = json.dumps({"hf": hf, "threads": torch.get_num_threads(), **example})
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    helper = subprocess.Popen([sys.executable, "-m", "upwell.training.compiling"], **quiet)
    helper.stdin.write(request)
    helper.stdin.close()
    return helper


def help_compiling() -> None:
    """What the helper process does: the same forward and backward pass, compiled, on made-up ids."""
    from ..model import hub
    from ..model.transformer import Transformer

    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    with torch.device(request["device"]):
        model = Transformer(hub.config_of(request["hf"])).train()
        ids = torch.zeros(request["rows"], request["context"], dtype=torch.long)
        documents = ids.int() if request["documents"] else None
    compile_blocks(model)
    with torch.autocast(request["device"].split(":")[0], torch.bfloat16, enabled=request["autocast"]):
        model(ids, documents=documents).float().sum().backward()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    help_compiling()
