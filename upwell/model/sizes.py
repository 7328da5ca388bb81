"""The size of a new model, as one asks for it. Imports no torch, so that a help text comes at once."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sizes:
    """The size of a new model."""

    family: Literal["nanochat", "llama", "qwen3", "gpt2"] = "nanochat"
    """The layout: nanochat learns fastest for its size; llama, qwen3 and gpt2 are the widely served ones."""
    width: int = 256
    """Numbers that stand for one token."""
    layers: int = 4
    """Blocks."""
    heads: int = 4
    """Attention heads."""
    kv_heads: int = 0
    """Key and value heads; 0: as many as heads."""
    ffn_width: int = 0
    """Inner width of the feed-forward; 0: four times the width (8/3 of it where it is gated)."""
    tied: bool = False
    """Whether the output matrix is the embedding itself."""
    theta: float = 10000.0
    """Base of the rotary wavelengths."""

    def __post_init__(self):
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} is {getattr(self, name)}; expected a whole number of 1 or more")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"model.width {self.width} cannot be shared by {self.heads} heads of an even size")
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"model.heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
