"""A domain that a model does not know, three ways side by side: go on pretraining, fine-tune, or look it up.

    python bench/new_domain.py                                  some five minutes a training on one core
    python bench/new_domain.py --steps 10 10 --characters 60000 --questions 20 --markdown FILE
    python bench/new_domain.py --only "make looked up" "looked up"        a part; a later call takes it from --work

The domain: pages of the manuals of Python (`upwell fetch manuals`), the model: smollm2-135m. Of a page the names of
functions, classes and so on with the first sentence below each are questions with answers ("What does X do?"); half of
them are learnt from, the other half is asked.

as it is     the model alone
pretrained   it goes on learning from the pages, all weights
fine-tuned   adapters (LoRA, rank 16) on the half of the questions that is learnt from
looked up    the pages in an index: the likest sentence, and the model's words from the passages

Measured: bits per byte of other pages of the manuals, which nobody has learnt from; bits per byte of introductions of
Wikipedia, which tell what was forgotten; word F1 of the answers to the other half of the questions. The answers stand
in the pages, so whoever looks them up has them before it; the others must have learnt them. All ways see the same
pages; in the index each entry's name stands directly above what is said of it, as a reader of the page has it.

Each way is a process of its own, with its minutes of processor time, which do not depend on what else the machine does,
and its peak of memory.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
MODEL, ENCODER = "smollm2-135m", "minilm-l6"
LONGEST = 40_000  # characters of a page
OTHERS = 40  # introductions of Wikipedia
PRETRAIN = ("--objective causal --training.rows 4 --training.context 256 --training.precision bfloat16 "
            "--training.optim.rate 1e-4 --training.schedule.warmup 4")  # fmt: skip
FINETUNE = ("--objective instruct --training.rows 8 --training.context 128 --training.precision bfloat16 "
            "--lora.rank 16 --lora.base bfloat16 --lora.rate 4e-4 --learn.long drop "
            "--training.schedule.warmup 4")  # fmt: skip
RUN = "--evaluations 0 --samples 0 --answers 0 --no-before --show 0 --epochs 0 --save-seconds 10000 --training.seed 1"
ENTRY = re.compile(r"^( *)\.\. (function|method|classmethod|staticmethod|class|attribute|data|exception):: *([\w.]+)"
                   r"[^\n]*\n(?:\1 +[^\s.][^\n]*\n|\1 +:[^\n]*\n)*\n+((?:\1 +(?!\.\.)\S[^\n]*\n)+)", re.M)  # fmt: skip
TERM = re.compile(r"^( *)\.\. (?:function|method|classmethod|staticmethod|class|attribute|data|exception):: *([^\n]+)\n"
                  r"((?:\1 +\S[^\n]*\n)*)\n+(?=\1 +[^\s.:])", re.M)  # fmt: skip


# ---- the domain ----


def lot(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64


def plain(text: str) -> str:
    """reStructuredText without the marks inside of lines."""
    text = re.sub(r":[\w:+-]+:`[~!]?([^`<]*?)(?: *<[^`>]*>)?`", r"\1", text)
    return re.sub(r"``([^`]*)``", r"\1", text).replace("|version|", "3.11")


def rendered(text: str) -> str:
    """The text with each entry's name directly above what is said of it, as a page shows it."""

    def entry(found: re.Match) -> str:
        others = [line.strip() for line in found[3].splitlines() if not line.strip().startswith(":")]
        return "\n".join(found[1] + name for name in [found[2], *others]) + "\n"

    return TERM.sub(entry, text)


