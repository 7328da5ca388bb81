"""Show what a model is made of and what it costs, before it runs: parts, parameters, operations, memory.

The model is a folder, or a family with sizes for one that does not exist yet. No weights are read or made.

Examples:
    upwell show runs/quickstart-en
    upwell show llama --width 1024 --layers 12 --heads 16 --vocab-size 32000 --context 2048
    upwell show runs/quickstart-en --batch 8 --length 256 --optimizer adamw --json
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import SettingsError

FAMILIES = ("nanochat", "llama", "qwen3", "gpt2")
SERVED = ("float32", "bfloat16", "int8", "int4")


@dataclass(frozen=True)
class Settings:
    """Which model, and what it is to do."""

    model: Positional[str] = ""
    """A model's folder, the name of a fetched one, or nanochat, llama, qwen3 or gpt2 for a new one; default: the newest
    run in runs/."""
    width: int = 256
    """New model: numbers that stand for one token."""
    layers: int = 4
    """New model: blocks."""
    heads: int = 4
    """New model: attention heads."""
    kv_heads: int = 0
    """New model: key and value heads; 0: as many as heads."""
    ffn_width: int = 0
    """New model: inner width of the feed-forward; 0: the family's custom."""
    tied: bool = False
    """New model: whether the output matrix is the embedding itself."""
    vocab_size: int = 4096
    """New model: tokens of its tokenizer."""
    context: int = 256
    """New model: the longest text that it reads."""
    batch: int = 1
    """Texts at once, in training and in serving."""
    length: int = 0
    """Tokens of each; 0: as many as the model reads, at most 4096."""
    optimizer: Literal["muon", "adamw", "momentum", "adafactor", "sgd"] = "muon"
    """Training: what is kept for each weight."""
    low: bool = False
    """Training: matrix products in bfloat16."""
    json: bool = False
    """One JSON object instead of tables."""

    def __post_init__(self):
        for name in ("batch", "vocab_size", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a whole number of 1 or more")
        if self.length < 0:
            raise ValueError(f"length is {self.length}; expected 0 or more tokens")


def main(settings: Settings) -> None:
    from upwell.model import budget

    name, config = described(settings)
    length = settings.length or min(config.context, 4096)
    work = budget.operations(config, length, length)
    trained = budget.training(config, settings.optimizer, settings.batch, length, settings.low)
    served = {kind: budget.serving(config, settings.batch, length, kind) for kind in SERVED}
    found = {
        "model": name, "family": config.kind, "shape": config.shape, "parameters": budget.parameters(config),
        "batch": settings.batch, "length": length, "optimizer": settings.optimizer,
        "operations_per_token": {"forward": work.all // length, "training": 3 * work.all // length},
        "training_bytes": trained, "serving_bytes": served, "parts": [asdict(p) for p in budget.tree(config)],
    }  # fmt: skip
    if settings.json:
        print(json.dumps(found))
        return
    terminal.table(f"{name}: {config.kind}, {config.shape}", ("part", "shape", "parameters"), lines(config))
    terminal.table(f"At {settings.batch} x {length:,} tokens", ("what", "cost"), costs(found))


def described(settings: Settings) -> tuple[str, object]:
    """The name and the Config of what is asked for."""
    from upwell.model import hub, preset
    from upwell.model.sizes import Sizes

    if settings.model in FAMILIES and not Path(settings.model).is_dir():
        try:
            sizes = Sizes(settings.model, settings.width, settings.layers, settings.heads, settings.kv_heads,
                          settings.ffn_width, settings.tied)  # fmt: skip
        except ValueError as error:
            raise SettingsError(str(error)) from None
        return settings.model, preset.config(sizes, settings.vocab_size, settings.context, 0)
    from upwell.verbs._models import model_folder

    folder = model_folder(Path(settings.model) if settings.model else None)
    if not folder.is_dir():
        raise SettingsError(f"{settings.model!r} is neither a folder nor a family for a new model, nor a fetched one's "
                            f"name; expected a folder, a name or one of {', '.join(FAMILIES)}")
    return settings.model or str(folder), hub.read_config(folder)


def lines(config) -> list[tuple[str, str, str]]:
    """The tree as rows of a table."""
    from upwell.model import budget

    rows = []
    for part in budget.tree(config):
        times = f"{part.times} x " if part.times > 1 else ""
        rows.append(("  " * part.depth + part.name, part.what, f"{times}{part.parameters:,}"))
    return rows + [("all", "", f"{budget.parameters(config):,}")]


def costs(found: dict) -> list[tuple[str, str]]:
    """The second table."""
    work, trained = found["operations_per_token"], found["training_bytes"]
    rows = [("forward pass", f"{amount(work['forward'])} operations a token"),
            ("training step", f"{amount(work['training'])} operations a token"),
            (f"training, {found['optimizer']}", told(trained))]  # fmt: skip
    return rows + [(f"serving, {kind}", told(parts)) for kind, parts in found["serving_bytes"].items()]


def told(parts: dict[str, int]) -> str:
    """1.2 GB = weights 0.8 GB + ..."""
    return f"{size(sum(parts.values()))} = " + " + ".join(f"{name} {size(n)}" for name, n in parts.items() if n)


def size(count: int) -> str:
    """Bytes in a readable unit."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def amount(count: int) -> str:
    """Operations in a readable unit."""
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.2f} M"
