"""Folders in Hugging Face's format: a model loads whole or is refused by name, and what loads also saves.

    checkpoint = load(folder)        # .model .tokenizer .config .folder .template
    save(checkpoint, folder)

No pickle is read or written and no code of a folder is run. Files are written under a temporary name, synced, renamed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import plugs
from ..atomic import new_file, write_file
from ..errors import CheckpointError
from ..text.chat import Template
from ..tokens.tokenizer import Tokenizer
from . import compressed, quantize, sentences
from .config import Config
from .names import BASES, COPIES, HARMLESS_TENSORS, Keys, Row, bare, expand
from .transformer import Transformer

GENERAL_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")  # transformers' classes that know no family
MOST_LAYERS = 10_000  # a damaged number must not become a list of a billion names


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer, the folder that it came from, and its chat template where it has one."""

    model: Transformer
    tokenizer: Tokenizer | None
    config: Config
    folder: Path | None = None
    template: Template | None = None


def load(folder, device="cpu", dtype: torch.dtype | None = None, allow: tuple[str, ...] = (),
         family: str | None = None) -> Checkpoint:  # fmt: skip
    """Open a folder; dtype None keeps what the file has. CheckpointError names the wrong key, tensor or file.

    allow: keys of config.json and tensors that may be passed over. family: a path to a family file of your own.
    """
    folder = Path(folder)
    config = sentences.declared(folder, read_config(folder, allow, family))
    rounded = read_json(folder / "config.json").get("quantization_config")
    model = build(config, read_tensors(folder, dtype), device, dtype, allow, rounded)
    tokenizer = Tokenizer.load(folder) if (folder / "tokenizer.json").exists() else None
    return Checkpoint(model, tokenizer, model.config, folder, Template.load(folder))


def read_config(folder: Path, allow: tuple[str, ...] = (), family: str | None = None) -> Config:
    """The Config of a folder."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        found = "no such folder" if not Path(folder).is_dir() else "a folder without config.json"
        raise CheckpointError(f"{folder}: {found}; expected a model folder (config.json, model.safetensors), "
                              "as `upwell quickstart` or transformers' save_pretrained write it")
    return config_of(read_json(path), allow, family)


def read_json(path: Path) -> dict:
    """An object from a JSON file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error}); copy or train the folder again") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: found {type(found).__name__}, expected an object with the model's settings")
    return found


def config_of(hf: dict, allow: tuple[str, ...] = (), family: str | None = None) -> Config:
    """A config.json -> Config, through the family that its model_type belongs to."""
    kind, known = hf.get("model_type"), {}
    for name in [family] if family else plugs.names("model/families"):
        room = plugs.find("model/families", name)
        known |= dict.fromkeys(room.MODEL_TYPES, (name, room))
    if kind not in known:
        raise CheckpointError(f"config.json: model_type is {kind!r}; upwell knows {', '.join(sorted(known))}")
    name, room = known[kind]
    keys = Keys(hf)
    for key, value in hf.items():
        if "layer" in key and isinstance(value, int) and value > MOST_LAYERS:
            raise CheckpointError(f"config.json: {key} is {value}; expected at most {MOST_LAYERS}")
    try:
        config = room.config(keys)
    except TypeError as error:
        raise CheckpointError(f"config.json: a value has the wrong type ({error})") from None
    keys("quantization_config")  # `load` reads it
    unread = [key for key in keys.unread() if key not in allow]
    if unread:
        raise CheckpointError(f"config.json: unknown key {', '.join(unread)}; upwell would not know what it changes "
                              f"in a {kind} model (to pass over it: --allow-key {unread[0]})")
    return config.with_(family=name)


