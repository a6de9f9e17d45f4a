"""A table as events, as columns, in parts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops.datasets.building import TableBuilder
from ops.datasets.table import EventTable
from stream.events import Interaction


@pytest.fixture
def table() -> EventTable:
    """Four events of three users, three types, one value missing, one id."""
    builder = TableBuilder()
    builder.add(
        ["ann", "bob", "ann", "cid"],
        ["x", "y", "z", "x"],
        [10, 20, 30, 40],
        ["click", "impression", "skip", "click"],
        [1.0, math.nan, 3.0, 4.0],
    )
    builder.add_marks([None, "e1", None, None], [None, None, "shown", None])
    return builder.build("here")


def test_iterates_as_events(table: EventTable) -> None:
    """Every column finds its place in the event; an absent value is None."""
    assert list(table)[1:3] == [
        Interaction(id="e1", ts=20, user="bob", item="y", type="impression", source="here"),
        Interaction(ts=30, user="ann", item="z", type="skip", value=3.0, list="shown", source="here"),
    ]


def test_a_slice_is_the_same_events(table: EventTable) -> None:
    """Slicing and taking rows agree with slicing the list of events."""
    mask = np.array([False, True, True, False])

    assert list(table.slice(1, 3)) == list(table)[1:3] == list(table.take(mask))


def test_iteration_does_not_depend_on_its_chunks(table: EventTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of any size give the same events."""
    whole = list(table)
    monkeypatch.setattr("ops.datasets.table.CHUNK_ROWS", 3)

    assert list(table) == whole


def test_positives_are_what_is_neither_negative_nor_neutral(table: EventTable) -> None:
    """The model reads clicks only, under the same vocabularies."""
    columns = table.positives({"skip", "dislike"}, {"impression"})

    assert [
        (columns.users[u], columns.items[i]) for u, i in zip(columns.user, columns.item, strict=True)
    ] == [
        ("ann", "x"),
        ("cid", "x"),
    ]
    assert columns.time_ms.tolist() == [10, 40]


def test_last_of_user_marks_one_row_per_user(table: EventTable) -> None:
    """Every user in the range has exactly one last row, also in a part of the table."""
    assert table.last_of_user().tolist() == [False, True, True, True]
    assert table.slice(0, 2).last_of_user().tolist() == [True, True]


def test_an_empty_table_is_still_one() -> None:
    """No rows: no events, no columns, no error."""
    table = TableBuilder().build()

    assert list(table) == []
    assert len(table.positives(set(), set())) == 0
    assert table.last_of_user().tolist() == []
