"""Adopting versions: load, prove, warm, swap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from model.errors import VersionDamaged
from model.popularity import Popularity
from stream.asking import Asking, Place, Ranking
from stream.hotswap import AGAIN_S, CHECK_S, HotSwap, VersionUnfit, canaries, prove

ITEMS = [f"i{number}" for number in range(100)]


@dataclass
class Serving:
    """A version whose answers are chosen by the test."""

    version: str
    epoch: int
    withdrawn: Sequence[str] = ()  # what the registry says beside it
    labels: Sequence[str] = ()
    score: float = 1.0
    items: Sequence[str] = ("a", "b")
    batches: list[int] = field(default_factory=list)
    remembered: set[str] = field(default_factory=set)

    def rank(self, asking: Sequence[Asking], n: int) -> Ranking:
        self.batches.append(len(asking))
        self.remembered |= {one.user for one in asking}
        place = Place(
            items=self.items,
            lines=range(len(self.items)),
            scores=[self.score] * len(self.items),
            vector=np.ones(2, np.float32),
            experts=[],
            known=True,
        )
        return Ranking(places=[place] * len(asking), encode_ms=0, rank_ms=0, positions=0, tokens=0)

    def forget(self, user: str) -> None:
        self.remembered.discard(user)

    def popularity(self) -> Popularity:
        return Popularity.from_counts(ITEMS, list(range(100, 0, -1)))


class Later(Executor):
    """Runs what was submitted when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run(self) -> None:
        for future, work in self.waiting:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001
                future.set_exception(error)
        self.waiting.clear()


class Shelf:
    """A registry: what serves, and what loading gives."""

    def __init__(self) -> None:
        self.now: Serving | None = None
        self.loads: list[tuple[str, int]] = []
        self.damaged: dict[str, Exception] = {}
        self.unreadable: Exception | None = None

    def current(self) -> Serving | None:
        if self.unreadable is not None:
            raise self.unreadable
        return self.now

    def load(self, version: str, epoch: int) -> Serving:
        self.loads.append((version, epoch))
        if version in self.damaged:
            raise self.damaged[version]
        assert self.now is not None
        return self.now


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def swap(later: Later, shelf: Shelf) -> HotSwap:
    return HotSwap(shelf.current, shelf.load, later, max_batch=16)


def test_without_a_version_nothing_is_adopted(swap: HotSwap, later: Later) -> None:
    """An empty registry is an answer: the scorer is settled and serves what is popular."""
    assert swap.poll(0.0) is None
    assert swap.settled
    assert later.waiting == []


def test_a_version_is_adopted_once_ready(swap: HotSwap, later: Later, shelf: Shelf) -> None:
    """While it loads nothing changes; once ready it is handed over once."""
    shelf.now = Serving("000001", 1)

    assert swap.poll(0.0) is None
    assert not swap.settled
    assert swap.poll(0.1) is None
    later.run()

    assert swap.poll(0.2) is shelf.now
    assert swap.settled
    assert swap.poll(10.0) is None
    assert shelf.loads == [("000001", 1)]


def test_the_registry_is_asked_twice_a_second(swap: HotSwap, later: Later, shelf: Shelf) -> None:
    """Between two looks a new version is not noticed."""
    swap.poll(0.0)
    shelf.now = Serving("000001", 1)
    swap.poll(CHECK_S / 2)

    assert later.waiting == []
    swap.poll(CHECK_S)
    assert len(later.waiting) == 1


def test_a_rollback_is_another_epoch(swap: HotSwap, later: Later, shelf: Shelf) -> None:
    """An earlier version with a greater epoch is adopted like a new one."""
    for epoch, version in enumerate(["000001", "000002", "000001"], 1):
        shelf.now = Serving(version, epoch)
        swap.poll(float(epoch))
        later.run()
        adopted = swap.poll(epoch + 0.1)
        assert adopted is not None
        assert (adopted.version, adopted.epoch) == (version, epoch)


