"""Let a model write.

It goes on from --prompt, or from what comes by standard input; without either it writes a document from its start.
A model whose folder has a chat template is spoken to in it, since it learnt to answer nothing else: the prompt is what
a user says. --raw goes on from the prompt as it stands, --chat speaks to a model without a template in plain turns.
A model with an encoder reads the prompt and writes a text about it: a translation, a summary, whatever it learnt.
The model is a folder (default: the newest run in runs/) or, with --base-url, one of any server that speaks OpenAI's
language. The text goes to standard output as it is written, everything else to standard error.

Examples:
    upwell generate --prompt "The river"
    upwell generate runs/first --n 3 --temperature 0.6 --max-new 100
    upwell generate runs/first --prompt "The river" --strategy beam --beams 4
    upwell generate folders/chat-model --prompt "What is the capital of France?"
    echo "The river" | upwell generate --strategy greedy --json
    upwell generate --base-url http://127.0.0.1:8000/v1 --model first --prompt "The river"
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import CheckpointError, SettingsError
from upwell.generation import settings as writing

MOST_SAMPLES = 256


@dataclass(frozen=True)
class Settings(writing.Settings):
    """How to write, and with which model."""

    folder: Positional[Path | None] = None
    """A folder in Hugging Face layout, or the name of a model that was fetched; default: the newest run in runs/."""
    prompt: str | None = None
    """The text to go on from; "" for a document from its start."""
    chat: bool = False
    """The prompt is what a user says, also where the folder has no chat template, and for a server."""
    raw: bool = False
    """Go on from the prompt as it stands, also where the folder has a chat template."""
    n: int = 1
    """How many texts; each has a seed of its own, one more than the one before."""
    json: bool = False
    """One JSON object a text, on a line: text, tokens, seed, timings."""
    base_url: str | None = None
    """A server instead of a folder, for example http://127.0.0.1:8000/v1."""
    model: str | None = None
    """The name of the server's model."""
    api_key: str | None = None
    """The server's key; default: the environment variable UPWELL_API_KEY."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    allow_key: tuple[str, ...] = ()
    """Keys of the folder's config.json (or tensors) that upwell does not know and that you want to pass over."""
    weights: Literal["file", "int8", "int4"] = "file"
    """How the weights are held in memory: as the file has them, or rounded (int4 keeps the blocks of a Q4_1 file)."""

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.n <= MOST_SAMPLES:
            raise SettingsError(f"n: found {self.n}, expected 1 to {MOST_SAMPLES}")
        if self.chat and self.raw:
            raise SettingsError("found both --chat and --raw, expected one of them")
        if self.base_url is not None and self.folder is not None:
            raise SettingsError(f"found both the folder {self.folder} and --base-url, expected one of them")
        if (self.base_url is None) != (self.model is None):
            raise SettingsError("--base-url and --model go together: the server's address and the name of its model")


@dataclass(frozen=True)
class Sample:
    """One text with what is worth knowing about it."""

    model: str
    prompt: str
    text: str
    tokens: list[int]
    """Ids; empty where a server gives none."""
    logprobs: list[float]
    finish: str | None
    seed: int
    usage: dict | None
    timings: dict
    """Seconds to the first piece and in all, and tokens a second where they were counted; texts share the machine."""


def main(settings: Settings) -> None:
    prompt = read_prompt(settings.prompt)
    first = secrets.randbelow(2**53) if settings.seed is None else settings.seed
    backend = open_backend(settings)
    try:
        for seed, begin, answer in answers(backend, spoken(backend, prompt, settings), first, settings):
            show(backend, prompt, seed, begin, answer, settings)
    finally:
        backend.close()


def read_prompt(given: str | None) -> str:
    """--prompt, else standard input where that is not a terminal, without its last line end."""
    if given is not None or sys.stdin is None or sys.stdin.isatty():
        return given or ""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise SettingsError(f"standard input: byte {error.start} is no UTF-8; convert the text first") from None


def open_backend(settings: Settings):
    """The server, or our engine on the folder."""
    from upwell.generation.backend import Local, Remote

    if settings.base_url is not None:
        return Remote(settings.base_url, settings.model, settings.api_key or os.environ.get("UPWELL_API_KEY"))
    folder = model_folder(settings.folder)
    return Local(open_model(folder, settings))


