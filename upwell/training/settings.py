"""What one may choose about training. Imports no torch, so that a help text comes at once."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """How the learning rate rises and falls."""

    warmup: int = 20
    """Steps in which the rate rises linearly from 0."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls at the end."""
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

    name: Literal["muon", "adamw"] = "muon"
    """muon: Muon for matrices inside the blocks and AdamW for the rest; adamw: AdamW for all."""
    rate: float = 3e-3
    """Peak learning rate of AdamW."""
    embed_rate: float = 0.0
    """AdamW's peak learning rate of the embedding; 0: as `rate`."""
    head_rate: float = 0.0
    """AdamW's peak learning rate of the output matrix; 0: as `rate`."""
    matrix_rate: float = 0.02
    """Peak learning rate of Muon."""
    beta1: float = 0.9
    """How slowly AdamW's mean of gradients moves."""
    beta2: float = 0.95
    """How slowly AdamW's mean of squared gradients moves."""
    momentum: float = 0.95
    """Muon's momentum."""
    momentum_start: float = 0.95
    """Muon's momentum at the first step; it rises linearly to `momentum`."""
    momentum_steps: int = 100
    """Steps in which it rises."""
    weight_decay: float = 0.0
    """Pull of matrices towards 0, times the learning rate."""

    def __post_init__(self):
        for name in ("rate", "matrix_rate"):
            if not 0 < getattr(self, name) < 10:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected a number between 0 and 10")


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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of matrix products; auto measures which is faster here."""
    compile: Literal["off", "wait", "background"] = "wait"
    """off: no compiler; wait: compile before the first step; background: begin at once, swap when compiled."""
    seed: int = 1
    """Chooses initial weights, the order of the data and dropout."""
    optim: Optim = field(default_factory=Optim)
    """The optimizer."""
    schedule: Schedule = field(default_factory=Schedule)
    """The learning rate over time."""

    def __post_init__(self):
        for name in ("steps", "rows", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a whole number of 1 or more")
        if self.micro_rows and (self.micro_rows < 1 or self.rows % self.micro_rows):
            raise ValueError(f"micro_rows is {self.micro_rows}; expected a divisor of rows, which is {self.rows}")
