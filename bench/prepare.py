"""Preparation beside datatrove: the same steps on the same files, in turn in one run, ratios printed.

    python bench/prepare.py --peer-python PATH --rounds 3 --markdown FILE
    python bench/prepare.py --rounds 1 --share 0.1          ours alone, a tenth of the corpus
    python bench/prepare.py --texts long                    texts of several kilobytes alone

Steps: Unicode repair and cleaning, personal data, language, exact and near repetitions, on two cores and two workers.
The corpus (planted.py) is real text with copies of known similarity. PATH is a Python with datatrove (peers_prepare.py
says what it needs). Each side runs in a process of its own from the files to the kept documents as JSON lines; its time
holds its start. Tokens are no part of it. Run it on a quiet machine.

Told: MB of text a second; recall of planted pairs of similarity 0.8 or more (found: not both are kept); wrong merges:
copies that were changed further than that, and hand-made look-alikes, left out; planted e-mail addresses still there;
the most memory that all processes of a side held at once (their shared pages counted once, where Linux tells).
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
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import planted

HERE = Path(__file__).parent
STEPS = ["--skip", "secrets", "length", "quality", "decontaminate", "toxic"]
KINDS = ("exact", "white space", *planted.CHANGES)
TEXTS = ("prose", "chinese", "code")
EVERY = 0.5  # seconds between two looks at the memory


@dataclass(frozen=True)
class Result:
    """One run of one side. found: (kind, text) -> (pairs found, pairs there are)."""

    seconds: float
    memory: int
    kept: int
    found: dict[tuple[str, str], tuple[int, int]]
    too_far: tuple[int, int]
    look_alikes: tuple[int, int]
    emails: int

    def recall(self, kinds=KINDS, texts=TEXTS) -> float:
        """nan where there is nothing to find."""
        chosen = [self.found.get((kind, text), (0, 0)) for kind in kinds for text in texts]
        there = sum(there for _, there in chosen)
        return sum(found for found, _ in chosen) / there if there else float("nan")


def main() -> None:
    settings = arguments()
    if settings.child:
        ours(*map(Path, settings.child))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    texts = ["short", "long"] if settings.texts == "both" else [settings.texts]
    text = "\n\n".join(measured(settings, which) for which in texts)
    print(text)
    if settings.markdown:
        settings.markdown.write_text(text + "\n", encoding="utf-8")


def measured(settings: argparse.Namespace, texts: str) -> str:
    """What is told of one of the two corpora."""
    with tempfile.TemporaryDirectory(prefix="upwell-bench-", dir=settings.folder) as folder:
        corpus = planted.write(Path(folder, "corpus"), settings.seed, settings.share, texts == "long")
        print(f"{corpus.bytes / 1e6:.1f} MB of text in {corpus.documents:,} documents", flush=True)
        return "\n".join(report(rounds(settings, Path(folder), corpus), corpus, settings.rounds))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-python", type=Path, help="a Python with datatrove; without it ours runs alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the corpus")
    parser.add_argument("--texts", choices=["both", "short", "long"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where files go while it runs; needs 1 GB")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- the two sides ----


def ours(source: Path, out: Path) -> None:
    """The steps of `upwell prepare` without its tokens, in this process and two workers."""
    from upwell import prepared
    from upwell.settings import parse
    from upwell.text import corpus
    from upwell.verbs.prepare import Settings

    words = [str(source), "--out", str(out / "prepared"), "--repeated", "0", "--workers", "2", *STEPS]
    settings = parse(Settings, words, "prepare")
    work = out / "work"
    work.mkdir(parents=True)
    with prepared.engine_of(settings, 1 << 30) as engine:
        built = corpus.build(prepared.grouped(settings), prepared.work_of(settings, work, "bench"),
                             settings.compared(2), engine, lambda stage, done: None)  # fmt: skip
    for name, parts in built.parts.items():
        (out / f"{name}.jsonl").write_bytes(b"".join(part.read_bytes() for part in parts))


def rounds(settings: argparse.Namespace, folder: Path, corpus: planted.Corpus) -> dict[str, list[Result]]:
    """Results by side; who begins alternates."""
    source = folder / "corpus"
    sides = {"upwell": [sys.executable, __file__, "--child", str(source)]}
    if settings.peer_python:
        sides["datatrove"] = [str(settings.peer_python), str(HERE / "peers_prepare.py"), str(source)]
    results = {name: [] for name in sides}
    for turn in range(settings.rounds):
        for name in sorted(sides, reverse=turn % 2 == 0):
            out = folder / f"{name}-{turn}"
            seconds, memory = timed([*sides[name], str(out)])
            results[name].append(judged(name, out, corpus, seconds, memory))
            print(f"round {turn + 1}: {name} {seconds:.1f} s, {corpus.bytes / 1e6 / seconds:.1f} MB/s", flush=True)
    return results


def timed(command: list[str]) -> tuple[float, int]:
    """Wall seconds of a command, and the most bytes that it and its children held."""
    log = tempfile.TemporaryFile()
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles all modules anew, which nobody's does
    begin, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    while child.poll() is None:
        peak = max(peak, sum(map(held, family(child.pid))))
        time.sleep(EVERY)
    seconds = time.perf_counter() - begin
    if child.returncode:
        log.seek(0)
        raise SystemExit(f"{command[0]} failed:\n{log.read().decode(errors='replace')[-3000:]}")
    return seconds, peak


def family(pid: int) -> list[int]:
    """A process and all below it; none where there is no /proc."""
    found = [pid]
    for one in found:
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, tasks.read_text().split())
            except OSError:
                continue
    return found


def held(pid: int) -> int:
    """Bytes of memory of a process, a page that n processes share counted as a nth."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


