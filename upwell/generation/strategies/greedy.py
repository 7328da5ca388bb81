"""The likeliest token each time."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..steps import Search, extend


@dataclass(frozen=True)
class Settings:
    """What is told."""

    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """One text; of equally likely tokens the one with the lowest id."""
    return extend(logits, filters, stop, lambda allowed: int(allowed.argmax()), settings.top_logprobs)
