"""Versions that are ready become the ones that serve, between two turns.

Knows: when a role may take a version, what else happens then. Does not know: Kafka, how versions get ready.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from stream.hotswap import HotSwap
from stream.recent import Recent
from stream.scoring import Desk

log = logging.getLogger("hopstream.scorer")

#: Between two looks at a version that is being loaded.
LOADING_S = 0.02


class Adopting:
    """One desk that follows one registry."""

    def __init__(self, swap: HotSwap, desk: Desk, recent: Recent) -> None:
        self._swap = swap
        self._desk = desk
        self._recent = recent

    def poll(self) -> None:
        """Between turns: step 4 of a swap, if there is one."""
        adopted = self._swap.poll(time.monotonic())
        if adopted is not None:
            try:
                self._desk.adopt(adopted)
            except Exception as error:  # noqa: BLE001  whatever a version makes the code do, what serves goes on
                self._swap.refused += 1
                told = adopted.version, type(error).__name__, error
                log.error("version %s refused, the old one keeps serving: %s: %s", *told)
            else:
                self._recent.ask_again()
                log.info("version %s (epoch %d) serves", adopted.version, adopted.epoch)
        if self._desk.contenders is not None:
            self._desk.contenders.poll()

    def first(self, stopping: Callable[[], bool]) -> None:
        """Before the first request: wait for the version that serves now, whatever was learned before, so
        that no list says that there is none; where there is none, or it is refused, nobody waits."""
        while self._desk.ranker is None and not stopping():
            self.poll()
            if self._swap.settled:
                return
            time.sleep(LOADING_S)
