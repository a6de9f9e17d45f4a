"""What one event does to a user's state."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.digest import state_digest
from stream.errors import StateDamaged
from stream.events import Interaction
from stream.history import KEEP_IDS, Delivery, Outcome, Rules, User
from stream.themes import Router

RULES = Rules(gap_ms=1000, max_events=4, keep_events=264)
ROUTER = Router()


def click(item: str, ts: int, type_: str = "click", id_: str | None = None) -> Interaction:
    return Interaction(ts=ts, user="ann", item=item, type=type_, id=id_)


def told(events: list[Interaction], rules: Rules = RULES) -> User:
    user = User.new("t")
    for offset, event in enumerate(events):
        user.apply(event, "t", offset, rules, ROUTER)
    return user


def digest(user: User) -> str:
    return state_digest({b"ann": user.to_bytes()})


def test_events_within_the_gap_form_one_session() -> None:
    """A pause over g closes the session and opens the next."""
    user = told([click("a", 0), click("b", 1000), click("c", 2001)])

    assert [session.items for session in user.closed] == [["a", "b"]]
    assert user.value.open_items == ["c"]


def test_a_stored_state_is_the_state() -> None:
    """Bytes and back change nothing, and the next event does the same to both."""
    user = told([click(str(n), n * 700 % 5000) for n in range(50)])
    copy = User.from_bytes(user.to_bytes())
    for one in (user, copy):
        one.apply(click("new", 10**6), "t", 99, RULES, ROUTER)

    assert copy.to_bytes() == user.to_bytes()
    assert (copy.items, copy.deltas) == (user.items, user.deltas)


def test_a_late_event_is_kept_in_arrival_order_and_never_moves_the_clock_back() -> None:
    """It is appended, counted, and the session's clock stays."""
    user = told([click("a", 5000), click("b", 10), click("c", 5500)])

    assert user.items == ["a", "b", "c"]
    assert user.value.counters.late == 1
    assert user.value.clock_ms == 5500


def test_the_same_event_twice_counts_once() -> None:
    """A repeat with a new offset advances the offset and changes nothing else."""
    user = told([click("a", 0), click("a", 0)])

    assert user.items == ["a"]
    assert user.value.applied == 1
    assert user.value.counters.duplicates == 1


def test_an_explicit_id_is_what_makes_two_events_one() -> None:
    """Equal ids are one event whatever they say; different ids are two although all else is equal."""
    assert told([click("a", 0, id_="x"), click("b", 9, id_="x")]).items == ["a"]
    assert told([click("a", 0, id_="x"), click("a", 0, id_="y")]).items == ["a", "a"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20_000)), max_size=80))
def test_a_whole_stream_sent_again_changes_nothing(events: list[tuple[str, int]]) -> None:
    """Repeats are recognised long after the ring of recent ids has turned."""
    once = [click(item, ts) for item, ts in events]

    assert digest(told(once + once)) == digest(told(once))


def test_a_stream_longer_than_the_history_sent_again_changes_nothing() -> None:
    """What the bounded history forgot cannot come back: it is counted as too late."""
    events = [click(f"i{n}", n * 100) for n in range(1000)]
    once, twice = told(events), told(events + events)

    assert digest(twice) == digest(once)
    assert twice.value.counters.too_late > 0
    assert twice.value.counters.duplicates + twice.value.counters.too_late == 1000


def test_state_is_bounded() -> None:
    """Ten thousand events leave at most the kept ones, and all else stays small."""
    rng = random.Random(1)
    user = told([click(f"item-{rng.randrange(10**6)}", n * 500) for n in range(10_000)])

    assert len(user.items) <= RULES.keep_events + RULES.max_events
    assert len(user.value.recent) <= KEEP_IDS
    assert len(user.to_bytes()) < 10_000


def test_a_rejected_item_is_remembered_apart() -> None:
    """A negative event is stored but enters no session."""
    user = told([click("a", 0), click("b", 1, "dislike")])

    assert user.items == ["a"]
    assert user.value.rejected == [("b", 1, "dislike")]


def test_a_neutral_event_only_counts() -> None:
    """An impression touches neither sessions nor clock."""
    user = User.new("t")
    outcome = user.apply(click("a", 99, "impression"), "t", 0, RULES, ROUTER)

    assert outcome is Outcome.NEUTRAL
    assert (user.items, user.value.clock_ms, user.value.applied) == ([], -1, 0)


def test_offsets_say_what_is_new() -> None:
    """Below the applied offset is past, at it again, above it or in another topic generation new."""
    user = told([click("a", 0), click("b", 1)])

    assert user.delivery("t", 0) is Delivery.PAST
    assert user.delivery("t", 1) is Delivery.AGAIN
    assert user.delivery("t", 2) is Delivery.NEW
    assert user.delivery("u", 0) is Delivery.NEW


def test_forgetting_leaves_nothing_and_lets_nothing_old_back_in() -> None:
    """After an erasure the offset stays, the history is empty, and a replay of the past is refused."""
    user = told([click("a", 0), click("b", 500)])
    user.forget("t", 2, written_ms=10**6)
    again = user.apply(click("a", 0), "t", 3, RULES, ROUTER)

    assert again is Outcome.TOO_LATE
    assert user.items == []
    assert user.value.applied == 3


def test_a_clock_that_was_ahead_locks_nobody_out_once_its_click_has_left() -> None:
    """A click from tomorrow leaves the bounded history; the clicks of today go on counting."""
    user = told([click("tomorrow", 10**8), *(click(f"i{n}", n * 5000) for n in range(1000))])

    assert "tomorrow" not in user.items
    assert user.value.counters.too_late == 0
    assert user.apply(click("i3", 3 * 5000), "t", 2000, RULES, ROUTER) is Outcome.TOO_LATE


def test_an_erasure_locks_nobody_out_whose_clock_was_ahead() -> None:
    """What is later than the erasure itself is let in, what is older is not."""
    user = told([click("a", 500), click("tomorrow", 10**8)])
    user.forget("t", 2, written_ms=1000)

    assert user.apply(click("a", 500), "t", 3, RULES, ROUTER) is Outcome.TOO_LATE
    assert user.apply(click("b", 1500), "t", 4, RULES, ROUTER) is Outcome.POSITIVE


@pytest.mark.parametrize("raw", [b"", b"\x00", b"not a state", b"\x90", b"\xff" * 40])
def test_damaged_bytes_are_refused(raw: bytes) -> None:
    """Anything that is no state says so instead of becoming one."""
    with pytest.raises(StateDamaged):
        User.from_bytes(raw)
