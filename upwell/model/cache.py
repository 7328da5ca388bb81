"""Keys and values of everything that the rows of a batch have read, so that each token is computed once.

Rows may have different lengths; each row's next token stands right behind its own last one. Windowed blocks keep only
what they can still see: their part is a ring that does not grow with the text. Where there is an encoder, the keys and
values of its text lie here too.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from .config import Config
from .masks import Over

CHUNK = 512
"""Tokens of each row that are read at once where a block is windowed: a ring has room for the window and a chunk."""

BLOCK = 64
"""Where rows are masked the keys that one sees are a multiple of this."""


class Cache:
    """Room for `rows` texts of up to `capacity` tokens; grows when asked to.

    .keys, .values: for each block (rows, K, capacity, d). .lengths: (rows,) int64, tokens read so far by each row.
    .other: for each block keys and values (texts, K, S, d) of the encoder's texts; .other_mask (texts, 1, 1, S) or
    None; .about: (rows,) which of these texts each row has.
    """

    def __init__(self, config: Config, rows: int, capacity: int, device="cpu", dtype=torch.float32):
        self.dtype = dtype
        self.ring = config.window + CHUNK if config.window_layers else 0
        self.rings = [i in config.window_layers for i in range(config.decoder_layers)]
        shapes = [(rows, config.kv_heads, self.ring if ring else capacity, config.head_dim) for ring in self.rings]
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for shape in shapes]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for shape in shapes]
        self.other: list[tuple[Tensor, Tensor]] = []
        self.other_mask: Tensor | None = None
        self.about = torch.arange(rows, device=device)
        self._table: tuple[int, Tensor] | None = None  # see `over`
        self.capacity = capacity
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.longest, self.even = 0, True  # host-side: the largest length, and whether all are equal
        self.masked = False  # each row is computed as beside any others: see `groups`
        self.groups: list[tuple[Tensor, int]] = []

    @property
    def rows(self) -> int:
        """How many texts."""
        return len(self.lengths)

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` in each row; doubles, so that a long text is copied few times."""
        if tokens > self.capacity:
            self._widen(max(tokens, 2 * self.capacity))

    def _widen(self, capacity: int) -> None:
        more, self.capacity = capacity - self.capacity, capacity
        self.map(lambda part, ring: part if ring or not more else pad(part, (0, 0, 0, more)))

    def map(self, change) -> None:
        """Put change(keys or values of a block, whether it is a ring) in their place."""
        self.keys = [change(part, ring) for part, ring in zip(self.keys, self.rings, strict=True)]
        self.values = [change(part, ring) for part, ring in zip(self.values, self.rings, strict=True)]

    @property
    def per_token(self) -> int:
        """Bytes that one token of one row takes."""
        return sum(part.nbytes // (part.shape[0] * part.shape[2]) for part in (*self.keys, *self.values))

    def recall(self, row: int, keys: list[Tensor], values: list[Tensor]) -> None:
        """An empty row begins with what a text has left, for each block (K, n, d)."""
        n = keys[0].shape[1]
        for mine, theirs in zip((*self.keys, *self.values), (*keys, *values), strict=True):
            mine[row, :, :n] = theirs
        self.lengths[row] = n
        self.longest, self.even = max(self.longest, n), bool((self.lengths == self.lengths[0]).all())

    def begin(self, T: int) -> Tensor:
        """Places (rows, T) of the next T tokens of each row; call once for each forward pass."""
        self.reserve(self.longest + T)
        self.even = self.even and not self.masked
        self.positions = self.lengths[:, None] + torch.arange(T, device=self.lengths.device)
        self.seen = self.longest + T
        if self.masked:
            self._divide(T)
        return self.positions

    def _divide(self, T: int) -> None:
        """Rows by the keys that each is to see, its own length rounded up, whatever the others have: how attention
        rounds depends on their number."""
        wanted = (self.lengths + T + BLOCK - 1) // BLOCK * BLOCK
        sizes = wanted.unique().tolist()
        self.seen = sizes[-1]
        self.reserve(self.seen)
        self.groups = [((wanted == size).nonzero().flatten(), size) for size in sizes]

    def places(self, ring: bool) -> Tensor:
        """The place of the token behind each key that a block will see, (S,) or (rows, S); below 0: none."""
        slots = torch.arange(min(self.seen, self.ring) if ring else self.seen, device=self.lengths.device)
        if not ring or self.seen <= self.ring:
            return slots
        last = self.positions[:, -1:]
        return last - (last - slots) % self.ring

    def layer(self, number: int) -> "Layer":
        """The part of it that one block sees."""
        return Layer(self, number)

    def commit(self, T: int, lengths: Tensor | None) -> None:
        """The forward pass is over: each row has read its `lengths` (rows,) of the T tokens, or all of them."""
        if lengths is None:
            self.lengths = self.lengths + T
            self.longest += T
            return
        self.lengths = self.lengths + lengths
        self.longest, shortest = int(self.lengths.max()), int(self.lengths.min())
        self.even = self.longest == shortest

    def reorder(self, parents: Tensor) -> None:
        """Row i becomes a copy of row parents[i]; rows may be doubled or dropped. parents: (new rows,) int64."""
        if len(parents) != self.rows:
            self._choose(parents)
        else:
            changed = (parents != torch.arange(self.rows, device=parents.device)).nonzero().flatten()
            if not len(changed):
                return
            self._move(parents[changed], changed)
        self._divide_texts(self.about[parents])
        self.lengths = self.lengths[parents]
        self.longest = int(self.lengths.max()) if len(parents) else 0
        self.even = not len(parents) or self.longest == int(self.lengths.min())

    def _choose(self, parents: Tensor) -> None:
        """Other rows, as many as there are parents."""
        self.map(lambda part, _: part.index_select(0, parents))

    def _move(self, sources: Tensor, rows: Tensor) -> None:
        """These rows become copies of those, as far as anything stands in them."""
        for parts in (self.keys, self.values):
            for part, ring in zip(parts, self.rings, strict=True):
                seen = part if ring else part[:, :, : self.longest]
                seen.index_copy_(0, rows, seen.index_select(0, sources))

    def _divide_texts(self, about: Tensor) -> None:
        """Each row has this one of the encoder's texts now; what no row has any more is dropped."""
        if torch.equal(about, self.about):  # the beams of one text change places, which leaves the text where it is
            return
        left, self.about = about.unique(return_inverse=True)
        self._table = None
        if self.other and len(left) < len(self.other[0][0]):
            self.other = [(keys[left], values[left]) for keys, values in self.other]
            self.other_mask = None if self.other_mask is None else self.other_mask[left]

    def hold(self, other: list[tuple[Tensor, Tensor, Tensor | None]]) -> None:
        """Keep what the encoder has read: keys, values and mask for each block."""
        self.other = [(keys.to(self.dtype), values.to(self.dtype)) for keys, values, _ in other]
        self.other_mask = other[0][2]

    def over(self, T: int) -> Tensor | Over | None:
        """How T tokens of each row see the encoder's texts: the mask alone where each row has a text of its own."""
        texts = len(self.other[0][0])
        if texts == self.rows and torch.equal(self.about, torch.arange(texts, device=self.about.device)):
            return self.other_mask
        if self._table is None:  # the rows of a text side by side: its keys are read once for all of them
            sizes = self.about.bincount(minlength=texts)
            order = self.about.argsort(stable=True)
            rank = torch.empty_like(order)
            rank[order] = torch.arange(self.rows, device=order.device) - (sizes.cumsum(0) - sizes)[self.about[order]]
            most = int(sizes.max())
            self._table = most, self.about * most + rank
        most, places = self._table
        inside = (places[:, None] * T + torch.arange(T, device=places.device)).flatten()
        return Over(texts, most * T, inside, self.other_mask)

    def forget(self, counts: Tensor) -> None:
        """Each row has not read its last counts (rows,) tokens, at most CHUNK; the next ones are written over them."""
        self.lengths = self.lengths - counts
        self.longest, shortest = int(self.lengths.max()), int(self.lengths.min())
        self.even = self.longest == shortest

    def join(self, other: "Cache") -> None:
        """Take over the rows of another cache of this model; they stand behind the own ones."""
        self._take(other)
        self._join_other(other)
        self.even = self.even and other.even and (not self.rows or self.longest == other.longest)
        self.longest = max(self.longest, other.longest)
        self.lengths = torch.cat([self.lengths, other.lengths])
        beyond = self.about.max() + 1 if len(self.about) else 0
        self.about, self._table = torch.cat([self.about, other.about + beyond]), None

    def _take(self, other: "Cache") -> None:
        """Keys and values of another cache behind the own ones."""
        widest = max(self.capacity, other.capacity)
        self._widen(widest)
        other._widen(widest)
        both = zip(self.keys, other.keys, strict=True), zip(self.values, other.values, strict=True)
        self.keys, self.values = ([torch.cat(pair) for pair in pairs] for pairs in both)

    def _join_other(self, other: "Cache") -> None:
        """The encoder's texts side by side, the shorter ones padded."""
        if not self.other:
            return
        sizes = [cache.other[0][0].shape[2] for cache in (self, other)]
        masks = [
            torch.ones(len(cache.other[0][0]), 1, 1, size, dtype=torch.bool, device=self.lengths.device)
            if cache.other_mask is None else cache.other_mask
            for cache, size in zip((self, other), sizes, strict=True)
        ]  # fmt: skip
        longest = max(sizes)
        mask = torch.cat([pad(m, (0, longest - m.shape[-1])) for m in masks])
        self.other = [
            tuple(torch.cat([pad(t, (0, 0, 0, longest - t.shape[2])) for t in pair]) for pair in zip(a, b, strict=True))
            for a, b in zip(self.other, other.other, strict=True)
        ]
        self.other_mask = None if mask.all() else mask


def kept_as(config: Config, device, dtype) -> torch.dtype:
    """The number format of keys and values for a model that computes in dtype: float32 on a CPU where every head has
    keys of its own, since attention of single queries is two to five times as fast there as in bfloat16."""
    on_cpu = torch.device(device).type == "cpu"
    return torch.float32 if on_cpu and config.heads == config.kv_heads else dtype


class Layer:
    """One block's keys and values."""

    def __init__(self, cache: Cache, number: int):
        self.cache, self.keys, self.values, self.ring = (
            cache, cache.keys[number], cache.values[number], cache.rings[number]
        )  # fmt: skip

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write new k and v (rows, K, T, d); gives what the block may see, (rows, K, S, d), at `Cache.places`."""
        whole = self.cache
        wrapped = self.ring and whole.seen > whole.ring
        if whole.even and not wrapped:
            self.keys[:, :, whole.longest : whole.seen] = k
            self.values[:, :, whole.longest : whole.seen] = v
        else:
            row = torch.arange(whole.rows, device=k.device)[:, None]
            slot = whole.positions % whole.ring if self.ring else whole.positions
            self.keys[row, :, slot] = k.transpose(1, 2).to(self.keys.dtype)
            self.values[row, :, slot] = v.transpose(1, 2).to(self.values.dtype)
        seen = whole.ring if wrapped else whole.seen
        return self.keys[:, :, :seen], self.values[:, :, :seen]
