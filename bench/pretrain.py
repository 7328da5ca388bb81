"""Pretraining beside peers, in turn in one run, ratios printed.

    python bench/pretrain.py                    all of it, three rounds (about half an hour on two cores)
    python bench/pretrain.py --part quality     time to the peer's final validation loss, three texts
    python bench/pretrain.py --part speed       tokens a second at equal shape
    python bench/pretrain.py --rounds 1 --texts en

Time to quality: transformers' GPT-2 in plain PyTorch float32 with the known small CPU recipe, against
upwell/recipes/settings/small.yaml on the same characters and split; time is the wall time of the training loop,
compiling included. Both are measured by the same function on the same windows of 64 characters. The first round
compiles with an empty cache ("cold"), the others with a warm one.
Speed: transformers' Trainer in its defaults on 12 M parameters, against our loop at the same sizes.

--markdown FILE writes the tables. Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
TEXTS = {"en": "English prose (wiki-intros)", "zh": "Chinese poems (chinese-poetry)", "py": "Python code (stdlib)"}
CORPORA = {"en": ("wiki-intros", "en"), "zh": ("chinese-poetry", "zh"), "py": ("python", "en")}
SIZE = 1_000_000  # bytes of UTF-8
MANY_CHARACTERS = (
    "--training.steps 270 --training.optim.embed-rate 0.6 --training.optim.head-rate 0.02 --training.optim.beta2 0.99"
).split()
"""Where a text has more than 1000 different characters each is seen less often: more steps, higher rates for the
embedding and the head, and a longer memory of how large their gradients are."""


@dataclass(frozen=True)
class Side:
    """One training: seconds of its loop (compiling included), final loss, and seconds of its first step."""

    seconds: float
    loss: float
    first: float


def text(name: str) -> str:
    """The first million bytes of a corpus of the catalogue."""
    from upwell import catalog

    path, parts, size = catalog.fetch(*CORPORA[name]), [], 0
    for line in path.read_text(encoding="utf-8").splitlines():
        parts.append(json.loads(line)["text"])
        size += len(parts[-1].encode()) + 2
        if size >= SIZE:
            break
    return "\n\n".join(parts).encode()[:SIZE].decode(errors="ignore")


def ours(ids, held, vocabulary: int, seed: int) -> Side:
    """upwell's loop with recipes/settings/small.yaml on these characters."""
    import torch
    from peers_pretrain import validation_loss

    import upwell
    from upwell.model import preset
    from upwell.objectives import causal
    from upwell.settings import parse
    from upwell.tokens.batches import Batch
    from upwell.training import loop, optim
    from upwell.training.state import State
    from upwell.verbs.pretrain import Settings

    recipe = Path(upwell.__file__).parent / "recipes" / "settings" / "small.yaml"
    more = MANY_CHARACTERS if vocabulary > 1000 else []
    given = parse(Settings, ["none", "--config", str(recipe), *more], "pretrain")
    s = replace(given.training, seed=seed)
    T = s.context
    order = windows(len(ids), T, s.steps * s.rows, seed)

    class Sampler:
        def samples(self, numbers) -> Batch:
            at = order[numbers, None] + torch.arange(T)
            return Batch(ids[at], ids[at + 1], None)

    times = []
    begin = time.perf_counter()
    model = preset.create(preset.config(given.model, vocabulary, T, 0), seed)
    state = State(model, optim.build(model, s.optim))
    loop.train(state, Sampler(), causal, causal.Settings(), s,
               every=[(1, lambda _, report: times.append(report.seconds))])  # fmt: skip
    seconds = time.perf_counter() - begin
    return Side(seconds, validation_loss(model.twin(), held, T), times[0])


