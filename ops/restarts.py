"""When a role that died is started again, and when it is given up.

Knows: which exit statuses are hopeless, the times of crashes. Does not know: processes, clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ops import exit_codes

#: Ends that a second try cannot mend: wrong options, nothing there to work on.
HOPELESS = frozenset({exit_codes.USAGE, exit_codes.NOT_FOUND})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Exponential back-off up to a cap, and a number of crashes within a window that ends it all."""

    first_s: float = 0.5
    cap_s: float = 10.0
    max_crashes: int = 5
    window_s: float = 120.0

    def delay_s(self, crashes_s: Sequence[float]) -> float | None:
        """Seconds to wait after the newest of these crashes (process time, ascending), or None: give up.

        Crashes older than the window, counted from the newest, are forgiven.
        """
        recent = sum(1 for crash_s in crashes_s if crashes_s[-1] - crash_s < self.window_s)
        if recent > self.max_crashes:
            return None
        doubled_s: float = self.first_s * 2.0 ** (recent - 1)
        return min(self.cap_s, doubled_s)
