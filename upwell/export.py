"""A model for other programs, and the proof that they read it right.

    hf(folder, out, bits) · ctranslate2_ready(folder, out) · gguf(folder, out, kind) · peft(adapter, out, base)

Each writes, opens what it wrote with the other program and compares numbers or 32 greedy tokens with our own; a
difference is an error with its size. Each gives the checks that were made and those that could not be, in words.
"""

import importlib
import importlib.util
import json
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upwell import gguf as reader
from upwell import to_gguf
from upwell.atomic import write_file
from upwell.errors import CheckpointError
from upwell.model import hub, lora, quantize
from upwell.model.cache import Cache

CLOSE = 1e-4  # the largest difference allowed, as a share of the largest number
NEW = 32
CTRANSLATE2 = {
    "bert": {"position_embedding_type": "absolute"}, "bart": {"normalize_before": False, "normalize_embedding": True},
    "mbart": {"normalize_before": True, "normalize_embedding": True},
}  # fmt: skip
TEXTS = ("The river was long, and it's 1998 now.", "Straße, 東京: naïve? [x] = 12345")


def hf(folder, out, bits: int | None = None) -> list[str]:
    """A Hugging Face folder, checked by transformers: in float, or with bits 8 or 4 rounded.

    A folder whose weights are rounded becomes float, unless they are asked for again.
    """
    checkpoint = hub.load(folder)
    if isinstance(checkpoint.model, quantize.Quantized):
        checkpoint = replace(checkpoint, model=quantize.floating(checkpoint.model))
    if bits:
        checkpoint = replace(checkpoint, model=quantize.quantize(checkpoint.model, quantize.Scheme(bits, keep=False)))
    hub.save(checkpoint, out)
    return [*same_numbers(checkpoint, Path(out)), *same_tokens(checkpoint, Path(out))]


def same_numbers(checkpoint: hub.Checkpoint, out: Path) -> list[str]:
    """transformers' numbers beside ours, both in float32."""
    rounded, model = isinstance(checkpoint.model, quantize.Quantized), hub.load(out, dtype=torch.float32).model
    absent = next((p for p in ("transformers", *["compressed_tensors"] * rounded) if missing(p)), None)
    if absent:
        return [f"not checked: {absent} is not installed"]
    library, name = transformers(), hub.read_json(out / "config.json")["architectures"][0]
    whole = {"quantization_config": library.CompressedTensorsConfig(dequantize=True)} if rounded else {}
    with warnings.catch_warnings(action="ignore"):
        theirs = getattr(library, name).from_pretrained(out, dtype=torch.float32, **whole).eval()
    ours = ours_of(quantize.plainly(model) if rounded else model)
    difference = compare(ours, theirs_of(theirs, checkpoint.config), "transformers")
    return [f"{name} of transformers gives the same numbers (largest difference {difference:.1e})"]


def transformers():
    """The library, without its progress bars."""
    library = importlib.import_module("transformers")
    library.utils.logging.disable_progress_bar()
    return library


def same_tokens(checkpoint: hub.Checkpoint, out: Path) -> list[str]:
    """Their tokenizer's ids beside ours."""
    if checkpoint.tokenizer is None or missing("transformers"):
        return []
    theirs = transformers().AutoTokenizer.from_pretrained(out)
    for text in TEXTS:
        if (found := theirs(text, add_special_tokens=False)["input_ids"]) != checkpoint.tokenizer.encode(text):
            raise CheckpointError(f"{out}: transformers' tokenizer gives {found} for {text!r}, ours "
                                  f"{checkpoint.tokenizer.encode(text)}")
    return ["AutoTokenizer gives the same ids"]


