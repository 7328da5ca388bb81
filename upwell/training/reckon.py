"""What a large run needs before it exists: memory of a process, bytes that it sends, seconds of a step. Nothing runs.

    way = Way(processes=64, shards=64, rows=1)
    memory(config, way) · sent(config, way) · seconds(config, way, machine)

Weights, gradients and what the optimizer remembers are float32, as training keeps them; products may be bfloat16.
Counts of parameters and of what the backward pass keeps come from a model without memory; blocks are taken to be alike,
so two small models tell of any depth. What a process has beside its tensors (a GPU's context, about 1 GB; the
allocator's gaps, 5 to 10 %) is not in it. docs/scale.md sets what it says beside what was measured.
"""

from dataclasses import dataclass

from ..model import budget
from ..model.config import Config
from ..model.transformer import Transformer

FLOAT = 4  # bytes
PIECE = 1 << 22  # logits that the loss holds at once


@dataclass(frozen=True)
class Way:
    """How a step is shared."""

    processes: int = 1
    """One for each GPU."""
    shards: int = 1
    """How many of them divide one copy of the weights."""
    rows: int = 1
    """Rows that go through the model at once in each process."""
    context: int = 4096
    """Tokens in a row."""
    micro: int = 1
    """Micro-batches of a step in each process."""
    optimizer: str = "adamw"
    """adamw, muon, adafactor, momentum or sgd."""
    low: bool = True
    """Matrix products in bfloat16."""
    checkpoint: bool = False
    """Blocks compute their activations again in the backward pass."""

    @property
    def tokens(self) -> int:
        """Of a step, over all processes."""
        return self.processes * self.rows * self.context * self.micro


@dataclass(frozen=True)
class Machine:
    """A kind of GPU and its links."""

    name: str
    memory: float
    """Bytes of one GPU."""
    rate: float
    """Operations a second of one GPU's matrix products, as its maker says."""
    inside: float
    """Bytes a second that a GPU sends to others of its node."""
    outside: float
    """Bytes a second that a GPU sends to other nodes."""
    node: int = 8
    """GPUs of a node."""


H100 = Machine("H100 80 GB, NVLink, 400 Gb/s a GPU", 80e9, 989e12, 450e9, 50e9)


@dataclass(frozen=True)
class Weights:
    """Parameters of a model by where they stand."""

    every: int
    blocks: int
    """In all blocks together."""
    block: int
    """In the largest one."""
    matrices: int
    """In the blocks' matrices, which Muon takes."""
    output: int
    """In the output matrix, which may be the embedding."""

    @property
    def outside(self) -> int:
        """Embeddings, output matrix, last norms."""
        return self.every - self.blocks


def weights(config: Config) -> Weights:
    """Counted on a model of two blocks a side."""
    model = budget.skeleton(at(config, 2))
    blocks = [block for stack in stacks(model) for block in stack.blocks]
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
    outside = sum(p.numel() for p in model.parameters()) - sum(sizes)
    matrices = [sum(p.numel() for p in block.parameters() if p.ndim == 2) for block in blocks]
    each = (config.encoder_layers, config.decoder_layers)
    firsts = [2 * i for i in range(len(stacks(model)))]
    depths = [depth for depth in each if depth]
    inside = sum(sizes[i] + (depth - 1) * sizes[i + 1] for i, depth in zip(firsts, depths, strict=True))
    flat = sum(matrices[i] + (depth - 1) * matrices[i + 1] for i, depth in zip(firsts, depths, strict=True))
    return Weights(outside + inside, inside, max(sizes), flat, config.vocab * config.width)


def stacks(model: Transformer) -> list:
    """Its encoder and its decoder."""
    return [stack for stack in (model.encoder, model.decoder) if stack is not None]


def at(config: Config, depth: int) -> Config:
    """The same model with so many blocks a side."""
    return config.with_(encoder_layers=depth * bool(config.encoder_layers),
                        decoder_layers=depth * bool(config.decoder_layers))  # fmt: skip


# ---- memory ----


def memory(config: Config, way: Way) -> dict[str, int]:
    """Bytes of the tensors of one process at the fullest moment of a step, by what they are.

    gathered: whole weights, and gradients on their way, of what a sharded model computes with just now: all that stands
    outside its blocks, and two blocks (the next one is fetched while this one works).
    """
    w = weights(config)
    moments = 2 * w.every - w.matrices if way.optimizer == "muon" else budget.MOMENTS[way.optimizer] * w.every
    loss = FLOAT * (w.output + PIECE) + way.rows * way.context * config.width * FLOAT
    later = max(0, FLOAT * (w.outside + 3 * w.block) - loss)  # not at the same moment as what the loss holds
    gathered = FLOAT * w.outside + later if way.shards > 1 else 0
    return {
        "weights": FLOAT * w.every // way.shards, "gradients": FLOAT * w.every // way.shards,
        "optimizer": FLOAT * moments // way.shards, "gathered": gathered, "activations": activations(config, way),
        "loss": loss,
    }  # fmt: skip


def activations(config: Config, way: Way) -> int:
    """Bytes that the forward pass keeps for the backward pass, counted on models of one and two blocks."""
    one, two = (budget.activations(at(config, depth), way.rows, way.context, way.low) for depth in (1, 2))
    depth = max(config.encoder_layers, config.decoder_layers)
    if not way.checkpoint:
        return one + (depth - 1) * (two - one)
    return one + (depth - 1) * way.rows * way.context * config.width * FLOAT  # each block keeps what it reads


# ---- communication ----


def sent(config: Config, way: Way) -> dict[str, int]:
    """Bytes that one process sends in a step, by what for; as many come in.

    copies: a sum around the ring sends gradients twice, less the own part: once a step, and after each micro-batch
    where they are divided too. shards: weights are gathered for the forward pass and, in blocks, again for the backward
    pass, gradients are summed where they belong; for every micro-batch. Muon sends each divided matrix to the process
    that makes it orthogonal, and back.
    """
    w, others, copies = weights(config), (way.shards - 1) / way.shards, way.processes // way.shards
    times = way.micro if way.shards > 1 else 1
    found = {
        "copies": 2 * (copies - 1) / copies * FLOAT * w.every / way.shards * times,
        "gradients": others * FLOAT * w.every * way.micro,
        "weights": others * FLOAT * (w.outside + 2 * w.blocks) * way.micro,
        "matrices": 2 * others * FLOAT * w.matrices / way.shards if way.optimizer == "muon" else 0,
    }
    return {name: round(value) for name, value in found.items()}


# ---- time ----


def operations(config: Config, way: Way) -> float:
    """Operations of a step in one process: forward, twice as much backward, and forward again where it is repeated."""
    one, two = (budget.operations(at(config, depth), way.context).all for depth in (1, 2))
    depth = max(config.encoder_layers, config.decoder_layers)
    once = one + (depth - 1) * (two - one)
    return once * way.rows * way.micro * (4 if way.checkpoint else 3)


def seconds(config: Config, way: Way, machine: Machine, share: float = 0.45) -> dict[str, float]:
    """Seconds of a step: compute (at `share` of the maker's rate), links, and both, if all or nothing overlaps.

    Links: a group that fits into a node sends at its rate, one that spans nodes at that between them.
    """
    compute, found = operations(config, way) / (machine.rate * share), sent(config, way)
    near = way.shards <= machine.node
    links = found.pop("copies") / (machine.inside if way.processes <= machine.node else machine.outside)
    links += sum(found.values()) / (machine.inside if near else machine.outside)
    return {"compute": compute, "links": links, "at best": max(compute, links), "at worst": compute + links}
