"""Rows by number, share and time."""

from __future__ import annotations

import numpy as np
import pytest

from ops.positions import PositionUnreadable, row_at

TIMES = np.array([10, 20, 20, 30, 40])


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("0", 0),
        ("3", 3),
        ("1", 1),
        ("99", 5),
        ("0.8", 4),
        ("0.5", 2),
        (".2", 1),
        ("1.0", 5),
        ("ts=20", 1),
        ("ts=21", 3),
        ("ts=0", 0),
        ("ts=99", 5),
    ],
)
def test_names_a_row(text: str, row: int) -> None:
    """Numbers are rows, decimals are shares rounded down, ts= finds the first event that is not older."""
    assert row_at(text, TIMES) == row


@pytest.mark.parametrize("text", ["", "-1", "2.5", "80%", "ts=", "latest"])
def test_refuses_the_rest(text: str) -> None:
    """What is none of the three is refused with the three."""
    with pytest.raises(PositionUnreadable, match="ts=1599391467000"):
        row_at(text, TIMES)
