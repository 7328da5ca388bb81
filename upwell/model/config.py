"""One record that describes every Transformer that upwell knows. A family translates a config.json into it and back.

It knows nothing of files, weights or training.
"""

from dataclasses import dataclass, replace
from typing import Literal

from ..errors import CheckpointError


@dataclass(frozen=True)
class Config:
    """The shape of a Transformer. Lengths are in tokens, widths in numbers; no field without a family that uses it."""

    family: str
    """The file in model/families that reads and writes it."""
    kind: str
    """The model_type of its config.json."""
    vocab: int
    """V, the number of token ids."""
    width: int
    """D, the numbers that stand for one token."""
    decoder_layers: int
    """How many blocks."""
    heads: int
    """H, the query heads of each attention."""
    kv_heads: int
    """Key and value heads; each serves heads / kv_heads query heads."""
    head_dim: int
    """Numbers in one head."""
    ffn_width: int
    """Inner width of the feed-forward."""
    context: int
    """The longest text that the model reads."""
    positions: Literal["learned", "rotary"]
    """How a token knows its place."""
    rotary_theta: float = 10000.0
    """Base of the rotary wavelengths."""
    rotary_sign: int = 1
    """1 turns as the paper does, -1 the other way (nanochat)."""
    norm: Literal["layer", "rms"] = "rms"
    """LayerNorm or RMSNorm."""
    norm_weight: bool = True
    """Whether norms have a learned weight."""
    norm_eps: float = 1e-6
    """Added under the square root of a norm."""
    embed_norm: bool = False
    """A norm between the embedding and the first block."""
    qk_norm: Literal["none", "before", "after"] = "none"
    """A norm over each head of queries and keys, before or after the rotation."""
    activation: Literal["gelu", "gelu_tanh", "silu", "relu", "relu2"] = "silu"
    """The feed-forward's curve; relu2 is the square of relu."""
    gated: bool = True
    """Whether a second projection multiplies the activation (SwiGLU and its family)."""
    qkv_bias: bool = False
    """Biases of queries, keys and values."""
    out_bias: bool = False
    """Bias of the attention's output."""
    ffn_bias: bool = False
    """Biases of the feed-forward."""
    tied: bool = False
    """Whether the output matrix is the embedding itself."""
    logit_cap: float | None = None
    """Logits are bent into (-cap, cap) by tanh."""
    dropout: float = 0.0
    """Of embeddings and of what each block adds."""
    attention_dropout: float = 0.0
    """Of attention weights."""
    init_std: float = 0.02
    """Spread of a new model's weights."""
    bos: int | None = None
    """Id that begins a text."""
    eos: int | tuple[int, ...] | None = None
    """Id, or ids, that end a text."""
    pad: int | None = None
    """Id that fills up a batch."""

    def __post_init__(self):
        for name in ("vocab", "width", "decoder_layers", "heads", "kv_heads", "head_dim", "ffn_width", "context"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CheckpointError(f"model.{name}: found {value!r}, expected a whole number of 1 or more")
        if self.heads % self.kv_heads:
            raise CheckpointError(f"model.heads: {self.heads} query heads cannot share {self.kv_heads} key heads")
        if self.positions == "rotary" and self.head_dim % 2:
            raise CheckpointError(f"model.head_dim: {self.head_dim} is odd, and rotary positions turn pairs of numbers")

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end a text."""
        if self.eos is None:
            return frozenset()
        return frozenset((self.eos,) if isinstance(self.eos, int) else self.eos)

    def with_(self, **changes) -> "Config":
        """A copy with some fields changed."""
        return replace(self, **changes)
