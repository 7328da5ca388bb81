"""One record that describes every Transformer that upwell knows. A family translates a config.json into it and back.

It knows nothing of files, weights or training.
"""

from dataclasses import dataclass, replace
from typing import Literal

from ..errors import CheckpointError

Activation = Literal["gelu", "gelu_tanh", "silu", "relu", "relu2", "tanh"]
Pool = Literal["none", "first", "mean", "max", "last", "end"]


@dataclass(frozen=True)
class Scaling:
    """How rotary positions are stretched beyond the lengths of pretraining; see model/positions.py for sources."""

    kind: Literal["linear", "dynamic", "yarn", "llama3", "longrope"]
    factor: float | None = None
    """How many times longer; None: from `Config.context` and `original`."""
    original: int | None = None
    """Tokens of pretraining."""
    attention: float | None = None
    """What cos and sin are multiplied by (yarn, longrope); None: from the factor."""
    low: float = 1.0
    """llama3: wavelengths over original / low are stretched in full."""
    high: float = 4.0
    """llama3: wavelengths under original / high are kept."""
    fast: float = 32.0
    """yarn: pairs that turn more often than this within `original` are kept."""
    slow: float = 1.0
    """yarn: pairs that turn less often than this are stretched in full."""
    mscale: float | None = None
    """yarn: weight of log(factor) in `attention`, above the line."""
    mscale_all: float | None = None
    """yarn: the same, below the line."""
    truncate: bool = True
    """yarn: whether the borders between kept and stretched pairs are whole numbers."""
    short: tuple[float, ...] = ()
    """longrope: divisors of each pair's speed up to `original` tokens."""
    long: tuple[float, ...] = ()
    """longrope: the divisors for longer texts."""


@dataclass(frozen=True)
class Head:
    """What becomes of the last block's vectors: pool -> dense -> activation -> norm -> output matrix, each optional."""

    kind: Literal["language", "masked", "pretrain", "classify", "tag", "span", "embed", "none"] = "language"
    """pretrain: masked words and next-sentence prediction; embed: one vector a text; none: the vectors as such."""
    labels: tuple[str, ...] = ()
    """Names of the outputs of classify and tag."""
    pool: Pool = "none"
    """Which vector stands for the text: the first, last or end token's, or their mean or largest values."""
    dense: bool = False
    """A matrix (D, D) before the output."""
    dense_bias: bool = True
    """Its bias."""
    activation: Activation | None = None
    """The curve behind the dense matrix."""
    norm: bool = False
    """A norm behind that."""
    bias: bool = False
    """Bias of the output matrix."""
    unit: bool = False
    """embed: vectors are brought to length 1."""
    problem: str | None = None
    """classify: single_label_classification, multi_label_classification or regression, as transformers calls them."""


