"""How fast batches come out of a token store: tokens a second on one core, for each way of drawing them.

    python bench/loader.py
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from upwell.tokens import store
from upwell.tokens.batches import Packed
from upwell.tokens.buckets import Bucketed, Pairs
from upwell.tokens.mixture import Mixture, Share
from upwell.tokens.packing import BestFit

ROWS, CONTEXT, BATCHES, ROUNDS = 16, 256, 500, 5
TEXTS = (500, 1500, 2000)
SENTENCES = (10, 250, 20_000)


def main() -> None:
    """Five rounds over about two million made-up tokens, in documents of about a thousand and of about a hundred."""
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in samplers(Path(folder)).items():
            rates = [rate(draw) for _ in range(ROUNDS)]
            print(f"{date.today()}: {name:44} {statistics.median(rates):5.1f} M tokens/s "
                  f"({min(rates):.1f}-{max(rates):.1f}), {ROWS} rows of at most {CONTEXT}")
        begin = time.perf_counter()
        packed = BestFit(made(Path(folder), "many", 1, *SENTENCES), 2048, seed=0)
        seconds = time.perf_counter() - begin
        print(f"{date.today()}: packing {packed.store.documents:,} documents into rows of 2048 takes {seconds:.2f} s "
              f"and leaves {packed.padding:.2%} of the places empty")


def rate(draw: Callable) -> float:
    """Millions of tokens a second, padding included."""
    begin, tokens = time.perf_counter(), 0
    for step in range(BATCHES):
        batch = draw(step * ROWS, ROWS)
        tokens += batch.ids.numel() if not hasattr(batch, "source") else batch.ids.numel() + batch.source.numel()
    return tokens / (time.perf_counter() - begin) / 1e6


def samplers(folder: Path) -> dict[str, Callable]:
    """Every way of drawing batches, by name; each is called with (first, size)."""
    long, short = made(folder, "long", 0, *TEXTS), made(folder, "short", 1, *SENTENCES)
    other, address = made(folder, "other", 2, *SENTENCES), store.Store((folder / "long").resolve().as_uri())
    mixture = Mixture({"long": (Packed(long, CONTEXT, 0), 2), "short": (BestFit(short, CONTEXT, 0), 1)}, seed=0)
    halves = [Share(mixture, rank, 2) for rank in range(2)]
    return {
        "windows": Packed(long, CONTEXT, 0).batch,
        "windows of a store at an address (file://)": Packed(address, CONTEXT, 0).batch,
        "best-fit packing, long documents": BestFit(long, CONTEXT, 0).batch,
        "best-fit packing, short documents": BestFit(short, CONTEXT, 0).batch,
        "length buckets": Bucketed(short, CONTEXT, ROWS, 0).batch,
        "pairs in length buckets": Pairs(short, other, CONTEXT, ROWS, 0).batch,
        "a mixture of two": mixture.batch,
        "a rank's half of that mixture's batch of 32": lambda first, size: halves[0].batch(2 * first, 2 * size),
    }


def made(folder: Path, name: str, seed: int, shortest: int, longest: int, count: int) -> store.Store:
    """A store of made-up documents."""
    generator = np.random.default_rng(seed)
    documents = (generator.integers(1, 4096, generator.integers(shortest, longest)) for _ in range(count))
    store.write(folder / name, documents, 4096, 0)
    return store.Store(folder / name)


if __name__ == "__main__":
    main()
