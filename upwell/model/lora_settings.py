"""The adapters that one asks for. Imports no torch, so that a help text comes at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters beside frozen matrices."""

    targets: tuple[str, ...] = ()
    """Which matrices, by the ends of their names (attn.q, attn.v, ffn.down, ...); none: every matrix of the blocks."""
    rank: int = 16
    """Numbers in the middle: the adapter of an (out, in) matrix has rank * (out + in) of them."""
    alpha: float = 32.0
    """Weight of the adapter: it is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Share of an adapter's inputs that training leaves out."""
    rslora: bool = False
    """Multiply by alpha / sqrt(rank) instead, which keeps large ranks from learning too slowly."""
    whole: tuple[str, ...] = ()
    """Modules that learn as they are and are saved whole beside the adapters, such as head for a new classifier."""

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"lora.rank is {self.rank}; expected a whole number of 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout is {self.dropout}; expected 0 or more and less than 1")
