"""Tokens drawn by their probability.

Each request has a random generator of its own and uses one number of it for each token, so its text depends neither
on who else is in the batch nor on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..steps import Search, extend


@dataclass(frozen=True)
class Settings:
    """What the draw depends on."""

    seed: int | None = None
    """Start of the random numbers; None takes one from the machine."""
    top_logprobs: int = 0
    """Likeliest ids to tell beside each token."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """One text."""
    generator = numbers(settings.seed)
    return extend(logits, filters, stop, lambda allowed: draw(allowed, generator), settings.top_logprobs)


def numbers(seed: int | None) -> torch.Generator:
    """The random numbers of one request."""
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    return generator


def draw(logits: Tensor, generator: torch.Generator) -> int:
    """An id with probability softmax(logits), logits (V,): the one under which a uniform number falls.

    Summed in float64, where a token of probability 0 owns no part of the line and so is never drawn.
    """
    heights = logits.cpu().double().softmax(-1).cumsum(-1)      # on the CPU: not every device has float64
    total = heights[-1]
    spot = torch.rand((), dtype=torch.float64, generator=generator) * total
    return int(torch.searchsorted(heights, torch.minimum(spot, total.nextafter(total.new_zeros(()))), right=True))
