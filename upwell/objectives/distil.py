"""A small model learns from a large one: what it gives each word, and how its layers see the text.

The places are those that another objective asks (`base`). Three terms: soft, the divergence from the teacher's shares
at a temperature; hard, the base's own cross-entropy; hidden, the distance of layers (of a decoder, else of an encoder)
from the teacher's, mapped uniformly and, where widths differ, through a learnt projection that stands beside the
student's weights and in no folder. With the base vectors a text is one vector: soft is 1 - cosine to the teacher's,
hard is nothing, and layers are compared at every token.

    objective = begun(model, settings)      # opens the teacher once; takes this module's place for the run

Source: Hinton, Vinyals, Dean 2015, arXiv 1503.02531; Sanh et al. 2019, arXiv 1910.01108; Jiao et al. 2020, arXiv
1909.10351 (layers).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from upwell.errors import CheckpointError, SettingsError
from upwell.text import Document
from upwell.tokens.batches import IGNORE
from upwell.tokens.tokenizer import Tokenizer

from . import Example, Part, _vectors
from . import causal as _causal
from . import masked as _masked
from . import pairs as _pairs

if TYPE_CHECKING:
    from torch import Tensor

    from upwell.model.config import Config

SHAPES = ("decoder", "encoder", "encoder-decoder")
TERMS = ("soft", "hard", "hidden")
READ = ("documents", "mask", "types", "source", "source_mask")  # what a model is given beside ids
PIECE = 1 << 22  # logits held at once
SEED = 7  # of the projection's first numbers


@dataclass(frozen=True)
class Settings:
    """Who teaches, and what."""

    teacher: Path | None = None
    """The folder of the model to learn from; it has the same vocabulary."""
    base: Literal["causal", "masked", "pairs", "vectors"] = "causal"
    """The objective whose places are learnt; vectors: whole texts, for a teacher that gives a vector each."""
    inherit: bool = False
    """A new student of the teacher's width begins with its embeddings and, for each block, with one of its blocks."""
    temperature: float = 2.0
    """Logits are divided by it before they become shares; higher shows more of what the teacher thinks unlikely."""
    soft: float = 0.5
    """Weight of the teacher's shares."""
    hard: float = 0.5
    """Weight of the text's own words."""
    hidden: float = 0.0
    """Weight of the layers' distance; 0: layers are not compared."""
    distance: Literal["cosine", "mse"] = "cosine"
    """How layers are compared: 1 - cosine, or the mean squared difference."""
    causal: _causal.Settings = field(default_factory=_causal.Settings)
    """Of the base causal."""
    masked: _masked.Settings = field(default_factory=_masked.Settings)
    """Of the base masked."""
    pairs: _pairs.Settings = field(default_factory=_pairs.Settings)
    """Of the base pairs."""
    vectors: _vectors.Settings = field(default_factory=_vectors.Settings)
    """Of the base vectors."""

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; expected more than 0, as 2")
        if min(self.soft, self.hard, self.hidden) < 0 or not (self.soft or self.hard or self.hidden):
            raise ValueError("the weights soft, hard and hidden are below 0 or all 0; expected one above 0")


BASES = {"causal": _causal, "masked": _masked, "pairs": _pairs, "vectors": _vectors}
WORDS = ("language", "masked", "pretrain")


def base(settings: Settings) -> tuple[Any, Any]:
    """The objective whose places are learnt, and its settings."""
    return BASES[settings.base], getattr(settings, settings.base)


