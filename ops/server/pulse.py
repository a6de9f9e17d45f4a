"""What passes in a second: clicks, lists, the time between them, themes and the load of the experts.

Knows: arrival of clicks and lists, sums over one second, a bounded past of them.
Does not know: Kafka, HTTP, users' lists (view.py).

A list's time is from the record of the newest click it knows to its arrival here, taken once per click: lists
that are made again for a new version answer no click and are not timed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from itertools import chain

import msgspec
import numpy as np
from msgspec import Struct

from stream.records import StateRef, ThemeWeight

#: Seconds that are remembered, and told to whoever opens the page.
MAX_TICKS = 600
#: Clicks that may wait for their list; the oldest goes.
MAX_WAITING = 20_000
#: Lists whose click was not read yet: clicks are read a few times per second (clicks.py).
MAX_EARLY = 5000
#: Lists of one second that are looked into where no click comes; the others are counted.
MAX_LOOKED_AT = 200
#: Percentiles are those of so many of the newest times, no older than WINDOW_S.
MAX_TIMES, WINDOW_S = 2000, 60.0
#: Upper bounds of the latency strip, ms; one more class for what is slower.
BOUNDS_MS = (10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0)


class Tick(Struct, frozen=True, kw_only=True):
    """One second."""

    at_ms: int  # its end, Unix ms
    clicks: int
    lists: int
    degraded: int  # of these lists
    p50: float | None  # click to list over the last minute, ms; null: no list answered a click
    p95: float | None
    p99: float | None
    latency: list[int]  # clicks answered in this second, by class of `bounds_ms`
    experts: list[list[float]]  # per block: mean share of each expert; empty without such lists
    themes: list[ThemeWeight]  # mean weight, heaviest first


class _Looked(Struct):
    """The part of a list that is looked into."""

    state: StateRef
    themes: list[ThemeWeight] = []
    experts: list[list[float]] = []
    degraded: str | None = None


_looked = msgspec.json.Decoder(_Looked)


class Pulse:
    """Count, and once a second `tick`."""

    def __init__(self) -> None:
        self.ticks: deque[Tick] = deque(maxlen=MAX_TICKS)
        self._waiting: OrderedDict[tuple[int, int], float] = OrderedDict()  # (partition, offset) → Unix ms
        self._early: OrderedDict[tuple[int, int], float] = OrderedDict()  # lists read before it
        self._times: deque[tuple[float, float]] = deque(maxlen=MAX_TIMES)  # (arrival, ms)
        self._clicks = 0
        self._reset()

    def click(self, partition: int, offset: int, produced_ms: float) -> None:
        """A click lies on the topic."""
        self._clicks += 1
        arrived_ms = self._early.pop((partition, offset), None)
        if arrived_ms is not None:
            self._timed(produced_ms, arrived_ms)
        else:
            _keep(self._waiting, (partition, offset), produced_ms, MAX_WAITING)

    def made(self, raw: bytes, now_ms: float) -> None:
        """A list arrived; what is none is left to others."""
        self._lists += 1
        if self._lists > MAX_LOOKED_AT and not (self._waiting or self._clicks or self._clicks_before):
            return
        try:
            found = _looked.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._degraded += found.degraded is not None
        place = (found.state.partition, found.state.offset)
        produced_ms = self._waiting.pop(place, None)
        if produced_ms is not None:
            self._timed(produced_ms, now_ms)
        else:
            _keep(self._early, place, now_ms, MAX_EARLY)
        if found.experts:
            self._experts.append(found.experts)
        self._looked += 1
        for theme in found.themes:
            weight, _ = self._themes.get(theme.id, (0.0, ""))
            self._themes[theme.id] = (weight + theme.weight, theme.label)

    def tick(self, now_ms: float) -> Tick:
        """The second that ends now; the next begins."""
        while self._times and self._times[0][0] < now_ms - 1000 * WINDOW_S:
            self._times.popleft()
        percentiles: list[float | None] = [None, None, None]
        if self._times:
            values = np.percentile([took for _, took in self._times], (50, 95, 99))
            percentiles = [round(float(value), 1) for value in values]
        heaviest = sorted(self._themes.items(), key=lambda pair: (-pair[1][0], pair[0]))
        made = Tick(
            at_ms=round(now_ms),
            clicks=self._clicks,
            lists=self._lists,
            degraded=self._degraded,
            p50=percentiles[0],
            p95=percentiles[1],
            p99=percentiles[2],
            latency=self._latency,
            experts=_means(self._experts),
            themes=[
                ThemeWeight(id=number, weight=round(weight / self._looked, 4), label=label)
                for number, (weight, label) in heaviest
            ],
        )
        self.ticks.append(made)
        self._reset()
        return made

    def _timed(self, produced_ms: float, arrived_ms: float) -> None:
        took_ms = max(0.0, arrived_ms - produced_ms)
        self._latency[bisect_left(BOUNDS_MS, took_ms)] += 1
        self._times.append((arrived_ms, took_ms))

    def _reset(self) -> None:
        self._clicks_before = self._clicks  # of the second before: the clicks of these lists may still come
        self._clicks = self._lists = self._degraded = self._looked = 0
        self._latency = [0] * (len(BOUNDS_MS) + 1)
        self._experts: list[list[list[float]]] = []
        self._themes: dict[int, tuple[float, str]] = {}


def _keep(
    entries: OrderedDict[tuple[int, int], float], place: tuple[int, int], at_ms: float, at_most: int
) -> None:
    entries[place] = at_ms
    if len(entries) > at_most:
        entries.popitem(last=False)


def _means(experts: list[list[list[float]]]) -> list[list[float]]:
    """Per block and expert, over lists of the commonest shape: a new version may have another."""
    if not experts:
        return []
    shapes = [tuple(map(len, blocks)) for blocks in experts]
    shape = max(set(shapes), key=lambda one: (shapes.count(one), one))
    if not shape:
        return []
    alike = [list(chain(*blocks)) for blocks, its in zip(experts, shapes, strict=True) if its == shape]
    flat = iter(np.mean(alike, axis=0).round(4).tolist())
    return [[next(flat) for _ in range(width)] for width in shape]
