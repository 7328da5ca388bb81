"""Translating beside transformers and CTranslate2 with equal weights; documents; a text that is being typed.

    python bench/translate.py RUN                            RUN: a folder of the recipe translate-en-zh
    python bench/translate.py RUN --rounds 1 --works typed pages --markdown FILE

sentences   held-out sentences of one language, 1 or 32 at once, greedy or with 4 beams, at most twice as long as their
            sources; ours in bfloat16, transformers in float32, CTranslate2 in int8 (by its own converter, from the
            folder that `upwell export --to ctranslate2` writes)
typed       milliseconds from a keystroke to the translation of what stands there, and the share of shown signs that
            were taken back (translation/typing.py)
aligned     where parts of sentences stand in their translations, by attention (translation/aligned.py)
confidence  how it goes with chrF (translation/translator.py)
pages       a Word file of 100 pages of held-out paragraphs, seconds a page (translation/documents.py)

Each side is a process of its own, in turn. Run it on a quiet machine.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
COUNT = 64
CASES = [(at_once, beams) for at_once in (1, 32) for beams in (1, 4)]
PAGE = 300  # words of a page


def sentences(run: str, count: int = COUNT) -> list[str]:
    """English held-out sentences, evenly drawn."""
    lines = (Path(run) / "prepared" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["fields"]["source"] for line in lines]
    texts = [text for text in texts if 4 <= len(text.split()) <= 40]
    return [texts[at * len(texts) // count] for at in range(count)]


def target(run: str) -> str:
    """The other language of the run."""
    from upwell.translation.asking import languages

    return next(other for source, other in languages(Path(run) / "model") if source == "en")


def prompts(run: str) -> list[list[int]]:
    """The ids that every side reads."""
    from upwell.model import hub

    tokenizer = hub.load(Path(run) / "model").tokenizer
    return [tokenizer.encode_source(f"{target(run)}: {text}") for text in sentences(run)]


# ---- sides: {"speed": sentences a second} ----


def ours(run: str, at_once: int, beams: int) -> dict:
    """Our engine."""
    from dataclasses import replace

    import torch

    from upwell.generation.backend import Local, Settings
    from upwell.model import hub, laid

    checkpoint = hub.load(Path(run) / "model", dtype=torch.bfloat16)
    backend = Local(replace(checkpoint, model=laid.lay_out(checkpoint.model)), rows=at_once * beams)
    ways = {"strategy": "beam", "beams": beams} if beams > 1 else {"temperature": 0.0}
    ids = prompts(run)
    try:
        for some in (ids[:4], ids):
            begin = time.perf_counter()
            for first in range(0, len(some), at_once):
                answers = [backend.generate(one, Settings(max_new=2 * len(one) + 16, **ways))
                           for one in some[first : first + at_once]]  # fmt: skip
                for answer in answers:
                    list(answer)
            seconds = time.perf_counter() - begin
    finally:
        backend.close()
    return {"speed": len(ids) / seconds}


def transformers_side(run: str, at_once: int, beams: int) -> dict:
    """generate() over padded batches."""
    import torch
    from transformers import T5ForConditionalGeneration

    model, ids = T5ForConditionalGeneration.from_pretrained(Path(run) / "model").eval(), prompts(run)
    for some in (ids[:4], ids):
        begin = time.perf_counter()
        for first in range(0, len(some), at_once):
            rows = some[first : first + at_once]
            longest = max(map(len, rows))
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
            with torch.inference_mode():
                model.generate(padded, attention_mask=mask, num_beams=beams, do_sample=False,
                               max_new_tokens=2 * longest + 16)  # fmt: skip
        seconds = time.perf_counter() - begin
    return {"speed": len(ids) / seconds}


def ctranslate(run: str, at_once: int, beams: int) -> dict:
    """CTranslate2 over the converted folder."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter
    from tokenizers import Tokenizer

    from upwell import export

    with tempfile.TemporaryDirectory() as work:
        export.ctranslate2_ready(Path(run) / "model", Path(work) / "ready")
        TransformersConverter(f"{work}/ready").convert(f"{work}/model", quantization="int8")
        names = Tokenizer.from_file(str(Path(run) / "model" / "tokenizer.json"))
        model = ctranslate2.Translator(f"{work}/model", inter_threads=1, intra_threads=os.cpu_count())
        ids = prompts(run)
        for some in (ids[:4], ids):
            begin = time.perf_counter()
            for first in range(0, len(some), at_once):
                rows = some[first : first + at_once]
                words = [[names.id_to_token(token) for token in row] for row in rows]
                longest = max(map(len, rows))
                model.translate_batch(words, beam_size=beams, max_decoding_length=2 * longest + 16)
            seconds = time.perf_counter() - begin
    return {"speed": len(ids) / seconds}


def translator(run: str, rows: int):
    """Ours, as `upwell translate` opens it."""
    from upwell.translation import asking
    from upwell.translation.translator import Settings, Translator
    from upwell.verbs._models import Which, open_backend

    folder = Path(run) / "model"
    backend = open_backend(Which(folder=folder, weights="bfloat16"), rows=rows).backend
    return Translator(backend, asking.of(backend, folder), Settings(beams=4 if rows > 1 else 1)), backend


def typed(run: str) -> dict:
    """Keystrokes of eight sentences, one after the other."""
    from upwell.translation.typing import Typist

    one, backend = translator(run, 1)
    times, taken, shown = [], 0, 0
    try:
        for text in sentences(run, 8):
            typist = Typist(one, "en", target(run))
            for end in range(1, len(text) + 1):
                begin = time.perf_counter()
                typist.typed(text[:end])
                times.append(1000 * (time.perf_counter() - begin))
            taken, shown = taken + typist.taken_back, shown + typist.signs
    finally:
        backend.close()
    times.sort()
    return {"speed": 1000 / statistics.median(times), "p50": statistics.median(times),
            "p95": times[int(0.95 * len(times))], "flicker": taken / shown}  # fmt: skip


