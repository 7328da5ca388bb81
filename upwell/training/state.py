"""Everything that a run needs to go on exactly where it stopped, in one record, and its way to disk and back.

On disk a state is a folder state/step-00001200 that appears whole or not at all: the weights, what the optimizers
remember (safetensors) and state.json. The newest one counts. Data position and random numbers are pure functions of
(seed, step), so they need no room.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..atomic import new_folder
from ..errors import CheckpointError
from . import optim


@dataclass
class State:
    """A run at one moment."""

    model: torch.nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    """Steps that are done."""
    tokens: int = 0
    """Real tokens learned from."""
    seconds: float = 0.0
    """Time spent in steps, compiling included, over all parts of the run."""
    swap: int | None = None
    """The step from which the blocks run compiled, once that is known."""
    extra: dict = field(default_factory=dict)
    """What else the verb wants back after a resume: plain JSON."""


def save(state: State, folder: Path) -> None:
    """Write state/step-N under `folder` and remove older ones."""
    home = Path(folder) / "state"
    with new_folder(home / f"step-{state.step:08d}") as new:
        weights = {n: p.detach().cpu().contiguous() for n, p in state.model.named_parameters()}
        memory = {n: t.cpu().contiguous() for n, t in optim.tensors(state.model, state.optimizers).items()}
        save_file(weights, new / "model.safetensors")
        save_file(memory, new / "optimizer.safetensors")
        facts = {"step": state.step, "tokens": state.tokens, "seconds": state.seconds, "swap": state.swap,
                 "extra": state.extra}  # fmt: skip
        (new / "state.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    for old in sorted(home.glob("step-*"))[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """The newest state under a run's folder, or None."""
    found = sorted((Path(folder) / "state").glob("step-*"))
    return found[-1] if found else None


def facts(path: Path) -> dict:
    """What state.json of a state folder says."""
    try:
        return json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole state ({error}); remove {path} to begin anew") from None


def restore(state: State, path: Path) -> None:
    """Fill a fresh State from a state folder."""
    told = facts(path)
    try:
        weights, memory = load_file(path / "model.safetensors"), load_file(path / "optimizer.safetensors")
        state.model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: the state does not load ({reason}); remove it to begin anew") from None
    optim.restore(state.model, state.optimizers, memory)
    for name in ("step", "tokens", "seconds", "swap", "extra"):
        setattr(state, name, told[name])
