"""The folder that a run leaves: an ordinary Hugging Face folder; with adapters also theirs, in PEFT's format."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

from ..model import hub, lora, quantize
from ..settings import dump
from ..translation import asking
from .opening import Job
from .settings import Running


def write(model, job: Job, s: Running, folder: Path, read: Callable | None = None) -> None:
    """Write the model with tokenizer, template, settings and hashes; adapters in the folder's `adapter`.

    read(name): where the weights come from, one after the other; None: from the model.
    """
    said = indented("settings", dump(s)) + spoken(job, s)
    if s.adapters:
        base = str(job.base.folder.resolve()) if job.base and job.base.folder else ""
        lora.save(model, folder / "adapter", base)
        if not s.adapters.merge:
            return
        model = merged(model)
    hub.save(hub.Checkpoint(model, job.tokenizer, model.config, where(job, folder), job.template), folder, said, read)


def spoken(job: Job, s: Running) -> str:
    """For a translator the languages that it learnt, so that they are known where its data are not."""
    if job.learn.documents is None or s.objective not in ("pairs", "distil"):
        return ""
    both = getattr(job.options, "both", False) or getattr(getattr(job.options, "pairs", None), "both", False)
    pairs = asking.learnt_from((one.fields for one in job.learn.documents()), both)
    return f"languages: {json.dumps(sorted(map(list, pairs)))}\n" if pairs else ""


def where(job: Job, folder: Path) -> Path:
    """The folder whose habits of writing go on: the one that the run began with."""
    return job.base.folder if job.base and job.base.folder else folder


def merged(model):
    """A copy with the adapters in its matrices; the model goes on as it was."""
    whole = lora.unwrap(lora.merge(copy.deepcopy(model)))
    whole = quantize.floating(whole) if isinstance(whole, quantize.Quantized) else whole
    return whole.float().eval()


def indented(name: str, yaml: str) -> str:
    """YAML text as the value of a key."""
    return f"{name}:\n" + "".join(f"  {line}\n" for line in yaml.splitlines())
