"""Memory and time of reading and going on with a long text, by length: a small decoder, with and without windows.

    python bench/long_text.py            1,000 to 100,000 tokens (about ten minutes on two cores)
    python bench/long_text.py --model smollm2-135m --read 8000 --write 2000 --bfloat16 --stretch 10240   a real model

The model: LLaMA's build, width 256, 4 blocks, 4 heads that share 2 key heads; "windowed": three of four blocks see 512
tokens. Random weights: memory and time do not depend on them. Each line is a process of its own. Memory is what the
process holds at its peak less what it held before the text; "scores" is what one T x T table of scores (float32, one
head) would take. --markdown FILE writes the table.
"""

import argparse
import itertools
import json
import platform
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

LENGTHS = (1_000, 10_000, 30_000, 100_000)
WRITTEN = 32


def one(length: int, kind: str) -> dict:
    """Read `length` tokens, write a few; seconds and bytes. stretched: places beyond 8,192 tokens by yarn."""
    import torch

    from upwell.generation.session import Session
    from upwell.model import preset
    from upwell.model.config import Config, Scaling

    window = {"window": 512, "window_layers": (0, 1, 2)} if kind == "windowed" else {}
    if kind == "stretched":
        window = {"rotary_scaling": Scaling("yarn", original=8192)}
    c = Config("llama", "llama", vocab=4096, width=256, decoder_layers=4, heads=4, kv_heads=2, head_dim=64,
               ffn_width=704, context=length + WRITTEN + 1, positions="rotary", **window)  # fmt: skip
    model = preset.create(c, seed=1).eval()
    Session(model, [list(range(600))])  # what the first call of everything takes is not the text's
    ids = torch.randint(4096, (length,), generator=torch.Generator().manual_seed(1)).tolist()
    before, begin = peak(), time.perf_counter()
    session = Session(model, [ids], length + WRITTEN + 1)
    read, begin = time.perf_counter() - begin, time.perf_counter()
    for _ in range(WRITTEN):
        session.step(session.logits.argmax(-1), torch.tensor([0]))
    wrote = time.perf_counter() - begin
    cache = sum(part.numel() * part.element_size() for part in session.cache.keys + session.cache.values)
    return {"read": read, "step": wrote / WRITTEN, "memory": peak() - before, "cache": cache}


def real(folder: Path, read: int, write: int, bfloat16: bool, stretch: int) -> dict:
    """Greedy text of a model behind `read` tokens, through the engine: seconds, and bytes beside the weights. stretch:
    the context that its places are stretched to by yarn, 0 for its own."""
    import torch

    from upwell import weights
    from upwell.generation.backend import Local, Settings
    from upwell.model import hub
    from upwell.model.config import Scaling
    from upwell.model.transformer import Transformer

    checkpoint = hub.load(weights.find(folder))
    if stretch:
        c = checkpoint.config
        with torch.device("meta"):
            model = Transformer(c.with_(context=stretch, rotary_scaling=Scaling("yarn", original=c.context)))
        model.load_state_dict(checkpoint.model.state_dict(), assign=True)
        checkpoint = replace(checkpoint, model=model.eval(), config=model.config)
    if bfloat16:
        checkpoint.model.to(torch.bfloat16)
    backend = Local(checkpoint)
    text = backend.tokenizer.encode("The river flows to the sea, and the sea is wide. " * (read // 8))
    list(backend.generate(text[: min(600, read)], Settings(max_new=2, strategy="greedy")))
    before, begin, times = peak_anew(), time.perf_counter(), []
    asked = Settings(max_new=write, min_new=write, strategy="greedy")
    for _ in backend.generate(text[:read], asked):
        times.append(time.perf_counter())
    backend.close()
    memory = (held("VmHWM") - before) / 2**20
    return {"read": times[0] - begin, "step": (times[-1] - times[0]) / (write - 1), "memory MiB": memory}


def peak_anew() -> int:
    """Bytes that this process holds; Linux counts its peak from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return held("VmRSS")


def held(what: str) -> int:
    """VmRSS, what it holds, or VmHWM, the most that it has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(what)).split()[1])


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--one", nargs=2)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--read", type=int, default=8000)
    parser.add_argument("--write", type=int, default=190)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--stretch", type=int, default=0)
    args = parser.parse_args()
    if args.model:
        return print(json.dumps(real(args.model, args.read, args.write, args.bfloat16, args.stretch)))
    if args.one:
        return print(json.dumps(one(int(args.one[0]), args.one[1])))
    lines = [f"{date.today()}, {platform.processor() or platform.machine()}.", "",
             "| blocks | tokens | read, s | a further token, ms | memory, MiB | of it cache, MiB | scores, MiB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    print("\n".join(lines))
    for kind, length in [*itertools.product(("full", "windowed"), LENGTHS), ("stretched", 32_000)]:
        command = [sys.executable, __file__, "--one", str(length), kind]
        m = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        memory = " | ".join(f"{part / 2**20:,.0f}" for part in (m["memory"], m["cache"], 4 * length**2))
        lines.append(f"| {kind} | {length:,} | {m['read']:.2f} | {1000 * m['step']:.1f} | {memory} |")
        print(lines[-1], flush=True)
    if args.markdown:
        args.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
