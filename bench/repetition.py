"""How much each strategy repeats itself, how varied and how likely its texts are: which cures what, at what price.

    python bench/repetition.py MODEL [MODEL ...] --prompts heldout.jsonl --count 200 --new 100 --out FOLDER
    python bench/repetition.py --draw FOLDER --picture docs/pictures/decoding.png --markdown table.md

The prompts are the first --words tokens of real documents ({"text": ...} a line) that are long enough; every text is
--new tokens long (none may end sooner), so that shares can be compared, and "the real text" is how the document itself
goes on. For each strategy and model:

    repeated 4-grams   share of a text's 4-grams (of tokens) that were there before in it, the mean over texts
    distinct-1, -2     different tokens, pairs of tokens, of all that all texts of a strategy have
    log-likelihood     nats a token by the model itself, before any filter, the mean over texts
    rows               how many texts the model reads for one that it writes: its price in time

+- is the standard error over the prompts. All run through the engine. One line of JSON a strategy goes to --out, and a
strategy that is there is not run again.
"""

import argparse
import itertools
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from statistics import fmean, stdev

STRATEGIES = {
    "greedy": dict(strategy="greedy"),
    "sample, temperature 1": dict(temperature=1.0),
    "sample, temperature 0.7": dict(temperature=0.7),
    "sample, top-k 40": dict(temperature=1.0, top_k=40),
    "sample, top-p 0.9": dict(temperature=1.0, top_p=0.9),
    "sample, min-p 0.1": dict(temperature=1.0, min_p=0.1),
    "sample, typical 0.9": dict(temperature=1.0, typical=0.9),
    "beam 4": dict(strategy="beam"),
    "diverse beam 4, 2 groups": dict(strategy="diverse"),
    "contrastive, k 4, alpha 0.6": dict(strategy="contrastive"),
    "greedy, repetition penalty 1.2": dict(strategy="greedy", repetition_penalty=1.2),
    "greedy, presence 1, frequency 0.5": dict(strategy="greedy", presence_penalty=1.0, frequency_penalty=0.5),
    "greedy, no 4-gram twice": dict(strategy="greedy", no_repeat=4),
    "greedy, DRY 0.8": dict(strategy="greedy", dry=0.8),
    "top-p 0.9, temperature 0.7, DRY 0.8": dict(temperature=0.7, top_p=0.9, dry=0.8),
    "beam 4, no 4-gram twice": dict(strategy="beam", no_repeat=4),
}
REAL = "the real text"


@dataclass(frozen=True)
class Line:
    """One strategy on one model."""

    model: str
    strategy: str
    prompts: int
    new: int
    repeated: tuple[float, float]
    """Mean and standard error."""
    distinct1: float
    distinct2: float
    likelihood: tuple[float, float]
    seconds: float
    """For one text, with 16 at a time; other programs ran beside it."""


