"""A running average of the weights, which often measures better than the weights themselves.

Source: Polyak and Juditsky 1992; Morales-Brogan et al. 2024, arXiv 2411.18704 (in training networks).
"""

import torch
from torch import Tensor, nn


class Average:
    """average = kept * average + (1 - kept) * weights after each step; in the first steps less is kept.

    Only what learns has an average; .tensors: by name, in float32 or wider.
    """

    def __init__(self, model: nn.Module, kept: float):
        self.kept = kept
        self.sources = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors: dict[str, Tensor] = {}
        for name, p in self.sources.items():
            self.tensors[name] = p.detach().to(torch.promote_types(p.dtype, torch.float32), copy=True)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        kept = min(self.kept, (1 + step) / (10 + step))
        weights = [p.to(t.dtype) for p, t in zip(self.sources.values(), self.tensors.values(), strict=True)]
        torch._foreach_lerp_(list(self.tensors.values()), weights, 1 - kept)


def shown(twin: nn.Module, average: Average | None) -> nn.Module:
    """A second model over the same weights, in place over their averages where there are any; it follows them."""
    if average is not None:
        for name, tensor in average.tensors.items():
            owner, _, last = name.rpartition(".")
            setattr(twin.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
    return twin
