"""Settings of a verb: defaults, then `--config FILE.yaml`, then the environment, then flags; all mistakes at once.

A Settings class is a plain frozen dataclass of the standard library. Its fields are numbers, texts, paths,
Literal choices, tuples and further such dataclasses, with a docstring under each field: that is its help
text. `Positional[...]` of tyro.conf makes a field positional. A range is checked in `__post_init__` with a
ValueError or SettingsError of one sentence.

This module knows no verb and no room. Heavy imports happen inside the functions, so that core rooms may
import it where only torch, numpy, safetensors and tokenizers are installed.
"""

import contextlib
import dataclasses
import difflib
import inspect
import io
import keyword
import os
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from upwell.errors import SettingsError

Settings = TypeVar("Settings")

FILE_HELP = ("A YAML file with the same keys can stand in for the flags: --config FILE.yaml; so can the environment, "
             "as UPWELL_{verb}_NAME=VALUE. Flags win over the environment, and that over the file.")


def parse(kind: type[Settings], argv: list[str], verb: str, description: str | None = None) -> Settings:
    """The settings of one call: defaults, overridden by the `--config` file, the environment and the flags, in turn.

    argv holds the words after the verb; `description` (the verb's module docstring) opens the help, and what
    follows a line "Examples:" in it closes the help. Raises SettingsError for any mistake, SystemExit(0)
    after `--help`.
    """
    path, flags = _without_config(_joined(list(argv), _lists(kind)))
    values = (read(kind, path) if path else {}) | environment(kind, verb, os.environ)
    return _from_flags(kind, flags, _draft(kind, values), verb, description or "")


def read(kind: type, path: str | Path) -> dict[str, Any]:
    """The checked values of a YAML file, nested as `kind` is; SettingsError lists all mistakes as file:line."""
    import yaml

    node = _compose(Path(path))
    if node is None:
        return {}
    mistakes: list[str] = []
    values: dict[str, Any] = {}
    if isinstance(node, yaml.MappingNode):
        values = _mapping(kind, node, "", mistakes, str(path))
    else:
        mistakes.append(f"{path}:1: expected lines of the form `key: value`, found something else")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return values


