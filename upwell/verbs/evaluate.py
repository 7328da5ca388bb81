"""Measure a model on held-out text: loss, perplexity, bits per byte; of all of it, or by source or language.

The text is a prepared folder's held-out part (from `upwell prepare` or a quickstart run), measured token by token.
--task lets the model write instead. answers: held-out chats, its answers beside the right ones. parses: the same, and
which share of the answers Python parses. translation: held-out pairs by beam search, in every direction that it learnt,
with BLEU and chrF (sacrebleu's) by domain beside what a copy of the source reaches. recall: for a model that gives
vectors, held-out pairs, both ways; texts longer than --context (128) lose their ends.

Examples:
    upwell evaluate runs/quickstart-en
    upwell evaluate runs/mine --data prepared --json
    upwell evaluate runs/gpt/model --by source
    upwell evaluate runs/code/model --task parses --items 100
    upwell evaluate runs/chat/model --task answers
    upwell evaluate runs/translate-en-zh/model --task translation --items 500
    upwell evaluate minilm-l6 --data titles --task recall
"""

import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError

MOST_GROUPS = 30
TRANSLATED_AT_ONCE = 64  # rows of the engine
PARTS = ("heldout", "train")


@dataclass(frozen=True)
class Settings:
    """Which model, on what."""

    folder: Positional[Path | None] = None
    """A model's folder, or a name that was fetched; default: the newest run in runs/."""
    data: Path | None = None
    """A prepared folder; default: the one that the model was trained on."""
    task: Literal["loss", "parses", "answers", "translation", "recall"] = "loss"
    """loss: how well it predicts each token; parses: how much of the code that it writes is code; answers: how near
    its answers are to the right ones; translation: how near its translations are; recall: how often a text finds the
    one that belongs to it among all held-out ones."""
    by: Literal["", "source", "language", "kind", "label"] = ""
    """The loss also for each file, language, kind or label of the documents."""
    items: int = 200
    """Held-out chats that the model answers, or pairs that it translates, in each direction; 0: all of them."""
    beams: int = 4
    """Translation: texts that beam search keeps alive; 1 takes the likeliest token each time."""
    context: int = 0
    """Tokens in a window; 0: as many as the model reads, at most 1024."""
    json: bool = False
    """One JSON object instead of a table."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    allow_key: tuple[str, ...] = ()
    """Keys of the folder's config.json (or tensors) that upwell does not know and that you want to pass over."""
    weights: Literal["file", "int8", "int4"] = "file"
    """How the weights are held in memory: as the file has them, or rounded (int4 keeps the blocks of a Q4_1 file)."""

    def __post_init__(self):
        if self.context < 0:
            raise ValueError(f"context is {self.context}; expected 0 or more tokens")
        if self.items < 0 or self.beams < 1:
            raise ValueError(f"items is {self.items} and beams is {self.beams}; expected 0 or more, and 1 or more")
        if self.by and self.task != "loss":
            raise ValueError(f"by goes with the task loss; found {self.task}")


def main(settings: Settings) -> None:
    from upwell.verbs._models import model_folder, open_model

    folder = model_folder(settings.folder)
    from upwell.evaluation.tasks import loss
    from upwell.tokens.store import Store
    from upwell.training import precision

    checkpoint = open_model(folder, settings)
    data = data_of(folder, settings.data)
    if settings.task == "translation":
        show_translations(folder, data / "heldout", translated(checkpoint, folder, data, settings), settings)
        return
    if settings.task == "recall":
        show(folder, data / "heldout", recalled(checkpoint, data, settings), "pairs", settings)
        return
    if settings.task != "loss":
        show(folder, data / "heldout", written(checkpoint, data, settings), "answers", settings)
        return
    store = Store(data / "heldout")
    check_tokenizer(checkpoint, store)
    dtype = precision.resolve("auto", str(checkpoint.model.device))
    scores, groups = loss.measure(checkpoint.model, store, loss.Settings(settings.context), dtype), {}
    if settings.by:
        groups = grouped(checkpoint.model, store, data / "heldout.jsonl", settings, dtype)
    show(folder, store.folder, scores, "tokens", settings, groups)


