"""Topics that change while a role runs."""

from __future__ import annotations

import pytest

from stream.errors import BrokerUnreachable
from stream.generation import LOOK_S, Generation, TopicsChanged


class World:
    """A clock and a broker's answer."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.told: dict[str, tuple[str, int]] | None = {"events": ("id", 4), "lists": ("other", 4)}
        self.asked = 0

    def shapes(self) -> dict[str, tuple[str, int]]:
        self.asked += 1
        if self.told is None:
            raise BrokerUnreachable
        return dict(self.told)


@pytest.mark.parametrize(
    "now",
    [
        {"events": ("anew", 4), "lists": ("other", 4)},
        {"events": ("id", 8), "lists": ("other", 4)},
        {"lists": ("other", 4)},
    ],
    ids=["made again", "more partitions", "deleted"],
)
def test_a_topic_that_changed_is_named(now: dict[str, tuple[str, int]]) -> None:
    """It is looked now and then, not at every turn."""
    world = World()
    generation = Generation(world.shapes, lambda: world.now_s)
    world.told = now
    generation.check()
    assert world.asked == 1

    world.now_s += LOOK_S
    with pytest.raises(TopicsChanged, match=r"\(events\)"):
        generation.check()


def test_a_broker_that_is_away_says_nothing_of_its_topics() -> None:
    """Nor do topics that are as they were."""
    world = World()
    generation = Generation(world.shapes, lambda: world.now_s)
    for told in (None, world.told):
        world.told = told
        world.now_s += LOOK_S
        generation.check()

    assert world.asked == 3
