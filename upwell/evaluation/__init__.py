"""HOW GOOD IS IT: numbers with error bars, beside what a compressor and n-grams reach on the same text.

    tasks/    one file each: what is measured
    compare   xz and n-gram baselines in bits per byte

Shapes: B rows, T tokens, V vocabulary. The room knows no training loop and no command line.
"""

import math
from dataclasses import dataclass, field

SHOWN_LABELS = 24


@dataclass(frozen=True)
class Number:
    """A measured value and its standard error."""

    value: float
    error: float
    items: int = field(default=0, compare=False)
    """How many items it rests on; 0: not known."""

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


SHARES = ("accuracy", "exact match", "f1", "recall@1", "recall@10")


def interval(name: str, number: Number) -> str:
    """A value with its 95 % interval: 1.96 standard errors to both sides, and for a share no further than 0 and 1.

    A share of none or all of the items has no spread of its own; there it is the rule of three, 3 / items. The value
    alone where no spread is known.
    """
    value, error, items = number.value, number.error, number.items
    share = name.endswith(SHARES)
    if not math.isfinite(error) or not (error or share and items > 1):
        return f"{value:.4f}"
    low, high = value - 1.96 * error, value + 1.96 * error
    if share:
        rest = 3 / items if items and not error and value in (0, 1) else 0.0
        low, high = max(0.0, low - (rest if value else 0)), min(1.0, high + (0 if value else rest))
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


@dataclass(frozen=True)
class Confusion:
    """How often a text of one label was taken for another. counts[right][said], as labels are in order."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def shown(self, most: int = SHOWN_LABELS) -> "Confusion":
        """The same with at most so many labels: those with the most texts, in their order, and the rest as one."""
        if len(self.labels) <= most:
            return self
        size = [sum(row) + sum(other[at] for other in self.counts) for at, row in enumerate(self.counts)]
        kept = sorted(sorted(range(len(size)), key=lambda at: -size[at])[: most - 1])
        place = {at: number for number, at in enumerate(kept)}
        found = [[0] * most for _ in range(most)]
        for at, row in enumerate(self.counts):
            for other, count in enumerate(row):
                found[place.get(at, most - 1)][place.get(other, most - 1)] += count
        labels = (*(self.labels[at] for at in kept), f"{len(self.labels) - most + 1} others")
        return Confusion(labels, tuple(map(tuple, found)))


@dataclass(frozen=True)
class Scores:
    """What a task measured."""

    numbers: dict[str, Number]
    items: int
    """How many items the numbers rest on."""
    confusion: Confusion | None = None
    """Of texts that have one label each."""
    samples: tuple[dict[str, str], ...] = field(default=())
    """The first answers: {"prompt", "text", "reference"}."""