def pages(characters: int) -> tuple[dict[str, str], dict[str, str]]:
    """(pages of the domain, other pages of the library, a fifth as much), by their names."""
    from upwell import catalog

    lines = catalog.fetch("manuals").read_text(encoding="utf-8").splitlines()
    found = {one["title"]: plain(one["text"]) for one in map(json.loads, lines) if one["label"] == "library"}
    names = sorted((name for name, text in found.items() if 2000 < len(text) <= LONGEST), key=lot)
    told: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for part, wanted in zip(told, (characters, characters // 5), strict=True):
        while names and sum(map(len, part.values())) < wanted:
            name = names.pop(0)
            part[name] = found[name]
    return told


def questions(text: str) -> list[tuple[str, str]]:
    """(question, the sentence that answers it) of a page."""
    module = re.search(r"^\.\. module:: *([\w.]+)", text, re.M)
    found = []
    for _, kind, what, below in (one.groups() for one in ENTRY.finditer(text)):
        sentence = re.split(r"(?<=[.!?])\s", " ".join(below.split()) + " ")[0]
        if not 4 <= len(sentence.split()) <= 40 or not sentence.endswith("."):
            continue
        full = what if "." in what or module is None else f"{module[1]}.{what}"
        asks = f"What does {full} do?" if kind.endswith(("function", "method")) else f"What is {full}?"
        found.append((asks, sentence))
    return list(dict(found).items())


def prepare(work: Path, characters: int, most: int) -> dict[str, int]:
    """The pages, the questions and the general texts as prepared folders, the pages also as files; how many of each."""
    from upwell import catalog

    domain, others = pages(characters)
    folder = work / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in domain.items():
        (folder / f"{name.replace('/', '-')}.txt").write_text(rendered(text), encoding="utf-8")
    asked = [pair for text in domain.values() for pair in questions(text)]
    chats = [{"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
              "split": "test" if lot(question) < 0.5 else "train"} for question, answer in asked]  # fmt: skip
    test = sorted((one for one in chats if one["split"] == "test"), key=lambda one: lot(str(one)))[:most]
    chats = [one for one in chats if one["split"] == "train"] + test
    lines = catalog.fetch("wiki-intros", "en").read_text(encoding="utf-8").splitlines()
    general = sorted((json.loads(line)["text"] for line in lines), key=lot)[: 5 * OTHERS]
    made = {"domain": [{"text": text, "title": name, "split": part} for some, part in
                       ((domain, "train"), (others, "test")) for name, text in some.items()],
            "chats": chats,
            "general": [{"text": text, "title": "", "split": "test" if at < OTHERS else "train"}
                        for at, text in enumerate(general)]}  # fmt: skip
    for name, records in made.items():
        written(work / name, records)
    return {"pages": len(domain), "characters": sum(map(len, domain.values())), "other pages": len(others),
            "questions learnt from": sum(one["split"] == "train" for one in chats),
            "questions asked": sum(one["split"] == "test" for one in chats)}  # fmt: skip


def written(folder: Path, records: list[dict]) -> None:
    """A prepared folder of records."""
    from upwell import cli

    file = folder.with_suffix(".jsonl")
    file.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    words = [str(file), "--out", str(folder), "--tokenizer", MODEL, "--split", "given", "--near", "0", "--repeated",
             "0", "--skip", "privacy", "secrets", "quality", "language", "length"]  # fmt: skip
    if code := cli.main(["prepare", *words]):
        raise SystemExit(f"upwell prepare {' '.join(words)} ended with {code}")


# ---- ways ----


def trained(work: str, name: str, data: str, flags: str, steps: int) -> dict:
    """A run of `upwell finetune`: its minutes and tokens."""
    from upwell import cli

    begin = time.process_time()
    words = [MODEL, str(Path(work) / data), "--out", str(Path(work) / name), "--training.steps", str(steps),
             *flags.split(), *RUN.split()]  # fmt: skip
    if code := cli.main(["finetune", *words]):
        raise SystemExit(f"upwell finetune {' '.join(words)} ended with {code}")
    lines = (Path(work) / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    tokens = max(json.loads(line).get("tokens", 0) for line in lines)
    return {"minutes": (time.process_time() - begin) / 60, "tokens": tokens}


def indexed(work: str) -> dict:
    """The pages in an index."""
    from upwell.answering.index import Index

    begin = time.process_time()
    encoder = opened(ENCODER)
    with Index.open(Path(work) / "index", encoder=encoder, create=True) as index:
        index.update([Path(work) / "pages"])
        count = index.count
    encoder.close()
    return {"minutes": (time.process_time() - begin) / 60, "tokens": 0, "passages": count}


def opened(name: str, weights: str = "file"):
    """A backend on a model of the catalogue, or of a folder."""
    from upwell.verbs._models import How, model_folder, open_folder

    return open_folder(model_folder(Path(name)), How(weights=weights)).backend


def alone(work: str, model: str) -> dict:
    """A model by itself: bits per byte of both kinds of text, and its answers."""
    import torch

    from upwell import prepared
    from upwell.evaluation.tasks import answers, loss
    from upwell.model import hub
    from upwell.verbs._models import model_folder

    checkpoint, told = hub.load(model_folder(Path(model))), {}
    for name in ("domain", "general"):
        store = prepared.opened(Path(work) / name).heldout
        found = loss.measure(checkpoint.model, store, loss.Settings(1024, 4), torch.bfloat16)
        told[name] = pair(found.numbers["bits per byte"])
    del checkpoint
    backend = opened(model, "bfloat16")
    begin = time.process_time()
    try:
        asked = prepared.documents_of(Path(work) / "chats" / "heldout.jsonl")
        found = answers.measure(backend, asked, answers.Settings(items=10_000, longest=64))
    finally:
        backend.close()
    return told | {"f1": pair(found.numbers["word f1"]), "exact": pair(found.numbers["exact match"]),
                   "seconds": (time.process_time() - begin) / found.items,
                   "samples": list(found.samples)}  # fmt: skip


def pair(number) -> tuple[float, float]:
    """A number and its error."""
    return number.value, number.error


def looked_up(work: str, writer: str) -> dict:
    """Answers out of the index, in the words of the pages or, where a writer is named, in its own."""
    from asked import mean

    from upwell import prepared
    from upwell.answering.asking import Asker, Settings
    from upwell.answering.index import Index
    from upwell.answering.search import Searcher
    from upwell.evaluation.tasks.parses import questions as chats
    from upwell.evaluation.within import bare, shared

    encoder, model = opened(ENCODER), opened(writer, "bfloat16") if writer else None
    scores, exact, samples, begin = [], [], [], time.process_time()
    with Index.open(Path(work) / "index", encoder=encoder) as index:
        asker = Asker(Searcher(index, encoder), None, model, Settings(threshold=0.0))
        for messages, right in chats(prepared.documents_of(Path(work) / "chats" / "heldout.jsonl"), 10_000):
            said = asker.ask(messages[-1]["content"]).text
            scores.append(shared(bare(said), bare(right)))
            exact.append(float(bare(said) == bare(right)))
            samples.append({"prompt": messages[-1]["content"], "text": said, "reference": right})
    seconds = (time.process_time() - begin) / len(scores)
    for backend in (encoder, model):
        if backend is not None:
            backend.close()
    return {"f1": mean(scores), "exact": mean(exact), "seconds": seconds, "samples": samples[:5]}


def calls(work: Path, steps: list[int]) -> dict[str, str]:
    """What is to be done, by the names of what it gives: the ways are made, then measured."""
    place, own, tuned = str(work), str(work / "pretrained"), str(work / "tuned")
    return {
        "make pretrained": f"trained({place!r}, 'pretrained', 'domain', new_domain.PRETRAIN, {steps[0]})",
        "make fine-tuned": f"trained({place!r}, 'tuned', 'chats', new_domain.FINETUNE, {steps[1]})",
        "make looked up": f"indexed({place!r})",
        "as it is": f"alone({place!r}, {MODEL!r})",
        "pretrained": f"alone({place!r}, {own!r})",
        "fine-tuned": f"alone({place!r}, {tuned!r})",
        "looked up": f"looked_up({place!r}, '')",
        "looked up, in the model's words": f"looked_up({place!r}, {MODEL!r})",
    }


def done(work: Path, name: str, call: str) -> dict:
    """What a call gives, in a process of its own; kept, so that a second run of this program goes on."""
    from turns import apart

    kept = work / f"{name}.json"
    if not kept.is_file():
        kept.write_text(json.dumps(apart("new_domain", call, str(work))), encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    print(name, found, flush=True)
    return found


def table(told: dict[str, dict]) -> list[str]:
    """Rows of a Markdown table, and some answers."""
    found = {name: one for name, one in told.items() if not name.startswith("make ")}
    costs = {name.removeprefix("make "): one for name, one in told.items() if name.startswith("make ")}
    lines = ["| way | bits per byte, other pages | general text | word F1 of answers | exact | s an answer | minutes "
             "to make | tokens learnt | peak memory, MB |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for way, one in found.items():
        scores = [f"{one[key][0]:.3f} ± {one[key][1]:.3f}" if key in one else "as the model's" for key in
                  ("domain", "general", "f1", "exact")]  # fmt: skip
        cost = costs.get(way.partition(",")[0], {})
        told = [f"{cost['minutes']:.1f}", f"{cost['tokens']:,}", f"{cost['memory']:,.0f}"] if cost else ["0", "0", ""]
        lines.append(f"| {way} | {' | '.join(scores)} | {one['seconds']:.1f} | {' | '.join(told)} |")
    lines.append("")
    for number in range(2):
        lines += [f"{found['as it is']['samples'][number]['prompt']}", ""]
        lines += [f"- {way}: {one['samples'][number]['text']!r}" for way, one in found.items()]
        lines += [f"- the manual: {found['as it is']['samples'][number]['reference']!r}", ""]
    return lines


def main() -> None:
    """Print the table."""
    from pretrain import machine
    from turns import threads

    from upwell import weights

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs=2, default=[40, 30], help="of pretraining and of fine-tuning")
    parser.add_argument("--characters", type=int, default=130_000, help="of the pages that are learnt from")
    parser.add_argument("--questions", type=int, default=50, help="that are asked")
    parser.add_argument("--only", nargs="+", default=[], help="do these parts and print no table")
    parser.add_argument("--work", type=Path, default=Path("runs/new-domain"))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    for name in (MODEL, ENCODER):
        weights.fetch(name, print)
    work, counts = given.work.resolve(), given.work / "counts.json"
    if not counts.is_file():
        counts.write_text(json.dumps(prepare(work, given.characters, given.questions)), encoding="utf-8")
    told = json.loads(counts.read_text(encoding="utf-8"))
    todo = calls(work, given.steps)
    if given.only:
        for name in given.only:
            done(work, name, todo[name])
        return
    lines = [f"{machine()}, one round, {threads()} threads, {given.steps[0]} and {given.steps[1]} steps", "",
             ", ".join(f"{key}: {value:,}" for key, value in told.items()), ""]  # fmt: skip
    lines += table({name: done(work, name, call) for name, call in todo.items()})
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
