"""Waiting for what the roles do: they are tended meanwhile, and the topics are read.

Knows: the supervisor, the observer, when nothing moves any more. Does not know: what is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ops.demo.told import Told
from ops.supervisor import Supervisor
from stream.observer import Observer

#: How long nothing may move before it is no longer waited for.
PATIENCE_S = 120.0
#: How often the live line is made anew: it reads every judged event.
LINE_S = 1.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of one run."""

    supervisor: Supervisor
    observer: Observer
    told: Told

    def until(
        self, done: Callable[[], bool], timeout_s: float | None = None, line: Callable[[], str] | None = None
    ) -> bool:
        """Until ``done``; False if time was up first. ``line`` is shown now and then."""
        shown_s = 0.0

        def look() -> bool:
            nonlocal shown_s
            for _ in range(20):  # read what is there, but look after the roles now and then
                if not self.observer.poll():
                    break
            if line is not None and time.monotonic() - shown_s >= LINE_S:
                self.told.show(line())
                shown_s = time.monotonic()
            return done()

        return self.supervisor.run(look, timeout_s)

    def while_moving(
        self,
        done: Callable[[], bool],
        moved: Callable[[], object],
        line: Callable[[], str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> bool:
        """Until ``done``, however long; False once ``moved`` says the same as so long before."""
        before = moved()
        while not self.until(done, patience_s, line):
            now = moved()
            if now == before:
                return False
            before = now
        return True
