"""The fast memory that a scorer starts from: of the training that a version comes from.

Knows: which ancestor brings it. Does not know: what a memory holds, who starts from it.
"""

from __future__ import annotations

from model.lineage import TWIN
from model.registry import Registry
from model.version import Arrays


def seed_of(registry: Registry, name: str) -> Arrays | None:
    """Memory.to_arrays that ``name`` brings or, as an update brings none, its nearest ancestor that does.

    Past one that was removed the first version counts as an ancestor. None where nobody brings one.

    Raises VersionMissing, VersionDamaged, CatalogueMismatch.
    """
    there = set(registry.list())
    at: str | None = name
    while at is not None:
        arrays = registry.load_memory(at)
        if arrays is not None:
            return arrays
        parent: str | None = registry.manifest(at)["parent"]
        at = parent if parent is None or parent in there else TWIN
    return None
