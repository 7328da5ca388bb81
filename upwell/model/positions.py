"""Rotary positions: pairs of numbers of each head turn by an angle that grows with the token's place.

Source: Su et al. 2021, "RoFormer", arXiv 2104.09864.
"""

import torch
from torch import Tensor


def angles(positions: Tensor, head_dim: int, theta: float, sign: int) -> tuple[Tensor, Tensor]:
    """cos and sin for positions (..., T): each (..., T, head_dim), float32.

    sign 1 turns as the paper does, -1 the other way. The first and the second half of a head form the pairs.
    """
    powers = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    turn = positions[..., None].float() * (1.0 / theta**powers)
    cos, sin = turn.cos(), turn.sin() * sign
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x (B, heads, T, d) by cos and sin, each broadcastable to it."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), -1)
    return x * cos + swapped * sin


def within_documents(documents: Tensor) -> Tensor:
    """The place of each token in its own document: (B, T) document numbers -> (B, T) positions from 0."""
    T = documents.shape[1]
    place = torch.arange(T, device=documents.device).expand_as(documents)
    first = torch.ones_like(documents, dtype=torch.bool)
    first[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return place - torch.where(first, place, 0).cummax(1).values
