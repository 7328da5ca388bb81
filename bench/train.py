"""Training steps beside transformers' Trainer, in turn in one run, ratios printed.

    python bench/train.py                           all works, three rounds
    python bench/train.py --works masked_next denoise --rounds 1 --markdown FILE

Real text (wiki-intros), equal sizes and rows, no dropout on either side, AdamW on both, each side in a process of its
own with its own compile cache (warm from a first run that is not counted). Tokens are real ones, padding left out; the
share of the ceiling is our matrix operations over the rate of a large matrix product; memory is the peak of a side's
process. The peer's spans are hidden beforehand, its masks are drawn by its collator, ours by the objective.

Also the time from the command `upwell pretrain` to its first step, compiler off. Run it on a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
VOCABULARY = 8192
BYTES = 6_000_000


@dataclass(frozen=True)
class Work:
    """One kind of training: a model's sizes and the shape of a step."""

    objective: str
    family: str
    kind: str
    """Of the tokenizer."""
    width: int
    layers: int
    heads: int
    context: int
    rows: int
    steps: int = 10


WORKS = {
    "causal": Work("causal", "gpt2", "bpe", 384, 6, 6, 256, 16),
    "masked_next": Work("masked_next", "bert", "wordpiece", 384, 6, 6, 128, 32),
    "denoise": Work("denoise", "t5", "unigram", 256, 6, 4, 256, 16),
}
SIDES = {"their": "transformers' Trainer", "eager": "upwell, eager", "compiled": "upwell, compiled"}


def texts() -> list[str]:
    """Introductions of an encyclopedia."""
    from upwell import catalog

    found, size = [], 0
    for line in catalog.fetch("wiki-intros", "en").read_text(encoding="utf-8").splitlines():
        found.append(json.loads(line)["text"])
        size += len(found[-1].encode())
        if size > BYTES:
            break
    return found


def prepare(folder: Path) -> None:
    """A tokenizer and a store for each work."""
    from upwell.tokens import kinds, store

    documents = texts()
    for name, work in WORKS.items():
        special = tuple(f"<extra_id_{n}>" for n in range(100)) if work.objective == "denoise" else ()
        made = kinds.train(documents, kinds.Wanted(VOCABULARY, work.kind, special))
        made.save(folder / name)
        store.write(folder / name / "train", made.encode_batch(documents), made.vocab_size, made.end,
                    sum(len(text.encode()) for text in documents), made.hash)  # fmt: skip


def opened(folder: Path, name: str):
    """(work, part, config) of a work."""
    from upwell import plugs
    from upwell.model import preset
    from upwell.model.sizes import Sizes
    from upwell.objectives import Part
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer

    work = WORKS[name]
    tokenizer = Tokenizer.load(folder / name)
    sizes = Sizes(work.family, work.width, work.layers, work.heads, tied=work.family == "gpt2")
    pads = [tokenizer.special[sign] for sign in ("[PAD]", "<pad>") if sign in tokenizer.special]
    known = {"pad": pads[0]} if pads else None
    config = preset.config(sizes, tokenizer.vocab_size, work.context, tokenizer.end, known)
    part = Part(Store(folder / name / "train"), tokenizer=tokenizer, context=work.context, cache=folder / name)
    objective = plugs.find("objectives", work.objective)
    config = objective.fitted(config, part, objective.Settings())
    return work, part._replace(config=config), config, objective


def ours(folder: str, name: str, mode: str) -> dict:
    """Real tokens a second of our loop from the third step on, and operations a second."""
    from torch.utils.flop_counter import FlopCounterMode

    from upwell.model import preset
    from upwell.training import loop, optim, precision
    from upwell.training.settings import Optim, Settings
    from upwell.training.state import State

    work, part, config, objective = opened(Path(folder), name)
    options = objective.Settings()
    s = Settings(steps=work.steps, rows=work.rows, context=work.context, compile=mode,
                 optim=Optim(name="adamw", rate=1e-4))  # fmt: skip
    model, times = preset.create(config, 1), []
    sampler = objective.samples(part, work.rows, 1, options)
    with FlopCounterMode(display=False) as counter:
        objective.loss(model, sampler.batch(0, work.rows), options).sum().backward()
    timed = [(1, lambda _, report: times.append((report.seconds, report.tokens)))]
    dtype = precision.resolve("auto", "cpu")
    state = State(model, optim.build(model, s.optim))
    loop.train(state, sampler, objective, options, s, dtype, timed)
    seconds, tokens = times[-1][0] - times[1][0], times[-1][1] - times[1][1]
    return {"speed": tokens / seconds, "operations": counter.get_total_flops() * (work.steps - 2) / seconds}


