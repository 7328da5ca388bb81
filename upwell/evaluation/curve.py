"""The loss curve of a run as a picture. Knows metrics.jsonl's lines and no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def draw(lines: Sequence[Mapping], path: Path, title: str, levels: Mapping[str, float] | None = None) -> Path:
    """Bits per byte over tokens: the training loss, smoothed, the held-out values, and named levels to beat (PNG).

    lines: {"tokens", "bits_per_byte"} for a training step, {"tokens", "heldout_bits_per_byte"} for an evaluation.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = [(line["tokens"] / 1e6, line["bits_per_byte"]) for line in lines if "bits_per_byte" in line]
    held = [(line["tokens"] / 1e6, line["heldout_bits_per_byte"]) for line in lines if "heldout_bits_per_byte" in line]
    if steps:
        axes.plot(*zip(*steps, strict=True), color="#9db4c0", linewidth=0.8, alpha=0.6)
        axes.plot([x for x, _ in steps], smoothed([y for _, y in steps]), color="#1f6f8b", label="training")
    if held:
        axes.plot(*zip(*held, strict=True), "o-", color="#d1495b", markersize=4, label="held out")
    for number, (name, value) in enumerate((levels or {}).items()):
        axes.axhline(value, linestyle="--", linewidth=1, color=("#8a8a8a", "#c08a3e", "#6b8e5a")[number % 3])
        left = {"ha": "left", "va": "bottom", "fontsize": 8, "transform": axes.get_yaxis_transform()}
        axes.text(0.005, value, f"{name} {value:.3f}", **left)  # the curve is far above, there
    values = [y for _, y in steps + held] + list((levels or {}).values())
    if values:
        axes.set_ylim(min(values) * 0.95, min(max(values), 2.2 * min(values)) * 1.02)
    axes.set(xlabel="million tokens", ylabel="bits per byte (lower is better)", title=title)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", frameon=False)
    figure.savefig(path)
    return path


def smoothed(values: Sequence[float], keep: float = 0.95) -> list[float]:
    """An exponential mean that starts without bias."""
    mean, weight, result = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        result.append(mean / weight)
    return result
