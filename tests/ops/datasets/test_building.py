"""Laws of table building: one order, refusals counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.datasets.building import MAX_TYPES, TableBuilder
from ops.datasets.errors import DatasetUnreadable

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 5)), max_size=40)


@given(ROWS, st.integers(1, 40))
def test_rows_come_out_by_time_then_file_order(rows: list[tuple[str, str, int]], cut: int) -> None:
    """However rows are batched, the table is the stable sort of all of them by time."""
    builder = TableBuilder()
    for part in (rows[:cut], rows[cut:]):
        builder.add([row[0] for row in part], [row[1] for row in part], [row[2] for row in part], "click")
    table = builder.build()

    assert [(event.user, event.item, event.ts) for event in table] == sorted(rows, key=lambda row: row[2])


def test_unusable_rows_are_counted_and_leave_no_trace() -> None:
    """An empty id, an id that is too long and an impossible time are dropped, with their vocabulary."""
    builder = TableBuilder()
    builder.add(["a", "", "b", "c"], ["x", "x", "y" * 300, "z"], [1, 2, 3, -1], "click")
    table = builder.build()

    assert [(event.user, event.item) for event in table] == [("a", "x")]
    assert (table.users, table.items) == (["a"], ["x"])
    assert builder.dropped == {"bad id": 2, "bad time": 1}


def test_more_types_than_there_can_be_are_refused_before_anything_is_added() -> None:
    """A column of something else is named as such, and no row is torn apart."""
    builder = TableBuilder()
    builder.add(["a"], ["x"], [1], "click")
    kinds = [f"t{number}" for number in range(MAX_TYPES)]
    with pytest.raises(DatasetUnreadable, match="right column"):
        builder.add(kinds, kinds, [2] * len(kinds), kinds)

    assert [(event.user, event.item) for event in builder.build()] == [("a", "x")]


def test_days_outside_the_publishers_are_dropped() -> None:
    """The first instant counts as inside, the end does not."""
    builder = TableBuilder()
    builder.add(["a"] * 4, list("wxyz"), [9, 10, 19, 20], "click")
    table = builder.build(within_ms=(10, 20))

    assert table.items == ["x", "y"]
    assert builder.dropped == {"outside the publisher's dates": 2}


def test_columns_have_the_sizes_that_were_promised() -> None:
    """A row with a value takes 22 bytes, whatever its ids."""
    builder = TableBuilder()
    builder.add(["a"], ["x"], [1], "click", [4.5])
    table = builder.build()

    columns = (table.user, table.item, table.time_ms, table.type, table.value)
    assert sum(column.itemsize for column in columns if column is not None) == 22


def test_values_that_are_all_absent_are_no_column() -> None:
    """Formats without values cost nothing for them."""
    builder = TableBuilder()
    builder.add(["a", "b"], ["x", "y"], [1, 2], "click", [np.nan, np.nan])

    assert builder.build().value is None
