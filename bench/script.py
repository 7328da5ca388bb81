"""The usual script as it is, the same with one import changed, and `upwell finetune`, in turn, over several seeds.

    python bench/script.py --results FILE.jsonl                  five seeds; what FILE holds already is not run again
    python bench/script.py --results FILE.jsonl --sides their --seeds 1 2       some sides and seeds only
    python bench/script.py --results FILE.jsonl --untimed        for accuracy alone: the times of these do not count
    python bench/script.py --results FILE.jsonl --seconds 300    begins nothing after so many seconds
    python bench/script.py --results FILE.jsonl --markdown OUT   the table of what is there

1,500 introductions of two topics of wiki-topics (biology and physical sciences) and 500 others, MiniLM-L6, three epochs
of batches of 16, texts cut to 64 tokens. tests/hf/usual_script.py runs as a process of its own, on transformers or with
its import replaced; upwell finetune reads the same texts, prepared beforehand. Accuracy is that of the written folder
on the 500, in float32, by one function for all three; time is that of training alone, and of the whole process. Tokens
are real ones. Run it on a quiet machine.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "tests" / "hf" / "usual_script.py"
TOPICS = ("Biology and health sciences", "Physical sciences")
LEARNT, HELD, LONGEST, EPOCHS, ROWS = 1500, 500, 64, 3, 16
SIDES = {"their": "the script as it is (transformers)", "ours": "one import changed (upwell.hf)",
         "finetune": "`upwell finetune`"}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One side with one seed. seconds: of training; whole: of the process; tokens: real ones that were learnt from;
    timed: whether the machine was quiet."""

    side: str
    seed: int
    accuracy: float
    seconds: float
    whole: float
    tokens: int
    timed: bool = True


# ---- data ----


def write_data(folder: Path) -> None:
    """train.jsonl and test.jsonl for the script, all.jsonl with its parts for upwell prepare."""
    from upwell import catalog

    lines = catalog.fetch("wiki-topics", "en").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] in TOPICS]
    random.Random(0).shuffle(rows)
    rows = [{"text": row["text"], "label": TOPICS.index(row["label"])} for row in rows[: LEARNT + HELD]]
    parts = {"train": rows[:LEARNT], "test": rows[LEARNT:]}
    for name, some in parts.items():
        write(folder / f"{name}.jsonl", some)
    write(folder / "all.jsonl", [row | {"split": name} for name, some in parts.items() for row in some])


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def upwell(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "upwell", *words], check=True, stdout=subprocess.DEVNULL)


def lengths(model: Path, file: Path) -> list[int]:
    """Tokens of each text as the model reads it."""
    from upwell.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)
    return [min(LONGEST, len(tokenizer.encode_source(row["text"]))) for row in rows_of(file)]


# ---- runs ----


def script(side: str, model: Path, folder: Path, out: Path, seed: int) -> float:
    """Run the script; gives the seconds of training."""
    source = SCRIPT.read_text(encoding="utf-8")
    changed = source.replace("from transformers import", "from upwell.hf import")
    path = folder / f"{side}.py"
    path.write_text(source if side == "their" else changed, encoding="utf-8")
    words = [path, model, folder / "train.jsonl", folder / "test.jsonl", out, LONGEST, seed]
    done = subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["train_runtime"]


def finetune(model: Path, folder: Path, out: Path, seed: int) -> float:
    """Run the command; gives the seconds of its steps."""
    upwell("finetune", str(model), str(folder / "prepared"), "--objective", "label", "--epochs", str(EPOCHS),
           "--training.rows", str(ROWS), "--training.context", str(LONGEST), "--learn.cut", "--out", str(out),
           "--training.seed", str(seed), "--evaluations", "0", "--answers", "0")  # fmt: skip
    return [row["seconds"] for row in rows_of(out / "metrics.jsonl") if "seconds" in row][-1]


def accuracy(folder: Path, file: Path) -> float:
    """Of a written folder on a file of texts with labels."""
    import torch

    from upwell.model import hub

    checkpoint, right = hub.load(folder), 0
    rows = rows_of(file)
    inner = checkpoint.tokenizer.inner
    inner.enable_truncation(LONGEST)
    for row in rows:
        ids = torch.tensor([inner.encode(row["text"]).ids])
        with torch.no_grad():
            right += int(checkpoint.model(ids).argmax()) == row["label"]
    return right / len(rows)


def run(side: str, model: Path, folder: Path, seed: int, tokens: int) -> Run:
    """One side with one seed."""
    with tempfile.TemporaryDirectory() as temporary:
        out, begin = Path(temporary) / "out", time.perf_counter()
        seconds = finetune(model, folder, out, seed) if side == "finetune" else script(side, model, folder, out, seed)
        whole = time.perf_counter() - begin
        return Run(side, seed, accuracy(out, folder / "test.jsonl"), seconds, whole, tokens)


def table(runs: list[Run]) -> str:
    """What was found, as Markdown."""
    lines = ["| | seeds (timed) | accuracy | training, s | whole process, s | real tokens/s | times the script |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    base = statistics.median(one.seconds for one in runs if one.side == "their" and one.timed)
    for side, name in SIDES.items():
        some = [one for one in runs if one.side == side]
        if not some:
            continue
        timed, right = [one for one in some if one.timed], [one.accuracy for one in some]
        seconds = [one.seconds for one in timed]
        spread = f" ± {statistics.stdev(right):.3f}" if len(right) > 1 else ""
        lines.append(
            f"| {name} | {len(some)} ({len(timed)}) | "
            f"{statistics.mean(right):.3f}{spread} ({min(right):.3f}-{max(right):.3f}) | "
            f"{statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f}) | "
            f"{statistics.median(one.whole for one in timed):.1f} | "
            f"{statistics.median(one.tokens / one.seconds for one in timed):,.0f} | "
            f"{base / statistics.median(seconds):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--untimed", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    from upwell import weights

    begin, model = time.perf_counter(), weights.fetch("minilm-l6", print)
    runs = [Run(**row) for row in rows_of(asked.results)] if asked.results.exists() else []
    with tempfile.TemporaryDirectory() as temporary:
        folder, slowest = Path(temporary), {}
        write_data(folder)
        wanted = [(side, seed) for seed in asked.seeds for side in asked.sides]
        wanted = [one for one in wanted if one not in {(done.side, done.seed) for done in runs}]
        if wanted:
            upwell("prepare", str(folder / "all.jsonl"), "--out", str(folder / "prepared"), "--split", "given",
                   "--near", "0", "--tokenizer", str(model))  # fmt: skip
        tokens = EPOCHS * sum(lengths(model, folder / "train.jsonl"))
        for side, seed in wanted:
            if time.perf_counter() - begin + slowest.get(side, 0) > asked.seconds:
                continue
            runs.append(replace(run(side, model, folder, seed, tokens), timed=not asked.untimed))
            slowest[side] = runs[-1].whole + 5
            print(runs[-1], flush=True)
            with asked.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(runs[-1])) + "\n")
    said = table(runs)
    print(said)
    if asked.markdown:
        asked.markdown.write_text(said + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
