"""Silences between a user's events: what they say about sessions, and the gap they suggest.

Knows: sorted times per user, the session rule's consequences. Does not know: files, topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ops.datasets.table import EventTable

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
#: What web analytics takes when nothing better is known.
DEFAULT_GAP_MS = 30 * MINUTE_MS
#: A suggested gap lies between these, where people's sessions end.
SHORTEST_MS = 5 * MINUTE_MS
LONGEST_MS = 12 * HOUR_MS
#: Bins of the histogram: four to a doubling, from a second to a year.
BINS_PER_DOUBLING = 4
#: A valley counts if it is below this share of the lower of its two hills.
VALLEY = 0.6
#: Fewer gaps than this say nothing.
MIN_GAPS = 200
PERCENTILES = (10, 25, 50, 75, 90, 99)

Ints = npt.NDArray[np.int64]


def user_order(events: EventTable) -> Ints:
    """(n,) rows of the table by user, then time, ties in table order."""
    return np.argsort(events.user, kind="stable")


def gaps_ms(events: EventTable) -> Ints:
    """Silences between consecutive events of the same user, ms."""
    order = user_order(events)
    user, time_ms = events.user[order], events.time_ms[order]
    same = user[1:] == user[:-1]
    gaps: Ints = np.diff(time_ms)[same]
    return gaps


def session_lengths(events: EventTable, gap_ms: int, max_events: int) -> Ints:
    """Events of every session that the rule of stream.sessions makes of these; in a table none is late."""
    if not len(events):
        return np.zeros(0, dtype=np.int64)
    order = user_order(events)
    user, time_ms = events.user[order], events.time_ms[order]
    starts = np.flatnonzero(np.r_[True, (user[1:] != user[:-1]) | (np.diff(time_ms) > gap_ms)])
    lengths = np.diff(np.r_[starts, len(order)])
    full, rest = lengths // max_events, lengths % max_events
    return np.concatenate([np.full(int(full.sum()), max_events, dtype=np.int64), rest[rest > 0]])


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A session gap and why."""

    gap_ms: int
    reason: str


def suggest(gaps: Ints) -> Suggestion:
    """The session gap these silences suggest: the valley between pauses and absences.

    The histogram is taken over the logarithm of the gap, as in Halfaker et al. 2015 (arXiv 1411.2878), who
    fit two normal distributions and cut where they cross; looking for the valley itself is our construction.
    Without a clear valley the usual 30 minutes stand.
    """
    long = gaps[gaps > 0]
    if len(long) < MIN_GAPS:
        return Suggestion(DEFAULT_GAP_MS, f"only {len(long)} silences, too few to tell; the usual 30 minutes")
    if not (long % DAY_MS).any():
        return Suggestion(DAY_MS // 2, "times have the resolution of a day, so sessions are days")
    low, high = _bin(SHORTEST_MS), _bin(LONGEST_MS)
    counts = _smooth(np.bincount(np.maximum(_bins(long), 0), minlength=high + 2).astype(np.float64))
    valley = low + int(np.argmin(counts[low : high + 1]))
    before, after = counts[:valley].max(initial=0.0), counts[valley + 1 :].max(initial=0.0)
    hill = min(before, after)
    if hill == 0 or counts[valley] > VALLEY * hill:
        return Suggestion(DEFAULT_GAP_MS, "pauses and absences run into each other; the usual 30 minutes")
    floor = counts[valley] + 0.02 * hill  # an empty stretch is a valley as a whole: its middle is taken
    left = right = valley
    while left > low and counts[left - 1] <= floor:
        left -= 1
    while right < high and counts[right + 1] <= floor:
        right += 1
    gap_ms = round(SECOND_MS * 2 ** ((left + right + 1) / 2 / BINS_PER_DOUBLING))
    share = float((gaps > gap_ms).mean())
    return Suggestion(
        _rounded(gap_ms), f"fewest silences lie here, between pauses and absences; {share:.1%} are longer"
    )


def _bins(gaps: Ints) -> Ints:
    bins: Ints = np.floor(np.log2(gaps / SECOND_MS) * BINS_PER_DOUBLING).astype(np.int64)
    return bins


def _bin(gap_ms: int) -> int:
    return int(_bins(np.array([gap_ms]))[0])


def _smooth(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.convolve(counts, np.array([1, 2, 3, 2, 1]) / 9, mode="same")


def _rounded(gap_ms: int) -> int:
    """To whole minutes, or to five of them from half an hour on."""
    step_ms = 5 * MINUTE_MS if gap_ms >= 30 * MINUTE_MS else MINUTE_MS
    return max(step_ms, round(gap_ms / step_ms) * step_ms)


def percentiles(numbers: Ints, wanted: Sequence[int] = PERCENTILES) -> dict[str, int]:
    """{"p50": ...}; empty without numbers."""
    if not len(numbers):
        return {}
    found = np.percentile(numbers, wanted, method="lower")
    return {f"p{share}": int(value) for share, value in zip(wanted, found, strict=True)}
