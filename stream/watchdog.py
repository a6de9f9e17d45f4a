"""No progress with lag for too long ends a process that others will replace.

Knows: a rule over (time, processed, lag). Does not know: Kafka, Faust, how to end a process.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stall:
    """Feed it observations; it says when the process must end."""

    limit_s: float
    _since_s: float | None = None
    _processed: int = -1

    def stalled(self, now_s: float, processed: int, lag: int, *, suspended: bool = False) -> bool:
        """True once ``processed`` has not moved for ``limit_s`` although ``lag`` > 0.

        ``processed`` counts anything that is progress (events, recovered changelog records). ``suspended``:
        a rebalance is under way or the broker is away, and the clock starts anew.
        """
        if suspended or lag <= 0 or processed != self._processed or self._since_s is None:
            self._since_s = now_s
            self._processed = processed
            return False
        return now_s - self._since_s >= self.limit_s

    def standing_s(self, now_s: float) -> float:
        """How long there was no progress although records wait; 0 while there is."""
        return 0.0 if self._since_s is None else now_s - self._since_s


@dataclass(slots=True)
class Pulse:
    """Notices that the process itself was stopped (SIGSTOP, a sleeping laptop): a paused member of a consumer
    group may have been replaced, and must not write on waking. It narrows that window; it is no proof."""

    limit_s: float  # half the session timeout
    _beat_s: float | None = None

    def beat(self, now_s: float) -> bool:
        """Called at short intervals; False if the pause since the last beat was too long."""
        alive = self.alive(now_s)
        self._beat_s = now_s
        return alive

    def alive(self, now_s: float) -> bool:
        return self._beat_s is None or now_s - self._beat_s < self.limit_s
