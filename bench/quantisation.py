"""What rounding weights costs: vectors of minilm-l6 and the perplexity of a run, float32, bfloat16, int8, int4.

    python bench/quantisation.py                        # minilm-l6 on 400 introductions of the Wikipedia
    python bench/quantisation.py --run runs/quickstart-en
    python bench/quantisation.py --kernels
"""

import argparse
import json
import statistics
import time
from datetime import date
from pathlib import Path

import torch

from upwell import catalog, weights
from upwell.evaluation.tasks import loss
from upwell.model import hub, quantize, rounded
from upwell.model.cache import Cache
from upwell.tokens.store import Store
from upwell.verbs.evaluate import data_of

SCHEMES = {
    "float32": None, "bfloat16": None, "int8": quantize.Scheme(8), "int4": quantize.Scheme(4),
    "int4, a zero per group": quantize.Scheme(4, symmetric=False),
    "int4, float embedding": quantize.Scheme(4, embedding="float"),
}  # fmt: skip
DOCUMENTS, BATCH, NEW, ROUNDS = 400, 16, 64, 5


def main() -> None:
    """A table in Markdown: of a run, or of minilm-l6."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernels", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{date.today()}, torch {torch.__version__}, {asked.threads} thread(s)\n")
    if asked.kernels:
        kernels()
    elif asked.run:
        perplexity(asked.run, data_of(asked.run, asked.data))
    else:
        sentences()


def models(folder: Path):
    """The name and the model of every scheme, one after the other."""
    for name, scheme in SCHEMES.items():
        model = hub.load(folder, dtype=torch.bfloat16 if name == "bfloat16" else torch.float32).model
        yield name, quantize.quantize(model, scheme) if scheme else model


@torch.inference_mode()
def sentences() -> None:
    """How far vectors move, and how many questions (the first sentence) find their own text (the rest) first."""
    folder = weights.fetch("minilm-l6", print)
    questions, texts = pairs(catalog.fetch("wiki-intros", "en"))
    tokenizer, whole = hub.load(folder).tokenizer, None
    print(f"minilm-l6, {len(texts)} texts\n")
    print("| weights | MB | cosine to float32, mean | least | own text first | same text first as float32 |")
    print("|---|---|---|---|---|---|")
    for name, model in models(folder):
        asked, told = (vectors(model, tokenizer, part) for part in (questions, texts))
        whole = (asked, told) if whole is None else whole
        near = torch.cat([(a * b).sum(-1) for a, b in zip((asked, told), whole, strict=True)])
        first, wanted = (asked @ told.T).argmax(1), torch.arange(len(texts))
        alike = (first == (whole[0] @ whole[1].T).argmax(1)).double().mean()
        print(f"| {name} | {quantize.size(model) / 1e6:.1f} | {near.mean():.5f} | {near.min():.5f} | "
              f"{(first == wanted).double().mean():.2%} | {alike:.2%} |")


def pairs(path: Path) -> tuple[list[str], list[str]]:
    """First sentences and the rest of introductions that have both."""
    questions, texts = [], []
    for line in path.open(encoding="utf-8"):
        first, _, rest = json.loads(line)["text"].partition(". ")
        if len(first) > 40 and len(rest) > 200:
            questions.append(first)
            texts.append(rest)
    step = max(1, len(texts) // DOCUMENTS)
    return questions[::step][:DOCUMENTS], texts[::step][:DOCUMENTS]


def vectors(model, tokenizer, texts: list[str]) -> torch.Tensor:
    """(texts, D) float32 of length 1."""
    found = []
    for at in range(0, len(texts), BATCH):
        rows = [tokenizer.encode_source(text)[:128] for text in texts[at : at + BATCH]]
        mask = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.bool)
        ids = torch.zeros(mask.shape, dtype=torch.long)
        for row, (one, real) in zip(rows, zip(ids, mask, strict=True), strict=True):
            one[: len(row)], real[: len(row)] = torch.tensor(row), True
        found.append(torch.nn.functional.normalize(model(ids, mask=mask).float(), dim=-1))
    return torch.cat(found)


def perplexity(folder: Path, data: Path) -> None:
    """Perplexity of held-out text, and tokens a second of one text."""
    store = Store(data / "heldout")
    print(f"{folder.name}, {len(store):,} tokens of held-out text\n")
    print("| weights | MB | perplexity | against float32 | bits per byte | tokens/s, one text (spread) |")
    print("|---|---|---|---|---|---|")
    whole = None
    for name, model in models(folder):
        numbers = loss.measure(model, store, loss.Settings(), model.dtype).numbers
        value, bits = numbers["perplexity"].value, numbers["bits per byte"].value
        whole = whole or value
        rates = [speed(model) for _ in range(ROUNDS)]
        print(f"| {name} | {quantize.size(model) / 1e6:.2f} | {value:.3f} | {value / whole - 1:+.2%} | {bits:.4f} | "
              f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f}) |")


@torch.inference_mode()
def kernels(N: int = 1536, K: int = 576) -> None:
    """Microseconds of a product of some rows with one matrix, the best of several; and the time to round it."""
    print(f"({N}, {K}) matrix, microseconds\n\n| activations | rows | float | int8 kernel | int8 plain | int4 kernel | "
          "int4 plain |\n|---|---|---|---|---|---|---|")
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.randn(N, K, generator=torch.Generator().manual_seed(1)).to(dtype)
        for rows in (1, 16, 64):
            times = [best(work) for work in products(torch.randn(rows, K).to(dtype), weight)]
            print(f"| {str(dtype)[6:]} | {rows} | " + " | ".join(f"{t:,.0f}" for t in times) + " |")
    begin = time.perf_counter()
    quantize.round4(torch.randn(4096, 4096), 32)
    print(f"\nrounding 16.8 M weights to int4: {time.perf_counter() - begin:.2f} s")


def products(x: torch.Tensor, weight: torch.Tensor) -> list:
    """x W^T in the five ways."""
    values, scale = quantize.round8(weight)
    part, plain = (rounded.Int4(*quantize.round4(weight, 32)) for _ in range(2))
    plain.plain()
    grid = part.grid.to(x.dtype)
    return [
        lambda: x @ weight.T, lambda: torch._weight_int8pack_mm(x, values, scale),
        lambda: rounded.plain8(x, values, scale),
        lambda: torch._weight_int4pack_mm_for_cpu(x, part.packed, 32, grid), lambda: plain.product(x),
    ]  # fmt: skip


def best(work, times: int = 10) -> float:
    """Microseconds of the fastest call."""
    work()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return 1e6 * min(found)


@torch.inference_mode()
def speed(model) -> float:
    """Tokens a second, written one after the other behind 16 others."""
    cache = Cache(model.config, 1, NEW + 16, model.device, model.dtype)
    token = model(torch.arange(16)[None], cache=cache, last=True).argmax(-1, keepdim=True)
    begin = time.perf_counter()
    for _ in range(NEW):
        token = model(token, cache=cache, last=True).argmax(-1, keepdim=True)
    return NEW / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
