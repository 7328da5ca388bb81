"""The Transformer: ids (B, T) -> logits (B, T, V), encoder, decoder or both, in one class for every family.

It knows nothing of loss, data or text.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SettingsError
from . import masks
from .attention import Gathered, Spread
from .blocks import Block
from .cache import CHUNK, Cache
from .config import Config, Head
from .dropout import Dropout
from .heads import Top, outputs
from .norms import norm
from .positions import RelativeBias, angles, speeds, waves, within_documents, without_padding


class Reading(NamedTuple):
    """What goes with the vectors x (B, T, D) through a stack."""

    positions: Tensor
    """(T,) or (B, T): the place of each token in its text."""
    real: Tensor | None = None
    """(B, T), False where an id is padding."""
    documents: Tensor | None = None
    """(B, T): tokens see only their own document."""
    types: Tensor | None = None
    """(B, T): token types."""
    cache: Cache | None = None
    other: list[tuple] | None = None
    """Of the encoder's text, for each block: see `Transformer.remember`."""
    lengths: tuple[int, ...] = ()
    """Of texts that stand one behind the other in x (1, T, D), each of which sees itself only."""


def embedding(rows: int, width: int) -> nn.Embedding:
    """An embedding without first numbers: torch's own would be drawn, which on "meta" imports its compiler, 2 s."""
    return nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False)


class Stack(nn.Module):
    """Blocks one after the other, what places add before them and the norm behind: (B, T, D) -> (B, T, D)."""

    def __init__(self, c: Config, layers: int, causal: bool, crossed: bool = False):
        super().__init__()
        self.config, self.causal = c, causal
        self.places = embedding(c.context + c.position_offset, c.width) if c.positions == "learned" else None
        self.types = embedding(c.token_types, c.width) if c.token_types else None
        self.embed_norm = norm(c) if c.embed_norm else nn.Identity()
        self.dropout = Dropout(c.dropout) if c.dropout else nn.Identity()
        self.bias = RelativeBias(c, not causal) if c.positions == "relative" else None
        self.blocks = nn.ModuleList(Block(c, number, causal, crossed) for number in range(layers))
        self.norm = norm(c) if c.last_norm else nn.Identity()

    def forward(self, x: Tensor, r: Reading) -> Tensor:
        """Padding is left out, and gives zeros; only compiled blocks, which want few shapes, compute it."""
        if r.real is None or r.documents is not None or r.cache is not None:
            return self.through(x, r)
        if self.compiled:
            alike = self.causal and not (r.real[:, 1:] & ~r.real[:, :-1]).any()  # nothing sees what stands behind it
            return self.through(x, r._replace(real=None) if alike else r)
        B, T = r.real.shape
        inside = r.real.flatten().nonzero().flatten()
        types = None if r.types is None else r.types.expand(B, T).flatten()[inside][None]
        other = None if r.other is None else [(k, v, masks.Over(B, T, inside, seen)) for k, v, seen in r.other]
        left = Reading(r.positions.expand(B, T).flatten()[inside][None], types=types, other=other,
                       lengths=tuple(r.real.sum(1).tolist()))  # fmt: skip
        y = self.through(Gathered.apply(x.reshape(B * T, -1), inside)[None], left)
        return Spread.apply(y[0], inside, B * T).view(B, T, -1)

    @property
    def compiled(self) -> bool:
        """Whether the blocks run compiled."""
        return self.blocks[0]._compiled_call_impl is not None or torch.compiler.is_compiling()

    def through(self, x: Tensor, r: Reading) -> Tensor:
        """x through all blocks."""
        kinds = [number in self.config.window_layers for number in range(len(self.blocks))]
        x = self.placed(x, r)
        mask = {windowed: self.mask(r, windowed, x.dtype) for windowed in set(kinds)}
        turn = {windowed: self.turn(r.positions, windowed, x.dtype) for windowed in set(kinds)}
        for number, (block, windowed) in enumerate(zip(self.blocks, kinds, strict=True)):
            layer = None if r.cache is None else r.cache.layer(number)
            x = block(x, mask[windowed], turn[windowed], layer, None if r.other is None else r.other[number])
        return self.norm(x)

    def placed(self, x: Tensor, r: Reading) -> Tensor:
        """x with what is added to the embedding of each token."""
        c = self.config
        if c.positions in ("learned", "sinusoidal"):
            place = r.positions if r.documents is None else within_documents(r.documents)
            learned = self.places is not None
            x = x + (self.places(place + c.position_offset) if learned else waves(place, c.width).to(x.dtype))
        if self.types is not None:
            x = x + (self.types.weight[0] if r.types is None else self.types(r.types))
        return self.dropout(self.embed_norm(x))

    def mask(self, r: Reading, windowed: bool, dtype) -> Tensor | masks.Apart | masks.Flexible | None:
        """Who sees whom; None where `Attention` knows it by itself, which is faster."""
        window, T, device = self.config.window if windowed else None, r.positions.shape[-1], r.positions.device
        lengths = r.lengths or (masks.runs(r.documents) if self.torn(r) else ())
        if lengths:
            place = torch.arange(max(lengths), device=device)
            bias = None if self.bias is None else self.bias(place, place)[None].to(dtype)
            return masks.apart(lengths, self.causal, window, bias, device)
        if r.documents is not None and self.bias is None and self.flexible(device):
            return masks.flexible(self.causal, window, r.real, r.documents)
        if r.cache is None:  # padding shifts places, so who sees whom goes by the columns
            queries = keys = torch.arange(T, device=device)
            known = r.real is None and r.documents is None and (window is None or T <= window)
        else:
            queries, keys = r.positions, r.cache.places(windowed)
            known = r.cache.even and (r.cache.longest == 0 or T == 1) and (window is None or r.cache.seen <= window)
        if known and (self.bias is None or not self.causal or T == 1):
            seen = None
        else:
            seen = masks.visible(queries, keys, self.causal, window, r.real, r.documents)
        if self.bias is None:
            return seen
        bias = self.bias(r.positions, r.positions if r.cache is None else keys).to(dtype)
        return masks.added(seen, bias if bias.dim() == 4 else bias[None])

    def torn(self, r: Reading) -> bool:
        """Whether packed rows are looked at one document after the other: on a CPU, where no block is compiled."""
        alone = r.documents is not None and r.real is None and r.cache is None
        return alone and not self.compiled and r.documents.device.type == "cpu"

    def flexible(self, device: torch.device) -> bool:
        """Whether packed rows go through FlexAttention, which knows no dropout."""
        return device.type == "cuda" and not (self.training and self.config.attention_dropout)

    def turn(self, positions: Tensor, windowed: bool, dtype):
        """cos and sin that broadcast to (B, heads, T, d), or None. Only differences of positions matter to them."""
        c = self.config
        if c.positions != "rotary":
            return None
        growing = c.rotary_scaling is not None and c.rotary_scaling.kind in ("dynamic", "longrope")
        each, factor = speeds(c, int(positions.max()) + 1 if growing else 0, windowed, positions.device)
        pair = angles(positions, each, c.rotary_sign, factor)
        return tuple((t if t.dim() == 2 else t[:, None]).to(dtype) for t in pair)


