"""Fast memory and popularity that a scorer starts from: of the training that a version comes from.

Knows: which ancestor brings them. Does not know: what a memory holds, who starts from it.
"""

from __future__ import annotations

from typing import NamedTuple

from model.lineage import TWIN
from model.popularity import Popularity
from model.registry import Registry
from model.version import Arrays


class Brought(NamedTuple):
    """What one training leaves to go on from, of one and the same events."""

    memory: Arrays  # Memory.to_arrays
    counts: Popularity


def seed_of(registry: Registry, name: str) -> Brought | None:
    """What ``name`` brings or, as an update brings no memory, its nearest ancestor that does.

    An update's own counts are newer than that memory: started from them, events in between would count again
    when their requests are read. Past an ancestor that was removed the first version counts as one. None
    where nobody brings a memory.

    Raises VersionMissing, VersionDamaged, CatalogueMismatch.
    """
    there = set(registry.list())
    at: str | None = name
    while at is not None:
        memory = registry.load_memory(at)
        if memory is not None:
            version = registry.load(at)
            return Brought(
                memory, Popularity.from_counts(version.catalogue.items, version.popularity.tolist())
            )
        parent: str | None = registry.manifest(at)["parent"]
        at = parent if parent is None or parent in there else TWIN
    return None