def repeated(ids: list[int], n: int = 4) -> float:
    """Share of the n-grams of a text that were there before in it."""
    grams = list(zip(*(ids[at:] for at in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams)


def distinct(texts: list[list[int]], n: int) -> float:
    """Different n-grams of all texts, over all that there are."""
    grams = [gram for ids in texts for gram in zip(*(ids[at:] for at in range(n)), strict=False)]
    return len(set(grams)) / len(grams)


def mean(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    return fmean(values), stdev(values) / len(values) ** 0.5


def prompts(backend, path: Path, count: int, words: int, new: int) -> list[tuple[list[int], list[int]]]:
    """For each document that is long enough: the ids of its beginning, and how it goes on."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        ids = backend.read(json.loads(line)["text"])
        if len(ids) > words + new:
            found.append((ids[: words + 1], ids[words + 1 : words + 1 + new]))
        if len(found) == count:
            return found
    raise SystemExit(f"{path}: found {len(found)} documents of more than {words + new} tokens, expected {count}")


def real(backend, begun: list[tuple[list[int], list[int]]]) -> Iterator[tuple[list[int], float]]:
    """How the documents go on, and the nats a token."""
    from upwell.generation.scoring import logprobs_from

    for before, after in begun:
        values = backend.engine.call(lambda model, b=before, a=after: logprobs_from(model, [*b, *a], len(b)))
        yield after, fmean(values)


def written(backend, begun: list[tuple[list[int], list[int]]], new: int, asked: dict):
    """What a strategy writes, and the nats a token."""
    from upwell.generation.backend import Settings

    settings = [Settings(max_new=new, min_new=new, seed=number, **asked) for number in range(len(begun))]
    answers = [backend.generate(before, s) for (before, _), s in zip(begun, settings, strict=True)]
    for answer in answers:
        pieces = list(answer)
        yield [id for p in pieces for id in p.tokens], fmean([value for p in pieces for value in p.logprobs])


def measure(folder: Path, args) -> Iterator[Line]:
    """A line for each strategy that is not in --out yet."""
    import torch

    from upwell import weights
    from upwell.generation.backend import Local
    from upwell.model import hub

    checkpoint = hub.load(weights.find(folder))
    checkpoint.model.to(torch.bfloat16 if args.bfloat16 else torch.float32)
    backend = Local(checkpoint, rows=16, waiting=args.count)
    begun = prompts(backend, args.prompts, args.count, args.words, args.new)
    have = {line.strategy for line in lines(args.out) if line.model == backend.name}
    for name in [REAL, *STRATEGIES]:
        if name in have:
            continue
        start = time.perf_counter()
        given = real(backend, begun) if name == REAL else written(backend, begun, args.new, STRATEGIES[name])
        texts, values = zip(*given, strict=True)
        seconds = (time.perf_counter() - start) / len(texts)
        yield Line(backend.name, name, len(texts), args.new, mean([repeated(ids) for ids in texts]),
                   distinct(texts, 1), distinct(texts, 2), mean(list(values)), seconds)  # fmt: skip
    backend.close()


def lines(folder: Path) -> list[Line]:
    """What was measured."""
    path = folder / "lines.jsonl"
    read = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [Line(**{key: tuple(value) if isinstance(value, list) else value for key, value in one.items()})
            for one in read]  # fmt: skip


def markdown(found: list[Line]) -> str:
    """Tables, one a model."""
    parts = [f"{date.today()}, {platform.machine()}, torch {_torch()}."]
    for model, some in itertools.groupby(found, lambda line: line.model):
        some = list(some)
        parts += ["", f"**{model}**, {some[0].prompts} prompts, {some[0].new} tokens each.", "",
                  "| strategy | repeated 4-grams, % | distinct-1 | distinct-2 | log-likelihood | rows |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        for one in some:
            again, sure = one.repeated, one.likelihood
            cost = "-" if one.strategy == REAL else rows(STRATEGIES[one.strategy])
            parts.append(f"| {one.strategy} | {100 * again[0]:.1f} +- {100 * again[1]:.1f} | {one.distinct1:.3f} | "
                         f"{one.distinct2:.3f} | {sure[0]:.2f} +- {sure[1]:.2f} | {cost} |")  # fmt: skip
    return "\n".join(parts) + "\n"


def rows(asked: dict) -> int:
    """How many rows of the model a strategy keeps alive."""
    from upwell import plugs
    from upwell.generation.backend import Settings

    found, settings = plugs.find("generation/strategies", asked.get("strategy", "sample")), Settings(**asked)
    own = found.Settings(**{field.name: getattr(settings, field.name) for field in fields(found.Settings)})
    return found.rows(own) if hasattr(found, "rows") else 1


def _torch() -> str:
    import torch

    return torch.__version__


def draw(found: list[Line], path: Path) -> None:
    """Repeated 4-grams over log-likelihood, one panel a model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = list(dict.fromkeys(line.model for line in found))
    figure, panels = pyplot.subplots(1, len(models), figsize=(7.2 * len(models), 5.6), squeeze=False)
    for panel, model in zip(panels[0], models, strict=True):
        some = [line for line in found if line.model == model]
        for number, one in enumerate(some):
            x, y = one.likelihood[0], 100 * one.repeated[0]
            color = "black" if one.strategy == REAL else f"C{number % 10}"
            panel.errorbar(x, y, xerr=one.likelihood[1], yerr=100 * one.repeated[1], fmt="*" if one.strategy == REAL
                           else "os^Dv"[number // 4 % 5], color=color, label=one.strategy, capsize=2)  # fmt: skip
        panel.set_title(f"{model}: {some[0].prompts} prompts, {some[0].new} tokens each")
        panel.set_xlabel("log-likelihood, nats a token (right: likelier)")
        panel.set_ylabel("repeated 4-grams, %")
        panel.grid(alpha=0.3)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.17, 1, 1))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--new", type=int, default=100)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    if args.draw:
        found = lines(args.draw)
        draw(found, args.picture)
        args.markdown.write_text(markdown(found), encoding="utf-8")
        return
    args.out.mkdir(parents=True, exist_ok=True)
    for folder in args.models:
        for line in measure(folder, args):
            with (args.out / "lines.jsonl").open("a") as file:
                file.write(json.dumps(asdict(line)) + "\n")
            print(json.dumps(asdict(line)), flush=True)


if __name__ == "__main__":
    main()
