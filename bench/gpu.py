"""Writing on a GPU beside transformers: 1, 16 and 64 streams, with recorded steps and without, in one run.

    python bench/gpu.py                                     on the GPU, three rounds
    python bench/gpu.py --device cpu --streams 1 --new 8    the same way on a CPU, to see that it runs

smollm2-135m in bfloat16 (or --folder), greedy, 32 tokens read, every text written to its full length; all texts of a
side begin together. "calls" is ours with each step as its calls, "recorded" with CUDA graphs, which are recorded in the
first of the texts that are not timed. Speed counts tokens after the first one; the first token of a fresh process is
told apart. "Of the floor": the time to read all weights once a step at the bandwidth measured in the same process, over
ours. Each side is a process of its own.
"""

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PROMPT = 32


def checkpoint_of(folder: str, device: str):
    """The model in bfloat16."""
    import torch

    from upwell.model import hub
    from upwell.weights import find

    return hub.load(find(Path(folder)), device=device, dtype=torch.bfloat16)


def bandwidth(device: str) -> float:
    """Bytes a second of reading and writing 1 GiB, best of ten."""
    import torch

    x, best = torch.ones(1 << 28, device=device), float("inf")
    y = torch.empty_like(x)
    for _ in range(10):
        wait(device)
        begin = time.perf_counter()
        y.copy_(x)
        wait(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * x.nbytes / best


def wait(device: str) -> None:
    """For the GPU to have done everything."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def peak(device: str) -> float:
    """MB that the GPU held at most."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else float("nan")


def prompts(streams: int, vocab: int) -> list[list[int]]:
    """The same ids for all sides."""
    import torch

    drawn = torch.randint(10, vocab - 10, (streams, PROMPT), generator=torch.Generator().manual_seed(1))
    return drawn.tolist()


def ours(folder: str, device: str, streams: int, new: int, recorded: bool) -> dict:
    """Our engine."""
    from generate import timed

    from upwell.generation.backend import Local, Settings

    checkpoint = checkpoint_of(folder, device)
    backend = Local(checkpoint, rows=streams)
    backend.ends = frozenset()
    if not recorded:
        backend.engine._record = None
    try:
        asked = prompts(streams, checkpoint.model.config.vocab)
        begin = time.perf_counter()
        next(backend.generate(asked[0], Settings(max_new=2, temperature=0)))
        first = time.perf_counter() - begin
        timed(backend, asked, Settings(max_new=new, temperature=0))
        speed = timed(backend, asked, Settings(max_new=new, temperature=0))
    finally:
        backend.close()
    read = sum(weight.nbytes for weight in {id(one): one for one in checkpoint.model.parameters()}.values())
    return {"speed": speed, "of the floor": speed / streams * read / bandwidth(device), "first": first,
            "on the device": peak(device)}  # fmt: skip


def theirs(folder: str, device: str, streams: int, new: int) -> dict:
    """transformers' generate on a batch; the time of texts of one token is taken off."""
    import torch
    from transformers import AutoModelForCausalLM

    from upwell.weights import find

    model = AutoModelForCausalLM.from_pretrained(find(Path(folder)), dtype=torch.bfloat16).eval().to(device)
    ids, took = torch.tensor(prompts(streams, model.config.vocab_size), device=device), {}
    for count in (2, 1, new):
        wait(device)
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, do_sample=False, max_new_tokens=count, min_new_tokens=count)
        wait(device)
        took[count] = time.perf_counter() - begin
    return {"speed": streams * (new - 1) / (took[new] - took[1]), "first": took[2], "on the device": peak(device)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default="smollm2-135m")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    import torch
    from generate import spread
    from turns import in_turn

    where = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor() or platform.machine()
    lines = [f"{where}, torch {torch.__version__}, {given.rounds} rounds in turn, {time.strftime('%Y-%m-%d')}", "",
             "| streams | side | tokens/s | times transformers | of the floor | first token, s | MB on the device |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for streams in given.streams:
        same = f"{given.folder!r}, {given.device!r}, {streams}, {given.new}"
        sides = {"transformers": ("gpu", f"theirs({same})"), "upwell, calls": ("gpu", f"ours({same}, False)"),
                 "upwell, recorded": ("gpu", f"ours({same}, True)")}  # fmt: skip
        found = in_turn(sides, given.rounds, tempfile.gettempdir())
        for side, rows in found.items():
            ratio = [row["speed"] / first["speed"] for row, first in zip(rows, found["transformers"], strict=True)]
            floor = [row["of the floor"] for row in rows if "of the floor" in row]
            lines.append(f"| {streams} | {side} | {spread([row['speed'] for row in rows], 1)} | {spread(ratio, 2)} | "
                         f"{spread(floor, 3) if floor else ''} | {spread([row['first'] for row in rows], 2)} | "
                         f"{spread([row['on the device'] for row in rows])} |")  # fmt: skip
    table = "\n".join(lines) + "\n"
    print(table)
    if given.markdown:
        given.markdown.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