def theirs(folder: str, name: str) -> dict:
    """Real tokens a second of the peer."""
    import peers_train

    from upwell import plugs

    work, part, config, _ = opened(Path(folder), name)
    hf = plugs.find("model/families", config.family).to_hf(config)
    if name == "masked_next":
        return {"speed": peers_train.masked_next(hf, f"{folder}/{name}", texts(), work.context, work.rows, work.steps)}
    length = work.context if name == "causal" else int(work.context / (1 - 0.15 + 0.05)) // 4 * 4
    tokens = part.store.read(0, length * work.rows * (work.steps + 1)).astype("int64")
    rows = tokens.reshape(-1, length).tolist()
    if name == "causal":
        return {"speed": peers_train.next_token(hf, rows, work.rows, work.steps)}
    return {"speed": peers_train.denoise(hf, f"{folder}/{name}", rows, work.rows, work.steps)}


def ceiling() -> dict:
    """Operations a second of large matrix products."""
    from pretrain import ceiling

    return {"ceiling": max(ceiling())}


def table(names: list[str], rounds: int, folder: str) -> list[str]:
    """Rows of a Markdown table."""
    from pretrain import spread
    from turns import apart, in_turn

    lines = ["| work | side | real tokens/s | times the Trainer | share of the ceiling | peak memory, MB |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        top = apart("train", "ceiling()", cache)["ceiling"]
        for name in names:
            calls = {"their": f"theirs({folder!r}, {name!r})", "eager": f"ours({folder!r}, {name!r}, 'off')",
                     "compiled": f"ours({folder!r}, {name!r}, 'wait')"}  # fmt: skip
            apart("train", calls["compiled"], cache)
            print(name, flush=True)
            found = in_turn({side: ("train", call) for side, call in calls.items()}, rounds, cache)
            for side, values in found.items():
                speeds, peer = [one["speed"] for one in values], [one["speed"] for one in found["their"]]
                share = [one["operations"] / top for one in values if "operations" in one]
                lines.append(" | ".join((
                    f"| {name}", SIDES[side], spread(speeds, 0),
                    spread([a / b for a, b in zip(speeds, peer, strict=True)], 2),
                    f"{statistics.median(share):.0%}" if share else "", spread([one["memory"] for one in values], 0),
                )) + " |")  # fmt: skip
    return [f"Matrix products here: {top / 1e9:.0f} GFLOP/s.", "", *lines]


def first_step(folder: Path, rounds: int) -> list[str]:
    """Seconds from the command to the first line of metrics; Python's bytecode is there from a run before."""
    from pretrain import spread

    found = []
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
                                "PYTHONDONTWRITEBYTECODE": ""}  # fmt: skip
    for number in range(rounds + 1):
        out = folder / f"run-{number}"
        command = [sys.executable, "-m", "upwell", "pretrain", str(folder / "causal"), "--out", str(out),
                   "--training.steps", "1", "--training.compile", "off", "--evaluations", "0",
                   "--samples", "0"]  # fmt: skip
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as run:
            while run.poll() is None and not metrics(out):
                time.sleep(0.005)
            found.append(time.perf_counter() - begin)
            there = metrics(out)
            run.kill()  # the rest is no step
        if not there:
            raise SystemExit("upwell pretrain wrote no metrics")
    return [f"From the command to the first step, compiler off: {spread(found[1:])} s."]


def metrics(out: Path) -> bool:
    """Whether a step has been recorded."""
    path = out / "metrics.jsonl"
    return path.is_file() and path.stat().st_size > 0


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(HERE))
    from pretrain import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="*", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        lines = [f"{machine()}, {given.rounds} rounds in turn, median (lowest-highest)", ""]
        lines += table(given.works, given.rounds, folder)
        held_out(Path(folder))
        lines += ["", *first_step(Path(folder), given.rounds)]
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


def held_out(folder: Path) -> None:
    """What `upwell pretrain` wants beside the training part."""
    import shutil

    shutil.copytree(folder / "causal" / "train", folder / "causal" / "heldout")


if __name__ == "__main__":
    main()
