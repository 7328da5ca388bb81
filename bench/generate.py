"""Writing beside llama.cpp, CTranslate2 and transformers on equal weights, in turn in one run, ratios printed.

    python bench/generate.py                                all works, five rounds (about an hour)
    python bench/generate.py --works int8 beams --rounds 1 --markdown FILE
    python bench/generate.py --alike                        which share of 200 texts depends on who else is written

Weights are smollm2-135m's (`upwell fetch smollm2-135m`); beams: a translation model of 6 + 6 layers x 512 of random
weights in Marian's layout, 16 sources of 32 tokens. Each side runs in a process of its own, with as many threads as
there are cores; every text is written to its full length. Speed counts tokens after the first one. Beside ours: the
floor, which is the time to read all weights once at the bandwidth measured in the same process (decoding) or the
operations over the rate of a large matrix product (prefill), and the perplexity of the weights on a page of the King
James Bible. llama.cpp takes part where xllamacpp is installed, on the file that `upwell export --to gguf` writes of the
same 4 bits (or on the one that UPWELL_GGUF names).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
NEW, PROMPT, READ, STREAMS = 128, 32, 512, 16
WORKS = {  # work: what it is, and its sides; the first is what the others are compared with
    "int4": ("decode, one stream, the file's own 4 bits", {
        "llama.cpp": ("peers_generate", "llama({new})"), "upwell, int4": ("generate", "decode('int4')")}),
    "int8": ("decode, one stream, int8", {
        "CTranslate2, int8": ("peers_generate", "ctranslate('int8', {new})"),
        "CTranslate2, float32": ("peers_generate", "ctranslate('float32', {new})"),
        "upwell, int8": ("generate", "decode('int8')")}),
    "bfloat16": ("decode, one stream, bfloat16", {
        "transformers, bfloat16": ("peers_generate", "transformers_decode({new})"),
        "upwell, bfloat16": ("generate", "decode('bfloat16')")}),
    "prefill": ("read 512 tokens, bfloat16", {
        "transformers, bfloat16": ("peers_generate", "transformers_prefill({read})"),
        "llama.cpp": ("peers_generate", "llama_prefill({read})"),
        "upwell, bfloat16": ("generate", "prefill()")}),
    "streams": ("16 streams together", {
        "upwell, one stream": ("generate", "decode('bfloat16')"),
        "upwell, 16 streams": ("generate", "decode('bfloat16', {streams})"),
        "upwell, 16 streams, deterministic": ("generate", "decode('bfloat16', {streams}, True)"),
        "llama.cpp, 16 sequences, 4 bits": ("peers_generate", "llama({new}, {streams})"),
        "upwell, 16 streams, int4": ("generate", "decode('int4', {streams})")}),
    "beams": ("beam 4, 16 sources, 6 + 6 layers", {
        "CTranslate2, int8": ("peers_generate", "beams_ctranslate({folder!r})"),
        "transformers, float32": ("peers_generate", "beams_transformers({folder!r})"),
        "upwell, bfloat16": ("generate", "beams({folder!r}, 'bfloat16')"),
        "upwell, int8": ("generate", "beams({folder!r}, 'int8')"),
        "upwell, float32": ("generate", "beams({folder!r}, 'float32')")}),
    "lookup": ("guesses from the prompt, code to copy", {
        "upwell, without": ("generate", "lookup(False)"), "upwell, n-grams": ("generate", "lookup(True)")}),
    "prefix": ("first token after 1,000 known tokens", {
        "upwell, cold": ("generate", "prefix(False)"), "upwell, warm": ("generate", "prefix(True)")}),
    "start": ("from the command to the first token", {"upwell": ("generate", "start()")}),
}  # fmt: skip
BEAMS, SOURCES, SOURCE, TARGET = 4, 16, 32, 32


# ---- our sides ----


def opened(weights: str):
    """The checkpoint with its weights held so."""
    from dataclasses import replace

    import torch

    from upwell.model import hub, laid, quantize
    from upwell.weights import find

    exact = weights == "float32" or weights.startswith("int")
    checkpoint = hub.load(find(Path("smollm2-135m")), dtype=torch.float32 if exact else torch.bfloat16)
    if weights.startswith("int"):
        small = quantize.quantize(checkpoint.model, quantize.Scheme(int(weights[3:])))
        checkpoint = replace(checkpoint, model=small.to(torch.bfloat16))
    return replace(checkpoint, model=laid.lay_out(checkpoint.model))


def page() -> str:
    """English text of which neither side knows anything in advance."""
    from upwell import catalog

    found = catalog.fetch("kjv", "en")
    return json.loads(found.read_text(encoding="utf-8").splitlines()[0])["text"][:6000]


def perplexity(model, tokenizer) -> float:
    """Of the weights, on 512 tokens."""
    import torch

    ids = torch.tensor([tokenizer.encode(page())[: READ + 1]])
    with torch.inference_mode():
        logp = model(ids[:, :-1]).float().log_softmax(-1)
    return float(torch.exp(-logp.gather(-1, ids[:, 1:, None]).mean()))


def bandwidth() -> float:
    """Bytes a second that all threads together read from memory; best of five passes over 400 MB."""
    import torch

    x, best = torch.ones(100_000_000), float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        x.sum()
        best = min(best, time.perf_counter() - begin)
    return x.nbytes / best


def timed(backend, prompts: list[list[int]], settings) -> float:
    """Tokens a second of all texts together, from the first token of each on."""
    answers, seconds, counts = [backend.generate(prompt, settings) for prompt in prompts], 0.0, 0
    begins, ends = [], []
    for answer in answers:
        first = None
        for piece in answer:
            first = first or time.perf_counter()
            counts += len(piece.tokens)
        begins.append(first)
        ends.append(time.perf_counter())
    seconds = max(ends) - min(begins)
    return (counts - len(prompts)) / seconds


def read_a_token(model) -> int:
    """Bytes of weights that a step reads: all, but for an embedding that is no output matrix at once."""
    from upwell.model.laid import Laid
    from upwell.model.quantize import size

    laid = [part.laid for part in model.modules() if isinstance(part, Laid)]
    return size(model) + sum(2 * t.numel() for t in laid) - (model.embed.weight.nbytes if laid else 0)


def prompts_of(tokenizer, count: int, length: int) -> list[list[int]]:
    """Pieces of the page."""
    ids = tokenizer.encode(page() * 3)
    return [ids[7 * n : 7 * n + length] for n in range(count)]


def decode(weights: str, streams: int = 1, deterministic: bool = False) -> dict:
    """Greedy, one stream or several."""
    from upwell.generation.backend import Local, Settings

    checkpoint = opened(weights)
    backend = Local(checkpoint, rows=streams, deterministic=deterministic)
    backend.ends = frozenset()
    try:
        found = prompts_of(checkpoint.tokenizer, streams, PROMPT)
        timed(backend, found, Settings(max_new=8, temperature=0))
        speed = timed(backend, found, Settings(max_new=NEW, temperature=0))
    finally:
        backend.close()
    floor = read_a_token(checkpoint.model) / bandwidth()
    return {"speed": speed, "of the floor": speed / streams * floor,
            "perplexity": perplexity(checkpoint.model, checkpoint.tokenizer)}  # fmt: skip


def prefill() -> dict:
    """Tokens a second of reading one prompt."""
    import torch

    from upwell.generation.session import Session
    from upwell.training.precision import rate

    checkpoint = opened("bfloat16")
    prompt, times = prompts_of(checkpoint.tokenizer, 1, READ)[0], []
    for _ in range(4):
        begin = time.perf_counter()
        Session(checkpoint.model, [prompt])
        times.append(time.perf_counter() - begin)
    matrices = read_a_token(checkpoint.model) / 2 - checkpoint.model.embed.weight.numel()
    floor = 2 * matrices * READ / max(rate(torch.bfloat16, 2048), rate(torch.float32, 2048))
    return {"speed": READ / min(times[1:]), "of the floor": floor / min(times[1:]),
            "perplexity": perplexity(checkpoint.model, checkpoint.tokenizer)}  # fmt: skip


def lookup(guess: bool) -> dict:
    """A function is to be copied with a change: most of what is written stands in the prompt."""
    import inspect
    import textwrap

    from upwell.generation.backend import Local, Settings

    checkpoint = opened("bfloat16")
    backend = Local(checkpoint, rows=1)
    backend.ends = frozenset()
    code = inspect.getsource(textwrap.wrap) + inspect.getsource(textwrap.dedent)
    prompt = checkpoint.tokenizer.encode(f"# first version\n{code}\n# the same again\n{code[:200]}")
    settings = Settings(max_new=NEW, temperature=0, strategy="speculative" if guess else "sample")
    try:
        timed(backend, [prompt], settings)
        return {"speed": timed(backend, [prompt], settings)}
    finally:
        backend.close()


def prefix(warm: bool) -> dict:
    """First tokens a second of prompts with 1,000 tokens in common."""
    from upwell.generation.backend import Local, Settings

    checkpoint = opened("bfloat16")
    backend, times = Local(checkpoint, rows=1), []
    ids = checkpoint.tokenizer.encode(page() * 3)
    try:
        for number in range(4):
            at = 0 if warm else number + 1
            prompt = [*ids[at : at + 1000], *ids[100 * number : 100 * number + 20]]
            begin = time.perf_counter()
            next(backend.generate(prompt, Settings(max_new=2, temperature=0)))
            times.append(time.perf_counter() - begin)
    finally:
        backend.close()
    return {"speed": 1 / statistics.median(times[1:])}


def start() -> dict:
    """First tokens a second of `upwell generate`; import and load are told apart."""
    asked = ["--prompt", "Once", "--max-new", "1", "--json"]
    command = [sys.executable, "-m", "upwell", "generate", "smollm2-135m", *asked]
    with tempfile.TemporaryDirectory() as bytecode:  # as on a machine where the command has run before
        environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        for _ in range(2):
            begin = time.perf_counter()
            told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            seconds = time.perf_counter() - begin
    found = json.loads(told.splitlines()[-1])
    parts = {key: value for key, value in found["timings"].items() if key.endswith("_seconds")}
    return {"speed": 1 / seconds, **parts}


def alike(deterministic: bool, count: int = 200, new: int = 16) -> str:
    """How many greedy texts are other ones when 16 are written at once than when each is written alone."""
    from upwell.generation.backend import Local, Settings

    checkpoint = opened("bfloat16")
    backend, settings = Local(checkpoint, STREAMS, deterministic=deterministic), Settings(max_new=new, temperature=0)
    backend.ends = frozenset()
    ids, found = checkpoint.tokenizer.encode(page() * 9), [[], []]
    prompts = [ids[29 * n : 29 * n + 8 + n % 25] for n in range(count)]
    try:
        for place, at_once in enumerate((1, STREAMS)):
            for begin in range(0, count, at_once):
                answers = [backend.generate(prompt, settings) for prompt in prompts[begin : begin + at_once]]
                found[place] += [[token for piece in answer for token in piece.tokens] for answer in answers]
    finally:
        backend.close()
    other = sum(a != b for a, b in zip(*found, strict=True))
    return f"{other} of {count} texts of {new} tokens differ {'in' if deterministic else 'without'} deterministic mode"


def sources() -> list[list[int]]:
    """Ids of the sources of the translation model."""
    import torch

    return torch.randint(3, 7990, (SOURCES, SOURCE), generator=torch.Generator().manual_seed(1)).tolist()


def beams(folder: str, weights: str) -> dict:
    """Tokens a second of the best of each beam."""
    from dataclasses import replace

    import torch

    from upwell.generation.backend import Local, Settings
    from upwell.model import hub, laid, quantize
    from upwell.tokens import kinds

    checkpoint = hub.load(Path(folder), dtype=torch.float32 if weights == "float32" else torch.bfloat16)
    if weights.startswith("int"):
        checkpoint = replace(checkpoint, model=quantize.quantize(checkpoint.model, quantize.Scheme(8)))
    tokenizer = checkpoint.tokenizer or kinds.train(["a b c"], kinds.Wanted(300, "bpe"))
    backend = Local(replace(checkpoint, model=laid.lay_out(checkpoint.model), tokenizer=tokenizer),
                    rows=SOURCES * BEAMS)  # fmt: skip
    backend.ends, begin = frozenset(), None
    settings = Settings(max_new=TARGET, min_new=TARGET, strategy="beam", beams=BEAMS, temperature=0)
    try:
        for _ in range(2):
            begin = time.perf_counter()
            answers = [backend.generate(source, settings) for source in sources()]
            written = sum(sum(len(piece.tokens) for piece in answer) for answer in answers)
            seconds = time.perf_counter() - begin
    finally:
        backend.close()
    return {"speed": written / seconds}


def translator(folder: Path) -> None:
    """A Marian of random weights, as transformers writes it."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(1)
    config = MarianConfig(vocab_size=8000, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
                          decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, pad_token_id=0,
                          eos_token_id=2, decoder_start_token_id=0, forced_eos_token_id=None, scale_embedding=True,
                          max_position_embeddings=128)  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)


