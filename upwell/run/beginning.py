"""The model that a run trains: first weights or a folder's, a new head, adapters, and what stays frozen.

    model = begun(job, settings, seed, device)
    twin = twin_of(model, settings)         # over the same weights, never compiled: for measuring and writing
"""

import copy
from dataclasses import replace

from ..errors import SettingsError
from ..model import lora, preset, quantize
from ..model.transformer import Transformer
from ..training.settings import Settings as Training
from .opening import Job
from .settings import Running

HEADS = ("top.", "head.", "head_bias")  # what another head must not take over


def begun(job: Job, s: Running, seed: int, device: str) -> Transformer:
    """The model with its first weights; only what is to learn asks for gradients."""
    known = {} if job.base is None else dict(job.base.model.named_parameters())
    other = job.base is not None and job.base.config.head != job.config.head
    known = {name: p.detach() for name, p in known.items() if not (other and name.startswith(HEADS))}
    model = preset.renewed(job.config, known, seed, device)
    new = sorted({name.rpartition(".")[0] or name for name, _ in model.named_parameters()
                  if name not in known or known[name].shape != model.get_parameter(name).shape})  # fmt: skip
    if s.adapters:
        model = adapted(model, s, new if known else [], seed)
    freeze(model, s.frozen)
    return model


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
