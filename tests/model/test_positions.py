"""Rotary angles: only differences of places matter, however far a text stands in its row."""

import pytest
import torch

from upwell.model.positions import angles, rotate


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 2e-6)])
@pytest.mark.parametrize("first", [7, 8000, 131_000])
def test_scores_do_not_depend_on_where_a_text_stands(first, dtype, near):
    g = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 2, 20, 16, generator=g, dtype=torch.float64).to(dtype) for _ in range(2))
    speeds = 1 / 10_000 ** (torch.arange(0, 16, 2) / 16)
    scores = []
    for begin in (0, first):
        turn = [t.to(dtype) for t in angles(torch.arange(begin, begin + 20), speeds)]
        scores.append(rotate(q, *turn) @ rotate(k, *turn).mT)
    assert (scores[1] - scores[0]).abs().max() <= near * scores[0].abs().max()