# ---- judging ----


def judged(name: str, out: Path, corpus: planted.Corpus, seconds: float, memory: int) -> Result:
    """What was kept, against what is known of the corpus."""
    files = [out / "train.jsonl", out / "heldout.jsonl"] if name == "upwell" else sorted((out / "kept").iterdir())
    key, kept, emails = ("title" if name == "upwell" else "id"), set(), 0
    wanted = set(corpus.emails)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            kept.add(record[key])
            emails += any(word.strip(".,") in wanted for word in record["text"].split() if "@" in word)
    merged, there = Counter(), Counter()
    for pair in corpus.pairs:
        place = (pair.kind, pair.text) if pair.repeats else ("too far", "")
        there[place] += 1
        merged[place] += not {pair.first, pair.second} <= kept
    found = {place: (merged[place], there[place]) for place in there if place[0] != "too far"}
    alike = (len(set(corpus.look_alikes) - kept), len(corpus.look_alikes))
    far = [pair for pair in corpus.pairs if not pair.repeats and not {pair.first, pair.second} <= kept]
    wrong = len(far) - planted.repeating(out.parent / "corpus", [{pair.first, pair.second} - kept for pair in far])
    too_far = (wrong, there["too far", ""])
    return Result(seconds, memory, len(kept), found, too_far, alike, emails)


# ---- printing ----


def report(results: dict[str, list[Result]], corpus: planted.Corpus, count: int) -> list[str]:
    size = corpus.bytes / 1e6
    lines = [f"{date.today()}, {machine()}, {size:.1f} MB of text in {corpus.documents:,} documents of "
             f"{1000 * size / corpus.documents:.1f} kB, {count} rounds in "
             "turn, median (lowest-highest):", ""]  # fmt: skip
    lines += ["| side | MB/s | seconds | times datatrove | memory, MB | recall | wrong merges: too far | look-alikes "
              "| e-mails left | kept |", "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, runs in results.items():
        last = runs[-1]
        cells = [name, spread([size / run.seconds for run in runs]), spread([run.seconds for run in runs]),
                 ratios(runs, results.get("datatrove", [])), spread([run.memory / 1e6 for run in runs], 0),
                 f"{last.recall():.4f}", "{} of {}".format(*last.too_far), "{} of {}".format(*last.look_alikes),
                 f"{last.emails} of {len(corpus.emails)}", f"{last.kept:,}"]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Recall of planted copies of similarity 0.8 or more, by kind:", ""]
    lines += [f"| side | {' | '.join(KINDS)} | {' | '.join(TEXTS)} |", "|---" * (1 + len(KINDS) + len(TEXTS)) + "|"]
    for name, runs in results.items():
        parts = [runs[-1].recall(kinds=[kind]) for kind in KINDS] + [runs[-1].recall(texts=[text]) for text in TEXTS]
        lines.append(f"| {name} | {' | '.join(f'{part:.3f}' for part in parts)} |")
    return lines


def ratios(runs: list[Result], peers: list[Result]) -> str:
    return spread([peer.seconds / run.seconds for run, peer in zip(runs, peers, strict=True)]) if peers else "-"


def spread(values: list[float], digits: int = 1) -> str:
    middle, low, high = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low}-{high})"


def machine() -> str:
    """Cores that are used, the processor's name, Python's version."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {name}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
