"""Translating beside transformers and CTranslate2 with equal weights; documents; a text that is being typed.

    python bench/translate.py RUN                            RUN: a folder of the recipe translate-en-zh
    python bench/translate.py RUN --rounds 1 --works typed pages --markdown FILE

sentences   held-out sentences of one language, 1 or 32 at once, greedy or with 4 beams, at most twice as long as their
            sources; ours in bfloat16, transformers in float32, CTranslate2 in int8 (by its own converter, from the
            folder that `upwell export --to ctranslate2` writes)
typed       a text that is being typed, in four ways (translation/typing.py), in both directions: milliseconds of a
            keystroke that has something translated, the share of shown signs that were taken back (flicker), by how
            many words (signs of Chinese) the translation is behind, and chrF of what stands there in the end
pages       a Word file of --pages pages of 300 words, held-out paragraphs, seconds a page (translation/documents.py)
aligned     where parts of sentences stand in their translations, by attention (translation/aligned.py)
confidence  how it goes with chrF: of the model alone, of the way back alone, and of both (translation/translator.py)
int8        BLEU and chrF of --items held-out pairs in each direction, weights of the file, in bfloat16, and in int8

The last three are in translated.py.

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


def pairs(run: str, count: int, longest: int | None = None) -> list[dict]:
    """Held-out pairs (source, target), evenly drawn; longest: of four to so many English words."""
    lines = (Path(run) / "prepared" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line)["fields"] for line in lines]
    if longest:
        found = [one for one in found if 4 <= len(one["source"].split()) <= longest]
    return [found[at * len(found) // count] for at in range(count)]


def sentences(run: str, count: int = COUNT) -> list[str]:
    """English held-out sentences, evenly drawn."""
    return [one["source"] for one in pairs(run, count, 40)]


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


def translator(run: str, rows: int, weights: str = "bfloat16"):
    """Ours, as `upwell translate` opens it."""
    from upwell.translation import asking
    from upwell.translation.translator import Settings, Translator
    from upwell.verbs._models import Which, open_backend

    folder = Path(run) / "model"
    backend = open_backend(Which(folder=folder, weights=weights), rows=rows).backend
    return Translator(backend, asking.of(backend, folder), Settings(beams=4 if rows > 1 else 1)), backend


WAYS = {"all": (False, False, False), "words": (True, False, False), "settled": (True, True, False),
        "bound": (True, True, True)}  # fmt: skip


def typed(run: str, way: str, back: bool = False, count: int = 8) -> dict:
    """Keystrokes of some sentences, one after the other. back: from the other language into English."""
    from sacrebleu.metrics import CHRF

    from upwell.translation.typing import Typist, Way

    one, backend = translator(run, 8)
    languages = (target(run), "en") if back else ("en", target(run))
    times, taken, shown, behind, finals, references = [], 0, 0, [], [], []
    try:
        for pair in pairs(run, count, 40):
            text, reference = (pair["target"], pair["source"]) if back else (pair["source"], pair["target"])
            typist = Typist(one, *languages, Way(*WAYS[way]))
            lengths = [keystroke(typist, text[:end], times) for end in range(1, len(text) + 1)]
            finals.append(typist.typed(text, paused=True))
            references.append(reference)
            units = len(text) if languages[0] == "zh" else len(text.split())
            behind += [units * ((at + 1) / len(text) - min(1, length / max(1, len(finals[-1]))))
                       for at, length in enumerate(lengths)]  # fmt: skip
            taken, shown = taken + typist.taken_back, shown + typist.signs
    finally:
        backend.close()
    times.sort()
    return {"p50": statistics.median(times), "p95": times[int(0.95 * len(times))], "flicker": taken / shown,
            "behind": statistics.mean(behind), "chrF": CHRF().corpus_score(finals, [references]).score}  # fmt: skip


def keystroke(typist, text: str, times: list[float]) -> int:
    """Signs that are shown after it; the milliseconds go into times, where something was translated."""
    before, begin = (typist.state.begun, len(typist.state.finished)), time.perf_counter()
    shown = typist.typed(text)
    if before != (typist.state.begun, len(typist.state.finished)):
        times.append(1000 * (time.perf_counter() - begin))
    return len(shown)


def pages(run: str, count: int) -> dict:
    """A Word file of so many pages."""
    from tests.translation.fake import docx, paragraph
    from tests.translation.fake import run as words_run
    from upwell.translation.documents import translate_bytes

    one, backend = translator(run, 128)
    texts, words = [], 0
    for text in sentences(run, 2000) * 10:
        if words >= count * PAGE:
            break
        texts.append(text.replace("&", "and").replace("<", "(").replace(">", ")"))
        words += len(text.split())
    begin = time.perf_counter()
    try:
        translate_bytes(one, docx(*(paragraph(words_run(text)) for text in texts)), "a.docx", "en", target(run))
    finally:
        backend.close()
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "a page": seconds / count, "paragraphs": len(texts)}


WORKS = ["sentences", "typed", "pages", "aligned", "confidence", "int8"]
SIDES = {"upwell, bfloat16": "ours", "transformers, float32": "transformers_side", "CTranslate2, int8": "ctranslate"}


def speeds(run: str, rounds: int) -> list[str]:
    """The table of sentences a second."""
    from generate import spread
    from turns import in_turn

    lines = ["| at once | beams | side | sentences/s | times transformers | peak memory, MB |",
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
    return [*lines, ""]


def rows_of(calls: dict[str, str], file: str, rounds: int, run: str) -> list[str]:
    """A row for each call of a file: what it gives, under its names."""
    from generate import spread
    from turns import in_turn

    found = in_turn({name: (file, call) for name, call in calls.items()}, rounds, run)
    keys = [key for key in next(iter(found.values()))[0] if key != "memory"]
    lines = ["| | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, rows in found.items():
        lines.append(f"| {name} | " + " | ".join(spread([row[key] for row in rows], 2) for key in keys) + " |")
    return [*lines, ""]


def table(run: str, works: list[str], rounds: int, items: int, leaves: int) -> list[str]:
    """Markdown."""
    calls = {
        "typed": {f"{way}{', back' if back else ''}": f"typed({run!r}, {way!r}, {back})"
                  for back in (False, True) for way in WAYS},
        "pages": {f"{leaves} pages": f"pages({run!r}, {leaves})"}, "aligned": {"aligned": f"aligned({run!r})"},
        "confidence": {"confidence": f"confidence({run!r})"},
        "int8": {kind: f"rounded({run!r}, {kind!r}, {items})" for kind in ("file", "bfloat16", "int8")},
    }  # fmt: skip
    often = {"typed": rounds, "pages": rounds}
    lines = speeds(run, rounds) if "sentences" in works else []
    for work in works:
        if work in calls:
            lines += rows_of(calls[work], "translate" if work in often else "translated", often.get(work, 1), run)
    return lines


def main() -> None:
    """Print the table."""
    from pretrain import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=300, help="pairs of int8, in each direction")
    parser.add_argument("--pages", type=int, default=100, help="of the Word file")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    lines = [f"{machine()}, {given.rounds} rounds in turn, median (lowest-highest)", ""]
    lines += table(str(given.run.resolve()), given.works, given.rounds, given.items, given.pages)
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