@pytest.mark.parametrize(
    "error", [VersionDamaged("000001"), RuntimeError("sizes"), ValueError("shape")], ids=repr
)
def test_a_damaged_version_is_refused_once(
    swap: HotSwap, later: Later, shelf: Shelf, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A version that cannot be loaded, or does not fit the code, is counted and told with the kind of its
    error, not tried again, and the next one is welcome."""
    shelf.now = Serving("000001", 1)
    shelf.damaged["000001"] = error
    swap.poll(0.0)
    later.run()

    assert swap.poll(1.0) is None
    assert swap.poll(2.0) is None
    assert (swap.refused, later.waiting) == (1, [])
    assert f"000001 refused, the old one keeps serving: {type(error).__name__}" in caplog.text

    shelf.now = Serving("000002", 2)
    swap.poll(3.0)
    later.run()
    assert swap.poll(4.0) is shelf.now


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()], ids=repr)
def test_what_this_machine_could_not_read_or_hold_is_tried_again(
    swap: HotSwap, later: Later, shelf: Shelf, error: Exception
) -> None:
    """It is no fault of the version: after half a minute, again and again, and each time it is counted."""
    shelf.now = Serving("000001", 1)
    shelf.damaged["000001"] = error
    for now_s in range(3 * int(AGAIN_S)):
        assert swap.poll(float(now_s)) is None
        later.run()
    assert swap.refused == len(shelf.loads) == 3
    shelf.now = Serving("000002", 2)
    swap.poll(3 * AGAIN_S - 0.25)
    later.run()
    assert swap.poll(3 * AGAIN_S) is shelf.now  # the next version is not kept waiting for it
    shelf.now = Serving("000001", 3)

    shelf.damaged.clear()
    for now_s in range(100, 100 + int(AGAIN_S)):
        if swap.poll(float(now_s)) is shelf.now:
            return
        later.run()
    raise AssertionError("the version never came")


def test_a_version_that_is_withdrawn_while_it_loads_never_serves(
    swap: HotSwap, later: Later, shelf: Shelf
) -> None:
    """What serves by then is loaded instead; one that is merely older than the newest is taken."""
    shelf.now = Serving("000002", 2)
    swap.poll(0.0)
    later.run()
    shelf.now = Serving("000001", 3, withdrawn=["000002"])
    assert swap.poll(1.0) is None
    swap.poll(2.0)
    later.run()
    assert swap.poll(3.0) is shelf.now

    overtaken = shelf.now = Serving("000003", 4)
    swap.poll(4.0)
    later.run()
    shelf.now = Serving("000004", 5)
    assert swap.poll(5.0) is overtaken


@pytest.mark.parametrize(
    "unfit",
    [
        Serving("000001", 1, score=float("nan")),
        Serving("000001", 1, items=()),
        Serving("000001", 1, items=("a", "a")),
    ],
    ids=["scores that are no numbers", "empty lists", "an item twice"],
)
def test_a_version_must_prove_itself(swap: HotSwap, later: Later, shelf: Shelf, unfit: Serving) -> None:
    """A version that loads but ranks nonsense never serves."""
    shelf.now = unfit
    swap.poll(0.0)
    later.run()

    assert swap.poll(1.0) is None
    assert swap.refused == 1


def test_a_version_is_warm_before_it_serves(swap: HotSwap, later: Later, shelf: Shelf) -> None:
    """A single request and a full batch were answered, and no canary stays in the cache."""
    shelf.now = Serving("000001", 1)
    swap.poll(0.0)
    later.run()

    assert {1, 16} <= set(shelf.now.batches)
    assert shelf.now.remembered == set()


@pytest.mark.parametrize("error", [VersionDamaged("current"), OSError("stale handle")], ids=repr)
def test_a_registry_that_cannot_be_read_changes_nothing(
    swap: HotSwap, later: Later, shelf: Shelf, error: Exception
) -> None:
    """What serves goes on, nobody waits, and the registry is asked again."""
    shelf.now, shelf.unreadable = Serving("000001", 1), error
    assert swap.poll(0.0) is None
    assert (swap.settled, swap.refused) == (True, 0)

    shelf.unreadable = None
    swap.poll(1.0)
    later.run()
    assert swap.poll(2.0) is shelf.now


def test_canaries_leave_something_to_recommend() -> None:
    """A canary has at most half of the items, and the proof of a version without items fails."""
    lengths = [[one.header.lengths[0] for one in canaries(ITEMS[:num])] for num in (100, 20, 3, 1)]

    assert lengths == [[1, 8, 40], [1, 8, 10], [1], []]


def test_a_version_without_items_is_unfit() -> None:
    """Nothing to ask with is nothing to serve with."""

    class Empty(Serving):
        def popularity(self) -> Popularity:
            return Popularity()

    with pytest.raises(VersionUnfit, match="fewer than two items"):
        prove(Empty("000001", 1))
