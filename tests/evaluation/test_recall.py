"""Recall over all texts of a part is counted by hand."""

import pytest
import torch

from upwell.evaluation.recall import Ranking, ranked

AXES = torch.eye(4)


def numbers(*values):
    return torch.tensor(values)


def hits(left, right, keys, hard_keys=(), at=1000):
    ranking = Ranking()
    for begin in range(0, len(left), at):
        rows = slice(begin, begin + at)
        last = begin + at >= len(left)
        behind = right[len(left):] if last else right[:0]
        ranking.add(left[rows], torch.cat([right[: len(left)][rows], behind]), torch.tensor(keys)[rows],
                    torch.tensor(hard_keys if last else (), dtype=torch.int64))  # fmt: skip
    return {name: found.tolist() for name, found in ranking.hits().items()}


def test_ranks_are_those_of_a_hand_calculation():
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    right = torch.tensor([[0.9, 0.1], [0.8, 0.3], [0.0, 0.2]])
    # similarities: 0.9 0.8 0.0 / 0.1 0.3 0.2 / 1.0 1.1 0.2
    assert ranked(left, right, numbers(1, 2, 3), numbers(4, 5, 6)).tolist() == [1, 1, 3]


@pytest.mark.parametrize("at", [1, 2, 1000])
def test_all_pairs_of_a_part_compete_whatever_the_batches(at):
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    right = torch.tensor([[0.9, 0.1], [0.8, 0.3], [0.0, 0.2]])
    found = hits(left, right, [[1, 4], [2, 5], [3, 6]], at=at)
    assert found["recall@1"] == [True, True, False] and found["recall@10"] == [True] * 3
    # back: 0.9 0.1 1.0 / 0.8 0.3 1.1 / 0.0 0.2 0.2: the last one's own text is only as near as another
    assert found["back recall@1"] == [False, False, False]


def test_the_same_text_is_one_candidate_and_all_that_belong_to_a_text_are_right():
    left = torch.stack([AXES[0], AXES[0], AXES[1]])
    right = torch.stack([AXES[1], AXES[0], AXES[1]])
    # text 1 belongs to 7 and 8, text 2 to 7: 7 lies on the second axis, 8 on the first
    found = hits(left, right, [[1, 7], [1, 8], [2, 7]])
    assert found["recall@1"] == [True] * 3
    assert found["back recall@1"] == [True] * 3


def test_hard_negatives_are_candidates_that_are_never_right():
    left, right = AXES[:2], torch.stack([AXES[0], AXES[2], AXES[1]])
    assert hits(left, right, [[1, 5], [2, 6]], hard_keys=(9,))["recall@1"] == [True, False]


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_vectors_that_are_all_the_same_find_nothing(value):
    same = torch.full((20, 3), value)
    found = hits(same, same, [[number, 100 + number] for number in range(20)])
    assert not any(found["recall@1"]) and not any(found["recall@10"])


def test_many_pairs_in_pieces_agree_with_sorting(monkeypatch):
    from upwell.evaluation import recall

    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randn(60, 5, generator=generator) for _ in range(2))
    order = (left @ right.T).argsort(1, descending=True)
    wanted = [order[row].tolist().index(row) + 1 for row in range(60)]
    monkeypatch.setattr(recall, "AT_ONCE", 500)
    assert ranked(left, right, torch.arange(60), torch.arange(60) + 100).tolist() == wanted
    assert ranked(left, right, torch.zeros(60), torch.arange(60)).tolist() == [1] * 60  # all belong to one text
