"""A log small enough to write all answers down."""

import numpy as np

from model.columns import EventColumns

#: u has four events, two of them at one moment; v three; w two, too few to be asked about.
LOG = [
    ("u", "a", 1),
    ("v", "b", 1),
    ("u", "c", 2),
    ("u", "d", 2),
    ("v", "a", 3),
    ("w", "a", 4),
    ("v", "e", 5),
    ("w", "b", 6),
    ("u", "a", 7),
]


def columns(log: list[tuple[str, str, int]]) -> EventColumns:
    users, items = sorted({one[0] for one in log}), sorted({one[1] for one in log})
    return EventColumns(
        users=users,
        items=items,
        user=np.array([users.index(one[0]) for one in log], np.int32),
        item=np.array([items.index(one[1]) for one in log], np.int32),
        time_ms=np.array([1000 * one[2] for one in log], np.int64),
    )
