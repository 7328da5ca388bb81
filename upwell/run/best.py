"""The best evaluation so far by one measure, and whether it is time to stop for want of a better one.

What it knows is plain JSON inside a run's state, so that a run that was killed goes on with the same counters.
"""

from collections.abc import Mapping

from ..errors import SettingsError
from ..evaluation import Number

LESS_IS_BETTER = ("loss", "perplexity", "bits per byte", "squared error")


class Best:
    """memory: what the run's state keeps of it, changed in place. metric "": the loss."""

    def __init__(self, memory: dict, metric: str, patience: int):
        self.memory, self.metric, self.patience = memory, metric or "loss", patience

    def better(self, step: int, numbers: Mapping[str, Number], losses: tuple[str, ...]) -> bool:
        """Whether these numbers are the best so far; they count. losses: names of which less is better."""
        name = found(self.metric, numbers)
        value, sign = numbers[name].value, -1 if name in (*LESS_IS_BETTER, *losses) else 1
        known = self.memory.get("value")
        if value == value and (known is None or sign * value > sign * known):
            self.memory.update(metric=name, value=value, error=numbers[name].error, step=step, waited=0)
            return True
        self.memory["waited"] = self.memory.get("waited", 0) + 1
        return False

    @property
    def enough(self) -> bool:
        """Whether so many evaluations have not been better that the run ends."""
        return bool(self.patience) and self.memory.get("waited", 0) >= self.patience


def found(metric: str, numbers: Mapping[str, Number]) -> str:
    """The measure's name as it is written; SettingsError where there is none such."""
    plain = {name.lower().replace(" ", "").replace("_", "").replace("-", ""): name for name in numbers}
    name = plain.get(metric.lower().replace(" ", "").replace("_", "").replace("-", ""))
    if name is None:
        raise SettingsError(f"--best is {metric!r}; this run measures {', '.join(numbers)}")
    return name
