"""How many sessions have the theme that is known to be theirs."""

from __future__ import annotations

import numpy as np

from model.mos_truth import routing_accuracy
from model.prototypes import NO_THEME

LEARNED = np.array([True] * 6 + [False] * 4)


def accuracy(theme: list[int], truth: list[int]) -> float:
    return routing_accuracy(np.array(theme), np.array(truth), LEARNED, ~LEARNED)


def test_numbers_are_matched_where_they_were_learned() -> None:
    """0 means 2, 1 means 0, 2 means 1: three of four later sessions are right."""
    assert accuracy([0, 0, 1, 1, 2, 2, 0, 1, 2, 2], [2, 2, 0, 0, 1, 1, 2, 0, 1, 0]) == 0.75


def test_two_numbers_cannot_mean_one_theme() -> None:
    """Where one true theme is split in two, the smaller half is wrong."""
    assert accuracy([0, 0, 0, 1, 1, 2, 0, 1, 0, 1], [5, 5, 5, 5, 5, 3, 5, 5, 5, 5]) == 0.5


def test_sessions_without_a_theme_do_not_count() -> None:
    """Neither right nor wrong; with nothing to judge it is zero."""
    assert accuracy([0, 0, 0, 1, 1, 1, NO_THEME, 0, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0, 1, 0]) == 2 / 3
    assert accuracy([0, 0, 0, 1, 1, 1, *[NO_THEME] * 4], [0, 0, 0, 1, 1, 1, 0, 0, 1, 0]) == 0
