"""What is learnt from what: the objective, the data, the tokenizer and the model's shape, checked against each other.

    job = opened(settings, device)      # UpwellError, in one sentence, where they do not fit

Nothing is trained and no weight of a new model is made here.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import plugs, prepared, terminal, weights
from ..errors import CheckpointError, DataError, SettingsError
from ..model import hub, preset, quantize
from ..model.config import Config
from ..model.hub import Checkpoint
from ..objectives import Part
from ..text.chat import Template
from ..tokens.store import Store
from ..tokens.tokenizer import Tokenizer
from ..training.parallel import Alone
from . import checking
from .settings import Running

MEGABYTE = 1 << 20


@dataclass
class Job:
    """A run before its model is there."""

    objective: Any
    """A module of objectives, or what stands in its place."""
    options: Any
    """The objective's own settings."""
    config: Config
    """The model's, with the head that the objective needs."""
    tokenizer: Tokenizer
    template: Template | None
    learn: Part
    held: Part
    base: Checkpoint | None
    """What the run begins with; None: a new model."""
    identity: dict
    """What decides the result beside the settings: hashes of data and model."""

    samplers: dict = field(default_factory=dict)
    """Those that were made: they have no state, and packing many texts takes its time."""

    def sampler(self, rows: int, seed: int) -> Any:
        """Samples by number."""
        if (rows, seed) not in self.samplers:
            self.samplers[rows, seed] = self.objective.samples(self.learn, rows, seed, self.options)
        return self.samplers[rows, seed]


def opened(s: Running, device: str, group: Alone) -> Job:
    """Open the data and, where the run begins with one, the model; what is kept beside them the first process makes."""
    if group.size == 1:
        return _opened(s, device)
    if not group.main:
        group.barrier()
    job = _opened(s, device)
    if group.main:
        job.sampler(s.training.rows, s.training.seed)
        job.objective.samples(job.held, s.training.rows, 0, job.options)
        group.barrier()
    return job


def _opened(s: Running, device: str) -> Job:
    room = plugs.find("objectives", s.objective)
    options = s.learn if isinstance(s.learn, room.Settings) else room.Settings()
    if teacher := getattr(options, "teacher", None):
        options = replace(options, teacher=weights.find(teacher))
    if not (s.data / "tokenizer.json").is_file():
        raise DataError(f"{s.data} is no prepared folder, there is no tokenizer.json in it; `upwell prepare {s.data}` "
                        "makes one of texts, and its folder is named here")  # fmt: skip
    own = Tokenizer.load(s.data)
    base = checkpoint(s, device) if s.begins_with else None
    tokenizer = own if base is None else base.tokenizer
    template = agreed(s.data, base)
    parts = [part(s, name, own, tokenizer, template) for name in ("train", "heldout")]
    parts[1] = checking.apart(*parts, s.leaks, s.out / "cache")
    config = fitted(room, options, began(s, room, base, tokenizer), parts[0], s)
    said = {"tokenizer": tokenizer.hash, "template": template.hash if template else "", "tokens": len(parts[0].store),
            "prepared": prepared.read_manifest(s.data).get("key", ""),
            "model": fingerprint(base.folder) if base else ""}  # fmt: skip
    parts = [one._replace(config=config) for one in parts]
    job = Job(room, options, config, tokenizer, template, *parts, base, said)
    checking.fitting(room, options, [
        (job.learn, lambda: job.sampler(s.training.rows, s.training.seed)),
        (job.held, lambda: room.samples(job.held, s.training.rows, 0, options)),
    ])  # fmt: skip
    return job


def checkpoint(s: Running, device: str) -> Checkpoint:
    """The model to begin with, in float32."""
    found = hub.load(weights.find(s.begins_with), device, torch.float32)
    if found.tokenizer is None:
        raise CheckpointError(f"{found.folder} has no tokenizer.json; copy it beside the weights")
    if found.tokenizer.vocab_size > found.config.vocab:
        raise CheckpointError(f"{found.folder}: its tokenizer has {found.tokenizer.vocab_size:,} ids and its model "
                              f"rows for {found.config.vocab:,}; they do not belong together")  # fmt: skip
    if isinstance(found.model, quantize.Quantized):
        terminal.say(f"{found.folder} has rounded matrices; they learn from those numbers in float32.")
        return replace(found, model=quantize.floating(found.model))
    return found


def began(s: Running, room: Any, base: Checkpoint | None, tokenizer: Tokenizer) -> Config:
    """The model's config before the objective has given it a head."""
    if base is None:
        try:
            sizes = s.sizes.of(shapes(room, s.learn))
        except ValueError as error:
            raise SettingsError(str(error)) from None
        return preset.config(sizes, tokenizer.vocab_size, s.training.context, tokenizer.end, special(tokenizer))
    c = base.config
    if s.training.context > c.context:
        raise SettingsError(f"training.context is {s.training.context:,}, but {base.folder} reads at most "
                            f"{c.context:,} tokens; expected at most that: --training.context {c.context}")  # fmt: skip
    return c


