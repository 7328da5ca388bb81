"""What this machine can do, or whether a model's folder is whole.

Without a folder: one table about this machine (versions, cores, memory, how fast its matrix products are in float32
and in bfloat16, compiler, disk, cache). With a folder: every file listed in its upwell.yaml is read and compared with
its SHA-256, and the headers of its safetensors files are checked; a flipped bit, a missing or a truncated file ends
with exit code 2.

Examples:
    upwell doctor
    upwell doctor runs/first
"""

import dataclasses
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from upwell import __version__, terminal
from upwell.errors import CheckpointError

WEIGHTS = ".safetensors"


@dataclasses.dataclass(frozen=True)
class Settings:
    folder: Positional[Path | None] = None
    """A model's folder, written by upwell or in Hugging Face layout; without it, this machine."""


def main(settings: Settings) -> None:
    if settings.folder:
        check_folder(settings.folder)
    else:
        terminal.table("This machine", ("what", "found"), machine())


# ---- a folder ----


def check_folder(folder: Path) -> None:
    """Raises CheckpointError that names every file at fault."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder; give the folder of a model.")
    hashes = listed(folder)
    weights = sorted([*folder.glob(f"*{WEIGHTS}"), *folder.glob(f"*/*{WEIGHTS}")])
    if not hashes and not weights:
        raise CheckpointError(f"{folder}: neither upwell.yaml nor {WEIGHTS} files are in it; it is no model's folder.")
    faults = {name: fault for name in hashes if (fault := hash_fault(folder / name, hashes[name]))}
    for file in weights:
        name = file.relative_to(folder).as_posix()
        if name not in faults and (fault := header_fault(file)):
            faults[name] = fault
    if faults:
        raise CheckpointError("\n".join(f"{folder / name}: {fault}" for name, fault in faults.items()))
    terminal.say(f"{folder}: {len(hashes)} files have the SHA-256 of upwell.yaml, {len(weights)} headers are sound.")
    if not hashes:
        terminal.warn("There is no list of hashes in upwell.yaml, so a flipped bit would not have been seen.")


def listed(folder: Path) -> dict[str, str]:
    """File name -> SHA-256, as upwell.yaml lists them; empty where there is no such file."""
    import yaml

    path = folder / "upwell.yaml"
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise CheckpointError(f"{path}: the file is damaged: it is not valid YAML.") from None
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict):
        raise CheckpointError(f"{path}: the list `files:` of names and SHA-256 is missing; the file is damaged.")
    for name, value in files.items():
        if not isinstance(value, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(f"{path}: {name!r} is not a file of this folder with a SHA-256; it is damaged.")
    return files


def hash_fault(file: Path, expected: str) -> str:
    """What is wrong with a listed file, "" if nothing is."""
    from upwell.model.hub import sha256

    if not file.is_file():
        return "the file is missing; copy the folder again."
    found = sha256(file)
    if found == expected:
        return ""
    return (
        f"its SHA-256 is {found[:12]}..., upwell.yaml says {expected[:12]}...: it was changed, cut short or "
        "damaged; copy it again."
    )


def header_fault(file: Path) -> str:
    """What is wrong with a safetensors file's header or size, "" if nothing is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        return f"the safetensors header does not fit the file ({error}); it was cut short or damaged, copy it again."
    return ""


# ---- this machine ----


def machine() -> list[tuple[str, Any]]:
    """Rows of the table."""
    import torch

    from upwell.catalog import cache_folder
    from upwell.training.precision import rate

    cache = cache_folder()
    plain, half = (rate(dtype, size=1024) / 1e9 for dtype in (torch.float32, torch.bfloat16))
    return [
        ("upwell", __version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", torch.__version__),
        ("devices", ", ".join(devices())),
        ("cores", f"{os.cpu_count()}, torch uses {torch.get_num_threads()}"),
        ("memory", memory()),
        ("CPU features", features()),
        ("matrix product, float32", f"{plain:,.0f} GFLOP/s"),
        ("matrix product, bfloat16", f"{half:,.0f} GFLOP/s ({half / plain:.1f} times float32)"),
        ("C++ compiler", compiler() or "none: training runs without torch.compile, slower"),
        ("free disk here", f"{shutil.disk_usage(Path.cwd()).free / 1e9:,.1f} GB"),
        ("cache", f"{cache} ({'writable' if writable(cache) else 'NOT writable: set UPWELL_CACHE'})"),
    ]


def devices() -> list[str]:
    import torch

    found = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else []) + ["cpu"]


def memory() -> str:
    """Total and, where the system says it, free memory."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = os.sysconf("SC_PHYS_PAGES") * page / 1e9
        free = os.sysconf("SC_AVPHYS_PAGES") * page / 1e9
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, macOS no SC_AVPHYS_PAGES
        return "not told by this system"
    return f"{total:,.1f} GB, {free:,.1f} GB of it unused"


def features() -> str:
    """What matters for speed, as the CPU itself says it."""
    import torch

    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni", "asimd", "bf16", "sve")
    info = Path("/proc/cpuinfo")
    words = set(info.read_text(encoding="utf-8", errors="replace").split()) if info.exists() else set()
    return " ".join(word for word in known if word in words) or torch.backends.cpu.get_cpu_capability()


def compiler() -> str | None:
    """Where torch.compile would find a C++ compiler."""
    names = [os.environ.get("CXX", ""), *(("cl",) if sys.platform == "win32" else ("g++", "clang++", "c++"))]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def writable(folder: Path) -> bool:
    """Whether a file can be written there; a folder that is not there yet is judged by its nearest parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
