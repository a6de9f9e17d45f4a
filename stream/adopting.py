"""Versions that are ready become the ones that serve, between two turns.

Knows: when a role may take a version, what else happens then. Does not know: Kafka, how versions get ready.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from stream.filling import Filling
from stream.hotswap import HotSwap
from stream.recent import Recent
from stream.scoring import Desk

log = logging.getLogger("hopstream.scorer")

#: Between two looks at a version that is being loaded.
LOADING_S = 0.02
#: How long one thread keeps the interpreter's lock while another wants it: with Python's 5 ms each of a
#: turn's hundred small operations waits that long while a version is being loaded.
SWITCH_S = 0.0005


class Adopting:
    """One desk that follows one registry."""

    def __init__(self, swap: HotSwap, desk: Desk, recent: Recent) -> None:
        self._swap = swap
        self._desk = desk
        self._recent = recent
        self._filling: Filling | None = None

    @property
    def filling(self) -> bool:
        """Whether a version waits for a few more polls until it serves."""
        return self._filling is not None

    def poll(self) -> None:
        """Between turns: the second half of step 3 of a swap, bit by bit, then step 4."""
        now_s = time.monotonic()
        ready = None if self.filling else self._swap.poll(now_s)
        if ready is not None:
            self._filling = Filling(ready, self._recent.newest_last(), now_s)
        if self._filling is not None and self._swap.withdrawn(self._filling.ranker, now_s):
            self._filling = None
        if self._filling is not None:
            ranker = self._filling.ranker
            try:
                if self._filling.step(now_s):
                    self._adopt(self._filling)
            except Exception as error:  # noqa: BLE001  whatever a version makes the code do, what serves goes on
                self._filling = None
                self._swap.refused += 1
                told = ranker.version, type(error).__name__, error
                log.error("version %s refused, the old one keeps serving: %s: %s", *told)
        if self._desk.contenders is not None:
            self._desk.contenders.poll()

    def first(self, stopping: Callable[[], bool]) -> None:
        """Before the first request: wait for the version that serves now, whatever was learned before, so
        that no list says that there is none; where there is none, or it is refused, nobody waits."""
        sys.setswitchinterval(SWITCH_S)
        while self._desk.ranker is None and not stopping():
            self.poll()
            if self._swap.settled and not self.filling:
                return
            time.sleep(LOADING_S)

    def _adopt(self, filled: Filling) -> None:
        ranker = filled.ranker
        self._desk.adopt(ranker)
        self._filling = None
        filled.forget(self._recent)
        self._recent.ask_again()
        log.info("version %s (epoch %d) serves", ranker.version, ranker.epoch)
