"""Who holds which positions: nothing is computed twice, nothing missing is taken for present."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.slots import New, Slots, Wanted

MAX = 6


def extend(fingerprint: int, item: str, ts_ms: int) -> int:
    """A rule of the tests' own: exact, because it never collides on what these tests use."""
    return hash((fingerprint, item, ts_ms))


def wanted(events: list[tuple[str, int]], user: str = "ann", kind: str = "global") -> Wanted:
    fingerprint = 0
    for item, ts_ms in events:
        fingerprint = extend(fingerprint, item, ts_ms)
    item, ts_ms = events[-1] if events else (None, 0)
    return Wanted(user=user, kind=kind, length=len(events), fingerprint=fingerprint, item=item, ts_ms=ts_ms)


def ask(slots: Slots, events: list[tuple[str, int]], user: str = "ann", kind: str = "global") -> New:
    """As the scorer does: fingerprints first, else decoding. The row is the item's number."""
    question = wanted(events, user, kind)
    new = slots.without_decoding(question, int(events[-1][0]))
    return new or slots.with_sequence(question, [int(item) for item, _ in events], [ts for _, ts in events])


EVENTS = [("70", 1), ("71", 2), ("72", 3), ("73", 4)]


def test_an_unknown_sequence_needs_decoding() -> None:
    """Nothing is held, so fingerprints prove nothing; all positions are new."""
    slots = Slots(2, MAX, extend)

    assert slots.without_decoding(wanted(EVENTS), 73) is None
    new = slots.with_sequence(wanted(EVENTS), [70, 71, 72, 73], [1, 2, 3, 4])
    assert (new.start, new.rows.tolist(), new.times_ms.tolist()) == (0, [70, 71, 72, 73], [1, 2, 3, 4])


def test_the_same_sequence_has_no_new_position() -> None:
    """Asked again, nothing is computed and nothing decoded."""
    slots = Slots(2, MAX, extend)
    first = ask(slots, EVENTS)

    again = slots.without_decoding(wanted(EVENTS), 73)

    assert again is not None
    assert (again.slot, len(again.rows)) == (first.slot, 0)


def test_one_more_event_is_one_position_without_decoding() -> None:
    """The fingerprint of the held sequence, extended by the newest event, is the request's."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS[:3])

    new = slots.without_decoding(wanted(EVENTS), 73)

    assert new is not None
    assert (new.start, new.rows.tolist(), new.times_ms.tolist()) == (3, [73], [4])


def test_two_more_events_need_decoding_and_are_two_positions() -> None:
    """A missed request costs its own position only."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS[:2])

    assert slots.without_decoding(wanted(EVENTS), 73) is None
    assert ask(slots, EVENTS).start == 2


def test_another_newest_event_is_no_extension() -> None:
    """A length that fits is not enough: the newest event must explain the fingerprint."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS[:3])
    late = wanted([EVENTS[3], *EVENTS[:3]])

    assert slots.without_decoding(late, 72) is None


def test_a_changed_middle_is_computed_from_there() -> None:
    """The prefix before the first difference stays."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS)

    assert ask(slots, [EVENTS[0], ("80", 2), *EVENTS[2:]]).start == 1
    assert ask(slots, [EVENTS[0], ("80", 9), *EVENTS[2:]]).start == 1  # the same items at another time


def test_a_shorter_sequence_computes_its_newest_position_again() -> None:
    """A slot keeps the state of its newest position only."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS)

    assert ask(slots, EVENTS[:2]).start == 1


def test_the_newest_events_count_when_there_are_too_many() -> None:
    """Beyond the window every event moves it, so nothing is proved without decoding."""
    slots = Slots(2, MAX, extend)
    events = [(str(70 + number), number) for number in range(8)]
    ask(slots, events[:6])

    assert slots.without_decoding(wanted(events[:7]), 76) is None
    new = ask(slots, events[:7])
    assert (new.start, new.rows.tolist()) == (0, [71, 72, 73, 74, 75, 76])
    assert slots.without_decoding(wanted(events), 77) is None


def test_the_least_recently_asked_gives_way() -> None:
    """Of two slots, a third user takes that of the one asked about longer ago."""
    slots = Slots(2, MAX, extend)
    ask(slots, EVENTS, "ann")
    bob = ask(slots, EVENTS, "bob")
    ask(slots, EVENTS, "ann")

    assert ask(slots, EVENTS, "cat").slot == bob.slot
    assert slots.without_decoding(wanted(EVENTS, "ann"), 73) is not None
    assert slots.without_decoding(wanted(EVENTS, "bob"), 73) is None


def test_a_forgotten_user_leaves_nothing() -> None:
    """All sequences of the user go, others stay; the slots are free again."""
    slots = Slots(3, MAX, extend)
    ask(slots, EVENTS, "ann", "global")
    ask(slots, EVENTS, "ann", "local")
    ask(slots, EVENTS, "bob")

    slots.forget("ann")

    assert len(slots) == 1
    assert slots.without_decoding(wanted(EVENTS, "ann"), 73) is None
    assert slots.without_decoding(wanted(EVENTS, "bob"), 73) is not None


@settings(deadline=None)  # the machine may be busy
@given(st.integers(min_value=1, max_value=4), st.integers(min_value=0, max_value=10**6))
def test_a_slot_always_holds_what_was_asked(num_slots: int, seed: int) -> None:
    """Whatever users do (append, rewrite, shrink, forget), writing `New` keeps slots equal to sequences."""
    rng = random.Random(seed)
    slots = Slots(num_slots, MAX, extend)
    memory = np.zeros((num_slots, MAX, 2), dtype=np.int64)
    users: dict[str, list[tuple[str, int]]] = {name: [("70", 0)] for name in "abc"}
    for clock in range(40):
        name = rng.choice("abc")
        events = users[name]
        match rng.randrange(8):
            case 0:
                events = events[rng.randrange(len(events)) :]
            case 1:
                events = events[: rng.randrange(len(events)) + 1]
            case 2:
                events[rng.randrange(len(events))] = (str(rng.randrange(65, 99)), clock)
            case 3:
                slots.forget(name)
            case _:
                more = [(str(rng.randrange(65, 99)), clock) for _ in range(rng.choice([0, 1, 1, 2]))]
                events = [*events, *more]
        users[name] = events
        new = ask(slots, events, name)
        memory[new.slot, new.start : new.start + len(new.rows), 0] = new.rows
        memory[new.slot, new.start : new.start + len(new.rows), 1] = new.times_ms

        held = [[int(item), ts_ms] for item, ts_ms in events[-MAX:]]
        assert memory[new.slot, : len(held)].tolist() == held
        assert len(slots) <= num_slots
