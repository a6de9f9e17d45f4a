"""What is left of a replay, from the newest event of each partition."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from ops.datasets.building import TableBuilder
from ops.datasets.table import EventTable
from ops.resume import Rows, _newest_between, remaining
from stream.errors import BrokerUnreachable
from stream.events import Interaction
from stream.partition import partition_of

TOUCHES = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cid", "dee", "eve"]), st.sampled_from("xy"), st.integers(0, 5)),
    min_size=1,
    max_size=40,
)


def table(touches: list[tuple[str, str, int]]) -> EventTable:
    builder = TableBuilder()
    builder.add([t[0] for t in touches], [t[1] for t in touches], [t[2] for t in touches], "click")
    return builder.build("set")


@given(TOUCHES, st.data())
def test_what_arrived_and_what_remains_are_the_whole(
    touches: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Partitions that stopped at different places: their newest events tell exactly what is missing."""
    events = table(touches)
    on_topic: dict[int, list[int]] = {number: [] for number in range(3)}
    for row, event in enumerate(events):
        on_topic[partition_of(event.user, 3)].append(row)
    kept = {number: rows[: data.draw(st.integers(0, len(rows)))] for number, rows in on_topic.items()}
    newest = {number: rows[-1] for number, rows in kept.items() if rows}

    missing = remaining(events, newest, 3)

    assert {row for row, left in enumerate(missing) if not left} == {
        row for rows in kept.values() for row in rows
    }


@given(TOUCHES)
def test_an_event_finds_its_row_again(touches: list[tuple[str, str, int]]) -> None:
    """The row found for any event holds that event; of equal events it is the last."""
    events = list(table(touches))
    rows = Rows(table(touches))
    for event in events:
        found = rows.row_of(event)

        assert found == max(row for row, other in enumerate(events) if other == event)


def test_events_of_others_are_no_rows() -> None:
    """Another source, an unknown user, an unknown time: none of them is a place to go on from."""
    rows = Rows(table([("ann", "x", 1)]))
    own = Interaction(ts=1, user="ann", item="x", type="click", source="set")

    assert rows.row_of(own) == 0
    for other in (
        Interaction(ts=1, user="ann", item="x", type="click", source="elsewhere"),
        Interaction(ts=1, user="bob", item="x", type="click", source="set"),
        Interaction(ts=2, user="ann", item="x", type="click", source="set"),
        Interaction(ts=1, user="ann", item="x", type="skip", source="set"),
    ):
        assert rows.row_of(other) is None


def test_a_broker_that_goes_away_is_not_waited_for_for_ever() -> None:
    """Records are owed and none comes: it ends with a word of where."""

    class Silent:
        def seek(self, *_: object) -> None: ...

        def position(self, _: object) -> int:
            return 3

        def poll(self, timeout_ms: int) -> dict[object, list[object]]:
            return {}

    with pytest.raises(BrokerUnreachable, match="t 0 gave nothing from 3 on"):
        _newest_between(cast(Any, Silent()), Rows(table([("a", "x", 1)])), TopicPartition("t", 0), 3, 9)