def fitted(config: "Config", part: Part, settings: Settings) -> "Config":
    """The config that the base wants; SettingsError or CheckpointError for a teacher that cannot teach it."""
    from upwell.model import hub, sentences

    room, options = base(settings)
    config = room.fitted(config, part, options)
    if settings.teacher is None:
        raise SettingsError("there is no teacher; name a folder: --learn.teacher FOLDER")
    teacher = sentences.declared(settings.teacher, hub.read_config(settings.teacher))
    if settings.base == "vectors" and teacher.head.kind == "embed":
        config = config.with_(head=teacher.head, pooler=False)
    _check(teacher, config, settings)
    theirs, ours = Tokenizer.load(settings.teacher), part.tokenizer
    if ours is not None and theirs.hash != ours.hash and theirs.inner.get_vocab() != ours.inner.get_vocab():
        raise CheckpointError(f"{settings.teacher}: its tokens are not those of the data, so its words cannot be "
                              f"compared; prepare the text with --tokenizer {settings.teacher}")  # fmt: skip
    return config


def _check(teacher: "Config", student: "Config", settings: Settings) -> None:
    room, _ = base(settings)
    kinds, what = (("embed",), "one vector a text") if settings.base == "vectors" else (WORDS, "words")
    if teacher.shape not in room.SHAPES or teacher.head.kind not in kinds:
        raise CheckpointError(f"{settings.teacher}: found the shape {teacher.shape} and the head {teacher.head.kind}, "
                              f"expected a model that gives {what} as {settings.base} asks for them")  # fmt: skip
    if settings.base == "vectors" and teacher.width != student.width:
        raise SettingsError(f"the teacher's vectors have {teacher.width:,} numbers, the student's {student.width:,}; "
                            f"expected the same: --model.width {teacher.width}")  # fmt: skip
    if settings.inherit and (teacher.width, teacher.heads) != (student.width, student.heads):
        raise SettingsError(f"the student cannot inherit: the teacher has {teacher.heads} heads in a width of "
                            f"{teacher.width:,}, the student {student.heads} in {student.width:,}; expected the same")
    if (teacher.vocab, teacher.shape) != (student.vocab, student.shape):
        raise CheckpointError(f"{settings.teacher}: the teacher has {teacher.vocab:,} words and the shape "
                              f"{teacher.shape}, the student {student.vocab:,} and {student.shape}; expected the same")


def samples(part: Part, rows: int, seed: int, settings: Settings):
    """The base's sampler."""
    room, options = base(settings)
    return room.samples(part, rows, seed, options)


def counts(batch, settings: Settings) -> tuple[int, int, int]:
    """How many words a batch asks for, for each term; of vectors texts, texts and tokens."""
    room, options = base(settings)
    if settings.base == "vectors":
        texts, tokens = room.counts(batch, options)
        return texts, texts, tokens
    return (int(room.counts(batch, options)[0]),) * 3


def loss(model, batch, settings: Settings) -> "Tensor":
    """What `begun` gives has this; without a teacher there is none: SettingsError."""
    raise SettingsError("the teacher is not open; take the objective that distil.begun(model, settings) gives")


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """What the base asks."""
    room, options = base(settings)
    return room.examples(documents, tokenizer, template, options)


# ---- with a teacher ----


def begun(model, settings: Settings) -> "Taught":
    """The objective with its teacher, opened on the student's device; the student gets its projection as `aside`."""
    from upwell.model import hub

    if settings.teacher is None:
        raise SettingsError("there is no teacher; name a folder: --learn.teacher FOLDER")
    teacher = hub.load(settings.teacher, model.device).model
    _check(teacher.config, model.config, settings)
    if settings.inherit:
        inherit(model, teacher)
    return Taught(model, teacher.eval().requires_grad_(False), settings)


