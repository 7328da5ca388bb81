"""Data for fine-tuning, as somebody hands them over: what they are taken for, what is proposed for them, and a folder.

    taken = looked(path)                                    # a prepared folder, or files that are not prepared yet
    taken.objective("encoder")                              # "label", "contrast", ...; "" where nothing is sure
    proposal = proposed(taken, objective, folder, memory)   # settings that suit task, model and memory, with reasons
    folder = prepared_from(path, out, tokenizer, heldout)   # by the model's tokenizer, without steps that do harm

Nothing is guessed from what a text says: the task is that of upwell.text.examples. Imports no torch until a model's
config is read.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from .. import catalog, prepared, terminal, weights
from ..errors import DataError, SettingsError, UpwellError
from ..objectives import label
from ..text import Document
from ..text.readers import parallel
from ..training.settings import Optim, Schedule
from ..training.settings import Settings as Training
from .settings import TASKS, Lora

LOOKED = 4000  # examples that are looked at before anything is prepared
SKIPPED = ("secrets", "privacy", "length", "quality", "language", "decontaminate", "toxic")
FRACTION = re.compile(r"-?\d+\.\d+")
SHAPES = {"pair": {"encoder": "contrast", "decoder": "pairs", "encoder-decoder": "pairs"}}
WHAT = {"chat": "chats", "answer": "questions about a text", "label": "texts with labels", "pair": "pairs of texts",
        "tag": "tagged words", "plain": "plain texts"}  # fmt: skip
WHY = {"chat": "turns of a user and an assistant", "answer": "a question, a text and its answers", "pair":
       "two texts that belong together", "tag": "words and a tag for each"}  # fmt: skip
MODELS = {
    "label": ("minilm-l6", ""), "tag": ("minilm-l6", ""), "answer": ("minilm-l6", ""),
    "chat": ("smollm2-135m", " --lora.rank 16"), "pair": ("minilm-l6", ""),
}  # fmt: skip
RATES = {"label": 5e-5, "tag": 5e-5, "span": 5e-5, "contrast": 5e-5, "pairs": 1e-4, "instruct": 2e-5}
ROWS = {"contrast": 32}
PACKED = ("instruct", "pairs")  # of a decoder: several examples share a row
LETTERS, EPOCH = 3.5, 8  # characters of a token, about; steps of an epoch at least, where rows are packed
STEPS, EPOCHS = 200, (3.0, 10.0)  # few examples are seen more often, until so many steps, within these borders
BYTES = 16  # of a parameter that learns: weight, gradient and AdamW's two means, float32
ROOM = 1.5  # times that, for what a step computes
RANK = 16


@dataclass(frozen=True)
class Taken:
    """What the first examples of some data are."""

    data: Path
    prepared: bool
    """Whether it is a prepared folder."""
    tasks: dict[str, int]
    """Examples by task; "plain" for texts that are no example."""
    firsts: dict[str, str]
    """Where the first one of each task stands."""
    count: int
    """Examples that were looked at; of a prepared folder those that are learnt from."""
    whole: bool
    """Whether those are all."""
    about: str
    """What the examples have that told their task."""
    length: float = 0.0
    """Characters of an example, on average."""

    @property
    def task(self) -> str:
        """The one task of all of them; "" where there are several, or none."""
        only = next(iter(self.tasks)) if len(self.tasks) == 1 else ""
        return only if only in TASKS else ""

    def objective(self, shape: str) -> str:
        """What a model of this shape learns from them; "" where nothing is sure."""
        return SHAPES.get(self.task, {}).get(shape) or TASKS.get(self.task, "")

    def told(self, objective: str, shape: str) -> str:
        """In one line what they were taken for, and why."""
        seen = f"all {self.count:,} examples" if self.whole else f"the first {self.count:,} examples"
        kind = f"a{'n' if shape.startswith('e') else ''} {shape}"
        model = f" and this model is {kind}" if self.task == "pair" else ""
        return (f"{self.data} is taken for {WHAT[self.task]} ({seen} have {self.about}){model}, so the objective is "
                f"{objective}.")  # fmt: skip

    def unsure(self) -> str:
        """Why no objective is known from them, and what to do."""
        if len(self.tasks) > 1:
            said = ", ".join(f"{count:,} {WHAT.get(task, task)} (first {self.firsts[task]})"
                             for task, count in self.tasks.items())  # fmt: skip
            return (f"{self.data} holds several kinds of examples, {said}; take the others out, or name what is to be "
                    "learnt with --objective")  # fmt: skip
        if unequal := uneven(self.data):
            return unequal
        return (f"{self.data} does not tell for sure what is to be learnt from it; name it: --objective label, "
                "instruct, causal, ...")  # fmt: skip

    def advice(self) -> str:
        """Which model suits them, in one sentence with the command."""
        if not self.task:
            return f"no model is named, and {self.unsure()}; name both, as --model smollm2-135m"
        name, more = MODELS[self.task]
        try:
            here = weights.place_of(name).is_dir()
        except UpwellError:
            here = False
        fetched = "" if here else f" (`upwell fetch {name}` brings it)"
        writes = ", which learns which texts belong together; a model that writes (smollm2-135m) learns to write the "
        writes = f"{writes}second one" if self.task == "pair" else ""
        return (f"no model is named; for {WHAT[self.task]} take {name}{fetched}{writes}: upwell finetune --data "
                f"{self.data} --model {name}{more}")  # fmt: skip


def uneven(data: Path) -> str:
    """A sentence about two files of a folder that look parallel, but are not as long as each other; "" for others."""
    files: dict[Path, list[Path]] = {}
    for path in sorted(data.rglob("*")) if data.is_dir() and not is_prepared(data) else ():
        if parallel.language(path) and path.is_file():
            files.setdefault(path.with_suffix(""), []).append(path)
    for two in files.values():
        counts = [parallel._count(path) for path in two]
        if len(two) == 2 and counts[0] != counts[1]:
            told = " and ".join(f"{count:,} in {path}" for path, count in zip(two, counts, strict=True))
            return f"expected as many lines in both parallel files, found {told}: their lines do not belong together"
    return ""


def is_prepared(data: Path) -> bool:
    """Whether `upwell prepare` wrote this folder."""
    return (data / "manifest.json").is_file() and (data / "train.jsonl").is_file()


def looked(data: Path) -> Taken:
    """What some data are. DataError where there is nothing, or where they cannot be read."""
    if (data / "manifest.json").is_file():
        said = prepared.read_manifest(data)
        tasks = {name: count for name, count in (said.get("tasks") or {}).items() if count}
        plain = sum((said.get("kinds") or {}).values()) - sum(tasks.values())
        tasks |= {"plain": plain} if plain > 0 else {}
        documents = prepared.documents_of(data / "train.jsonl") if is_prepared(data) else iter(())
        found = taken_for(data, islice(documents, LOOKED))
        count = (said.get("train") or {}).get("documents") or found.count
        return replace(found, prepared=True, count=count, whole=True, tasks=tasks or found.tasks,
                       firsts=dict.fromkeys(tasks, str(data)) | found.firsts)  # fmt: skip
    (there,) = catalog.named((data,), terminal.say)
    if not there.exists() and not any(sign in str(there) for sign in "*?["):
        raise DataError(f"{data} is not there; name a file or folder of examples, or a prepared folder")
    faults: list = []
    found = taken_for(data, prepared.few(preparing(data, Path("."), None, 0.1), faults, LOOKED))
    if not found.count and not faults:
        raise DataError(f"{data} holds no example; expected lines such as {{\"text\": ..., \"label\": ...}}")
    return found


def taken_for(data: Path, documents: Iterable[Document]) -> Taken:
    """What these documents are."""
    tasks, firsts, labels, kinds, count, languages, size, two = Counter(), {}, Counter(), Counter(), 0, set(), 0, 0
    for document in documents:
        task = document.fields["task"] if document.fields else "plain"
        count, size = count + 1, size + len(document.text)
        tasks[task] += 1
        firsts.setdefault(task, document.source)
        if task == "label":
            kinds[label.problem_of(document)] += 1
            two += "pair" in document.fields
            value = document.fields["label"]
            labels.update(map(str, value if isinstance(value, list) else [value]))
        elif task == "tag":
            labels.update(map(str, document.fields["tags"]))
        elif task == "pair":
            languages.add((document.fields.get("source_language", ""), document.fields.get("target_language", "")))
    only = next(iter(tasks)) if len(tasks) == 1 else ""
    about = said_of(only, labels, kinds, languages, "two texts" if two and two == tasks["label"] else "a text")
    return Taken(data, False, dict(tasks), firsts, count, count < LOOKED, about, size / max(1, count))


def said_of(task: str, labels: Counter, kinds: Counter, languages: set, texts: str = "a text") -> str:
    """What told the task, with what else is worth knowing of it."""
    if task == "label":
        if label.NUMBER in kinds:
            return f"{texts} and a number"
        many = "a list of labels" if label.SEVERAL in kinds else "one label"
        hint = "; numbers that are written as texts are names, --learn.problem number learns them as numbers"
        return f"{texts} and {many}: {named(labels)}{hint if all(map(FRACTION.fullmatch, labels)) else ''}"
    if task == "tag":
        return f"{WHY[task]}: {named(labels)}"
    known = languages.pop() if len(languages) == 1 else ("", "")
    return WHY.get(task, "") + (f", in {known[0]} and {known[1]}" if all(known) else "")


def named(labels: Counter, most: int = 6) -> str:
    """Labels with how often each is there, the most frequent ones."""
    some = ", ".join(f"{name} {count:,}" for name, count in labels.most_common(most))
    return some + (f" and {len(labels) - most:,} others" if len(labels) > most else "")


# ---- what is proposed ----


@dataclass(frozen=True)
class Proposal:
    """Settings that suit, and the reason of each by its flag."""

    training: Training
    epochs: float
    lora: Lora
    why: dict[str, str]


def proposed(taken: Taken, objective: str, folder: Path, training: Training, memory: float = 0.0) -> Proposal:
    """What suits this task, this model and this machine's memory.

    training: how a model that has learnt already goes on learning. memory: GiB that may be taken, 0: half of all. What
    is free at the moment does not count, so that the same command means the same run.
    """
    from ..model import hub
    from ..training.precision import default_device

    config = hub.read_config(folder)
    count = parameters(folder)
    packed = objective in PACKED and config.shape == "decoder"
    context = min(512, config.context)
    items = max(1.0, taken.count * taken.length / LETTERS / context) if packed else max(1, taken.count)
    rows = max(1, min(training.rows, round(items / EPOCH))) if packed else ROWS.get(objective, training.rows)
    epochs = min(EPOCHS[1], max(EPOCHS[0], float(round(STEPS * rows / items))))
    steps = math.ceil(epochs * items / rows)
    rate = RATES.get(objective, training.optim.rate)
    optim: Optim = replace(training.optim, rate=rate)
    schedule: Schedule = replace(training.schedule, warmup=max(1, min(training.schedule.warmup, steps // 10)))
    need = BYTES * ROOM * count
    free = memory * 2**30 or whole_memory(default_device()) / 2
    large = need > free
    size = f"{count / 1e6:,.0f} M parameters"
    fits = f"{size}, the whole model takes about {need / 2**30:,.1f} GiB of the {free / 2**30:,.1f} that may be taken"
    lora = Lora(rank=RANK) if large else Lora()
    examples = f"{taken.count:,} examples" if taken.whole else f"{taken.count:,} examples or more"
    why = {
        "epochs": f"{examples}, about {steps:,} steps" if taken.whole else examples,
        "training.optim.rate": f"usual for {objective} with the whole model", "lora.rate": "usual for adapters",
        "training.rows": "rows of a step, " + ("several examples in each" if packed else "one example in each"),
        "training.context": f"tokens of a row; the model reads at most {config.context:,}",
        "lora.rank": fits if math.isfinite(free) else size,
    }  # fmt: skip
    return Proposal(replace(training, rows=rows, context=context, optim=optim, schedule=schedule), epochs, lora, why)


def whole_memory(device: str) -> float:
    """Bytes of a device, or of this machine or container; infinite where the system does not tell."""
    from ..training import plan

    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        machine = math.inf
    return min(machine, *(float(limit) for limit in plan.cgroup("memory.max") if limit), math.inf)


def parameters(folder: Path) -> int:
    """How many numbers the weights of a folder are, from the heads of their files."""
    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            try:
                said = json.loads(file.read(min(size, 1 << 27)))
            except ValueError:  # loading it tells what is wrong with it
                continue
        count += sum(math.prod(one["shape"]) for name, one in said.items() if name != "__metadata__")
    return count


def shown(settings, proposal: Proposal) -> None:
    """The settings of a run as a short table: what was proposed or said, why, and the flag that changes it."""
    t, p = settings.training, proposal
    adapters = settings.lora.rank
    rows = [("objective", settings.objective, "from the data", "--objective")]

    def row(name: str, value, ours, flag: str) -> None:
        rows.append((name, str(value), p.why.get(flag, "") if value == ours else "as you said", f"--{flag}"))

    row("epochs", f"{settings.epochs:g}", f"{p.epochs:g}", "epochs")
    if adapters:
        row("adapters", f"rank {adapters}", f"rank {p.lora.rank}", "lora.rank")
        row("rate", f"{settings.lora.rate:g}", f"{p.lora.rate:g}", "lora.rate")
    else:
        row("adapters", "none", "rank" if p.lora.rank else "none", "lora.rank")
        row("rate", f"{t.optim.rate:g}", f"{p.training.optim.rate:g}", "training.optim.rate")
    row("rows", t.rows, p.training.rows, "training.rows")
    row("context", t.context, p.training.context, "training.context")
    long = {"cut": "cut" if getattr(settings.learn, "cut", False) else "refused",
            "long": getattr(settings.learn, "long", "refuse")}  # fmt: skip
    for name, value in long.items():
        if hasattr(settings.learn, name):
            rows.append(("too long", value, "what becomes of longer examples, which are counted", f"--learn.{name}"))
    if not is_prepared(settings.data):
        rows.append(("held out", f"{settings.heldout:.0%}", "examples that are measured and not learnt", "--heldout"))
    rows.append(("leaks", settings.leaks, "held-out examples that are learnt from as well", "--leaks"))
    terminal.table("Settings", ("what", "value", "why", "another one with"), rows)


# ---- the folder ----


def preparing(data: Path, out: Path, tokenizer: Path | None, heldout: float):
    """The settings of `upwell prepare` for examples: what is wrong for them (masks, limits, likeness) is left out."""
    from ..verbs.prepare import Settings

    paths = catalog.named((data,), terminal.say)
    return Settings(paths, out, tokenizer, heldout=heldout, split="given", near=1.0, repeated=0, skip=SKIPPED)


def prepared_from(data: Path, out: Path, tokenizer: Path, heldout: float) -> Path:
    """The prepared folder of some files, made or found in `out`; all faults of the files at once as DataError."""
    if out.resolve().is_relative_to(data.resolve()):
        raise SettingsError(f"--out {out.parent} lies inside the data {data}; name another --out")
    with terminal.Progress("prepare", total=100) as bar:
        made = prepared.prepare(preparing(data, out, tokenizer, heldout),
                                lambda stage, done, total: bar.update(100 * done / total, {"now": stage}))  # fmt: skip
    found = made.report
    counts = [f"{found[part]['documents']:,} {name}" for part, name in (("train", "learnt"), ("heldout", "held out"))]
    left = f", {made.dropped:,} repeated or left out" if made.dropped else ""
    terminal.say(f"Prepared in {made.folder}: {', '.join(counts)}{left}; texts stay as they are (`upwell prepare` "
                 "masks personal data and filters by quality).")  # fmt: skip
    for note in found.get("notes", [])[:10]:
        terminal.say(f"Worth a look: {note}.")
    return made.folder
