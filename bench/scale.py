"""What docs/scale.md says of several processes, measured here: memory of a process and bytes that it sends.

    python bench/scale.py                     # 1, 2 and 4 processes of this machine, a table in Markdown
    python bench/scale.py --plan              # the reckoning for 1 B, 7 B and 70 B; nothing is run

Bytes are those of the loopback device's counter, so nothing else should talk on it meanwhile (Linux). Memory is the
most that the process had (VmHWM) less what it had before the model was there.
"""

import argparse
import gc
import json
import os
import re
import socket
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

WAYS = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 4), (4, 2)]
ROWS, CONTEXT, VOCAB = 2, 128, 8192


def llama(width: int, layers: int, heads: int, kv: int, inner: int, vocab: int, tied: bool = False):
    """The Config of a Llama of these sizes."""
    from upwell.model import hub

    return hub.config_of({
        "model_type": "llama", "vocab_size": vocab, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": width // heads,
        "intermediate_size": inner, "max_position_embeddings": 8192, "tie_word_embeddings": tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}, "bos_token_id": 0, "eos_token_id": 0,
        "pad_token_id": 0,
    })  # fmt: skip


def small():
    """The model that is measured: 34 M parameters."""
    return llama(512, 8, 8, 8, 1408, VOCAB)


# ---- measured ----


def status(name: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def loopback() -> int:
    """Bytes that the loopback device has sent."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def worker(shards: int, optimizer: str, steps: int = 4) -> None:
    """One process: a few steps of the loop; the first one prints what it found."""
    import torch

    from upwell.objectives import causal
    from upwell.tokens.batches import Batch
    from upwell.training import loop, optim, parallel, state
    from upwell.training.settings import Optim, Settings

    torch.set_num_threads(1)

    class Sampler:
        def samples(self, numbers):
            rows = [torch.randint(0, VOCAB, (CONTEXT + 1,), generator=torch.Generator().manual_seed(int(n)))
                    for n in numbers]  # fmt: skip
            ids = torch.stack(rows)
            return Batch(ids[:, :-1], ids[:, 1:], None)

    with parallel.join("cpu", shards, 5) as group:
        counters, seen = [], torch.profiler.profile(profile_memory=True)

        def after(state, report):
            group.barrier()
            counters.append(loopback())
            group.barrier()
            if report.step == steps - 1:
                seen.start()  # watches the last step
            if report.step == steps:
                seen.stop()

        def train(config, steps):
            s = Settings(steps=steps, rows=ROWS * group.size, context=CONTEXT, compile="off", optim=Optim(optimizer))
            begun = state.begin(parallel.create(config, 1, group), s)
            watched = [p for p in begun.model.parameters()]
            loop.train(begun, Sampler(), causal, causal.Settings(), s, every=[(1, after)], group=group)
            held = [*watched, *(p.grad for p in watched), *optim.tensors(begun.model, begun.optimizers).values()]
            return sum(parallel.local(t).numel() * 4 for t in held)

        train(llama(32, 1, 2, 2, 32, VOCAB), 1)  # what libraries need at their first use
        counters.clear()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        tensors = train(small(), steps)
        found = {"tensors": tensors + highest(seen), "memory": status("VmHWM") - before,
                 "sent": (counters[-2] - counters[0]) / (steps - 2) / group.size}  # fmt: skip
        if group.main:
            print(json.dumps(found), flush=True)


def highest(seen) -> int:
    """The most bytes that tensors took at once, beyond what there was when the profiler began."""
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))
    return max(held, default=0)


def measured(processes: int, shards: int, optimizer: str) -> dict:
    """The same from outside."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    words = [sys.executable, __file__, "--worker", str(shards), "--optimizer", optimizer]
    started = [subprocess.Popen(words, text=True, stdout=subprocess.PIPE,
                                env=os.environ | {k: str(v) for k, v in {**told, "RANK": rank}.items()})
               for rank in range(processes)]  # fmt: skip
    try:
        said = [one.communicate(timeout=600)[0] for one in started]
    finally:
        for one in started:
            one.kill()
    return json.loads(said[0].splitlines()[-1])


def compare(optimizer: str) -> None:
    """The table."""
    from upwell.training import reckon

    count = reckon.weights(small()).every / 1e6
    print(f"\n{optimizer}: {count:.1f} M parameters, {ROWS} x {CONTEXT} tokens a process\n")
    print("| processes | shards | MB reckoned | MB of tensors | MB of the process | MB sent, reckoned | MB sent |")
    print("|---|---|---|---|---|---|---|")
    for processes, shards in WAYS:
        way = reckon.Way(processes, shards, ROWS, CONTEXT, optimizer=optimizer, low=False)
        memory, sent = sum(reckon.memory(small(), way).values()), sum(reckon.sent(small(), way).values())
        found = measured(processes, shards, optimizer)
        share = found["tensors"] / memory
        print(f"| {processes} | {shards} | {memory / 1e6:.0f} | {found['tensors'] / 1e6:.0f} ({share:.2f}) "
              f"| {found['memory'] / 1e6:.0f} "
              f"| {sent / 1e6:.1f} | {found['sent'] / 1e6:.1f} |", flush=True)  # fmt: skip


# ---- reckoned ----


MODELS = {"1 B": (2048, 16, 32, 8, 8192, 128256, True), "7 B": (4096, 32, 32, 32, 11008, 32000),
          "70 B": (8192, 80, 64, 8, 28672, 128256)}  # fmt: skip
PLANS = [("1 B", 1, 1, 1, False), ("1 B", 8, 1, 4, False), ("1 B", 64, 1, 4, False), ("7 B", 8, 8, 4, True),
         ("7 B", 64, 8, 4, True), ("7 B", 64, 64, 4, True), ("70 B", 64, 64, 1, True), ("70 B", 256, 256, 2, True),
         ("70 B", 512, 512, 2, True)]  # fmt: skip


def plan() -> None:
    """The table of large runs."""
    from upwell.training import reckon

    print("| model | GPUs | shards | rows x 4096 | GB a GPU | of it states, gathered, activations | GB sent a step "
          "| s computing | s links | tokens/s, all | days for 20 tokens a parameter |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, processes, shards, rows, checkpoint in PLANS:
        config = llama(*MODELS[name])
        way = reckon.Way(processes, shards, rows, checkpoint=checkpoint)
        memory, sent = reckon.memory(config, way), sum(reckon.sent(config, way).values())
        time, every = reckon.seconds(config, way, reckon.H100), reckon.weights(config).every
        states = sum(memory[key] for key in ("weights", "gradients", "optimizer"))
        best, worst = way.tokens / time["at best"], way.tokens / time["at worst"]
        days = [20 * every / speed / 86400 for speed in (best, worst)]
        print(f"| {name} | {processes} | {shards} | {rows}{' *' if checkpoint else ''} "
              f"| {sum(memory.values()) / 1e9:.0f} | {states / 1e9:.0f}, {memory['gathered'] / 1e9:.0f}, "
              f"{memory['activations'] / 1e9:.0f} | {sent / 1e9:.0f} | {time['compute']:.2f} | {time['links']:.2f} "
              f"| {worst:,.0f} to {best:,.0f} | {days[0]:.1f} to {days[1]:.1f} |")  # fmt: skip


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--worker", type=int)
    parser.add_argument("--optimizer", default="")
    said = parser.parse_args()
    if said.worker:
        worker(said.worker, said.optimizer)
    elif said.plan:
        plan()
    else:
        for optimizer in [said.optimizer] if said.optimizer else ["adamw", "muon"]:
            compare(optimizer)


if __name__ == "__main__":
    main()