def recalled(checkpoint, data: Path, settings: Settings):
    """How often a held-out text finds its own, as Scores."""
    from upwell.objectives import contrast
    from upwell.run.measured import measured

    context = settings.context or min(checkpoint.config.context, 128)
    return measured(checkpoint, data, "contrast", contrast.Settings(cut=True), context)


def show(folder: Path, data: Path, scores, items: str, settings: Settings, groups: dict | None = None) -> None:
    """The numbers as tables, or as one JSON object. items: what the scores count."""
    if settings.json:
        found = {"model": str(folder), items: scores.items, **as_json(scores)}
        by = {name: {"documents": documents, "tokens": one.items, **as_json(one)}
              for name, (documents, one) in (groups or {}).items()}  # fmt: skip
        print(json.dumps(found | ({"by": by} if by else {}), ensure_ascii=False))
        return
    rows = [(name, str(number)) for name, number in scores.numbers.items()] + [(items, f"{scores.items:,}")]
    terminal.table(f"{folder} on {data}", ("what", "result"), rows)
    if groups:
        rows = [(name, f"{documents:,}", f"{one.items:,}", str(one.numbers["loss"]),
                 str(one.numbers.get("bits per byte", ""))) for name, (documents, one) in groups.items()]  # fmt: skip
        terminal.table(f"By {settings.by}", (settings.by, "documents", "tokens", "loss", "bits per byte"), rows)
    for one in scores.samples:
        terminal.say(f"\n{one['prompt']}")
        terminal.sample(one["text"])


def as_json(scores) -> dict:
    """The numbers with their errors."""
    return {name: {"value": number.value, "error": number.error} for name, number in scores.numbers.items()}


def written(checkpoint, data: Path, settings: Settings):
    """Scores of what the model writes for held-out chats."""
    from upwell import plugs, prepared
    from upwell.generation.backend import Local

    task = plugs.find("evaluation/tasks", settings.task)
    backend = Local(checkpoint)
    try:
        asked = prepared.documents_of(data / "heldout.jsonl")
        return task.measure(backend, asked, task.Settings(items=settings.items or sys.maxsize))
    finally:
        backend.close()


def translated(checkpoint, folder: Path, data: Path, settings: Settings):
    """What the model makes of held-out pairs."""
    from upwell import prepared
    from upwell.evaluation.tasks import translation
    from upwell.generation.backend import Local

    translation.check()
    way = way_of(folder)
    backend = Local(checkpoint, rows=TRANSLATED_AT_ONCE)
    try:
        pairs, known = translation.unseen(*(prepared.documents_of(data / f"{part}.jsonl") for part in PARTS))
        if known:
            terminal.warn(f"{known:,} held-out pairs share a side with a learnt one; they are not translated.")
        return translation.measure(backend, pairs, translation.Settings(settings.items, settings.beams, way))
    finally:
        backend.close()


def way_of(folder: Path):
    """How a run's model learnt to be asked for a translation, by its upwell.yaml; plainly where it does not say."""
    from upwell.objectives import pairs

    said = run_of(folder)
    learnt = said.get("learn") or {}
    learnt = learnt.get("pairs") or {} if said.get("objective") == "distil" else learnt
    return pairs.Settings(prefix=learnt.get("prefix") or "", both=bool(learnt.get("both")),
                          between=learnt.get("between", "\n"))  # fmt: skip


def show_translations(folder: Path, data: Path, found, settings: Settings) -> None:
    """The scores by direction and domain as a table with samples below, or as one JSON object."""
    rate = {"seconds": round(found.seconds, 1), "tokens": found.tokens,
            "tokens_per_second": round(found.tokens / max(found.seconds, 1e-9), 1)}  # fmt: skip
    if settings.json:
        groups = [{"direction": direction, "domain": domain, "sentences": one.items, **as_json(one)}
                  for (direction, domain), one in found.groups.items()]  # fmt: skip
        told = {"model": str(folder), "groups": groups, "signature": found.signature, **rate}
        print(json.dumps(told, ensure_ascii=False))
        return
    rows = []
    for (direction, domain), one in found.groups.items():
        scores, shares = (brief(one, names, form) for names, form in (
            (("bleu", "chrf", "copy bleu", "copy chrf"), ".1f"), (("exact match", "signs kept"), ".2f")))  # fmt: skip
        rows.append((direction, domain or "all", f"{one.items:,}", *scores[:2], " · ".join(scores[2:]), *shares))
    columns = ("direction", "domain", "sentences", "BLEU", "chrF", "a copy", "exact", "signs kept")
    terminal.table(f"{folder} on {data}", columns, rows)
    print(f"{found.signature}\nbeams: {settings.beams}; {found.tokens:,} tokens written in {found.seconds:.1f} s, "
          f"{rate['tokens_per_second']:,} a second")  # fmt: skip
    for (direction, domain), one in found.groups.items():
        for sample in one.samples if not domain else ():
            print(f"\n{direction}: {sample['prompt']}\n  model:     {sample['text']}\n"
                  f"  reference: {sample['reference']}")  # fmt: skip


