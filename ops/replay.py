"""A data set onto the topics: paced, never faster than acknowledged, stopped cleanly.

Knows: how events become records, how many may be unacknowledged, when to wait for the scorer.
Does not know: data set formats, terminals, signals.

Backfill: every event but each user's last one carries the header `backfill: 1`. The worker applies such
events without asking for lists, and the last one's list knows them all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ops.backlog import max_lag_records, scorer_lag
from ops.datasets.table import EventTable
from ops.pacing import Pacing
from ops.sending import Headers, Sender, connected
from stream import admin
from stream.errors import BrokerUnreachable
from stream.events import Item, encode
from stream.partition import partition_of
from stream.topics import TopicNames

#: Events added between two looks at the clock.
STEP_EVENTS = 1024
#: Events that may lack their acknowledgement: 50 full batches, 0.2 s of the fastest replay.
MAX_UNACKNOWLEDGED = 20_000
#: Events due within this time go out together.
TICK_S = 0.005
#: Longest sleep, so that a request to stop is heard.
MAX_SLEEP_S = 0.2
#: How often the scorer's lag is asked for.
LAG_EVERY_S = 2.0
BACKFILL: Headers = [("backfill", b"1")]
PLAIN: Headers = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a replay stands."""

    acknowledged: int
    total: int
    seconds: float
    event_ms: int  # event time of the newest event sent
    waiting: bool  # for the scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a replay did."""

    events: int  # acknowledged
    total: int  # that it was asked for
    seconds: float
    waited_s: float  # for the scorer
    stopped: bool  # by request, before the end

    @property
    def per_s(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self) | {"per_s": round(self.per_s, 1)}
        return fields | {"seconds": round(self.seconds, 3), "waited_s": round(self.waited_s, 3)}


def replay(
    events: EventTable,
    bootstrap: str,
    names: TopicNames,
    pacing: Pacing,
    *,
    backfill: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    lag: Callable[[], int] | None = None,
) -> Summary:
    """Send all of ``events``, in their order, to the events topic, which must exist.

    Returns once every event that was sent is acknowledged. ``stop`` is asked several times a second.
    ``lag`` tells how many requests the scorer is behind (default: ask the broker); while it is above what
    `max_lag_records` allows, nothing is sent. Runs an event loop of its own: call it where none runs.
    Raises BrokerUnreachable, NotAcknowledged.
    """
    look = lag or (lambda: scorer_lag(bootstrap, names))
    partitions = _num_partitions(bootstrap, names.events)

    async def run() -> Summary:
        async with connected(bootstrap) as producer:
            sender = Sender(producer, names.events)
            return await _Replay(events, sender, partitions, backfill, pacing, progress, stop, look).run()

    return asyncio.run(run())


def send_items(items: Iterable[Item], bootstrap: str, names: TopicNames) -> int:
    """Item records to the items topic; returns how many were acknowledged. Raises as `replay` does."""
    partitions = _num_partitions(bootstrap, names.items)

    async def run() -> int:
        async with connected(bootstrap) as producer:
            sender = Sender(producer, names.items)
            for item in items:
                key = item.item.encode()
                sender.add(partition_of(key, partitions), key, encode(item), PLAIN, _wall_ms())
                if sender.num_added % STEP_EVENTS == 0:
                    await sender.send()
                    await sender.settle(MAX_UNACKNOWLEDGED)
            await sender.finish()
            return sender.num_acknowledged

    return asyncio.run(run())


def _num_partitions(bootstrap: str, topic: str) -> int:
    found = admin.existing(bootstrap, [topic])
    if topic not in found:
        raise BrokerUnreachable(f"There is no topic {topic} at {bootstrap}.")
    return found[topic]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class _Replay:
    """One run; time spent waiting for the scorer does not count for the pacing."""

    def __init__(
        self,
        events: EventTable,
        sender: Sender,
        partitions: int,
        backfill: bool,
        pacing: Pacing,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
        lag: Callable[[], int],
    ) -> None:
        self._events, self._sender, self._pacing = events, sender, pacing
        self._progress, self._stop, self._lag = progress, stop, lag
        self._keys = [user.encode() for user in events.users]
        self._partitions = [partition_of(key, partitions) for key in self._keys]
        self._headers = [BACKFILL if backfill else PLAIN] * len(events)
        for row in events.last_of_user().nonzero()[0].tolist():
            self._headers[row] = PLAIN
        self._began_s = time.monotonic()
        self._asking: asyncio.Task[int] | None = None
        self._asked_s = -LAG_EVERY_S
        self._known_lag = 0
        self._waited_s = 0.0
        self._sent = 0

    async def run(self) -> Summary:
        total = len(self._events)
        while self._sent < total and not self._stop():
            if self._far_behind():
                await self._wait_for_scorer()
                continue
            elapsed_s = self._elapsed_s() - self._waited_s
            due = min(self._pacing.num_due(elapsed_s), self._sent + STEP_EVENTS, total)
            if due <= self._sent:
                await self._sender.flush()
                wait_s = self._pacing.due_s(self._sent) - elapsed_s
                await asyncio.sleep(min(max(wait_s, TICK_S), MAX_SLEEP_S))
            else:
                self._add(due)
                await self._sender.send()
            await self._sender.settle(MAX_UNACKNOWLEDGED)
            self._tell()
        await self._sender.finish()
        if self._asking is not None:
            await self._asking
        self._tell()
        return Summary(
            events=self._sender.num_acknowledged,
            total=total,
            seconds=self._elapsed_s(),
            waited_s=self._waited_s,
            stopped=self._sent < total,
        )

    def _add(self, until: int) -> None:
        """Events up to this position into batches."""
        part = self._events.slice(self._sent, until)
        wall_ms = _wall_ms()
        rows = zip(part, part.user.tolist(), self._headers[self._sent : until], strict=True)
        for event, user, headers in rows:
            self._sender.add(self._partitions[user], self._keys[user], encode(event), headers, wall_ms)
        self._sent = until

    async def _wait_for_scorer(self) -> None:
        began_s = self._elapsed_s()
        await self._sender.flush()
        self._tell(waiting=True)
        await asyncio.sleep(MAX_SLEEP_S)
        self._waited_s += self._elapsed_s() - began_s

    def _far_behind(self) -> bool:
        """What the newest answer about the scorer's lag means; asks again, in a thread, now and then."""
        if self._asking is not None and self._asking.done():
            self._known_lag = self._asking.result()
            self._asking = None
        if self._asking is None and self._elapsed_s() - self._asked_s >= LAG_EVERY_S:
            self._asked_s = self._elapsed_s()
            self._asking = asyncio.create_task(asyncio.to_thread(self._lag))
        return self._known_lag > max_lag_records()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _tell(self, waiting: bool = False) -> None:
        if self._progress:
            self._progress(
                Progress(
                    acknowledged=self._sender.num_acknowledged,
                    total=len(self._events),
                    seconds=self._elapsed_s(),
                    event_ms=int(self._events.time_ms[self._sent - 1]) if self._sent else 0,
                    waiting=waiting,
                )
            )