@dataclass(frozen=True)
class Config:
    """The shape of a Transformer. Lengths are in tokens, widths in numbers; no field without a family that uses it."""

    family: str
    """The file in model/families that reads and writes it (or a path to one of your own)."""
    kind: str
    """The model_type of its config.json."""
    vocab: int
    """V, the number of token ids."""
    width: int
    """D, the numbers that stand for one token."""
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
    positions: Literal["learned", "rotary", "relative", "sinusoidal"]
    """How a token knows its place."""
    encoder_layers: int = 0
    """Blocks that see in both directions."""
    decoder_layers: int = 0
    """Blocks that see only what came before; they also look at the encoder where there is one."""
    position_offset: int = 0
    """Row of the learned positions where place 0 stands (RoBERTa and BART keep two rows for padding)."""
    token_types: int = 0
    """Kinds of tokens with an embedding of their own (BERT: first and second sentence)."""
    embed_scale: float = 1.0
    """Embeddings are multiplied by it."""
    embed_norm: bool = False
    """A norm between the embedding and the first block."""
    rotary_theta: float = 10000.0
    """Base of the rotary wavelengths."""
    rotary_sign: int = 1
    """1 turns as the paper does, -1 the other way (nanochat)."""
    rotary_share: float = 1.0
    """The share of each head that turns; the rest knows no place."""
    rotary_scaling: Scaling | None = None
    """How rotary positions are stretched."""
    buckets: int = 32
    """Relative positions: how many distances are told apart."""
    bucket_distance: int = 128
    """Relative positions: from this distance on all are one."""
    window: int | None = None
    """Tokens that a windowed block of a decoder sees, itself included; of an encoder: how far it sees to each side."""
    window_layers: tuple[int, ...] = ()
    """Which blocks are windowed."""
    window_theta: float | None = None
    """Base of the rotary wavelengths in windowed blocks, never stretched; None: as everywhere."""
    norm: Literal["layer", "rms"] = "rms"
    """LayerNorm or RMSNorm."""
    norm_weight: bool = True
    """Whether norms have a learned weight."""
    norm_bias: bool = True
    """Whether LayerNorms have a bias."""
    norm_offset: float = 0.0
    """Added to the weight of RMSNorms (Gemma stores w of 1 + w)."""
    norm_eps: float = 1e-6
    """Added under the square root of a norm."""
    norm_place: Literal["before", "after", "both", "parallel"] = "before"
    """Norms before attention and feed-forward, behind the sum, before and behind each, or before both side by side."""
    first_norm: bool = True
    """Whether the first block has a norm before its attention (ModernBERT has not)."""
    last_norm: bool = True
    """A norm behind the last block."""
    qk_norm: Literal["none", "before", "after"] = "none"
    """A norm over each head of queries and keys, before or after the rotation."""
    attention_scale: float | None = None
    """Scores are multiplied by it; None: 1 / sqrt(head_dim)."""
    attention_cap: float | None = None
    """Scores are bent into (-cap, cap) by tanh."""
    activation: Activation = "silu"
    """The feed-forward's curve; relu2 is the square of relu, gelu_tanh its approximation by tanh."""
    gated: bool = True
    """Whether a second projection multiplies the activation (SwiGLU and its family)."""
    experts: int = 0
    """Feed-forwards of a mixture, of which a router chooses a few for each token; 0: no mixture."""
    experts_used: int = 0
    """How many it chooses."""
    expert_width: int = 0
    """Inner width of each."""
    expert_norm: bool = True
    """Whether the chosen ones' shares sum to 1."""
    dense_layers: tuple[int, ...] = ()
    """Blocks with a plain feed-forward in spite of the mixture."""
    qkv_bias: bool = False
    """Biases of queries, keys and values."""
    out_bias: bool = False
    """Bias of the attention's output."""
    ffn_bias: bool = False
    """Biases of the feed-forward."""
    head: Head = Head()
    """What becomes of the last block's vectors."""
    pooler: bool = False
    """BERT's dense tanh over the first token, beside the head."""
    tied: bool = False
    """Whether the output matrix is the embedding itself."""
    logit_scale: float = 1.0
    """What the output matrix reads is multiplied by it (tied T5: D ** -0.5)."""
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
    start: int | None = None
    """Id with which the decoder of an encoder-decoder begins."""

    def __post_init__(self):
        for name in ("vocab", "width", "heads", "kv_heads", "head_dim", "ffn_width", "context"):
            self._whole(name, 1)
        for name in ("encoder_layers", "decoder_layers"):
            self._whole(name, 0)
        if not self.layers:
            raise CheckpointError("model: found 0 layers, expected 1 or more in the encoder or the decoder")
        if self.heads % self.kv_heads:
            raise CheckpointError(f"model.heads: {self.heads} query heads cannot share {self.kv_heads} key heads")
        if self.positions == "rotary" and self.rotary_dim % 2:
            raise CheckpointError(f"model.head_dim: {self.rotary_dim} numbers of each head turn in pairs; that is odd")
        if self.window_layers and (self.window is None or self.window < 1):
            raise CheckpointError(f"model.window: found {self.window!r}, expected 1 or more: some blocks are windowed")
        if not 0 <= self.experts_used <= self.experts:
            raise CheckpointError(f"model.experts: {self.experts_used} of {self.experts} experts cannot be chosen")

    def _whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise CheckpointError(f"model.{name}: found {value!r}, expected a whole number of {least} or more")

    @property
    def layers(self) -> int:
        """Blocks in all."""
        return self.encoder_layers + self.decoder_layers

    @property
    def shape(self) -> Literal["encoder", "decoder", "encoder-decoder"]:
        """Which of the three shapes it is."""
        if self.encoder_layers and self.decoder_layers:
            return "encoder-decoder"
        return "encoder" if self.encoder_layers else "decoder"

    @property
    def rotary_dim(self) -> int:
        """Numbers of each head that turn."""
        return int(self.head_dim * self.rotary_share)

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end a text."""
        if self.eos is None:
            return frozenset()
        return frozenset((self.eos,) if isinstance(self.eos, int) else self.eos)

    def check_next_token(self) -> None:
        """CheckpointError for a model that does not predict the next token of one text."""
        if self.shape != "decoder" or self.head.kind != "language":
            raise CheckpointError(f"this {self.kind} model has the shape {self.shape} and the head {self.head.kind}; "
                                  "expected a decoder with the head language, which predicts the next token")

    def with_(self, **changes) -> "Config":
        """A copy with some fields changed."""
        return replace(self, **changes)
