"""Which kind of question an event is: warm or cold user, new item, repeat, hittable.

Knows: what the first version was trained on, what was seen before the event. Does not know: lists, ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream.judging import Judged

WARM = "warm user"
COLD = "cold user"
NEW_ITEM = "new item"
REPEAT = "repeat"
HITTABLE = "hittable"


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What came before the stream that is judged."""

    version: str
    items: frozenset[str]  # of the first version's catalogue
    since_ms: int  # when it was published: users with an event before are warm

    def new(self, item: str) -> bool:
        """Whether the warm start did not know this item."""
        return item not in self.items


def groups_of(event: Judged, warm: WarmStart | None, *, filter_seen: bool) -> tuple[str, ...]:
    """Groups of an event; without a warm start, or before it was published, only what needs none.

    Hittable: a candidate of the counters (somebody took it before) that the seen filter leaves in.
    """
    found = [REPEAT] if event.repeat else []
    if warm is None or event.written_ms < warm.since_ms:
        return tuple(found)
    found.append(WARM if event.since_ms < warm.since_ms else COLD)
    if warm.new(event.item):
        found.append(NEW_ITEM)
    if not (event.repeat and filter_seen) and (not warm.new(event.item) or event.taken):
        found.append(HITTABLE)
    return tuple(found)


def first_version(directory: Path) -> WarmStart | None:
    """The oldest published version of a registry, None before the first. Raises ModelError."""
    from model.registry import Registry
    from model.store import MANIFEST

    registry = Registry(directory)
    names = registry.list()
    if not names:
        return None
    written_ns = (directory / names[0] / MANIFEST).stat().st_mtime_ns
    return WarmStart(names[0], frozenset(registry.load(names[0]).catalogue.items), written_ns // 10**6)
