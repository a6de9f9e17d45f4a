"""A new version knows those who clicked lately before it serves, and costs a turn little until then."""

from __future__ import annotations

import pytest

from stream import filling, hotswap
from stream.adopting import Adopting
from stream.asking import Asking
from stream.filling import Filling
from stream.hotswap import CANARY, HotSwap
from stream.recent import Kept, Recent
from tests.stream.test_rollback_adopted import AtOnce
from tests.stream.test_scoring import FixedRanker, World, desk


class Room(FixedRanker):
    """A cache that is full after five users."""

    def share(self, asking: Asking) -> float:
        return 0.2


def active(*users: str) -> list[Kept]:
    world = World()
    return [Kept(user, 2, number, world.ask(user, "i1").raw) for number, user in enumerate(users)]


def steps(filled: Filling, now_s: float = 0.0) -> int:
    """How many steps it takes, the last one included."""
    num = 1
    while not filled.step(now_s):
        num += 1
    return num


def test_as_many_as_fit_and_who_was_active_last_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is encoded last leaves a full cache last."""
    monkeypatch.setattr(filling, "AT_ONCE", 2)
    ranker = Room()

    assert steps(Filling(ranker, active("ann", "bob", "cat", "dan", "eve", "fay"), 0.0)) == 3
    assert ranker.asked == [["bob", "cat"], ["dan", "eve"], ["fay"]]


def test_requests_that_cannot_be_read_are_passed_over() -> None:
    """They were answered with a dead letter, and take no room."""
    ranker = Room()
    steps(Filling(ranker, [*active("ann"), Kept("bob", 2, 1, b"{")], 0.0))

    assert ranker.asked == [["ann"]]


def test_it_ends_in_time() -> None:
    """Who is not in by then is encoded at the next click: a version must not wait for ever."""
    ranker = Room()
    filled = Filling(ranker, active("ann", "bob"), 0.0)

    assert filled.step(filling.FILL_S)
    assert ranker.asked == []


def test_a_version_serves_once_it_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the old one does; who was forgotten meanwhile is not in its cache."""
    monkeypatch.setattr(filling, "AT_ONCE", 1)
    monkeypatch.setattr(hotswap, "CHECK_S", 0.0)
    made, recent, ranker = desk(), Recent(10), Room("000002", 2)
    for kept in active("ann", "bob"):
        recent.remember(kept)
    adopting = Adopting(HotSwap(lambda: ranker, lambda *_: ranker, AtOnce(), 8), made, recent)
    adopting.poll()

    assert (made.ranker, adopting.filling, recent.waiting) == (None, True, 0)
    recent.forget("bob")
    adopting.poll()
    assert (made.ranker, adopting.filling, recent.waiting) == (ranker, False, 1)
    assert [users for users in ranker.asked if not users[0].startswith(CANARY)] == [["ann"], ["bob"]]
    assert [user for user in ranker.forgotten if not user.startswith(CANARY)] == ["bob"]
