"""HOW GOOD IS IT: numbers with error bars, beside what a compressor and n-grams reach on the same text.

    tasks/    one file each: what is measured
    compare   xz and n-gram baselines in bits per byte

Shapes: B rows, T tokens, V vocabulary. The room knows no training loop and no command line.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A measured value and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Scores:
    """What a task measured."""

    numbers: dict[str, Number]
    items: int
    """How many items the numbers rest on."""
