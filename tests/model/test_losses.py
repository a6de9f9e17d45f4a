"""The sampled softmax against its formula."""

import math

import pytest
import torch

from model.losses import draw_negatives, sampled_softmax


def one_loss(target: int, negatives: list[int]) -> float:
    """A state along the first axis; item 0 at cosine 1, item 1 at 0, item 2 at -1."""
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    rows = torch.tensor(negatives)
    loss = sampled_softmax(items[:1], items[[target]], items[rows], torch.tensor([target]), rows, 0.5)
    return float(loss)


def test_the_loss_is_minus_log_softmax_of_the_target() -> None:
    """Cosines 1, 0 and -1 over temperature 0.5 give the value worked out by hand."""
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(0) + math.exp(-2)))

    assert one_loss(0, [1, 2]) == pytest.approx(expected, rel=1e-6)


def test_a_negative_that_is_the_target_does_not_count() -> None:
    """Drawing the target itself changes nothing."""
    assert one_loss(0, [1, 0, 2]) == pytest.approx(one_loss(0, [1, 2]), rel=1e-6)


def test_a_collision_sends_no_gradient() -> None:
    """The masked negative's line gets exactly zero gradient."""
    states = torch.tensor([[1.0, 0.0]])
    lines = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    sampled_softmax(states, states, lines, torch.tensor([7]), torch.tensor([7, 8]), 0.05).backward()

    assert lines.grad is not None
    assert lines.grad[0].abs().sum() == 0
    assert lines.grad[1].abs().sum() > 0


def test_negatives_are_distinct_real_rows() -> None:
    """Without replacement, never below the first item's row, all of a small catalogue."""
    generator = torch.Generator().manual_seed(0)
    drawn = draw_negatives(50, 65, 265, generator)

    assert len(set(drawn.tolist())) == 50
    assert set(drawn.tolist()) <= set(range(65, 265))
    assert sorted(draw_negatives(50, 65, 75, generator).tolist()) == list(range(65, 75))
