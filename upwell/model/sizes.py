"""The size of a new model, as one asks for it. Imports no torch, so that a help text comes at once."""

from dataclasses import dataclass, replace
from typing import Literal

FAMILIES = {
    "decoder": ("nanochat", "llama", "qwen3", "gpt2"), "encoder": ("bert", "modernbert"),
    "encoder-decoder": ("t5", "bart"),
}  # fmt: skip
"""Layouts of new models by their shape; the first of each is what `auto` takes."""


@dataclass(frozen=True)
class Sizes:
    """The size of a new model."""

    family: Literal["auto", "nanochat", "llama", "qwen3", "gpt2", "bert", "modernbert", "t5", "bart"] = "auto"
    """The layout; auto: what the objective needs. Decoders: nanochat learns fastest for its size; llama, qwen3 and gpt2
    are the widely served ones. Encoders: bert, modernbert. Encoder-decoders: t5, bart."""
    width: int = 256
    """Numbers that stand for one token."""
    layers: int = 4
    """Blocks; of an encoder-decoder so many on each side."""
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
    dropout: float = 0.0
    """Share of numbers that training leaves out, where the layout has such places (not nanochat, llama, qwen3)."""

    def __post_init__(self):
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} is {getattr(self, name)}; expected a whole number of 1 or more")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"model.width {self.width} cannot be shared by {self.heads} heads of an even size")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout is {self.dropout}; expected 0 or more and less than 1")
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"model.heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")

    def of(self, shapes: tuple[str, ...]) -> "Sizes":
        """With a family of one of these shapes where none was chosen; ValueError where the chosen one has another."""
        known = [family for shape in shapes for family in FAMILIES.get(shape, ())]
        if self.family == "auto" and known:
            return replace(self, family=known[0])
        if self.family not in known:
            raise ValueError(f"model.family is {self.family}; this objective is learnt by {', '.join(known) or 'none'}")
        return self
