"""Which version's memory a scorer starts from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.memory import Memory, MemoryConfig
from model.registry import Registry
from model.seed import seed_of
from tests.model.tiny_version import memory, trained


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A first version, an update of it, an update of that one, and a version of another training."""
    made = Registry(tmp_path)
    made.publish(trained())
    made.publish(replace(trained(seed=1), parent="000001", memory=None))
    made.publish(replace(trained(seed=2), parent="000002", memory=None))
    other = Memory(MemoryConfig(max_items=10))
    other.learn([], "alone", 1)
    made.publish(replace(trained(seed=3), memory=other.to_arrays()))
    made.publish(replace(trained(seed=4), parent="000004", memory=None))
    return made


def items(registry: Registry, name: str) -> list[str]:
    brought = seed_of(registry, name)
    assert brought is not None
    return list(Memory.from_arrays(brought.memory, MemoryConfig(max_items=10)).items.ids)


def test_an_update_starts_a_memory_like_the_training_it_comes_from(registry: Registry) -> None:
    """Its own, its parent's or that of the parent's parent, not another training's."""
    of_first = list(Memory.from_arrays(memory(), MemoryConfig(max_items=10)).items.ids)

    assert [items(registry, f"{number:06d}") for number in (1, 2, 3)] == [of_first] * 3
    assert [items(registry, f"{number:06d}") for number in (4, 5)] == [["alone"]] * 2


def test_counts_are_of_the_same_events_as_the_memory(registry: Registry) -> None:
    """The update has counted on, its memory has not: it starts from what the first version counted."""
    more = np.arange(5, dtype=np.int64)[::-1].copy()
    registry.publish(replace(trained(seed=5), parent="000003", memory=None, popularity=more))
    brought = seed_of(registry, "000006")

    assert brought is not None
    assert brought.counts.top(5) == ["i4", "i3", "i2", "i1"]


def test_past_a_removed_parent_the_first_version_counts(registry: Registry) -> None:
    """It is never removed."""
    registry.publish(replace(trained(seed=5), parent="000003", memory=None))
    registry.publish(replace(trained(seed=6), parent="000006", memory=None))
    assert "000003" in registry.prune(1)

    found = seed_of(registry, "000007")

    assert found is not None
    np.testing.assert_array_equal(found.memory["counts"], memory()["counts"])


def test_a_line_without_memory_has_none(tmp_path: Path) -> None:
    """Versions from before memories were published."""
    made = Registry(tmp_path)
    made.publish(replace(trained(), memory=None))
    made.publish(replace(trained(seed=1), parent="000001", memory=None))

    assert seed_of(made, "000002") is None
