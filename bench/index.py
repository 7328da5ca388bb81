"""How an index grows: what is measured here, and what a million and a billion passages would take by that.

    python bench/index.py [--vectors 200000] [--questions 300] [--markdown FILE]

Vectors are random ones of 384 numbers, all of which exact search reads for a question. Words, bytes and removal are
those of the BoolQ passages of the catalogue, without an encoder. Times are processor time, medians over the questions,
since other programs may run beside; reckoned figures are multiplied from them.
"""

import argparse
import random
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
WIDTH, K = 384, 50
SIZES = (200_000, 1_000_000, 10_000_000, 1_000_000_000)


def timed(call, items) -> float:
    """Median seconds of processor time of a call for each item."""
    found = []
    for one in items:
        begin = time.process_time()
        call(one)
        found.append(time.process_time() - begin)
    return median(found)


def by_vectors(folder: Path, rows: int) -> dict[str, float]:
    """Seconds of one exact search, and bytes that it reads."""
    from upwell.answering import vectors

    path, draw = folder / "vectors.f32", np.random.default_rng(0)
    for start in range(0, rows, 50_000):
        some = draw.standard_normal((min(50_000, rows - start), WIDTH), np.float32)
        vectors.write(path, start, some / np.linalg.norm(some, axis=1, keepdims=True))
    exact = vectors.Exact(vectors.opened(path, rows, WIDTH))
    questions = [np.array(exact.vectors[row]) for row in draw.integers(0, rows, 20)]
    seconds = timed(lambda one: exact.nearest(one, K), questions[:1] + questions)
    return {"rows": rows, "search": seconds, "bytes": rows * WIDTH * 4}


def by_words(folder: Path, count: int) -> dict[str, float]:
    """Seconds of putting in, of a question and of taking one document out; bytes a passage."""
    from asked import load

    from upwell.answering.index import Index
    from upwell.text import Document

    found = load("boolq")
    with Index.open(folder / "index", create=True) as index:
        begin = time.process_time()
        index.add(Document(text, str(number)) for number, text in enumerate(found.texts))
        put = time.process_time() - begin
        asked = random.Random(1).sample([one.question for one in found.asked], count)
        seconds = timed(lambda one: index.lexical(one, K), asked)
        size = (folder / "index" / "index.sqlite").stat().st_size / index.count
        return {"passages": index.count, "characters": sum(map(len, found.texts)) / index.count, "bytes": size,
                "put": put / index.count, "search": seconds,
                "remove": timed(lambda one: index.remove(one), ["5", "50", "500"])}  # fmt: skip


def told(meaning: dict, words: dict) -> list[str]:
    """Two tables in Markdown."""
    speed = meaning["bytes"] / meaning["search"]
    lines = [f"{date.today()}, {machine()}.", "", "| measured | |", "|---|---|"]
    lines += [f"| exact search among {meaning['rows']:,} vectors of {WIDTH} numbers | "
              f"{1000 * meaning['search']:.0f} ms, {speed / 1e9:.1f} GB/s |",
              f"| search by words among {words['passages']:,} passages | {1000 * words['search']:.1f} ms |",
              f"| cutting and putting in, without vectors | {1000 * words['put']:.2f} ms a passage |",
              f"| taking one document out of these | {words['remove']:.2f} s |",
              f"| bytes a passage of {words['characters']:.0f} characters | {words['bytes']:,.0f} of text and words, "
              f"{WIDTH * 4:,} of its vector |", ""]  # fmt: skip
    lines += ["| passages, reckoned | text and words | vectors | exact search | search by words |",
              "|---|---|---|---|---|"]  # fmt: skip
    for rows in SIZES:
        share = rows / words["passages"]
        lines.append(f"| {rows:,} | {giga(rows * words['bytes'])} | {giga(rows * WIDTH * 4)} | "
                     f"{lasting(rows * WIDTH * 4 / speed)} | {lasting(words['search'] * share)} |")  # fmt: skip
    return lines


def giga(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.1f} GB"


def lasting(seconds: float) -> str:
    """A time for people."""
    return f"{1000 * seconds:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def machine() -> str:
    """The processor's name and cores, where the system says it."""
    import os

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a processor")
    return f"{os.cpu_count()} cores of {name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        lines = told(by_vectors(Path(place), given.vectors), by_words(Path(place), given.questions))
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
