"""Folders in Hugging Face's format: a model loads whole or is refused by name, and what loads also saves.

    checkpoint = load(folder)        # .model .tokenizer .config .folder
    save(checkpoint, folder)

No pickle is read or written and no code of a folder is run. Files are written under a temporary name, synced, renamed.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import plugs
from ..atomic import new_file, write_file
from ..errors import CheckpointError
from ..tokens.tokenizer import Tokenizer
from .config import Config
from .names import HARMLESS_TENSORS, Keys, expand
from .transformer import Transformer


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer, and the folder that it came from."""

    model: Transformer
    tokenizer: Tokenizer | None
    config: Config
    folder: Path | None = None


def load(folder, device="cpu", dtype: torch.dtype | None = None) -> Checkpoint:
    """Open a folder; dtype None keeps what the file has. CheckpointError names the wrong key, tensor or file."""
    folder = Path(folder)
    config = read_config(folder)
    model = build(config, read_tensors(folder), device, dtype)
    has_text = (folder / "tokenizer.json").exists()
    return Checkpoint(model, Tokenizer.load(folder) if has_text else None, config, folder)


def read_config(folder: Path) -> Config:
    """The Config of a folder."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        found = "no such folder" if not Path(folder).is_dir() else "a folder without config.json"
        raise CheckpointError(f"{folder}: {found}; expected a model folder (config.json, model.safetensors), "
                              "as `upwell quickstart` or transformers' save_pretrained write it")
    try:
        hf = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error}); copy or train the folder again") from None
    if not isinstance(hf, dict):
        raise CheckpointError(f"{path}: found {type(hf).__name__}, expected an object with the model's settings")
    return config_of(hf)


def config_of(hf: dict) -> Config:
    """A config.json -> Config, through the family that its model_type belongs to."""
    kind, known = hf.get("model_type"), {}
    for name in plugs.names("model/families"):
        family = plugs.find("model/families", name)
        known |= dict.fromkeys(family.MODEL_TYPES, family)
    if kind not in known:
        raise CheckpointError(f"config.json: model_type is {kind!r}; upwell knows {', '.join(sorted(known))}")
    keys = Keys(hf)
    try:
        config = known[kind].config(keys)
    except TypeError as error:
        raise CheckpointError(f"config.json: a value has the wrong type ({error})") from None
    if keys.unread():
        raise CheckpointError(f"config.json: unknown key {', '.join(keys.unread())}; "
                              f"upwell would not know what it changes in a {kind} model")
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the shards that its index names; memory-mapped."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    tensors = {}
    for path in (folder / name for name in names):
        if path.parent != folder or not path.is_file():
            raise CheckpointError(f"{path}: not there; expected the model's weights (pickled .bin files are not read)")
        try:
            with safe_open(path, framework="pt") as file:
                tensors |= {key: file.get_tensor(key) for key in file.keys()}
        except SafetensorError as error:
            raise CheckpointError(f"{path}: truncated or damaged ({error}); copy or train it again") from None
    return tensors


def build(config: Config, tensors: dict[str, Tensor], device="cpu", dtype: torch.dtype | None = None) -> Transformer:
    """A model from their tensors, each of which must be known, there, and of the right shape."""
    if config.tied and "lm_head.weight" in tensors:
        shared = next(t for name, t in tensors.items() if name.endswith(("embed_tokens.weight", "wte.weight")))
        if torch.equal(shared, tensors["lm_head.weight"]):
            del tensors["lm_head.weight"]
        else:
            config = config.with_(tied=False)
    with torch.device("meta"):
        model = Transformer(config)
    state = translate(config, tensors)
    wanted = {name: tuple(p.shape) for name, p in model.state_dict().items()}
    for name, tensor in state.items():
        if name in wanted and tuple(tensor.shape) != wanted[name]:
            raise CheckpointError(f"{name}: the file has shape {tuple(tensor.shape)}, config.json says {wanted[name]}")
    state = {name: t.to(device=device, dtype=dtype or t.dtype) for name, t in state.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def translate(config: Config, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names; what is missing or unknown is an error that lists it."""
    state, left, missing = {}, dict(tensors), []
    for row in expand(plugs.find("model/families", config.family).rows(config), config.decoder_layers):
        bare = row.theirs.removeprefix("transformer.").removeprefix("model.")
        name = row.theirs if row.theirs in left else bare
        if name not in left:
            missing.append(row.theirs)
            continue
        state |= dict(zip(row.ours, row.read(left.pop(name)), strict=True))
    unknown = [name for name in left if not name.endswith(HARMLESS_TENSORS)]
    for what, names in (("missing from the file", missing), ("in the file but not in the model", unknown)):
        if names:
            raise CheckpointError(f"weights: {shortened(names)} {what}; config.json and the weights do not fit")
    return state


def shortened(names: list[str]) -> str:
    """A list of names that stays readable."""
    verb = f" and {len(names) - 5} more are" if len(names) > 5 else " is" if len(names) == 1 else " are"
    return ", ".join(names[:5]) + verb


def to_theirs(model: Transformer) -> dict[str, Tensor]:
    """Our tensors under Hugging Face's names."""
    config, ours = model.config, dict(model.state_dict())
    table = expand(plugs.find("model/families", config.family).rows(config), config.decoder_layers)
    theirs = {row.theirs: row.write([ours.pop(name) for name in row.ours]).contiguous() for row in table}
    assert not ours, f"no row for {sorted(ours)}"
    return {name: tensor.detach().cpu() for name, tensor in theirs.items()}


def save(checkpoint: Checkpoint, folder, settings: str = "") -> Path:
    """Write a folder that transformers opens; `settings` (YAML text) goes into upwell.yaml with every file's hash."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    c = checkpoint.config
    hf = plugs.find("model/families", c.family).to_hf(c) | {"dtype": str(checkpoint.model.dtype).removeprefix("torch.")}
    with new_file(folder / "model.safetensors") as temporary:
        save_file(to_theirs(checkpoint.model), temporary, metadata={"format": "pt"})
    write_file(folder / "config.json", (json.dumps(hf, indent=2) + "\n").encode())
    generation = {k: hf[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id") if hf.get(k) is not None}
    write_file(folder / "generation_config.json", (json.dumps(generation, indent=2) + "\n").encode())
    names = ["model.safetensors", "config.json", "generation_config.json"]
    if checkpoint.tokenizer is not None:
        checkpoint.tokenizer.save(folder)
        names += [n for n in ("tokenizer.json", "tokenizer_config.json") if (folder / n).exists()]
    hashes = "".join(f"  {name}: {sha256(folder / name)}\n" for name in names)
    write_file(folder / "upwell.yaml", (f"{settings}files:\n{hashes}").encode())
    return folder


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
