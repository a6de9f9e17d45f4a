"""What the demo tells while it goes on: a line per phase, a live line, and the status file of the page.

Knows: phases and their seconds, how often the file is written. Does not know: what a phase does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops import status
from ops.replay import Progress

#: The replay's progress is written at most so often.
EVERY_S = 0.5


@dataclass(slots=True)
class Told:
    """What happened so far, for the display and the page."""

    say: Callable[[str], None]  # a phase begins or ends
    show: Callable[[str], None]  # the live line
    file: Path
    status: status.Status
    seconds: dict[str, float] = field(default_factory=dict)
    _written_s: float = 0.0

    @contextmanager
    def phase(self, name: str, text: str) -> Iterator[None]:
        """A phase begins; it ends with the block."""
        self.say(f"[{name}] {text}")
        began_s = time.monotonic()
        now = status.Phase(name=name, text=text, state="now")
        self.status.phases.append(now)
        self._write()
        yield
        self.seconds[name] = time.monotonic() - began_s
        now.state, now.seconds = "done", round(self.seconds[name], 1)
        self._write()

    def sent(self, at: Progress) -> None:
        """How far the replay is; called by its thread."""
        self.status.sent, self.status.total, self.status.waiting = at.acknowledged, at.total, at.waiting
        if time.monotonic() - self._written_s >= EVERY_S:
            self._write()

    def stopped(self) -> None:
        """The run is over."""
        self.status.stopped = True
        self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        status.write(self.file, self.status)
