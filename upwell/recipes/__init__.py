"""Recipes: a model from its data to its measured end as a list of ordinary commands, one YAML file each.

    names()                     those of the package            read(name or path) -> Recipe
    commands(recipe, out, scale) -> list[Stage]                 as one would type them; each is checked by its verb
    run(recipe, out, scale) -> list[Done]                       one by one, each once: the same call goes on

A file holds what a person should know first (makes, data, licence, budget) and `stages`, each a command line such as
`upwell pretrain {out}/prepared --out {out}/model`. {out} is the folder of the run; {NAME} is the folder of another
recipe, which must have run first: the one beside it. A stage {try: COMMAND, else: COMMAND} takes the second where the
first needs something that cannot be had here (npm, a network). The folder settings holds files for --config.

The stages run in this process. What a finished stage was is kept in OUT/recipe.json, by a hash of its command and of
all before it; what stages print as results is also kept in OUT/results.txt.
"""

import contextlib
import hashlib
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from upwell import cli, plugs, settings, terminal
from upwell.atomic import said_plainly, write_file
from upwell.errors import Absent, SettingsError, UpwellError

ROOM = Path(__file__).parent
SCALED = ("--training.steps", "--epochs")
"""What a trial has less of; so each training stage of a recipe says one of them."""


@dataclass(frozen=True)
class Recipe:
    """What a recipe's file says."""

    makes: str
    """What comes of it, in a line."""
    data: str
    """What it learns from."""
    licence: str
    """Of the data."""
    budget: str
    """Time, memory and disk, and on what machine."""
    stages: tuple[str | dict[str, str], ...]
    """Command lines, or {try, else} of two."""
    name: str = ""
    """The file's."""

    def __post_init__(self):
        if not self.stages:
            raise ValueError("found no stages; expected a list of commands, as `upwell prepare ...`")


class Stage(NamedTuple):
    """One stage with everything filled in. words: verb and what follows it; otherwise: the same for `else`, or ()."""

    words: tuple[str, ...]
    otherwise: tuple[str, ...] = ()

    @property
    def typed(self) -> str:
        """As one would type it."""
        return typed(self.words)


class Done(NamedTuple):
    """A stage that is finished. command: the one that ran; seconds: None where an earlier call did it."""

    command: str
    seconds: float | None


def typed(words: Sequence[str]) -> str:
    """Words as a line for a shell."""
    return shlex.join(["upwell", *words])


# ---- files ----


def names() -> list[str]:
    """The recipes of the package, sorted."""
    return sorted(path.stem for path in ROOM.glob("*.yaml"))


def read(name: str) -> Recipe:
    """A recipe by its name or the path of a file. SettingsError for an unknown one, and with all faults of a file."""
    path = Path(name)
    if name in names() and not (path.suffix and path.is_file()):
        path = ROOM / f"{name}.yaml"
    elif not path.is_file():
        raise SettingsError(f"There is no recipe {name!r}{settings.did_you_mean(name, names())} A path to a YAML file "
                            "of your own works too.")  # fmt: skip
    found = settings.read(Recipe, path)
    lacking = [key for key in ("makes", "data", "licence", "budget", "stages") if key not in found]
    if lacking:
        raise SettingsError(f"{path}: expected the keys makes, data, licence, budget and stages, {lacking[0]} is not "
                            "there")  # fmt: skip
    for number, stage in enumerate(found["stages"], start=1):
        if not isinstance(stage, str) and set(stage) != {"try", "else"}:
            raise SettingsError(f"{path}: stage {number}: expected a command or the keys try and else, found "
                                f"{', '.join(stage) or 'nothing'}")  # fmt: skip
    try:
        return Recipe(**found | {"name": path.stem})
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None


# ---- commands ----


def commands(recipe: Recipe, out: Path, scale: float = 1.0) -> list[Stage]:
    """The stages for this folder; scale multiplies steps and epochs. SettingsError lists every line that is wrong."""
    stages, faults = [], []
    for number, stage in enumerate(recipe.stages, start=1):
        both = [stage] if isinstance(stage, str) else [stage["try"], stage["else"]]
        words = []
        for line in both:
            try:
                words.append(tuple(_filled(line, out, scale)))
                check(words[-1])
            except (UpwellError, ValueError) as error:
                faults.append(f"{recipe.name}, stage {number}: {error}")
        stages.append(Stage(*words) if words else Stage(()))
    if faults:
        raise SettingsError("\n".join(faults))
    return stages


def _filled(line: str, out: Path, scale: float) -> list[str]:
    words = shlex.split(line)
    if words[:1] != ["upwell"] or len(words) < 2:
        raise SettingsError(f"expected a command as `upwell prepare ...`, found {line!r}")
    words = [_placed(word, out) for word in words[1:]]
    return [_scaled(before, word, scale) if before in SCALED and scale != 1 else word
            for before, word in zip(["", *words], words, strict=False)]  # fmt: skip


