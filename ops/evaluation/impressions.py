"""What users were shown, clicked or not, where a data set says so: the questions of GAUC.

Knows: which types of event are positive. Does not know: networks, protocols.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.columns import EventColumns
from ops.datasets import EventTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Impressions:
    """Every event of the set, positive or not, in order; E rows."""

    shown: EventColumns
    positive_E: npt.NDArray[np.bool_]
    before_E: npt.NDArray[np.int64]  # positive events before each

    def since(self, num_positives: int) -> Impressions:
        """Those with at least that many positive events before them."""
        start = int(np.searchsorted(self.before_E, num_positives))
        return Impressions(
            shown=self.shown.slice(start, len(self.shown)),
            positive_E=self.positive_E[start:],
            before_E=self.before_E[start:],
        )


def impressions_of(
    events: EventTable, negative: Collection[str], neutral: Collection[str]
) -> Impressions | None:
    """None for a set with positive events only."""
    unwanted = {*negative, *neutral}
    wanted = np.array([name not in unwanted for name in events.types], dtype=bool)
    positive_E = wanted[events.type] if len(events) else np.zeros(0, dtype=bool)
    if positive_E.all():
        return None
    return Impressions(
        shown=events.positives((), ()),
        positive_E=positive_E,
        before_E=np.cumsum(positive_E) - positive_E,
    )