def sample(config) -> Tensor:
    """Ids (2, T), the same at every call; none of the special ones where there are enough others."""
    generator = torch.Generator().manual_seed(1)
    low = min(config.vocab // 2, 10)
    return torch.randint(low, config.vocab, (2, min(16, config.context)), generator=generator)


@torch.inference_mode()
def ours_of(model) -> Tensor:
    """Our numbers for the sample: what the head gives, or the last block's vectors where transformers has no head."""
    ids = sample(model.config)
    two = {"source": ids.flip(1)} if model.config.shape == "encoder-decoder" else {}
    headless = model.config.head.kind in ("embed", "none")
    return model.hidden(ids, **two) if headless else model(ids, **two)


@torch.inference_mode()
def theirs_of(model, config) -> Tensor:
    """transformers' numbers for the sample."""
    ids = sample(config)
    both = {"input_ids": ids.flip(1), "decoder_input_ids": ids}
    found = model(**(both if config.shape == "encoder-decoder" else {"input_ids": ids}))
    if "start_logits" in found:
        return torch.stack((found.start_logits, found.end_logits), -1)
    name = next(name for name in ("logits", "prediction_logits", "last_hidden_state") if name in found)
    return found[name]


def compare(ours: Tensor, theirs: Tensor, who: str, close: float = CLOSE) -> float:
    """The largest difference as a share of the largest number; CheckpointError above `close`."""
    if ours.shape != theirs.shape:
        raise CheckpointError(f"{who} gives numbers of shape {tuple(theirs.shape)}, ours are {tuple(ours.shape)}; the "
                              "export is not usable")
    difference = ((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-9)).item()
    if not difference <= close:
        raise CheckpointError(f"{who} gives other numbers: they differ by {difference:.2e} of the largest, at most "
                              f"{close:.0e} was expected; the export is not usable")
    return difference


def missing(package: str) -> bool:
    """Whether a package is not installed."""
    return importlib.util.find_spec(package) is None


@torch.inference_mode()
def greedy(model, prompt: list[int], banned=frozenset(), source: list[int] | None = None) -> list[int]:
    """Our own greedy tokens behind a prompt; banned: ids that may not be written, such as those that end a text."""
    cache, found = Cache(model.config, 1, len(prompt) + NEW, model.device, model.dtype), []
    two = {} if source is None else {"source": torch.tensor([source])}
    logits = model(torch.tensor([prompt]), cache=cache, last=True, **two)
    for _ in range(NEW):
        logits[:, sorted(banned)] = float("-inf")
        found.append(int(logits.argmax()))
        logits = model(torch.tensor([found[-1:]]), cache=cache, last=True)
    return found


def same_greedy(ours: list[int], theirs: list[int], who: str) -> str:
    """A sentence, or CheckpointError with the place where they part."""
    theirs = theirs[:NEW]
    if len(theirs) < len(ours) or ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
        raise CheckpointError(f"{who} writes other tokens than upwell from token {at + 1} of {NEW} on; the export is "
                              "not usable")
    return f"{who} writes the same {NEW} greedy tokens"


# ---- CTranslate2 ----


def ctranslate2_ready(folder, out) -> list[str]:
    """A Hugging Face folder with the keys that CTranslate2's converter asks for, converted once as a check."""
    out = Path(out)
    done = hf(folder, out)
    config = hub.read_json(out / "config.json")
    wanted = CTRANSLATE2.get(config["model_type"], {})
    rewrite(out, "config.json", wanted)
    name_tokens(out)
    if missing("ctranslate2"):
        return [*done, "not checked: ctranslate2 is not installed"]
    with tempfile.TemporaryDirectory() as place:
        return [*done, converted(hub.load(out, allow=tuple(wanted), dtype=torch.float32), out, Path(place) / "model")]


def name_tokens(out: Path) -> None:
    """Name an unknown token: the converter wants one, byte-level tokenizers have none; the end token stands for it."""
    said = hub.read_json(out / "tokenizer_config.json") if (out / "tokenizer_config.json").is_file() else {}
    if said.get("eos_token") and not said.get("unk_token"):
        rewrite(out, "tokenizer_config.json", {"unk_token": said["eos_token"]})


def rewrite(out: Path, name: str, more: dict) -> None:
    """A JSON file with more keys, and its hash in upwell.yaml."""
    path, said = out / name, out / "upwell.yaml"
    before = hub.sha256(path)
    write_file(path, (json.dumps(hub.read_json(path) | more, indent=2, ensure_ascii=False) + "\n").encode())
    write_file(said, said.read_text(encoding="utf-8").replace(before, hub.sha256(path)).encode())


def converted(checkpoint: hub.Checkpoint, out: Path, place: Path) -> str:
    """Convert, and compare tokens or vectors."""
    engine, c = importlib.import_module("ctranslate2"), checkpoint.config
    try:
        importlib.import_module("ctranslate2.converters").TransformersConverter(str(out)).convert(str(place))
    except (ValueError, KeyError, NotImplementedError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"CTranslate2 {engine.__version__} cannot convert this model: {error}") from None
    known = json_vocabulary(checkpoint)
    names = {id: token for token, id in known.items()}
    ids = [id for id in sample(c)[0].tolist() if id in names][:8]
    words = [names[id] for id in ids]
    if c.shape == "encoder":
        found = engine.Encoder(str(place)).forward_batch([words]).last_hidden_state
        vectors = checkpoint.model.hidden(torch.tensor([ids])).detach()
        difference = compare(vectors, torch.from_numpy(np.array(found)), "CTranslate2", 1e-3)
        return f"CTranslate2 gives the same vectors (largest difference {difference:.1e})"
    if c.shape == "encoder-decoder":
        lengths = {"min_decoding_length": NEW, "max_decoding_length": NEW}
        theirs = engine.Translator(str(place)).translate_batch([words], beam_size=1, **lengths)
        ours = greedy(checkpoint.model, [c.start], c.ends, ids)
        return same_greedy(ours, [known[t] for t in theirs[0].hypotheses[0]], "CTranslate2")
    theirs = engine.Generator(str(place)).generate_batch([words], min_length=NEW, max_length=NEW, sampling_topk=1,
                                                         include_prompt_in_result=False)  # fmt: skip
    return same_greedy(greedy(checkpoint.model, ids, c.ends), theirs[0].sequences_ids[0], "CTranslate2")


def json_vocabulary(checkpoint: hub.Checkpoint) -> dict[str, int]:
    """Token -> id, as tokenizer.json has them."""
    if checkpoint.tokenizer is None:
        raise CheckpointError(f"{checkpoint.folder}: no tokenizer.json; CTranslate2 needs the tokens")
    found = json.loads(checkpoint.tokenizer.definition)
    vocab = found["model"]["vocab"]
    vocab = vocab if isinstance(vocab, dict) else {token: id for id, (token, _) in enumerate(vocab)}
    return vocab | {one["content"]: one["id"] for one in found.get("added_tokens", [])}


# ---- GGUF ----


def gguf(folder, out, kind: str = "f16", cut: str = "") -> list[str]:
    """A GGUF file, read again by our reader and, where it is there, by llama.cpp."""
    checkpoint, out = hub.load(folder, dtype=torch.float32), Path(out)
    if isinstance(checkpoint.model, quantize.Quantized):
        checkpoint = replace(checkpoint, model=quantize.floating(checkpoint.model))
    held = to_gguf.write(checkpoint, out, kind, cut)
    rounded = hub.build(checkpoint.config, held)
    with tempfile.TemporaryDirectory() as place:
        reader.convert(out, Path(place))
        again = hub.load(place)
        difference = compare(ours_of(rounded), ours_of(again.model), "the file, read again,")
    moved = (ours_of(rounded) - ours_of(checkpoint.model)).abs().max() / ours_of(checkpoint.model).abs().max()
    done = [f"read again, the file gives the same numbers (largest difference {difference:.1e}); {kind} itself moves "
            f"them by {moved:.1e}"]  # fmt: skip
    if cut:
        done.append(f"text is cut by the rules of {cut!r}; the tokenizer's own may differ from them")
    else:
        for text in TEXTS:
            if again.tokenizer.encode(text) != checkpoint.tokenizer.encode(text):
                raise CheckpointError(f"{out}: its tokenizer gives other ids for {text!r}; the export is not usable")
        done.append("its tokenizer gives the same ids")
    return [*done, llama_cpp(rounded, out)]


def llama_cpp(model, out: Path) -> str:
    """llama.cpp's greedy tokens beside ours on the same weights."""
    if missing("llama_cpp"):
        return "not checked: llama-cpp-python is not installed"
    engine = importlib.import_module("llama_cpp").Llama(str(out), n_ctx=64, logits_all=False, verbose=False)
    prompt, theirs = sample(model.config)[0].tolist()[:8], []
    for token in engine.generate(prompt, top_k=1, temp=0.0, repeat_penalty=1.0):
        theirs.append(token)
        if len(theirs) == NEW:
            break
    return same_greedy(greedy(model, prompt), theirs, "llama.cpp")


# ---- PEFT ----


def peft(adapter, out, base: str = "") -> list[str]:
    """An adapter's folder in PEFT's format over a base folder, checked by PEFT."""
    adapter, out = Path(adapter), Path(out)
    said = hub.read_json(adapter / "adapter_config.json") if (adapter / "adapter_config.json").is_file() else {}
    base = base or said.get("base_model_name_or_path") or ""
    if not said or not Path(base).is_dir():
        raise CheckpointError(f"{adapter}: found {'no adapter_config.json' if not said else f'the base {base!r}'}; "
                              "expected an adapter's folder, and with --base the folder of the model below it")
    model = lora.load(hub.load(base, dtype=torch.float32).model, adapter)
    lora.save(model, out, base)
    if missing("peft") or missing("transformers"):
        return ["not checked: peft is not installed"]
    name = hub.read_json(Path(base) / "config.json")["architectures"][0]
    below = getattr(transformers(), name).from_pretrained(base, dtype=torch.float32)
    theirs = importlib.import_module("peft").PeftModel.from_pretrained(below, out).eval()
    difference = compare(ours_of(model), theirs_of(theirs, model.config), "PEFT")
    return [f"PEFT over {name} gives the same numbers (largest difference {difference:.1e})"]

