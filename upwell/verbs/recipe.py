"""Make a model by a recipe: its data, training and measuring as a list of ordinary commands, run one by one.

Without a name the recipes are listed. --show prints the commands, so that you can run, change and learn from them
one by one; without it they run here, in order, each printed first. Ctrl-C stops; the same command goes on, and stages
that are finished are not done again. A recipe is a YAML file; a path to one of your own works too (docs/recipes.md).

Examples:
    upwell recipe
    upwell recipe poems --show
    upwell recipe poems
    upwell recipe gpt --scale 0.02
    upwell recipe mine.yaml --out runs/mine
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal


@dataclass(frozen=True)
class Settings:
    """Which recipe, and where to."""

    name: Positional[str] = ""
    """A recipe's name, or the path of a YAML file."""
    out: Path | None = None
    """The folder for all that it makes; default: runs/NAME, for a trial runs/NAME-SCALE."""
    scale: float = 1.0
    """For a trial: all steps and epochs times this, as 0.02. The rest stays as it is."""
    show: bool = False
    """Print the commands; run nothing."""

    def __post_init__(self):
        if not 0 < self.scale <= 1000:
            raise ValueError(f"scale is {self.scale}; expected a number above 0, as 0.1")


def main(settings: Settings) -> None:
    from upwell import recipes

    if not settings.name:
        return _list()
    recipe = recipes.read(settings.name)
    trial = "" if settings.scale == 1 else f"-{settings.scale:g}"
    out = settings.out or Path("runs") / f"{recipe.name}{trial}"
    if settings.show:
        for stage in recipes.commands(recipe, out, settings.scale):
            print(stage.typed + (f"   # or: {recipes.typed(stage.otherwise)}" if stage.otherwise else ""))
        return None
    for what in ("makes", "data", "licence", "budget"):
        terminal.say(f"{what}: {getattr(recipe, what).strip()}")
    rows = []
    for done in recipes.run(recipe, out, settings.scale):
        spent = "done before" if done.seconds is None else terminal.duration(done.seconds)
        rows.append((str(len(rows) + 1), spent, done.command))
    terminal.table(f"{recipe.name}: {recipe.makes.strip()}", ("stage", "time", "command"), rows)
    terminal.say(f"What the stages printed is kept in {out / 'results.txt'}.")
    return None


def _list() -> None:
    from upwell import recipes

    found = [recipes.read(name) for name in recipes.names()]
    terminal.table("Recipes", ("name", "makes", "budget"), [(one.name, one.makes, one.budget) for one in found])
    terminal.say("Look at one with: upwell recipe NAME --show   and run it with: upwell recipe NAME")
