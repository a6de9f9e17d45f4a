"""What records teach: each event once, after the history that was known before it."""

from __future__ import annotations

import json

import pytest

from model.memory import MemoryConfig
from stream.events import Forget, Interaction, encode
from stream.history import Rules
from stream.intake import Record
from stream.lessons import Lessons, Slice, ranges

RULES = Rules(gap_ms=1000, keep_events=264)


def lessons() -> Lessons:
    return Lessons(RULES, "t", MemoryConfig(window=4, neighbours=8))


def record(offset: int, user: str, item: str, *, ts: int | None = None, backfill: bool = False) -> Record:
    event = Interaction(ts=offset * 10 if ts is None else ts, user=user, item=item, type="click")
    return Record(
        partition=0,
        offset=offset,
        key=user.encode(),
        value=encode(event),
        written_ms=10**9,
        backfill=backfill,
    )


def loaded(offset: int, user: str, item: str) -> Record:
    return record(offset, user, item, backfill=True)


def told(taken: Slice) -> list[tuple[str, str, int]]:
    columns, _ = taken.columns()
    triples = zip(columns.user, columns.item, columns.time_ms, strict=True)
    return [(columns.users[user], columns.items[item], int(ms)) for user, item, ms in triples]


def test_what_was_loaded_is_known_with_the_last_one_that_carries_no_mark() -> None:
    """A load marks every event of a user but the last; the click after it is the first to be learned."""
    taken = lessons().take(
        [
            record(1, "u", "a", backfill=True),
            record(2, "u", "b", backfill=True),
            record(3, "u", "c"),
            record(4, "u", "d"),
        ],
        {},
    )

    assert [click.item for click in taken.known] == ["a", "b", "c"]
    assert [click.item for click in taken.clicks] == ["d"]
    assert taken.past == {"u": (["a", "b", "c"], [10, 20, 30])}
    assert told(taken) == [("u", "a", 10), ("u", "b", 20), ("u", "c", 30), ("u", "d", 40)]
    assert taken.columns()[1] == 3


def test_what_a_version_was_trained_through_is_known() -> None:
    """Up to and with the offset, by partition."""
    taken = lessons().take([record(number, "u", f"i{number}") for number in range(1, 5)], {0: 2, 1: 9})

    assert [click.offset for click in taken.known] == [1, 2]
    assert ranges(taken.clicks) == {0: (3, 4)}


def test_repeats_rubbish_and_dislikes_teach_nothing() -> None:
    """Only positive events that changed a state are clicks; the others are counted as records."""
    dislike = json.dumps(
        {"v": 1, "event": "interaction", "ts": 30, "user": "u", "item": "b", "type": "dislike"}
    )
    rubbish = Record(partition=0, offset=2, key=b"u", value=b"{", written_ms=10**9)
    disliked = Record(partition=0, offset=3, key=b"u", value=dislike.encode(), written_ms=10**9)
    again = record(4, "u", "a", ts=10)
    taken = lessons().take([record(1, "u", "a"), rubbish, disliked, again], {})

    assert [click.offset for click in taken.clicks] == [1]
    assert taken.num_records == 4


def test_late_events_stand_where_they_arrived() -> None:
    """A history keeps its order of arrival among other users' events by time."""
    made = lessons()
    made.take([record(1, "u", "a", ts=50), record(2, "u", "b", ts=20), record(3, "v", "c", ts=30)], {})
    taken = made.take([record(4, "u", "d", ts=60), record(5, "v", "e", ts=70)], {})

    assert [one for one in told(taken) if one[0] == "u"] == [("u", "a", 50), ("u", "b", 20), ("u", "d", 60)]


def test_an_erased_user_teaches_nothing_of_before() -> None:
    """Clicks and history go; what comes after is theirs again."""
    made = lessons()
    made.take([record(1, "u", "a")], {})
    forget = Record(partition=0, offset=3, key=b"u", value=encode(Forget(user="u")), written_ms=10**9)
    taken = made.take([record(2, "u", "b"), record(2, "v", "b"), forget, record(4, "u", "c", ts=99)], {})

    assert taken.forgotten == ["u"]
    assert [(click.user, click.item) for click in taken.clicks] == [("v", "b"), ("u", "c")]
    assert taken.past["u"] == ([], [])


def test_a_history_that_is_loaded_amid_clicks_is_learned_after_those_before_it() -> None:
    """Whoever judges the slice has a memory that knows nothing later; afterwards it knows all, in order."""
    made, at_once = lessons(), lessons()
    early = [loaded(1, "x", "a"), loaded(2, "x", "b")]
    amid = [record(3, "u", "a"), loaded(4, "v", "c"), record(5, "w", "d"), loaded(6, "v", "d")]
    taken = made.take([*early, *amid], {})
    before = [len(made.memory.recall([item]).codes_C) for item in "ac"]
    made.learn(taken)
    for one in (*early, *amid):
        at_once.learn(at_once.take([one], {}))

    assert before == [1, 0]
    assert [len(made.memory.recall([item]).codes_C) for item in "ac"] == [1, 1]
    assert made.state() == at_once.state()


def test_what_an_erased_user_loaded_amid_clicks_is_not_learned() -> None:
    """And the rest keeps its place among the clicks that stay."""
    made = lessons()
    forget = Record(partition=0, offset=9, key=b"u", value=encode(Forget(user="u")), written_ms=10**9)
    records = [record(1, "u", "a"), record(2, "w", "b"), loaded(3, "v", "c"), loaded(4, "u", "d"), forget]
    taken = made.take(records, {})

    assert [(number, one.user) for number, _, one in taken.amid] == [(1, "v")]


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_restart_anywhere_changes_nothing(cut: int) -> None:
    """State, restored into another object, teaches the rest alike, the memory included."""
    records = [record(number, f"u{number % 3}", f"i{number % 4}", ts=number) for number in range(1, 10)]
    whole, first, second = lessons(), lessons(), lessons()
    for part in (records[:cut], records[cut:]):
        slice_ = whole.take(part, {})
        whole.learn(slice_)
    first.learn(first.take(records[:cut], {}))
    second.restore(first.state())
    rest = second.take(records[cut:], {})
    second.learn(rest)

    assert rest == slice_
    assert second.state() == whole.state()
