"""How fast text becomes tokens in a store: encoding on all cores, then shards and packing; millions a second.

    python bench/tokens.py [FOLDER OR FILE ...]     # default: the source code of this Python's standard library

Of .jsonl files the "text" of each line is read. Beside it what the `tokenizers` library alone needs for the same ids in
the same run, as tokens a second and a second of processor time, and what learning takes. Every round begins anew:
nothing is remembered of the one before.
"""

import json
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from upwell.tokens import store
from upwell.tokens.kinds import KINDS, Wanted, train
from upwell.tokens.packing import BestFit
from upwell.tokens.tokenizer import Tokenizer
from upwell.tokens.words import at_once

VOCABULARY, ROUNDS, LEARNT, ENOUGH = 8192, 5, 2_000_000, 30_000_000


def main() -> None:
    """Every kind over the same texts."""
    texts = list(read(sys.argv[1:] or [sysconfig.get_path("stdlib")]))
    size, sample = sum(len(text.encode()) for text in texts), first(texts, LEARNT)
    print(f"{date.today()}: {len(texts):,} documents, {size / 1e6:.1f} MB; "
          f"learnt from {sum(map(len, sample)) / 1e6:.1f} million characters")
    for kind in KINDS:
        begin = time.perf_counter()
        tokenizer = train(sample, Wanted(VOCABULARY, kind))
        learning = time.perf_counter() - begin
        alone, both = measured(tokenizer, texts)
        print(f"  {kind:9} text to store {told(both)}; the library alone {told(alone)}; "
              f"learning {tokenizer.vocab_size:,} tokens took {learning:.1f} s")


def told(rounds: Sequence[tuple[float, float]]) -> str:
    """Median and range of the clock's rates, and the median of the processor's."""
    clock, processor = zip(*rounds, strict=True)
    return (f"{statistics.median(clock):.2f} M tokens/s ({min(clock):.2f}-{max(clock):.2f}), "
            f"{statistics.median(processor):.2f} a processor second")  # fmt: skip


def measured(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Millions of tokens a second, and a processor second, of the library alone and of everything, turn about."""
    alone, both = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            begin = now()
            for some in at_once(texts):
                tokenizer.inner.encode_batch_fast(some, add_special_tokens=False)
            middle = now()
            ids = tokenizer.encode_stream(texts)
            index = store.write(Path(folder, str(turn)), ids, tokenizer.vocab_size, tokenizer.end)
            packed = BestFit(store.Store(Path(folder, str(turn))), 2048, seed=0)
            end = now()
            alone.append(tuple(index["tokens"] / (middle - begin) / 1e6))
            both.append(tuple(index["tokens"] / (end - middle) / 1e6))
            del packed
    return alone, both


def now() -> np.ndarray:
    """Seconds of the clock and of this process on all cores."""
    return np.array([time.perf_counter(), time.process_time()])


def first(texts: Sequence[str], characters: int) -> list[str]:
    """Every n-th text, about so many characters."""
    step = max(1, sum(map(len, texts)) // characters)
    return list(texts[::step])


def read(places: Sequence[str]) -> Iterator[str]:
    """Files of text below these places, ENOUGH characters at most."""
    left = ENOUGH
    for place in map(Path, places):
        files = sorted(place.rglob("*.py")) if place.is_dir() and place == Path(sysconfig.get_path("stdlib")) else None
        for path in files or sorted(place.rglob("*")) or [place]:
            if path.is_file() and "site-packages" not in path.parts and left > 0:
                whole = path.read_text(encoding="utf-8", errors="replace")
                lines = whole.split("\n") if path.suffix == ".jsonl" else []
                for text in (json.loads(line)["text"] for line in lines if line) if lines else [whole]:
                    left -= len(text)
                    yield text


if __name__ == "__main__":
    main()
