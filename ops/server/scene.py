"""What the page shows when it is opened, and what changes on it each second.

Knows: the pulse, the newest quality figures, the status file of a run. Does not know: Kafka, HTTP, the page.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import msgspec

from ops import status
from ops.server import schema
from ops.server.pulse import BOUNDS_MS, Pulse, Tick
from stream.records import Quality, decode_quality

#: Figures of the quality topic that are remembered: some five lines every second for ten minutes.
MAX_FIGURES = 3000


class Scene:
    """The newest minutes."""

    def __init__(self, status_file: Path | None = None) -> None:
        self.pulse = Pulse()
        self.run: status.Status | None = None
        self._status_file = status_file
        self._figures: deque[Quality] = deque(maxlen=MAX_FIGURES)

    def quality(self, raw: bytes) -> None:
        """A record of the quality topic; what cannot be read is left to others."""
        try:
            self._figures.append(decode_quality(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return

    def tick(self, now_ms: float) -> tuple[Tick, status.Status | None]:
        """The second that ends now, and what the run says of itself."""
        if self._status_file is not None:
            self.run = status.read(self._status_file) or self.run
        return self.pulse.tick(now_ms), self.run

    def told(self, now_ms: int) -> schema.Now:
        """Everything that is remembered."""
        return schema.Now(
            at_ms=now_ms,
            bounds_ms=list(BOUNDS_MS),
            ticks=list(self.pulse.ticks),
            quality=list(self._figures),
            run=self.run,
        )
