"""What a worker does beside its events: beat, watch for stalls, follow versions, check topics, give up.

Knows: how a Faust app shows its partitions and progress, how the process ends.
Does not know: what an event does to a state.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust

from model.errors import ModelError
from model.registry import Registry
from stream.agents import Parts
from stream.clients import quiet_clients
from stream.generation import LOOK_S, Generation, TopicsChanged
from stream.metrics.exposition import serve
from stream.settings import Settings
from stream.statedir import bytes_under
from stream.themes import Router
from stream.watchdog import Pulse, Stall

log = logging.getLogger("hopstream.worker")

#: Exit status of a role that gives up on something outside itself (ops/exit_codes.py has the table).
GAVE_UP = 70
BEAT_S = 0.25
WATCH_S = 0.5
VERSIONS_S = 1.0
REPORT_S = 10.0


def give_up(why: str) -> None:
    """End the process at once: nothing more is written or acknowledged; a supervisor starts it again."""
    log.error("worker gives up: %s", why)
    logging.shutdown()
    os._exit(GAVE_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What the tasks look after."""

    app: faust.App
    parts: Parts
    settings: Settings
    bootstrap: str
    events_topic: str
    generation: Generation
    directory: Path
    pulse: Pulse
    ready_file: Path | None

    @property
    def settled(self) -> bool:
        """Partitions are assigned and their state is recovered."""
        app = self.app
        return not app.rebalancing and bool(app.consumer.assignment()) and app.tables.actives_ready

    @property
    def _recovery(self) -> Any:
        tables: Any = self.app.tables
        return tables.recovery

    @property
    def recovering(self) -> bool:
        """Reading changelogs before the first event."""
        return bool(self._recovery.in_recovery)

    @property
    def progress(self) -> int:
        return self.parts.acks.acknowledged + sum(self.parts.outcomes.values())

    def owed(self) -> int:
        """Records that the broker has and this worker has not read: events, or while it recovers, states."""
        return sum(self._recovery.active_remaining().values()) if self.recovering else self.lag()

    def lag(self) -> int:
        """Events that the broker has and the agent has not seen."""
        return sum(self.lags().values())

    def lags(self) -> dict[int, int]:
        """The same for each partition of this worker."""
        consumer: Any = self.app.consumer
        lags = {}
        for tp in consumer.assignment():
            if tp.topic == self.events_topic:
                read = consumer._read_offset.get(tp)  # Faust shows the position nowhere else
                lags[tp.partition] = max(
                    0, (consumer.highwater(tp) or 0) - (-1 if read is None else read) - 1
                )
        return lags


def tend(tended: Tended) -> None:
    """Add the tasks to the app; they start and end with it."""
    app = tended.app

    async def forget_states(*_: Any, **__: Any) -> None:
        tended.parts.users.clear()

    app.on_partitions_revoked.connect(forget_states, weak=False)
    app.on_rebalance_complete.connect(forget_states, weak=False)
    for task in (_quiet, _show_metrics, _beat, _watch, _follow_versions, _check_topics, _report):
        app.task(_bound(task, tended))


def _bound(task: Any, tended: Tended) -> Any:
    async def run() -> None:
        await task(tended)

    run.__name__ = run.__qualname__ = task.__name__
    return run


async def _quiet(tended: Tended) -> None:
    quiet_clients()  # Faust sets every logger to DEBUG when it starts; this undoes it for the clients
    tended.app.sensors.remove(tended.app.monitor)  # costs a tenth of the throughput, and counts in ms
    # Two records per event wait in this buffer; what bounds them is Acks. At Faust's 100 the fetcher would
    # stop after every 50 events and wait up to 0.1 s.
    tended.app.producer.buffer.max_messages = 4 * tended.settings.worker.max_unacknowledged


async def _show_metrics(tended: Tended) -> None:
    settings = tended.settings.metrics
    serve(tended.parts.metrics.registry, settings.host, settings.worker_port)


async def _beat(tended: Tended) -> None:
    while True:
        if not tended.pulse.beat(time.monotonic()):
            give_up("the process was paused for so long that another worker may own its partitions")
        await asyncio.sleep(BEAT_S)


async def _watch(tended: Tended) -> None:
    stall = Stall(limit_s=tended.settings.worker.stall_ms / 1000)
    metrics = tended.parts.metrics
    unsettled_s: float | None = time.monotonic()
    while True:
        await asyncio.sleep(WATCH_S)
        (tended.directory / "alive").touch()
        settled = tended.settled
        if settled and unsettled_s is not None:
            metrics.recovery.set(time.monotonic() - unsettled_s)
            unsettled_s = None
        elif not settled and unsettled_s is None:
            unsettled_s = time.monotonic()
        if settled and tended.ready_file is not None and not tended.ready_file.exists():
            tended.ready_file.write_text(str(os.getpid()))
        owed = tended.owed()
        # While changelogs are read each record is progress; Faust has been seen to wait for ever there.
        read = tended.progress - (owed if tended.recovering else 0)
        stalled = stall.stalled(time.monotonic(), read, owed, suspended=not (settled or tended.recovering))
        metrics.stalled.set(stall.standing_s(time.monotonic()))
        metrics.lagging("events", tended.lags())
        if stalled:
            give_up(f"no progress for {stall.limit_s:.0f} s with {owed} records waiting")


async def _follow_versions(tended: Tended) -> None:
    registry = Registry(tended.settings.models.dir)
    while True:
        await asyncio.to_thread(adopt_themes, registry, tended.parts)
        await asyncio.sleep(VERSIONS_S)


def adopt_themes(registry: Registry, parts: Parts) -> None:
    """Route by the version that serves now. A refused one changes nothing: the old themes go on."""
    try:
        current = registry.current()
        if current is None:
            return
        versions = parts.metrics.versions
        versions.wanted(current.epoch)
        if current.version == parts.router.version:
            versions.again(current.epoch)
        else:
            parts.router = Router(registry.load_themes(current.version), current.version)
            versions.adopted(current.version, current.epoch, time.time())
            log.info("routing by the themes of version %s", current.version)
    except (ModelError, OSError) as error:
        log.warning("themes refused: %s", error)


async def _check_topics(tended: Tended) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(tended.generation.check)
        except TopicsChanged as error:
            give_up(str(error))


async def _report(tended: Tended) -> None:
    before = 0
    while True:
        await asyncio.sleep(REPORT_S)
        tended.parts.metrics.state_bytes.set(await asyncio.to_thread(bytes_under, tended.directory))
        rate = (tended.progress - before) / 2 / REPORT_S
        if tended.progress != before:
            log.info(
                "%.0f events/s, %d waiting, %d in flight, %s",
                rate,
                tended.lag(),
                tended.parts.acks.in_flight,
                ", ".join(f"{name} {num}" for name, num in sorted(tended.parts.outcomes.items())),
            )
        before = tended.progress
