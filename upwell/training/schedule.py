"""The learning rate over time, as a factor of its peak: a pure function of the step.

Sources: Loshchilov and Hutter 2017, arXiv 1608.03983 (cosine); Vaswani et al. 2017, arXiv 1706.03762 (inverse root);
Hägele et al. 2024, arXiv 2405.18392 (stable, then 1 - root).
"""

import math

from .settings import Schedule

DECAY = 0.2  # the share of a run in which wsd falls where no cooldown is said


def factor(step: int, steps: int, s: Schedule) -> float:
    """The factor at `step` (from 0) of a run of `steps`: in [0, 1]."""
    if step < s.warmup:
        return step / s.warmup if s.from_zero else (step + 1) / (s.warmup + 1)
    if s.decay == "constant":
        return 1.0
    if s.decay == "inverse_sqrt":
        return max(s.final, math.sqrt((s.warmup + 1) / (step + 1)))
    cooldown = DECAY if s.decay == "wsd" and s.cooldown == 1.0 else s.cooldown
    falling = max(1.0, cooldown * (steps - s.warmup))
    done = min(1.0, max(0.0, 1 - (steps - step) / falling))
    left = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "wsd": 1 - math.sqrt(done)}[s.decay]
    return s.final + (1 - s.final) * left
