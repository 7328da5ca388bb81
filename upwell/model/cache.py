"""Keys and values of everything that the rows of a batch have read, so that each token is computed once.

Rows may have different lengths; each row's next token stands right behind its own last one.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from .config import Config


class Cache:
    """Room for `rows` texts of up to `capacity` tokens; grows when asked to.

    .keys, .values: (layers, rows, K, capacity, d). .lengths: (rows,) int64, tokens read so far by each row.
    """

    def __init__(self, config: Config, rows: int, capacity: int, device="cpu", dtype=torch.float32):
        shape = (config.decoder_layers, rows, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.longest, self.even = 0, True  # host-side: the largest length, and whether all are equal

    @property
    def rows(self) -> int:
        """How many texts."""
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Tokens that a row has room for."""
        return self.keys.shape[3]

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` in each row; doubles, so that a long text is copied few times."""
        if tokens > self.capacity:
            more = max(tokens, 2 * self.capacity) - self.capacity
            self.keys = pad(self.keys, (0, 0, 0, more))
            self.values = pad(self.values, (0, 0, 0, more))

    def begin(self, T: int) -> Tensor:
        """Positions (rows, T) of the next T tokens of each row; call once for each forward pass."""
        self.reserve(self.longest + T)
        self.positions = self.lengths[:, None] + torch.arange(T, device=self.lengths.device)
        self.seen = self.longest + T
        return self.positions

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
        if torch.equal(parents, torch.arange(self.rows, device=parents.device)):
            return
        self.keys, self.values = self.keys[:, parents], self.values[:, parents]
        self.lengths = self.lengths[parents]
        self.longest = int(self.lengths.max()) if len(parents) else 0
        self.even = not len(parents) or self.longest == int(self.lengths.min())

    def join(self, other: "Cache") -> None:
        """Take over the rows of another cache of this model; they stand behind the own ones."""
        capacity = max(self.capacity, other.capacity)
        self.keys, self.values = (
            torch.cat([pad(part, (0, 0, 0, capacity - part.shape[3])) for part in pair], dim=1)
            for pair in ((self.keys, other.keys), (self.values, other.values))
        )
        self.even = self.even and other.even and self.longest == other.longest
        self.longest = max(self.longest, other.longest)
        self.lengths = torch.cat([self.lengths, other.lengths])


class Layer:
    """One block's keys and values."""

    def __init__(self, cache: Cache, number: int):
        self.cache, self.keys, self.values = cache, cache.keys[number], cache.values[number]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write new k and v (rows, K, T, d); gives all keys and values so far, (rows, K, seen, d)."""
        whole = self.cache
        if whole.even:
            self.keys[:, :, whole.longest : whole.seen] = k
            self.values[:, :, whole.longest : whole.seen] = v
        else:
            row = torch.arange(whole.rows, device=k.device)[:, None]
            self.keys[row, :, whole.positions] = k.transpose(1, 2).to(self.keys.dtype)
            self.values[row, :, whole.positions] = v.transpose(1, 2).to(self.values.dtype)
        return self.keys[:, :, : whole.seen], self.values[:, :, : whole.seen]