class Taught:
    """This module with a teacher: TERMS, samples, counts, tokens and loss, as objectives have them."""

    SHAPES, TERMS = SHAPES, TERMS
    Settings = Settings
    fitted, samples, counts, examples = map(staticmethod, (fitted, samples, counts, examples))

    def __init__(self, model, teacher, settings: Settings):
        self.teacher = teacher
        room, _ = base(settings)
        if hasattr(room, "tokens"):
            self.tokens = room.tokens
        if settings.base == "vectors":
            self.scored = self.alike
        elif hasattr(room, "scored"):
            self.scored = lambda model, batch, part, settings: room.scored(model, batch, part, base(settings)[1])
        self.layers = layers(model, teacher) if settings.hidden else []
        self.aside = None
        if self.layers and model.config.width != teacher.config.width:
            self.aside = model.aside = projection(len(self.layers), model, teacher)

    def loss(self, model, batch, settings: Settings) -> "Tensor":
        """The weighted sums of the three terms, (3,)."""
        import torch

        given = {name: getattr(batch, name) for name in READ if name in batch._fields}
        if model.config.shape == "decoder":  # padding stands behind all tokens, which do not see it
            given.pop("mask", None)
        ours, held = watched(model, [one for one, _ in self.layers], batch.ids, given)
        with torch.no_grad():
            theirs, shown = watched(self.teacher, [other for _, other in self.layers], batch.ids, given)
        if settings.base == "vectors":
            soft = (1 - self.cosine(model, ours, theirs, batch)).sum()
            total = torch.stack([soft * settings.soft, soft * 0, soft * 0])
            if self.layers:
                total[2] = settings.hidden * self.apart(held, shown, batch, settings)
            return total
        targets = batch.targets[batch.targets != IGNORE]
        soft, hard = words(model, self.teacher, at(ours, batch), at(theirs, batch), targets, settings.temperature)
        total = torch.stack([soft * settings.soft, hard * settings.hard, soft * 0])
        if self.layers:
            total[2] = settings.hidden * self.apart(held, shown, batch, settings)
        return total

    def cosine(self, model, ours: "Tensor", theirs: "Tensor", batch) -> "Tensor":
        """How alike both models' vectors of each text are, (B,)."""
        from torch.nn import functional as F

        pair = (_vectors.vectors(one, hidden, batch) for one, hidden in ((model, ours), (self.teacher, theirs)))
        return F.cosine_similarity(*pair, dim=-1)

    def alike(self, model, batch, part: Part, settings: Settings) -> dict[str, tuple["Tensor", "Tensor"]]:
        """The cosine of both models' vectors of held-out texts."""
        import torch

        mask = None if model.config.shape == "decoder" else batch.mask
        found = self.cosine(model, *(one.hidden(batch.ids, mask=mask) for one in (model, self.teacher)), batch)
        return {"cosine": (found, torch.ones_like(found))}

    def apart(self, held: list["Tensor"], shown: list["Tensor"], batch, settings: Settings) -> "Tensor":
        """The summed distance of layers, their mean at each place that is asked."""
        from torch.nn import functional as F

        total = 0
        for number, (ours, theirs) in enumerate(zip(held, shown, strict=True)):
            ours, theirs = wide(at(ours, batch)), wide(at(theirs, batch))
            ours = ours if self.aside is None else self.aside[number](ours)
            if settings.distance == "cosine":
                total = total + (1 - F.cosine_similarity(ours, theirs, dim=-1)).sum()
            else:
                total = total + (ours - theirs).square().mean(-1).sum()
        return total / len(self.layers)


