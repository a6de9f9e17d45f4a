"""Histories, windows and what is held out, in logs small enough to read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.catalogue import Catalogue, new_item_row
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, NEW_ITEM_ROWS
from model.sequences import (
    Histories,
    batches,
    catalogue_of,
    data_digest,
    histories,
    hold_out,
    split,
    windows_of,
)


def columns(log: list[tuple[str, str]]) -> EventColumns:
    """Events one second apart; ids get codes in sorted order."""
    users, items = sorted({user for user, _ in log}), sorted({item for _, item in log})
    return EventColumns(
        users=users,
        items=items,
        user=np.array([users.index(user) for user, _ in log], np.int32),
        item=np.array([items.index(item) for _, item in log], np.int32),
        time_ms=1000 * np.arange(len(log), dtype=np.int64),
    )


LOG = [("u", "b"), ("v", "a"), ("u", "c"), ("u", "a"), ("v", "c"), ("w", "d"), ("u", "d")]


def long_history(num_events: int) -> Histories:
    log = columns([("u", f"i{place:03d}") for place in range(num_events)])
    return histories(log, Catalogue(log.items))


def test_the_warm_part_is_the_first_events_rounded_down() -> None:
    """Four fifths of seven events are five."""
    warm, stream = split(columns(LOG))

    assert (len(warm), len(stream)) == (5, 2)


def test_a_catalogue_lists_items_in_order_of_their_first_event() -> None:
    """Rows follow time, not spelling."""
    assert catalogue_of(columns(LOG)).items == ["b", "a", "c", "d"]


def test_histories_keep_each_users_order() -> None:
    """Users stand side by side, each with the events as they came."""
    log = columns(LOG)
    found = histories(log, catalogue_of(log))

    assert found.lengths().tolist() == [4, 2, 1]
    assert (found.rows - FIRST_ITEM_ROW).tolist() == [0, 2, 1, 3, 1, 2, 3]
    assert found.order.tolist() == [0, 2, 3, 6, 1, 4, 5]
    assert (found.times_ms == 1000 * found.order).all()


def test_an_item_outside_the_catalogue_has_its_new_item_row() -> None:
    """Unknown ids go where the catalogue sends them."""
    found = histories(columns(LOG), Catalogue(["a", "b", "c"]))

    assert found.rows[-1] == new_item_row("d")


@given(length=st.integers(2, 400), window=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_every_event_but_the_first_is_a_target_once(length: int, window: int, seed: int) -> None:
    """Windows overlap by one event, hold at most window + 1, and leave no target out."""
    cuts = windows_of(long_history(length), window, np.random.default_rng(seed))
    targets = [place for start, stop in cuts for place in range(start + 1, stop)]

    assert targets == list(range(1, length))
    assert max(stop - start for start, stop in cuts) <= window + 1


def test_every_position_predicts_the_next_event() -> None:
    """Targets are the inputs shifted by one."""
    events = long_history(30)
    (batch,) = batches(
        events, window=40, batch=4, positions=9999, new_item_share=0.0, random=np.random.default_rng(0)
    )
    (rows, times_ms), (targets,) = batch.sequences[0], batch.targets

    assert np.array_equal(rows, events.rows[:-1])
    assert np.array_equal(times_ms, events.times_ms[:-1])
    assert np.array_equal(targets, events.rows[1:])


def test_masking_touches_inputs_and_never_targets() -> None:
    """With everything masked, inputs are new-item rows and targets are items."""
    (batch,) = batches(
        long_history(30),
        window=40,
        batch=4,
        positions=9999,
        new_item_share=1.0,
        random=np.random.default_rng(0),
    )
    rows, targets = np.asarray(batch.sequences[0][0]), batch.targets[0]

    assert ((rows >= 1) & (rows <= NEW_ITEM_ROWS)).all()
    assert (targets >= FIRST_ITEM_ROW).all()


def test_batches_hold_windows_of_similar_length() -> None:
    """Sorted by length, cut every ten windows: padding costs at most the spread within ten."""
    log = columns([(f"u{user:02d}", f"i{event}") for user in range(40) for event in range(2 + user)])
    found = batches(
        histories(log, Catalogue(log.items)),
        window=50,
        batch=10,
        positions=9999,
        new_item_share=0.0,
        random=np.random.default_rng(0),
    )
    spans = sorted((min(map(len, batch.targets)), max(map(len, batch.targets))) for batch in found)

    assert spans == [(1, 10), (11, 20), (21, 30), (31, 40)]


def test_long_windows_come_in_smaller_batches() -> None:
    """Two windows of 200 fit into 500 positions, three do not, though eight windows were asked for."""
    log = columns([(f"u{user}", f"i{event}") for user in range(8) for event in range(201)])
    found = batches(
        histories(log, Catalogue(log.items)),
        window=200,
        batch=8,
        positions=500,
        new_item_share=0.0,
        random=np.random.default_rng(0),
    )

    assert {len(batch.targets) for batch in found} == {2}


def test_the_last_event_of_a_user_is_held_out_and_not_trained_on() -> None:
    """Validation asks for it after everything before it; users with fewer than three events keep theirs."""
    log = columns(LOG)
    rest, questions = hold_out(histories(log, catalogue_of(log)), 5000, 2, seed=0)

    assert (questions.targets - FIRST_ITEM_ROW).tolist() == [3]
    assert [(rows - FIRST_ITEM_ROW).tolist() for rows, _ in questions.sequences] == [[2, 1]]
    assert [(rows - FIRST_ITEM_ROW).tolist() for rows in questions.seen] == [[0, 2, 1]]
    assert questions.asked_ms.tolist() == [6000]
    assert questions.asked(0)[1].tolist() == [3000, 6000]
    assert (rest.rows - FIRST_ITEM_ROW).tolist() == [0, 2, 1, 1, 2, 3]
    assert rest.lengths().tolist() == [3, 2, 1]


def test_validation_users_are_bounded_and_drawn_by_seed() -> None:
    """At most the asked number; the same seed draws the same users."""
    log = columns([(f"u{user}", f"i{event}") for user in range(50) for event in range(4)])
    found = histories(log, Catalogue(log.items))
    first, again = (hold_out(found, 7, 10, seed=5)[0].lengths() for _ in range(2))

    assert (first == 3).sum() == 7
    assert np.array_equal(first, again)


@pytest.mark.parametrize("change", ["order", "time", "user"])
def test_the_digest_sees_every_column(change: str) -> None:
    """Another order, time or user gives another digest; other codes for the same ids do not."""
    log = columns(LOG)
    moved = {
        "order": columns([LOG[1], LOG[0], *LOG[2:]]),
        "time": EventColumns(
            users=log.users, items=log.items, user=log.user, item=log.item, time_ms=log.time_ms + 1
        ),
        "user": columns([("x", "b"), *LOG[1:]]),
    }[change]
    wider = EventColumns(
        users=["0", *log.users],
        items=["0", *log.items],
        user=log.user + np.int32(1),
        item=log.item + np.int32(1),
        time_ms=log.time_ms,
    )

    assert data_digest(log) != data_digest(moved)
    assert data_digest(log) == data_digest(wider)