def brief(scores, names: tuple[str, ...], form: str) -> list[str]:
    """Some numbers with their errors; "" for one that is not there; of a copy without its error."""
    found = [scores.numbers.get(name) for name in names]
    return [f"{one.value:{form}}" + ("" if name.startswith("copy") else f" ± {one.error:{form}}") if one else ""
            for name, one in zip(names, found, strict=True)]  # fmt: skip


def grouped(model, store, texts: Path, settings: Settings, dtype) -> dict[str, tuple[int, object]]:
    """(documents, scores) by what --by names, the largest first; of many groups the smallest together."""
    from upwell import prepared
    from upwell.evaluation.tasks import loss

    found = [(group_of(one, settings.by), len(one.text.encode("utf-8", "surrogatepass")))
             for one in prepared.documents_of(texts)]  # fmt: skip
    if len(found) != store.documents:
        raise DataError(f"{texts} has {len(found):,} documents and {store.folder} has {store.documents:,}; "
                        "prepare them again")  # fmt: skip
    sizes: Counter = Counter()
    for name, size in found:
        sizes[name] += size
    kept = {name: number for number, (name, _) in enumerate(sizes.most_common(MOST_GROUPS))}
    names = short(list(kept)) + ["others"]
    groups = [kept.get(name, len(kept)) for name, _ in found]
    scores = loss.by_group(model, store, groups, [size for _, size in found], loss.Settings(settings.context), dtype)
    return {names[number] or "(none)": (groups.count(number), one) for number, one in scores.items()}


def group_of(document, by: str) -> str:
    """Its file, language, kind or label."""
    from upwell.text.blocks import source_file

    return source_file(document.source) if by == "source" else str(getattr(document, by))


def short(names: list[str]) -> list[str]:
    """Names of files without the folder that all of them share, and without the hash of a file in the cache."""
    folders = {os.path.dirname(name) for name in names}
    alike = len({os.path.isabs(folder) for folder in folders}) == 1 and len({Path(one).drive for one in folders}) == 1
    whole = os.path.commonpath(folders) if len(names) > 1 and all(folders) and alike else ""
    cut = [name[len(whole) :].lstrip("/\\") if whole else name for name in names]
    bare = [re.sub(r"-[0-9a-f]{8}\.jsonl$", "", name) for name in cut]
    return bare if len(set(bare)) == len(bare) else cut


def data_of(folder: Path, given: Path | None) -> Path:
    """The prepared folder to measure on: the one named, or the one in the run's upwell.yaml."""
    if given is not None:
        return given
    data = run_of(folder).get("data")
    if not data:
        raise DataError(f"{folder} does not say what it was trained on; name a prepared folder with --data")
    if not Path(data).is_dir():
        raise DataError(f"{folder} was trained on {data}, which is not there; name a prepared folder with --data")
    return Path(data)


def run_of(folder: Path) -> dict:
    """The settings of the run that wrote a folder, {} where it does not say."""
    import yaml

    path = Path(folder) / "upwell.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return said.get("settings") or {}


def check_tokenizer(checkpoint, store) -> None:
    """Tokens of another tokenizer would give a number that means nothing."""
    if checkpoint.tokenizer is None or store.tokenizer != checkpoint.tokenizer.hash:
        raise DataError(f"{store.folder}: its tokens were made with another tokenizer than {checkpoint.folder} has; "
                        "prepare the text with --tokenizer of the model's folder")
