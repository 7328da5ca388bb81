"""Plug rooms: each file of such a folder is one of a kind, its file name is its key.

There is no registry. A user's own file outside the package works by its path; it is imported, so it runs with
the user's rights: upwell never takes such a path out of a checkpoint folder. This module knows no room.
"""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from upwell.errors import UpwellError
from upwell.settings import did_you_mean


def names(room: str) -> list[str]:
    """The keys of a plug room, sorted; `room` is a folder of the package such as "model/families"."""
    folder = Path(__file__).parent / room
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def find(room: str, name: str) -> ModuleType:
    """The module of that name in that plug room, or the user's own file if `name` ends in .py."""
    if name.endswith(".py"):
        return _own_file(Path(name), room)
    known = names(room)
    if name not in known:
        near = did_you_mean(name, known)
        near += "" if near.endswith("?") else "."
        raise UpwellError(
            f"There is no {name!r} in {room}{near} A path to your own .py file works too."
            if known else f"There is nothing in {room} yet; give a path to your own .py file."
        )  # fmt: skip
    return importlib.import_module(f"upwell.{room.replace('/', '.')}.{name}")


def _own_file(path: Path, room: str) -> ModuleType:
    """Import a file by its path, once for each path and room."""
    if not path.is_file():
        raise UpwellError(f"{path}: there is no such file; {room} has {', '.join(names(room)) or 'nothing yet'}.")
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"upwell_own_{path.stem}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name while the file is read
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UpwellError(f"{path}: the file cannot be imported: {type(error).__name__}: {error}") from error
    return module
