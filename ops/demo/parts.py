"""Which events of a data set warm the model up, which fill the histories, which are the stream.

Knows: the protocol's split. Does not know: Kafka, training.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ops.datasets.table import EventTable

#: Share of the positive events that the first version may learn from.
WARM_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Two parts of one data set, in time order."""

    history: EventTable  # warm events of the users who occur in the stream: loaded, not replayed
    stream: EventTable  # what is replayed
    num_warm: int  # positive events before the stream


def divide(
    events: EventTable, negative: Collection[str], neutral: Collection[str], limit: int | None
) -> Parts:
    """The stream begins with the first positive event after ⌊0.8 n⌋ of them, and has at most ``limit`` rows.

    Users who never occur in the stream need no state here, so their events are not loaded.
    """
    unwanted = {*negative, *neutral}
    positive = np.flatnonzero(np.array([name not in unwanted for name in events.types])[events.type])
    num_warm = int(WARM_SHARE * len(positive))
    cut = int(positive[num_warm]) if num_warm < len(positive) else len(events)
    stream = events.slice(cut, len(events) if limit is None else min(len(events), cut + limit))
    warm = events.slice(0, cut)
    returning = np.zeros(len(events.users), dtype=bool)
    returning[stream.user] = True
    return Parts(history=warm.take(returning[warm.user]), stream=stream, num_warm=num_warm)
