"""What training changes in a model's blocks: dropout, and computing again instead of remembering. Weights stay.

Source of the second: Chen et al. 2016, arXiv 1604.06174.
"""

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..model.dropout import Dropout


def stacks(model: nn.Module) -> list[nn.Module]:
    """The encoder and the decoder, where there are."""
    return [stack for stack in (model.encoder, model.decoder) if stack is not None]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks of all stacks."""
    return [block for stack in stacks(model) for block in stack.blocks]


def drop(model: nn.Module, share: float) -> None:
    """Leave out so much behind each part of a block and behind the embedding, in place of what the config says."""
    for part in (*stacks(model), *blocks(model)):
        part.dropout = Dropout(share) if share else nn.Identity()


def remember_less(model: nn.Module) -> None:
    """From now on blocks keep only what they read, and compute the rest again for their gradients."""
    for block in blocks(model):
        block.forward = partial(again, type(block).forward, block)


def again(function, block, *inputs):
    """function(block, *inputs), computed a second time where gradients are asked for."""
    if not torch.is_grad_enabled():
        return function(block, *inputs)
    return checkpoint(function, block, *inputs, use_reentrant=False)