def windows(length: int, context: int, count: int, seed: int):
    """Where `count` windows begin: each pass over the text in an order and with cuts of its own."""
    import torch

    generator, found = torch.Generator().manual_seed(seed), []
    while sum(map(len, found)) < count:
        phase = int(torch.randint(context, (1,), generator=generator))
        found.append(torch.randperm((length - 1 - phase) // context, generator=generator) * context + phase)
    return torch.cat(found)[:count]


def theirs(ids, held, vocabulary: int, seed: int) -> Side:
    """The peer's whole training."""
    from peers_pretrain import SmallRecipe, train_small_gpt2

    end = train_small_gpt2(ids, held, vocabulary, seed, evaluate_every=SmallRecipe().steps)[-1]
    return Side(end.seconds, end.loss, 0.0)


V, D, L, H, T, B = 4096, 384, 6, 6, 256, 16  # vocabulary, width, layers, heads, context, rows: 12 M parameters


def our_speed(family: str, mode: str, steps: int = 8) -> float:
    """Tokens a second of our loop at the 12 M shape."""
    import torch

    from upwell.model import preset
    from upwell.model.sizes import Sizes
    from upwell.objectives import causal
    from upwell.tokens.batches import Batch
    from upwell.training import loop, optim, precision
    from upwell.training.settings import Optim, Settings
    from upwell.training.state import State

    ids = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(1))
    class Sampler:
        def samples(self, numbers) -> Batch:
            return Batch(ids[:, :-1], ids[:, 1:], None)

    s = Settings(steps=steps, rows=B, context=T, compile=mode, optim=Optim(name="adamw", rate=1e-4))
    sizes = Sizes(family=family, width=D, layers=L, heads=H, tied=family == "gpt2")
    model = preset.create(preset.config(sizes, V, T, 0), 1)
    state, times = State(model, optim.build(model, s.optim)), []
    timed = [(1, lambda _, report: times.append(report.seconds))]
    dtype = precision.resolve("auto", "cpu")
    loop.train(state, Sampler(), causal, causal.Settings(), s, dtype, timed)
    return B * T * (steps - 2) / (times[-1] - times[1])


def their_speed() -> float:
    """Tokens a second of transformers' Trainer in its defaults at the same shape."""
    import torch
    from peers_pretrain import train_with_trainer

    rows = torch.randint(V, (256, T), generator=torch.Generator().manual_seed(1))
    return train_with_trainer(rows, V, D, L, H, B)


def apart(call: str, cache: str) -> list:
    """Evaluate a call of this file in a process of its own, with its own compile cache; peers never share one."""
    code = (f"import sys, json; sys.path.insert(0, {str(HERE)!r}); import pretrain, torch; "
            f"torch.set_num_threads({os.cpu_count()}); print('RESULT', json.dumps(pretrain.{call}))")  # fmt: skip
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "PYTHONPATH": str(HERE.parent)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    found = [line for line in out.stdout.splitlines() if line.startswith("RESULT ")]
    if out.returncode or not found:
        raise SystemExit(f"{call} failed:\n{out.stderr[-2000:]}")
    return json.loads(found[-1].removeprefix("RESULT "))


def side(which: str, name: str, seed: int) -> list[float]:
    """One training in this process: [seconds, loss, seconds of the first step]."""
    from peers_pretrain import characters

    ids, held, vocabulary = characters(text(name))
    done = (ours if which == "ours" else theirs)(ids, held, len(vocabulary), seed)
    return [done.seconds, done.loss, done.first]


def quality(names: list[str], rounds: int) -> list[str]:
    """Rows of a Markdown table: time to the peer's loss."""
    rows = ["| text | peer: loss, s | upwell: loss, s | of it its first step | cold, s | peer / upwell | reached |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in names:
        with tempfile.TemporaryDirectory() as cache:
            cold = apart(f"side('ours', {name!r}, 0)", cache)
            pairs = []
            for seed in range(rounds):
                pairs.append([apart(f"side({which!r}, {name!r}, {seed})", cache) for which in ("theirs", "ours")])
                print(f"{name} round {seed + 1}: peer {pairs[-1][0]}, upwell {pairs[-1][1]}", flush=True)
        peer, mine = zip(*pairs, strict=True)
        (peer_s, peer_loss, _), (our_s, our_loss, first) = zip(*peer, strict=True), zip(*mine, strict=True)
        ratios = [a[0] / b[0] for a, b in pairs]
        reached = sum(b[1] <= a[1] for a, b in pairs)
        cells = (TEXTS[name], f"{spread(peer_loss, 3)}, {spread(peer_s)}", f"{spread(our_loss, 3)}, {spread(our_s)}",
                 spread(first), f"{cold[0]:.1f}", spread(ratios), f"{reached} of {rounds}")  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def speed(rounds: int) -> list[str]:
    """Rows of a Markdown table: tokens a second at 12 M parameters."""
    columns = {
        "transformers' Trainer, defaults": "their_speed()",
        "upwell gpt2, eager": "our_speed('gpt2', 'off')",
        "upwell gpt2, compiled": "our_speed('gpt2', 'wait')",
        "upwell nanochat, compiled": "our_speed('nanochat', 'wait')",
    }
    found = {name: [] for name in columns}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds):
            for name, call in columns.items():
                found[name].append(apart(call, cache))
                print(f"round {number + 1}: {name}: {found[name][-1]:.0f} tokens/s", flush=True)
        ceiling = apart("ceiling()", cache)
    peer = next(iter(found.values()))
    rows = [f"Matrix products here: {ceiling[0] / 1e9:.0f} GFLOP/s in float32, {ceiling[1] / 1e9:.0f} in bfloat16.", "",
            "| | tokens/s | times the Trainer | share of the ceiling |", "|---|---|---|---|"]  # fmt: skip
    for name, values in found.items():
        ratio = [a / b for a, b in zip(values, peer, strict=True)]
        share = statistics.median(values) * OPERATIONS / max(ceiling)
        rows.append(f"| {name} | {spread(values, 0)} | {spread(ratio, 2)} | {share:.0%} |")
    return rows


OPERATIONS = 6 * (12 * D * D * L + D * V) + 12 * L * D * T / 2
"""Of a training step, for each token: 6 for each weight of a matrix product, and causal attention."""


def ceiling() -> list[float]:
    """Operations a second of float32 and bfloat16 matrix products of this shape, best of many."""
    import torch

    from upwell.training.precision import rate

    return [max(rate(dtype, 1024) for _ in range(5)) for dtype in (torch.float32, torch.bfloat16)]


def spread(values: list[float], digits: int = 1) -> str:
    """The median, and lowest to highest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def machine() -> str:
    """What this ran on."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0] if models else name
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{date.today()}, {os.cpu_count()} cores of {name}, {versions}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["all", "quality", "speed"], default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", nargs="+", choices=list(TEXTS), default=list(TEXTS))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    lines = [machine() + f", {given.rounds} rounds in turn, median (lowest-highest)", ""]
    if given.part != "quality":
        lines += ["Tokens a second at equal shape (12 M parameters, batch 16 x 256):", "", *speed(given.rounds), ""]
    if given.part != "speed":
        lines += ["Time to the peer's final validation loss (characters):", "", *quality(given.texts, given.rounds), ""]
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
