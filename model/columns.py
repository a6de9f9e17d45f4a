"""Events as columns: who touched what, when; the form that training and evaluation read.

Knows: codes into two vocabularies and times. Does not know: files, topics, sessions, rows of a version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class EventColumns:
    """Positive events in global time order, ties in file order; n rows."""

    users: list[str]  # id of each user code
    items: list[str]  # id of each item code
    user: npt.NDArray[np.int32]  # (n,) user codes
    item: npt.NDArray[np.int32]  # (n,) item codes
    time_ms: npt.NDArray[np.int64]  # (n,) Unix ms, never decreasing

    def __len__(self) -> int:
        return len(self.user)

    def slice(self, start: int, stop: int) -> EventColumns:
        """Rows [start, stop) under the same vocabularies; views, not copies."""
        return EventColumns(
            users=self.users,
            items=self.items,
            user=self.user[start:stop],
            item=self.item[start:stop],
            time_ms=self.time_ms[start:stop],
        )
