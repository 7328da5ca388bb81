"""The map holds: a room imports only rooms before it, core rooms only their four packages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import upwell

PACKAGE = Path(upwell.__file__).parent
ABOVE = ["__version__", "atomic", "errors", "atomic", "settings", "plugs", "terminal"]
ROOMS = [
    "text", "tokens", "model", "objectives", "training", "generation", "evaluation", "answering", "translation",
    "serving", "inspection",
]  # fmt: skip
BELOW = ["catalog", "gguf", "to_gguf", "weights", "export", "hf", "prepared", "recipes", "run", "showing", "tracking",
         "verbs", "cli", "__main__"]
CORE = {"model", "training", "generation"}
CORE_PACKAGES = {"torch", "numpy", "safetensors", "tokenizers"}
EXTRAS = {"generation/grammar.py": {"llguidance"}}  # imported where a request needs it, and missed in one sentence
FILES = sorted(file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Dotted names that a file of the package imports anywhere; "upwell.x" for our own."""
    package = ["upwell", *file.parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            own_room = stem == "upwell"  # `from upwell import plugs` names rooms after the import
            found |= {f"{stem}.{alias.name}" for alias in node.names} if own_room else {stem}
    return found


def part(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def may_import(mine: str) -> set[str]:
    if mine in ROOMS:
        return {*ABOVE, *ROOMS[: ROOMS.index(mine) + 1]}
    if mine in ABOVE:
        return set(ABOVE)
    return {*ABOVE, *ROOMS, *BELOW}


def wrong_ways(file: Path) -> list[str]:
    ours = {name.split(".")[1] for name in imported(file) if name.startswith("upwell.")}
    return sorted(ours - may_import(part(file)))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_room_imports_only_rooms_before_it(file):
    assert part(file) in {*ABOVE, *ROOMS, *BELOW, "__init__"}, f"{part(file)} is not on the map"
    if part(file) != "__init__":
        assert wrong_ways(file) == []


def test_a_wrong_import_would_be_seen(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    source = "from ..training import loop\nfrom upwell import cli\nimport upwell.text"
    (tmp_path / "model" / "bad.py").write_text(source, encoding="utf-8")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert wrong_ways(Path("model/bad.py")) == ["cli", "training"]


@pytest.mark.parametrize("file", [file for file in FILES if part(file) in CORE], ids=str)
def test_core_rooms_run_where_only_torch_numpy_safetensors_and_tokenizers_are(file):
    roots = {name.split(".")[0] for name in imported(file)}
    known = CORE_PACKAGES | EXTRAS.get(file.as_posix(), set()) | {"upwell"}
    assert roots - set(sys.stdlib_module_names) - known == set()


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_states_its_contract(room):
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring and len(docstring.splitlines()) >= 3


def test_every_folder_of_the_package_is_a_package():
    folders = {file.parent for file in FILES}
    assert [str(folder) for folder in folders if not (PACKAGE / folder / "__init__.py").exists()] == []


def test_importing_upwell_and_its_help_imports_nothing_heavy():
    code = (
        "import sys, upwell; from upwell.cli import main; main(['--help']);"
        "print([m for m in ('torch', 'pydantic', 'tyro', 'rich', 'numpy', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_public_door_opens():
    assert upwell.__all__ == ["Checkpoint", "__version__", "load", "save"]
    assert all(getattr(upwell, name) for name in upwell.__all__)
    assert callable(upwell.load) and callable(upwell.save) and isinstance(upwell.Checkpoint, type)
    with pytest.raises(AttributeError):
        _ = upwell.nothing_like_this
