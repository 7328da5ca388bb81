"""What a model costs before it runs: its parts, parameters, operations and memory. No weight is held for it.

    tree(config) · operations(config, tokens) · training(config, ...) · serving(config, ...)

Operations are those of matrix products (a multiplication and an addition count two); norms, curves and rotations are
left out, they are a few in a hundred. Memory is what tensors hold: a process adds a few hundred MB of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from .blocks import Mixture
from .cache import Cache
from .config import Config
from .transformer import Stack, Transformer

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
GROUP = 32  # inputs of an int4 group
MOMENTS = {"adamw": 2, "sgd": 0, "momentum": 1, "adafactor": 0}  # float32 numbers kept for each that learns


@dataclass(frozen=True)
class Part:
    """A line of the tree: a module, or several equal ones."""

    depth: int
    name: str
    what: str
    """Its shape in words."""
    times: int
    """How many equal ones stand here."""
    parameters: int
    """Of one of them."""

    @property
    def total(self) -> int:
        """Of all of them."""
        return self.times * self.parameters


def skeleton(config: Config) -> Transformer:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return Transformer(config)


def parameters(config: Config) -> int:
    """How many numbers it learns; a tied output matrix counts once."""
    return sum(p.numel() for p in skeleton(config).parameters())


# ---- parts ----


def tree(config: Config) -> list[Part]:
    """The modules with weights from the outside in; equal blocks behind each other, and equal experts, are one line."""
    return list(parts(skeleton(config), 0))


def parts(module: nn.Module, depth: int) -> Iterator[Part]:
    """The lines below one module."""
    own = module.named_parameters(recurse=False) if any(True for _ in module.children()) else ()
    for name, p in own:
        yield Part(depth, name, " x ".join(map(str, p.shape)), 1, p.numel())
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield from folded(module, name, child, depth)
        elif weights(child):
            yield Part(depth, name, said(child), 1, weights(child))
            yield from parts(child, depth + 1)


def folded(owner: nn.Module, name: str, many: nn.ModuleList, depth: int) -> Iterator[Part]:
    """Equal neighbours of a list as one line."""
    for (_, what), run in groupby(enumerate(many), key=lambda pair: kind(owner, *pair)):
        numbers = [number for number, _ in run]
        span = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        first = many[numbers[0]]
        yield Part(depth, f"{name} {span}", what, len(numbers), weights(first))
        yield from parts(first, depth + 1)


def kind(owner: nn.Module, number: int, module: nn.Module) -> tuple[tuple, str]:
    """What makes two neighbours equal, and how it is said."""
    shapes = tuple((name, tuple(p.shape)) for name, p in module.named_parameters())
    if not isinstance(owner, Stack):
        return shapes, "expert"
    c = owner.config
    return shapes, f"block, window of {c.window} tokens" if number in c.window_layers else "block"


def weights(module: nn.Module) -> int:
    """Numbers that a module learns."""
    return sum(p.numel() for p in module.parameters())


def said(module: nn.Module) -> str:
    """A module's shape in a few words."""
    if isinstance(module, nn.Linear):
        return f"{module.in_features} -> {module.out_features}{' + bias' if module.bias is not None else ''}"
    if isinstance(module, nn.Embedding):
        return f"{module.num_embeddings} x {module.embedding_dim}"
    if hasattr(module, "kv_heads"):
        return f"{module.heads} heads of {module.head_dim}, {module.kv_heads} of keys and values"
    return f"{module.used} of {len(module.experts)} experts a token" if isinstance(module, Mixture) else ""


# ---- operations ----


@dataclass(frozen=True)
class Operations:
    """Operations of one forward pass over one text."""

    matrices: int
    """Of the weights."""
    attention: int
    """Of scores and of sums over values, counting only the keys that a token sees."""

    @property
    def all(self) -> int:
        """Both."""
        return self.matrices + self.attention


def operations(config: Config, tokens: int, source: int = 0) -> Operations:
    """What one forward pass over a text of so many tokens costs; source: tokens that the encoder of a pair reads.

    A training step costs three times as much: the backward pass computes every product twice.
    """
    c, two = config, config.shape == "encoder-decoder"
    read = {"encoder": (source or tokens) if two else tokens, "decoder": tokens, "": tokens}
    matrices = 0
    for name, part in skeleton(c).named_modules():
        if isinstance(part, nn.Linear):
            side = name.split(".")[0] if ".blocks." in name else ""
            times = read["encoder"] if ".cross.k" in name or ".cross.v" in name else read[side]
            times = 1 if once(c, name) else times
            share = (c.experts_used, c.experts) if ".experts." in name else (1, 1)
            matrices += 2 * part.in_features * part.out_features * times * share[0] // share[1]
    if c.tied and c.head.kind in ("language", "masked", "pretrain"):
        matrices += 2 * c.vocab * c.width * tokens
    return Operations(matrices, 4 * c.heads * c.head_dim * pairs(c, read["encoder"], tokens))