def environment(kind: type, verb: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The checked values of UPWELL_<VERB>_<NAME> variables, for fields that hold no settings of their own.

    A value is a text as it stands, or YAML where the field is no text: UPWELL_SERVE_FOLDER="[runs/a, runs/b]".
    """
    start, hints = f"UPWELL_{verb.upper()}_", typing.get_type_hints(kind)
    plain = {f.name.upper(): f.name for f in dataclasses.fields(kind) if not dataclasses.is_dataclass(hints[f.name])}
    values, mistakes = {}, []
    for variable in sorted(name for name in variables if name.startswith(start)):
        name = variable.removeprefix(start)
        if name not in plain:
            mistakes.append(f"{variable}: there is no such setting{did_you_mean(name, plain)}")
            continue
        try:
            values[plain[name]] = _of_text(hints[plain[name]], variables[variable])
        except ValueError as error:
            mistakes.append(f"{variable}: {error}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return values


def _of_text(hint: Any, text: str) -> Any:
    """A text as a value of this type. ValueError says why it is none."""
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        read = text
    fault = None
    for value in (text, read, [text]):
        try:
            return TypeAdapter(hint).validate_python(value)
        except ValidationError as error:
            fault = fault or error
    raise ValueError("; ".join(_faults(fault)))


def given(name: str, argv: list[str]) -> str | None:
    """What the words after a verb, or their `--config` file, say of one setting, before its kind is known.

    For settings that decide which others there are. None where neither says anything, or the file cannot be read.
    """
    path, flags = _without_config(list(argv))
    for number, word in enumerate(flags):
        if word == f"--{name}":
            return flags[number + 1] if number + 1 < len(flags) else None
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    with contextlib.suppress(SettingsError):
        node = _compose(Path(path)) if path else None
        found = [value.value for key, value in getattr(node, "value", ()) if key.value == name]
        return found[0] if found and isinstance(found[0], str) else None
    return None


def checked(kind: type, name: str, value: Any) -> Any:
    """A value out of JSON as the field `name` of `kind` takes it; nothing is guessed. SettingsError with the faults."""
    import json

    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(typing.get_type_hints(kind)[name]).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise SettingsError("; ".join(f"{name}: {fault}" for fault in _faults(error))) from None


def with_part(kind: type, name: str, inner: type) -> type:
    """`kind` with `inner` as the type of its field `name`, which holds settings of their own."""
    part = dataclasses.field(default_factory=inner)
    made = dataclasses.make_dataclass(kind.__name__, [(name, inner, part)], bases=(kind,), frozen=True, kw_only=True)
    made.__doc__, made.__module__ = kind.__doc__, kind.__module__
    return made


def dump(settings: Any) -> str:
    """The settings as YAML text; `parse` with that text as its file gives equal settings back."""
    import yaml

    return yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True)


def plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as the dicts, lists and strings that YAML and JSON know.

    A field whose name is a word of Python's has an underscore behind it, which goes.
    """
    if dataclasses.is_dataclass(value):
        return {f.name.removesuffix("_"): plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    """", did you mean x?" for the nearest known word, else "; known are a, b, c"."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else f"; known are {', '.join(known) or 'none'}"


# ---- files ----


def _compose(path: Path) -> Any:
    """The file's YAML node, which remembers lines; None for an empty file."""
    import yaml

    try:
        return yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SettingsError(f"{path}: the settings file cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: the settings file is no UTF-8 text; expected YAML.") from None
    except RecursionError:
        raise SettingsError(f"{path}: not valid YAML: nested too deeply.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or getattr(error, "reason", "unreadable")
        raise SettingsError(f"{where}: not valid YAML: {reason}.") from None


def _mapping(kind: type, node: Any, prefix: str, mistakes: list[str], file: str) -> dict[str, Any]:
    """Values of one YAML mapping for the dataclass `kind`; appends a line to `mistakes` for each fault."""
    hints, values, lines = typing.get_type_hints(kind), {}, {}
    known = [f.name for f in dataclasses.fields(kind)]
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        where = f"{file}:{line}: {prefix}{key}:"
        key += "_" * keyword.iskeyword(key)
        if key not in known:
            mistakes.append(f"{where} unexpected key{did_you_mean(key, known)}")
        elif key in lines:
            mistakes.append(f"{where} given twice, first in line {lines[key]}")
        else:
            lines[key] = line
            values[key] = _value(hints[key], value_node, f"{prefix}{key}", mistakes, file)
    return values


def _value(hint: Any, node: Any, name: str, mistakes: list[str], file: str) -> Any:
    """One checked value; a fault is appended to `mistakes` with the line at which the value stands."""
    import yaml
    from pydantic import TypeAdapter, ValidationError

    line = node.start_mark.line + 1
    if dataclasses.is_dataclass(hint):
        if isinstance(node, yaml.MappingNode):
            return _mapping(hint, node, f"{name}.", mistakes, file)
        mistakes.append(f"{file}:{line}: {name}: expected indented `key: value` lines below it")
        return {}
    loader = yaml.SafeLoader("")
    try:
        found = loader.construct_object(node, deep=True)
        return TypeAdapter(hint).validate_python(found)
    except ValidationError as error:
        for fault in _faults(error):
            mistakes.append(f"{file}:{line}: {name}: {fault}")
    except (yaml.YAMLError, ValueError) as error:
        mistakes.append(f"{file}:{line}: {name}: {getattr(error, 'problem', None) or error}")
    finally:
        loader.dispose()
    return None


def _faults(error: Any) -> list[str]:
    """Pydantic's faults of one value, as short clauses; of a union only the member that is not None."""
    details = [d for d in error.errors(include_url=False) if d["type"] != "none_required"]
    return [f"{d['msg'][0].lower()}{d['msg'][1:]}, found {d['input']!r}" for d in details]


# ---- flags ----


def _lists(kind: type, above: str = "") -> set[str]:
    """The flags of a Settings class that take several values."""
    found = set()
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        told = getattr(hint, "__metadata__", ())
        bare = typing.get_args(hint)[0] if told else hint
        name = next((one.name for one in told if getattr(one, "name", None)), name).replace("_", "-")
        if dataclasses.is_dataclass(bare):
            found |= _lists(bare, f"{above}{name}.")
        elif typing.get_origin(bare) is tuple and typing.get_args(bare)[-1] is Ellipsis:
            found.add(f"--{above}{name}")
    return found


def _joined(argv: list[str], lists: set[str]) -> list[str]:
    """The words with the values of a list that is named several times behind its first name, so that none is lost."""
    groups: list[list[str]] = [[]]
    for word in argv:
        flag, is_, value = word.partition("=")
        flag = flag.replace("_", "-")
        if flag in lists:
            groups.append([flag, *([value] if is_ else [])])
        elif word.startswith("--"):
            groups.append([word])
        else:
            groups[-1].append(word)
    first: dict[str, list[str]] = {}
    for group in groups:
        own = first.setdefault(group[0], group) if group and group[0] in lists else group
        if own is not group:
            own += group[1:]
            group.clear()
    return [word for group in groups for word in group]


def _without_config(argv: list[str]) -> tuple[str | None, list[str]]:
    """The file after `--config` (the last one counts), and all the other words."""
    path, rest = None, []
    words = iter(argv)
    for word in words:
        if word == "--config":
            path = next(words, None)
            if path is None:
                raise SettingsError("--config needs the name of a YAML file after it.")
        elif word.startswith("--config="):
            path = word.partition("=")[2]
        else:
            rest.append(word)
    return path, rest


def _draft(kind: type, values: dict[str, Any], base: Any = None) -> Any:
    """An unchecked instance of `kind`: flags may still complete it, so no __post_init__ runs yet.

    Each field is taken from `values`, else from `base`, else from its default, else it is tyro's MISSING.
    """
    draft, hints = object.__new__(kind), typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        value = _default(field) if base is None else getattr(base, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            inner = value if dataclasses.is_dataclass(value) else None
            value = _draft(hints[field.name], values.get(field.name, {}), inner)
        elif field.name in values:
            value = values[field.name]
        object.__setattr__(draft, field.name, value)
    return draft


def _default(field: dataclasses.Field) -> Any:
    from tyro import MISSING

    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


def _from_flags(kind: type, argv: list[str], default: Any, verb: str, description: str) -> Any:
    """Let tyro read the flags; its boxed complaint becomes one sentence."""
    import tyro

    opening, _, examples = inspect.cleandoc(description).partition("Examples:\n")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind, args=argv, prog=f"upwell {verb}", description=opening.strip(), default=default,
                config=(tyro.conf.PositionalMetavarFromFieldName, tyro.conf.DisallowNone),
            )  # fmt: skip
    except SystemExit as end:
        if end.code:
            raise SettingsError(_sentence(complaint.getvalue(), verb)) from None
        print(FILE_HELP.format(verb=verb.upper()))
        if examples:
            print(f"\nExamples:\n{examples.rstrip()}")
        raise
    except ValueError as error:
        raise SettingsError(f"upwell {verb}: {error}") from None


def _sentence(boxed: str, verb: str) -> str:
    """tyro's box of lines and rules as one sentence."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", boxed)
    lines = [line.strip(" │|") for line in text.splitlines()[1:]]
    parts = re.split(r" ?[─╰╯+-]{8,} ?", " ".join(line for line in lines if line))
    first = next((part.strip() for part in parts if part.strip()), "the flags could not be read")
    what = re.sub(r"^Error parsing (Settings: )?", "", first.rstrip("."))
    near = [re.search(r"--[\w.-]+", part) for part in parts if part.startswith("Perhaps you meant")]
    hint = f", did you mean {near[0].group()}?" if near and near[0] else "."
    return f"upwell {verb}: {what[:1].lower()}{what[1:]}{hint} `upwell {verb} --help` lists all flags."
