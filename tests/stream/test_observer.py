"""What a run adds up to, from hand-made records of its topics."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
import pytest

from stream.account import Account
from stream.events import Event, Forget, Interaction, Rescore, encode
from stream.following import USER_EVENTS, Following
from stream.history import Rules
from stream.records import RecommendationList, StateRef, encode_list

RULES = Rules(gap_ms=1000, keep_events=264)


def account(max_users: int = 100) -> Account:
    return Account(Following(RULES), "t", max_users=max_users)


def click(made: Account, user: str, offset: int, item: str, ms: int, **fields: object) -> None:
    event = Interaction(ts=1000 + offset, user=user, item=item, type="click", **fields)  # type: ignore[arg-type]
    made.event(user.encode(), encode(event), offset, ms)


def a_list(made: Account, user: str, offset: int, ms: int, epoch: int = 1, topic_id: str = "t") -> None:
    state = StateRef(topic_id=topic_id, partition=0, offset=offset, events=1)
    value = encode_list(
        RecommendationList(id="l", user=user, items=[], model="000001", state=state, epoch=epoch)
    )
    made.recommendation(value, ms)


def test_time_to_a_list_is_between_two_records() -> None:
    """From the event's record to the first list that knows it; one list may answer several events."""
    made = account()
    click(made, "ann", 0, "a", ms=100)
    click(made, "ann", 1, "b", ms=110)
    a_list(made, "ann", 1, ms=150)
    a_list(made, "ann", 1, ms=900, epoch=2)

    assert made.event_to_list_ms() == {"p50": 45.0, "p95": 49.5, "p99": 49.9}
    assert made.skew.largest() == 1


def test_lists_may_be_read_before_their_events() -> None:
    """The topics are read in any interleaving: the times are the same."""
    made = account()
    a_list(made, "ann", 0, ms=130)
    a_list(made, "ann", 4, ms=170)
    click(made, "ann", 0, "a", ms=100)
    click(made, "ann", 4, "b", ms=150)

    assert made.event_to_list_ms() == {"p50": 25.0, "p95": 29.5, "p99": 29.9}
    assert made.incomplete_users == 0


def test_before_the_first_list_there_is_no_time() -> None:
    """Percentiles of nothing are None, not zero."""
    assert account().event_to_list_ms() == {"p50": None, "p95": None, "p99": None}


def test_incomplete_is_a_newest_list_behind_the_newest_event() -> None:
    """A user whose newest list does not know the newest event is left behind, until it does."""
    made = account()
    click(made, "ann", 0, "a", ms=0)
    click(made, "bob", 1, "a", ms=0)
    a_list(made, "ann", 0, ms=1)
    assert made.incomplete_users == 1

    a_list(made, "bob", 1, ms=2)
    assert made.incomplete_users == 0

    click(made, "bob", 2, "b", ms=3)
    assert (made.incomplete_users, made.num_users) == (1, 2)


def test_lists_that_go_back_are_counted() -> None:
    """An older state or epoch after a newer one is a regression; a repeat is not."""
    made = account()
    for offset, epoch in [(1, 1), (1, 1), (2, 1), (1, 1), (2, 2), (2, 1)]:
        a_list(made, "ann", offset, ms=0, epoch=epoch)

    assert (made.counts.lists, made.counts.regressed) == (6, 2)


def test_every_event_is_accounted_for() -> None:
    """events = applied + duplicates + too late + refused, told as the worker tells them."""
    made = account()
    click(made, "ann", 0, "a", ms=0, id="1")
    click(made, "ann", 1, "a", ms=0, id="1")
    made.event(b"ann", b"no event", 2, 0)
    made.event(b"bob", encode(Interaction(ts=1, user="ann", item="a", type="click")), 3, 0)
    made.event(b"ann", encode(Interaction(ts=1, user="ann", item="z", type="click")), 4, 0)
    made.event(b"ann", encode(Rescore(user="ann")), 5, 0)
    made.event(b"ann", encode(Forget(user="ann")), 6, 1_000)
    made.event(b"ann", encode(Interaction(ts=1, user="ann", item="a", type="click")), 7, 0)

    counts = asdict(made.counts)
    assert {name: num for name, num in counts.items() if num} == {
        "events": 6,
        "applied": 2,
        "duplicates": 1,
        "late": 1,
        "too_late": 1,
        "refused": 2,
    }


def test_a_backfilled_event_expects_no_list() -> None:
    """History that was only loaded leaves nobody behind."""
    made = account()
    event = encode(Interaction(ts=1000, user="ann", item="a", type="click"))
    made.event(b"ann", event, 0, 0, backfill=True)
    assert (made.incomplete_users, made.num_users, made.counts.backfilled) == (0, 0, 1)


def test_lists_of_another_generation_complete_nobody() -> None:
    """A list made from an events topic that was deleted since knows nothing of this run."""
    made = account()
    click(made, "ann", 0, "a", ms=0)
    a_list(made, "ann", 99, ms=1, topic_id="old")

    assert (made.counts.lists, made.incomplete_users) == (1, 1)


def test_users_are_bounded_and_still_counted() -> None:
    """Past the bound the longest silent user is let go; whether they were left behind is remembered."""
    made = account(max_users=2)
    for offset, user in enumerate(["ann", "bob", "cat"]):
        click(made, user, offset, "a", ms=0)

    assert (made.num_users, made.incomplete_users) == (3, 3)


def test_states_are_followed_within_a_bound() -> None:
    """Past the bound of events the longest silent users' states go."""
    following = Following(RULES, max_events=4 + 2 * USER_EVENTS)
    for offset in range(20):
        user = f"u{offset % 7}"
        event = encode(Interaction(ts=1000 + offset, user=user, item=f"i{offset}", type="click"))
        following.tell(user.encode(), event, offset, "t", 10_000)

    assert following.num_events <= 4 + 2 * USER_EVENTS
    assert 0 < len(following.users()) <= 2


@pytest.mark.parametrize(
    "event",
    [
        Forget(user="?"),
        Rescore(user="?"),
        Interaction(ts=1000, user="?", item="a", type="dislike"),
    ],
)
def test_users_without_a_history_are_followed_within_the_same_bound(event: Event) -> None:
    """Who was erased, asked for a list or only disliked holds a place, and gives it up."""
    following = Following(RULES, max_events=10 * USER_EVENTS)
    for offset in range(50):
        user = f"u{offset}"
        following.tell(user.encode(), encode(msgspec.structs.replace(event, user=user)), offset, "t", 10_000)

    assert following.users() == [f"u{number}" for number in range(40, 50)]
    copy = Following(RULES)
    copy.restore(following.state())
    assert copy.num_events == following.num_events == 10 * USER_EVENTS


def test_a_record_that_is_no_list_is_counted() -> None:
    """Something else on the recommendations topic is counted and changes nothing."""
    made = account()
    made.recommendation(b"{}", 0)
    made.recommendation(None, 0)

    assert (made.counts.unreadable, made.counts.lists) == (2, 0)
