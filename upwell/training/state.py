"""Everything that a run needs to go on exactly where it stopped, in one record, and its way to disk and back.

On disk a state is a folder state/step-00001200 that appears whole or not at all: the weights that learn, what the
optimizers remember, the averaged weights where there are any (safetensors) and state.json. The newest one counts.
Weights that do not learn are told by their hash. Data position and random numbers are pure functions of (seed, step),
so they need no room. Neither way holds a second copy of the tensors.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..atomic import new_folder
from ..errors import CheckpointError
from . import optim, sharded, tensors
from .averaging import Average
from .parallel import divided, full
from .precision import Scaler
from .settings import Settings

TOLD = ("step", "tokens", "seconds", "swap", "recent", "extra")


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
    average: Average | None = None
    """The running average of the weights, where one is kept."""
    scaler: Scaler | None = None
    """What float16 multiplies losses by."""
    recent: list[float] = field(default_factory=list)
    """Losses of the last steps, by which a spike is told."""
    base: str | None = None
    """Hash of what does not learn, once that is known; "" where everything does."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, by file and name: the tensors themselves, to be written or copied into."""
        weights = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        found = {"model": weights, "optimizer": optim.tensors(self.model, self.optimizers)}
        return found | ({"average": self.average.tensors} if self.average else {})

    def facts(self) -> dict:
        """What state.json says: all that is no tensor."""
        if self.base is None:
            self.base = hash_of_frozen(self.model)
        told = {name: getattr(self, name) for name in TOLD} | {"base": self.base, "average": self.average is not None}
        return told | ({"scale": self.scaler.scale, "good": self.scaler.good} if self.scaler else {})

    def take(self, facts: dict) -> None:
        """The way back of `facts`, before tensors are copied. CheckpointError where the model is not the one saved."""
        if self.base is None:
            self.base = hash_of_frozen(self.model)
        if facts["base"] != self.base:
            raise CheckpointError("the weights that do not learn are not those that this run began with; give the same "
                                  "model and the same adapters or frozen parts, or remove the state to begin anew")
        if facts["average"] != (self.average is not None):
            raise CheckpointError("the state and training.average do not agree on whether weights are averaged; give "
                                  "the same settings, or remove the state to begin anew")  # fmt: skip
        for name in TOLD:
            setattr(self, name, facts[name])
        if "scale" in facts:
            self.scaler = Scaler(facts["scale"], facts["good"])


def begin(model: torch.nn.Module, s: Settings) -> State:
    """A run at its first step: the optimizers over what learns, and the average of it where one is wanted."""
    average = Average(model, s.average) if s.average else None
    return State(model, optim.build(model, s.optim), average=average)


def hash_of_frozen(model: torch.nn.Module) -> str:
    """SHA-256 of everything that does not learn, or "" where everything does."""
    kept = {name: p for name, p in model.named_parameters() if not p.requires_grad} | dict(model.named_buffers())
    if not kept:
        return ""
    found = hashlib.sha256()
    for name in sorted(kept):
        t = full(kept[name].detach())
        found.update(f"{name} {tuple(t.shape)} {t.dtype}".encode())
        for part in t.contiguous().reshape(-1).split(1 << 24):
            found.update(part.cpu().view(torch.uint8).numpy().data)
    return found.hexdigest()


def save(state: State, folder: Path) -> None:
    """Write state/step-N under `folder` and remove older ones, and what a killed run left half-written."""
    home = Path(folder) / "state"
    path = home / f"step-{state.step:08d}"
    if (path / "state.json").is_file() and facts(path) == json.loads(json.dumps(state.facts())):
        return  # it is there already
    for left in home.glob(".step-*.partial-*"):
        shutil.rmtree(left, ignore_errors=True)
    with new_folder(path) as new:
        for name, found in state.tensors().items():
            tensors.write(new / f"{name}.safetensors", found)
        (new / "state.json").write_text(json.dumps(state.facts(), indent=2) + "\n", encoding="utf-8")
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
    """Fill a fresh State, as `begin` gives it, from a state folder."""
    try:
        state.take(facts(path))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: state.json says nothing of {error}; remove {path} to begin anew") from None
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if next(Path(path).glob("rank-*.safetensors"), None) or divided(state.model.parameters()):
        sharded.fill(path, sharded.flat(state.tensors()))
        return
    for name, found in state.tensors().items():
        tensors.fill(path / f"{name}.safetensors", found)
