"""Intervals without a formula: what a mean might have been with other questions, by drawing them again and again.

    low, high = interval(values)                # of a mean, 95 %
    low, high = interval(after - before)        # of a change, the questions being the same ones: paired

Efron 1979, percentiles. Knows lists of numbers and no task.
"""

from collections.abc import Sequence

import numpy as np

DRAWS = 2000


def interval(values: Sequence[float], seed: int = 1, draws: int = DRAWS, level: float = 0.95) -> tuple[float, float]:
    """(low, high) between which the mean lies in `level` of the draws; the value twice where there is only one."""
    found = np.asarray(values, np.float64)
    if not len(found):
        raise ValueError("found no values, expected one or more")
    numbers = np.random.default_rng(seed).integers(0, len(found), (draws, len(found)))
    low, high = np.quantile(found[numbers].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
