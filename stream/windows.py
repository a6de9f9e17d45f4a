"""Which sessions each sequence reads: windows that move only when a session closes, by whole sessions.

Knows: lengths and times of closed sessions and where a window starts.
Does not know: items, themes, Kafka, torch.

Inside a session every sequence therefore only grows at its end, which is what keeps the scorer's prefix
cache exact (our construction; the limits are the design's).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from stream.codec import Closed

#: Events of an open session at most (stream/settings.py holds `sessions.max_events` to it).
MAX_OPEN = 32
#: The longest global sequence; the model's constant divisor (ModelConfig.max_events).
GLOBAL_MAX = 264
GLOBAL_KEEP = 200
THEME_MAX = 96
THEME_KEEP = 64


def moved(lengths: Sequence[int], limit: int, keep: int) -> int:
    """How many sessions leave the front of a window whose closed sessions have these lengths.

    None while their sum is at most ``limit``; beyond it, as few as bring the sum to ``keep`` or less.
    """
    total = sum(lengths)
    if total <= limit:
        return 0
    dropped = 0
    while total > keep:
        total -= lengths[dropped]
        dropped += 1
    return dropped


def moved_global(lengths: Sequence[int]) -> int:
    """`moved` for the global window: closed sessions leave room for a full open one below GLOBAL_MAX."""
    return moved(lengths, GLOBAL_MAX - MAX_OPEN, GLOBAL_KEEP)


def moved_theme(lengths: Sequence[int]) -> int:
    """`moved` for one theme's window."""
    return moved(lengths, THEME_MAX, THEME_KEEP)


def moved_history(lengths: Sequence[int], keep_events: int) -> int:
    """`moved` for what is kept at all; an eighth goes at once, so that it does not move at every session."""
    return moved(lengths, keep_events, keep_events - keep_events // 8)


def horizon_ms(gone: Sequence[Closed], kept: Sequence[Closed]) -> int:
    """The time up to which an event is taken for one of those that left the history (our construction).

    Their newest time, unless half of what is kept is older: then a clock was ahead when they were made, and
    their user's clicks must not be refused until that time has come.
    """
    newest_ms = max(ts_ms for session in gone for ts_ms in session.times_ms())
    times = [ts_ms for session in kept for ts_ms in session.times_ms()]
    return min(newest_ms, median_low(times)) if times else newest_ms
