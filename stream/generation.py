"""Are the topics still those that a role began with?

Knows: their ids and numbers of partitions, when it was looked last.
Does not know: what a role keeps of them, what it does about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from stream.errors import BrokerUnreachable, StreamError

#: How often it is looked.
LOOK_S: Final = 20.0

#: Topic → (its id, its number of partitions).
Shapes = Mapping[str, tuple[str, int]]


class TopicsChanged(StreamError):
    """A topic was deleted, made again or given more partitions while a role ran, which now ends."""


class Generation:
    """Ask `check` as often as you like."""

    def __init__(self, shapes: Callable[[], Shapes], clock_s: Callable[[], float] = time.monotonic) -> None:
        """``shapes``: of the topics now. Raises BrokerUnreachable."""
        self._shapes, self._clock_s = shapes, clock_s
        self._first = shapes()
        self._due_s = clock_s() + LOOK_S

    def check(self) -> None:
        """Raises TopicsChanged. A broker that is away says nothing about its topics."""
        if self._clock_s() < self._due_s:
            return
        self._due_s = self._clock_s() + LOOK_S
        try:
            now = self._shapes()
        except BrokerUnreachable:
            return
        if now != self._first:
            changed = sorted(name for name in {*now, *self._first} if now.get(name) != self._first.get(name))
            raise TopicsChanged(f"({', '.join(changed)})")
