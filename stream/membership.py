"""What a member of a consumer group must notice: that it was paused, and that partitions moved.

Knows: kafka-python's rebalance callbacks, beats. Does not know: what a member does about either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from kafka import ConsumerRebalanceListener, TopicPartition

from stream.watchdog import Pulse

BEAT_S = 0.1


class Heart(threading.Thread):
    """Beats a Pulse beside the main loop; a long batch is no pause, a stopped process is one."""

    def __init__(self, limit_s: float) -> None:
        """``limit_s``: half the session timeout."""
        super().__init__(name="heart", daemon=True)
        self._pulse = Pulse(limit_s=limit_s)
        self._paused = False
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(BEAT_S):
            if not self._pulse.beat(time.monotonic()):
                self._paused = True  # for good: whoever wakes first, the main loop or the heart, sees it

    def alive(self) -> bool:
        """False once the process was stopped for longer than the limit."""
        return self._pulse.alive(time.monotonic()) and not self._paused

    def end(self) -> None:
        self._ended.set()


@dataclass(slots=True)
class Moved:
    """Partitions, by number, since the last look."""

    revoked: set[int] = field(
        default_factory=set
    )  # whoever has them now may read them from what is committed
    lost: set[int] = field(default_factory=set)  # another member may have had them meanwhile, or has them now
    gained: set[int] = field(default_factory=set)  # ours, and another member may have had them before
    happened: bool = False


class Moves(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what moved; it runs on the client's own thread while the owner waits in a poll."""

    def __init__(self) -> None:
        self.joined = threading.Event()
        self.settled = False  # no rebalance is under way
        self._unsettled_since_s = time.monotonic()
        self._owned: set[int] = set()
        self._moved = Moved()

    def unsettled_s(self) -> float:
        """How long a rebalance, or the first joining, has been under way; 0 if none is."""
        return 0.0 if self.settled else time.monotonic() - self._unsettled_since_s

    def joins(self) -> None:
        """The first joining begins now, not when this was made."""
        self._unsettled_since_s = time.monotonic()

    def take(self) -> Moved:
        """What moved since the last call; the owner calls it after each poll."""
        moved, self._moved = self._moved, Moved()
        return moved

    def _unsettle(self) -> None:
        if self.settled:
            self._unsettled_since_s = time.monotonic()
        self.settled = False

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before a rebalance: all of ours, of which we may keep some."""
        self._unsettle()
        self._moved.revoked |= {place.partition for place in revoked}
        self._moved.happened = True

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """The session had ended: others may have had them since."""
        self._unsettle()
        numbers = {place.partition for place in lost}
        self._moved.revoked |= numbers
        self._moved.lost |= numbers
        self._moved.happened = True
        self._owned -= numbers

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After a rebalance: all that is ours now."""
        numbers = {place.partition for place in assigned}
        self._moved.lost |= self._owned - numbers
        self._moved.gained = (self._moved.gained | (numbers - self._owned)) & numbers
        self._moved.happened = True
        self._owned = numbers
        self.settled = True
        self.joined.set()