def once(c: Config, name: str) -> bool:
    """Whether a matrix reads one vector a text instead of one a token."""
    return name.startswith(("pooler", "pair")) or (name.startswith(("head", "top")) and c.head.pool != "none")


def pairs(c: Config, source: int, tokens: int) -> int:
    """Pairs of a token and one that it sees, over all blocks."""
    total = 0
    for number in range(c.encoder_layers):
        total += seen(source, c.window if number in c.window_layers else None, causal=False)
    for number in range(c.decoder_layers):
        total += seen(tokens, c.window if number in c.window_layers else None, causal=True)
        total += tokens * source if c.encoder_layers else 0
    return total


def seen(tokens: int, window: int | None, causal: bool) -> int:
    """Pairs of one block, the token itself included."""
    if not causal:
        side = tokens - 1 if window is None else min(window, tokens - 1)
        return tokens + 2 * (side * tokens - side * (side + 1) // 2)
    reach = tokens if window is None else min(window, tokens)
    return reach * (reach + 1) // 2 + (tokens - reach) * reach


# ---- memory ----


def training(config: Config, optimizer: str, batch: int, length: int, low: bool = False) -> dict[str, int]:
    """Bytes of a training step on batch x length tokens with float32 weights; low: matrix products in bfloat16.

    optimizer: muon, adamw, momentum, adafactor or sgd. The loss goes through the logits in pieces and is left out.
    """
    model = skeleton(config)
    every = sum(p.numel() for p in model.parameters())
    inner = sum(p.numel() for name, p in model.named_parameters() if ".blocks." in name and p.ndim == 2)
    moments = 2 * every - inner if optimizer == "muon" else MOMENTS[optimizer] * every
    return {"weights": 4 * every, "gradients": 4 * every, "optimizer": 4 * moments,
            "activations": activations(config, batch, length, low)}  # fmt: skip


def activations(c: Config, batch: int, length: int, low: bool = False) -> int:
    """Bytes that are kept for the backward pass, counted on tensors that have shapes and no memory.

    Which expert a token takes is not known before: a mixture counts as a feed-forward of its chosen experts' width.
    """
    if c.experts:
        c = c.with_(experts=0, experts_used=0, ffn_width=c.expert_width * c.experts_used)
    with FakeTensorMode():
        return kept(Transformer(c), batch, length, low)


def kept(model: Transformer, batch: int, length: int, low: bool = False) -> int:
    """Bytes that a model's forward pass keeps for the backward pass, its weights not counted. low: under autocast."""
    found: dict[int, torch.Tensor] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        whole = t if t._base is None else t._base
        if isinstance(whole, nn.Parameter):
            return t
        found[id(whole)] = whole  # held, so that no other tensor gets its number
        return t

    ids = torch.zeros(batch, length, dtype=torch.long, device=model.device)
    two = {"source": ids} if model.config.shape == "encoder-decoder" else {}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            model.train().hidden(ids, **two)
    return sum(t.numel() * t.element_size() for t in found.values())


def serving(config: Config, batch: int, length: int, weights: str = "bfloat16", cache: str = "bfloat16",
            source: int = 0) -> dict[str, int]:  # fmt: skip
    """Bytes of answering `batch` texts of `length` tokens at once; weights: as in `weight_bytes`."""
    found = {"weights": weight_bytes(config, weights), "cache": 0, "logits": 4 * batch * config.vocab}
    if config.decoder_layers:
        found["cache"] = cache_bytes(config, batch, length, BYTES[cache], source or length)
    return found


def weight_bytes(c: Config, kind: str) -> int:
    """Bytes of the weights as float32, bfloat16, float16, int8 or int4; the last two
    as `quantize` makes them, with scales in bfloat16 and an int8 embedding.
    """
    model = skeleton(c)
    if kind in BYTES:
        return BYTES[kind] * sum(p.numel() for p in model.parameters())
    total = 0
    for name, p in model.named_parameters():
        edge = name in ("embed.weight", "head.weight")
        if p.ndim != 2 or not (edge or ".blocks." in name) or ".router." in name:
            total += 2 * p.numel()
        elif kind == "int8" or edge:
            total += p.numel() + 2 * p.shape[0]
        elif p.shape[1] % GROUP:
            total += 2 * p.numel()
        else:
            total += p.numel() // 2 + 7 * p.numel() // GROUP  # scale 2, zero 1, the kernel's grid 4
    return total


def cache_bytes(c: Config, batch: int, length: int, size: int, source: int) -> int:
    """Bytes of keys and values: windowed blocks keep a ring, an encoder's text is kept by every block."""
    cache = Cache(c, batch, length, "meta", torch.float32)
    numbers = sum(t.numel() for t in [*cache.keys, *cache.values])
    other = 2 * c.decoder_layers * batch * c.kv_heads * c.head_dim * source if c.encoder_layers else 0
    return size * (numbers + other)