def shapes(room: Any, options: Any) -> tuple[str, ...]:
    """Which new models can learn an objective; one that rests on another (distil) is learnt by that one's."""
    based = room.base(options)[0] if hasattr(room, "base") else room
    return based.SHAPES


def fitted(room: Any, options: Any, config: Config, learn: Part, s: Running) -> Config:
    """The config with the objective's head."""
    shaped(s.objective, room, config)
    found = room.fitted(config, learn, options)
    old, new = config.head, found.head
    if s.begins_with and old.kind == new.kind and old.labels and old.labels != new.labels:
        terminal.warn(f"{s.begins_with} has a head for {some(old.labels)}, and the data have {some(new.labels)}: a new "
                      "head learns these.")  # fmt: skip
    return found


def shaped(objective: str, room: Any, config: Config) -> None:
    """SettingsError where models of this shape do not learn an objective."""
    if config.shape not in room.SHAPES:
        known = " and ".join(f"{shape}s" for shape in room.SHAPES)
        raise SettingsError(f"{objective} is learnt by {known}, and this {config.kind} model has the shape "
                            f"{config.shape}; name another --objective or model")


def some(names: tuple[str, ...], most: int = 6) -> str:
    """The first names of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} others" if len(names) > most else "")


def special(tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of what a tokenizer's folder names pad_token, mask_token and so on: {"pad": id}."""
    try:
        said = json.loads(tokenizer.beside.get("tokenizer_config.json", "{}"))
    except ValueError:
        return {}
    named = {key.removesuffix("_token"): value for key, value in said.items() if key.endswith("_token")}
    texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in named.items()}
    return {key: tokenizer.special[text] for key, text in texts.items() if text in tokenizer.special}


# ---- data ----


def agreed(data: Path, base: Checkpoint | None) -> Template | None:
    """How chats are written: the model's template, or the data's. DataError where both have one and they differ."""
    own, theirs = Template.load(data), base.template if base else None
    said = prepared.read_manifest(data).get("template")
    if said is not None and said != (own.hash if own else ""):
        raise DataError(f"{data}: its chat template is not the one that its tokens were written with; prepare it again")
    if own and theirs and own.hash != theirs.hash:
        raise DataError(f"{data} was prepared with another chat template (SHA-256 {own.hash[:12]}) than {base.folder} "
                        f"has ({theirs.hash[:12]}); prepare it again with --tokenizer {base.folder}")  # fmt: skip
    return theirs or own


def part(s: Running, name: str, own: Tokenizer, tokenizer: Tokenizer, template: Template | None) -> Part:
    """One part of the prepared folder, in the model's tokens."""
    store, path, cache = Store(s.data / name), s.data / f"{name}.jsonl", s.out / "cache"
    check_vocabulary(store, own)
    if not store.documents:
        raise DataError(f"{s.data}: its part {name} is empty; prepare it again with more text, or another --heldout")
    documents = partial(documents_of, path)
    if store.tokenizer != tokenizer.hash:
        written = template.hash[:8] if template else "plain"
        anew = cache / f"{name}-{store.sha256[:16]}-{tokenizer.hash[:16]}-{written}"
        store = cut_anew(store, documents, tokenizer, template, anew)
    return Part(store, documents, tokenizer, template, s.training.context, cache)


def documents_of(path: Path) -> Iterator:
    """The documents of a part. DataError where the folder keeps only tokens."""
    if not path.is_file():
        raise DataError(f"{path}: not there, and this objective reads the texts; prepare them again")
    return prepared.documents_of(path)


def cut_anew(store: Store, documents: Callable, tokenizer: Tokenizer, template: Template | None, folder: Path) -> Store:
    """The texts of a part in another tokenizer's tokens, kept in `folder`."""
    from ..tokens.store import write

    if not (folder / "index.json").is_file():
        terminal.say(f"{store.folder} was prepared with another tokenizer; its texts are cut anew with the model's.")
        ids = prepared.ids_of(documents(), tokenizer, template)
        write(folder, ids, tokenizer.vocab_size, tokenizer.end, store.text_bytes, tokenizer.hash)
    return Store(folder)


def check_vocabulary(store: Store, tokenizer: Tokenizer) -> None:
    """The tokens must have been made with this tokenizer."""
    if store.tokenizer != tokenizer.hash or store.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(f"{store.folder}: its tokens were made with another tokenizer than the tokenizer.json "
                              f"beside it ({store.vocab_size} against {tokenizer.vocab_size} ids); prepare it again")


def fingerprint(folder: Path) -> str:
    """Of a model's files: sizes, and the first and last megabyte of each file of weights."""
    found = hashlib.sha256()
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        found.update(f"{path.name} {size}\n".encode())
        with open(path, "rb") as file:
            found.update(file.read(MEGABYTE))
            file.seek(max(0, size - MEGABYTE))
            found.update(file.read(MEGABYTE))
    return found.hexdigest()