def aligned(run: str) -> dict:
    """Parts of sentences whose translations are known (aligned.jsonl, by hand): how well the decoder's attention finds
    them, beside staying at the same share of the text. overlap: F1 of signs; found: overlap above one half."""
    from upwell.translation.aligned import shared

    one, backend = translator(run, 1)
    scores = {"attention": [], "share": []}
    try:
        for line in (HERE / "aligned.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            source, made = row["source"], row["target"]
            for part, known in row["parts"]:
                begin, first = source.index(part), made.index(known)
                prompt = one.asking.prompt(source, "en", target(run))
                (found,) = one.align(source, made, [(begin, begin + len(part))], prompt)
                guesses = {"attention": found, "share": shared(begin, begin + len(part), source, made)}
                for way, guess in guesses.items():
                    both = max(0, min(guess[1], first + len(known)) - max(guess[0], first))
                    scores[way].append(2 * both / (guess[1] - guess[0] + len(known)) if guess[1] > guess[0] else 0.0)
    finally:
        backend.close()
    told = {f"{way} {what}": value for way, values in scores.items() for what, value in (
        ("overlap", statistics.mean(values)), ("found", statistics.mean(value > 0.5 for value in values)))}  # fmt: skip
    return {"speed": 0.0, "parts": len(scores["share"]), **told}


def confidence(run: str, count: int = 200) -> dict:
    """How the confidence of held-out sentences goes with their chrF: Spearman's rank correlation, and the mean chrF of
    those below and above translator.LOW."""
    from sacrebleu.metrics import CHRF

    from upwell.translation.translator import LOW

    lines = [json.loads(line)["fields"] for line in
             (Path(run) / "prepared" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()]  # fmt: skip
    lines = [lines[at * len(lines) // count] for at in range(count)]
    one, backend = translator(run, 128)
    try:
        made = one.texts([line["source"] for line in lines], "en", target(run))
    finally:
        backend.close()
    metric = CHRF()
    scores = [metric.sentence_score(text.text, [line["target"]]).score for text, line in zip(made, lines, strict=True)]
    sure = [text.confidence for text in made]

    def ranks(values: list[float]) -> list[int]:
        order = sorted(range(len(values)), key=values.__getitem__)
        return [place for place, _ in sorted(enumerate(order), key=lambda pair: pair[1])]

    low = [score for score, value in zip(scores, sure, strict=True) if value < LOW]
    high = [score for score, value in zip(scores, sure, strict=True) if value >= LOW]
    return {"speed": 0.0, "rank correlation": statistics.correlation(ranks(sure), ranks(scores)), "low": len(low),
            "chrF low": statistics.mean(low or [0.0]), "chrF others": statistics.mean(high or [0.0])}  # fmt: skip


def pages(run: str) -> dict:
    """A Word file of a hundred pages."""
    from tests.translation.fake import docx, paragraph
    from tests.translation.fake import run as words_run
    from upwell.translation.documents import translate_bytes

    one, backend = translator(run, 128)
    texts, words = [], 0
    for text in sentences(run, 2000) * 10:
        if words >= 100 * PAGE:
            break
        texts.append(text.replace("&", "and").replace("<", "(").replace(">", ")"))
        words += len(text.split())
    begin = time.perf_counter()
    try:
        translate_bytes(one, docx(*(paragraph(words_run(text)) for text in texts)), "a.docx", "en", target(run))
    finally:
        backend.close()
    seconds = time.perf_counter() - begin
    return {"speed": 100 / seconds, "a page": seconds / 100, "paragraphs": len(texts)}


WORKS = ["sentences", "typed", "pages", "aligned", "confidence"]
SIDES = {"upwell, bfloat16": "ours", "transformers, float32": "transformers_side", "CTranslate2, int8": "ctranslate"}


def table(run: str, works: list[str], rounds: int) -> list[str]:
    """Markdown."""
    from generate import spread
    from turns import in_turn

    lines = []
    if "sentences" in works:
        lines += ["| at once | beams | side | sentences/s | times transformers | peak memory, MB |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        for at_once, beams in CASES:
            calls = {side: ("translate", f"{name}({run!r}, {at_once}, {beams})") for side, name in SIDES.items()}
            found = in_turn(calls, rounds, run)
            base = found["transformers, float32"]
            for side, rows in found.items():
                ratio = [row["speed"] / first["speed"] for row, first in zip(rows, base, strict=True)]
                speeds, memory = ([row[key] for row in rows] for key in ("speed", "memory"))
                lines.append(f"| {at_once} | {beams} | {side} | {spread(speeds)} | {spread(ratio, 2)} | "
                             f"{spread(memory)} |")  # fmt: skip
        lines.append("")
    told = {"typed": ("p50", "p95", "flicker"), "pages": ("a page", "paragraphs"),
            "aligned": ("parts", "attention overlap", "attention found", "share overlap", "share found"),
            "confidence": ("rank correlation", "low", "chrF low", "chrF others")}  # fmt: skip
    for work, keys in told.items():
        if work in works:
            once = 1 if work in ("aligned", "confidence") else rounds
            (rows,) = in_turn({work: ("translate", f"{work}({run!r})")}, once, run).values()
            lines += [f"{work}: " + ", ".join(f"{key} {spread([row[key] for row in rows], 2)}" for key in keys), ""]
    return lines


def main() -> None:
    """Print the table."""
    from pretrain import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    lines = [f"{machine()}, {given.rounds} rounds in turn, median (lowest-highest)", ""]
    lines += table(str(given.run.resolve()), given.works, given.rounds)
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
