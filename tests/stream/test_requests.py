"""A user's state becomes a request whose sequences and fingerprints say the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.events import Interaction
from stream.history import Rules, User
from stream.records import Request, decode_request
from stream.requests import Cause, build, sampled
from stream.sessions import fingerprint_of
from stream.themes import Router
from stream.windows import GLOBAL_MAX, MAX_OPEN, THEME_MAX

RULES = Rules(gap_ms=1000, max_events=32, keep_events=512)
STEPS = st.lists(
    st.tuples(st.sampled_from("abcdwxyz"), st.sampled_from([0, 10, 900, 5000, -3000])), max_size=400
)


class TwoThemes:
    """Items before "m" lean to theme 0, others to theme 1."""

    def logits_of(self, item: str) -> npt.NDArray[np.float32]:
        return np.array([3.0, 0.0] if item < "m" else [0.0, 3.0], np.float32)


class OtherThemes:
    """Another version's: items at the ends of the alphabet have theme 0, those between theme 1."""

    def logits_of(self, item: str) -> npt.NDArray[np.float32]:
        return np.array([3.0, 0.0] if item in "abyz" else [0.0, 3.0], np.float32)


ROUTER = Router(TwoThemes(), "000001")
NEXT = Router(OtherThemes(), "000002")


def asked(user: User, *, forgets: bool = False, router: Router = ROUTER) -> Request:
    cause = Cause(user="ann", partition=2, type="click", produced_ms=5, forgets=forgets)
    return decode_request(build(user, router, cause, sample_share=1.0))


def told(steps: list[tuple[str, int]], *routers: Router) -> User:
    """Each router routes an equal part of the steps, in turn."""
    user, now, by = User.new("t"), 10**12, routers or (ROUTER,)
    for offset, (item, step) in enumerate(steps):
        now += step
        router = by[offset * len(by) // len(steps)]
        user.apply(Interaction(ts=now, user="ann", item=item, type="click"), "t", offset, RULES, router)
    return user


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_fingerprints_and_lengths_are_those_of_the_sequences(steps: list[tuple[str, int]]) -> None:
    """Composed from sessions, they equal what the decoded sequences give event by event."""
    request = asked(told(steps))
    header, sequences = request.header, request.sequences()
    times = sequences.times_ms()
    every = list(zip(sequences.items, times, strict=True))
    read = {"history": every}
    for kind, spans in zip(header.kinds[1:], sequences.ranges, strict=True):
        read[kind] = [event for at in range(0, len(spans), 2) for event in every[spans[at] : spans[at + 1]]]

    assert header.lengths == tuple(len(read[kind]) for kind in header.kinds)
    assert header.fingerprints == tuple(fingerprint_of(read[kind]) for kind in header.kinds)
    assert len(read["global"]) <= GLOBAL_MAX


@settings(max_examples=40, deadline=None)
@given(STEPS.map(lambda steps: steps[:96]))
def test_another_version_speaks_for_the_whole_history(steps: list[tuple[str, int]]) -> None:
    """As long as no window moved, a request is the same whether the version routed all sessions or only the
    next: nothing of an older version's numbers is left in it."""
    alone, later = told(steps, NEXT), told(steps, ROUTER, NEXT)
    changed = told(steps)
    for user in (later, changed):
        assert asked(user, router=NEXT) == asked(alone, router=NEXT)
    asked(changed)

    assert asked(changed, router=NEXT) == asked(alone, router=NEXT)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_theme_sequences_stay_bounded_through_versions(steps: list[tuple[str, int]]) -> None:
    """Whoever routed before, a theme's closed part holds at most its window and an open session."""
    for user in (told(steps, ROUTER, NEXT, ROUTER), told(steps)):
        header = asked(user, router=NEXT).header
        for kind, length in zip(header.kinds, header.lengths, strict=True):
            assert not kind.startswith("theme:") or length <= THEME_MAX + MAX_OPEN


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_inside_a_session_every_sequence_only_grows(steps: list[tuple[str, int]]) -> None:
    """Two more clicks in a row extend global, local and history by exactly one event each."""
    user = told([*steps, ("a", 0)])
    before = asked(user)
    num_sessions = len(user.closed)
    user.apply(
        Interaction(ts=user.value.clock_ms + 1, user="ann", item="b", type="click"), "t", 10**6, RULES, ROUTER
    )
    after = asked(user)

    if len(user.closed) == num_sessions:
        for kind in range(3):
            assert after.header.lengths[kind] == before.header.lengths[kind] + 1


def test_a_request_survives_a_restart_of_the_worker() -> None:
    """A state read back from bytes asks exactly the same question."""
    user = told([("a", 10), ("x", 5000), ("b", 10), ("y", 9000), ("c", 1)] * 30)

    assert asked(User.from_bytes(user.to_bytes())) == asked(user)


def test_the_header_names_the_newest_and_those_before_it() -> None:
    """Newest first, and only positive items."""
    header = asked(told([("a", 0), ("b", 1), ("c", 1)])).header

    assert header.item == "c"
    assert header.prev == ("b", "a")


def test_an_empty_history_asks_for_nothing_known() -> None:
    """A user who only disliked something has no newest item but a hidden one."""
    user = User.new("t")
    user.apply(Interaction(ts=7, user="ann", item="a", type="dislike"), "t", 0, RULES, ROUTER)
    header = asked(user).header

    assert (header.item, header.ts, header.hidden) == (None, 0, ("a",))


def test_a_forgotten_user_is_marked() -> None:
    """The scorer is told to drop what it holds."""
    assert asked(told([("a", 0)]), forgets=True).header.forgotten


def test_the_evaluation_sample_is_a_share_of_users() -> None:
    """By hash: none, about a third, all; and always the same ones."""
    names = [f"user-{n}" for n in range(3000)]

    assert not any(sampled(name, 0.0) for name in names)
    assert all(sampled(name, 1.0) for name in names)
    assert 900 < sum(sampled(name, 1 / 3) for name in names) < 1100  # 4 standard deviations