def _placed(word: str, out: Path) -> str:
    """A word with the folders that {out} and {NAME} stand for; other braces stay as they are."""
    folders = {"out": out} | {name: out.parent / name for name in names()}
    return re.sub(r"\{([a-z0-9-]+)\}", lambda found: str(folders.get(found[1], found[0])), word)


def _scaled(flag: str, word: str, scale: float) -> str:
    """Whole steps, at least one; epochs may be a part of one."""
    value = float(word) * scale
    return f"{value:g}" if flag == "--epochs" else str(max(1, round(value)))


def check(words: Sequence[str]) -> Any:
    """The settings of a verb for these words. Raises SettingsError as the verb itself would."""
    return _opened(words)[1]


def _opened(words: Sequence[str]) -> tuple[Any, Any]:
    verb, rest = words[0], list(words[1:])
    if verb not in cli.verbs() or verb == "recipe":
        raise SettingsError(f"there is no verb {verb!r} for a stage{settings.did_you_mean(verb, cli.verbs())}")
    module = plugs.find("verbs", verb)
    return module, settings.parse(cli.settings_type(module, rest), rest, verb, module.__doc__)


def others(recipe: Recipe) -> list[str]:
    """The recipes on whose folders it builds."""
    lines = [line for stage in recipe.stages for line in ([stage] if isinstance(stage, str) else stage.values())]
    return [name for name in names() if any(f"{{{name}}}" in line for line in lines)]


# ---- running ----


def run(recipe: Recipe, out: Path, scale: float = 1.0) -> Iterator[Done]:
    """Run the stages that are not finished yet; gives each as it ends.

    An error of a stage is raised with the stage's number before it. KeyboardInterrupt says how to go on.
    """
    stages = commands(recipe, out, scale)
    for name in others(recipe):
        if not read_state(out.parent / name).get("finished"):
            raise SettingsError(f"{recipe.name} builds on the recipe {name}, which is not finished in "
                                f"{out.parent / name}; run it first: upwell recipe {name}")  # fmt: skip
    state, chain = read_state(out).get("stages", {}), ""
    for number, stage in enumerate(stages, start=1):
        key = chain = hashlib.sha256(f"{chain} {stage}".encode()).hexdigest()
        if key in state and _there(shlex.split(state[key]["command"])):
            yield Done(state[key]["command"], None)
            continue
        begin, place = time.perf_counter(), f"Stage {number} of {len(stages)}"
        with _told(place):
            taken = _run(stage, place, out)
        done = Done(typed(taken), time.perf_counter() - begin)
        state[key] = {"command": done.command, "seconds": round(done.seconds, 1)}
        _keep(out, {"recipe": recipe.name, "stages": state, "finished": number == len(stages)})
        yield done


def _run(stage: Stage, place: str, out: Path) -> tuple[str, ...]:
    """Run a stage; the words that ran."""
    try:
        _one(stage.words, place, out)
    except Absent as error:
        if not stage.otherwise:
            raise
        terminal.warn(f"{place}: {error} Taking the other way.")
        _one(stage.otherwise, place, out)
        return stage.otherwise
    return stage.words


def _one(words: tuple[str, ...], place: str, out: Path) -> None:
    terminal.stage(f"{place}  {typed(words)}")
    module, given = _opened(words)  # once more: stages before it may have made what decides its settings
    with said_plainly(out):
        out.mkdir(parents=True, exist_ok=True)
        with open(out / "results.txt", "a", encoding="utf-8", errors="replace") as kept:
            kept.write(f"$ {typed(words)}\n")
            with contextlib.redirect_stdout(_Both(sys.stdout, kept)):
                code = module.main(given)
            kept.write("\n")
    if code:
        raise UpwellError(f"`{typed(words)}` ended with the code {code}")


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    """What goes wrong inside, with its place; Ctrl-C in one sentence."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped at {place.lower()}; the same command goes on from here.") from None
    except UpwellError as error:
        error.args = (f"{place}: {error}",)
        raise


class _Both:
    """Standard output, a copy of which goes into a file; everything else is asked of standard output."""

    def __init__(self, stream: TextIO, copy: TextIO):
        self._stream, self._copy = stream, copy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Into both."""
        self._copy.write(text)
        return self._stream.write(text)


def _there(words: list[str]) -> bool:
    """Whether what a finished command wrote is still there."""
    made = [Path(word) for before, word in zip(words, words[1:], strict=False) if before == "--out"]
    return all(path.exists() for path in made)


def read_state(out: Path) -> dict:
    """What OUT/recipe.json says; {} where there is none."""
    try:
        found = json.loads((out / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(out: Path, state: dict) -> None:
    write_file(out / "recipe.json", (json.dumps(state, indent=1, ensure_ascii=False) + "\n").encode())

