"""The model that a run trains: first weights or a folder's, a new head, adapters, and what stays frozen.

    model = begun(job, settings, seed, device)
    sentence = said(job)                    # what is new in it, and what of the folder is not taken over
    twin = twin_of(model, settings)         # over the same weights, never compiled: for measuring and writing
"""

import copy
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import SettingsError
from ..model import hub, lora, preset, quantize
from ..model.config import Head
from ..model.names import bare
from ..model.transformer import Transformer
from ..training.settings import Settings as Training
from .opening import Job
from .settings import Running

OUTPUTS = ("head.", "head_bias", "pair.")  # what says labels, places or words: another head must not take it over
WORDS = ("language", "masked", "pretrain")


def begun(job: Job, s: Running, seed: int, device: str) -> Transformer:
    """The model with its first weights; only what is to learn asks for gradients.

    On the folder's device its weights are the folder's own tensors, which a step changes; there is no second copy.
    """
    known = {} if job.base is None else taken(job)
    model = preset.renewed(job.config, known, seed, device)
    if s.adapters:
        model = adapted(model, s, modules(new_ones(model, known)) if known else [], seed)
    freeze(model, s.frozen)
    return model


# ---- what a folder gives to a model with another head ----


def taken(job: Job) -> dict[str, Tensor]:
    """The folder's weights by their names in the new model."""
    weights = dict(job.base.model.named_parameters())
    return {new: weights[old].detach() for new, old in names_of(job).items() if old in weights}


def names_of(job: Job) -> dict[str, str]:
    """Names of parameters in the new model -> in the folder's, of those that are the same.

    Two are the same where Hugging Face's files call them by one name: so the dense matrix that is BERT's pooler becomes
    the one before its labels, and the one before its words does not. What the old head says with, such as its labels,
    is taken over by a head that says the same alone.
    """
    old, new = job.base.config, job.config
    theirs = {bare(row.theirs): row.ours for row in hub.table(old)}
    found = {ours: other for row in hub.table(new)
             for ours, other in zip(row.ours, theirs.get(bare(row.theirs), ()), strict=False)}  # fmt: skip
    alike = says_the_same(old.head, new.head)
    return {ours: other for ours, other in found.items() if alike or not other.startswith(OUTPUTS)}


def says_the_same(old: Head, new: Head) -> bool:
    """Whether two heads say the same: words, or the same labels for the same problem."""
    if old.kind in WORDS:
        return new.kind in WORDS
    return (old.kind, old.labels) == (new.kind, new.labels) and old.problem in (None, new.problem)


def new_ones(model: Transformer, known: dict[str, Tensor]) -> list[str]:
    """The parameters of a model that none of the known weights fits."""
    return [name for name, p in model.named_parameters() if name not in known or known[name].shape != p.shape]


def modules(names: Iterable[str]) -> list[str]:
    """The modules that parameters belong to, each once."""
    return sorted({name.rpartition(".")[0] or name for name in names})


def said(job: Job) -> str:
    """What is new in the model of a run that begins with a folder, and what of the folder goes; "" where nothing is."""
    if job.base is None:
        return ""
    names, known = names_of(job), taken(job)
    with torch.device("meta"):
        model = Transformer(job.config)
    new = new_ones(model, known)
    used = {old for name, old in names.items() if name not in new}
    left = [name for name, _ in job.base.model.named_parameters() if name not in used]
    told = [f"New in the model, drawn from the seed: {', '.join(modules(new))}."] if new else []
    told += [f"Of {job.base.folder} not taken over: {', '.join(modules(left))}."] if left else []
    return " ".join(told)


def adapted(model: Transformer, s: Running, new: list[str], seed: int) -> Transformer:
    """The model with adapters; what is new in it, such as a head, learns whole beside them."""
    wanted = s.adapters
    if wanted.base == "bfloat16":
        model = model.bfloat16()
    elif wanted.base != "float32":
        scheme = quantize.Scheme(int(wanted.base[3:]))
        model = quantize.plainly(quantize.quantize(model, scheme))  # the packed kernels have no gradient
    whole = tuple(dict.fromkeys((*wanted.whole, *new)))
    return lora.wrap(model, replace(wanted.plain, whole=whole), seed)


def freeze(model: Transformer, beginnings: tuple[str, ...]) -> None:
    """Parameters whose names begin so stay as they are. SettingsError for a beginning of none, or of all."""
    names = [name for name, _ in model.named_parameters()]
    for begin in beginnings:
        if not any(starts(name, begin) for name in names):
            kinds = sorted({name.split(".blocks.")[0].removesuffix(".weight").removesuffix(".bias") for name in names})
            raise SettingsError(f"freeze: no parameter of this model begins with {begin!r}; it has {', '.join(kinds)}, "
                                "and encoder.blocks.0 and so on")  # fmt: skip
    for name, p in model.named_parameters():
        if any(starts(name, begin) for begin in beginnings):
            p.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise SettingsError(f"freeze: {', '.join(beginnings)} leaves nothing that learns; freeze less")


def starts(name: str, begin: str) -> bool:
    """Whether a name begins with these whole parts."""
    return name == begin or name.startswith(begin.rstrip(".") + ".")


def twin_of(model: Transformer, s: Running) -> Transformer:
    """A second model over the same weights, for measuring and writing in between."""
    if not s.adapters:
        return model.twin()
    shared = {id(t): t for t in model.state_dict(keep_vars=True).values()}
    return copy.deepcopy(model, shared).eval()


def trained(s: Running) -> Training:
    """The settings of the loop as this run wants them: adapters have a rate of their own."""
    if not s.adapters:
        return s.training
    return replace(s.training, optim=replace(s.training.optim, rate=s.adapters.rate, matrix_rate=s.adapters.rate))
