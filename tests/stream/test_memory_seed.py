"""Where a scorer's memory starts: from that of the version that serves first."""

from __future__ import annotations

import numpy as np
import pytest

from model.cooccurrence import CoOccurrence
from model.memory import Memory, MemoryConfig
from stream.adopting import Adopting
from stream.hotswap import HotSwap
from stream.recent import Recent
from tests.stream.test_hotswap import Later
from tests.stream.test_scoring import FixedRanker, World, desk

CONFIG = MemoryConfig(max_items=1000)
#: (user, item): everybody's warm part, then what is asked about; nobody takes an item twice.
WARM = [(f"u{place % 3}", f"i{place * 7 % 50}") for place in range(60)]
STREAM = [(f"u{place % 3}", f"i{50 + place * 7 % 50}") for place in range(60)]


class Bringing(FixedRanker):
    """A version with the memory of the warm part."""

    def memory(self, config: MemoryConfig) -> Memory | None:  # type: ignore[override]
        made = CoOccurrence(CONFIG)
        for place, (user, item) in enumerate(WARM):
            made.observe(user, item, 1000 * (place + 1))
        return Memory.from_arrays(made.memory.to_arrays(), config)


def same(one: Memory, other: Memory) -> None:
    mine, theirs = one.to_arrays(), other.to_arrays()
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_a_seeded_memory_becomes_that_of_all_events() -> None:
    """Backfilled histories, a version's memory and the requests that follow: the offline memory of both
    parts, each event once."""
    world, live, offline = World(), desk(Bringing()), CoOccurrence(MemoryConfig())
    for user, item in WARM:
        world.ask(user, item)  # backfilled: nobody is asked for a list
    live.answer([world.ask(user, item) for user, item in STREAM])

    for place, (user, item) in enumerate(WARM + STREAM):
        offline.observe(user, item, 1000 * (place + 1))

    same(live.learner.memory, offline.memory)
    assert live.learner.num_learned == len(STREAM)


def test_a_live_memory_is_the_offline_one_where_items_repeat() -> None:
    """Users who come back to their favourites, more than a window of events between two other items."""
    random = np.random.default_rng(0)
    clicks = [
        (f"u{user}", f"i{item}")
        for user, item in zip(random.integers(0, 3, 400), np.minimum(random.zipf(1.3, 400), 60), strict=True)
    ]
    world, live, offline = World(), desk(FixedRanker()), CoOccurrence(MemoryConfig())

    live.answer([world.ask(user, item) for user, item in clicks])
    for place, (user, item) in enumerate(clicks):
        offline.observe(user, item, 1000 * (place + 1))

    same(live.learner.memory, offline.memory)
    asked = world.ask("u0", "i1").header
    offline.observe("u0", "i1", 401_000)
    live.learn(asked)
    assert live.learner.memory.scores((*asked.prev[::-1], "i1")).tolist() == offline.scores("u0").tolist()


def test_only_a_desk_that_has_learned_nothing_starts_from_a_version() -> None:
    """What requests taught is not replaced by a version that comes later."""
    world, live = World(), desk()
    live.learn(world.ask("ann", "i1").header)

    live.adopt(Bringing())

    assert len(live.learner.memory) == 1


@pytest.mark.parametrize("learned", [False, True])
def test_an_empty_desk_waits_for_the_version_that_is_on_its_way(learned: bool) -> None:
    """One that has learned something goes on at once: its memory does not start from a version."""
    made, executor = desk(), Later()
    if learned:
        made.learn(World().ask("ann", "i1").header)
    swap = HotSwap(lambda: FixedRanker("000001", 1), lambda *_: Bringing(), executor, 8)
    looks: list[int] = []

    def stopping() -> bool:
        looks.append(0)
        if len(looks) == 3:
            executor.run()
        return False

    Adopting(swap, made, Recent(10)).first(stopping)

    assert (made.ranker is None) == learned
    assert len(looks) == (0 if learned else 3)
