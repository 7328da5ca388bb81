"""How fast batches come out of a token store: tokens a second on one core.

    python bench/loader.py
"""

import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from upwell.tokens import store
from upwell.tokens.batches import Packed

ROWS, CONTEXT, BATCHES = 16, 256, 500


def main() -> None:
    """Five rounds over two million made-up tokens in documents of about a thousand."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(1, 4096, generator.integers(500, 1500)) for _ in range(2000)]
    with tempfile.TemporaryDirectory() as folder:
        store.write(Path(folder) / "store", documents, 4096, 0)
        packed, rates = Packed(store.Store(Path(folder) / "store"), CONTEXT, seed=0), []
        for _ in range(5):
            begin = time.perf_counter()
            for step in range(BATCHES):
                packed.batch(step * ROWS, ROWS)
            rates.append(BATCHES * ROWS * CONTEXT / (time.perf_counter() - begin) / 1e6)
        del packed
    print(f"{date.today()}: {statistics.median(rates):.1f} M tokens/s ({min(rates):.1f}-{max(rates):.1f}), "
          f"{ROWS} rows of {CONTEXT}")


if __name__ == "__main__":
    main()
