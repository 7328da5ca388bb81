"""Accuracy over the number of examples, as `upwell recipe topics` left it: a table and a picture.

    python bench/learning_curve.py runs/topics [--picture docs/pictures/topics.png]

Beside the three beginnings stands a linear model over the same examples' words (bench/baselines.py). All are measured
on the same held-out texts; errors are standard errors over these.
"""

import argparse
import json
from pathlib import Path

from baselines import labels

from upwell import prepared, terminal

BEGINNINGS = {"new": "a new model", "bert": "the recipe bert", "minilm": "minilm-l6"}
LINEAR = "a linear model over words"
COLOURS = {"a new model": "#888888", "the recipe bert": "#1f77b4", "minilm-l6": "#d62728", LINEAR: "#2ca02c"}


def measured(folder: Path) -> tuple[float, float]:
    """The accuracy of a run's last evaluation, and its standard error."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [line["evaluation"]["accuracy"] for line in lines if "evaluation" in line][-1]
    return found["value"], found["error"]


def linear(folder: Path) -> tuple[int, tuple[float, float]]:
    """How many examples a folder has to learn from, and what a linear model reaches."""
    learnt, held = (list(prepared.documents_of(folder / f"{part}.jsonl")) for part in ("train", "heldout"))
    _, (_, told) = labels(learnt, held)
    value, _, error = told.partition(" ± ")
    return len(learnt), (float(value), float(error))


def draw(counts: list[int], found: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """The picture: examples on a logarithmic scale, accuracy with twice its standard error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), dpi=110)
    for name, values in found.items():
        accuracy, errors = zip(*values, strict=True)
        axes.errorbar(counts, accuracy, [2 * error for error in errors], label=name, color=COLOURS[name], marker="o",
                      markersize=4, linewidth=1.4, capsize=2)  # fmt: skip
    axes.set(xscale="log", xlabel="examples", ylabel="accuracy", ylim=(0, 1))
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """The table, and the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the recipe topics")
    parser.add_argument("--picture", type=Path, help="a PNG, SVG or PDF to write")
    given = parser.parse_args()
    numbers = sorted(int(path.name.rpartition("-")[2]) for path in given.folder.glob("data-*"))
    counts, bags = zip(*(linear(given.folder / f"data-{number}") for number in numbers), strict=True)
    found = {title: [measured(given.folder / f"{name}-{number}") for number in numbers]
             for name, title in BEGINNINGS.items()} | {LINEAR: list(bags)}  # fmt: skip
    rows = [(name, *(f"{value:.3f} ± {error:.3f}" for value, error in values)) for name, values in found.items()]
    terminal.table("Accuracy by examples", ("beginning", *(f"{count:,}" for count in counts)), rows)
    if given.picture:
        draw(list(counts), found, given.picture)


if __name__ == "__main__":
    main()
