"""Folders of the sentence-transformers library: how the vectors of a text's tokens become the vector of the text.

    declared(folder, config) -> config        write(folder, config) -> names of the files it wrote

`modules.json` lists the steps behind the Transformer: a pooling, which has a folder with its settings, and perhaps a
normalisation. It knows nothing of weights.
"""

import json
from pathlib import Path

from ..atomic import write_file
from ..errors import CheckpointError
from .config import Config, Head

LIST, POOLING = "modules.json", "1_Pooling"
POOLS = {"cls": "first", "mean": "mean", "max": "max", "lasttoken": "last"}
FLAG = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens",
        "lasttoken": "pooling_mode_lasttoken"}  # fmt: skip
PACKAGE = "sentence_transformers.models."


def declared(folder, config: Config) -> Config:
    """The config with the head that a folder declares, where it declares one."""
    head = read(folder)
    return config if head is None else config.with_(head=head, pooler=True)  # a pooler that the file lacks is dropped


def read(folder) -> Head | None:
    """The head that a folder declares; None where it is no folder of sentence-transformers."""
    folder = Path(folder)
    if not (folder / LIST).is_file():
        return None
    steps = [(str(step.get("type")).rpartition(".")[2], step.get("path")) for step in read_steps(folder / LIST)]
    kinds = [kind for kind, _ in steps]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise CheckpointError(f"{folder / LIST}: found the steps {', '.join(kinds)}; upwell knows Transformer, Pooling "
                              "and then, where wanted, Normalize")
    place = steps[1][1]
    if not isinstance(place, str) or Path(place).name != place:
        raise CheckpointError(f"{folder / LIST}: the pooling's path is {place!r}; expected a folder beside it")
    return Head("embed", pool=read_pool(folder / place / "config.json"), unit=kinds[-1] == "Normalize")


def read_steps(path: Path) -> list[dict]:
    """The list of steps."""
    steps = read_json(path)
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{path}: expected a list of steps; copy the folder again")
    return steps


def read_pool(path: Path) -> str:
    """How a pooling's config.json says that the vectors become one."""
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: expected an object with the pooling's settings; copy the folder again")
    named = settings.get("pooling_mode")
    chosen = [named] if isinstance(named, str) else named
    if not chosen:
        chosen = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on]
        short = {flag: name for name, flag in FLAG.items()}
        chosen = [short.get(key, key) for key in chosen]
    if len(chosen) != 1 or chosen[0] not in POOLS:
        raise CheckpointError(f"{path}: found the poolings {', '.join(map(str, chosen)) or 'none'}; "
                              f"upwell knows one of {', '.join(POOLS)}")
    return POOLS[chosen[0]]


def read_json(path: Path):
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy the folder again") from None


def write(folder, config: Config) -> list[str]:
    """Declare a head of the kind `embed` as sentence-transformers does; nothing for other heads."""
    if config.head.kind != "embed":
        return []
    mode = next((name for name, ours in POOLS.items() if ours == config.head.pool), None)
    if mode is None or config.head.dense:
        raise CheckpointError(f"sentence-transformers has no name for this head (pool {config.head.pool!r}, dense "
                              f"{config.head.dense}); it has {', '.join(POOLS.values())} without a dense layer")
    kinds = ["Transformer", "Pooling", *["Normalize"] * config.head.unit]
    paths = ["", POOLING, "2_Normalize"]
    steps = [{"idx": i, "name": str(i), "path": path, "type": PACKAGE + kind}
             for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))]  # fmt: skip
    pooling = {"word_embedding_dimension": config.width, **{flag: name == mode for name, flag in FLAG.items()}}
    files = {LIST: steps, f"{POOLING}/config.json": pooling,
             "sentence_bert_config.json": {"max_seq_length": config.context, "do_lower_case": False}}  # fmt: skip
    for name, content in files.items():
        write_file(Path(folder) / name, (json.dumps(content, indent=2) + "\n").encode())
    return list(files)
