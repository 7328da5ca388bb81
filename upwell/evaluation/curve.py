"""The curves of runs as pictures, by matplotlib (an extra). Knows metrics.jsonl's lines and no model."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

HOW = "no picture of it: that needs matplotlib; pip install 'upwell[pictures]'"


def possible() -> bool:
    """Whether pictures can be drawn here; HOW says what to do where not."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(lines: Sequence[Mapping], path: Path, title: str, levels: Mapping[str, float] | None = None) -> Path:
    """Bits per byte over tokens: the training loss, smoothed, the held-out values, and named levels to beat (PNG).

    lines: {"tokens", "bits_per_byte"} for a training step, {"tokens", "evaluation"} for an evaluation. Where the bytes
    mean nothing it is the loss in their place.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bytewise = any("bits_per_byte" in line for line in lines)
    key, name = ("bits_per_byte", "bits per byte") if bytewise else ("loss", "loss")
    steps = [(line["tokens"] / 1e6, line[key]) for line in lines if key in line]
    said = [line for line in lines if name in line.get("evaluation", {})]
    held = [(line["tokens"] / 1e6, line["evaluation"][name]["value"]) for line in said]
    if steps:
        axes.plot(*zip(*steps, strict=True), color="#9db4c0", linewidth=0.8, alpha=0.6)
        axes.plot([x for x, _ in steps], smoothed([y for _, y in steps]), color="#1f6f8b", label="training")
    if held:
        axes.plot(*zip(*held, strict=True), "o-", color="#d1495b", markersize=4, label="held out")
    for number, (level, value) in enumerate((levels or {}).items()):
        axes.axhline(value, linestyle="--", linewidth=1, color=("#8a8a8a", "#c08a3e", "#6b8e5a")[number % 3])
        left = {"ha": "left", "va": "bottom", "fontsize": 8, "transform": axes.get_yaxis_transform()}
        axes.text(0.005, value, f"{level} {value:.3f}", **left)  # the curve is far above, there
    values = [y for _, y in steps + held] + list((levels or {}).values())
    if values:
        axes.set_ylim(min(values) * 0.95, min(max(values), 2.2 * min(values)) * 1.02)
    axes.set(xlabel="million tokens", ylabel=f"{name} (lower is better)", title=title)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", frameon=False)
    figure.savefig(path)
    return path


PALETTE = ("#0f6b6b", "#c2452d", "#3d5a9e", "#9a6b00", "#84408e", "#4c7a1f", "#9c3a5f", "#5b5b5b")
HELD = "held-out "
CHINESE = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans GB",
           "Microsoft YaHei", "SimHei")  # fmt: skip


def panels(runs: Mapping[str, Mapping[str, Mapping]], path: Path, title: str = "") -> Path:
    """Every curve of some runs, one field each, over steps; held-out values lie in the field of the training's.

    runs: name of a run -> what training.curves tells of it (name -> {"step", "values", "errors"}).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    every = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    names = [name for name in every if name.removeprefix(HELD) == name or name.removeprefix(HELD) not in every]
    rows = max(1, -(-len(names) // 2))
    figure = Figure(figsize=(11, 2.9 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    fields = list(figure.subplots(rows, 2, squeeze=False).flat)
    for field, name in zip(fields, names, strict=False):
        for number, (run, curves) in enumerate(runs.items()):
            color = PALETTE[number % len(PALETTE)]
            for key in (name, HELD + name):
                if key in curves:
                    _field(field, curves[key], key, color, run if len(runs) > 1 else None)
        field.set_title(name, fontsize=10, loc="left")
        field.grid(alpha=0.25)
    for field in fields[len(names) :]:
        field.axis("off")
    if len(runs) > 1 and names:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(runs))
    if title:
        figure.suptitle(title)
    figure.savefig(path)
    return path


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]], path: Path, title: str = "") -> Path:
    """Right labels against said ones as a picture (PNG, SVG, PDF): counts on the colour of their share of a row."""
    import warnings

    from matplotlib import font_manager
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    size = len(labels)
    figure = Figure(figsize=(3.2 + 0.55 * size, 2.4 + 0.45 * size), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("sea", ("#fffefb", PALETTE[0])), vmin=0, vmax=1,
                aspect="auto")  # fmt: skip
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            colour = "#fffefb" if shares[y][x] > 0.5 else "#22282b"
            axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    short = [label if len(label) <= 22 else label[:21] + "…" for label in labels]
    there = set(font_manager.get_font_names())
    fonts = {"fontsize": 8, "fontfamily": ["DejaVu Sans", *(name for name in CHINESE if name in there)]}
    axes.set_xticks(range(size), short, rotation=45, ha="right", rotation_mode="anchor", **fonts)
    axes.set_yticks(range(size), short, **fonts)
    axes.set(xlabel="what the model says", ylabel="what is right", title=title)
    with warnings.catch_warnings():  # a machine without a font for a label draws a box in its place
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(path)
    return path


def intervals(groups: Mapping[str, Mapping[str, tuple[float, float, float]]], path: Path, title: str = "") -> Path:
    """Values with their intervals as a picture, a line for each name: group -> name -> (value, low, high)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = Figure(figsize=(8, 1.4 + 0.6 * len(names)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (label, group) in enumerate(groups.items()):
        there = [name for name in names if name in group]
        places = [names.index(name) + 0.24 * (number - (len(groups) - 1) / 2) for name in there]
        values = [group[name][0] for name in there]
        below, above = ([abs(group[name][at] - group[name][0]) for name in there] for at in (1, 2))
        colour = PALETTE[number % len(PALETTE)]
        axes.errorbar(values, places, xerr=[below, above], fmt="o", color=colour, capsize=4, label=label)
        for value, place in zip(values, places, strict=True):
            axes.annotate(f"{value:.3f}", (value, place), xytext=(0, 5), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.5), title=title)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25, axis="x")
    if len(groups) > 1:
        figure.legend(loc="outside lower center", ncols=len(groups), frameon=False)
    figure.savefig(path)
    return path


def _field(field, curve: Mapping, name: str, color: str, label: str | None) -> None:
    """One curve: training values smoothed over their raw ones, held-out values with their errors."""
    points = [(x, y) for x, y in zip(curve["step"], curve["values"], strict=True) if y is not None]
    if not points:
        return
    steps, values = zip(*points, strict=True)
    errors = [error or 0.0 for error in curve.get("errors", [])]
    if name.startswith(HELD):
        field.errorbar(steps, values, errors if len(errors) == len(values) else None, fmt="o--", color=color,
                       markersize=4, linewidth=1.2)  # fmt: skip
        return
    rough = len(values) > 20 and name != "rate"
    if rough:
        field.plot(steps, values, color=color, linewidth=0.7, alpha=0.25)
    field.plot(steps, smoothed(values, 0.9) if rough else values, color=color, label=label)


def smoothed(values: Sequence[float], keep: float = 0.95) -> list[float]:
    """An exponential mean that starts without bias."""
    mean, weight, result = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        result.append(mean / weight)
    return result
