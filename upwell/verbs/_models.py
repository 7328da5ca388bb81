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
class How:
    """How a model is held, or where else it is."""

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
    adapter: tuple[str, ...] = ()
    """A LoRA adapter over the model, as FOLDER or NAME=FOLDER; `upwell serve` takes several, each a model by itself."""
    draft: Path | None = None
    """A small model with the same tokenizer, which guesses for the strategy speculative: a folder or a fetched name."""
    deterministic: bool = False
    """What is written to the last bit does not depend on what else is written meanwhile; slower."""

    def __post_init__(self):
        if (self.base_url is None) != (self.model is None):
            raise SettingsError("--base-url and --model go together: the server's address and the name of its model; a "
                                "folder stands alone, without a flag")  # fmt: skip
        if self.base_url is not None and self.draft is not None:
            raise SettingsError("found --draft beside --base-url, expected a folder: a server guesses for itself")
        if self.base_url is not None and self.adapter:
            raise SettingsError("found --adapter beside --base-url, expected a folder: a server has its own")
        if self.base_url is not None and self.deterministic:
            raise SettingsError("found --deterministic beside --base-url, expected a folder: it is the server's to say")


@dataclass(frozen=True)
class Which(How):
    """Which model, and how it is held."""

    folder: Positional[Path | None] = None
    """A folder in Hugging Face layout, or the name of a model that was fetched; default: the newest run in runs/."""

    def __post_init__(self):
        super().__post_init__()
        if self.base_url is not None and self.folder is not None:
            raise SettingsError(f"found both the folder {self.folder} and --base-url, expected one of them")
        if len(self.adapter) > 1:
            raise SettingsError(f"--adapter: found {len(self.adapter)}, expected one: a text is written with one; "
                                "`upwell serve` takes several")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """Backends, and what opening them took."""

    backends: tuple[Any, ...]
    """The model itself, then one for each of its adapters."""
    seconds: dict[str, float] = field(default_factory=dict)
    """import_seconds and load_seconds of a folder; nothing of a server."""

    @property
    def backend(self) -> Any:
        """The one that was asked for: with the adapter, where there is one."""
        return self.backends[-1]


def open_backend(which: Which, key: str | None = None, rows: int = 16) -> Opened:
    """Our engine on the folder for `rows` texts at once; or the server, with this key or that of UPWELL_API_KEY."""
    if which.base_url is not None:
        from upwell.generation.backend import Remote

        return Opened((Remote(which.base_url, which.model, key or os.environ.get("UPWELL_API_KEY")),))
    return open_folder(model_folder(which.folder), which, rows)


def open_folder(folder: Path, how: How, rows: int = 16, turns=None) -> Opened:
    """Our engine on a folder; turns: the thread that it shares with other engines."""
    begin = time.perf_counter()
    import upwell.generation.engine  # noqa: F401 (it brings torch, whose time is told apart)
    from upwell.generation.backend import Local

    imported = time.perf_counter()
    draft = None if how.draft is None else open_model(model_folder(how.draft), how)
    opened = open_model(folder, how)
    ready, adapters = prepared(opened, how)
    base = Local(ready, rows, draft=draft, deterministic=how.deterministic, turns=turns, read=head_of(ready))
    backends = (base, *(base.adapted(*one) for one in adapters))
    loaded = time.perf_counter()
    return Opened(backends, {"import_seconds": round(imported - begin, 3), "load_seconds": round(loaded - imported, 3)})


def prepared(opened, how: How):
    """The checkpoint laid out for writing, with its adapters, and of each adapter its number, name and template."""
    from upwell.model import several
    from upwell.model.laid import lay_out
    from upwell.text.chat import Template

    named = [adapter_of(text) for text in how.adapter]
    thin = [several.read(opened.model, folder) for _, folder in named]
    writes = opened.config.head.kind == "language"
    model = lay_out(opened.model) if writes else opened.model
    if thin:
        model = several.attach(model.twin() if model is opened.model else model, thin)
    return replace(opened, model=model), [(number, name, Template.load(folder))
                                          for number, (name, folder) in enumerate(named, start=1)]  # fmt: skip


def adapter_of(text: str) -> tuple[str, Path]:
    """NAME=FOLDER or FOLDER -> name and folder; finetune's own folder holds its adapter in a folder `adapter`."""
    name, _, path = text.rpartition("=")
    folder = Path(path)
    inner = folder / "adapter"
    found = inner if not (folder / "adapter_config.json").is_file() and inner.is_dir() else folder
    return name or folder.name, found


def head_of(checkpoint):
    """What the head of a model says of texts, where it is no head that writes; else None."""
    if checkpoint.config.head.kind == "language" or checkpoint.tokenizer is None:
        return None
    from upwell.evaluation import predict

    return predict.Predictor(checkpoint) if checkpoint.config.head.kind in predict.HEADS else None


def open_model(folder: Path, settings):
    """The checkpoint of a folder on the device and with the weights that a verb's settings ask for."""
    import torch

    from upwell.model import hub, quantize

    rounded = settings.weights.startswith("int")
    # Rounded from the numbers of the file, whose own 4 bits are kept exactly then; computed in bfloat16, for which
    # torch's kernels are made.
    dtype = torch.bfloat16 if settings.weights == "bfloat16" else torch.float32 if rounded else None
    checkpoint = hub.load(folder, usable_device(settings.device), dtype, allow=settings.allow_key)
    if not rounded:
        return checkpoint
    small = quantize.quantize(checkpoint.model, quantize.Scheme(int(settings.weights[3:])))
    return replace(checkpoint, model=small.to(torch.bfloat16))


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
