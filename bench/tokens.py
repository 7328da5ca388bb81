"""How fast text becomes tokens in a store: encoding on all cores, then shards and packing; millions a second.

    python bench/tokens.py [FOLDER OR FILE ...]     # default: the source code of this Python's standard library

Of .jsonl files the "text" of each line is read; lines without one are passed over. Beside it what the `tokenizers`
library alone needs for the same ids in the same run, on all cores too, and what learning takes. Every round begins
anew: nothing is remembered of the one before.
"""

import argparse
import json
import os
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from upwell.text.runner import Local
from upwell.tokens import store
from upwell.tokens.kinds import KINDS, Wanted, train
from upwell.tokens.packing import BestFit
from upwell.tokens.tokenizer import Tokenizer
from upwell.tokens.words import at_once

VOCABULARY, ROUNDS, LEARNT, ENOUGH = 8192, 5, 2_000_000, 30_000_000


def main() -> None:
    """Every kind over the same texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", metavar="FOLDER OR FILE", default=[sysconfig.get_path("stdlib")])
    places = parser.parse_args().places
    texts = list(read(places))
    if not texts:
        parser.error(f"no text in {', '.join(places)}")
    size, sample = sum(len(text.encode()) for text in texts), first(texts, LEARNT)
    print(f"{date.today()}: {len(texts):,} documents, {size / 1e6:.1f} MB; "
          f"learnt from {sum(map(len, sample)) / 1e6:.1f} million characters")
    for kind in KINDS:
        begin = time.perf_counter()
        tokenizer = train(sample, Wanted(VOCABULARY, kind))
        learning = time.perf_counter() - begin
        found = "; ".join(f"{name} {told(rates)}" for name, rates in measured(tokenizer, texts).items())
        print(f"  {kind:9} {found} M tokens/s; learning {tokenizer.vocab_size:,} tokens took {learning:.1f} s")


def told(rates: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(rates):.2f} ({min(rates):.2f}-{max(rates):.2f})"


def measured(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, list[float]]:
    """Millions of tokens a second of the library alone, and from text to packed store in one and in all processes."""
    alone, one, every = [], [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for some in at_once(texts):
            tokenizer.inner.encode_batch_fast(some, add_special_tokens=False)
        alone.append(time.perf_counter() - begin)
        tokens, seconds = stored(tokenizer, texts, None)
        one.append(seconds)
        with Local(max(2, os.cpu_count() or 1)) as engine:
            list(engine.map(len, [""] * 4 * engine.workers))  # as in `upwell prepare`, they are there already
            every.append(stored(tokenizer, texts, engine)[1])
    times = {"the library alone": alone, "text to store, one process": one, "all processes": every}
    return {name: [tokens / 1e6 / t for t in some] for name, some in times.items()}


def stored(tokenizer: Tokenizer, texts: Sequence[str], engine: Local | None) -> tuple[int, float]:
    """Encode, write and pack; tokens and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        begin, place = time.perf_counter(), Path(folder, "store")
        index = store.write(place, tokenizer.encode_stream(texts, engine), tokenizer.vocab_size, tokenizer.end)
        BestFit(store.Store(place), 2048, seed=0)
        return index["tokens"], time.perf_counter() - begin


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
                for text in texts_of(whole) if path.suffix == ".jsonl" else [whole]:
                    left -= len(text)
                    yield text


def texts_of(lines: str) -> Iterator[str]:
    """The "text" of each JSON line that has one."""
    for record in (json.loads(line) for line in lines.split("\n") if line.strip()):
        if isinstance(record, dict) and isinstance(record.get("text"), str):
            yield record["text"]


if __name__ == "__main__":
    main()
