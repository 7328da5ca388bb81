"""Write a model for other programs, and check that they read it right.

What was written is opened again by the other program, and its numbers or 32 greedy tokens are compared with our own
before success is said. Where that program is not installed, the check is named as not made.

Examples:
    upwell export runs/quickstart-en --to hf --out exports/quickstart
    upwell export runs/mine --to hf --weights int4
    upwell export runs/mine --to gguf --kind q8_0
    upwell export runs/mine-adapter --to peft --base runs/mine
    upwell export runs/mine --to ctranslate2-ready
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """What is written, and how."""

    folder: Positional[Path | None] = None
    """A model's folder, or with `--to peft` an adapter's; default: the newest run in runs/."""
    to: Literal["hf", "gguf", "peft", "ctranslate2-ready"] = "hf"
    """hf: for transformers, vLLM and others; gguf: for llama.cpp and Ollama; peft: an adapter; ctranslate2-ready: a
    folder for CTranslate2's converter."""
    out: Path | None = None
    """What to write; default: beside the folder, its name with the format behind."""
    weights: Literal["float", "int8", "int4"] = "float"
    """hf: whether the matrices are rounded, see docs/quantisation.md."""
    kind: Literal["f32", "f16", "bf16", "q8_0", "q4_1"] = "f16"
    """gguf: how weights are kept."""
    cut: str = ""
    """gguf: the name of the rules that cut text, where the tokenizer's own have none there."""
    base: str = ""
    """peft: the folder of the model below the adapter; default: the one that the adapter names."""
    json: bool = False
    """One JSON object instead of lines."""


def main(settings: Settings) -> None:
    from upwell import export, to_gguf
    from upwell.verbs._models import model_folder

    folder = model_folder(settings.folder)
    beside = folder if settings.folder is None or settings.folder.exists() else Path(folder.name)  # not in the cache
    if settings.to == "gguf":
        out = settings.out or to_gguf.default_path(beside, settings.kind)
    else:
        name = settings.weights if settings.to == "hf" and settings.weights != "float" else settings.to
        out = settings.out or beside.with_name(f"{folder.name}-{name}")
    if out.resolve() == folder.resolve():
        raise SettingsError(f"out is {out}, the model itself; name another place")
    if settings.to == "gguf":
        done = export.gguf(folder, out, settings.kind, settings.cut)
    elif settings.to == "peft":
        done = export.peft(folder, out, settings.base)
    elif settings.to == "hf":
        done = export.hf(folder, out, {"float": None, "int8": 8, "int4": 4}[settings.weights])
    else:
        done = export.ctranslate2_ready(folder, out)
    if settings.json:
        print(json.dumps({"out": str(out), "checks": done}))
        return
    for line in done:
        terminal.say(line)
    terminal.table("Exported", ("what", "result"), [("format", settings.to), ("written", str(out))])
