"""Measure a model on held-out text: loss, perplexity, bits per byte.

The text is a prepared folder's held-out part (from `upwell prepare` or a quickstart run), measured token by token.

Examples:
    upwell evaluate runs/quickstart-en
    upwell evaluate runs/mine --data prepared --json
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError


@dataclass(frozen=True)
class Settings:
    """Which model, on what."""

    folder: Positional[Path | None] = None
    """A model's folder, or a name that was fetched; default: the newest run in runs/."""
    data: Path | None = None
    """A prepared folder; default: the one that the model was trained on."""
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


def main(settings: Settings) -> None:
    from upwell.verbs.generate import model_folder, open_model

    folder = model_folder(settings.folder)
    from upwell.evaluation.tasks import loss
    from upwell.tokens.store import Store
    from upwell.training import precision

    checkpoint = open_model(folder, settings)
    store = Store(data_of(folder, settings.data) / "heldout")
    check_tokenizer(checkpoint, store)
    dtype = precision.resolve("auto", str(checkpoint.model.device))
    scores = loss.measure(checkpoint.model, store, loss.Settings(settings.context), dtype)
    if settings.json:
        numbers = {name: {"value": n.value, "error": n.error} for name, n in scores.numbers.items()}
        print(json.dumps({"model": str(folder), "tokens": scores.items, **numbers}))
        return
    rows = [(name, str(number)) for name, number in scores.numbers.items()] + [("tokens", f"{scores.items:,}")]
    terminal.table(f"{folder} on {store.folder}", ("what", "result"), rows)


def data_of(folder: Path, given: Path | None) -> Path:
    """The prepared folder to measure on: the one named, or the one in the run's upwell.yaml."""
    if given is not None:
        return given
    import yaml

    path = Path(folder) / "upwell.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    data = (said.get("settings") or {}).get("data")
    if not data:
        raise DataError(f"{folder} does not say what it was trained on; name a prepared folder with --data")
    if not Path(data).is_dir():
        raise DataError(f"{folder} was trained on {data}, which is not there; name a prepared folder with --data")
    return Path(data)


def check_tokenizer(checkpoint, store) -> None:
    """Tokens of another tokenizer would give a number that means nothing."""
    if checkpoint.tokenizer is None or store.tokenizer != checkpoint.tokenizer.hash:
        raise DataError(f"{store.folder}: its tokens were made with another tokenizer than {checkpoint.folder} has; "
                        "prepare the text with --tokenizer of the model's folder")