class Transformer(nn.Module):
    """A model that a `Config` describes; its weights are uninitialised until `preset.create` or a file fills them."""

    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        self.embed = embedding(c.vocab, c.width)
        self.encoder = Stack(c, c.encoder_layers, causal=False) if c.encoder_layers else None
        both = c.shape == "encoder-decoder"
        self.decoder = Stack(c, c.decoder_layers, causal=True, crossed=both) if c.decoder_layers else None
        self.pooler = Top(c, Head(pool="first", dense=True, activation="tanh")) if c.pooler else None
        self.pair = nn.Linear(c.width, 2) if c.head.kind == "pretrain" else None
        self.top = Top(c, c.head)
        shared = c.tied and outputs(c) == c.vocab
        self.head = nn.Linear(c.width, outputs(c), bias=c.head.bias) if outputs(c) and not shared else None
        self.head_bias = nn.Parameter(torch.zeros(c.vocab)) if shared and c.head.bias else None

    def forward(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        cache: Cache | None = None,
        lengths: Tensor | None = None,
        last: bool = False,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """ids (B, T) int64 -> what the head gives: logits (B, T, V), or (B, V) after each row's last token with `last`.

        A head that pools gives (B, labels) or (B, D), one that has no output matrix (B, T, D). An encoder and a source
        also take vectors (B, T, D) in place of ids. For the rest see `hidden`.
        """
        x = self.hidden(ids, documents, cache, lengths, mask, types, source, source_mask)
        if last:
            at = torch.full((len(ids),), ids.shape[1] - 1, device=ids.device) if lengths is None else lengths - 1
            x = x[torch.arange(len(ids), device=ids.device), at]
        return self.read_out(x, ids, mask)

    def hidden(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        cache: Cache | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        source_documents: Tensor | None = None,
    ) -> Tensor:
        """ids (B, T) -> what the last block gives, (B, T, D).

        documents (B, T): tokens see only their own document. cache: reads on behind what it holds and adds to it;
        lengths (B,): how many of the T tokens of each row it keeps. mask (B, T): False where an id is padding, on
        either side (without a cache). types (B, T): token types. source (B, S) with source_mask: what an encoder reads
        first; a cache keeps it, so it is given once. source_documents (B, S), beside documents and in place of
        source_mask: document n of the ids sees document n of the source only.
        """
        if self.decoder is None:
            return self.encode(ids, mask, types, documents)
        if cache is not None and (mask is not None or documents is not None):
            raise SettingsError("found a cache beside a mask or documents; a cache takes `lengths` for padded rows")
        if (source is not None) > (self.encoder is not None):
            raise SettingsError(f"found a source, but this {self.config.kind} model has no encoder to read it")
        if self.encoder is not None and source is None and (cache is None or not cache.other):
            raise SettingsError(f"found no source; the encoder of this {self.config.kind} model reads one first")
        if self.encoder is not None and (cache is None or not cache.other):
            read = self.encode(source, source_mask, documents=source_documents)
            seen = None if source_documents is None else masks.shared(documents, source_documents)
            other = self.remember(read, source_mask, seen)
            if cache is not None:
                cache.hold(other)
        elif cache is not None and cache.other:
            seen = cache.over(ids.shape[1])
            other = [(*pair, seen) for pair in cache.other]
        else:
            other = None
        return self.decode(ids, documents, cache, lengths, mask, other)

    def encode(self, ids: Tensor, mask=None, types=None, documents=None) -> Tensor:
        """ids (B, S), or vectors (B, S, D) -> what the encoder gives, (B, S, D)."""
        positions = torch.arange(ids.shape[1], device=ids.device) if mask is None else without_padding(mask)
        return self.encoder(self.embedded(ids), Reading(positions, mask, documents, types))

    def remember(self, other: Tensor, mask: Tensor | None = None, seen: Tensor | None = None) -> list[tuple]:
        """Keys, values and mask of the encoder's text (B, S, D) for each block of the decoder.

        seen (B, 1, T, S): which tokens see which of it, where mask (B, S) does not say it.
        """
        seen = masks.padded(mask) if seen is None and mask is not None else seen
        return [(*block.cross.remember(other), seen) for block in self.decoder.blocks]

    def decode(self, ids: Tensor, documents, cache: Cache | None, lengths, mask, other) -> Tensor:
        """The decoder over ids (B, T); a long text behind a cache is read in chunks, so that no mask is T x T."""
        T = ids.shape[1]
        if cache is None:
            positions = torch.arange(T, device=ids.device) if mask is None else without_padding(mask)
            return self.decoder(self.embedded(ids), Reading(positions, mask, documents, other=other))
        if T > CHUNK:
            left = [None if lengths is None else (lengths - at).clamp(0, CHUNK) for at in range(0, T, CHUNK)]
            parts = zip(ids.split(CHUNK, 1), left, strict=True)
            return torch.cat([self.decode(part, None, cache, n, None, other) for part, n in parts], 1)
        positions = cache.begin(T)
        positions = positions[0] if cache.even else positions
        if lengths is not None:     # padding may lie beyond the last place, where nothing is learnt
            positions = positions.clamp(max=self.config.context - 1)
        x = self.decoder(self.embedded(ids), Reading(positions, cache=cache, other=other))
        cache.commit(T, lengths)
        return x

    def embedded(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> (B, T, D); vectors (B, T, D) stay as they are."""
        if ids.is_floating_point():
            return ids
        x = self.embed(ids)
        scale = self.config.embed_scale
        return x if scale == 1.0 else x * torch.tensor(scale, dtype=x.dtype, device=x.device)

    def read_out(self, x: Tensor, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the head makes of the last block's vectors."""
        x = self.top(x, ids, mask)
        return self.logits(x) if outputs(self.config) else x

    def next_sentence(self, x: Tensor, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Last vectors (B, T, D) -> (B, 2): that the second sentence follows the first, that it does not."""
        return self.pair(self.pooler(x, ids, mask))

    def logits(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., outputs)."""
        c, words = self.config, self.config.head.kind == "language"
        y = self.output(x * c.logit_scale if words and c.logit_scale != 1.0 else x)
        return c.logit_cap * torch.tanh(y / c.logit_cap) if words and c.logit_cap is not None else y

    def output(self, x: Tensor) -> Tensor:
        """The output matrix alone: (..., D) -> (..., outputs)."""
        return F.linear(x, self.output_weight, self.output_bias)

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, D), which may be the embedding."""
        return self.embed.weight if self.head is None else self.head.weight

    @property
    def output_bias(self) -> Tensor | None:
        """What is added behind the output matrix, (V,)."""
        return self.head_bias if self.head is None else self.head.bias

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
