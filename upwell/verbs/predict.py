"""Let a model say the label, the tags, the answer or the vector of texts.

The model is a folder with such a head, as `upwell finetune` writes it (default: the newest run in runs/). Texts are
named, come from --file (a text a line; or JSON lines with text, tokens, or question and context) or by standard input.
Every answer has its probability. Vectors of several texts are shown by how near they are to each other; --json prints
the numbers.

Examples:
    upwell predict runs/reviews "The food was wonderful."
    upwell predict runs/reviews --file new.txt --json
    upwell predict runs/answers "Where do herons wait?" --context "Grey herons wait near quiet mills."
    upwell predict minilm-l6 "a river" "a stream" "a tax"
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError, SettingsError

MOST = 40  # texts whose vectors are compared in a table


@dataclass(frozen=True)
class Settings:
    """Which model, and of which texts."""

    folder: Positional[Path | None] = None
    """A folder in Hugging Face layout, or the name of a model that was fetched; default: the newest run in runs/."""
    texts: Positional[tuple[str, ...]] = ()
    """Texts, or questions about --context."""
    context: str = ""
    """The text that holds the answers to the questions; for a model with labels the second text of every pair."""
    file: Path | None = None
    """A file with a text a line, or JSON lines (.jsonl) with text, tokens, or question and context."""
    top: int = 3
    """How many labels are shown of each text."""
    cut: bool = False
    """Texts that are longer than the model reads lose their ends; otherwise they are refused."""
    rows: int = 16
    """Texts that go through the model at once."""
    json: bool = False
    """One JSON object a text, on a line."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""

    def __post_init__(self):
        if self.texts and self.file is not None:
            raise SettingsError("found both texts and --file, expected one of them")
        if self.top < 1 or self.rows < 1:
            raise SettingsError("top or rows is below 1; expected 1 or more")


def main(settings: Settings) -> None:
    import torch

    from upwell.evaluation.predict import Predictor
    from upwell.model import hub
    from upwell.verbs._models import model_folder, usable_device

    checkpoint = hub.load(model_folder(settings.folder), usable_device(settings.device), torch.float32)
    predictor = Predictor(checkpoint, settings.rows, settings.cut)
    found = predictor(asked(settings))
    if settings.json:
        for one in found:
            print(json.dumps(one, ensure_ascii=False), flush=True)
        return
    shown = list(found)
    {"classify": labels, "tag": tags, "span": spans, "embed": vectors}[predictor.head.kind](shown, settings)


def asked(settings: Settings) -> Iterator:
    """What is asked: the texts that were named, of a file, or of standard input."""
    from upwell.evaluation.predict import Asked

    if settings.texts:
        yield from (Asked(text, settings.context) for text in settings.texts)
        return
    if settings.file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise SettingsError("no text is named; expected texts, --file, or texts by standard input")
    name = str(settings.file or "standard input")
    try:
        data = settings.file.read_bytes() if settings.file else sys.stdin.buffer.read()
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {error.start} is no UTF-8; convert the file first") from None
    records = settings.file is not None and settings.file.suffix.lower() in (".jsonl", ".ndjson")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield of_record(line, f"{name}:{number}", settings.context) if records else Asked(line, settings.context)


def of_record(line: str, place: str, context: str):
    """What a JSON line asks. DataError with its place."""
    from upwell.evaluation.predict import Asked

    try:
        said = json.loads(line)
    except ValueError:
        said = None
    words = said.get("tokens") if isinstance(said, dict) else None
    if isinstance(words, list) and words and all(isinstance(word, str) and word for word in words):
        return Asked(" ".join(words), context, tuple(words))
    text = (said.get("question") or said.get("text")) if isinstance(said, dict) else said
    about = said.get("context", context) if isinstance(said, dict) else context
    if not isinstance(text, str) or not isinstance(about, str):
        raise DataError(f'{place}: expected an object such as {{"text": ...}}, {{"tokens": [...]}} or {{"question": '
                        f'..., "context": ...}}, found {line[:60]}')  # fmt: skip
    return Asked(text, about)


# ---- tables ----


def labels(found: list[dict], settings: Settings) -> None:
    """Texts with their labels."""
    if found and "value" in found[0]:
        rows = [(one["text"], ", ".join(f"{value:.4g}" for value in listed(one["value"]))) for one in found]
        terminal.table("Numbers", ("text", "value"), rows)
        return
    rows = []
    for one in found:
        best = list(one["scores"].items())[: settings.top]
        rows.append((one["text"], said(one), ", ".join(f"{name} {share:.1%}" for name, share in best)))
    terminal.table("Labels", ("text", "label", "probabilities"), rows)


def said(one: dict) -> str:
    """The label, or the labels."""
    return one["label"] if "label" in one else ", ".join(one["labels"]) or "(none)"


def listed(value) -> list[float]:
    """One number or several as a list."""
    return value if isinstance(value, list) else [value]


def tags(found: list[dict], settings: Settings) -> None:
    """Words with their tags; names alone where tags make up names."""
    for one in found:
        terminal.say(one["text"])
        if any(word["tag"][:2] in ("B-", "I-") for word in one["words"]):
            rows = [(name["text"], name["kind"], f"{name['score']:.1%}") for name in one["names"]]
            terminal.table("Names", ("name", "kind", "probability"), rows)
        else:
            rows = [(word["word"], word["tag"], f"{word['score']:.1%}") for word in one["words"]]
            terminal.table("Tags", ("word", "tag", "probability"), rows)


def spans(found: list[dict], settings: Settings) -> None:
    """Questions with their answers."""
    rows = [(one["question"], one["answer"] or "(the text does not say)", f"{one['score']:.1%}",
             f"{one['start']:,} to {one['end']:,}" if one["answer"] else "") for one in found]  # fmt: skip
    terminal.table("Answers", ("question", "answer", "probability", "characters"), rows)


def vectors(found: list[dict], settings: Settings) -> None:
    """How near texts are to each other: the cosine of their vectors."""
    import numpy as np

    numbers = np.array([one["vector"] for one in found])
    if len(found) == 1 or len(found) > MOST:
        terminal.say(f"{len(found):,} vectors of {numbers.shape[-1]:,} numbers each; --json prints them.")
        return
    unit = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    near = unit @ unit.T
    rows = [(number, one["text"], *(f"{value:.2f}" for value in row))
            for number, (one, row) in enumerate(zip(found, near.tolist(), strict=True), start=1)]  # fmt: skip
    terminal.table(f"Cosines of {numbers.shape[-1]:,} numbers each", ("", "text", *map(str, range(1, len(found) + 1))),
                   rows)  # fmt: skip