# ---- the table ----


def table(works: list[str], rounds: int, folder: str) -> list[str]:
    """A row a side, as Markdown."""
    from turns import in_turn

    lines = ["| work | side | tokens/s | times the first | of the floor | perplexity | peak memory, MB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    names = {"new": NEW, "read": READ, "streams": STREAMS, "folder": folder}
    for work in works:
        what, sides = WORKS[work]
        sides = {side: (module, call.format(**names)) for side, (module, call) in sides.items()
                 if not side.startswith("llama") or has_llama()}  # fmt: skip
        found = in_turn(sides, rounds, folder)
        base = next(iter(sides))
        for side, rows in found.items():
            ratio = [row["speed"] / first["speed"] for row, first in zip(rows, found[base], strict=True)]
            more = [f"{statistics.median(row[key] for row in rows):.3g}" if key in rows[0] else ""
                    for key in ("of the floor", "perplexity")]  # fmt: skip
            speeds = [row["speed"] for row in rows]
            lines.append(f"| {what} | {side} | {spread(speeds, 1 if max(speeds) > 20 else 3)} | {spread(ratio, 2)} | "
                         f"{' | '.join(more)} | {spread([row['memory'] for row in rows])} |")  # fmt: skip
            told = {key: round(value, 2) for key, value in rows[-1].items() if key.endswith("_seconds")}
            if told:
                lines.append(f"| | of that | {told} | | | | |")
    return lines


def spread(values: list[float], digits: int = 1) -> str:
    """Median (lowest-highest)."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def has_llama() -> bool:
    """Whether llama.cpp can take part."""
    import importlib.util

    return importlib.util.find_spec("xllamacpp") is not None


def gguf(folder: Path) -> None:
    """The weights as llama.cpp reads them, with the 4 bits that they came with."""
    if "UPWELL_GGUF" not in os.environ:
        from upwell import export
        from upwell.weights import find

        os.environ["UPWELL_GGUF"] = str(folder / "model.gguf")
        export.gguf(find(Path("smollm2-135m")), folder / "model.gguf", "q4_1")


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(HERE))
    from pretrain import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--alike", action="store_true")
    given = parser.parse_args()
    if given.alike:
        print(*(alike(deterministic) for deterministic in (False, True)), sep="\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        if "beams" in given.works:
            translator(Path(folder))
        if has_llama():
            gguf(Path(folder))
        lines = [f"{machine()}, {given.rounds} rounds in turn, median (lowest-highest)", ""]
        lines += table(given.works, given.rounds, folder)
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
