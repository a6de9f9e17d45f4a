"""What was shown, in order, and how many clicks came before it."""

import numpy as np

from ops.datasets import EventTable
from ops.evaluation.impressions import impressions_of


def table(types: list[int]) -> EventTable:
    num = len(types)
    return EventTable(
        users=["u"],
        items=["a"],
        types=["click", "impression"],
        user=np.zeros(num, np.int32),
        item=np.zeros(num, np.int32),
        time_ms=np.arange(num, dtype=np.int64),
        type=np.array(types, np.int16),
    )


def test_clicks_before_each_impression_are_counted() -> None:
    """A click does not come before itself; from two clicks on, three rows are left."""
    found = impressions_of(table([1, 0, 1, 0, 1, 0, 1]), (), ("impression",))

    assert found is not None
    assert found.positive_E.tolist() == [False, True, False, True, False, True, False]
    assert found.before_E.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert found.since(2).before_E.tolist() == [2, 2, 3]
    assert found.since(2).shown.time_ms.tolist() == [4, 5, 6]


def test_clicks_alone_are_no_impressions() -> None:
    """A set without anything negative or neutral has no question for GAUC."""
    assert impressions_of(table([0, 0]), (), ("impression",)) is None
