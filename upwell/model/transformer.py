"""The Transformer: ids (B, T) -> logits (B, T, V), with or without a cache, in one class for every family.

It knows nothing of loss, data or text.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import block_mask, cached_mask
from .blocks import Block
from .cache import Cache
from .config import Config
from .norms import norm
from .positions import angles, within_documents


class Stack(nn.Module):
    """Blocks one after the other, and the norm behind them: (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(Block(c) for _ in range(layers))
        self.norm = norm(c)

    def forward(self, x: Tensor, mask: Tensor | None, rotary, cache: Cache | None) -> Tensor:
        for number, block in enumerate(self.blocks):
            x = block(x, mask, rotary, None if cache is None else cache.layer(number))
        return self.norm(x)


class Transformer(nn.Module):
    """A model that a `Config` describes; its weights are uninitialised until `initialise` or a file fills them."""

    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab, c.width)
        self.places = nn.Embedding(c.context, c.width) if c.positions == "learned" else None
        self.embed_norm = norm(c) if c.embed_norm else nn.Identity()
        self.dropout = nn.Dropout(c.dropout) if c.dropout else nn.Identity()
        self.decoder = Stack(c, c.decoder_layers)
        self.head = None if c.tied else nn.Linear(c.width, c.vocab, bias=False)

    def forward(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        cache: Cache | None = None,
        lengths: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        """ids (B, T) int64 -> logits (B, T, V), or (B, V) after each row's last token with `last`.

        documents (B, T): tokens see only their own document. cache: reads on behind what it holds and adds to it.
        lengths (B,): how many of the T tokens of each row are real, the rest is padding on the right.
        """
        x = self.hidden(ids, documents, cache, lengths)
        if last:
            at = torch.full((len(ids),), ids.shape[1] - 1, device=ids.device) if lengths is None else lengths - 1
            x = x[torch.arange(len(ids), device=ids.device), at]
        return self.logits(x)

    def hidden(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        cache: Cache | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """ids (B, T) -> what the last block gives, (B, T, D)."""
        B, T = ids.shape
        fresh = cache is None or cache.longest == 0
        even = cache is None or cache.even
        positions = torch.arange(T, device=ids.device) if cache is None else cache.begin(T)
        if even and cache is not None:
            positions = positions[0]
        mask = None if documents is None else block_mask(documents)
        if mask is None and not (even and (fresh or T == 1)):
            mask = cached_mask(positions.expand(B, T), cache.seen)
        x = self.decoder(self.embedded(ids, positions, documents), mask, self.rotary(positions), cache)
        if cache is not None:
            cache.commit(T, lengths)
        return x

    def embedded(self, ids: Tensor, positions: Tensor, documents: Tensor | None) -> Tensor:
        """ids (B, T) and their positions (T,) or (B, T) -> (B, T, D)."""
        x = self.embed(ids)
        if self.places is not None:
            x = x + self.places(positions if documents is None else within_documents(documents))
        return self.dropout(self.embed_norm(x))

    def rotary(self, positions: Tensor):
        """cos and sin that broadcast to (B, heads, T, d), or None. Only differences of positions matter to them."""
        c = self.config
        if c.positions != "rotary":
            return None
        turn = angles(positions, c.head_dim, c.rotary_theta, c.rotary_sign)
        dtype = self.embed.weight.dtype
        return tuple((t if t.dim() == 2 else t[:, None]).to(dtype) for t in turn)

    def logits(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        y = F.linear(x, self.output_weight)
        cap = self.config.logit_cap
        return y if cap is None else cap * torch.tanh(y / cap)

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, D), which may be the embedding."""
        return self.embed.weight if self.head is None else self.head.weight

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored as."""
        return self.embed.weight.dtype

    def twin(self) -> "Transformer":
        """A second model over the same weights, never compiled, not training: for measuring and writing in between."""
        with torch.device("meta"):
            other = Transformer(self.config)
        other.load_state_dict(self.state_dict(), assign=True)
        return other.eval()