def words(model, teacher, ours: "Tensor", theirs: "Tensor", targets: "Tensor", temperature: float):
    """Last vectors (N, D) of both and the targets (N,) -> (summed divergence times temperature squared, summed nats).

    A piece of the logits at a time, which the backward pass computes again.
    """
    import torch
    from torch.nn import functional as F
    from torch.utils.checkpoint import checkpoint

    def piece(ours: "Tensor", theirs: "Tensor", targets: "Tensor") -> "Tensor":
        logits = wide(model.logits(model.top(ours, None, None)))
        with torch.no_grad():
            wanted = torch.log_softmax(wide(teacher.logits(teacher.top(theirs, None, None))) / temperature, -1)
        found = torch.log_softmax(logits / temperature, -1)
        soft = F.kl_div(found, wanted.to(found.dtype), reduction="sum", log_target=True) * temperature**2
        return torch.stack([soft, F.cross_entropy(logits, targets, reduction="sum")])

    rows = max(1, PIECE // model.config.vocab)
    parts = list(zip(ours.split(rows), theirs.split(rows), targets.split(rows), strict=True))
    if len(parts) == 1:
        return piece(*parts[0])
    return sum((checkpoint(piece, *part, use_reentrant=False) for part in parts), start=wide(ours.new_zeros(2)))


def at(x: "Tensor", batch) -> "Tensor":
    """Vectors (B, T, D) at the places that a batch asks for, (N, D); where it asks for none, at all tokens."""
    if "targets" not in batch._fields:
        return x[batch.mask] if x.shape[:2] == batch.mask.shape else x[0]
    asked = batch.targets != IGNORE
    if "places" in batch._fields:
        x = x.gather(1, batch.places[..., None].expand(-1, -1, x.shape[-1]))
    elif x.shape[:2] != asked.shape:  # an encoder that leaves padding out has all texts in one row
        return x[0][asked[batch.mask]]
    return x[asked]


def layers(student, teacher) -> list[tuple[int, int]]:
    """Which block of the teacher each block of the student is to be like: the student's, spread over the teacher's."""
    ours, theirs = len(stack(student).blocks), len(stack(teacher).blocks)
    return [(number, (number + 1) * theirs // ours - 1) for number in range(ours) if (number + 1) * theirs // ours]


def inherit(student, teacher) -> None:
    """Give a student the teacher's weights that both have, and of blocks those that `layers` compares."""
    import torch

    known = dict(teacher.named_parameters())
    side = "encoder" if teacher.decoder is None else "decoder"
    theirs = {f"{side}.blocks.{ours}.": f"{side}.blocks.{other}." for ours, other in layers(student, teacher)}
    with torch.no_grad():
        for name, p in student.named_parameters():
            begin = ".".join(name.split(".")[:3]) + "."
            other = known.get(theirs.get(begin, begin) + name.removeprefix(begin) if begin in theirs else name)
            if other is not None and other.shape[1:] == p.shape[1:] and len(other) >= len(p):
                p.copy_(other[: len(p)])  # a shorter context has fewer places


def stack(model):
    """The blocks whose vectors become words: the decoder's, or where there is none the encoder's."""
    return model.encoder if model.decoder is None else model.decoder


def watched(model, blocks: list[int], ids: "Tensor", given: dict) -> tuple["Tensor", list["Tensor"]]:
    """(the last vectors, what these blocks give)."""
    seen: dict[int, Tensor] = {}
    hooks = []
    for number in set(blocks):
        hooks.append(stack(model).blocks[number].register_forward_hook(_keeper(seen, number)))
    try:
        return model.hidden(ids, **given), [seen[number] for number in blocks]
    finally:
        for hook in hooks:
            hook.remove()


def _keeper(seen: dict, number: int):
    def keep(block, inputs, output) -> None:
        seen.setdefault(number, output)

    return keep


def wide(x: "Tensor") -> "Tensor":
    """float32 or wider."""
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def projection(count: int, student, teacher):
    """One matrix a layer from the student's width to the teacher's, which no state_dict holds.

    Parameters of the student as long as it learns, so that optimizer, processes and states treat them as all others;
    a folder, or a copy that reads the state_dict, has none of them.
    """
    import torch
    from torch import nn

    class Aside(nn.ModuleList):
        def state_dict(self, *args, destination=None, prefix: str = "", keep_vars: bool = False):
            return {} if destination is None else destination

    made = Aside()
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(count):
        line = nn.utils.skip_init(nn.Linear, student.config.width, teacher.config.width, bias=False)
        first = torch.randn(line.weight.shape, generator=generator) / student.config.width**0.5
        line.weight.data.copy_(first)
        made.append(line)
    return made.to(student.device, student.dtype)
