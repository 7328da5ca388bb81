"""The learning rate over time, as a factor of its peak: a pure function of the step."""

import math

from .settings import Schedule


def factor(step: int, steps: int, s: Schedule) -> float:
    """The factor at `step` (from 0) of a run of `steps`: in (0, 1]."""
    if step < s.warmup:
        return (step + 1) / (s.warmup + 1)
    if s.decay == "constant":
        return 1.0
    falling = max(1.0, s.cooldown * (steps - s.warmup))
    done = min(1.0, max(0.0, 1 - (steps - step) / falling))
    left = 1 - done if s.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return s.final + (1 - s.final) * left
