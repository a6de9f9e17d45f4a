"""Where a scorer's memory starts: from that of the version that serves first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from model.cooccurrence import CoOccurrence
from model.errors import VersionMissing
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from model.seed import Brought
from model.version import Version
from stream.adopting import Adopting
from stream.hotswap import HotSwap
from stream.leading import Leading
from stream.learning import Learner, Seed
from stream.recent import Recent
from stream.scorer_checkpoint import Learned, packed, unpacked
from stream.serving import Serving
from tests.stream.test_hotswap import Later
from tests.stream.test_scoring import FixedRanker, World, desk
from tests.stream.test_served_sum import version

__all__ = ["version"]

CONFIG = MemoryConfig(max_items=1000)
#: (user, item): everybody's warm part, then what is asked about; nobody takes an item twice.
WARM = [(f"u{place % 3}", f"i{place * 7 % 50}") for place in range(60)]
STREAM = [(f"u{place % 3}", f"i{50 + place * 7 % 50}") for place in range(60)]


class Bringing(FixedRanker):
    """A version with the memory of the warm part."""

    def seed(self, config: MemoryConfig) -> Seed:
        made = CoOccurrence(CONFIG)
        for place, (user, item) in enumerate(WARM):
            made.observe(user, item, 1000 * (place + 1))
        memory = Memory.from_arrays(made.memory.to_arrays(), config)
        return Seed(self.popularity(), memory, 1000 * len(WARM))


def serving(version: Version, brought: Callable[[], Brought | None]) -> Serving:
    return Serving(
        version, 1, device="cpu", cache_bytes=1 << 22, threads=1, filter_seen=True, brought=brought
    )


def different(one: Memory, other: Memory) -> list[str]:
    """Names of the arrays that are not the same in both."""
    mine, theirs = one.to_arrays(), other.to_arrays()
    alike = {name for name in mine.keys() & theirs.keys() if np.array_equal(mine[name], theirs[name])}
    return sorted((mine.keys() | theirs.keys()) - alike)


def test_a_seeded_memory_becomes_that_of_all_events() -> None:
    """Backfilled histories, a version's memory and the requests that follow: the offline memory of both
    parts, each event once."""
    world, live, offline = World(), desk(Bringing()), CoOccurrence(MemoryConfig())
    for user, item in WARM:
        world.ask(user, item)  # backfilled: nobody is asked for a list
    live.answer([world.ask(user, item) for user, item in STREAM])

    for place, (user, item) in enumerate(WARM + STREAM):
        offline.observe(user, item, 1000 * (place + 1))

    assert different(live.learner.memory, offline.memory) == []
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

    assert different(live.learner.memory, offline.memory) == []
    asked = world.ask("u0", "i1").header
    offline.observe("u0", "i1", 401_000)
    live.learn(asked)
    assert live.learner.memory.scores((*asked.prev[::-1], "i1")).tolist() == offline.scores("u0").tolist()


def test_what_came_before_the_version_is_learned_on_top_of_it() -> None:
    """Trained events that were asked about count once, newer ones are learned again: as if it had been there
    from the start, and so does a scorer that reads everything again."""
    world, late, offline = World(), desk(), CoOccurrence(MemoryConfig())
    asked = [world.ask(user, item) for user, item in WARM + STREAM]
    late.answer(asked[50:80])  # the end of the warm part, and the first of the stream
    late.adopt(Bringing())
    late.answer(asked[80:])
    again = desk(Bringing())
    again.answer(asked)

    for place, (user, item) in enumerate(WARM + STREAM):
        offline.observe(user, item, 1000 * (place + 1))
        if place == len(WARM) - 1:  # of one and the same moment nobody can tell, so it is learned again
            offline.memory.learn(asked[place].header.prev[::-1], item, 1000 * (place + 1))

    assert different(late.learner.memory, offline.memory) == []
    assert different(again.learner.memory, offline.memory) == []


def test_a_restart_before_the_first_version_came_loses_nothing_of_it() -> None:
    """A snapshot of what was learned without a version, read back: the version's events are still gone on
    from, and those of the snapshot learned on top, as by a scorer that was never killed."""
    world, undisturbed, killed = World(), desk(), desk()
    asked = [world.ask(user, item) for user, item in WARM + STREAM]
    for live in (undisturbed, killed):
        live.answer(asked[50:80])
    snapshot = packed(Learned(learner=killed.learner, leading=Leading(), requests={}))
    restarted = desk()
    restarted.learner = unpacked(snapshot, {"dislike", "impression"}, CONFIG, None).learner
    for live in (undisturbed, restarted):
        live.adopt(Bringing())
        live.answer(asked[80:])

    assert different(restarted.learner.memory, undisturbed.learner.memory) == []
    assert isinstance(restarted.learner.counts, Popularity)
    assert isinstance(undisturbed.learner.counts, Popularity)
    mine, theirs = restarted.learner.counts.to_arrays(), undisturbed.learner.counts.to_arrays()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine.keys() | theirs.keys())
    assert restarted.learner.num_learned == undisturbed.learner.num_learned


def test_a_desk_starts_once() -> None:
    """What was learned since a version came is not replaced by the next one's, nor after a restart."""
    world, live = World(), desk(FixedRanker())
    live.learn(world.ask("ann", "i1").header)
    live.adopt(Bringing())
    assert len(live.learner.memory) == 1

    after = Learner(Popularity(), (), live.learner.memory)
    after.restore(live.learner.to_arrays())

    assert not after.may_start


def test_a_versions_own_arrays_are_where_a_scorer_starts(version: Version) -> None:
    """Its events in the memory and in popularity, and the time of the newest of them."""
    made = CoOccurrence(CONFIG)
    for place, (user, item) in enumerate(WARM):
        made.observe(user, item, 1000 * (place + 1))
    arrays = made.memory.to_arrays() | {"through_ms": np.array([60_000])}

    counts = Popularity.from_counts(["i7", "i9"], [3, 8])
    seed = serving(version, lambda: Brought(arrays, counts)).seed(CONFIG)

    assert different(seed.memory, made.memory) == []
    assert seed.through_ms == 60_000
    assert seed.counts is counts


@pytest.mark.parametrize("harm", ["none", "missing", "too many items", "another shape"])
def test_a_memory_that_cannot_be_used_is_an_empty_one(version: Version, harm: str) -> None:
    """Nothing fails, and popularity starts from the version all the same."""
    arrays = {"through_ms": np.array([60_000]), **CoOccurrence(CONFIG).memory.to_arrays()}
    if harm == "too many items":
        made = CoOccurrence(CONFIG)
        made.observe("ann", "i1", 1)
        made.observe("ann", "i2", 2)
        arrays |= made.memory.to_arrays()
    elif harm == "another shape":
        del arrays["used"]

    def read() -> Brought | None:
        if harm == "missing":
            raise VersionMissing("000001")
        return None if harm == "none" else Brought(arrays, Popularity())

    seed = serving(version, read).seed(MemoryConfig(max_items=1))

    assert (len(seed.memory), seed.through_ms) == (0, None)
    assert seed.counts.top(1) == ["i0"]


@pytest.mark.parametrize("learned", [False, True])
def test_a_desk_waits_for_the_version_that_is_on_its_way(learned: bool) -> None:
    """One that has learned something before a restart too: its lists must not say that there is no model."""
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

    assert made.ranker is not None
    assert len(looks) == 3
