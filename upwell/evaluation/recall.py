"""How often a text finds the one that belongs to it among all texts of a part: recall@k over their vectors.

    ranking = Ranking(); ranking.add(left, right, keys); ranking.hits() -> {"recall@1": (N,) bool, ...}

Each left text asks for its right ones among all right texts, and the other way round ("back"). The same text is one
candidate, however often it stands there; where a text belongs to several, each of them is right. A candidate that is as
near as the right one stands before it, so that vectors which are all the same find nothing. Knows no model.
"""

import numpy as np
import torch
from torch import Tensor

DEPTHS = (1, 10)
AT_ONCE = 1 << 24  # similarities held at once


class Ranking:
    """Vectors of a part's pairs, batch by batch, with a number for each text: the same for the same text."""

    def __init__(self):
        self.left: list[Tensor] = []
        self.right: list[Tensor] = []
        self.hard: list[Tensor] = []
        self.keys: list[Tensor] = []
        self.hard_keys: list[Tensor] = []

    def add(self, left: Tensor, right: Tensor, keys: Tensor, hard_keys: Tensor) -> None:
        """left (B, D), right (B + K, D), of which K hard ones belong to nothing, keys (B, 2), hard_keys (K,)."""
        rows = len(left)
        self.left.append(left.float().cpu())
        self.right.append(right[:rows].float().cpu())
        self.hard.append(right[rows:].float().cpu())
        self.keys.append(keys.cpu())
        self.hard_keys.append(hard_keys.cpu())

    def hits(self) -> dict[str, Tensor]:
        """For each depth and direction whether a right text is among the nearest, (N,) bool; {} without any pair."""
        if not self.left:
            return {}
        left, right, hard, keys, more = map(torch.cat, (self.left, self.right, self.hard, self.keys, self.hard_keys))
        ranks = {"": ranked(left, torch.cat([right, hard]), keys[:, 0], torch.cat([keys[:, 1], more])),
                 "back ": ranked(right, left, keys[:, 1], keys[:, 0])}  # fmt: skip
        return {f"{way}recall@{depth}": ranks[way] <= depth for depth in DEPTHS for way in ranks}


def ranked(asking: Tensor, answers: Tensor, asked: Tensor, answered: Tensor) -> Tensor:
    """The rank, from 1, of the nearest right answer of each question, (N,).

    asking (N, D) with the numbers asked (N,); answers (N + K, D) with the numbers answered (N + K,): the answer of
    question i stands at i, and what stands behind all of them is right for none.
    """
    number, first, candidate = np.unique(answered.numpy(), return_index=True, return_inverse=True)
    _, group = np.unique(asked.numpy(), return_inverse=True)
    owned = np.unique(np.stack([group, candidate[: len(asking)]], axis=1), axis=0)  # sorted by group
    starts = np.searchsorted(owned[:, 0], np.arange(group.max() + 2))
    answers = answers[torch.from_numpy(first)]
    found = []
    step = max(1, AT_ONCE // len(number))
    for begin in range(0, len(asking), step):
        scores = asking[begin : begin + step] @ answers.T
        right = torch.zeros(scores.shape, dtype=torch.bool)
        for row, one in enumerate(group[begin : begin + step].tolist()):
            right[row, torch.from_numpy(owned[starts[one] : starts[one + 1], 1])] = True
        best = scores.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
        found.append(1 + (~(scores < best) & ~right).sum(1))  # what is no number is before all others
    return torch.cat(found)
