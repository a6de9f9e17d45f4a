"""Two runs with the same events have the same digest, whatever happened on the way."""

from __future__ import annotations

import random

from stream.digest import list_digest, state_digest
from stream.events import Interaction
from stream.history import Rules, User
from stream.records import RecommendationList, Scored, StateRef
from stream.themes import Router


def run(events: list[Interaction], topic_id: str = "t", first_offset: int = 0) -> dict[bytes, bytes]:
    users: dict[str, User] = {}
    for offset, event in enumerate(events, first_offset):
        user = users.setdefault(event.user, User.new(topic_id))
        user.apply(event, topic_id, offset, Rules(), Router())
    return {name.encode(): user.to_bytes() for name, user in users.items()}


def events() -> list[Interaction]:
    rng = random.Random(3)
    return [
        Interaction(ts=n * 60_000, user=f"u{rng.randrange(9)}", item=f"i{rng.randrange(99)}", type="click")
        for n in range(500)
    ]


def shuffled_across_users(one: list[Interaction]) -> list[Interaction]:
    """Another interleaving in which each user's own order stays."""
    rng = random.Random(4)
    queues: dict[str, list[Interaction]] = {}
    for event in one:
        queues.setdefault(event.user, []).append(event)
    out = []
    while queues:
        user = rng.choice(sorted(queues))
        out.append(queues[user].pop(0))
        if not queues[user]:
            del queues[user]
    return out


def test_offsets_topics_and_interleaving_leave_no_trace() -> None:
    """The same events in another topic, at other offsets, users shuffled: one digest."""
    one = events()

    assert state_digest(run(one)) == state_digest(run(shuffled_across_users(one), "other", 10**6))


def test_one_event_less_is_another_state() -> None:
    """The digest sees every event."""
    assert state_digest(run(events())) != state_digest(run(events()[:-1]))


def test_another_order_of_one_users_events_is_another_state() -> None:
    """Arrival order is part of the state."""
    one = [event for event in events() if event.user == "u1"]

    assert state_digest(run(one)) != state_digest(run(one[::-1]))


def test_lists_are_compared_by_what_they_show() -> None:
    """Times and scores may differ; items, version and offset may not."""

    def made(score: float, item: str = "a", made_ms: int = 0) -> RecommendationList:
        state = StateRef(topic_id="t", partition=0, offset=5, events=1)
        places = [Scored(item=item, score=score)]
        return RecommendationList(
            id="l", user="u", items=places, model="1", state=state, epoch=1, made_ms=made_ms
        )

    assert list_digest({"u": made(0.5)}) == list_digest({"u": made(0.4, made_ms=9)})
    assert list_digest({"u": made(0.5)}) != list_digest({"u": made(0.5, item="b")})
