"""Did a demo in lockstep give the lists that follow from its events alone?

Knows: the judgements topic, the version that the demo began with, which events were sent.
Does not know: how a list is made again (model/slow_lists.py), how the roles made theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.columns import EventColumns
from model.leader import JUDGED
from model.lineage import TWIN
from model.memory import Memory, MemoryConfig
from model.provisional import ProvisionalConfig
from model.registry import Registry
from model.seed import seed_of
from model.slow_lists import After, lists_after
from model.states import KEPT_EVENTS
from ops.datasets.table import EventTable
from ops.demo.parts import Parts
from stream.clients import read_all
from stream.records import Judgement, decode_judgement
from stream.settings import Settings
from stream.standing_in import MAX_ROWS
from stream.topics import TopicNames

#: Share of a line's lists (and all but one at least) that must be the same for a run to be called explained:
#: vectors come out of another order of sums here and there, and items whose scores differ by less than that
#: may change places.
SAME_SHARE = 0.99


@dataclass(slots=True)
class Compared:
    """One line, its JUDGED best items after each event."""

    lists: int = 0
    same: int = 0  # the same items in the same order
    shared: float = 0.0  # sum over lists of the share of items in both
    first: str | None = None  # the first list that differs


@dataclass(slots=True)
class Agreement:
    lines: dict[str, Compared] = field(default_factory=dict)
    missing: int = 0  # events without a judgement by the first version
    long: int = 0  # events of users with so many that a scorer cuts their history

    def to_json(self) -> dict[str, Any]:
        return {
            "missing": self.missing,
            "long": self.long,
            "lines": {
                name: {
                    "lists": line.lists,
                    "same": line.same,
                    "overlap@10": round(line.shared / max(1, line.lists), 6),
                    "first_different": line.first,
                }
                for name, line in self.lines.items()
            },
        }


def agreement(events: EventTable, parts: Parts, settings: Settings) -> Agreement | None:
    """Make the list of every replayed event again and hold it against what was judged.

    ``events``: the data set. None where some are not positive: states count them, histories do not. Only
    lists by the demo's first version are compared. Raises BrokerUnreachable, VersionMissing, VersionDamaged.
    """
    version = TWIN
    positive = events.positives(settings.events.negative, settings.events.neutral)
    if len(positive) != len(events):
        return None
    registry = Registry(settings.models.dir)
    brought = seed_of(registry, version)
    memory = Memory(MemoryConfig(max_items=settings.scorer.memory_items))
    if brought is not None:
        memory = Memory.from_arrays(brought.memory, memory.config)
    columns, start = replayed(positive, parts)
    again = lists_after(
        registry.load(version),
        memory,
        columns,
        start,
        ProvisionalConfig(worth=settings.scorer.row_worth, max_items=MAX_ROWS),
        settings.scorer.filter_seen,
    )
    names = TopicNames(settings.kafka.prefix)
    judgements = (decode_judgement(one.value) for one in read_all(settings.kafka.bootstrap, names.judgements))
    return compared(again, newest_of(judgements), version)


def replayed(events: EventColumns, parts: Parts) -> tuple[EventColumns, int]:
    """The events of users who occur in the stream up to its end, and where the stream begins in them."""
    stop = parts.num_warm + len(parts.stream)
    returning = np.zeros(len(events.users), bool)
    returning[events.user[parts.num_warm : stop]] = True
    keep = returning[events.user[:stop]]
    columns = EventColumns(
        users=events.users,
        items=events.items,
        user=events.user[:stop][keep],
        item=events.item[:stop][keep],
        time_ms=events.time_ms[:stop][keep],
    )
    return columns, int(np.count_nonzero(keep[: parts.num_warm]))


def newest_of(judgements: Iterable[Judgement]) -> dict[tuple[str, int], Judgement]:
    """(user, number of its events) → its judgement, the newest where there are several."""
    return {(one.user, one.state.events): one for one in judgements}


def compared(again: Iterable[After], judged: Mapping[tuple[str, int], Judgement], version: str) -> Agreement:
    """Each list made again against the one that was made; nothing is said where a scorer falls back."""
    found = Agreement()
    for after in again:
        if after.number > KEPT_EVENTS:
            found.long += 1
            continue
        judgement = judged.get((after.user, after.number))
        if judgement is None or judgement.lines["served"].version != version:
            found.missing += 1
            continue
        for name, items in after.lines.items():
            line = found.lines.setdefault(name, Compared())
            theirs = judgement.lines[name].items[:JUDGED] if name in judgement.lines else []
            line.lists += 1
            line.same += theirs == items
            line.shared += len({*theirs} & {*items}) / len(items) if items else float(theirs == items)
            if theirs != items and line.first is None:
                line.first = f"{after.user} after {after.number} events: {theirs} live, {items} offline"
    return found


def disagreements(found: Agreement) -> list[str]:
    """Lines of which too few lists are the same, each as a sentence."""
    return [
        f"Of {line.lists} lists of the line {name}, {line.lists - line.same} are not what its events give "
        f"offline ({line.first})."
        for name, line in found.lines.items()
        if line.lists - line.same > max(1.0, (1 - SAME_SHARE) * line.lists)
    ]
