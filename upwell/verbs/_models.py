"""Which model a verb speaks with: its flags -> a backend. What generate, chat, serve and others share.

    opened = open_backend(settings, key, rows)  # .backend: our engine on a folder, or a server; .seconds: what it took

Imports no torch until a model is opened.
"""

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import CheckpointError, SettingsError


@dataclass(frozen=True)
class Which:
    """Which model, and how it is held."""

    folder: Positional[Path | None] = None
    """A folder in Hugging Face layout, or the name of a model that was fetched; default: the newest run in runs/."""
    base_url: str | None = None
    """A server instead of a folder, for example http://127.0.0.1:8000/v1; its key comes from UPWELL_API_KEY."""
    model: str | None = None
    """The name of the server's model."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    allow_key: tuple[str, ...] = ()
    """Keys of the folder's config.json (or tensors) that upwell does not know and that you want to pass over."""
    weights: Literal["file", "bfloat16", "int8", "int4"] = "file"
    """How the weights are held in memory: as the file has them, narrower, or rounded (int4 keeps Q4_1 blocks)."""
    draft: Path | None = None
    """A small model with the same tokenizer, which guesses for the strategy speculative: a folder or a fetched name."""
    deterministic: bool = False
    """What is written to the last bit does not depend on what else is written meanwhile; slower."""

    def __post_init__(self):
        if self.base_url is not None and self.folder is not None:
            raise SettingsError(f"found both the folder {self.folder} and --base-url, expected one of them")
        if (self.base_url is None) != (self.model is None):
            raise SettingsError("--base-url and --model go together: the server's address and the name of its model")
        if self.base_url is not None and self.draft is not None:
            raise SettingsError("found --draft beside --base-url, expected a folder: a server guesses for itself")
        if self.base_url is not None and self.deterministic:
            raise SettingsError("found --deterministic beside --base-url, expected a folder: it is the server's to say")


@dataclass(frozen=True)
class Opened:
    """A backend, and what opening it took."""

    backend: Any
    seconds: dict[str, float] = field(default_factory=dict)
    """import_seconds and load_seconds of a folder; nothing of a server."""


def open_backend(which: Which, key: str | None = None, rows: int = 16) -> Opened:
    """Our engine on the folder for `rows` texts at once; or the server, with this key or that of UPWELL_API_KEY."""
    if which.base_url is not None:
        from upwell.generation.backend import Remote

        return Opened(Remote(which.base_url, which.model, key or os.environ.get("UPWELL_API_KEY")))
    folder = model_folder(which.folder)
    begin = time.perf_counter()
    import upwell.generation.engine  # noqa: F401 (it brings torch, whose time is told apart)
    from upwell.generation.backend import Local
    from upwell.model.laid import lay_out

    imported = time.perf_counter()
    draft = None if which.draft is None else open_model(model_folder(which.draft), which)
    opened = open_model(folder, which)
    backend = Local(replace(opened, model=lay_out(opened.model)), rows, draft=draft, deterministic=which.deterministic)
    loaded = time.perf_counter()
    return Opened(backend, {"import_seconds": round(imported - begin, 3), "load_seconds": round(loaded - imported, 3)})


def open_model(folder: Path, settings):
    """The checkpoint of a folder on the device and with the weights that a verb's settings ask for."""
    import torch

    from upwell.model import hub, quantize

    dtype = torch.bfloat16 if settings.weights == "bfloat16" else None
    checkpoint = hub.load(folder, usable_device(settings.device), dtype, allow=settings.allow_key)
    if not settings.weights.startswith("int"):
        return checkpoint
    return replace(checkpoint, model=quantize.quantize(checkpoint.model, quantize.Scheme(int(settings.weights[3:]))))


def model_folder(given: Path | None) -> Path:
    """The folder that was named, by its path or as `upwell fetch` brought it; without a name the newest run."""
    from upwell import weights

    return newest_run(Path("runs")) if given is None else weights.find(given)


def usable_device(wanted: str) -> str:
    """The device to load onto; SettingsError where this machine has no such one."""
    import torch

    from upwell.training.precision import default_device

    device = default_device() if wanted == "auto" else wanted
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device: {device} cannot be used here ({str(error).splitlines()[0]}); try cpu") from None
    return device


def newest_run(runs: Path) -> Path:
    """The model folder in `runs` that was written last; it is named on standard error."""
    configs = [path for pattern in ("*", "*/*") for path in runs.glob(f"{pattern}/config.json")]
    if not configs:
        raise CheckpointError(f"{runs}: no model there; name a model's folder, or make one with `upwell quickstart`")
    folder = max(configs, key=lambda path: (path.stat().st_mtime_ns, str(path))).parent
    terminal.say(f"model: {folder} (the newest run)")
    return folder
