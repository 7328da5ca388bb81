"""What one may choose about training. Imports no torch, so that a help text comes at once."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """How the learning rate rises and falls."""

    warmup: int = 20
    """Steps in which the rate rises linearly from 0."""
    from_zero: bool = False
    """The first step of the warm-up has the rate 0, as transformers counts; otherwise its share of the peak."""
    decay: Literal["linear", "cosine", "constant", "inverse_sqrt", "wsd"] = "linear"
    """How it falls: linear and cosine over the last `cooldown` of the run; inverse_sqrt from the warm-up on, by the
    root of the steps; wsd (warm-up, stable, decay) as 1 - root over `cooldown`, there 0.2 where nothing is said."""
    cooldown: float = 1.0
    """The last share of the run, in which it falls; before that it stays at its peak."""
    final: float = 0.0
    """Where it ends, as a share of its peak."""

    def __post_init__(self):
        if self.warmup < 0:
            raise ValueError(f"schedule.warmup is {self.warmup}; expected 0 or more steps")
        for name in ("final", "cooldown"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"schedule.{name} is {getattr(self, name)}; expected a share from 0 to 1")


@dataclass(frozen=True)
class Optim:
    """Which optimizer, and its rates."""

    name: Literal["muon", "adamw", "adafactor", "sgd"] = "muon"
    """muon: Muon for matrices inside the blocks and AdamW for the rest; adamw, adafactor, sgd: one for all."""
    rate: float = 3e-3
    """Peak learning rate of everything that is not Muon's. SGD wants about 0.1 to 10, Adafactor 0.003 to 0.03."""
    embed_rate: float = 0.0
    """Peak learning rate of the embedding; 0: as `rate`."""
    head_rate: float = 0.0
    """Peak learning rate of the output matrix; 0: as `rate`."""
    matrix_rate: float = 0.02
    """Peak learning rate of Muon."""
    beta1: float = 0.9
    """How slowly AdamW's mean of gradients moves."""
    beta2: float = 0.95
    """How slowly AdamW's mean of squared gradients moves."""
    momentum: float = 0.95
    """Muon's and SGD's momentum; 0: plain SGD."""
    momentum_start: float = 0.95
    """Muon's momentum at the first step; it rises linearly to `momentum`."""
    momentum_steps: int = 100
    """Steps in which it rises."""
    weight_decay: float = 0.0
    """Pull of matrices towards 0, times the learning rate; never of norms and biases."""
    nesterov: bool = True
    """SGD looks one step of its momentum ahead."""
    layer_decay: float = 1.0
    """Each block learns at this share of the rate of what stands above it, such as 0.8; embeddings count as a block
    below all others."""

    def __post_init__(self):
        for name in ("rate", "matrix_rate"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected a number above 0, at most 100")
        for name in ("beta1", "beta2", "momentum", "momentum_start"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected 0 or more and less than 1")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"optim.layer_decay is {self.layer_decay}; expected a share above 0, at most 1")


@dataclass(frozen=True)
class Settings:
    """How a model is trained."""

    steps: int = 1000
    """How many optimizer steps."""
    rows: int = 16
    """Rows of `context` tokens in one step."""
    micro_rows: int = 0
    """Rows that go through the model at once; a step adds up rows / micro_rows of them. 0: all."""
    context: int = 256
    """Tokens in a row."""
    clip: float = 1.0
    """Largest norm of a step's gradient; longer ones are shortened. 0: no limit."""
    precision: Literal["auto", "float32", "bfloat16", "float16", "float8"] = "auto"
    """Number format of matrix products; auto measures which is faster here. float16 scales the loss; float8 wants a GPU
    that has it, multiplies the blocks' matrices in it and everything else in bfloat16."""
    compile: Literal["off", "wait", "background"] = "wait"
    """off: no compiler; wait: compile before the first step; background: begin at once, swap when compiled."""
    seed: int = 1
    """Chooses initial weights, the order of the data and dropout."""
    optim: Optim = field(default_factory=Optim)
    """The optimizer."""
    schedule: Schedule = field(default_factory=Schedule)
    """The learning rate over time."""
    checkpoint: bool = False
    """Blocks forget what they computed and compute it again for the gradients: less memory, a third more work."""
    average: float = 0.0
    """Share that the running average of the weights keeps of itself in each step, such as 0.999; the averaged weights
    are then what is measured and saved as the model. 0: none."""
    dropout: float | None = None
    """Share of numbers that training leaves out behind each part of a block; none: as the model's config says."""
    spike: float = 0.0
    """Stop where a step's loss is more than so many times the median of the 64 before it, such as 2. 0: never."""
    shards: int = 1
    """Of several processes (torchrun): how many divide one copy of the weights, gradients and what the optimizer
    remembers. 1: each has all of them (DDP); 0: all processes divide them (FSDP)."""
    silence: float = 10.0
    """Minutes after which a process that waits for another one ends the run."""

    def __post_init__(self):
        for name in ("steps", "rows", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a whole number of 1 or more")
        if self.micro_rows and (self.micro_rows < 1 or self.rows % self.micro_rows):
            raise ValueError(f"micro_rows is {self.micro_rows}; expected a divisor of rows, which is {self.rows}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; expected 0 or more and less than 1")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; expected 0 or more and less than 1")
        if self.shards < 0:
            raise ValueError(f"shards is {self.shards}; expected 0 (all processes), 1 (none) or a divisor of them")
        if not 0 < self.silence < 10_000:
            raise ValueError(f"silence is {self.silence}; expected minutes above 0")
        if self.spike and not 1 < self.spike:
            raise ValueError(f"spike is {self.spike}; expected 0, or a factor above 1")
