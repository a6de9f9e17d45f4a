"""Which version leads to which: where a rollback goes, which is the anchor, which may be removed.

Knows: names, parents, what was withdrawn, what a gate decided. Does not know: files, weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

#: The twin: compared with for ever, so it is never removed.
TWIN = "000001"


def ways_back(
    serving: str, parent: str | None, names: Sequence[str], withdrawn: Collection[str]
) -> Iterator[str]:
    """Where a rollback may go, best first: the version it was trained on from, then the older ones.

    Only older versions that were not withdrawn; ``names`` are what is published, in any order.
    """
    older = sorted((name for name in names if int(name) < int(serving) and name not in withdrawn), key=int)
    if parent in older:
        older.remove(parent)
        yield parent
    yield from reversed(older)


def anchor_of(manifest: Mapping[str, Any]) -> str:
    """The best version so far when this one serves: itself if no gate was asked or the gate said so, else the
    one that the gate held it against."""
    gate = manifest["gate"]
    anchor: str = manifest["version"] if gate is None or gate["best"] else gate["anchor_version"]
    return anchor


def removable(names: Sequence[str], keep: int, needed: Collection[str]) -> list[str]:
    """What may go, oldest first: not the newest ``keep``, not the twin, not what is ``needed``.

    Raises ValueError for a ``keep`` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep {keep}: at least the newest version stays")
    newest_last = sorted(names, key=int)
    return [name for name in newest_last[:-keep] if name not in needed and name != TWIN]
