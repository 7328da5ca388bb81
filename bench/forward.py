"""Forward and forward + backward beside transformers on equal weights, in turn in one run, ratios printed.

    python bench/forward.py                        three shapes, float32 and bfloat16, five rounds (about 15 minutes)
    python bench/forward.py --shapes encoder --rounds 3

decoder: SmolLM2-135M's sizes, 8 texts of 256 tokens. encoder: MiniLM-L6's sizes, 8 texts of 16 to 256 tokens, padded.
encoder-decoder: T5-small's sizes, 8 sources of 16 to 256 tokens, padded, and 8 texts of 128. Weights are random and
equal. Tokens a second count real tokens, no padding. transformers runs in its defaults (SDPA). On a GPU also the peak
of its memory, and upwell compiled. --markdown FILE writes the table. Run it on a quiet machine.
"""

import argparse
import platform
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

ROWS, LONGEST, WRITTEN = 8, 256, 128
LENGTHS = (16, 41, 73, 112, 150, 187, 224, 256)


def shapes() -> dict:
    """transformers' models of the three shapes."""
    import transformers as hf

    smollm = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
              "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
              "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}  # fmt: skip
    minilm = {"vocab_size": 30522, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
              "num_attention_heads": 12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # fmt: skip
    return {
        "decoder": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**smollm)),
        "encoder": lambda: hf.BertModel(hf.BertConfig(**minilm)),
        "encoder-decoder": lambda: hf.T5ForConditionalGeneration(
            hf.T5Config(dropout_rate=0.0, decoder_start_token_id=0)),
    }  # fmt: skip


def inputs(shape: str, device: str):
    """ids, where they are real, and what a decoder writes; and how many real tokens that is."""
    import torch

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 30000, (ROWS, LONGEST), generator=generator).to(device)
    real = (torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]).to(device)
    written = torch.randint(5, 30000, (ROWS, WRITTEN), generator=generator).to(device)
    count = {"decoder": ids.numel(), "encoder": int(real.sum()), "encoder-decoder": int(real.sum()) + written.numel()}
    return ids, real, written, count[shape]


def callers(shape: str, theirs, ours, ids, real, written) -> dict:
    """A function for each side that gives its numbers."""
    if shape == "decoder":
        return {"transformers": lambda: theirs(ids).logits, "upwell": lambda: ours(ids)}
    if shape == "encoder":
        return {"transformers": lambda: theirs(ids, attention_mask=real.long()).last_hidden_state[real],
                "upwell": lambda: ours(ids, mask=real)[real]}  # fmt: skip
    return {"transformers": lambda: theirs(ids, attention_mask=real.long(), decoder_input_ids=written).logits,
            "upwell": lambda: ours(written, source=ids, source_mask=real)}  # fmt: skip


def timed(call, backward: bool, device: str) -> float:
    """Seconds of one pass, gradients thrown away."""
    import torch

    begin = time.perf_counter()
    if backward:
        call().float().square().mean().backward()
    else:
        with torch.inference_mode():
            call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def measure(shape: str, dtype, device: str, rounds: int) -> list[dict]:
    """Both sides in turn, forward and forward + backward."""
    import torch

    from upwell.model import hub
    from upwell.training.compiling import compile_blocks

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        theirs = shapes()[shape]().to(dtype).to(device).eval()
        theirs.save_pretrained(folder)
        ours = hub.load(folder, device=device).model
        fast = hub.load(folder, device=device).model if device == "cuda" else None
    ids, real, written, count = inputs(shape, device)
    calls = callers(shape, theirs, ours, ids, real, written)
    with torch.inference_mode():
        a, b = calls["transformers"]().float(), calls["upwell"]().float()
    apart = ((a - b).abs().max() / a.abs().max()).item()
    assert apart < (1e-4 if dtype == torch.float32 else 0.1), f"{shape}: the two sides differ by {apart}"
    if fast is not None:
        compile_blocks(fast)
        calls["upwell compiled"] = callers(shape, theirs, fast, ids, real, written)["upwell"]
    found = []
    for backward in (False, True):
        seconds, memory = {side: [] for side in calls}, {}
        for number in range(rounds + 1):  # the first warms up; who begins changes, so that no side always comes second
            for side, call in list(calls.items())[:: -1 if number % 2 else 1]:
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                seconds[side].append(timed(call, backward, device))
                theirs.zero_grad(), ours.zero_grad(), fast is not None and fast.zero_grad()
                memory[side] = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
        for side in calls:
            each = seconds[side][1:]
            ratios = [t / o for t, o in zip(seconds["transformers"][1:], each, strict=True)]
            name = str(dtype).removeprefix("torch.")
            passed = "forward + backward" if backward else "forward"
            found.append({"shape": shape, "dtype": name, "side": side, "pass": passed, "memory": memory[side],
                          "rate": [count / s for s in each], "ratio": statistics.median(ratios),
                          "spread": (min(ratios), max(ratios))})  # fmt: skip
            print(line(found[-1]), flush=True)
    return found


def line(m: dict) -> str:
    """One measurement as a row of the table."""
    rate = f"{statistics.median(m['rate']):,.0f} ({min(m['rate']):,.0f}-{max(m['rate']):,.0f})"
    memory = f" {m['memory']:.2f} GiB |" if m["memory"] else ""
    ratio = f"{m['ratio']:.2f} ({m['spread'][0]:.2f}-{m['spread'][1]:.2f})"
    return f"| {m['shape']} | {m['dtype']} | {m['pass']} | {m['side']} | {rate} | {ratio} |{memory}"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["decoder", "encoder", "encoder-decoder"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    lines = [f"{date.today()}, {machine}, torch {torch.__version__}, {torch.get_num_threads()} threads, {args.rounds} "
             "rounds; the ratio is transformers' time over the side's.", "",
             "| shape | numbers | pass | side | real tokens/s | times transformers |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    print("\n".join(lines))
    for shape in args.shapes:
        for dtype in args.dtypes:
            lines += [line(m) for m in measure(shape, getattr(torch, dtype), device, args.rounds)]
    if args.markdown:
        args.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
