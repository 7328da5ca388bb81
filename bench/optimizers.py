"""SGD, SGD with momentum, AdamW, Adafactor and Muon on one recipe: held-out loss over time, three seeds.

    python bench/optimizers.py                                      table and docs/pictures/optimizers.png, 20 minutes
    python bench/optimizers.py --steps 60 --seeds 1 --rates 2       a short look

One model (llama layout, 4 layers of width 128, a vocabulary of 2048, 1.1 M parameters), one text (wiki-intros), the
same batches for all. Each optimizer first looks for its own peak rate: runs of half the length over a few rates, the
best held-out loss of seed 1 wins. Then whole runs with every seed. Time is what the steps took, measuring left out; run
it on a quiet machine. The rates stand in RATES, nothing else differs.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parent.parent
RATES = {  # peak rates to choose from, the likeliest first
    "SGD": (1.0, 3.0, 0.3, 10.0), "SGD + momentum": (0.3, 0.1, 1.0, 0.03), "AdamW": (6e-3, 3e-3, 1.2e-2, 1.5e-3),
    "Adafactor": (0.05, 0.02, 0.1, 0.01), "Muon": (0.02, 0.01, 0.04, 0.005),
}  # fmt: skip
COLOURS = {"SGD": "#8a8a8a", "SGD + momentum": "#c08a3e", "AdamW": "#1f6f8b", "Adafactor": "#6b8e5a", "Muon": "#d1495b"}
VOCABULARY, CONTEXT, ROWS, MEASURED = 2048, 128, 16, 12  # MEASURED: how often a run is measured
BYTES = 4_000_000


@dataclass(frozen=True)
class Curve:
    """One run: held-out loss in nats a token at some steps, and the seconds of training until then."""

    steps: list[int]
    seconds: list[float]
    losses: list[float]


def prepared(folder: Path):
    """(learnt, held-out) stores of the text."""
    from upwell import catalog
    from upwell.tokens import store, tokenizer

    texts, size = [], 0
    for line in catalog.fetch("wiki-intros", "en").read_text(encoding="utf-8").splitlines():
        texts.append(json.loads(line)["text"])
        size += len(texts[-1].encode())
        if size > BYTES:
            break
    made, held = tokenizer.train(texts, VOCABULARY), len(texts) // 20
    parts = {"train": texts[held:], "held": texts[:held]}
    for name, some in parts.items():
        bytes_of = sum(len(text.encode()) for text in some)
        store.write(folder / name, made.encode_batch(some), made.vocab_size, made.end, bytes_of, made.hash)
    return store.Store(folder / "train"), store.Store(folder / "held")


def optimizer(name: str, rate: float):
    """The settings of an optimizer at a peak rate; Muon's matrices have it, and its AdamW half of AdamW's usual one."""
    from upwell.training.settings import Optim

    if name == "Muon":
        return Optim(name="muon", matrix_rate=rate, rate=3e-3)
    kind = {"AdamW": "adamw", "Adafactor": "adafactor"}.get(name, "sgd")
    return Optim(name=kind, rate=rate, momentum=0.9 if name == "SGD + momentum" else 0.0, nesterov=True)


def run(stores, optim, steps: int, seed: int) -> Curve:
    """Train from new weights; inf where the loss is no number any more."""
    from upwell.evaluation.tasks import loss as task
    from upwell.model import preset
    from upwell.model.sizes import Sizes
    from upwell.objectives import Part, causal
    from upwell.training import loop, precision, state
    from upwell.training.settings import Schedule, Settings

    learn, held = stores
    schedule = Schedule(warmup=steps // 20, decay="cosine", final=0.05)
    s = Settings(steps=steps, rows=ROWS, context=CONTEXT, seed=seed, compile="off", optim=optim, schedule=schedule)
    sizes = Sizes(family="llama", width=128, layers=4, heads=4, tied=True)
    model = preset.create(preset.config(sizes, learn.vocab_size, CONTEXT, learn.end), seed)
    sampler = causal.samples(Part(learn, context=CONTEXT), ROWS, seed, causal.Settings())
    twin, curve = model.twin(), Curve([], [], [])

    def measure(now, report) -> None:
        curve.steps.append(report.step)
        curve.seconds.append(report.seconds)
        curve.losses.append(task.measure(twin, held, task.Settings(rows=32)).numbers["loss"].value)

    every = [(max(1, steps // MEASURED), measure)]
    try:
        dtype = precision.resolve("auto", "cpu")
        loop.train(state.begin(model, s), sampler, causal, causal.Settings(), s, dtype, every)
    except loop.Unsound:
        return Curve([steps], [float("nan")], [float("inf")])
    return curve


def searched(stores, name: str, steps: int, count: int) -> float:
    """The best of the optimizer's rates, on runs of half the length."""
    found = {}
    for rate in RATES[name][:count]:
        found[rate] = run(stores, optimizer(name, rate), steps // 2, 1).losses[-1]
        print(f"{name:15} rate {rate:<7g} {found[rate]:.4f} after {steps // 2} steps", file=sys.stderr, flush=True)
    return min(found, key=found.get)


def spread(values: list[float], digits: int) -> str:
    """median (lowest-highest)."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def first(curve: Curve, goal: float) -> float | None:
    """The share of the steps after which a loss is reached."""
    pairs = zip(curve.steps, curve.losses, strict=True)
    return next((step / curve.steps[-1] for step, loss in pairs if loss <= goal), None)


def table(rates: dict[str, float], curves: dict[str, list[Curve]]) -> str:
    """Markdown: each optimizer with its rate, final loss, time of a step, and when it reached AdamW's final loss."""
    goal = statistics.median(curve.losses[-1] for curve in curves["AdamW"])
    lines = ["| optimizer | peak rate | held-out loss, nats a token | ms a step | reaches AdamW's end after |",
             "|---|---|---|---|---|"]  # fmt: skip
    for name, found in curves.items():
        step = [1000 * curve.seconds[-1] / curve.steps[-1] for curve in found]
        share = [first(curve, goal) for curve in found]
        reached = "not" if None in share else f"{statistics.median(share):.0%} of the steps"
        losses = spread([curve.losses[-1] for curve in found], 3)
        lines.append(f"| {name} | {rates[name]:g} | {losses} | {spread(step, 0)} | {reached} |")
    return "\n".join(lines)


def picture(curves: dict[str, list[Curve]], path: Path) -> None:
    """Held-out loss over seconds of training, a line for each seed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, found in curves.items():
        for number, curve in enumerate(found):
            axes.plot(curve.seconds, curve.losses, color=COLOURS[name], linewidth=1.3, alpha=0.85,
                      label=None if number else name)  # fmt: skip
    axes.set(xlabel="seconds of training", ylabel="held-out loss, nats a token", title="One recipe, five optimizers")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--steps", type=int, default=300)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--rates", type=int, default=4, help="how many peak rates each optimizer tries")
    words.add_argument("--picture", type=Path, default=ROOT / "docs" / "pictures" / "optimizers.png")
    words.add_argument("--only", nargs="*", default=list(RATES), choices=list(RATES))
    given = words.parse_args()
    import torch

    names = [name for name in RATES if name in given.only]
    with tempfile.TemporaryDirectory() as folder:
        stores = prepared(Path(folder))
        rates = {name: searched(stores, name, given.steps, given.rates) for name in names}
        curves = {name: [] for name in names}
        for seed in range(1, given.seeds + 1):  # in turn, so that a busy minute is not one optimizer's alone
            for name in names:
                curves[name].append(run(stores, optimizer(name, rates[name]), given.steps, seed))
                end = curves[name][-1]
                told = f"{name:15} seed {seed} {end.losses[-1]:.4f}, {end.seconds[-1]:.1f} s"
                print(told, file=sys.stderr, flush=True)
    print(f"{date.today()}, {platform.processor() or platform.machine()}, torch {torch.__version__}, "
          f"{given.steps} steps of {ROWS} x {CONTEXT} tokens, seeds 1 to {given.seeds}, median (lowest-highest):\n")
    print(table(rates, curves) if "AdamW" in names else curves)
    picture(curves, given.picture)


if __name__ == "__main__":
    main()
