"""How fast a replay may go: how many of its events are due after so many seconds.

Knows: rates and the events' own times; seconds are arguments. Does not know: clocks, topics, events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Pacing(Protocol):
    """When each event of a replay is due; positions count from 0."""

    def num_due(self, elapsed_s: float) -> int:
        """How many events may have been sent ``elapsed_s`` after the start; may exceed how many there are."""
        ...

    def due_s(self, position: int) -> float:
        """Seconds after the start at which the event at this position is due."""
        ...


@dataclass(frozen=True, slots=True)
class Unpaced:
    """Everything is due at once; only acknowledgements hold it back."""

    num_events: int

    def num_due(self, elapsed_s: float) -> int:  # noqa: ARG002  # the answer is the same at all times
        return self.num_events

    def due_s(self, position: int) -> float:  # noqa: ARG002
        return 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """So many events per second, whatever their own times."""

    per_s: float

    def num_due(self, elapsed_s: float) -> int:
        return int(elapsed_s * self.per_s) + 1 if elapsed_s >= 0 else 0

    def due_s(self, position: int) -> float:
        return position / self.per_s


@dataclass(frozen=True, slots=True)
class OwnClock:
    """The events' own clock, so many times faster: at ``speed`` 60 an hour passes in a minute."""

    time_ms: npt.NDArray[np.int64]  # never decreasing
    speed: float

    def num_due(self, elapsed_s: float) -> int:
        if elapsed_s < 0 or not len(self.time_ms):
            return 0
        now_ms = int(self.time_ms[0]) + elapsed_s * 1000 * self.speed
        return int(np.searchsorted(self.time_ms, now_ms, side="right"))

    def due_s(self, position: int) -> float:
        return float(self.time_ms[position] - self.time_ms[0]) / 1000 / self.speed