def read_tensors(folder: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the shards that its index names; memory-mapped.

    Where the file has other floating numbers than `dtype`, they are converted one tensor after the other, and what was
    mapped of the file is let go each time, so that the memory never holds both.
    """
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
                mapped = {key: file.get_tensor(key) for key in file.keys()}
            other = [key for key, t in mapped.items() if dtype and t.is_floating_point() and t.dtype != dtype]
            tensors |= {key: t for key, t in mapped.items() if key not in other}
            del mapped
            tensors |= {key: read_tensor(path, key).to(dtype) for key in other}
        except SafetensorError as error:
            raise CheckpointError(f"{path}: truncated or damaged ({error}); copy or train it again") from None
    return tensors


def read_tensor(path: Path, key: str) -> Tensor:
    """One tensor of a file."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(key)


def build(config: Config, tensors: dict[str, Tensor], device="cpu", dtype: torch.dtype | None = None,
          allow: tuple[str, ...] = (), rounded: dict | None = None) -> Transformer:  # fmt: skip
    """A model from their tensors, each of which must be known, there, and of the right shape.

    rounded: the quantization_config of a folder whose matrices are int8 or int4.
    """
    tensors, grids = compressed.split(tensors, rounded) if rounded else (tensors, {})
    config = fitted(config, tensors)
    with torch.device("meta"):
        model = Transformer(config)
    state = translate(config, tensors, allow)
    wanted = {name: tuple(p.shape) for name, p in model.state_dict().items()}
    for name, tensor in state.items():
        if name in wanted and tuple(tensor.shape) != wanted[name]:
            raise CheckpointError(f"{name}: the file has shape {tuple(tensor.shape)}, config.json says {wanted[name]}")
    if rounded:
        return compressed.build(config, state, grids, table(config), compressed.bits_of(rounded), device, dtype)
    state = {name: t.to(device=device, dtype=dtype or t.dtype) for name, t in state.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def table(config: Config) -> list[Row]:
    """Every row of a model, layer by layer."""
    return expand(plugs.find("model/families", config.family).rows(config), config)


def fitted(config: Config, tensors: dict[str, Tensor]) -> Config:
    """The Config with what only the file tells: a pooler, a bias of the output, an output matrix of its own."""
    if config.pooler and not any(name.endswith("pooler.dense.weight") for name in tensors):
        config = config.with_(pooler=False)
    if config.head.kind == "language" and config.head.bias and "final_logits_bias" not in tensors:
        config = config.with_(head=replace(config.head, bias=False))
    if not config.tied:
        return config
    theirs = {row.ours[0]: row.theirs for row in table(config.with_(tied=False))}
    output, shared = tensors.get(theirs.get("head.weight")), tensors.get(theirs["embed.weight"])
    same = output is None or shared is None or (output.shape == shared.shape and torch.equal(output, shared))
    return config if same else config.with_(tied=False)


def translate(config: Config, tensors: dict[str, Tensor], allow: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Their tensors under our names; what is missing or unknown is an error that lists it."""
    state, left, missing = {}, dict(tensors), []
    for row in table(config):
        names = (row.theirs, bare(row.theirs), *(base + row.theirs for base in BASES))
        name = next((name for name in names if name in left), None)
        if name is None:
            missing.append(row.theirs)
            continue
        state |= dict(zip(row.ours, row.read(left.pop(name)), strict=True))
    originals = [state[name] for name in ("embed.weight", "head.bias", "head_bias") if name in state]
    unknown = [name for name, tensor in left.items() if name not in allow and not name.endswith(HARMLESS_TENSORS)
               and not (name.endswith(COPIES) and any(map(partial(equal, tensor), originals)))]  # fmt: skip
    for what, names, way in (("missing from the file", missing, ""),
                             ("in the file but not in the model", unknown, " (to pass over: --allow-key NAME)")):
        if names:
            raise CheckpointError(f"weights: {shortened(names)} {what}; config.json and the weights do not fit{way}")
    return state


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same numbers in the same shape."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)


def shortened(names: list[str]) -> str:
    """A list of names that stays readable."""
    verb = f" and {len(names) - 5} more are" if len(names) > 5 else " is" if len(names) == 1 else " are"
    return ", ".join(names[:5]) + verb


def to_theirs(model: Transformer) -> dict[str, Tensor]:
    """Our tensors under Hugging Face's names."""
    if isinstance(model, quantize.Quantized):
        return compressed.to_theirs(model, table(model.config))
    config, ours = model.config, dict(model.state_dict())
    theirs = {row.theirs: row.write([ours.pop(name) for name in row.ours]).contiguous() for row in table(config)}
    assert not ours, f"no row for {sorted(ours)}"
    return {name: tensor.detach().cpu() for name, tensor in theirs.items()}


def save(checkpoint: Checkpoint, folder, settings: str = "", read: Callable[[str], Tensor] | None = None) -> Path:
    """Write a folder that transformers opens; `settings` (YAML text) goes into upwell.yaml with every file's hash.

    read(name): where the weights come from, one after the other (see `streamed`); None: from the model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    c = checkpoint.config
    hf = plugs.find("model/families", c.family).to_hf(c) | {"dtype": str(checkpoint.model.dtype).removeprefix("torch.")}
    hf |= compressed.settings(checkpoint.model, table(c))
    files = weights(checkpoint, folder, read)
    write_file(folder / "config.json", (json.dumps(hf, indent=2) + "\n").encode())
    habits = json.dumps(generation_config(checkpoint, hf), indent=2) + "\n"
    write_file(folder / "generation_config.json", habits.encode())
    names = [*files, "config.json", "generation_config.json", *sentences.write(folder, c)]
    if checkpoint.tokenizer is not None:
        checkpoint.tokenizer.save(folder, read_by(c, checkpoint.tokenizer))
        names += [n for n in ("tokenizer.json", "tokenizer_config.json") if (folder / n).exists()]
    names += checkpoint.template.save(folder) if checkpoint.template is not None else []
    hashes = "".join(f"  {name}: {sha256(folder / name)}\n" for name in names)
    write_file(folder / "upwell.yaml", (f"{settings}files:\n{hashes}").encode())
    return folder


def told_anew(folder: Path, names: Iterable[str]) -> None:
    """Hashes of files of a folder that were written again, in its upwell.yaml."""
    path = folder / "upwell.yaml"
    text = path.read_text(encoding="utf-8")
    for name in (name for name in names if (folder / name).is_file()):
        text = re.sub(rf"^(  {re.escape(name)}: )[0-9a-f]{{64}}$", rf"\g<1>{sha256(folder / name)}", text, flags=re.M)
    write_file(path, text.encode())


def weights(checkpoint: Checkpoint, folder: Path, read: Callable[[str], Tensor] | None) -> list[str]:
    """Write a model's numbers; gives the files' names."""
    if read is not None:
        from . import streamed

        return streamed.write(checkpoint.config, read, folder, checkpoint.model.dtype)
    with new_file(folder / "model.safetensors") as temporary:
        save_file(to_theirs(checkpoint.model), temporary, metadata={"format": "pt"})
    return ["model.safetensors"]


def read_by(c: Config, tokenizer: Tokenizer) -> dict:
    """What tokenizer_config.json has to say of a model, so that others cut texts to its length and tell it which of two
    texts a token belongs to."""
    said = json.loads(tokenizer.beside.get("tokenizer_config.json", "{}"))
    longest, plain = said.get("model_max_length"), said.get("tokenizer_class") in GENERAL_CLASSES
    found = {} if isinstance(longest, int | float) and longest <= c.context else {"model_max_length": c.context}
    if c.token_types > 1 and plain and "model_input_names" not in said:
        found["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    return found


def generation_config(checkpoint: Checkpoint, hf: dict) -> dict:
    """How the model writes: the special ids, and what the folder that it came from says beside them."""
    ids = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    found = {name: hf[name] for name in ids if hf.get(name) is not None}
    path = None if checkpoint.folder is None else Path(checkpoint.folder) / "generation_config.json"
    return found | (read_json(path) if path is not None and path.is_file() else {})


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