def open_model(folder: Path, settings):
    """The checkpoint of a folder on the device and with the weights that a verb's settings ask for."""
    from upwell.model import hub, quantize

    checkpoint = hub.load(folder, usable_device(settings.device), allow=settings.allow_key)
    if settings.weights == "file":
        return checkpoint
    return replace(checkpoint, model=quantize.quantize(checkpoint.model, quantize.Scheme(int(settings.weights[3:]))))


def model_folder(given: Path | None) -> Path:
    """The folder that was named, by its path or as `upwell fetch` brought it; without a name the newest run."""
    from upwell import weights

    return newest_run(Path("runs")) if given is None else weights.find(given)


def is_chat(backend, settings: Settings) -> bool:
    """Whether the prompt is what a user says: it was asked for, or the folder has a template that the model learnt."""
    learnt = settings.base_url is None and not backend.template.plain
    return settings.chat or (learnt and not settings.raw)


def spoken(backend, prompt: str, settings: Settings) -> str | list[dict]:
    """The prompt as a chat where it is one; an empty one is none."""
    return [{"role": "user", "content": prompt}] if prompt and is_chat(backend, settings) else prompt


def usable_device(wanted: str) -> str:
    """The device to load onto; SettingsError where this machine has no such one."""
    import torch

    from upwell.training.precision import default_device

    device = default_device() if wanted == "auto" else wanted
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device: {device} cannot be used here ({str(error).splitlines()[0]}); try cpu") from None
    return device


def newest_run(runs: Path) -> Path:
    """The model folder in `runs` that was written last; it is named on standard error."""
    configs = [path for pattern in ("*", "*/*") for path in runs.glob(f"{pattern}/config.json")]
    if not configs:
        raise CheckpointError(f"{runs}: no model there; name a model's folder, or make one with `upwell quickstart`")
    folder = max(configs, key=lambda path: (path.stat().st_mtime_ns, str(path))).parent
    terminal.say(f"model: {folder} (the newest run)")
    return folder


def answers(backend, prompt: str | list[dict], first: int, settings: Settings) -> Iterator[tuple[int, float, Iterator]]:
    """A seed, when its text was asked for, its pieces. Our engine writes all texts together, a server one by one."""
    own = {field.name: getattr(settings, field.name) for field in fields(writing.Settings)}
    asked = (replace(writing.Settings(**own), seed=first + index) for index in range(settings.n))
    begun = ((one.seed, time.perf_counter(), backend.generate(prompt, one)) for one in asked)
    return begun if settings.base_url else iter(list(begun))


def show(backend, prompt: str, seed: int, begin: float, answer: Iterator, settings: Settings) -> None:
    """Print one text as it is written, or as JSON when it is whole. On a terminal it stands behind what it goes on."""
    firsts, pieces = [], []
    live = sys.stdout.isatty()
    apart = is_chat(backend, settings) or getattr(backend, "has_source", False)
    if live and not settings.json and not apart:
        write(terminal.harmless(prompt))
    for piece in answer:
        firsts.append(time.perf_counter())
        pieces.append(piece)
        if not settings.json:
            write(terminal.harmless(piece.text) if live else piece.text)
    sample = gathered(backend.name, prompt, seed, pieces, (firsts[0] - begin, time.perf_counter() - begin))
    if settings.json:
        print(json.dumps(asdict(sample), ensure_ascii=False), flush=True)
        return
    write("\n")
    count = f"{sample.usage['new']} tokens, " if sample.usage else ""
    terminal.say(f"{count}{sample.timings['seconds']:.1f} s, seed {seed}, finish: {sample.finish}")


def gathered(model: str, prompt: str, seed: int, pieces: list, seconds: tuple[float, float]) -> Sample:
    """The pieces of one text as one record; seconds are those to the first piece and to the last."""
    end = pieces[-1]
    timings = {"first_piece_seconds": round(seconds[0], 4), "seconds": round(seconds[1], 4)}
    if end.usage:
        timings["tokens_per_second"] = round(end.usage.new / max(seconds[1], 1e-9), 1)
    return Sample(
        model, prompt, "".join(piece.text for piece in pieces),
        [token for piece in pieces for token in piece.tokens], [value for piece in pieces for value in piece.logprobs],
        end.finish, seed, asdict(end.usage) if end.usage else None, timings,
    )  # fmt: skip


def write(text: str) -> None:
    """Text to standard output, now."""
    sys.stdout.write(text)
    sys.stdout.flush()
