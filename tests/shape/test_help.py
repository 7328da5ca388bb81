"""Every verb teaches: its --help runs, every setting has a help text, the README's commands parse."""

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest

from upwell import cli, settings

ROOT = Path(__file__).parents[2]
VERBS = list(cli.verbs())


def module(verb: str):
    return importlib.import_module(f"upwell.verbs.{verb}")


def told(kind: type) -> set[str]:
    """Fields with a docstring under them in the source of one class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    return {
        first.target.id
        for first, second in zip(body, body[1:], strict=False)
        if isinstance(first, ast.AnnAssign) and isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
    }


def helpless_fields(kind: type) -> list[str]:
    """Fields of a Settings class, nested and inherited ones included, without a help text."""
    hints = typing.get_type_hints(kind)
    helped = set().union(*(told(parent) for parent in kind.__mro__ if dataclasses.is_dataclass(parent)))
    missing = []
    for field in dataclasses.fields(kind):
        missing += [] if field.name in helped else [f"{kind.__name__}.{field.name}"]
        missing += helpless_fields(hints[field.name]) if dataclasses.is_dataclass(hints[field.name]) else []
    return missing


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_keeps_its_contract(verb):
    found = module(verb)
    assert dataclasses.is_dataclass(found.Settings) and found.Settings.__dataclass_params__.frozen
    assert list(inspect.signature(found.main).parameters) == ["settings"]
    assert found.__doc__ and "\nExamples:\n" in found.__doc__, "the docstring closes with examples"


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_has_a_help_text(verb):
    assert helpless_fields(module(verb).Settings) == []


def test_a_setting_without_a_help_text_would_be_seen():
    assert helpless_fields(Silent) == ["Silent.second"]


@dataclasses.dataclass(frozen=True)
class Silent:
    first: int = 1
    """told"""
    second: int = 2


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_runs_without_torch(verb):
    code = f"import sys; from upwell.cli import main; print(main([{verb!r}, '--help']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout + done.stderr
    assert f"upwell {verb}" in done.stdout and "Examples:" in done.stdout


def commands(text: str) -> list[str]:
    """Lines of fenced blocks that begin with `upwell ` (a prompt sign before it is allowed)."""
    blocks = re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("upwell ")]


def check_command(line: str) -> None:
    verb, *words = shlex.split(line, comments=True)[1:]
    if verb.startswith("-"):
        return
    assert verb in VERBS, f"README: {line}"
    if "--help" not in words and "--config" not in words:
        settings.parse(cli.settings_type(module(verb), words), words, verb)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_commands_of_the_readme_parse(name):
    found = commands((ROOT / name).read_text(encoding="utf-8"))
    assert found, f"{name} shows no command"
    for line in found:
        check_command(line)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "Makefile"])
def test_the_make_targets_that_are_named_exist(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|[`\"])make ([a-z][a-z-]*)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
    assert named and named <= targets


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_verb_parse(verb):
    examples = module(verb).__doc__.partition("Examples:\n")[2]
    lines = [line.strip() for line in examples.splitlines() if line.strip().startswith("upwell ")]
    assert lines
    for line in lines:
        check_command(line)


def test_a_wrong_flag_in_a_readme_would_be_seen():
    with pytest.raises(settings.SettingsError):
        check_command("upwell doctor --nonsense 3")
    with pytest.raises(AssertionError):
        check_command("upwell fly away")
    assert commands("```sh\n$ upwell doctor  # see\n```\nupwell not this") == ["upwell doctor  # see"]
